"""The score as people and programs read it: lines, JSON, and the parts of docs/alerting.md that hold figures.

It stands behind the score. What stands between a pair of markers in the page is written here and by nobody
else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from backtest.bound import fewest, sessions_for_nothing
from backtest.drops import DURATIONS
from backtest.runs import TIMES_BOUND_MAX, Found
from backtest.score import LARGE, MUCH_TRAFFIC, OURS, Cell, Quiet, Score, large_recall, targets
from streams.errors import PulseError

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = "alerting.md"
PLOT: Final = "images/alerting-recall.svg"
RATES: Final = (0.01, 0.03, 0.25, 0.30, 0.40)


def as_lines(score: Score) -> list[str]:
    """For a terminal."""
    lines = [f"{'ok ' if each.held else 'NO '} {each.name}: {each.measured}" for each in targets(score)]
    lines += [
        f"{cell.traffic:>6,g} a minute, {cell.size:>4.0%} for {cell.duration:<14} {cell.drops:>5} drops, "
        f"{cell.lasting:>5} last long enough, recall {cell.recall:.1%}, minutes {_pair(cell.minutes)}"
        for cell in score.cells
    ]
    return lines


def as_json(score: Score, about: Mapping[str, object]) -> dict[str, object]:
    """For programs."""
    return {
        "about": dict(about),
        "targets": [asdict(each) for each in targets(score)],
        "quiet": [
            {**asdict(each), "by_alert": dict(each.by_alert), "rivals": dict(each.rivals)}
            for each in score.quiet
        ],
        "cells": [asdict(each) for each in score.cells],
        "rivals": {name: [asdict(each) for each in cells] for name, cells in score.rivals.items()},
        "outages": {
            "played": score.outages,
            "pages": score.outage_pages,
            "by_alert": dict(score.outage_alerts),
        },
    }


def _pair(pair: tuple[float, float] | None, digits: int = 0) -> str:
    return "–" if pair is None else f"{pair[0]:.{digits}f} / {pair[1]:.{digits}f}"


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{part:.1%}" if 0 < part < 1 else f"{part:.0%}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def physics() -> str:
    """The fewest sessions that show anything."""
    rows = [
        [
            f"{usual:.0%}",
            f"{sessions_for_nothing(usual):,}",
            *(
                f"{needed:,}" if (needed := fewest(usual, size)) else "never"
                for size in (1.0, 0.8, 0.5, 0.25)
            ),
        ]
        for usual in RATES
    ]
    head = [
        "usual rate",
        "not one success is significant from",
        *(f"{size} % drop" for size in (100, 80, 50, 25)),
    ]
    return _table(head, rows)


def target_table(score: Score) -> str:
    """What was promised and what was measured."""
    rows = [[each.name, each.measured, "held" if each.held else "**missed**"] for each in targets(score)]
    return _table(["promise", "measured", ""], rows)


def quiet_table(score: Score) -> str:
    """False pages by alert, and those of rivals."""
    alerts = sorted({alert for each in score.quiet for alert in each.by_alert})
    rows = [
        [
            f"{each.traffic:,g}",
            f"{each.days:,}",
            f"{each.pages / each.days * 7:.2f}",
            f"{each.false_a_month():.2f}",
            *(str(each.by_alert.get(alert, 0)) for alert in alerts),
        ]
        for each in score.quiet
    ]
    head = ["sessions a minute", "quiet days", "false pages a week", "a month", *alerts]
    return _table(head, rows)


def cell_table(cells: Sequence[Cell]) -> str:
    """Every cell of one traffic."""
    order = [each.name for each in DURATIONS]
    rows = [
        [
            f"{cell.size:.0%}",
            cell.duration,
            f"{cell.findable} of {cell.drops}",
            str(cell.lasting),
            _percent(cell.recall),
            _percent(cell.recall_lasting),
            _percent(cell.precision),
            _pair(cell.minutes),
            _pair(cell.times_bound, 2),
        ]
        for cell in sorted(cells, key=lambda each: (each.size, order.index(each.duration)))
    ]
    head = [
        "drop",
        "lasts",
        "can be found",
        "last long enough",
        "found",
        "of those that last",
        "precision",
        "minutes p50 / p95",
        "÷ bound",
    ]
    return _table(head, rows)


def rival_table(score: Score) -> str:
    """Ours beside the rivals, by traffic."""
    rows = []
    for each in score.quiet:
        mine = [cell for cell in score.cells if cell.traffic == each.traffic]
        rows.append([f"{each.traffic:,g}", f"**{OURS}**", *_beside(mine, each, OURS)])
        for name, cells in score.rivals.items():
            chosen = score.chosen.get(each.traffic, "") if name == "fixed threshold" else name
            theirs = [cell for cell in cells if cell.traffic == each.traffic]
            rows.append(
                [f"{each.traffic:,g}", chosen if name != chosen else name, *_beside(theirs, each, chosen)]
            )
    head = [
        "sessions a minute",
        "",
        "false pages a month",
        "found of ≥ 50 % drops that last",
        "found of 25 % drops",
        "minutes p50 / p95 (80 %, 30 min)",
    ]
    return _table(head, rows)


def _beside(cells: Sequence[Cell], quiet: Quiet, who: str) -> list[str]:
    quarter = [cell for cell in cells if cell.size == 0.25]
    drops = sum(cell.drops for cell in quarter)
    typical = next((cell for cell in cells if cell.size == 0.8 and cell.duration == "30 min"), None)
    return [
        f"{quiet.false_a_month(who):.1f}",
        _percent(large_recall(cells)),
        _percent(sum(cell.found for cell in quarter) / drops if drops else None),
        _pair(typical.minutes if typical else None),
    ]


def kind_table(score: Score) -> str:
    """Where large drops were, and how many of those that last long enough were found, and soon."""
    groups: dict[tuple[float, str], list[Found]] = {}
    for each in score.found:
        if each.traffic >= MUCH_TRAFFIC and each.drop.size >= LARGE and each.lasts:
            groups.setdefault((each.traffic, each.drop.where), []).append(each)
    rows = []
    for (traffic, where), group in sorted(groups.items()):
        found = [each for each in group if each.ours is not None]
        soon = [each for each in found if (each.ours or 0) <= TIMES_BOUND_MAX * (each.bound_min or 0)]
        parts_of = [_percent(len(some) / len(group)) for some in (found, soon)]
        rows.append([f"{traffic:,g}", where, f"{len(group):,}", *parts_of])
    head = [
        "sessions a minute",
        "where",
        "last long enough",
        "found",
        f"within {TIMES_BOUND_MAX:g} × the bound",
    ]
    return _table(head, rows)


def parts(score: Score, about: Mapping[str, object]) -> dict[str, str]:
    """What stands between the markers of the page, by their names."""
    found = {
        "physics": physics(),
        "targets": target_table(score),
        "kinds": kind_table(score),
        "quiet": quiet_table(score),
        "rivals": rival_table(score),
        "outages": f"{score.outages:,} outages played, {score.outage_pages} business pages.",
        "machine": (
            f"Seed {about['seed']}, {about['seconds']} s on {about['cores']} cores "
            f"(kernel {about['kernel']}, Python {about['python']}, Prometheus {about['prometheus']})."
        ),
    }
    cells = {
        each.traffic: [cell for cell in score.cells if cell.traffic == each.traffic] for each in score.quiet
    }
    found["cells"] = "\n\n".join(
        f"**{_counted(traffic)} a minute**\n\n{cell_table(each)}" for traffic, each in cells.items()
    )
    return found


def _counted(traffic: float) -> str:
    return f"{traffic:,g} session{'s' if traffic > 1 else ''}"


def _between(text: str, markers: re.Match[str]) -> str:
    return f"{markers[1]}\n{text}\n\n{markers[2]}"


def filled(page: str, found: Mapping[str, str]) -> str:
    """The page with its parts anew. Raises PulseError where a marker is missing."""
    for name, text in found.items():
        pattern = re.compile(rf"(<!-- {name}: .*?-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        page, count = pattern.subn(partial(_between, text), page)
        if count != 1:
            raise PulseError(f"docs/{PAGE} has no place for the part {name!r}; put its two markers back")
    return page


def write_docs(score: Score, about: Mapping[str, object]) -> list[Path]:
    """Write the page's parts and the plot (in a checkout); what was written."""
    page = DOCS / PAGE
    if not page.is_file():
        raise PulseError("the docs belong to a checkout of the repository; run this in one")
    page.write_text(filled(page.read_text(encoding="utf-8"), parts(score, about)), encoding="utf-8")
    try:
        from backtest.plot import draw
    except ModuleNotFoundError as error:
        raise PulseError(
            "the plot needs matplotlib; install it: pip install 'shop-pulse[backtest]'"
        ) from error
    plot = DOCS / PLOT
    draw(score, plot)
    return [page, plot]

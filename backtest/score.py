"""What pieces of the backtest add up to: recall, precision, false pages, time to detect, by traffic and cell.

It stands behind the runs and before the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from backtest.runs import TIMES_BOUND_MAX, Found, Outcome

OURS: Final = "shipped rules"
FIXED: Final = "fixed threshold"
MONTH_DAYS: Final = 30
LARGE: Final = 0.5
MUCH_TRAFFIC: Final = 100.0


@dataclass(frozen=True)
class Limits:
    """What is asked of the rules: at most so many false pages a month and shop; this part of the large drops
    that last long enough found, and found soon. No page at all for what is no business."""

    false_a_month: float
    recall: float
    soon: float


# The promises.
LONG: Final = Limits(1.0, 0.99, 0.99)
# A few shops scatter: only a rule that is broken gets below this, many times over.
QUICK: Final = Limits(5.0, 0.95, 0.8)


@dataclass(frozen=True)
class Cell:
    """Drops of one traffic, size and duration.

    Attributes:
        findable: those that strike enough sessions to be found, by the bound.
        lasting: those of them that last TIMES_BOUND_MAX × their bound, so that they can be found within that.
        found: how many were paged while they were in force or in the windows; `found_lasting` of the lasting.
        within: those of the lasting found within TIMES_BOUND_MAX × their bound.
        minutes: time to detect p50 and p95 of those found; `times_bound` the same over the bound.
        precision: true pages of all, were there one such drop a month.
    """

    traffic: float
    size: float
    duration: str
    drops: int
    findable: int
    lasting: int
    found: int
    found_lasting: int
    within: int
    minutes: tuple[float, float] | None
    times_bound: tuple[float, float] | None
    precision: float | None

    @property
    def recall(self) -> float:
        """Found of all drops."""
        return self.found / self.drops

    @property
    def recall_lasting(self) -> float | None:
        """Found of those that last long enough."""
        return self.found_lasting / self.lasting if self.lasting else None


@dataclass(frozen=True)
class Quiet:
    """Days without a drop: pages of ours by alert, and of each rival."""

    traffic: float
    days: int
    pages: int
    by_alert: Mapping[str, int]
    rivals: Mapping[str, int]

    def false_a_month(self, who: str = OURS) -> float:
        """False pages a month and shop."""
        return (self.pages if who == OURS else self.rivals[who]) * MONTH_DAYS / self.days


@dataclass
class Score:
    """The whole backtest."""

    quiet: list[Quiet] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    rivals: dict[str, list[Cell]] = field(default_factory=dict)
    chosen: dict[float, str] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    outages: int = 0
    outage_pages: int = 0
    outage_alerts: dict[str, int] = field(default_factory=dict)


def scored(outcomes: Iterable[Outcome]) -> Score:
    """The score of all pieces."""
    outcomes = list(outcomes)
    score = Score()
    for traffic in sorted({each.piece.traffic for each in outcomes if each.days}):
        days = [each for each in outcomes if each.days and each.piece.traffic == traffic]
        by_alert, rivals = Counter[str](), Counter[str]()
        for each in days:
            by_alert.update(each.by_alert)
            rivals.update(each.rival_pages)
        count = sum(each.days for each in days)
        score.quiet.append(Quiet(traffic, count, sum(each.pages for each in days), by_alert, rivals))
    score.found = [found for each in outcomes for found in each.found]
    quiet = {each.traffic: each for each in score.quiet}
    score.cells = _cells(
        score.found, {traffic: each.false_a_month() for traffic, each in quiet.items()}, OURS
    )
    _score_rivals(score, quiet)
    for each in outcomes:
        if each.outages:
            score.outages += each.outages
            score.outage_pages += each.pages
            score.outage_alerts.update(Counter(score.outage_alerts) + Counter(each.by_alert))
    return score


def _score_rivals(score: Score, quiet: Mapping[float, Quiet]) -> None:
    """Every rival; of the fixed thresholds the one that does best at each traffic, chosen with hindsight."""
    names = sorted({name for found in score.found for name in found.rivals})
    per_name = {
        name: _cells(score.found, {each.traffic: each.false_a_month(name) for each in quiet.values()}, name)
        for name in names
    }
    fixed = [name for name in names if name.startswith("fixed ")]
    for name in names:
        if name not in fixed:
            score.rivals[name] = per_name[name]
    for traffic, each in quiet.items():
        if not fixed:
            continue

        def worth(name: str, traffic: float = traffic, each: Quiet = each) -> tuple[bool, float]:
            quiet_enough = each.false_a_month(name) <= LONG.false_a_month
            recall = large_recall([cell for cell in per_name[name] if cell.traffic == traffic])
            return quiet_enough, (recall or 0.0) if quiet_enough else -each.false_a_month(name)

        best = max(fixed, key=worth)
        score.chosen[traffic] = best
        score.rivals.setdefault(FIXED, []).extend(cell for cell in per_name[best] if cell.traffic == traffic)


def large_recall(cells: Sequence[Cell]) -> float | None:
    """Recall of drops of LARGE and more that last long enough; None where there is none."""
    large = [cell for cell in cells if cell.size >= LARGE and cell.lasting]
    lasting = sum(cell.lasting for cell in large)
    return sum(cell.found_lasting for cell in large) / lasting if lasting else None


def _cells(found: Sequence[Found], false_a_month: Mapping[float, float], who: str) -> list[Cell]:
    groups: dict[tuple[float, float, str], list[Found]] = {}
    for each in found:
        groups.setdefault((each.traffic, each.drop.size, each.drop.duration.name), []).append(each)
    return [_cell(key, group, who, false_a_month.get(key[0])) for key, group in groups.items()]


def _cell(
    key: tuple[float, float, str], group: Sequence[Found], who: str, false_a_month: float | None
) -> Cell:
    pairs = [(each.ours if who == OURS else each.rivals[who], each) for each in group]
    minutes = [float(at) for at, _ in pairs if at is not None]
    times = [at / each.bound_min for at, each in pairs if at is not None and each.bound_min is not None]
    lasting = [(at, each.bound_min or 0) for at, each in pairs if each.lasts]
    recall = len(minutes) / len(pairs)
    precision = None
    if false_a_month is not None and recall + false_a_month > 0:
        precision = recall / (recall + false_a_month)
    return Cell(
        *key,
        drops=len(pairs),
        findable=sum(each.bound_min is not None for _, each in pairs),
        lasting=len(lasting),
        found=len(minutes),
        found_lasting=sum(at is not None for at, _ in lasting),
        within=sum(at is not None and at <= TIMES_BOUND_MAX * bound for at, bound in lasting),
        minutes=quantiles(minutes),
        times_bound=quantiles(times),
        precision=precision,
    )


def quantiles(values: Sequence[float]) -> tuple[float, float] | None:
    """The median and the 95th percentile (the smallest value that so many do not exceed)."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2], ordered[min(-(-len(ordered) * 95 // 100), len(ordered)) - 1]


@dataclass(frozen=True)
class Target:
    """A promise, and what was measured."""

    name: str
    measured: str
    held: bool


def targets(score: Score, limits: Limits = LONG) -> list[Target]:
    """Every promise of the rules."""
    worst = max(score.quiet, key=Quiet.false_a_month)
    much = [
        cell for cell in score.cells if cell.traffic >= MUCH_TRAFFIC and cell.size >= LARGE and cell.lasting
    ]
    lasting = sum(cell.lasting for cell in much)
    recall = sum(cell.found_lasting for cell in much) / lasting if lasting else 1.0
    within = sum(cell.within for cell in much) / lasting if lasting else 1.0
    return [
        Target(
            f"≤ {limits.false_a_month:g} false page a month and shop",
            "; ".join(f"{each.false_a_month():.2f} at {each.traffic:,g} a minute" for each in score.quiet),
            worst.false_a_month() <= limits.false_a_month,
        ),
        Target(
            f"recall ≥ {limits.recall:.0%} of drops ≥ {LARGE:.0%} at ≥ {MUCH_TRAFFIC:g} sessions a minute "
            "that last long enough",
            f"{recall:.1%} of {lasting:,}",
            recall >= limits.recall,
        ),
        Target(
            f"{limits.soon:.0%} of the same drops found within {TIMES_BOUND_MAX:g} × the bound",
            f"{within:.1%} of {lasting:,}",
            within >= limits.soon,
        ),
        Target(
            "0 business pages from pipeline outages or silent sources",
            f"{score.outage_pages} in {score.outages:,} outages",
            not score.outage_pages,
        ),
    ]

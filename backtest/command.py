"""`shop-pulse backtest`: plays seeded shops against the committed rules and says how well these hold.

It stands above everything of the backtest. The long form is what docs/alerting.md tells; the quick one plays
a few cells, so that CI sees when a change of rules breaks a promise.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import click

from streams.errors import PulseError

try:
    from backtest.drops import DURATIONS, SIZES
    from backtest.prometheus import Rules, prometheus_version, read_rules
    from backtest.report import as_json, as_lines, write_docs
    from backtest.runs import Outcome, Piece, run
    from backtest.score import QUICK, Score, scored, targets
    from backtest.shops import Parameters
except ModuleNotFoundError as error:
    if error.name != "numpy":
        raise
    raise PulseError("the backtest needs numpy; install it: pip install 'shop-pulse[backtest]'") from error

TRAFFIC: Final = (1.0, 10.0, 100.0, 1000.0)
QUIET_DAYS: Final = 372
DROPS: Final = 204
OUTAGE_SHOPS: Final = 8
# Pieces are small enough to spread over processes, and large enough that starting Prometheus does not matter.
DAYS_A_PIECE: Final = 31
DROPS_A_PIECE: Final = 12
SHOPS_A_PIECE: Final = 4
NICE: Final = 19


def long_pieces(seed: int) -> list[Piece]:
    """Everything that the issue asks for."""
    pieces = []
    for traffic in reversed(TRAFFIC):  # the slowest first
        for first in range(0, DROPS, DROPS_A_PIECE):
            pieces.append(Piece("drops", traffic, first, first + DROPS_A_PIECE, seed, SIZES, DURATIONS))
        for first in range(0, QUIET_DAYS, DAYS_A_PIECE):
            pieces.append(Piece("quiet", traffic, first, first + DAYS_A_PIECE, seed))
        for first in range(0, OUTAGE_SHOPS, SHOPS_A_PIECE):
            pieces.append(Piece("outages", traffic, first, first + SHOPS_A_PIECE, seed))
    return pieces


def quick_pieces(seed: int) -> list[Piece]:
    """A few cells in which the promises hold in the long form, too; under a minute on two cores."""
    minutes_30 = tuple(each for each in DURATIONS if each.name == "30 min")
    return [
        Piece("drops", 1000.0, 0, 24, seed, (0.8,), minutes_30, rivals=False),
        Piece("drops", 100.0, 0, 24, seed, (1.0,), minutes_30, rivals=False),
        Piece("quiet", 10.0, 0, 30, seed),
        Piece("quiet", 100.0, 0, 30, seed),
        Piece("outages", 100.0, 0, 2, seed),
        Piece("outages", 1000.0, 0, 2, seed),
    ]


def _run(piece: Piece, rules: Rules, folder: Path) -> Outcome:
    return run(piece, rules, folder, Parameters())


def play(pieces: Sequence[Piece], rules: Rules, folder: Path) -> Iterator[Outcome]:
    """The outcomes of all pieces, as they come; as many at a time as there are cores."""
    workers = min(len(os.sched_getaffinity(0)), len(pieces))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_run, piece, rules, folder) for piece in pieces]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:  # Ctrl-C, too: what has not begun must not begin any more.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def machine() -> dict[str, object]:
    """On what it ran."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "prometheus": prometheus_version(),
    }


@click.command()
@click.option(
    "--quick", is_flag=True, help="A few cells, within a minute; exit code 1 when a promise is broken."
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed, other shops."
)
@click.option("--json", "as_json_", is_flag=True, help="One line of JSON.")
@click.option("--write", type=click.Choice(["docs"]), help="Write tables and plot into docs/alerting.md.")
def command(*, quick: bool, seed: int, as_json_: bool, write: str | None) -> None:
    """Measure the alert rules on seeded shops: recall, false pages, time to detect."""
    if quick and write:
        raise PulseError("the docs tell of the long form; leave out --quick or --write docs")
    pieces = quick_pieces(seed) if quick else long_pieces(seed)
    started = time.monotonic()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="shop-pulse-backtest-") as folder:
        rules = read_rules(Path(folder))
        played = play(pieces, rules, Path(folder))
        if sys.stderr.isatty():
            with click.progressbar(played, length=len(pieces), label="playing", file=sys.stderr) as bar:
                outcomes = list(bar)
        else:
            outcomes = list(played)
    # Whichever came first: the same seed gives the same page.
    outcomes.sort(key=lambda each: (each.piece.kind, each.piece.traffic, each.piece.first))
    score = scored(outcomes)
    about = {**machine(), "seed": seed, "seconds": round(time.monotonic() - started)}
    if write:
        for path in write_docs(score, about):
            click.echo(f"wrote {path}", err=True)
    click.echo(json.dumps(as_json(score, about)) if as_json_ else "\n".join(as_lines(score)))
    _judge(score, quick=quick)


def _judge(score: Score, *, quick: bool) -> None:
    """The exit code: of the quick form a broken promise is a failure; the long form tells it."""
    broken = [target.name for target in targets(score, QUICK) if not target.held]
    if quick and broken:
        raise PulseError(f"the alert rules break a promise: {'; '.join(broken)}; see docs/alerting.md")

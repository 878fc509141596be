"""Payment gateways: what their attempts came to in several windows, and from when on one fails or holds.

It stands beside the figures, as `cohorts` does for steps of the funnel: the watch brings counts by minute,
windows become gauges, and the comparison is done by the recording rules, which take their numbers from here.
The backtest runs this very code. Pure arithmetic. Why these numbers: docs/alerting.md.

A gateway *fails* when in one window technical failures surely exceed the usual ones, and no shorter window
holds: failures that are over keep no page alive. It *holds* when its newest attempts are as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import sqrt
from typing import Final, NamedTuple

from streams.cohorts import RUNGS_MIN, Minutes, Tally, Z

# Who fails tries again, often in vain: two attempts are evidence like one of another shopper. So a bound is
# as wide as of half as many attempts (Wilson's interval has n and z² only as z² ÷ n).
ATTEMPTS_A_SHOPPER: Final = 2
FAILING_Z: Final = Z * sqrt(ATTEMPTS_A_SHOPPER)
# With fewer attempts a window says neither that a gateway fails nor that it holds.
ATTEMPTS_MIN: Final = 10
# A gateway fails when the part that fails is surely above both; it holds when that part is below its own.
FAILING_TIMES: Final = 2
FAILING_MORE: Final = 0.10
HOLDING_TIMES: Final = 2
HOLDING_MORE: Final = 0.05
# Taken for usual where a gateway is too new to know: only what surely fails by far is then told of.
UNKNOWN_RATIO: Final = 0.20
# Fewer attempts than this tell of no usual part that fails.
PAST_ATTEMPTS_MIN: Final = 100


class Attempts(NamedTuple):
    """One window: its length in minutes, attempts, those that failed technically, and the part that usually
    does (None: not known)."""

    window_min: int
    n: int
    failed: int
    usual_ratio: float | None


def windows(minutes: Minutes, end_minute: int, usual_of: Callable[[int], float | None]) -> list[Attempts]:
    """Every window before `end_minute` with an attempt, shortest first.

    Tallies are of attempts, and of those that failed; `usual_of` tells what part usually fails in the window
    of so many minutes.
    """
    tallies = ((window_min, minutes.before(end_minute, window_min)) for window_min in RUNGS_MIN)
    return [Attempts(window_min, n, k, usual_of(window_min)) for window_min, (n, k) in tallies if n]


def part(tallies: Iterable[Tally]) -> float | None:
    """The part that failed of all; None of too few."""
    n = failed = 0
    for tally in tallies:
        n += tally.n
        failed += tally.k
    return failed / n if n >= PAST_ATTEMPTS_MIN else None

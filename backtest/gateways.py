"""What the read service would export of gateways, in the minutes in which one of them may be failing.

It stands beside `gauges`, which does the same for steps of the funnel and for sales. Arrays only find the
minutes; what is written of them comes from `streams.gateways`, as the service has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from backtest.drops import BEHIND_MIN, FIRST_MINUTE
from backtest.gauges import Sample, Scene, and_next, labelled, sums
from backtest.shops import FIRST_HOUR, GATEWAYS, HISTORY_H, LEAD_MIN, PLATFORMS, Counts, Tables
from backtest.tables import Flags, bounds
from streams.baselines import Hours
from streams.cohorts import ATTEMPT_HORIZON_MIN, RUNGS_MIN, Minutes, Tally
from streams.gateways import (
    ATTEMPTS_MIN,
    FAILING_MORE,
    FAILING_TIMES,
    FAILING_Z,
    HOLDING_MORE,
    HOLDING_TIMES,
    Attempts,
    part,
    windows,
)

# A page is sure after so many minutes in which a window fails by so many times what it takes.
SURE_MIN: Final = 3
SURE_TIMES: Final = 1.5
# So long Prometheus takes the last sample for the present one: it has to hear that a window has too few now.
LOOKBACK_MIN: Final = 5


class Windows(NamedTuple):
    """Every gateway of a platform × rung × minute: attempts, and those that failed."""

    n: Counts
    failed: Counts


def ends(scene: Scene, first: int, last: int) -> Counts:
    """Where windows end at the scored minutes [first, last), in minutes of the tables."""
    return np.asarray(LEAD_MIN + scene.as_of[first:last] - ATTEMPT_HORIZON_MIN + BEHIND_MIN - 1)


def all_windows(scene: Scene, first: int, last: int) -> Windows:
    """The windows at the scored minutes [first, last), minutes that are left out counted as nothing."""
    at, left_out = ends(scene, first, last), sorted(scene.left_out)
    held = []
    for counts in (scene.tables.attempts.copy(), scene.tables.failures.copy()):
        counts[:, left_out] = 0
        held.append(np.stack([sums(counts, at, length) for length in RUNGS_MIN], axis=1))
    return Windows(*held)


def near(of: Windows) -> Flags:
    """In which minutes a gateway may fail, whatever is usual: more than FAILING_MORE surely does."""
    with np.errstate(invalid="ignore"):
        return np.asarray(
            ((of.n >= ATTEMPTS_MIN) & (bounds(of.n, of.failed, -FAILING_Z) > FAILING_MORE)).any(axis=1)
        )


def sure_since(of: Windows, usual: float) -> int | None:
    """In which of the minutes a page has come for sure, if `usual` is the part that fails on the whole; None
    for none. What follows need not be written: the same page goes on."""
    line = max(FAILING_TIMES * usual, usual + FAILING_MORE)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio, enough = of.failed / of.n, of.n >= ATTEMPTS_MIN
        holds = enough & (ratio < SURE_TIMES * (HOLDING_TIMES * usual + HOLDING_MORE))
        fails = enough & (bounds(of.n, of.failed, -FAILING_Z) > SURE_TIMES * line)
    sure = (fails & ~np.logical_or.accumulate(holds, axis=1)).any(axis=1).astype(np.int64)
    runs = np.concatenate([np.zeros((sure.shape[0], 1), np.int64), sure.cumsum(axis=1)], axis=1)
    held = (runs[:, SURE_MIN:] - runs[:, :-SURE_MIN] == SURE_MIN).any(axis=0)
    return int(held.argmax()) + SURE_MIN + 1 if held.any() else None


class Payments:
    """The read service's windows of a shop's gateways.

    Attributes:
        usual: what usually fails at all of them together; None where too little is known.
    """

    def __init__(self, history: Tables, scene: Scene) -> None:
        first = FIRST_HOUR - HISTORY_H
        of_hours = _tallies(history)
        self.usual = part(tally for each in of_hours for tally in each)
        self._own = [part(each) for each in of_hours]
        self._hours = [Hours(dict(enumerate(each, first))) for each in of_hours]
        self._begin = FIRST_MINUTE - LEAD_MIN
        left_out = {self._begin + at for at in scene.left_out}
        self._minutes = [Minutes(self._begin, each, left_out) for each in _tallies(scene.tables)]
        self._scene = scene

    def read(self, row: int, minute: int) -> list[Attempts]:
        """The windows of a gateway at a scored minute."""
        end = self._begin + int(ends(self._scene, minute, minute + 1)[0])

        def usual_of(window_min: int) -> float | None:
            known = self._hours[row].usual(end - window_min, end)
            if known is not None:
                return known.ratio
            return self.usual if self._own[row] is None else self._own[row]

        return windows(self._minutes[row], end, usual_of)


def _tallies(tables: Tables) -> list[list[Tally]]:
    pairs = zip(tables.attempts.tolist(), tables.failures.tolist(), strict=True)
    return [list(map(Tally, n, failed)) for n, failed in pairs]


def gateway_samples(
    shop: str, history: Tables, scene: Scene, span: tuple[int, int], until_sure: bool
) -> Iterator[Sample]:
    """The gauges of gateways, in the minutes of `span` ([first, last)) in which one of the platform may be
    failing; with `until_sure` only until its page is sure.

    Windows that have had too few attempts to say something for a while are not written.
    """
    first, last = span
    of = all_windows(scene, first, last)
    enough = of.n >= ATTEMPTS_MIN
    told = enough.copy()
    for back in range(1, LOOKBACK_MIN + 1):
        told[..., back:] |= enough[..., :-back]
    payments: Payments | None = None
    for platform, name in enumerate(PLATFORMS):
        rows = slice(platform * len(GATEWAYS), (platform + 1) * len(GATEWAYS))
        of_platform = Windows(of.n[rows], of.failed[rows])
        minutes = np.flatnonzero(near(of_platform).any(axis=0)).tolist()
        if not minutes:
            continue
        payments = payments or Payments(history, scene)
        end = sure_since(of_platform, payments.usual or 0.0) if until_sure else None
        for at in and_next((each for each in minutes if end is None or each < end), last - first):
            for row, gateway in enumerate(GATEWAYS, rows.start):
                lengths = {RUNGS_MIN[rung] for rung in np.flatnonzero(told[row, :, at]).tolist()}
                labels = {"platform": name, "gateway": gateway}
                yield from _samples(shop, labels, first + at, lengths, payments.read(row, first + at))


def _samples(
    shop: str, labels: dict[str, str], minute: int, lengths: set[int], read: list[Attempts]
) -> Iterator[Sample]:
    known = {each.window_min: each for each in read}
    for length in sorted(lengths):
        each = known.get(length, Attempts(length, 0, 0, None))
        values = {
            "shop_pulse_gateway_attempts": each.n,
            "shop_pulse_gateway_technical_failures": each.failed,
            "shop_pulse_gateway_baseline_ratio": each.usual_ratio,
        }
        for gauge, value in values.items():
            if value is not None:
                yield Sample(labelled(gauge, shop, **labels, window=f"{length}m"), minute, float(value))

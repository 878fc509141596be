"""What others do, on the same sessions: a fixed threshold, the week before, a z-score, an adaptive band.

It stands beside the rules. All see the cohorts of equal horizon that the rules see, which is more than they
have in the field, where counts of events are divided. Each alarms after holding for its own `for`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from backtest.shops import HISTORY_H, LEAD_MIN, Counts, Floats, Shop, Tables
from backtest.tables import PARTS, SCOPES, WHOLES, Board, grouped

Flags: TypeAlias = NDArray[np.bool_]
FIXED_WINDOWS_MIN: Final = (5, 30, 60)
FIXED_PARTS: Final = (0.2, 0.4, 0.5, 0.6, 0.75)
WEEK_H: Final = 7 * 24
BELOW_LAST_WEEK: Final = 0.75
Z_SCORE: Final = 3.0
FOR_MIN: Final = 2
# grafana/promql-anomaly-detection, the strategy "adaptive", as published.
BAND_FOR_MIN: Final = 5
BAND_STEP_MIN: Final = 5
BAND_DEVIATIONS: Final = 2.0
BAND_MARGIN: Final = 0.5
BAND_FILTER: Final = 0.5


class _Past(NamedTuple):
    """Of every step × scope × hour: who took part, the ratio (NaN: nobody)."""

    n: Counts
    ratio: Floats


class Rivals:
    """The alarms of every rival in a shop: flags by scored minute."""

    def __init__(self, shop: Shop, board: Board) -> None:
        hours = grouped(shop.hours.steps)[:, : len(SCOPES)]
        n, k = hours[list(WHOLES)], hours[list(PARTS)]
        self._past = _Past(n, _parts(k, n))
        self._mean = _parts(k.sum(axis=2), n.sum(axis=2))[:, :, None]
        self._ends = board.ends

    def alarms(self, tables: Tables, first: int, last: int) -> dict[str, Flags]:
        """By the name of a rival: in which of the scored minutes [first, last) it alarms."""
        counts = grouped(tables.steps)[:, : len(SCOPES)]
        sums = np.concatenate([np.zeros((*counts.shape[:2], 1), np.int64), counts.cumsum(axis=2)], axis=2)
        ends = self._ends[first:last]

        def ratio(length: int) -> Floats:
            held = sums[:, :, ends] - sums[:, :, ends - length]
            return _parts(held[list(PARTS)], held[list(WHOLES)])

        hours = HISTORY_H + (ends - LEAD_MIN) // 60
        found: dict[str, Flags] = {}
        with np.errstate(invalid="ignore"):
            for length in FIXED_WINDOWS_MIN:
                now = ratio(length)
                for part in FIXED_PARTS:
                    found[f"fixed {length} min {part:.2f}"] = _held(now < part * self._mean, FOR_MIN)
            before = self._past.ratio[:, :, hours - WEEK_H]
            found["week over week"] = _held(ratio(60) < BELOW_LAST_WEEK * before, FOR_MIN)
            week = self._past.ratio[:, :, HISTORY_H - WEEK_H :]
            mean, deviation = np.nanmean(week, axis=2)[..., None], np.nanstd(week, axis=2)[..., None]
            found["z-score"] = _held(ratio(60) < mean - Z_SCORE * deviation, FOR_MIN)
            found["adaptive band"] = _held(self._below_band(sums, first, last, hours), BAND_FOR_MIN)
        return {name: np.asarray(flags.any(axis=(0, 1))) for name, flags in found.items()}

    def _below_band(self, sums: Counts, first: int, last: int, hours: Counts) -> Flags:
        """Below the lower band: the lowest of mean of an hour less deviations, a margin, and other days'
        bands."""
        ends = np.arange(BAND_STEP_MIN, self._ends[last - 1] + 1)
        held = sums[:, :, ends] - sums[:, :, ends - BAND_STEP_MIN]
        level = _parts(held[list(PARTS)], held[list(WHOLES)])
        level = np.where(level > 0, level, np.nan)  # the published rule selects what is above 0
        mean, deviation = _moving(level, 60)
        kept = np.where(deviation > BAND_FILTER * mean, deviation, np.nan)
        smooth, _ = _moving(kept, 26 * 60)
        at = self._ends[first:last] - BAND_STEP_MIN
        mean, smooth, level = mean[..., at], smooth[..., at], level[..., at]
        lower = np.fmin(mean - BAND_DEVIATIONS * smooth, mean * (1 - BAND_MARGIN))
        for back in (24, WEEK_H):
            # Minutes of other days are gone: the deviation of a five-minute ratio is that of chance.
            p, n = self._past.ratio[:, :, hours - back], self._past.n[:, :, hours - back] / 12
            known = hours - back < HISTORY_H
            band = p - BAND_DEVIATIONS * np.sqrt(p * (1 - p) / np.maximum(n, 1e-9))
            lower = np.fmin(lower, np.where(known, band, np.nan))
        return np.asarray(level < np.maximum(lower, 0))


def _parts(k: Counts, n: Counts) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n > 0, k / n, np.nan)


def _held(flags: Flags, for_min: int) -> Flags:
    held = flags.copy()
    for back in range(1, for_min + 1):
        held[..., back:] &= flags[..., :-back]
        held[..., :back] = False
    return held


def _moving(values: Floats, length: int) -> tuple[Floats, Floats]:
    """Mean and deviation of the `length` values up to each, NaN left out."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)

    def summed(each: Floats) -> Floats:
        sums = np.concatenate([np.zeros((*each.shape[:-1], 1)), each.cumsum(axis=-1)], axis=-1)
        at = np.arange(each.shape[-1]) + 1
        return np.asarray(sums[..., at] - sums[..., np.maximum(at - length, 0)])

    with np.errstate(invalid="ignore", divide="ignore"):
        count = summed(known.astype(np.float64))
        mean = summed(filled) / count
        variance = np.maximum(summed(filled**2) / count - mean**2, 0)
    return mean, np.sqrt(variance)

"""Baselines and windows of a shop for every minute at once: which minutes have to be looked at closely.

It stands between a shop's counts and the gauges. `streams.cohorts` and `streams.baselines` decide, one window
at a time; a year of minutes is too much for that. Here the same arithmetic runs over arrays, and only finds
the minutes in which at least two windows come near to a drop: in all others no rule can fire (tests hold
both).
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from backtest.drops import BEHIND_MIN, HORIZON_MIN
from backtest.shops import (
    HISTORY_H,
    LEAD_MIN,
    LIVE_STRATA,
    PLATFORMS,
    STRATA,
    SURFACES,
    Counts,
    Floats,
    Shop,
    Tables,
)
from streams import baselines, cohorts

Flags: TypeAlias = NDArray[np.bool_]

# Groups of strata: the shop, its platforms, each stratum. The first of them are scopes that rules watch.
SCOPES: Final = (("all", "all"), *(("platform", platform) for platform in PLATFORMS))
WHOLES: Final = (0, 1, 2, 0)
PARTS: Final = (1, 2, 3, 3)
MEMBERS: Final = (
    tuple(range(STRATA)),
    *(tuple(range(at, at + len(SURFACES))) for at in range(0, STRATA, len(SURFACES))),
)
# The same, with the large lives of their platforms as strata behind the others.
WITH_LIVES: Final = tuple(
    [*group, *(STRATA + LIVE_STRATA.index(each) for each in group if each in LIVE_STRATA)]
    for group in MEMBERS
)
# A window this much above the threshold is written, too: it is the rule that decides, not this module.
NEAR: Final = 1.02
# A page is sure after so many minutes; of steps from a view where this part of the usual number is not
# reached.
SURE_MIN: Final = 3
SURE_PART: Final = 0.5


def grouped(steps: Counts) -> Counts:
    """Counts of the groups (measure × group × time) of those of the strata."""
    return np.concatenate([*(steps[:, list(each)].sum(axis=1)[:, None] for each in MEMBERS), steps], axis=1)


def _middle(values: Floats) -> tuple[Floats, Floats]:
    """The lower and the upper middle over the last axis, NaN left out; NaN where nothing is left."""
    ordered = np.sort(values, axis=-1)
    count = np.sum(~np.isnan(values), axis=-1)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[..., None] // 2, -1)[..., 0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[-1] - 1)[..., None], -1)[..., 0]
    return np.where(count > 0, low, np.nan), np.where(count > 0, high, np.nan)


def _ratio(n: Counts, k: Counts, reached_min: int) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.where(n > 0, k / n, np.nan)
    return np.where(k.sum(axis=-1) >= reached_min, sum(_middle(rates)) / 2, np.nan)


def usual_ratios(hours: Counts, first: Counts, last: Counts) -> Floats:
    """The ratio of `baselines.Hours.usual` of every step × group × span [first, last] of hours, counted from
    the history's first; NaN where nothing is known."""
    sums = np.concatenate([np.zeros((*hours.shape[:2], 1), np.int64), hours.cumsum(axis=2)], axis=2)
    whole, part = sums[list(WHOLES)], sums[list(PARTS)]
    back = baselines.WEEK_H * np.arange(1, baselines.WEEKS + 1)
    kept = hours.shape[2]

    def between(counts: Counts, low: Counts, high: Counts) -> Counts:
        return np.asarray(counts[..., np.clip(high, 0, kept)] - counts[..., np.clip(low, 0, kept)])

    low, high = first[:, None] - back, last[:, None] - back + 1
    ratio = np.full((*whole.shape[:2], len(first)), np.nan)
    for widened in range(baselines.WIDENED_MAX_H + 1):
        if not np.isnan(ratio).any():
            break
        spans = low - widened, high + widened
        wider = _ratio(between(whole, *spans), between(part, *spans), baselines.REACHED_MIN)
        ratio = np.where(np.isnan(ratio), wider, ratio)
    weeks = first[:, None] - baselines.WEEK_H * np.arange(baselines.WEEKS + 1)
    day = first[:, None] - baselines.DAY_H, first[:, None]
    for spans, least in (
        ((weeks[:, 1:], weeks[:, :-1]), baselines.REACHED_MIN),
        (day, baselines.REACHED_IN_DAY_MIN),
    ):
        ratio = np.where(np.isnan(ratio), _ratio(between(whole, *spans), between(part, *spans), least), ratio)
    return ratio


def usually_reached(hours: Counts, until: int) -> Floats:
    """How many reached each step, by step × group, in the weeks before every hour up to `until`; NaN where no
    week is known."""
    at = np.arange(until)[:, None] - baselines.WEEK_H * np.arange(1, baselines.WEEKS + 1)
    reached = hours[list(PARTS)].astype(np.float64)
    return _middle(np.where(at >= 0, reached[..., np.clip(at, 0, hours.shape[2] - 1)], np.nan))[0]


def cumulated(usually: Floats) -> Floats:
    """How many of `usually_reached` are reached before each minute of these hours, straight lines between
    the middles of hours."""
    hours = np.arange(usually.shape[-1])
    minutes = np.arange(usually.shape[-1] * baselines.HOUR_MIN) + 0.5
    middles = (hours + 0.5) * baselines.HOUR_MIN
    by_minute = np.apply_along_axis(
        lambda row: np.interp(minutes, middles[~np.isnan(row)], row[~np.isnan(row)]), -1, usually
    )
    sums = by_minute.cumsum(axis=-1) / baselines.HOUR_MIN
    return np.concatenate([np.zeros((*sums.shape[:-1], 1)), sums], axis=-1)


def _fell(hours: Counts) -> Flags:
    """`baselines._fell` of every step × group × hour."""
    whole, part = hours[list(WHOLES)], hours[list(PARTS)]
    at = np.arange(hours.shape[2])[:, None] - baselines.WEEK_H * np.arange(1, baselines.WEEKS + 1)
    n, k = (np.where(at >= 0, counts[..., np.maximum(at, 0)], 0) for counts in (whole, part))
    with np.errstate(invalid="ignore"):
        return np.asarray(bounds(whole, part, cohorts.Z) < cohorts.DROP_TO * _ratio(n, k, 1))


def levels(hours: Counts, usually: Floats, first: Counts) -> Floats:
    """`baselines.Hours._level` before each of the hours `first`, by step × group."""
    reached, fell = hours[list(PARTS)].astype(np.float64), _fell(hours)
    shape = (*reached.shape[:2], len(first))
    now, usual, seen = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    lowest, done = np.full(shape, np.inf), np.zeros(shape, np.bool_)
    for before in range(1, baselines.DAY_H + 1):
        at = first - before
        told = ~done & (at < hours.shape[2]) & ~fell[..., np.minimum(at, hours.shape[2] - 1)]
        of_hour = reached[..., np.minimum(at, hours.shape[2] - 1)]
        now += np.where(told, of_hour, 0.0)
        usual += np.where(told, usually[..., at], 0.0)
        latest = told & (usually[..., at] > 0) & (seen < baselines.LEVEL_H)
        with np.errstate(invalid="ignore", divide="ignore"):
            lowest = np.where(latest, np.minimum(lowest, of_hour / usually[..., at]), lowest)
        seen += latest
        done |= (before >= baselines.LEVEL_H) & (usual >= baselines.LEVEL_REACHED_MIN)
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.where(usual > 0, now / usual, 1.0)
    return np.where(level <= 1, level, np.maximum(1.0, np.minimum(level, lowest)))


class Windows(NamedTuple):
    """Every step × scope × rung × minute: who took part, who reached, and the usual ratio of this mix (NaN:
    none)."""

    n: Counts
    k: Counts
    ratio: Floats
    usual_reached: Floats


def live_begins(viewers: Counts) -> Counts:
    """When the latest live began, before each minute and after the last: platform × minute + 1. Lives that
    overlap are one; 0 where there was none."""
    on_air = viewers > 0
    begins = on_air & ~np.concatenate([np.zeros((len(viewers), 1), np.bool_), on_air[:, :-1]], axis=1)
    at = np.where(begins, np.arange(viewers.shape[1]), 0)
    return np.concatenate([np.zeros((len(viewers), 1), np.int64), np.maximum.accumulate(at, axis=1)], axis=1)


class _LargeLives:
    """Large lives as strata of their own (`baselines.apart`): step × platform × rung × minute.

    Attributes:
        n: who took part; 0 where none is large.
        ratio: its own in the minutes before the window, else most of the surface's.
    """

    def __init__(self, tables: Tables, surface: tuple[Counts, Floats], starts: Counts, ends: Counts) -> None:
        """`surface`: who took part on each platform's live surface, and its usual ratio."""
        counts = tables.lives
        sums = np.concatenate([np.zeros((*counts.shape[:2], 1), np.int64), counts.cumsum(axis=2)], axis=2)
        whole, part = sums[list(WHOLES)], sums[list(PARTS)]
        n = whole[..., ends][:, :, None] - whole[..., starts]
        # A live is its own measure from its beginning on, not those before it on its platform.
        begins = np.minimum(live_begins(counts[0])[:, ends][:, None], starts)
        platforms = np.arange(len(PLATFORMS))[:, None, None]
        own_n, own_k = (each[..., starts] - each[:, platforms, begins] for each in (whole, part))
        self.n: Counts = np.where(n >= baselines.LARGE_LIVE_MIN * surface[0], n, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.ratio: Floats = np.where(
                own_k >= baselines.REACHED_IN_DAY_MIN, own_k / own_n, surface[1] * baselines.LIVES_DIFFER
            )


class Board:
    """What is usual for a shop, and its windows; `as_of` says up to which minute figures are complete at
    each."""

    def __init__(self, shop: Shop, scored_min: int, as_of: Counts | None = None) -> None:
        rungs = np.array(cohorts.RUNGS_MIN)
        self.ends = LEAD_MIN - HORIZON_MIN + (np.arange(scored_min) - BEHIND_MIN if as_of is None else as_of)
        self._starts = self.ends - rungs[:, None]
        # Minutes are counted from LEAD_MIN before the end of the history.
        first = (HISTORY_H * 60 - LEAD_MIN + self._starts) // 60
        last = np.broadcast_to((HISTORY_H * 60 - LEAD_MIN + self.ends - 1) // 60, first.shape)
        spans, places = np.unique(first * 10_000 + last, return_inverse=True)
        self._places = places.reshape(first.shape)
        self._first = first
        self._history = shop.hours.steps
        hours = grouped(np.concatenate([self._history, today(shop.minutes.steps)], axis=2))
        self._ratios = usual_ratios(hours, spans // 10_000, spans % 10_000)
        # Today's own hours never enter what is usual of them.
        self._usually = usually_reached(hours[:, : len(SCOPES)], hours.shape[2] + 1)
        self._cumulated = cumulated(self._usually)

    def windows(self, tables: Tables, first: int = 0, last: int | None = None) -> Windows:
        """The windows of the scored minutes [first, last)."""
        counts = grouped(tables.steps)
        sums = np.concatenate([np.zeros((*counts.shape[:2], 1), np.int64), counts.cumsum(axis=2)], axis=2)
        ends, starts = self.ends[first:last], self._starts[:, first:last]
        places = self._places[:, first:last]
        held = sums[:, :, ends][:, :, None] - sums[:, :, starts]
        n, k = held[list(WHOLES)], held[list(PARTS)]
        ratio = self._ratios[:, :, places]
        scopes = len(SCOPES)
        surfaces = [scopes + each for each in LIVE_STRATA]
        lives = _LargeLives(tables, (n[:, surfaces], ratio[:, surfaces]), starts, ends)
        n[:, surfaces] -= lives.n
        parts_n, parts = np.concatenate([n[:, scopes:], lives.n], axis=1), [ratio[:, scopes:], lives.ratio]
        parts_ratio = np.concatenate(parts, axis=1)
        mixed = np.stack(
            [
                _mixed(ratio[:, at], parts_n[:, group], parts_ratio[:, group])
                for at, group in enumerate(WITH_LIVES)
            ],
            axis=1,
        )
        hours = grouped(np.concatenate([self._history, today(tables.steps)], axis=2))[:, :scopes]
        firsts, at = np.unique(self._first[:, first:last], return_inverse=True)
        level = levels(hours, self._usually, firsts)[..., at.reshape(starts.shape)]
        lead = HISTORY_H * 60 - LEAD_MIN
        usual_reached = (
            self._cumulated[..., lead + ends][:, :, None] - self._cumulated[..., lead + starts]
        ) * level
        return Windows(n[:, :scopes], k[:, :scopes], mixed, usual_reached)


def today(steps: Counts) -> Counts:
    """The whole hours of the scored minutes."""
    whole = (steps.shape[-1] - LEAD_MIN) // 60
    minutes = steps[..., LEAD_MIN : LEAD_MIN + whole * 60]
    return np.asarray(minutes.reshape(*steps.shape[:-1], whole, 60).sum(axis=-1))


def _mixed(usual: Floats, n: Counts, ratio: Floats) -> Floats:
    """`baselines.mixed` over arrays: step × rung × minute, strata on the second axis. They always add up
    here."""
    known = ~np.isnan(ratio)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (n * np.where(known, ratio, 0.0)).sum(axis=1) / (n * known).sum(axis=1)
    missing = ~known & (n >= baselines.STRATUM_MIN * n.sum(axis=1, keepdims=True))
    return np.where(missing.any(axis=1) | ~np.isfinite(mean), usual, mean)


def bounds(n: Counts, k: Counts, z: float) -> Floats:
    """Wilson's bounds as `cohorts` has them, over arrays: the upper one, of a negative `z` the lower; NaN
    where nobody took part."""
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.maximum(k * (n - k), 0) / n + z * z / 4)
        return np.asarray((k + z * z / 2 + z * spread) / (n + z * z))


def low_windows(windows: Windows, near: float = 1.0) -> Flags:
    """Which windows hold enough and lie below the threshold × `near`."""
    with np.errstate(invalid="ignore"):
        enough = (windows.n >= cohorts.TOOK_PART_MIN) & (windows.n * windows.ratio >= cohorts.EXPECTED_MIN)
        below = bounds(windows.n, windows.k, cohorts.Z) < cohorts.DROP_TO * windows.ratio * near
    return np.asarray(enough & below)


def near_windows(windows: Windows, near: float = NEAR) -> Flags:
    """The windows (step × scope × rung × minute) near a drop, in minutes in which enough of them are."""
    low = low_windows(windows, near)
    return np.asarray(low & (low.sum(axis=2, keepdims=True) >= cohorts.RUNGS_AGREEING))


def sure_since(windows: Windows, first: int) -> int | None:
    """A scored minute by which a page has come for sure, the first window being of minute `first`; None for
    none.

    What follows it need not be written: the same page goes on. Sure is what holds by far, for a while.
    """
    low = low_windows(windows)
    z = cohorts.Z
    reached_at_most = windows.k + z * z / 2 + z * np.sqrt(windows.k + z * z / 4)
    view_steps = [at for at, whole in enumerate(WHOLES) if whole == 0]
    low[view_steps] &= (reached_at_most < SURE_PART * windows.usual_reached)[view_steps]
    sure = (low.sum(axis=2) >= cohorts.RUNGS_AGREEING).astype(np.int64)
    runs = np.concatenate([np.zeros((*sure.shape[:2], 1), np.int64), sure.cumsum(axis=2)], axis=2)
    held = (runs[..., SURE_MIN:] - runs[..., :-SURE_MIN] == SURE_MIN).any(axis=(0, 1))
    return first + int(held.argmax()) + SURE_MIN + 1 if held.any() else None

"""What the read service would export of a shop, minute by minute, as samples for Prometheus.

It stands behind the tables: in the minutes that `tables` names, `streams.cohorts` and `streams.baselines`
judge every window as the service does, and what they say becomes samples of the gauges that the rules read. A
minute that is not written cannot make a rule fire; the one after the last written is written, too, so that
Prometheus does not take an old sample for a new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from backtest.drops import BEHIND_MIN, FIRST_MINUTE
from backtest.shops import (
    FIRST_HOUR,
    HISTORY_H,
    LEAD_MIN,
    LIVE_STRATA,
    PLATFORMS,
    Counts,
    Floats,
    Shop,
    Tables,
)
from backtest.tables import (
    MEMBERS,
    NEAR,
    PARTS,
    SCOPES,
    WHOLES,
    Board,
    Flags,
    live_begins,
    near_windows,
    today,
)
from streams.baselines import (
    DAY_H,
    LARGE_LIVE_MIN,
    REACHED_IN_DAY_MIN,
    WEEK_H,
    WEEKS,
    Hours,
    Stratum,
    apart,
    mixed,
)
from streams.cohorts import RUNGS_MIN, STEPS, Minutes, Tally, Usual, judge

# How long before a rule may speak everything must have been well (the rules ask for 5 min).
TRUST_MIN: Final = 8
HOUR_MIN: Final = 60
# With less than this of the hour not left out the service tells no usual GMV.
PART_MIN: Final = 0.5
ENV: Final = "backtest"


class Sample(NamedTuple):
    """A value of a series (its name with labels) at a scored minute."""

    series: str
    minute: int
    value: float


class Scene(NamedTuple):
    """What the service sees of a shop: counts, minutes (of them) that are left out, and by scored minute up
    to which minute figures are complete, and whether a source is silent."""

    tables: Tables
    left_out: frozenset[int]
    as_of: Counts
    silent: frozenset[int]

    def counted(self) -> Tables:
        """The tables without the minutes that are left out: these count as nothing."""
        steps, lives = self.tables.steps.copy(), self.tables.lives.copy()
        for counts in (steps, lives):
            counts[..., sorted(self.left_out)] = 0
        return self.tables._replace(steps=steps, lives=lives)


def usual_scene(tables: Tables) -> Scene:
    """Nothing is wrong with the pipeline."""
    scored = tables.steps.shape[-1] - LEAD_MIN
    return Scene(tables, frozenset(), np.arange(scored) - BEHIND_MIN, frozenset())


class Service:
    """The read service's judgement of one shop."""

    def __init__(self, shop: Shop, board: Board, scene: Scene) -> None:
        self._counts = np.concatenate([shop.hours.steps, today(scene.tables.steps)], axis=2)
        self._board = board
        self._scene = scene
        self._begins = live_begins(scene.tables.lives[0])
        self._hours_of = cache(self._hours)
        self._minutes_of = cache(self._minutes)
        self._lives_of = cache(self._lives)

    def cohorts(self, scope: int, step: int, minute: int) -> Iterator[tuple[str, str, float]]:
        """The gauges of a scope and step at a scored minute: name, window, value."""
        end = FIRST_MINUTE - LEAD_MIN + int(self._board.ends[minute])
        _, readings = judge(
            self._minutes_of(MEMBERS[scope], step), end, lambda window: self._usual(scope, step, end, window)
        )
        for reading in readings:
            window = f"{reading.window_min}m"
            yield "shop_pulse_cohort_size", window, reading.n
            yield "shop_pulse_cohort_reached", window, reading.k
            yield "shop_pulse_cohort_baseline_ratio", window, reading.ratio
            if reading.usual_reached is not None:
                yield "shop_pulse_cohort_usual_reached", window, reading.usual_reached

    def _usual(self, scope: int, step: int, end: int, window_min: int) -> Usual | None:
        hours, span = self._hours_of(MEMBERS[scope], step), (end - window_min, end)
        usual = hours.usual(*span)
        if usual is None:
            return None
        strata = []
        for member in MEMBERS[scope]:
            of_member = self._hours_of((member,), step)
            own = of_member.usual(*span)
            now = self._minutes_of((member,), step).before(end, window_min)
            stratum = Stratum(now.n, of_member.before(*span), None if own is None else own.ratio)
            strata += apart(stratum, self._large_lives(member, now.n, step, end, window_min))
        return mixed(usual, hours.before(*span), strata)

    def _large_lives(
        self, member: int, n: int, step: int, end: int, window_min: int
    ) -> list[tuple[int, float | None]]:
        """As `Judgement` finds them; the latest on a platform stands for those before it."""
        if member not in LIVE_STRATA:
            return []
        platform = LIVE_STRATA.index(member)
        minutes = self._lives_of(platform, step)
        now = minutes.before(end, window_min)
        began = minutes.first_minute + int(self._begins[platform, end - minutes.first_minute])
        own = minutes.before(end - window_min, max(end - window_min - began, 0))
        if not now.n or now.n < LARGE_LIVE_MIN * n:
            return []
        return [(now.n, own.k / own.n if own.k >= REACHED_IN_DAY_MIN else None)]

    def _hours(self, members: tuple[int, ...], step: int) -> Hours:
        counts = self._counts[:, list(members)].sum(axis=1)
        first = FIRST_HOUR - HISTORY_H
        pairs = zip(counts[WHOLES[step]].tolist(), counts[PARTS[step]].tolist(), strict=True)
        return Hours({first + at: Tally(n, k) for at, (n, k) in enumerate(pairs)})

    def _minutes(self, members: tuple[int, ...], step: int) -> Minutes:
        return self._told(self._scene.tables.steps[:, list(members)].sum(axis=1), step)

    def _lives(self, platform: int, step: int) -> Minutes:
        return self._told(self._scene.tables.lives[:, platform], step)

    def _told(self, counts: Counts, step: int) -> Minutes:
        first = FIRST_MINUTE - LEAD_MIN
        pairs = zip(counts[WHOLES[step]].tolist(), counts[PARTS[step]].tolist(), strict=True)
        return Minutes(first, [Tally(n, k) for n, k in pairs], {first + at for at in self._scene.left_out})


def labelled(name: str, shop: str, **labels: str) -> str:
    """A series as OpenMetrics writes it."""
    pairs = ",".join(f'{label}="{value}"' for label, value in {"env": ENV, "shop": shop, **labels}.items())
    return f"{name}{{{pairs}}}"


def cohort_samples(shop: str, service: Service, near: Flags) -> Iterator[Sample]:
    """The cohort gauges of windows that are `near` (step × scope × rung × scored minute), and a minute on."""
    wanted = near.copy()
    wanted[..., 1:] |= near[..., :-1]
    for step, scope, minute in np.argwhere(wanted.any(axis=2)).tolist():
        kind, value = SCOPES[scope]
        windows = {f"{RUNGS_MIN[rung]}m" for rung in np.flatnonzero(wanted[step, scope, :, minute]).tolist()}
        for name, window, amount in service.cohorts(scope, step, minute):
            if window in windows:
                labels = {"scope_kind": kind, "scope": value, "step": STEPS[step].name, "window": window}
                yield Sample(labelled(name, shop, **labels), minute, amount)


def and_next(minutes: Iterable[int], end: int) -> list[int]:
    """These minutes and the one after each, below `end`."""
    return sorted({each for minute in minutes for each in (minute, minute + 1) if each < end})


def near_cohorts(board: Board, scene: Scene, first: int, last: int, near: float = NEAR) -> Flags:
    """Which windows (step × scope × rung × scored minute) come near to a drop, looked for in [first,
    last)."""
    found = near_windows(board.windows(scene.counted(), first, last), near)
    whole = np.zeros((*found.shape[:3], len(board.ends)), np.bool_)
    whole[..., first : first + found.shape[3]] = found
    return whole


def trust_samples(shop: str, scene: Scene, minutes: Collection[int]) -> Iterator[Sample]:
    """What the guard reads, from TRUST_MIN before each of the minutes on."""
    needed = sorted({at for minute in minutes for at in range(max(minute - TRUST_MIN, 0), minute + 2)})
    for minute in needed:
        if minute < len(scene.as_of):
            as_of_s = (FIRST_MINUTE + int(scene.as_of[minute])) * 60.0 + 45
            yield Sample(labelled("shop_pulse_redis_up", shop), minute, 1)
            yield Sample(labelled("shop_pulse_as_of_timestamp_seconds", shop, window="5m"), minute, as_of_s)
            silent = float(minute in scene.silent)
            yield Sample(labelled("shop_pulse_source_silent", shop, topic="purchases"), minute, silent)


def gmv_samples(shop: str, history: Tables, scene: Scene, first: int, last: int) -> list[Sample]:
    """GMV and orders of the last hour beside what is usual, in the minutes of [first, last) in which GMV is
    low."""
    ends = LEAD_MIN + scene.as_of[first:last]
    counted = np.ones(scene.tables.steps.shape[-1], np.int64)
    counted[sorted(scene.left_out)] = 0
    part = sums(counted, ends, HOUR_MIN) / HOUR_MIN
    samples = []
    for kind, value in SCOPES:
        rows = [PLATFORMS.index(value)] if kind == "platform" else list(range(len(PLATFORMS)))
        orders, usual_orders = _hour_and_usual(scene.tables.orders, history.orders, rows, ends)
        gmv, usual_gmv = _hour_and_usual(scene.tables.value, history.value, rows, ends)
        usual_orders, usual_gmv = usual_orders * part, usual_gmv * part
        low = (gmv < 0.5 * NEAR * usual_gmv) & (usual_orders * NEAR >= 100) & (part >= PART_MIN)
        for at in and_next(np.flatnonzero(low).tolist(), len(ends)):
            labels = {"scope_kind": kind, "scope": value}
            amounts = {
                labelled("shop_pulse_gmv_last_hour_minor", shop, **labels, currency="USD"): gmv[at],
                labelled("shop_pulse_gmv_baseline_minor", shop, **labels, currency="USD"): usual_gmv[at],
                labelled("shop_pulse_orders_last_hour", shop, **labels): orders[at],
                labelled("shop_pulse_orders_baseline", shop, **labels): usual_orders[at],
            }
            samples += [Sample(series, first + at, float(amount)) for series, amount in amounts.items()]
    return samples


def sums(counts: Counts | Floats, ends: Counts, length: int) -> np.ndarray:
    """The sums of the `length` units before each end, over the last axis."""
    so_far = np.concatenate(
        [np.zeros((*counts.shape[:-1], 1), counts.dtype), counts.cumsum(axis=-1)], axis=-1
    )
    return np.asarray(so_far[..., ends] - so_far[..., ends - length])


def _hour_and_usual(
    minutes: Counts | Floats, hours: Counts | Floats, rows: list[int], ends: Counts
) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the hour before each end; the second lowest of the same hour of four weeks, or the median of
    the days before, mixed by minutes (`UsualSales.sales`)."""
    now = sums(minutes[rows].sum(axis=0), ends, HOUR_MIN)
    by_hour = hours[rows].sum(axis=0)
    hour, into = np.divmod(ends - LEAD_MIN, HOUR_MIN)
    part = into / HOUR_MIN

    def before(back_h: int) -> np.ndarray:
        at = HISTORY_H + hour - back_h
        return np.asarray(by_hour[at] * part + by_hour[at - 1] * (1 - part))

    weeks = np.sort([before(WEEK_H * week) for week in range(1, WEEKS + 1)], axis=0)
    days = np.median([before(DAY_H * day) for day in range(1, WEEK_H // DAY_H + 1)], axis=0)
    return now, np.minimum(weeks[1], days)


def written(samples: Iterable[Sample]) -> Iterator[str]:
    """The lines of an OpenMetrics file: families together, each series in the order of time."""
    families: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        families[sample.series.partition("{")[0]][sample.series].append(sample)
    for family, series in families.items():
        yield f"# TYPE {family} gauge\n"
        for name, values in series.items():
            for minute, value in sorted({(each.minute, each.value) for each in values}):
                yield f"{name} {value:.10g} {(FIRST_MINUTE + minute) * 60}\n"
    yield "# EOF\n"

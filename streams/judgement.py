"""Every step of every scope that is watched, judged from the tables: is it watched, and did it fall? No I/O.

It stands between the tables of the watch and whoever shows drops: it only puts together what `cohorts` and
`baselines` decide. What a scope is compared with: docs/alerting.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import prod
from typing import Final, NamedTuple

from streams.answer import Scope
from streams.baselines import (
    LARGE_LIVE_MIN,
    LIVES_DIFFER,
    REACHED_IN_DAY_MIN,
    Hours,
    Stratum,
    apart,
    mixed,
)
from streams.cohorts import (
    ATTEMPT,
    RUNGS_MIN,
    STEPS,
    Minutes,
    Reading,
    State,
    Step,
    Tally,
    Usual,
    after_chance,
    as_low_as_now,
    is_drop,
    is_low,
    is_reached,
    judge,
    since,
)
from streams.scopes import (
    ALL,
    CREATOR,
    LIVE,
    PLATFORM,
    PLATFORM_GATEWAY,
    PLATFORM_SURFACE,
    SURFACE,
    split_pair,
)
from streams.watch_tables import Table

LIVE_SURFACE: Final = Scope(SURFACE.name, "live")
_VIEWS: Final = STEPS[0].whole
# What is usual changes with who comes; so many minutes at once are held to what is usual for them.
ALIKE_MIN: Final = 15
# What must follow a step that fell for an order to come of it.
_AFTER: Final[Mapping[str, tuple[Step, ...]]] = {
    STEPS[0].name: STEPS[1:3],
    STEPS[1].name: STEPS[2:3],
}


class Ends(NamedTuple):
    """Where windows end, in minutes since 1970: of sessions, of payment attempts, of sales."""

    sessions: int
    attempts: int
    sales: int

    def of(self, step: Step) -> int:
        """Where the step's windows end."""
        return self.attempts if step == ATTEMPT else self.sessions


@dataclass(frozen=True, slots=True)
class Fall:
    """What is known of a drop while it lasts.

    Attributes:
        reading: the shortest window that shows it.
        since_minute: when it began, in minutes since 1970.
        is_cut: whether there was a shortfall before that, which is left off as chance.
        is_diluted: as many as usual reach the step, only more begin: bots, or a crowd that came to look.
        lost: how many would have reached the step since, if all were as usual.
        lost_orders: the same in orders.
        lost_orders_per_minute: per minute since, minutes that are left out not counted.
    """

    reading: Reading
    since_minute: int
    is_cut: bool
    is_diluted: bool
    lost: float
    lost_orders: float
    lost_orders_per_minute: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A step in a scope: its state, the windows that say something (shortest first), and its drop if any."""

    scope: Scope
    step: Step
    state: State
    readings: tuple[Reading, ...]
    fall: Fall | None = None


class Live(NamedTuple):
    """A live's creator and platform, and the minute from which on sessions did not have their whole horizon
    in it, because it was over by then; None while it goes on."""

    creator_id: str | None = None
    platform: str | None = None
    over_minute: int | None = None


@dataclass(slots=True)
class Watched:
    """What is judged: scopes by kind as stored."""

    platforms: Sequence[str] = ()
    surfaces: Sequence[str] = ()
    gateways: Sequence[str] = ()
    lives: Mapping[str, Live] = field(default_factory=dict)

    def steps(self) -> list[tuple[Scope, Step]]:
        """Every scope with each of its steps."""
        scopes = [Scope(ALL.name, ""), *(Scope(PLATFORM.name, of) for of in self.platforms)]
        scopes += [Scope(LIVE.name, live) for live in self.lives]
        pairs = [(Scope(PLATFORM_GATEWAY.name, pair), ATTEMPT) for pair in self.gateways]
        return [*((scope, step) for scope in scopes for step in STEPS), *pairs]


class Judgement:
    """Judges from tables of minutes and hours; baselines stay known until the hour is over.

    Attributes:
        watched, ends: what was judged last, and up to when.
        flagged_hours: hours since 1970 in which something was flagged then.
    """

    def __init__(self, minutes: Table, hours: Table) -> None:
        self._minutes = minutes
        self._hours = hours
        self.watched = Watched()
        self.ends = Ends(0, 0, 0)
        self.flagged_hours: frozenset[int] = frozenset()
        self._left_out: Set[int] = frozenset()
        self._surfaces_of: Mapping[str, Sequence[str]] = {}
        self._of_hours: dict[tuple[Scope, Step], Hours] = {}
        self._of_minutes: dict[tuple[Scope, Step], Minutes] = {}
        self._evened: dict[tuple[Scope, Step], Minutes] = {}
        self._totals: dict[tuple[Scope, Step], Tally] = {}
        self._known_for: tuple[object, ...] = ()

    def judge(self, watched: Watched, ends: Ends, flagged: Collection[tuple[int, int]]) -> list[Judged]:
        """All of it, now. `flagged` are the minutes [from, to) that say nothing, with all that began too
        shortly before them to be over by then."""
        self.watched, self.ends = watched, ends
        self._surfaces_of = {
            platform: [pair for pair in watched.surfaces if split_pair(pair)[0] == platform]
            for platform in watched.platforms
        }
        self._left_out = {minute for span in flagged for minute in self._kept(span)}
        self.flagged_hours = frozenset(
            hour for low, high in flagged for hour in range(low // 60, (high - 1) // 60 + 1)
        )
        known_for = (self._hours.settled, self._hours.first, self.flagged_hours)
        if known_for != self._known_for:
            self._of_hours.clear()
            self._totals.clear()
            self._known_for = known_for
        self._of_minutes.clear()
        self._evened.clear()
        return [self._judged(scope, step) for scope, step in watched.steps()]

    def forget(self) -> None:
        """What was derived from the tables: they are read anew."""
        self._known_for = ()

    @property
    def left_out(self) -> Collection[int]:
        """Minutes since 1970 that say nothing."""
        return self._left_out

    @property
    def tables(self) -> tuple[Table, Table]:
        """Of minutes, and of hours."""
        return self._minutes, self._hours

    def minutes(self, scope: Scope, step: Step) -> Minutes:
        """The scope's minutes, without those that are left out."""
        key = (scope, step)
        if key not in self._of_minutes:
            units = range(self._minutes.first, self.ends.of(step))
            tallies = self._tallies(self._minutes, scope, step, units)
            left_out = self._left_out
            if scope.kind == LIVE.name and (over := self.watched.lives[scope.value].over_minute) is not None:
                left_out = left_out | set(range(over, units.stop))
            self._of_minutes[key] = Minutes(units.start, tallies, left_out)
        return self._of_minutes[key]

    def evened(self, scope: Scope, step: Step) -> Minutes:
        """The minutes of a step that fell, as if what is usual for the window that shows it was so in each:
        where half of that is, half of the sessions count. Of a step that did not fall, and of lives, all do.

        So an hour with a live whose viewers seldom buy is no shortfall.
        """
        return self._evened.get((scope, step)) or self.minutes(scope, step)

    def hours(self, scope: Scope, step: Step) -> Hours:
        """The scope's hours that are over, from the shop's first one on: before it nothing is known."""
        key = (scope, step)
        if key not in self._of_hours:
            units = range(self.first_hour(), self._hours.settled)
            tallies = self._tallies(self._hours, scope, step, units)
            self._of_hours[key] = Hours(dict(zip(units, tallies, strict=True)), self.flagged_hours)
        return self._of_hours[key]

    def first_hour(self) -> int:
        """The first hour that is kept in which anybody came."""
        views = self._hours.amounts(ALL.name, "", _VIEWS)
        return min(views, default=self._hours.settled)

    @staticmethod
    def _tallies(table: Table, scope: Scope, step: Step, units: range) -> list[Tally]:
        whole, part = (table.amounts(scope.kind, scope.value, name) for name in (step.whole, step.part))
        return [Tally(whole.get(unit, 0), part.get(unit, 0)) for unit in units]

    def _kept(self, span: tuple[int, int]) -> range:
        return range(max(span[0], self._minutes.first), min(span[1], self._minutes.end))

    def _judged(self, scope: Scope, step: Step) -> Judged:
        minutes, end = self.minutes(scope, step), self.ends.of(step)
        usual = {window: self._usual(scope, step, range(end - window, end)) for window in RUNGS_MIN}
        state, readings = judge(minutes, end, usual.__getitem__)
        return Judged(scope, step, state, tuple(readings), self._fall(scope, step, readings))

    def _fall(self, scope: Scope, step: Step, readings: Sequence[Reading]) -> Fall | None:
        if not is_drop(readings):
            return None
        reading = next(filter(is_low, readings))
        minutes, end = self.minutes(scope, step), self.ends.of(step)
        if scope.kind != LIVE.name:
            self._evened[scope, step] = self._even(scope, step, reading.ratio)
        evened = self.evened(scope, step)
        short_from = since(evened, end, reading.ratio)
        cut = after_chance(evened, short_from, end, reading.ratio)
        began = as_low_as_now(evened, cut, end, reading)
        n, k = minutes.before(end, end - began)
        # Of a live the minutes before the drop are the measure, not those before the shortest window.
        usual = self._usual(scope, step, range(began, end))
        lost = max(n * (reading.ratio if usual is None else usual.ratio) - k, 0.0)
        orders = lost * prod(self._ratio(scope, after, reading) for after in _AFTER.get(step.name, ()))
        lasted = max(minutes.counted(end, end - began), 1)
        diluted = step.whole == _VIEWS and not is_drop([each for each in readings if not is_reached(each)])
        return Fall(reading, began, cut > short_from, diluted, lost, orders, orders / lasted)

    def _even(self, scope: Scope, step: Step, ratio: float) -> Minutes:
        minutes, end = self.minutes(scope, step), self.ends.of(step)
        weights: list[float] = []
        for first in range(minutes.first_minute // ALIKE_MIN * ALIKE_MIN, end, ALIKE_MIN):
            span = range(max(first, minutes.first_minute), min(first + ALIKE_MIN, end))
            usual = self._usual(scope, step, span)
            weights += [1.0 if usual is None else usual.ratio / ratio] * len(span)
        return minutes.weighed(weights)

    def _ratio(self, scope: Scope, step: Step, reading: Reading) -> float:
        end = self.ends.of(step)
        usual = self._usual(scope, step, range(end - reading.window_min, end))
        return 0.0 if usual is None else usual.ratio

    def _usual(self, scope: Scope, step: Step, span: range) -> Usual | None:
        """What is usual for these minutes."""
        if scope.kind == LIVE.name:
            return self._usual_of_live(scope, step, span)
        usual = self.hours(scope, step).usual(span.start, span.stop)
        if usual is None or step == ATTEMPT:
            return usual
        before = self.hours(scope, step).before(span.start, span.stop)
        return mixed(usual, before, self._strata(scope, step, span))

    def _strata(self, scope: Scope, step: Step, span: range) -> list[Stratum]:
        """The scope's surfaces by platform, large lives apart: a live that sells less than others is none of
        the shop's drops, one that sells less than before is."""
        strata: list[Stratum] = []
        for pair in self._surfaces_of.get(scope.value, self.watched.surfaces):
            part = Scope(PLATFORM_SURFACE.name, pair)
            hours = self.hours(part, step)
            usual = hours.usual(span.start, span.stop)
            now = self.minutes(part, step).before(span.stop, len(span))
            before = hours.before(span.start, span.stop)
            stratum = Stratum(now.n, before, None if usual is None else usual.ratio)
            strata += apart(stratum, self._large_lives(pair, now.n, step, span))
        return strata

    def _large_lives(self, pair: str, n: int, step: Step, span: range) -> list[tuple[int, float | None]]:
        """Of each large live on a surface of a platform: who took part, and its own ratio before."""
        platform, surface = split_pair(pair)
        if surface != LIVE_SURFACE.value:
            return []
        large: list[tuple[int, float | None]] = []
        for live_id, live in self.watched.lives.items():
            if live.platform != platform:
                continue
            scope = Scope(LIVE.name, live_id)
            now = self.minutes(scope, step).before(span.stop, len(span))
            if now.n and now.n >= LARGE_LIVE_MIN * n:
                large.append((now.n, self._own_before(scope, step, span)))
        return large

    def _own_before(self, live: Scope, step: Step, span: range) -> float | None:
        """The live's own ratio in the minutes before these; None if too few reached the step in them."""
        minutes = self.minutes(live, step)
        own = minutes.before(span.start, span.start - minutes.first_minute)
        return own.k / own.n if own.k >= REACHED_IN_DAY_MIN else None

    def _usual_of_live(self, live: Scope, step: Step, span: range) -> Usual | None:
        """The live's own minutes before these, else most of its creator's weeks, or of those of all
        lives: it need not sell as well as they do."""
        own = self._own_before(live, step, span)
        if own is not None:
            return Usual(own, None)
        creator = self.watched.lives[live.value].creator_id
        for scope in (Scope(CREATOR.name, creator) if creator else None, LIVE_SURFACE):
            before = Tally(0, 0) if scope is None else self._before(scope, step)
            if before.k >= REACHED_IN_DAY_MIN:
                return Usual(before.k / before.n * LIVES_DIFFER, None)
        return None

    def _before(self, scope: Scope, step: Step) -> Tally:
        """All hours before the minutes that are kept, but those that are flagged."""
        key = (scope, step)
        if key not in self._totals:
            units = range(self._hours.first, self._minutes.first // 60)
            tallies = self._tallies(self._hours, scope, step, units)
            kept = [each for unit, each in zip(units, tallies, strict=True) if unit not in self.flagged_hours]
            self._totals[key] = Tally(sum(each.n for each in kept), sum(each.k for each in kept))
        return self._totals[key]

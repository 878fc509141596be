"""Distinct users by what they did, in sketches that Redis keeps, and who of the buyers had bought before.

It stands beside the counting of events: what comes out is users to be added to sketches (`PFADD`), and adding
one twice changes nothing. So nothing of a sketch is in memory, only what was offered lately: Redis pays for
every user that it is given, however often it had it before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, islice, repeat
from operator import attrgetter
from typing import Any

import msgspec

from schemas.events import TYPES_OF_TOPIC, Event, Purchase
from streams.admission import Admission
from streams.figures import DISTINCT, SKETCHES
from streams.kpi import Distinct, FigureSet, Level, ScopeKind
from streams.ledger import Ledger, OrderLine, day_of
from streams.memory_bounds import ALONE, MemoryBounds
from streams.scopes import OTHER, WITH_USERS
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS, Pane, PaneSize

# The panes of sketches, finest first: kept for other times than cells, so sizes of their own.
SKETCH_SIZES = (
    PaneSize("1m", MINUTE_MS, 2 * HOUR_MS),
    PaneSize("1h", HOUR_MS, 35 * DAY_MS),
    PaneSize("1d", DAY_MS, 400 * DAY_MS),
)
# A buyer is known as one for so long after the last purchase, in event time.
BUYERS_KEPT_DAYS = 400
# Past panes whose sketches a write deletes a part of.
SWEPT_PANES_MAX = 8

_PURCHASE = "purchase"
_REPEAT_PURCHASE = "repeat_purchase"
_TOPIC = "purchases"

# By topic too: what one topic admits as a value of its own may be `other` in another.
Place = tuple[str, str, str]  # (topic, step, kind of the scope)
Row = tuple[str, str]  # (value of the scope, user)


@dataclass(frozen=True, slots=True)
class SketchWrite:
    """What one guarded write does to the sketches of users.

    Attributes:
        members: users to be added, by pane and name of the sketch (``step:kind:value``).
        expired: panes past their retention of which Redis may still hold sketches.
    """

    members: dict[tuple[Pane, str], list[str]]
    expired: list[Pane]


class _Step:
    """A step of traffic: whose events count, and where they say the values of the kinds that it is kept for.

    Attributes:
        name: of the step.
        events: the types.
        fields: by kind the event's attribute, none for the whole shop.
        columns: reads event time, user and all fields of an event.
    """

    def __init__(self, distinct: Distinct, kinds: Iterable[ScopeKind]) -> None:
        self.name = distinct.step
        self.events = distinct.events
        self.fields = _fields(kind for kind in kinds if kind.name in distinct.measure.kinds)
        named = [field for field in self.fields.values() if field is not None]
        self.columns: Callable[[Event], Any] = attrgetter("event_time_ms", "user_id", *named)


def _fields(kinds: Iterable[ScopeKind]) -> dict[str, str | None]:
    return {kind.name: kind.fields[0] if kind.fields else None for kind in kinds}


class UserSketches:
    """The distinct users of one partition number that are not in Redis yet."""

    sizes = SKETCH_SIZES

    def __init__(self, figures: FigureSet, admission: Admission, bounds: MemoryBounds = ALONE) -> None:
        kept = {step for step, measure in SKETCHES.items() if measure.name in figures.measures}
        kinds = [kind for kind in figures.kinds if kind.name in WITH_USERS]
        self.enabled = bool(kept and kinds)
        self._admission = admission
        steps = [_Step(distinct, figures.kinds) for distinct in DISTINCT if distinct.step in kept]
        self._steps = {
            topic: [step for step in steps if step.fields and types & step.events]
            for topic, types in TYPES_OF_TOPIC.items()
        }
        self._purchase_steps = {
            repeated: [step for step in steps if step in kept]
            for repeated, steps in ((False, [_PURCHASE]), (True, [_PURCHASE, _REPEAT_PURCHASE]))
        }
        # Kinds with the event's attribute; none for the whole shop.
        self._fields = _fields(kinds)
        self._order_kinds = [kind.name for kind in kinds if kind.level is Level.ORDER]
        self._line_kinds = [kind.name for kind in kinds if kind.level is Level.LINE]
        recent = [(size, _Recent(bounds)) for size in self.sizes]
        self._recent = {step: recent for step in SKETCHES}
        for distinct in DISTINCT:
            if distinct.sizes:
                self._recent[distinct.step] = [each for each in recent if each[0].name in distinct.sizes]
        # Users to be added, by value of each (pane, step, kind).
        self._waiting: defaultdict[tuple[Pane, str, str], defaultdict[str, set[str]]] = defaultdict(
            lambda: defaultdict(set)
        )
        # Those who come one by one, by (step, kind, start of a minute): offered together, when taken.
        self._single: defaultdict[tuple[str, str, int], list[Row]] = defaultdict(list)
        self._stored: dict[Pane, None] = {}
        # The border of the finest panes after which nothing of `_stored` was past its retention.
        self._none_gone_at_ms: int | None = None
        # Users that the next write adds to sketches, at most.
        self.dirty = 0

    def load_stored(self, panes: Iterable[Pane]) -> None:
        """The panes, of `sizes`, of which Redis holds sketches."""
        self._stored.update(dict.fromkeys(panes))

    def forget(self, pane: Pane) -> None:
        """Redis holds no sketch of an expired pane any more."""
        self._stored.pop(pane, None)

    def add(self, topic: str, events: Sequence[Event]) -> None:
        """Adds the users of accepted, real events of a topic of traffic, after the events were counted.

        A value that the pane of its sketch did not admit is `other` there.
        """
        for step in self._steps[topic]:
            taken = [event for event in events if event.__class__ in step.events]
            if taken:
                self._add_step(topic, step, taken)

    def _add_step(self, topic: str, step: _Step, events: Sequence[Event]) -> None:
        times_ms, users, *columns = zip(*map(step.columns, events), strict=True)
        minutes = [time_ms - time_ms % MINUTE_MS for time_ms in times_ms]
        for minute_ms, (part_users, *part) in _split(minutes, [users, *columns]):
            values = iter(part)
            for kind, field in step.fields.items():
                place = topic, step.name, kind
                if field is None:
                    self._offer(place, minute_ms, zip(repeat(""), part_users))
                    continue
                column = next(values)
                if any(column):  # no id is empty: a value that is there is true
                    rows = zip(column, part_users, strict=True)
                    self._offer(place, minute_ms, compress(rows, column))

    def add_purchase(self, event: Purchase, lines: Sequence[OrderLine], repeated: bool) -> None:
        """Adds the buyer of an accepted, real purchase; `repeated`: who had bought before."""
        if not self.enabled:
            return
        minute_ms = event.event_time_ms - event.event_time_ms % MINUTE_MS
        for kind in self._order_kinds:
            field = self._fields[kind]
            value = "" if field is None else getattr(event, field)
            self._offer_buyer(kind, minute_ms, {value}, event.user_id, repeated)
        for kind in self._line_kinds:
            values = {getattr(line, kind) for line in lines}
            # Repeat buyers are kept of whole orders: WITH_REPEAT_BUYERS.
            self._offer_buyer(kind, minute_ms, values, event.user_id, False)

    def _offer_buyer(
        self, kind: str, minute_ms: int, values: set[str | None], user: str, repeated: bool
    ) -> None:
        rows = [(value, user) for value in values if value is not None]
        for step in self._purchase_steps[repeated]:
            self._single[step, kind, minute_ms] += rows
            self.dirty += len(rows) * len(self.sizes)

    def add_one(self, step: str, kind: str, time_ms: int, value: str, user: str) -> None:
        """Adds one user to the sketches of a step, at a value that the caller bounds: no cap is asked."""
        self._single[step, kind, time_ms - time_ms % MINUTE_MS].append((value, user))
        self.dirty += len(self._recent[step])

    def _offer(self, place: Place, minute_ms: int, rows: Iterable[Row]) -> None:
        """What is new to the minute is offered to the hour, and what is new there to the day."""
        topic, step, kind = place
        by_hash = {hash(row): row for row in rows}
        fresh = set(by_hash)
        for size, recent in self._recent[step]:
            start_ms = size.start_of(minute_ms)
            fresh = recent.new((place, start_ms), fresh)
            if not fresh:
                return
            self.dirty += len(fresh)
            admitted = self._admission.admitted(topic, kind, size.name, start_ms)
            sketches = self._waiting[Pane(size, start_ms), step, kind]
            for value, user in map(by_hash.__getitem__, fresh):
                own = admitted is None or value in admitted
                sketches[value if own else OTHER].add(user)

    def take(self, high_ms: int) -> SketchWrite:
        """Everything added since the last call; nothing waits behind.

        `high_ms` is the partition's highest accepted event time: what falls into panes past their retention
        is dropped. Such panes are named in every write until `forget` is called.
        """
        for (step, kind, minute_ms), rows in self._single.items():
            self._offer((_TOPIC, step, kind), minute_ms, rows)
        self._single.clear()
        members: dict[tuple[Pane, str], list[str]] = {}
        for (pane, step, kind), sketches in self._waiting.items():
            if pane.size.is_written(pane.start_ms, high_ms):
                self._stored[pane] = None
                for value, users in sketches.items():
                    members[pane, f"{step}:{kind}:{value}"] = list(users)
        self._waiting.clear()
        self.dirty = 0
        return SketchWrite(members, self._gone(high_ms))

    def _gone(self, high_ms: int) -> list[Pane]:
        """Panes past their retention; where there are none, looked for once a minute of event time."""
        border_ms = self.sizes[0].border_before(high_ms)
        if border_ms == self._none_gone_at_ms:
            return []
        past = (pane for pane in self._stored if not pane.size.is_written(pane.start_ms, high_ms))
        gone = list(islice(past, SWEPT_PANES_MAX))
        if not gone:
            self._none_gone_at_ms = border_ms
        return gone


class _Recent:
    """What was offered to the panes of one size lately, as hashes of 64 bits.

    Two generations: the older one is dropped when the younger is full, so that what comes again and again is
    seldom offered twice, and memory is bounded.
    """

    def __init__(self, bounds: MemoryBounds) -> None:
        self._bounds = bounds
        self._young: defaultdict[tuple[Place, int], set[int]] = defaultdict(set)
        self._old: Mapping[tuple[Place, int], set[int]] = {}
        self._count = 0

    def new(self, place: tuple[Place, int], hashes: set[int]) -> set[int]:
        """Those of the hashes that were not offered lately; now they were."""
        young = self._young[place]
        new = hashes - young
        old = self._old.get(place)
        if old:
            new = new - old  # `-=` would walk over the old ones
        young |= new
        self._count += len(new)
        if self._count > self._bounds.recent:
            self._young, self._old, self._count = defaultdict(set), self._young, 0
        return new


def _split(
    minutes: Sequence[int], columns: Sequence[Sequence[Any]]
) -> Iterator[tuple[int, Sequence[Sequence[Any]]]]:
    """The columns minute by minute."""
    if len(set(minutes)) == 1:
        yield minutes[0], columns
        return
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, minute_ms in enumerate(minutes):
        places[minute_ms].append(place)
    for minute_ms, at in places.items():
        yield minute_ms, [[column[place] for place in at] for column in columns]


class Buyer(msgspec.Struct, array_like=True, gc=False):
    """A user who bought: the highest event time of an accepted, real purchase, and the day of that."""

    filed_day: int
    last_ms: int


class BuyerBook:
    """The buyers of one partition number."""

    def __init__(self) -> None:
        self.records = Ledger("buyers", Buyer)

    @staticmethod
    def ids(events: Iterable[Event]) -> list[str]:
        """The users whose records must be loaded before `accept`."""
        return [event.user_id for event in events if isinstance(event, Purchase) and event.traffic == "real"]

    def accept(self, event: Purchase) -> bool:
        """Whether the buyer of an accepted, real purchase had bought before, within BUYERS_KEPT_DAYS.

        Judged by the record's own time: no purchase can ask for one that was trimmed.
        """
        known = self.records.get(event.user_id)
        time_ms = event.event_time_ms
        if known is None or time_ms > known.last_ms:
            self.records.put(event.user_id, Buyer(day_of(time_ms), time_ms))
        return known is not None and time_ms - known.last_ms <= BUYERS_KEPT_DAYS * DAY_MS

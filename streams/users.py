"""Distinct users by what they did, in sketches that Redis keeps, and who of the buyers had bought before.

It stands beside the counting of events: what comes out is users to be added to sketches (`PFADD`), and adding
one twice changes nothing. So nothing of a sketch is in memory, only what was offered lately: Redis pays for
every user that it is given, however often it had it before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import compress, islice, repeat
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import msgspec

from schemas.events import (
    TYPES_OF_TOPIC,
    AddToCart,
    Event,
    LiveJoin,
    MiniProgramOpen,
    Purchase,
    TagTap,
    View,
)
from streams.admission import Admission
from streams.catalogue import USERS
from streams.kpi import FigureSet, Level
from streams.ledger import Ledger, OrderLine, day_of
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
# What was offered lately, of each size of pane: up to twice as many, about 0.1 KB each.
RECENT_MAX = 50_000
# Past panes whose sketches a write deletes a part of.
SWEPT_PANES_MAX = 8

_STEP_OF: Mapping[type[Event], str] = MappingProxyType(
    {
        View: "view",
        LiveJoin: "view",
        MiniProgramOpen: "view",
        TagTap: "tag_tap",
        AddToCart: "add_to_cart",
    }
)
_PURCHASE = "purchase"
_REPEAT_PURCHASE = "repeat_purchase"
_TOPIC = "purchases"
_NONE: frozenset[int] = frozenset()

# By topic too: what one topic admits as a value of its own may be `other` in another.
Place = tuple[str, str, int]  # (topic, kind of the scope, start of the pane)
Row = tuple[str, str, str]  # (step, value of the scope, user)
Name = tuple[str, str, str]  # (step, kind of the scope, value)


@dataclass(frozen=True, slots=True)
class SketchWrite:
    """What one guarded write does to the sketches of users.

    Attributes:
        members: users to be added, by pane and name of the sketch (``step:kind:value``).
        expired: panes past their retention of which Redis may still hold sketches.
    """

    members: dict[tuple[Pane, str], list[str]]
    expired: list[Pane]


class UserSketches:
    """The distinct users of one partition number that are not in Redis yet."""

    sizes = SKETCH_SIZES

    def __init__(self, figures: FigureSet, admission: Admission) -> None:
        kept = {step for step, measure in USERS.items() if measure.name in figures.measures}
        kinds = [kind for kind in figures.kinds if kind.name in WITH_USERS]
        self.enabled = bool(kept and kinds)
        self._admission = admission
        self._step_of = {cls: step for cls, step in _STEP_OF.items() if step in kept}
        self._topics = {
            topic for topic, types in TYPES_OF_TOPIC.items() if kinds and not types.isdisjoint(self._step_of)
        }
        self._purchase_steps = {
            repeated: [step for step in steps if step in kept]
            for repeated, steps in ((False, [_PURCHASE]), (True, [_PURCHASE, _REPEAT_PURCHASE]))
        }
        # Kinds with the event's attribute; none for the whole shop.
        self._fields = {kind.name: kind.fields[0] if kind.fields else None for kind in kinds}
        self._order_kinds = [kind.name for kind in kinds if kind.level is Level.ORDER]
        self._line_kinds = [kind.name for kind in kinds if kind.level is Level.LINE]
        fields = [field for field in self._fields.values() if field is not None]
        self._columns: Callable[[Event], Any] = attrgetter("event_time_ms", "user_id", *fields)
        self._recent = [(size, _Recent()) for size in self.sizes]
        self._waiting: defaultdict[Pane, defaultdict[Name, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._stored: dict[Pane, None] = {}
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
        if topic not in self._topics:
            return
        steps = [self._step_of.get(event.__class__) for event in events]
        if None in steps:
            events = list(compress(events, steps))
            steps = [step for step in steps if step is not None]
        if not events:
            return
        times_ms, users, *columns = zip(*map(self._columns, events), strict=True)
        minutes = [time_ms - time_ms % MINUTE_MS for time_ms in times_ms]
        for minute_ms, (part_steps, part_users, *part) in _split(minutes, [steps, users, *columns]):
            values = iter(part)
            for kind, field in self._fields.items():
                if field is None:
                    rows = list(zip(part_steps, repeat(""), part_users))
                else:
                    # No id is empty: a value that is there is true.
                    column = next(values)
                    rows = list(compress(zip(part_steps, column, part_users, strict=True), column))
                self._offer(topic, kind, minute_ms, rows)

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
        steps = self._purchase_steps[repeated]
        rows = [(step, value, user) for value in values if value is not None for step in steps]
        self._offer(_TOPIC, kind, minute_ms, rows)

    def _offer(self, topic: str, kind: str, minute_ms: int, rows: Sequence[Row]) -> None:
        """What is new to the minute is offered to the hour, and what is new there to the day."""
        by_hash = dict(zip(map(hash, rows), rows, strict=True))
        fresh: AbstractSet[int] = by_hash.keys()
        for size, recent in self._recent:
            pane = Pane(size, size.start_of(minute_ms))
            fresh = recent.new((topic, kind, pane.start_ms), fresh)
            if not fresh:
                return
            self.dirty += len(fresh)
            admitted = self._admission.admitted(topic, kind, size.name, pane.start_ms)
            sketches = self._waiting[pane]
            for step, value, user in map(by_hash.__getitem__, fresh):
                own = admitted is None or value in admitted
                sketches[step, kind, value if own else OTHER].add(user)

    def take(self, high_ms: int) -> SketchWrite:
        """Everything added since the last call; nothing waits behind.

        `high_ms` is the partition's highest accepted event time: what falls into panes past their retention
        is dropped. Such panes are named in every write until `forget` is called.
        """
        members: dict[tuple[Pane, str], list[str]] = {}
        for pane, sketches in self._waiting.items():
            if pane.size.is_written(pane.start_ms, high_ms):
                self._stored[pane] = None
                for name, users in sketches.items():
                    members[pane, ":".join(name)] = list(users)
        self._waiting.clear()
        self.dirty = 0
        gone = (pane for pane in self._stored if not pane.size.is_written(pane.start_ms, high_ms))
        return SketchWrite(members, list(islice(gone, SWEPT_PANES_MAX)))


class _Recent:
    """What was offered to the panes of one size lately, as hashes of 64 bits.

    Two generations: the older one is dropped when the younger is full, so that what comes again and again is
    seldom offered twice, and memory is bounded.
    """

    def __init__(self) -> None:
        self._young: defaultdict[Place, set[int]] = defaultdict(set)
        self._old: Mapping[Place, set[int]] = {}
        self._count = 0

    def new(self, place: Place, hashes: AbstractSet[int]) -> set[int]:
        """Those of the hashes that were not offered lately; now they were."""
        young = self._young[place]
        new = set(hashes)
        new -= young
        new -= self._old.get(place, _NONE)
        young |= new
        self._count += len(new)
        if self._count > RECENT_MAX:
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

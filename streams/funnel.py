"""Session funnels: how far each session came in each scope, in whatever order its events arrive.

A session's events lie in several topics, which are read apart from each other. Of each session one record
keeps those times that can still decide how far it came; when an event changes that, what was counted
before is taken back and the new is counted, with the same guarded write. What comes out depends on the set
of events alone; `docs/contract.md` has the rules.
"""

from __future__ import annotations

from binascii import b2a_base64
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import countOf
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import msgspec
from xxhash import xxh3_128_digest

from schemas.events import (
    TYPES_OF_TOPIC,
    AddToCart,
    BeginCheckout,
    Event,
    LiveJoin,
    MiniProgramOpen,
    Payment,
    Purchase,
    TagTap,
    View,
)
from streams.booking import Books
from streams.catalogue import (
    CONVERT_BUCKETS_S,
    SESSION_STEPS,
    SESSIONS_EXPIRED,
    TIME_TO_CONVERT,
)
from streams.kpi import FigureSet
from streams.ledger import Ledger, day_of
from streams.orders import lines_of
from streams.scopes import ALL, CREATOR, LIVE, PLATFORM, PLATFORM_SURFACE, SURFACE, pair_value
from streams.steps import (
    AUTHORISED,
    CART,
    CHECKOUT,
    PURCHASE,
    STARTED,
    TAP,
    VIEW,
    Count,
    grown,
    usual_effect,
)
from streams.sums import Sums
from streams.window import DAY_MS, MINUTE_MS

StepEvent: TypeAlias = (
    View | LiveJoin | MiniProgramOpen | TagTap | AddToCart | BeginCheckout | Payment | Purchase
)
# A step event on its way into its session: with the session's name, its steps, and its own ingest time.
_Arrival: TypeAlias = tuple[StepEvent, str, str, int]
_Allowed: TypeAlias = Callable[[str, int, str], bool]
# Scopes; and kind, value and scope of those among them whose values have no closed list.
_Scopes: TypeAlias = tuple[tuple[str, ...], tuple[tuple[str, str, str], ...]]
# Where a scope is counted in one pane: the cells of its kind, and its value in them.
_Place: TypeAlias = tuple[defaultdict[tuple[str, str], int], str]

# Past its earliest step event a session takes no event in any more, and later its ids begin another one.
GONE_MS: Final = DAY_MS + 15 * MINUTE_MS
ANEW_MS: Final = 2 * DAY_MS
# Lives and creators whose scopes stand in the session's own record; the others have records of their own,
# so that no session makes a record that grows with everything it does.
OWN_SCOPES_MAX: Final = 16
# Sets of scopes that are remembered: nearly all come again and again.
_SCOPES_MAX = 10_000

_CONVERT_MS = tuple(upper_s * 1_000 for upper_s in CONVERT_BUCKETS_S)
_CONVERT = tuple(TIME_TO_CONVERT[upper_s].name for upper_s in CONVERT_BUCKETS_S)
_BY_OUTCOME = ""
_STEPS: Mapping[type, str] = MappingProxyType(
    {
        View: VIEW,
        LiveJoin: VIEW,
        MiniProgramOpen: VIEW,
        TagTap: TAP,
        AddToCart: CART,
        BeginCheckout: CART + CHECKOUT,
        Payment: _BY_OUTCOME,
        Purchase: PURCHASE,
    }
)
_STEPS_OF_OUTCOME = {"started": STARTED, "authorised": AUTHORISED}
SESSION_TOPICS = frozenset(topic for topic, types in TYPES_OF_TOPIC.items() if types & _STEPS.keys())

# First letters of scopes in a record; the value follows. The whole shop is the empty scope.
_KINDS = {
    "": ALL.name,
    "p": PLATFORM.name,
    "s": SURFACE.name,
    "x": PLATFORM_SURFACE.name,
    "l": LIVE.name,
    "c": CREATOR.name,
}
# Those whose values have no closed list.
_OPEN = frozenset({"l", "c"})


class SessionRecord(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a session, or of one scope of it that has a record of its own.

    Attributes:
        filed_day: the day of `earliest_ms`.
        earliest_ms: time of the earliest step event.
        previous_ms: the same of the session that had these ids before; 0 if there was none.
        scopes: by scope the place of its steps; scopes that the same steps carried share them.
        shapes: by place the steps that are kept, in the order of their times (see `steps`).
        times: by place these times, in ms since `earliest_ms`.
    """

    filed_day: int
    earliest_ms: int
    previous_ms: int
    scopes: dict[str, int]
    shapes: list[str]
    times: list[list[int]]


class SessionBook:
    """The sessions of one partition number."""

    def __init__(self, figures: FigureSet, sums: Sums, lateness_ms: int, horizon_ms: int) -> None:
        self.enabled = any(measure.name in figures.measures for measure in SESSION_STEPS)
        self.records = Ledger("sessions", SessionRecord)
        self._sums = sums
        self._books = Books(figures, sums)
        self._lateness_ms = lateness_ms
        self._horizon_ms = horizon_ms
        kept = {kind.name for kind in figures.kinds}
        self._kinds = {letter: name for letter, name in _KINDS.items() if name in kept}
        self._scopes: dict[tuple[str | None, ...], _Scopes] = {}
        # By start of the finest pane and scope, for the time of a chunk: a write takes the cells away.
        self._places: defaultdict[int, dict[str, _Place]] = defaultdict(dict)
        # Of the chunk that was asked for last: `ids` is asked again once it is loaded, then `accept` comes.
        self._latest: tuple[Sequence[Event], Sequence[int], list[_Arrival]] = ((), (), [])
        # Sessions that came to OWN_SCOPES_MAX since `ids` was asked: records beside theirs are all new.
        self._filled: set[str] = set()

    def ids(self, topic: str, events: Sequence[Event], ingest_ms: Sequence[int]) -> list[str]:
        """Ids of the records that `accept` needs of these events.

        Which these are may depend on records that are not loaded yet: to be asked again after loading,
        until `records` misses none.
        """
        if not self.enabled or topic not in SESSION_TOPICS:
            return []
        self._filled.clear()
        arrivals = self._arrivals(events, ingest_ms)
        wanted = [name for _, name, _, _ in arrivals]
        peek = self.records.peek
        full = {
            name: record
            for name in set(wanted)
            if (record := peek(name)) and len(record.scopes) > OWN_SCOPES_MAX and not _room(record)
        }
        for event, name, _, _ in arrivals if full else ():
            if name in full:
                _, valued = self._scopes_of(event)
                wanted += [_digest(name + scope) for _, _, scope in valued if scope not in full[name].scopes]
        return wanted

    def accept(
        self, topic: str, events: Sequence[Event], ingest_ms: Sequence[int], allowed: _Allowed
    ) -> None:
        """Counts accepted, real events of one topic, in offset order, in their sessions.

        Args:
            topic: base name.
            events: of any type.
            ingest_ms: of each event the topic's ingest time at its record.
            allowed: whether an event at this time has the scope (kind, time in ms, value); asked for lives
                and creators.
        """
        if not self.enabled or topic not in SESSION_TOPICS:
            return
        for arrival in self._arrivals(events, ingest_ms):
            event, name, _, arrived_ms = arrival
            record = self.records.get(name)
            if record is None:
                record = _begun(event.event_time_ms, 0)
            elif arrived_ms > record.earliest_ms + ANEW_MS:
                record = _begun(event.event_time_ms, record.earliest_ms)
            elif arrived_ms > record.earliest_ms + GONE_MS or arrived_ms <= record.previous_ms + ANEW_MS:
                self._books.on_pipeline(arrived_ms, topic, SESSIONS_EXPIRED, 1)
                continue
            self._change(arrival, record, allowed)
        self._places.clear()
        self._latest = (), (), []

    def _arrivals(self, events: Sequence[Event], ingest_ms: Sequence[int]) -> list[_Arrival]:
        """The events that are steps and came in time."""
        if self._latest[0] is events and self._latest[1] is ingest_ms:
            return self._latest[2]
        lateness_ms = self._lateness_ms
        arrivals: list[_Arrival] = []
        for event, arrived_ms in zip(cast(Sequence[StepEvent], events), ingest_ms, strict=True):
            steps = _STEPS.get(event.__class__)
            if steps is None:
                continue
            session = event.session_id
            if session is None or arrived_ms - event.event_time_ms > lateness_ms:
                continue
            if steps is _BY_OUTCOME:
                steps = _STEPS_OF_OUTCOME.get(cast(Payment, event).outcome)
                if steps is None:
                    continue
            user = event.user_id
            arrivals.append((event, _digest(f"{len(user)}:{user}{session}"), steps, arrived_ms))
        self._latest = events, ingest_ms, arrivals
        return arrivals

    def _scopes_of(self, event: StepEvent) -> _Scopes:
        key = event.platform, event.surface, event.live_id, event.creator_id
        found = self._scopes.get(key)
        if found is None:
            if len(self._scopes) >= _SCOPES_MAX:
                self._scopes.clear()
            found = self._scopes[key] = _with_values(_envelope_scopes(*key))
        if isinstance(event, Purchase):
            lines = lines_of(event)
            lives = ["l" + line.live for line in lines if line.live is not None]
            creators = ["c" + line.creator for line in lines if line.creator is not None]
            return _with_values((*found[0], *lives, *creators))
        return found

    def _change(self, arrival: _Arrival, record: SessionRecord, allowed: _Allowed) -> None:
        """Puts an event into its session."""
        event, name, _, _ = arrival
        scopes, valued = self._scopes_of(event)
        for kind, value, scope in valued:
            if not allowed(kind, event.event_time_ms, value):
                scopes = tuple([each for each in scopes if each != scope])
        if len(record.scopes) + len(valued) < OWN_SCOPES_MAX:  # surely there is room for all
            self._enter(name, record, arrival, scopes)
        else:
            self._divide(arrival, record, scopes)

    def _divide(self, arrival: _Arrival, record: SessionRecord, scopes: Iterable[str]) -> None:
        """Puts an event into its session's record, and into those beside it."""
        event, name, _, _ = arrival
        own, beside = [], []
        room = _room(record)
        for scope in scopes:
            if scope[:1] not in _OPEN or scope in record.scopes:
                own.append(scope)
            elif room:
                own.append(scope)
                room -= 1
                if not room:
                    self._filled.add(name)
            else:
                beside.append(scope)
        earliest_ms = self._enter(name, record, arrival, own)
        for scope in beside:
            beside_name = _digest(name + scope)
            if name in self._filled and self.records.missing([beside_name]):
                self.records.load({beside_name: None})
            found = self.records.get(beside_name)
            if found is None or found.earliest_ms < earliest_ms:  # of an earlier session of these ids
                found = _begun(event.event_time_ms, 0)
            self._enter(beside_name, found, arrival, [scope])

    def _enter(self, name: str, record: SessionRecord, arrival: _Arrival, scopes: Iterable[str]) -> int:
        """Puts an event into one record and counts what that changes; the record's earliest time."""
        event, _, added, _ = arrival
        time = event.event_time_ms - record.earliest_ms
        changed = time < 0
        if changed:
            record, time = _begun_earlier(record, event.event_time_ms), 0
        carriers: dict[int, list[str]] = {}
        place_of = record.scopes.get
        for scope in scopes:
            place = place_of(scope, -1)
            if place in carriers:
                carriers[place].append(scope)
            else:
                carriers[place] = [scope]
        for place, carrying in carriers.items():
            if place < 0:  # nothing is kept yet
                effect, times = usual_effect("", 0, added), [time] * len(added)
            else:
                effect, times = grown(record.shapes[place], record.times[place], time, added)
            if effect is None:
                continue
            changed = True
            shape, kept, counts = effect
            if counts:
                self._book(record.earliest_ms, counts, times, carrying)
            if kept is not None:
                times = [times[position] for position in kept]
            if place >= 0 and len(carrying) == countOf(record.scopes.values(), place):
                record.shapes[place], record.times[place] = shape, times
                continue
            for scope in carrying:
                record.scopes[scope] = len(record.shapes)
            record.shapes.append(shape)
            record.times.append(times)
        if changed:
            self.records.put(name, record)
        return record.earliest_ms

    def _book(self, base_ms: int, counts: tuple[Count, ...], times: list[int], scopes: list[str]) -> None:
        for start, amount, measures, prompt, bought in counts:
            began = times[start]
            added = measures
            for position, measure in prompt:
                if times[position] - began <= self._horizon_ms:
                    added += (measure,)
            if bought >= 0:
                added += (_bucket(times[bought] - began),)
            start_ms = self._sums.finest.start_of(base_ms + began)
            places = self._places[start_ms]
            for scope in scopes:
                cells, value = places.get(scope) or self._place_of(scope, start_ms)
                for measure in added:
                    cells[measure, value] += amount

    def _place_of(self, scope: str, start_ms: int) -> _Place:
        kind = self._kinds.get(scope[:1])
        # A kind that is not kept is counted nowhere.
        cells = defaultdict(int) if kind is None else self._sums.cells_of(kind, start_ms)
        place = self._places[start_ms][scope] = cells, scope[1:]
        return place


def last_needless_day(ingest_ms: int) -> int:
    """The last day whose sessions no event belongs to any more; `ingest_ms`: the lowest of their topics."""
    return day_of(ingest_ms - ANEW_MS) - 1


def _begun(time_ms: int, previous_ms: int) -> SessionRecord:
    return SessionRecord(day_of(time_ms), time_ms, previous_ms, {}, [], [])


def _begun_earlier(record: SessionRecord, time_ms: int) -> SessionRecord:
    shift = record.earliest_ms - time_ms
    times = [[time + shift for time in each] for each in record.times]
    return SessionRecord(day_of(time_ms), time_ms, record.previous_ms, record.scopes, record.shapes, times)


def _envelope_scopes(
    platform: str, surface: str | None, live: str | None, creator: str | None
) -> Iterator[str]:
    yield from ("", "p" + platform)
    if surface is not None:
        yield from ("s" + surface, "x" + pair_value(platform, surface))
    if live is not None:
        yield "l" + live
    if creator is not None:
        yield "c" + creator


def _with_values(scopes: Iterable[str]) -> _Scopes:
    each = tuple(dict.fromkeys(scopes))
    return each, tuple([(_KINDS[scope[0]], scope[1:], scope) for scope in each if scope[:1] in _OPEN])


def _bucket(took_ms: int) -> str:
    return _CONVERT[bisect_left(_CONVERT_MS, took_ms)]


def _room(record: SessionRecord) -> int:
    """How many lives and creators more may stand in a session's own record."""
    return OWN_SCOPES_MAX - sum([scope[:1] in _OPEN for scope in record.scopes])


def _digest(ids: str) -> str:
    """Id of a record: of a session's ids, kept apart by a length; or of a session's id and a scope.

    No id made here has a colon, so that the two never begin alike.
    """
    return b2a_base64(xxh3_128_digest(ids.encode()), newline=False)[:22].decode()

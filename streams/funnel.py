"""Session funnels: how far each session came in each scope, in whatever order its events arrive.

A session's events lie in several topics, which are read apart from each other. Of each session one record
keeps those times that can still decide how far it came; when an event changes that, what was counted
before is taken back and the new is counted, with the same guarded write. What comes out depends on the set
of events alone; `docs/contract.md` has the rules.
"""

from __future__ import annotations

from binascii import b2a_base64
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    CHECKOUT_STEPS,
    CONVERT_BUCKETS_S,
    SESSION_STEPS,
    SESSIONS_EXPIRED,
    TIME_TO_CONVERT,
)
from streams.kpi import FigureSet
from streams.ledger import Ledger, day_of
from streams.orders import lines_of
from streams.scopes import ALL, CREATOR, LIVE, PLATFORM, PLATFORM_SURFACE, SURFACE, pair_value
from streams.sums import Sums
from streams.window import DAY_MS, MINUTE_MS

StepEvent: TypeAlias = (
    View | LiveJoin | MiniProgramOpen | TagTap | AddToCart | BeginCheckout | Payment | Purchase
)
# A step event on its way into its session: with the session's name, its steps, and its own ingest time.
_Arrival: TypeAlias = tuple[StepEvent, str, tuple[int, ...], int]
_Allowed: TypeAlias = Callable[[str, int, str], bool]

# Past its earliest step event a session takes no event in any more, and later its ids begin another one.
GONE_MS: Final = DAY_MS + 15 * MINUTE_MS
ANEW_MS: Final = 2 * DAY_MS
# Of each step of a session and scope, the earliest distinct times that count.
STEP_TIMES_MAX: Final = 64
# Lives and creators whose scopes stand in the session's own record; the others have records of their own,
# so that no session makes a record that grows with everything it does.
OWN_SCOPES_MAX: Final = 16
# Names of sessions that are remembered: some chunks' worth.
_NAMES_MAX = 4_000
_FAR_MS = 1 << 62

# Steps, as they stand in a record. At one time the steps of a funnel sort in the order of the funnel.
_VIEW, _TAP, _CART, _CHECKOUT, _STARTED, _AUTHORISED, _PURCHASE = range(7)
_FUNNELS = ((_VIEW, _TAP, _CART, _PURCHASE), (_CHECKOUT, _STARTED, _AUTHORISED, _PURCHASE))
_MEASURES = tuple([measure.name for measure in steps] for steps in (SESSION_STEPS, CHECKOUT_STEPS))
_CONVERT_MS = tuple(upper_s * 1_000 for upper_s in CONVERT_BUCKETS_S)
_CONVERT = tuple(TIME_TO_CONVERT[upper_s].name for upper_s in CONVERT_BUCKETS_S)
_BY_OUTCOME: tuple[int, ...] = ()
_STEPS: Mapping[type, tuple[int, ...]] = MappingProxyType(
    {
        View: (_VIEW,),
        LiveJoin: (_VIEW,),
        MiniProgramOpen: (_VIEW,),
        TagTap: (_TAP,),
        AddToCart: (_CART,),
        BeginCheckout: (_CART, _CHECKOUT),
        Payment: _BY_OUTCOME,
        Purchase: (_PURCHASE,),
    }
)
_STEPS_OF_OUTCOME = {"started": (_STARTED,), "authorised": (_AUTHORISED,)}
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
        steps: ascending; each is (ms since `earliest_ms`) x 8 + step.
    """

    filed_day: int
    earliest_ms: int
    previous_ms: int
    scopes: dict[str, int]
    steps: list[list[int]]


class SessionBook:
    """The sessions of one partition number."""

    def __init__(self, figures: FigureSet, sums: Sums, lateness_ms: int) -> None:
        self.enabled = not figures.measures.isdisjoint(_MEASURES[0])
        self.records = Ledger("sessions", SessionRecord)
        self._sums = sums
        self._books = Books(figures, sums)
        self._lateness_ms = lateness_ms
        kept = {kind.name for kind in figures.kinds}
        self._kinds = {letter: name for letter, name in _KINDS.items() if name in kept}
        self._names: dict[tuple[str, str], str] = {}
        # The scopes that a platform and a surface make up; both are closed lists.
        self._closed: dict[tuple[str, str | None], tuple[str, ...]] = {}
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
        if len(self._names) > _NAMES_MAX:
            self._names.clear()
        wanted: list[str] = []
        for event, name, _, _ in self._arrivals(events, ingest_ms):
            wanted.append(name)
            record = self.records.peek(name)
            if record is not None and len(record.scopes) > OWN_SCOPES_MAX and not _room(record):
                beside = [scope for scope in self._scopes_of(event) if scope not in record.scopes]
                wanted += [_name(event, scope) for scope in beside if scope[:1] in _OPEN]
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
            event, name, steps, arrived_ms = arrival
            record = self.records.get(name)
            if record is None:
                record = _begun(event.event_time_ms, 0)
            elif arrived_ms > record.earliest_ms + ANEW_MS:
                record = _begun(event.event_time_ms, record.earliest_ms)
            elif arrived_ms > record.earliest_ms + GONE_MS or arrived_ms <= record.previous_ms + ANEW_MS:
                self._books.on_pipeline(arrived_ms, topic, SESSIONS_EXPIRED, 1)
                continue
            scopes = self._scopes_of(event)
            if not _is_idle(record, scopes, event.event_time_ms, steps):
                self._change(arrival, record, scopes, allowed)

    def _arrivals(self, events: Sequence[Event], ingest_ms: Sequence[int]) -> Iterator[_Arrival]:
        """The events that are steps and came in time."""
        names, lateness_ms = self._names, self._lateness_ms
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
            name = names.get((event.user_id, session))
            if name is None:
                name = names[event.user_id, session] = _name(event)
            yield event, name, steps, arrived_ms

    def _scopes_of(self, event: StepEvent) -> tuple[str, ...]:
        key = event.platform, event.surface
        scopes = self._closed.get(key)
        if scopes is None:
            scopes = self._closed[key] = _closed_scopes(*key)
        if event.live_id is not None:
            scopes = (*scopes, "l" + event.live_id)
        if event.creator_id is not None:
            scopes = (*scopes, "c" + event.creator_id)
        if isinstance(event, Purchase):
            lines = lines_of(event)
            lives = ["l" + line.live for line in lines if line.live is not None]
            creators = ["c" + line.creator for line in lines if line.creator is not None]
            scopes = tuple(dict.fromkeys((*scopes, *lives, *creators)))
        return scopes

    def _change(
        self, arrival: _Arrival, record: SessionRecord, scopes: Iterable[str], allowed: _Allowed
    ) -> None:
        """Puts an event into its session's record, and into those beside it."""
        event, name, _, _ = arrival
        own, beside = [], []
        room = _room(record)
        for scope in scopes:
            letter = scope[:1]
            if letter not in _OPEN:
                own.append(scope)
            elif not allowed(_KINDS[letter], event.event_time_ms, scope[1:]):
                continue
            elif scope in record.scopes:
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
            beside_name = _name(event, scope)
            if name in self._filled and self.records.missing([beside_name]):
                self.records.load({beside_name: None})
            found = self.records.get(beside_name)
            if found is None or found.earliest_ms < earliest_ms:  # of an earlier session of these ids
                found = _begun(event.event_time_ms, 0)
            self._enter(beside_name, found, arrival, [scope])

    def _enter(self, name: str, record: SessionRecord, arrival: _Arrival, scopes: Iterable[str]) -> int:
        """Puts an event into one record and counts what that changes; the record's earliest time."""
        event, _, steps, _ = arrival
        changed = event.event_time_ms < record.earliest_ms
        if changed:
            record = _begun_earlier(record, event.event_time_ms)
        added = [(event.event_time_ms - record.earliest_ms) * 8 + step for step in steps]
        carriers: dict[int, list[str]] = {}
        for scope in scopes:
            carriers.setdefault(record.scopes.get(scope, -1), []).append(scope)
        for place, carrying in carriers.items():
            before = record.steps[place] if place >= 0 else []
            after = joined(before, added)
            if after == before:
                continue
            changed = True
            self._book(record.earliest_ms, before, after, carrying)
            if place >= 0 and len(carrying) == list(record.scopes.values()).count(place):
                record.steps[place] = after
            else:
                record.scopes.update(dict.fromkeys(carrying, len(record.steps)))
                record.steps.append(after)
        if changed:
            self.records.put(name, record)
        return record.earliest_ms

    def _book(self, base_ms: int, before: list[int], after: list[int], scopes: Iterable[str]) -> None:
        old, new = self._cells(base_ms, before), self._cells(base_ms, after)
        changes = [(cell, 1) for cell in new if cell not in old]
        changes += [(cell, -1) for cell in old if cell not in new]
        if not changes:
            return
        for scope in scopes:
            kind = self._kinds.get(scope[:1])
            if kind is not None:
                for (start_ms, measure), amount in changes:
                    self._sums.cells_of(kind, start_ms)[measure, scope[1:]] += amount

    def _cells(self, base_ms: int, steps: list[int]) -> list[tuple[int, str]]:
        """Where a session with these steps counts: (start of the finest pane, stored measure)."""
        cells: list[tuple[int, str]] = []
        for funnel, measures in zip(_FUNNELS, _MEASURES, strict=True):
            times = _reached(steps, funnel)
            if times:
                start_ms = self._sums.finest.start_of(base_ms + times[0])
                cells += [(start_ms, measure) for measure in measures[: len(times)]]
                if funnel is _FUNNELS[0] and len(times) == len(funnel):
                    cells.append((start_ms, _CONVERT[bisect_left(_CONVERT_MS, times[-1] - times[0])]))
        return cells


def last_needless_day(ingest_ms: int) -> int:
    """The last day whose sessions no event belongs to any more; `ingest_ms`: the lowest of their topics."""
    return day_of(ingest_ms - ANEW_MS) - 1


def joined(kept: list[int], added: Iterable[int]) -> list[int]:
    """The steps to be kept of a scope, once these are among them.

    Of each step the 64 earliest times count. Of those a time above the one at which its funnel reached the
    step, or above the end of the funnel's 24 hours, never comes to matter: more events only ever make the
    start and the times of the steps reached earlier, or take a step away together with all later times.
    """
    steps = sorted({*kept, *added})
    if len(steps) > STEP_TIMES_MAX:
        steps = _earliest(steps)
    last_ms = [-1] * 7
    for funnel in _FUNNELS:
        times = _reached(steps, funnel)
        end_ms = times[0] + DAY_MS if times else _FAR_MS
        for place, step in enumerate(funnel):
            last_ms[step] = max(last_ms[step], times[place] if place < len(times) else end_ms)
    return [step for step in steps if step >> 3 <= last_ms[step & 7]]


def _earliest(steps: list[int]) -> list[int]:
    by_step = [[step for step in steps if step & 7 == of] for of in range(7)]
    return sorted(step for each in by_step for step in each[:STEP_TIMES_MAX])


def _reached(steps: list[int], funnel: tuple[int, ...]) -> list[int]:
    """Times at which the steps of a funnel were reached, one after the other; `steps` ascend."""
    times: list[int] = []
    wanted = funnel[0]
    for step in steps:
        if step & 7 == wanted:
            time = step >> 3
            if times and time > times[0] + DAY_MS:
                break
            times.append(time)
            if len(times) == len(funnel):
                break
            wanted = funnel[len(times)]
    return times


def _is_idle(record: SessionRecord, scopes: tuple[str, ...], time_ms: int, steps: tuple[int, ...]) -> bool:
    """Whether an event surely changes nothing: most do, and so it must be told fast.

    In all its scopes the first steps kept are those of the session's funnel up to the event's own, one of
    each, and so the times at which they were reached; its time is not below the last of them.
    """
    step = steps[-1]
    if step > _CART:
        return False
    added = (time_ms - record.earliest_ms) * 8 + step
    for place in set(map(record.scopes.get, scopes)):
        if place is None:
            return False
        kept = record.steps[place]
        if kept[0] & 7 or len(kept) <= step or kept[step] & 7 != step or kept[step] > added:
            return False
        if step == _CART and kept[_TAP] & 7 != _TAP:
            return False
    return True


def _begun(time_ms: int, previous_ms: int) -> SessionRecord:
    return SessionRecord(day_of(time_ms), time_ms, previous_ms, {}, [])


def _begun_earlier(record: SessionRecord, time_ms: int) -> SessionRecord:
    shift = (record.earliest_ms - time_ms) * 8
    steps = [[step + shift for step in kept] for kept in record.steps]
    return SessionRecord(day_of(time_ms), time_ms, record.previous_ms, record.scopes, steps)


def _closed_scopes(platform: str, surface: str | None) -> tuple[str, ...]:
    if surface is None:
        return "", "p" + platform
    return "", "p" + platform, "s" + surface, "x" + pair_value(platform, surface)


def _room(record: SessionRecord) -> int:
    """How many lives and creators more may stand in a session's own record."""
    return OWN_SCOPES_MAX - sum([scope[:1] in _OPEN for scope in record.scopes])


def _name(event: StepEvent, scope: str = "") -> str:
    """Id of the record of an event's session, or of one of its scopes; lengths keep any two apart."""
    user, session = event.user_id, event.session_id or ""
    whole = f"{len(user)}:{len(session)}:{user}{session}{scope}"
    return b2a_base64(xxh3_128_digest(whole.encode()), newline=False)[:22].decode()

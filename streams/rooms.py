"""Live rooms: how many watch and for how long, what is pinned, whose live it is and since when.

Behind the verdicts, beside the counting of events: only what a room itself sends comes here. One live lies
in one topic-partition, so all of it is a function of that log's prefix. Events may come out of order by as
much as the lateness; whatever is compared is compared by (event time, offset).
"""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter
from typing import NamedTuple

import msgspec

from schemas.envelope import RoomEvent
from schemas.events import LiveEnd, LiveHeartbeat, LiveStart, ProductPin, ProductUnpin
from streams.catalogue import COVERED_MS, PEAK_VIEWERS, WATCH_MS
from streams.kpi import FigureSet
from streams.ledger import Ledger, day_of
from streams.scopes import LIVE
from streams.story import Chunk, Shelf
from streams.sums import Sums
from streams.window import DAY_MS, MINUTE_MS

# A room is remembered this long past the day of its first event, by event time.
LIVES_KEPT_DAYS = 36
# A heartbeat speaks for the time to the next one, at most for so long.
STEP_MAX_MS = MINUTE_MS
# Bounds of a room's record. At one heartbeat a second, 660 lie between the lateness and the future limit.
HEARTBEATS_MAX = 1_000
PINS_MAX = 200
# More are counted as so many: viewers x milliseconds of a day then stay far within 64 bits.
VIEWERS_MAX = 10**9
# A creator's latest lives, for comparison.
CREATOR_LIVES_MAX = 20

_BEFORE_ALL = (-1, -1)
_TOPICS = frozenset({"livestreams"})


class Heartbeat(NamedTuple):
    """What a heartbeat said; sorts by event time, then offset."""

    time_ms: int
    offset: int
    viewers: int


class Pin(NamedTuple):
    """The latest word on a product: whether the overlay shows it; sorts by event time, then offset."""

    time_ms: int
    offset: int
    is_shown: bool


class Room(msgspec.Struct, array_like=True):
    """What is kept of a live. Moments are (event time in ms, offset).

    Attributes:
        filed_day: day of the record's first event, in the order of the log.
        creator_id: whose live it is.
        creator_from: the event that said so: whether it was a live_start, and its moment.
        started_ms: lowest event time of a live_start.
        latest_start, latest_end: latest live_start and live_end.
        heartbeats: sorted; when one comes, all go that no later one can come next to.
        pins: by product; the PINS_MAX products with the latest word.
        platform: of the event that named the creator; at the end, since older records end before it.
    """

    filed_day: int
    creator_id: str | None = None
    creator_from: tuple[bool, int, int] = (False, *_BEFORE_ALL)
    started_ms: int | None = None
    latest_start: tuple[int, int] = _BEFORE_ALL
    latest_end: tuple[int, int] = _BEFORE_ALL
    heartbeats: list[Heartbeat] = []
    pins: dict[str, Pin] = {}
    platform: str | None = None

    @property
    def ended_ms(self) -> int | None:
        """Time of the latest live_end; None if there is none, or a live_start came after it."""
        return self.latest_end[0] if self.latest_end > self.latest_start else None


class Creator(msgspec.Struct, array_like=True):
    """A creator's latest lives in one partition: (live_id, start in ms), the latest start first."""

    filed_day: int = -1
    lives: list[tuple[str, int]] = []


def pinned(room: Room) -> list[tuple[str, int]]:
    """(product, time of its pin in ms) of what the overlay shows, the latest pin first.

    What was pinned before the latest live_end is shown no more, also if the room went on air again.
    """
    shown = [
        (pin, product)
        for product, pin in room.pins.items()
        if pin.is_shown and (pin.time_ms, pin.offset) > room.latest_end
    ]
    return [(product, pin.time_ms) for pin, product in sorted(shown, reverse=True)]


def viewers_now(room: Room, now_ms: int) -> int | None:
    """Viewers as the latest heartbeat told, None if it is more than STEP_MAX_MS old or there is none."""
    latest = room.heartbeats[-1] if room.heartbeats else None
    return latest.viewers if latest and now_ms - latest.time_ms <= STEP_MAX_MS else None


class RoomBook:
    """The live rooms of one partition number."""

    def __init__(self, figures: FigureSet, sums: Sums, lateness_ms: int) -> None:
        """`lateness_ms`: how far behind ingest time an event of a room may be."""
        self.rooms = Ledger("rooms", Room)
        self.creators = Ledger("creators", Creator)
        self.enabled = LIVE in figures.kinds and WATCH_MS.name in figures.measures
        self._sums = sums
        self._lateness_ms = lateness_ms

    @property
    def topics(self) -> frozenset[str]:
        """The topic of the rooms."""
        return _TOPICS if self.enabled else frozenset()

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """The rooms, until no later heartbeat can end the step of their last one; creators, for good."""
        days = LIVES_KEPT_DAYS + 1 - (-self._lateness_ms // DAY_MS)
        return Shelf(self.rooms, _TOPICS, days), Shelf(self.creators, _TOPICS)

    def ids(self, chunk: Chunk) -> dict[str, list[str]]:
        """Ids by ledger that must be loaded before `accept`; creators of rooms that are not loaded yet are
        not known yet."""
        ours = [event for event in chunk.events if isinstance(event, RoomEvent)]
        lives = list(dict.fromkeys(event.live_id for event in ours))
        creators = [event.creator_id for event in ours if event.creator_id is not None]
        for room in map(self.rooms.peek, lives):
            if room is not None and room.creator_id is not None:
                creators.append(room.creator_id)
        return {self.rooms.name: lives, self.creators.name: creators}

    def accept(self, chunk: Chunk) -> None:
        """Takes up accepted, real events of the topic; the shoppers' are passed over."""
        for event, record, at_ms in zip(chunk.events, chunk.records, chunk.ingest_ms, strict=True):
            if isinstance(event, RoomEvent):
                self._accept(event, record.offset, at_ms)

    def _accept(self, event: RoomEvent, offset: int, ingest_ms: int) -> None:
        room = self.rooms.get(event.live_id)
        if room is None or day_of(ingest_ms) - room.filed_day > LIVES_KEPT_DAYS:
            # The last heartbeat of the room before still speaks for the time up to the next one.
            heartbeats = room.heartbeats if room is not None else []
            room = Room(filed_day=day_of(event.event_time_ms), heartbeats=heartbeats)
        moment = (event.event_time_ms, offset)
        before = room.creator_id, room.started_ms
        if event.creator_id is not None:
            said = (isinstance(event, LiveStart), *moment)
            if said > room.creator_from:
                room.creator_id, room.platform, room.creator_from = event.creator_id, event.platform, said
        match event:
            case LiveHeartbeat():
                self._measure(room, event, offset, ingest_ms)
            case ProductPin() | ProductUnpin():
                _pin(room, event.product_id, Pin(*moment, isinstance(event, ProductPin)))
            case LiveStart():
                room.latest_start = max(room.latest_start, moment)
                known_ms = event.event_time_ms if room.started_ms is None else room.started_ms
                room.started_ms = min(known_ms, event.event_time_ms)
            case LiveEnd():
                room.latest_end = max(room.latest_end, moment)
        self.rooms.put(event.live_id, room)
        if before != (room.creator_id, room.started_ms):
            self._enter(event.live_id, room, before[0])

    def _enter(self, live_id: str, room: Room, creator_before: str | None) -> None:
        """Puts the live where it belongs among its creator's, and takes it from who was named before."""
        if creator_before is not None and creator_before != room.creator_id:
            self._change_lives(creator_before, live_id, [])
        if room.creator_id is not None and room.started_ms is not None:
            self._change_lives(room.creator_id, live_id, [(live_id, room.started_ms)])

    def _change_lives(self, creator_id: str, live_id: str, entries: list[tuple[str, int]]) -> None:
        creator = self.creators.get(creator_id) or Creator()
        others = [entry for entry in creator.lives if entry[0] != live_id]
        lives = sorted(others + entries, key=itemgetter(1, 0), reverse=True)[:CREATOR_LIVES_MAX]
        if lives != creator.lives:
            creator.lives = lives
            self.creators.put(creator_id, creator)

    def _measure(self, room: Room, event: LiveHeartbeat, offset: int, ingest_ms: int) -> None:
        """Puts a heartbeat between its neighbours: the earlier one's step ends here, its own begins."""
        beats = room.heartbeats
        beat = Heartbeat(event.event_time_ms, offset, min(event.concurrent_viewers, VIEWERS_MAX))
        at = bisect_left(beats, beat)
        if at == 0 and len(beats) >= HEARTBEATS_MAX:
            return
        if at:
            self._book(event.live_id, beats[at - 1].viewers, beat.time_ms, _step_end(beats, at - 1), -1)
        beats.insert(at, beat)
        self._book(event.live_id, beat.viewers, beat.time_ms, _step_end(beats, at), 1)
        self._sums.raise_to(LIVE.name, beat.time_ms, PEAK_VIEWERS.name, event.live_id, beat.viewers)
        # None that is accepted from now on comes before this time, or next to what ended there.
        needed_from_ms = ingest_ms - self._lateness_ms - STEP_MAX_MS
        done = bisect_left(beats, needed_from_ms, key=itemgetter(0))
        del beats[: max(done, len(beats) - HEARTBEATS_MAX)]

    def _book(self, live_id: str, viewers: int, from_ms: int, to_ms: int, sign: int) -> None:
        """Adds what was watched within [from_ms, to_ms), split at the borders of the finest panes."""
        finest, add = self._sums.finest, self._sums.add
        while from_ms < to_ms:
            border_ms = min(finest.start_of(from_ms) + finest.size_ms, to_ms)
            length_ms = sign * (border_ms - from_ms)
            add(LIVE.name, from_ms, WATCH_MS.name, live_id, viewers * length_ms)
            add(LIVE.name, from_ms, COVERED_MS.name, live_id, length_ms)
            from_ms = border_ms


def _step_end(beats: list[Heartbeat], at: int) -> int:
    """Until when the heartbeat at this place speaks."""
    end_ms = beats[at].time_ms + STEP_MAX_MS
    return min(end_ms, beats[at + 1].time_ms) if at + 1 < len(beats) else end_ms


def _pin(room: Room, product_id: str, pin: Pin) -> None:
    """The latest word on a product holds; of too many products the one with the oldest word goes."""
    known = room.pins.get(product_id)
    if known is None or pin > known:
        room.pins[product_id] = pin
        if len(room.pins) > PINS_MAX:
            del room.pins[min(room.pins, key=room.pins.__getitem__)]

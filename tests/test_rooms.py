"""Live rooms: heartbeats, pins, creators in any order within the lateness, held against plain sorting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    LiveEnd,
    LiveHeartbeat,
    LiveJoin,
    LiveStart,
    LivestreamsEvent,
    ProductPin,
    ProductUnpin,
    RoomsEvent,
)
from streams import rooms as module
from streams.batch import PlainRecord
from streams.kpis import FIGURE_SETS
from streams.ledger import Ledger, day_of
from streams.rooms import LIVES_KEPT_DAYS, Creator, Room, RoomBook, pinned, viewers_now
from streams.settings import Settings
from streams.story import Chunk
from streams.sums import Sums
from streams.window import DAY_MS
from streams.worker import rules_of

SIZES = rules_of(Settings()).sizes
NOON = 1_767_614_400_000
SECOND, MINUTE = 1_000, 60_000
LATENESS = 5 * MINUTE
FUTURE = 5 * MINUTE

Cells = Counter[tuple[str, str, int]]  # (live, measure, start of the 10 s pane)
Logged = tuple[int, int, LivestreamsEvent]  # (offset, ingest time, event)


def _chunk(log: Sequence[Logged]) -> Chunk:
    records = [PlainRecord(offset, ingest_ms, None, b"", []) for offset, ingest_ms, _ in log]
    return Chunk("livestreams", [event for _, _, event in log], records, [each[1] for each in log])


class Pipeline:
    """One partition's rooms, with Redis as a dictionary; sums are taken once, at the end."""

    def __init__(self, figures: str = "all") -> None:
        self.figures = FIGURE_SETS[figures]
        self.sums = Sums(self.figures, SIZES)
        self.stored: dict[str, dict[str, bytes]] = {"rooms": {}, "creators": {}}
        self.book = RoomBook(self.figures, self.sums, LATENESS)

    def new_owner(self) -> None:
        """Saves everything and begins with an empty memory."""
        self.stored["rooms"].update(self.book.rooms.take().records)
        self.stored["creators"].update(self.book.creators.take().records)
        self.book = RoomBook(self.figures, self.sums, LATENESS)

    def feed(self, log: Sequence[Logged]) -> None:
        """One chunk."""
        book, chunk = self.book, _chunk(log)
        ledgers: dict[str, Ledger[Any]] = {"rooms": book.rooms, "creators": book.creators}
        for _ in range(3):
            wanted = book.ids(chunk)
            for name, ids in wanted.items():
                missing = ledgers[name].missing(ids)
                ledgers[name].load({each: self.stored[name].get(each) for each in missing})
        book.accept(chunk)

    def room(self, live_id: str = "L") -> Room:
        """The room as it is stored."""
        self.new_owner()
        self.book.rooms.load({live_id: self.stored["rooms"].get(live_id)})
        room = self.book.rooms.get(live_id)
        assert room is not None
        return room

    def lives(self) -> dict[str, list[tuple[str, int]]]:
        """Lives by creator as they are stored."""
        self.new_owner()
        self.book.creators.load(self.stored["creators"])
        creators = {name: self.book.creators.get(name) or Creator() for name in self.stored["creators"]}
        return {name: creator.lives for name, creator in creators.items() if creator.lives}

    def cells(self) -> tuple[Cells, Cells]:
        """Sums, and highest values, of the finest panes."""
        added, highest = Cells(), Cells()
        for write in self.sums.take(NOON)[0]:
            assert write.kind == "live"
            for into, found in ((added, write.absolute), (highest, write.highest)):
                for name, amount in found.items():
                    measure, _, live_id = name.partition("|")
                    if write.pane.size.name == "10s" and amount:
                        into[live_id, measure, write.pane.start_ms] = amount
        return added, highest


def _event(kind: type[RoomsEvent], time_ms: int, live_id: str = "L", **fields: Any) -> RoomsEvent:
    return kind(event_id="e", event_time_ms=time_ms, live_id=live_id, **{"platform": "tiktok", **fields})


def _beat(time_ms: int, viewers: int, live_id: str = "L") -> RoomsEvent:
    return _event(LiveHeartbeat, time_ms, live_id, concurrent_viewers=viewers)


def _in_time(*events: RoomsEvent) -> list[Logged]:
    """Each event read when it happened, or when the ones before it were."""
    high = 0
    return [(offset, high := max(high, each.event_time_ms), each) for offset, each in enumerate(events)]


def _fed(*events: RoomsEvent) -> Pipeline:
    pipeline = Pipeline()
    pipeline.feed(_in_time(*events))
    return pipeline


_KINDS: list[type[RoomsEvent]] = [*[LiveHeartbeat] * 4, ProductPin, ProductUnpin, LiveStart, LiveEnd]
_creators = st.sampled_from([None, None, "C1", "C2"])
_platforms = st.sampled_from(["tiktok", "douyin"])
_products = st.sampled_from(["p1", "p2", "p3"])


@st.composite
def _logs(draw: st.DrawFn) -> list[Logged]:
    """Events of two lives, each at most the lateness behind its log and the future limit ahead of it."""
    log: list[Logged] = []
    ingest_ms = NOON
    for offset in range(draw(st.integers(0, 40))):
        ingest_ms += draw(st.sampled_from([0, 1, 700, 5_000, 10_000, 59_999, 61_000]))
        ahead_ms = draw(
            st.one_of(
                st.integers(-LATENESS, FUTURE),
                st.sampled_from([0, 0, -10_000, -30_000, -60_000, -LATENESS, FUTURE]),
            )
        )
        kind = draw(st.sampled_from(_KINDS))
        fields: dict[str, Any] = {"creator_id": draw(_creators), "platform": draw(_platforms)}
        if kind is LiveHeartbeat:
            fields["concurrent_viewers"] = draw(st.integers(0, 9))
        elif issubclass(kind, ProductPin | ProductUnpin):
            fields["product_id"] = draw(_products)
        live_id = draw(st.sampled_from(["L", "M"]))
        log.append((offset, ingest_ms, _event(kind, ingest_ms + ahead_ms, live_id, **fields)))
    return log


def _at(logged: Logged) -> tuple[int, int]:
    """(event time, offset)."""
    return logged[2].event_time_ms, logged[0]


def _counted(log: Sequence[Logged]) -> list[tuple[int, int, int]]:
    """Heartbeats that count, sorted: one before which too many later ones were counted does not."""
    counted: list[tuple[int, int, int]] = []
    for each in log:
        if isinstance(each[2], LiveHeartbeat):
            later = sum(known[:2] > _at(each) for known in counted)
            if later < module.HEARTBEATS_MAX:
                counted.append((*_at(each), min(each[2].concurrent_viewers, module.VIEWERS_MAX)))
    return sorted(counted)


def _plain_cells(log: Sequence[Logged]) -> tuple[Cells, Cells]:
    """Sorted heartbeats, each step cut into the panes that it overlaps."""
    added, highest = Cells(), Cells()
    for live_id in ("L", "M"):
        beats = _counted([each for each in log if each[2].live_id == live_id])
        for place, (time_ms, _, viewers) in enumerate(beats):
            end_ms = min([next_ms for next_ms, _, _ in beats[place + 1 :]] + [time_ms + MINUTE])
            first_ms = time_ms - time_ms % (10 * SECOND)
            for start_ms in range(first_ms, end_ms, 10 * SECOND):
                within_ms = min(end_ms, start_ms + 10 * SECOND) - max(time_ms, start_ms)
                added[live_id, "watch_ms", start_ms] += viewers * within_ms
                added[live_id, "covered_ms", start_ms] += within_ms
            peak = live_id, "max.viewers", first_ms
            highest[peak] = max(highest[peak], viewers)
    return +added, +highest


def _plain_pinned(log: Sequence[Logged], live_id: str) -> list[tuple[str, int]]:
    ours = sorted((each for each in log if each[2].live_id == live_id), key=_at)
    ends = [_at(each) for each in ours if isinstance(each[2], LiveEnd)]
    words: dict[str, Logged] = {}
    for each in ours:
        if isinstance(each[2], ProductPin | ProductUnpin):
            words.pop(each[2].product_id, None)
            words[each[2].product_id] = each
    last = list(words.items())[-module.PINS_MAX :]
    return [
        (product, each[2].event_time_ms)
        for product, each in reversed(last)
        if isinstance(each[2], ProductPin) and (not ends or _at(each) > ends[-1])
    ]


def _plain_creator(log: Sequence[Logged], live_id: str) -> tuple[str | None, str | None]:
    """Both of the latest live_start that names a creator, else of the latest event that does."""
    named = [each for each in log if each[2].live_id == live_id and each[2].creator_id is not None]
    starts = [each for each in named if isinstance(each[2], LiveStart)]
    if not named:
        return None, None
    said = max(starts or named, key=_at)[2]
    return said.creator_id, said.platform


def _times(log: Sequence[Logged], kind: type[RoomsEvent], live_id: str) -> list[tuple[int, int]]:
    return [_at(each) for each in log if isinstance(each[2], kind) and each[2].live_id == live_id]


@given(_logs(), st.sets(st.integers(0, 40)), st.sampled_from([2, 1_000]), st.integers(1, 9))
def test_any_order_gives_what_sorting_gives(
    log: list[Logged], takeovers: set[int], heartbeats_max: int, chunk: int
) -> None:
    """Viewers, pins, creator and times do not depend on order, on batches, or on who held the memory."""
    with patch.object(module, "HEARTBEATS_MAX", heartbeats_max):
        pipeline = Pipeline()
        for place, at in enumerate(range(0, len(log), chunk)):
            pipeline.feed(log[at : at + chunk])
            if place in takeovers:
                pipeline.new_owner()
        assert pipeline.cells() == _plain_cells(log)
    lives: dict[str, list[tuple[str, int]]] = {}
    for live_id in {event.live_id for _, _, event in log}:
        room = pipeline.room(live_id)
        starts, ends = _times(log, LiveStart, live_id), _times(log, LiveEnd, live_id)
        assert pinned(room) == _plain_pinned(log, live_id)
        assert (room.creator_id, room.platform) == _plain_creator(log, live_id)
        assert room.started_ms == (min(starts)[0] if starts else None)
        over = ends and (not starts or max(ends) > max(starts))
        assert room.ended_ms == (max(ends)[0] if over else None)
        beats = sorted(_times(log, LiveHeartbeat, live_id))
        assert [each[:2] for each in room.heartbeats[-1:]] == beats[-1:]
        if room.creator_id and room.started_ms:
            lives.setdefault(room.creator_id, []).append((live_id, room.started_ms))
    latest_first = {name: sorted(found, key=lambda life: life[::-1])[::-1] for name, found in lives.items()}
    assert pipeline.lives() == latest_first


def test_a_heartbeat_between_two_takes_from_the_earlier_one() -> None:
    """0 s and 30 s with 10 viewers each; one of 40 viewers at 20 s leaves the first 20 s, and has 10 s."""
    pipeline = _fed(_beat(NOON, 10), _beat(NOON + 30_000, 10), _beat(NOON + 20_000, 40))
    added, highest = pipeline.cells()
    watched = {start - NOON: ms for (_, name, start), ms in added.items() if name == "watch_ms"}
    assert watched[0] == watched[10_000] == 100_000
    assert watched[20_000] == 400_000
    assert sum(watched.values()) == 10 * 80_000 + 40 * 10_000
    assert {start - NOON: most for (_, _, start), most in highest.items()} == {0: 10, 20_000: 40, 30_000: 10}


def test_of_two_heartbeats_at_one_time_the_later_record_has_the_step() -> None:
    """The one with the lower offset has a step of 0, but may be the peak."""
    added, highest = _fed(_beat(NOON, 70), _beat(NOON, 3)).cells()
    assert sum(ms for (_, name, _), ms in added.items() if name == "watch_ms") == 3 * MINUTE
    assert sum(ms for (_, name, _), ms in added.items() if name == "covered_ms") == MINUTE
    assert highest["L", "max.viewers", NOON] == 70


def test_a_step_that_goes_over_midnight_is_split_there() -> None:
    """Days, hours and minutes get their own part of a step: a step is split before it is added up."""
    midnight = NOON + DAY_MS // 2
    pipeline = _fed(_beat(midnight - 15_000, 2))
    days = [
        (write.pane.start_ms - midnight, write.absolute["watch_ms|L"])
        for write in pipeline.sums.take(midnight)[0]
        if write.pane.size.name == "1d"
    ]
    assert sorted(days) == [(-DAY_MS, 30_000), (0, 90_000)]


def test_viewers_now_are_those_of_a_heartbeat_of_the_last_minute() -> None:
    """After 60 s nobody knows: the answer is nothing, not the old number and not zero."""
    room = _fed(_beat(NOON, 5), _beat(NOON - 1, 9), _event(LiveEnd, NOON)).room()
    assert viewers_now(room, NOON + MINUTE) == 5
    assert viewers_now(room, NOON - 1) == 5
    assert viewers_now(room, NOON + MINUTE + 1) is None
    assert viewers_now(Room(filed_day=0), NOON) is None


def test_the_window_of_heartbeats_holds_what_a_new_one_can_come_next_to() -> None:
    """Once the log is past lateness and longest step, a heartbeat is let go; never the latest."""
    pipeline = _fed(_beat(NOON, 1), _beat(NOON + 10_000, 1), _beat(NOON + LATENESS + MINUTE + 1, 1))
    assert [beat.time_ms - NOON for beat in pipeline.room().heartbeats] == [10_000, LATENESS + MINUTE + 1]
    pipeline.feed([(9, NOON + DAY_MS, _beat(NOON + DAY_MS - LATENESS, 1))])
    pipeline.feed([(10, NOON + 2 * DAY_MS, _event(LiveEnd, NOON + 2 * DAY_MS))])
    assert [beat.offset for beat in pipeline.room().heartbeats] == [9]


def test_a_flood_of_heartbeats_does_not_grow_the_record() -> None:
    """Of more than fit the latest are kept, and one older than all of these counts nowhere."""
    with patch.object(module, "HEARTBEATS_MAX", 3):
        pipeline = _fed(*(_beat(NOON + ms, 1) for ms in (1, 2, 3, 4, 5)))
        assert [beat.time_ms - NOON for beat in pipeline.room().heartbeats] == [3, 4, 5]
        before = len(pipeline.stored["rooms"]["L"])
        pipeline.feed([(5, NOON + 5, _beat(NOON + 2, 99))])
        assert len(pipeline.room().heartbeats) == 3
        assert len(pipeline.stored["rooms"]["L"]) == before
        assert max(pipeline.cells()[1].values()) == 1


def test_more_viewers_than_people_are_counted_as_the_limit() -> None:
    """The largest number that an event may carry fits into the sums of a day."""
    added, _ = _fed(_beat(NOON, 2**53 - 1)).cells()
    assert max(added.values()) == module.VIEWERS_MAX * 10_000 < 2**63 // 8_640


def _pin(time_ms: int, product_id: str) -> RoomsEvent:
    return _event(ProductPin, time_ms, product_id=product_id)


def test_a_pin_counts_from_its_latest_pin_until_an_unpin_or_the_end() -> None:
    """What is pinned again counts from then; an end takes all off the screen, a later pin is on it again."""
    first = (_pin(NOON, "p1"), _pin(NOON + 1, "p2"), _pin(NOON + 2, "p1"))
    assert pinned(_fed(*first).room()) == [("p1", NOON + 2), ("p2", NOON + 1)]
    unpin = _event(ProductUnpin, NOON + 3, product_id="p1")
    assert pinned(_fed(*first, unpin).room()) == [("p2", NOON + 1)]
    over = _event(LiveEnd, NOON + 4)
    assert pinned(_fed(*first, unpin, over).room()) == []
    again = (_event(LiveStart, NOON + 5), _pin(NOON + 6, "p3"))
    room = _fed(*first, unpin, over, *again).room()
    assert (pinned(room), room.ended_ms) == ([("p3", NOON + 6)], None)


@given(st.permutations(range(7)))
def test_of_too_many_products_those_with_the_latest_word_are_kept(order: list[int]) -> None:
    """Whatever the order of arrival, the same products are kept."""
    with patch.object(module, "PINS_MAX", 3):
        events = [_pin(NOON + number, f"p{number % 5}") for number in order]
        pipeline = _fed(*events)
        assert pinned(pipeline.room()) == [("p1", NOON + 6), ("p0", NOON + 5), ("p4", NOON + 4)]
        assert len(pipeline.room().pins) == 3


def test_a_creator_has_its_latest_lives() -> None:
    """The earliest of too many goes, whichever came last; two that start at once stand by their names."""
    starts = [("L3", 3), ("L1", 1), ("L4", 4), ("L0", 0), ("L5", 4)]
    with patch.object(module, "CREATOR_LIVES_MAX", 3):
        events = [_event(LiveStart, NOON + ms, live, creator_id="C") for live, ms in starts]
        assert _fed(*events).lives() == {"C": [("L5", NOON + 4), ("L4", NOON + 4), ("L3", NOON + 3)]}


def test_the_entry_follows_a_new_creator_and_an_earlier_start() -> None:
    """A live stands under one creator, at its earliest start, also if another owner put it there."""
    pipeline = _fed(_event(LiveStart, NOON, creator_id="C1"))
    pipeline.new_owner()
    pipeline.feed([(1, NOON, _event(LiveStart, NOON - 5))])
    assert pipeline.lives() == {"C1": [("L", NOON - 5)]}
    pipeline.feed([(2, NOON, _event(LiveStart, NOON + 1, creator_id="C2"))])
    assert pipeline.lives() == {"C2": [("L", NOON - 5)]}
    pipeline.feed([(3, NOON, _event(LiveEnd, NOON + 2, creator_id="C1"))])
    assert pipeline.lives() == {"C2": [("L", NOON - 5)]}


@pytest.mark.parametrize(("days", "remembered"), [(LIVES_KEPT_DAYS, True), (LIVES_KEPT_DAYS + 1, False)])
def test_a_record_of_long_ago_counts_as_absent(days: int, remembered: bool) -> None:
    """Whether the deletion ran or not: an old record says nothing, and the same id is a new room."""
    pipeline = _fed(_event(LiveStart, NOON, creator_id="C1"), _pin(NOON, "p"))
    pipeline.new_owner()
    later = NOON + days * DAY_MS
    pipeline.feed([(9, later, _beat(later, 1))])
    room = pipeline.room()
    assert (room.creator_id, bool(pinned(room))) == (("C1", True) if remembered else (None, False))
    assert room.filed_day == day_of(NOON if remembered else later)


def test_a_room_is_filed_under_the_day_of_its_first_event() -> None:
    """What the log tells first files the record; an earlier start moves nothing."""
    midnight = NOON + DAY_MS // 2
    pipeline = _fed(_beat(midnight, 1), _event(LiveStart, midnight - 1))
    assert pipeline.book.rooms.take().filed == {day_of(midnight): ["L"]}


def test_shoppers_and_other_figure_sets_touch_no_room() -> None:
    """What shoppers do makes no record; where viewers are not kept the book takes no topic."""
    join = LiveJoin(
        event_id="e", event_time_ms=NOON, platform="tiktok", user_id="u", session_id="s", live_id="L"
    )
    pipeline = Pipeline()
    assert pipeline.book.ids(_chunk([(0, NOON, join)])) == {"rooms": [], "creators": []}
    pipeline.feed([(0, NOON, join)])
    assert pipeline.book.rooms.dirty == 0
    assert pipeline.book.topics == {"livestreams"}
    assert Pipeline("funnel-gmv").book.topics == frozenset()

"""Ids of traffic: when a record is a repetition, what is saved, and what a new owner takes over."""

from __future__ import annotations

import random
import tracemalloc
from collections import defaultdict
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import identity
from streams.identity import IdWindow, hashes_of
from streams.packed_ids import HASH_BYTES
from streams.window import MINUTE_MS

HORIZON = 6
FUTURE_MS = 5 * MINUTE_MS
NOON_MS = 1_767_614_400_000


def _admit(window: IdWindow, event_id: str, ingest_ms: int, event_ms: int | None = None) -> bool:
    return bool(window.admit([event_id], [ingest_ms], [ingest_ms if event_ms is None else event_ms]))


class Saved:
    """What the guarded writes leave of a window in Redis."""

    def __init__(self) -> None:
        self.minutes: defaultdict[int, bytes] = defaultdict(bytes)

    def save(self, window: IdWindow) -> None:
        """Applies what the window has not saved yet."""
        unsaved, expired = window.take_unsaved()
        for minute, packed in unsaved.items():
            self.minutes[minute] += packed
        for minute in expired:
            self.minutes.pop(minute, None)

    def next_owner(self, ingest_ms: int) -> IdWindow:
        """A window built from what is saved."""
        window = IdWindow(HORIZON)
        for minute in window.minutes_to_load(ingest_ms, FUTURE_MS):
            if self.minutes[minute]:
                window.load(minute, self.minutes[minute])
        return window


def test_hashes_are_the_same_on_every_machine() -> None:
    """What one owner stored another one recognises: xxh3 of the UTF-8 bytes, 8 bytes an id."""
    assert hashes_of(["", "e1", "größe"]) == [
        0x2D06800538D394C2,
        0x1F7E24023B50EAEF,
        0xA6D7BBEA01D4872C,
    ]
    assert all(0 <= each < 1 << 8 * HASH_BYTES for each in hashes_of(map(str, range(100))))


def test_a_repetition_counts_whole_minutes() -> None:
    """An id is known up to the last millisecond of the sixth minute after the one it was accepted in."""
    last_of_minute = NOON_MS + MINUTE_MS - 1
    for accepted_ms in (NOON_MS, last_of_minute):
        window = IdWindow(HORIZON)
        assert _admit(window, "e1", accepted_ms)
        assert not _admit(window, "e1", accepted_ms)
        assert not _admit(window, "e1", NOON_MS + 7 * MINUTE_MS - 1)
        assert _admit(window, "e1", NOON_MS + 7 * MINUTE_MS)


def test_an_event_ahead_is_remembered_from_its_own_time() -> None:
    """m is the later of ingest and event time: an event 4 minutes ahead is known 4 minutes longer."""
    window = IdWindow(HORIZON)
    assert _admit(window, "e1", NOON_MS, NOON_MS + 4 * MINUTE_MS)
    assert _admit(window, "e2", NOON_MS, NOON_MS - 4 * MINUTE_MS)
    assert not _admit(window, "e2", NOON_MS + 7 * MINUTE_MS - 1)
    assert not _admit(window, "e1", NOON_MS + 11 * MINUTE_MS - 1)
    assert _admit(window, "e1", NOON_MS + 11 * MINUTE_MS)


def test_a_chunk_may_repeat_itself_and_span_minutes() -> None:
    """Indexes of the new ones come in order; a minute that ends within the chunk expires within it."""
    window = IdWindow(HORIZON)
    ids = ["a", "b", "a", "c", "b", "a"]
    ingest = [NOON_MS, NOON_MS, NOON_MS + 1, NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS]
    ingest.append(NOON_MS + 7 * MINUTE_MS)
    assert window.admit(ids, ingest, ingest) == [0, 1, 3, 5]
    assert window.admit([], [], []) == []


def test_expired_ids_leave_memory_and_redis() -> None:
    """A minute past the horizon is forgotten, and named once for deletion; saved or not."""
    window = IdWindow(HORIZON)
    _admit(window, "e1", NOON_MS)
    unsaved, expired = window.take_unsaved()
    assert list(unsaved) == [NOON_MS // MINUTE_MS]
    assert unsaved[NOON_MS // MINUTE_MS] == hashes_of(["e1"])[0].to_bytes(HASH_BYTES, "little")
    assert expired == []
    _admit(window, "e2", NOON_MS + MINUTE_MS)
    _admit(window, "e3", NOON_MS + 20 * MINUTE_MS)
    assert len(window) == 1
    unsaved, expired = window.take_unsaved()
    assert list(unsaved) == [NOON_MS // MINUTE_MS + 20]
    assert sorted(expired) == [NOON_MS // MINUTE_MS, NOON_MS // MINUTE_MS + 1]
    assert window.take_unsaved() == ({}, [])


def test_time_alone_expires() -> None:
    """Ingest time also moves by records that are refused: what it passes leaves Redis with the next write.

    A later owner would not look at these minutes any more, and so never delete them.
    """
    window = IdWindow(HORIZON)
    _admit(window, "e1", NOON_MS)
    window.take_unsaved()
    window.expire(NOON_MS + 7 * MINUTE_MS)
    assert window.take_unsaved() == ({}, [NOON_MS // MINUTE_MS])


def test_a_new_owner_knows_what_the_old_one_did() -> None:
    """Ids of the horizon and of the future are loaded; older minutes are not even asked for."""
    saved = Saved()
    window = IdWindow(HORIZON)
    _admit(window, "old", NOON_MS - HORIZON * MINUTE_MS)
    _admit(window, "ahead", NOON_MS, NOON_MS + FUTURE_MS)
    saved.save(window)
    after = saved.next_owner(NOON_MS)
    assert len(after) == 2
    assert not _admit(after, "old", NOON_MS + MINUTE_MS - 1)
    assert not _admit(after, "ahead", NOON_MS + MINUTE_MS)
    asked = after.minutes_to_load(NOON_MS, FUTURE_MS)
    assert (asked[0], asked[-1]) == (NOON_MS // MINUTE_MS - HORIZON, NOON_MS // MINUTE_MS + 5)


records = st.tuples(
    st.sampled_from("abcdef"),
    st.sampled_from([0, 0, 1, 30_000, MINUTE_MS, 3 * MINUTE_MS, 6 * MINUTE_MS, 30 * MINUTE_MS]),
    st.sampled_from([0, -1, -MINUTE_MS, -5 * MINUTE_MS, MINUTE_MS, 5 * MINUTE_MS]),
)


@pytest.mark.parametrize(
    ("packed_ids_min", "part_ids"), [(1, 1), (2, 3), (identity.PACKED_IDS_MIN, identity.PART_IDS)]
)
@given(st.lists(st.tuples(st.lists(records, max_size=8), st.sampled_from(["", "save", "take over"]))))
def test_any_sequence_equals_the_plain_rule(
    packed_ids_min: int, part_ids: int, chunks: list[tuple[list[tuple[str, int, int]], str]]
) -> None:
    """In any chunks, with saves and take-overs between them, packed or not: accepted = not accepted within
    the horizon."""
    with patch.multiple(identity, PACKED_IDS_MIN=packed_ids_min, PART_IDS=part_ids):
        _hold_to_the_plain_rule(chunks)


def _hold_to_the_plain_rule(chunks: list[tuple[list[tuple[str, int, int]], str]]) -> None:
    accepted: defaultdict[str, list[int]] = defaultdict(list)
    saved, window, now = Saved(), IdWindow(HORIZON), NOON_MS
    for chunk, then in chunks:
        ids, ingest, times, expected = [], [], [], []
        for index, (event_id, step, offset) in enumerate(chunk):
            now += step
            m_minute = max(now, now + offset) // MINUTE_MS
            if all(now // MINUTE_MS - minute > HORIZON for minute in accepted[event_id]):
                accepted[event_id].append(m_minute)
                expected.append(index)
            ids.append(event_id)
            ingest.append(now)
            times.append(now + offset)
        assert window.admit(ids, ingest, times) == expected
        if then:
            saved.save(window)
        if then == "take over":
            window = saved.next_owner(now)
    window.expire(now)
    saved.save(window)
    assert all(minute >= now // MINUTE_MS - HORIZON for minute, packed in saved.minutes.items() if packed)


def test_ids_take_little_memory() -> None:
    """16 bytes an id at most, while its minute goes on and when it is over, but for those that are not a part
    yet; a set of integers takes 70. Each id is still known, while of 20 000 others none is."""
    ids = [f"e{number}" for number in range(100_000)]
    others = [f"f{number}" for number in range(20_000)]
    batch = 4_000
    window = IdWindow(HORIZON)
    tracemalloc.start()
    try:
        in_a_set = set(hashes_of(ids))
        of_set, _ = tracemalloc.get_traced_memory()
        del in_a_set
        before, _ = tracemalloc.get_traced_memory()
        for at in range(0, len(ids), batch):
            window.admit(ids[at : at + batch], [NOON_MS] * batch, [NOON_MS] * batch)
            window.take_unsaved()
        of_open = tracemalloc.get_traced_memory()[0] - before
        later = [NOON_MS + MINUTE_MS] * len(others)
        assert window.admit(others[:1], later[:1], later[:1]) == [0]
        of_packed = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert of_packed < 16 * len(ids) < 70 * len(ids) < of_set
    assert of_open < 16 * len(ids) + 150 * (identity.PART_IDS + batch)
    again = [*random.Random(1).sample(ids, 20_000), *others]
    assert window.admit(again, later * 2, later * 2) == list(range(20_001, 40_000))
    assert len(window) == len(ids) + len(others)


def test_a_minute_may_be_known_in_parts() -> None:
    """What a new owner loads of the minute that is going on, each part of it that was packed since, and what
    is not a part yet, all are known; when the minute is over they are one."""
    saved, window = Saved(), IdWindow(HORIZON)
    with patch.multiple(identity, PACKED_IDS_MIN=2, PART_IDS=3):
        now = [NOON_MS] * 4
        window.admit(["a", "b", "c"], now[:3], now[:3])
        saved.save(window)
        after = saved.next_owner(NOON_MS)
        assert after.admit(["c", "d", "e", "f"], now, now) == [1, 2, 3]
        assert after.admit(["f", "g", "a"], now[:3], now[:3]) == [1]
        later = [NOON_MS + MINUTE_MS] * 8
        assert after.admit(list("abcdefgh"), later, later) == [7]
        assert len(after) == 8

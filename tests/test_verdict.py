"""Verdicts of a chunk: their order, their borders, and where records lie (the figures: scenarios)."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import DEFAULT_PLATFORMS, Reason
from schemas.partitioning import partition_of
from streams import verdict
from streams.batch import PlainRecord
from streams.progress import NEVER_MS
from streams.verdict import FUTURE_MS, Placement, Screen, Screened
from tests.scenario_kit import MINUTE, NOON, event

LATENESS = 5 * MINUTE
SCREEN = Screen("views", LATENESS, DEFAULT_PLATFORMS)


def _record(offset: int, timestamp: int, time_ms: int | None = None, **more: Any) -> PlainRecord:
    value = event("view", f"e{offset}", timestamp if time_ms is None else time_ms, **more)
    return PlainRecord(offset, timestamp, b"u1", json.dumps(value).encode())


def _screen(*records: PlainRecord, ingest_ms: int = NEVER_MS, partitions: int = 1) -> Screened:
    return SCREEN.screen(records, ingest_ms, Placement(0, partitions))


def _columns(out: Screened) -> list[tuple[int, int, int]]:
    return [
        (record.offset, ingest, time)
        for record, ingest, time in zip(out.records, out.ingest_ms, out.times_ms, strict=True)
    ]


def test_the_columns_belong_together() -> None:
    """After refusals of every kind each event still stands beside its own record and times."""
    out = _screen(
        _record(0, NOON),
        PlainRecord(1, NOON + MINUTE, b"u1", b"{"),
        _record(2, NOON - MINUTE),
        _record(3, NOON + 2 * MINUTE, NOON + 2 * MINUTE + FUTURE_MS + 1),
        _record(4, NOON, NOON + 2 * MINUTE - LATENESS - 1),
        _record(5, NOON + 3 * MINUTE, platform="elsewhere"),
    )
    assert _columns(out) == [
        (0, NOON, NOON),
        (2, NOON + MINUTE, NOON - MINUTE),
        (5, NOON + 3 * MINUTE, NOON + 3 * MINUTE),
    ]
    assert [each.event_id for each in out.events] == ["e0", "e2", "e5"]
    assert out.events[2].platform == "other"
    refused = [(each.record.offset, each.reason, ingest) for each, ingest in out.refused]
    assert refused == [
        (1, Reason.NOT_JSON, NOON + MINUTE),
        (3, Reason.FUTURE_TIME, NOON + 2 * MINUTE),
        (4, Reason.LATE, NOON + 2 * MINUTE),
    ]
    assert [(each.event_id, ingest) for each, ingest in out.late_events] == [("e4", NOON + 2 * MINUTE)]
    assert out.end_ingest_ms == NOON + 3 * MINUTE


def test_details_name_the_distance() -> None:
    """Whoever reads the dead letter sees by how much the record is off."""
    out = _screen(_record(0, NOON, NOON + FUTURE_MS + 7), _record(1, NOON, NOON - LATENESS - 9))
    assert [each.detail for each, _ in out.refused] == [
        "event time is 300007 ms ahead of Kafka's timestamp",
        "event time is 300009 ms behind ingest time",
    ]


def test_the_limits_are_inside() -> None:
    """Exactly five minutes ahead, and exactly the lateness limit behind, are in time."""
    out = _screen(_record(0, NOON, NOON + FUTURE_MS), _record(1, NOON, NOON - LATENESS))
    assert len(out.events) == 2 and out.refused == []


def test_an_empty_chunk_keeps_ingest_time() -> None:
    """No record moves nothing; a chunk of refused records moves ingest time."""
    out = _screen(ingest_ms=NOON)
    assert (out.end_ingest_ms, out.events, out.refused) == (NOON, [], [])
    assert _screen(PlainRecord(0, NOON + 1, None, b"{"), ingest_ms=NOON).end_ingest_ms == NOON + 1
    assert _screen(_record(0, NOON), ingest_ms=NOON + MINUTE).end_ingest_ms == NOON + MINUTE


steps = st.tuples(
    st.sampled_from([0, 1, MINUTE, -MINUTE, 6 * MINUTE]),
    st.sampled_from([0, -MINUTE, -LATENESS, -LATENESS - 1, FUTURE_MS, FUTURE_MS + 1, None]),
)


@given(st.lists(steps, max_size=8), st.lists(st.integers(0, 8), max_size=3))
def test_a_chunk_equals_its_records_one_by_one(log: list[tuple[int, int | None]], cuts: list[int]) -> None:
    """Verdicts depend on the log's prefix only, never on how it was cut into chunks."""
    now, records = NOON, []
    for offset, (step, away) in enumerate(log):
        now += step
        broken = PlainRecord(offset, now, None, b"{")
        records.append(broken if away is None else _record(offset, now, now + away))

    def screened(borders: list[int]) -> tuple[list[tuple[int, int, int]], list[tuple[int, Reason, int]], int]:
        columns, refused, ingest_ms = [], [], NEVER_MS
        for start, end in zip([0, *borders], [*borders, len(records)], strict=True):
            out = _screen(*records[start:end], ingest_ms=ingest_ms)
            columns += _columns(out)
            refused += [(each.record.offset, each.reason, at) for each, at in out.refused]
            ingest_ms = out.end_ingest_ms
        return columns, sorted(refused), ingest_ms

    borders = sorted(min(cut, len(records)) for cut in cuts)
    assert screened(borders) == screened(list(range(1, len(records))))


def test_misplaced_keys_are_found_and_remembered(monkeypatch: Any) -> None:
    """A key of another partition, and none, are misplaced each time; a right key is hashed once."""
    keys = [f"u{number}".encode() for number in range(20)]
    right = [key for key in keys if partition_of(key, 4) == 2]
    hashed: list[bytes] = []

    def counting(key: bytes, partitions: int) -> int:
        hashed.append(key)
        return partition_of(key, partitions)

    monkeypatch.setattr(verdict, "partition_of", counting)
    placement = Placement(2, 4)
    for _ in range(2):
        assert placement.misplaced([*keys, None]) == {*keys, None} - set(right)
    assert sorted(hashed) == sorted([*keys, *set(keys).difference(right)])


def test_remembered_keys_are_bounded(monkeypatch: Any) -> None:
    """Past the limit the memory of right keys starts anew; the answer stays the same."""
    monkeypatch.setattr(verdict, "PLACED_KEYS_MAX", 3)
    placement = Placement(0, 1)
    for _ in range(3):
        assert placement.misplaced([b"a", b"b", b"c", b"d"]) == set()


def test_heartbeats_may_lie_anywhere() -> None:
    """A producer's heartbeat goes to every partition: its key says nothing. Rejected records neither."""
    heartbeat = {"event_type": "source_heartbeat", "event_id": "h", "event_time_ms": NOON}
    value = json.dumps(heartbeat | {"platform": "tiktok", "source": "app"}).encode()
    out = _screen(
        PlainRecord(0, NOON, None, value),
        PlainRecord(1, NOON, None, b"{"),
        _record(2, NOON)._replace(key=None),
        _record(3, NOON, NOON - LATENESS - 1)._replace(key=None),
    )
    assert out.misplaced == [NOON, NOON]

"""The log must be the one that the state was built from: every way in which it may not be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

import pytest

from streams.batch import PlainRecord
from streams.errors import PulseError, UnusableStateError
from streams.log_check import (
    GONE_AFTER_S,
    Bounds,
    CountCheck,
    LogUnavailableError,
    check_counts,
    start_offsets,
)
from streams.progress import Progress

ANEW = "`shop-pulse rebuild` counts the log anew"
ANEW_IN_PART = "`shop-pulse rebuild --accept-incomplete` counts what is left"


@dataclass
class PlainLog:
    """A log in memory."""

    counts: Mapping[str, int] | None = field(default_factory=dict)
    ends: Mapping[str, Bounds] = field(default_factory=dict)
    records: Mapping[int, PlainRecord] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    async def partition_counts(self) -> Mapping[str, int]:
        """See `log_check.Log`; with None Kafka does not answer."""
        if self.counts is None:
            raise LogUnavailableError("Kafka does not answer")
        return self.counts

    async def bounds(self, partition: int) -> Mapping[str, Bounds]:
        """See `log_check.Log`."""
        return self.ends

    async def record_at(self, topic: str, partition: int, offset: int) -> PlainRecord | None:
        """See `log_check.Log`."""
        self.asked.append(offset)
        return self.records.get(offset)


def _start(log: PlainLog, progress: Progress, *, may_begin_late: bool = False) -> int:
    began = start_offsets(log, 3, {"views": progress}, may_begin_late=may_begin_late)
    return asyncio.run(began)["views"]


def _log(start: int, end: int, *records: PlainRecord) -> PlainLog:
    bounds = {"views": Bounds(start, end), "carts": Bounds(0, 0)}
    return PlainLog(ends=bounds, records={record.offset: record for record in records})


RECORD = PlainRecord(9, 1_000, b"u1", b"value")
LAST = (9, 1_000, crc32(b"value"))


def test_a_topic_never_read_starts_at_its_beginning() -> None:
    """Where a rebuild was told to go on without what is gone, also at an offset above 0."""
    assert _start(_log(0, 20), Progress()) == 0
    assert _start(_log(5, 20), Progress(), may_begin_late=True) == 5
    assert _start(_log(5, 5), Progress(), may_begin_late=True) == 5


@pytest.mark.parametrize("end", [5, 20])
def test_a_beginning_that_nobody_counted_is_not_passed_over(end: int) -> None:
    """Redis knows nothing of a log that was cut: figures of what is left would look like those of all."""
    with pytest.raises(UnusableStateError) as raised:
        _start(_log(5, end), Progress())
    text = str(raised.value)
    assert "the first 5 records of topic views partition 3 were deleted, and Redis holds no figures" in text
    assert "restore Redis" in text and ANEW_IN_PART in text and "\n" not in text


def test_reading_goes_on_where_the_state_ends() -> None:
    """The last record applied is still there, as it was."""
    log = _log(0, 20, RECORD)
    assert _start(log, Progress(next_offset=10, last=LAST)) == 10
    assert log.asked == [9]


def test_the_ends_of_the_log_are_inside() -> None:
    """Nothing new, and everything counted deleted since, are both in order."""
    assert _start(_log(0, 10, RECORD), Progress(next_offset=10, last=LAST)) == 10
    deleted = _log(10, 10)
    assert _start(deleted, Progress(next_offset=10, last=LAST)) == 10
    assert deleted.asked == []
    assert _start(_log(0, 10), Progress(next_offset=10)) == 10


def test_a_record_without_value_has_a_crc_too() -> None:
    """A tombstone is compared like any record."""
    log = _log(0, 20, PlainRecord(9, 1_000, b"u1", None))
    assert _start(log, Progress(next_offset=10, last=(9, 1_000, 0))) == 10


@pytest.mark.parametrize(
    "found",
    [
        RECORD._replace(value=b"other"),
        RECORD._replace(timestamp=1_001),
        RECORD._replace(offset=8),
        None,
    ],
)
def test_another_record_is_a_recreated_topic(found: PlainRecord | None) -> None:
    """Another value, time or place at the last offset stops the worker, with the command that continues."""
    log = _log(0, 20)
    log.records = {} if found is None else {9: found}
    with pytest.raises(PulseError) as raised:
        _start(log, Progress(next_offset=10, last=LAST))
    text = str(raised.value)
    assert "topic views partition 3 holds another record at offset 9" in text
    assert "recreated" in text and ANEW in text and "\n" not in text


def test_a_log_that_ends_early_was_truncated() -> None:
    """Fewer records than were counted."""
    with pytest.raises(PulseError, match="ends at offset 9, but 10 records were counted") as raised:
        _start(_log(0, 9), Progress(next_offset=10, last=LAST))
    assert ANEW in str(raised.value)


def test_records_deleted_unread_are_named() -> None:
    """The log begins after what was counted: the figures would miss what lay between."""
    with pytest.raises(PulseError, match="2 were deleted unread") as raised:
        _start(_log(12, 20), Progress(next_offset=10, last=LAST))
    assert ANEW_IN_PART in str(raised.value)


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ({"views": 4}, "topics are missing: carts; create them with `shop-pulse topics`"),
        ({"views": 4, "carts": 5}, "topic carts has 5 partitions, SHOP_PULSE_PARTITIONS says 4"),
    ],
)
def test_every_topic_has_the_number_of_partitions(counts: dict[str, int], says: str) -> None:
    """A missing topic and another count are said before anything is read."""
    with pytest.raises(PulseError) as raised:
        asyncio.run(check_counts(PlainLog(counts), ("views", "carts"), 4))
    assert says in str(raised.value)
    asyncio.run(check_counts(PlainLog({"views": 4, "carts": 4}), ("views", "carts"), 4))


BOTH = {"views": 4, "carts": 4}


class Running:
    """The check of a worker that runs, at a time of its own."""

    def __init__(self) -> None:
        self.log = PlainLog(BOTH)
        self.now_s = 1_000.0
        self._check = CountCheck(self.log, ("views", "carts"), 4, lambda: self.now_s)

    def says(self, counts: Mapping[str, int] | None, after_s: float) -> str:
        """What it says so long after the last time; None: Kafka does not answer."""
        self.now_s += after_s
        self.log.counts = counts
        try:
            asyncio.run(self._check.check())
        except (LogUnavailableError, PulseError) as error:
            return f"{type(error).__name__}: {error}"
        return ""


def test_added_partitions_are_said_at_once() -> None:
    """The first look after it says so, in the line of a worker that starts."""
    running = Running()
    assert running.says(BOTH, 0) == ""
    line = running.says({"views": 4, "carts": 5}, 0)
    assert line.startswith("PulseError: topic carts has 5 partitions, SHOP_PULSE_PARTITIONS says 4")
    assert "with SHOP_PULSE_PARTITIONS=5 `shop-pulse rebuild`" in line


def test_a_topic_is_gone_once_it_stayed_away() -> None:
    """Half a minute of answers without it, in a row: brokers that start know no topic for a moment."""
    running = Running()
    waits = "LogUnavailableError: Kafka does not know all topics at the moment (carts)"
    assert running.says({"views": 4}, 0) == waits
    assert running.says({"views": 4}, GONE_AFTER_S - 1) == waits
    line = running.says({"views": 4}, 1)
    assert line.startswith("PulseError: topics are missing: carts; create them with `shop-pulse topics`")


@pytest.mark.parametrize("between", [BOTH, None])
def test_a_broker_that_was_away_begins_anew(between: Mapping[str, int] | None) -> None:
    """An answer with the topic, or none at all, between two without it: it was not away all the time."""
    running = Running()
    waits = "LogUnavailableError: Kafka does not know"
    assert running.says({"views": 4}, 0).startswith(waits)
    running.says(between, GONE_AFTER_S)
    assert running.says({"views": 4}, GONE_AFTER_S).startswith(waits)
    assert running.says({"views": 4}, GONE_AFTER_S - 1).startswith(waits)

"""Whether the log is still the one that the state was built from; asked at every take-over.

A recreated topic, a truncated log, a log without its beginning or another partition count would silently make
figures wrong, so each stops the worker with the command that continues. Nothing is ever reset on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from streams.batch import LogRecord
from streams.errors import REBUILD, REBUILD_INCOMPLETE, PulseError, UnusableStateError
from streams.progress import Progress

# A broker that starts may know no topic for a moment: only what stays unknown for so long is gone.
GONE_AFTER_S = 30.0


class LogUnavailableError(Exception):
    """Kafka cannot be asked at the moment; the text says why."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """First and next offset of a topic-partition's log."""

    start: int
    end: int


class Log(Protocol):
    """What the check asks of Kafka. Each raises LogUnavailableError if Kafka does not answer."""

    async def partition_counts(self) -> Mapping[str, int]:
        """Partitions of each input topic that exists, by base name."""

    async def bounds(self, partition: int) -> Mapping[str, Bounds]:
        """Bounds of each input topic's partition, by base name."""

    async def record_at(self, topic: str, partition: int, offset: int) -> LogRecord | None:
        """The record at this offset, or None if the log holds none there."""


async def check_counts(log: Log, topics: tuple[str, ...], partitions: int) -> None:
    """Raises PulseError if a topic is missing or has another number of partitions."""
    check_equal(await log.partition_counts(), topics, partitions)


def check_equal(counts: Mapping[str, int], topics: tuple[str, ...], partitions: int) -> None:
    """Raises PulseError unless each of the topics is among `counts`, with this number of partitions."""
    missing = [topic for topic in topics if topic not in counts]
    if missing:
        raise PulseError(f"topics are missing: {' '.join(missing)}; create them with `shop-pulse topics`")
    other = {topic: count for topic, count in counts.items() if count != partitions}
    if other:
        topic, count = next(iter(other.items()))
        raise PulseError(
            f"topic {topic} has {count} partitions, SHOP_PULSE_PARTITIONS says {partitions}: all topics need "
            "the same number (see `shop-pulse topics --check`), and changing it moves keys; with "
            f"SHOP_PULSE_PARTITIONS={count} {REBUILD}"
        )


class CountCheck:
    """Whether the topics of a worker that runs are still there, with as many partitions as the setting says.

    `now_s` is a clock that does not jump.
    """

    def __init__(
        self, log: Log, topics: tuple[str, ...], partitions: int, now_s: Callable[[], float]
    ) -> None:
        self._log = log
        self._topics = topics
        self._partitions = partitions
        self._now_s = now_s
        self._missing_since_s: float | None = None

    async def check(self) -> None:
        """Raises PulseError if they are not, and LogUnavailableError where that is not known yet."""
        try:
            counts = await self._log.partition_counts()
        except LogUnavailableError:
            self._missing_since_s = None
            raise
        missing = [topic for topic in self._topics if topic not in counts]
        if not missing:
            self._missing_since_s = None
        elif self._missing_since_s is None:
            self._missing_since_s = self._now_s()
        since_s = self._missing_since_s
        if since_s is not None and self._now_s() - since_s < GONE_AFTER_S:
            raise LogUnavailableError(f"Kafka does not know all topics at the moment ({' '.join(missing)})")
        check_equal(counts, self._topics, self._partitions)

    async def check_for(self, partition: int) -> None:
        """The same, before a partition number is taken over."""
        await self.check()
        if partition >= self._partitions:
            # Partitions were added, and a broker that lags behind tells the count from before.
            raise LogUnavailableError(
                f"Kafka assigned partition {partition}, and says that there are {self._partitions}"
            )


async def start_offsets(
    log: Log, partition: int, topics: Mapping[str, Progress], *, may_begin_late: bool
) -> dict[str, int]:
    """Where to read each topic from. Raises PulseError if the log is not the one the state was built from.

    `may_begin_late`: figures that are begun now may lack what the log no longer holds.
    """
    bounds = await log.bounds(partition)
    offsets: dict[str, int] = {}
    for topic, progress in topics.items():
        bound = bounds[topic]
        if progress.next_offset is None:
            if bound.start and not may_begin_late:
                raise UnusableStateError(
                    f"the first {bound.start} records of topic {topic} partition {partition} were deleted, "
                    "and Redis holds no figures of them (was it emptied? is it another one?): restore Redis, "
                    f"or {REBUILD_INCOMPLETE}"
                )
            offsets[topic] = bound.start
            continue
        _check_bounds(topic, partition, progress.next_offset, bound)
        if progress.last is not None and progress.last[0] >= bound.start:
            await _check_last(log, topic, partition, progress.last)
        offsets[topic] = progress.next_offset
    return offsets


def _check_bounds(topic: str, partition: int, next_offset: int, bound: Bounds) -> None:
    where = f"topic {topic} partition {partition}"
    if bound.end < next_offset:
        raise UnusableStateError(
            f"{where} ends at offset {bound.end}, but {next_offset} records were counted: it was "
            f"truncated or recreated; {REBUILD}"
        )
    if bound.start > next_offset:
        raise UnusableStateError(
            f"{where} starts at offset {bound.start}, but only {next_offset} records were counted: "
            f"{bound.start - next_offset} were deleted unread; {REBUILD_INCOMPLETE}"
        )


async def _check_last(log: Log, topic: str, partition: int, last: tuple[int, int, int]) -> None:
    offset, timestamp, crc = last
    record = await log.record_at(topic, partition, offset)
    found = None if record is None else (record.offset, record.timestamp, crc32(record.value or b""))
    if found != (offset, timestamp, crc):
        raise UnusableStateError(
            f"topic {topic} partition {partition} holds another record at offset {offset} than was "
            f"counted: the topic was recreated; {REBUILD}"
        )

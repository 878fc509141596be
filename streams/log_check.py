"""Whether the log is still the one that the state was built from; asked at every take-over.

A recreated topic, a truncated log or another partition count would silently make figures wrong, so each
stops the worker with the command that continues. Nothing is ever reset on its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from streams.batch import LogRecord
from streams.errors import REBUILD, REBUILD_INCOMPLETE, PulseError, UnusableStateError
from streams.progress import Progress

logger = logging.getLogger(__name__)


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


async def start_offsets(log: Log, partition: int, topics: Mapping[str, Progress]) -> dict[str, int]:
    """Where to read each topic from. Raises PulseError if the log is not the one the state was built from."""
    bounds = await log.bounds(partition)
    offsets: dict[str, int] = {}
    for topic, progress in topics.items():
        bound = bounds[topic]
        if progress.next_offset is None:
            if bound.start:
                logger.warning(
                    "topic %s partition %d starts at offset %d: figures begin there, not with the shop",
                    topic, partition, bound.start,
                )  # fmt: skip
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

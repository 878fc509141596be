"""What the transport hands over: one fetch of one topic-partition, with the positions around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

# Records folded at a time: bounds the cells that one step can add, and how long the event loop is held.
CHUNK_RECORDS = 1_000
# The order service's records have up to 200 lines, each of which touches dozens of cells: also by bytes.
CHUNK_PURCHASES = 200
CHUNK_PURCHASES_BYTES = 64 * 1024


class LogRecord(Protocol):
    """A record as it lies in the log; aiokafka's raw record has these attributes."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class PlainRecord(NamedTuple):
    """A record made by hand: tests, and refunds that were kept until their order came."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Records between two fetch positions of a topic-partition.

    Attributes:
        topic: base name, without the prefix.
        partition: partition number.
        epoch: fetch epoch of the partition; a batch of an older epoch is dropped.
        before: position before the fetch. The batch is applied only if this is the next offset.
        after: position after it. Not the last offset + 1: control records and aborted transactions
            move the position without a record.
        records: in offset order, possibly none.
    """

    topic: str
    partition: int
    epoch: int
    before: int
    after: int
    records: Sequence[LogRecord]


def chunks(batch: Batch) -> Iterator[Sequence[LogRecord]]:
    """A batch's records in pieces that one step may fold."""
    records = batch.records
    if batch.topic != "purchases":
        for at in range(0, len(records), CHUNK_RECORDS):
            yield records[at : at + CHUNK_RECORDS]
        return
    start = size = 0
    for index, record in enumerate(records):
        size += len(record.value or b"")
        if index > start and (size > CHUNK_PURCHASES_BYTES or index - start == CHUNK_PURCHASES):
            yield records[start:index]
            start, size = index, len(record.value or b"")
    if records:
        yield records[start:]

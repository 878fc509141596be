"""What the transport hands over: one fetch of one topic-partition, with the positions around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


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

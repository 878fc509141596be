"""What goes into a recomputation and what comes out of it: shapes only.

A `LogRecord` is one Kafka record; a `Booking` is one contribution to figures; an `Expected` is what Redis
and the output topics must hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Scope = tuple[str, str]
"""(kind, value): ("all", ""), ("live", "L1"), and for quality ("pipeline", topic)."""

PaneKey = tuple[str, str, int]
"""(kind, size, start_ms)"""

Panes = dict[PaneKey, dict[str, int]]
"""Per pane the fields as they are named in Redis: "<measure>|<value>" -> sum."""

CellKey = tuple[str, str, str, int, str]
"""(kind, value, size, start_ms, measure)"""

DeadLetter = tuple[str, int, int, str]
"""(topic, partition, offset, reason); `topic` is the base name, without prefix."""

RecordId = tuple[str, int, int]
"""(topic, partition, offset)"""


class LogRecord(NamedTuple):
    """One Kafka record; `topic` is the base name, without prefix."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Booking(NamedTuple):
    """`amounts` (measure, change) to be added in each of `scopes`, in the panes that hold `time_ms`."""

    time_ms: int
    scopes: tuple[Scope, ...]
    amounts: tuple[tuple[str, int], ...]


@dataclass(kw_only=True)
class PartitionExpected:
    """What the log of one partition number, over all topics, amounts to.

    `h` is the highest accepted event time (None: nothing was accepted), `ingest` and `highest` the ingest
    time and the highest accepted event time per topic. `waiting` are refunds whose order has not come:
    a record of the log that is not yet applied may still make dead letters of them.
    """

    partition: int
    records: int = 0
    h: int | None = None
    panes: Panes = field(default_factory=dict)
    dead_letters: set[DeadLetter] = field(default_factory=set)
    late: set[RecordId] = field(default_factory=set)
    waiting: set[RecordId] = field(default_factory=set)
    ingest: dict[str, int] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    orders: int = 0
    gmv_paid_minor: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """The partitions together."""

    partitions: Mapping[int, PartitionExpected]

    @property
    def h(self) -> dict[int, int]:
        """Highest accepted event time per partition number that accepted anything."""
        return {p: part.h for p, part in self.partitions.items() if part.h is not None}

    @property
    def dead_letters(self) -> set[DeadLetter]:
        """Every dead letter of every partition."""
        return set().union(*(part.dead_letters for part in self.partitions.values()))

    @property
    def late(self) -> set[RecordId]:
        """Every late record of every partition."""
        return set().union(*(part.late for part in self.partitions.values()))

    @property
    def cells(self) -> dict[CellKey, int]:
        """The partitions' cells added up; only panes that are kept, only sums that are not zero."""
        total: dict[CellKey, int] = {}
        for part in self.partitions.values():
            for key, amount in flat_cells(part.panes).items():
                total[key] = total.get(key, 0) + amount
        return {key: amount for key, amount in total.items() if amount}


def flat_cells(panes: Panes) -> dict[CellKey, int]:
    """Panes as one dict from (kind, value, size, start_ms, measure) to the sum, without zeros."""
    flat: dict[CellKey, int] = {}
    for (kind, size, start_ms), fields in panes.items():
        for name, amount in fields.items():
            if amount:
                measure, _, value = name.partition("|")
                flat[kind, value, size, start_ms, measure] = amount
    return flat

"""What goes into a recomputation and what comes out of it: shapes only.

A `LogRecord` is one Kafka record; a `Booking` is one contribution to figures; an `Expected` is what Redis
and the output topics must hold.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

Scope = tuple[str, str]
"""(kind, value): ("all", ""), ("live", "L1"), and for quality ("pipeline", topic)."""

PaneKey = tuple[str, str, int]
"""(kind, size, start_ms)"""

Panes = dict[PaneKey, dict[str, int]]
"""Per pane the fields as they are named in Redis: "<measure>|<value>" -> sum, of `max.` the highest."""

HIGHEST = "max."
"""Measures with this head are never added: the highest counts, over panes and partitions too."""

Users = dict[tuple[str, int], dict[str, "array[int]"]]
"""Per (size, start_ms) the distinct users by "<step>:<kind>:<value>": their numbers, ascending."""

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


class Traffic(NamedTuple):
    """One accepted, real event of a traffic topic, as far as it is counted anywhere.

    `user` and `session` are numbers for the ids, 0 where the event says nothing about them; `parts` are the
    measures that count it beside its type. `charge` is what a campaign was charged: measure and amount.
    """

    topic: str
    kind: str
    time_ms: int
    ingest_ms: int
    scopes: tuple[Scope, ...]
    user: int = 0
    session: int = 0
    parts: tuple[str, ...] = ()
    charge: tuple[str, int] | None = None
    offset: int = -1


class Counted(NamedTuple):
    """A scope of an event as its day counts it: `is_moved`, where that is under `other` because of a cap."""

    scope: Scope
    is_moved: bool


CountedIn = Mapping[tuple[str, int], Sequence[Counted]]
"""By (topic, offset) the scopes of an event."""


class Booking(NamedTuple):
    """`amounts` (measure, change) to be added in each of `scopes`, in the panes that hold `time_ms`."""

    time_ms: int
    scopes: tuple[Scope, ...]
    amounts: tuple[tuple[str, int], ...]


class Due(NamedTuple):
    """Commission of an order bought at `time_ms` that becomes final in an hour (since 1970), of one scope."""

    scope: Scope
    time_ms: int
    hour: int
    currency: str
    amount: int


class StockSet(NamedTuple):
    """What a SKU's stock was said to be: the latest `stock_set` by event time, then offset."""

    time_ms: int
    offset: int
    units: int


class Title(NamedTuple):
    """What a product was called last, by event time, then offset; its price, category and platform then."""

    time_ms: int
    offset: int
    title: str
    unit_price_minor: int
    currency: str
    category: str | None
    platform: str


class Rule(NamedTuple):
    """What redirects say of a rule: the earliest one's time, and by field (time, offset, value) of the
    earliest that has it."""

    first_ms: int
    said: Mapping[str, tuple[int, int, str]]


class Room(NamedTuple):
    """What a live's own events say last: heartbeat (time, viewers), since when each product is pinned, whose
    live it is, its earliest start, and its end if none came behind it."""

    began_ms: int
    heartbeat: tuple[int, int] | None
    pinned: Mapping[str, int]
    creator_id: str | None
    started_ms: int | None
    ended_ms: int | None


@dataclass(kw_only=True)
class PartitionExpected:
    """What the log of one partition number, over all topics, amounts to.

    `h` is the highest accepted event time (None: nothing was accepted), `ingest` and `highest` the ingest
    time and the highest accepted event time per topic. `waiting` are refunds whose order has not come:
    a record of the log that is not yet applied may still make dead letters of them. `stock` is by (product,
    sku or empty). `due` is what commission becomes final when, also of panes that don't tell any more.
    """

    partition: int
    records: int = 0
    h: int | None = None
    panes: Panes = field(default_factory=dict)
    users: Users = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    stock: dict[tuple[str, str], StockSet] = field(default_factory=dict)
    titles: dict[str, Title] = field(default_factory=dict)
    redirections: dict[str, Rule] = field(default_factory=dict)
    due: list[Due] = field(default_factory=list)
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
                put_together(total, key, key[4], amount)
        return {key: amount for key, amount in total.items() if amount}

    @property
    def user_counts(self) -> dict[CellKey, int]:
        """How many distinct users there are by (kind, value, size, start_ms, step), over the partitions."""
        total: dict[CellKey, int] = {}
        for part in self.partitions.values():
            for (size, start_ms), by_name in part.users.items():
                for name, users in by_name.items():
                    step, kind, value = name.split(":", 2)
                    key = (kind, value, size, start_ms, step)
                    total[key] = total.get(key, 0) + len(users)
        return total


Key = TypeVar("Key")


def put_together(total: dict[Key, int], key: Key, measure: str, amount: int) -> None:
    """Adds the amount, or keeps the higher one where `measure` is a highest value."""
    if measure.startswith(HIGHEST):
        total[key] = max(total.get(key, 0), amount)
    else:
        total[key] = total.get(key, 0) + amount


def flat_cells(panes: Panes) -> dict[CellKey, int]:
    """Panes as one dict from (kind, value, size, start_ms, measure) to the sum, without zeros."""
    flat: dict[CellKey, int] = {}
    for (kind, size, start_ms), fields in panes.items():
        for name, amount in fields.items():
            if amount:
                measure, _, value = name.partition("|")
                flat[kind, value, size, start_ms, measure] = amount
    return flat

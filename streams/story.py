"""What a story keeps beside counts of events: records of its own, made of accepted events.

Counts by field need no code (see `figures`). A story that has to remember something (who was there
yesterday, what a refund took) is a book of this shape; `state` loads what it asks for, hands it the events,
and deletes its records once no event can need them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.events import Event
from streams.batch import LogRecord
from streams.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Chunk:
    """Events of one topic in offset order; the columns run in parallel.

    Attributes:
        topic: base name.
        events: valid events.
        records: as they lay in the log.
        ingest_ms: the topic's ingest time at each.
    """

    topic: str
    events: Sequence[Event]
    records: Sequence[LogRecord]
    ingest_ms: Sequence[int]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A ledger of a story, and how long its records are needed.

    Attributes:
        ledger: the records.
        topics: those of which every one must have been read past a record's time before it goes.
        days: how many days past the one under which a record is filed an event may need it; None: for good.
    """

    ledger: Ledger[Any]
    topics: frozenset[str]
    days: int | None = None


class Story(Protocol):
    """The book of one story in one partition number."""

    @property
    def topics(self) -> frozenset[str]:
        """The topics whose events it takes; none where the figure set keeps nothing of it."""

    @property
    def shelves(self) -> Sequence[Shelf]:
        """Its records."""

    def ids(self, chunk: Chunk) -> Mapping[str, list[str]]:
        """Ids by ledger that must be loaded before `accept`, of events that may yet be refused.

        Which these are may depend on records that are not loaded yet: asked again after loading, until none
        is missing.
        """

    def accept(self, chunk: Chunk) -> None:
        """Takes up accepted, real events; those of other stories are passed over."""

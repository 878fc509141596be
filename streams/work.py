"""What owners share: rules, store, clock, and what they need of Kafka, as shapes that tests can fill."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

from streams.batch import Batch
from streams.errors import PulseError
from streams.log_check import CountCheck, Log
from streams.state import Rules
from streams.store import Store
from streams.verdict import Refusal


class Outlet(Protocol):
    """Where refused records go."""

    async def send(self, topic: str, partition: int, refusals: list[Refusal]) -> None:
        """Returns once Kafka has them; raises OutletUnavailableError."""


class Reader(Protocol):
    """The owner's view of the consumer."""

    async def open(self, partition: int, offsets: Mapping[str, int], epoch: int) -> None:
        """Reads the partition's topics from these offsets; batches carry `epoch` from now on."""

    def folded(self, batch: Batch) -> None:
        """A batch is done with, counted or dropped: there is room for another one."""

    def lag(self, topic: str, partition: int, next_offset: int) -> int | None:
        """Records between `next_offset` and the last stable offset; None if not known."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every owner shares.

    Attributes:
        counts: asked before a partition number is taken over.
        may_begin_late: figures begun now may lack what the log no longer holds; a rebuild has asked.
        now_ms: the wall clock; decides only what is published and when it is saved.
        on_fatal: called with an error that no retry can mend.
    """

    rules: Rules
    store: Store
    outlet: Outlet
    reader: Reader
    log: Log
    counts: CountCheck
    may_begin_late: bool
    now_ms: Callable[[], int]
    on_fatal: Callable[[PulseError], None]
    flush_interval_ms: int
    max_dirty_cells: int
    name: str


@dataclass(slots=True)
class Counters:
    """What the owner publishes of itself; `load` is a word that no other memory of the partition has."""

    rebalances: int = 0
    takeovers: int = 0
    writes: int = 0
    refused: int = 0
    write_ms: int = 0
    load: str = ""

    def taken_over(self) -> None:
        """A memory was loaded."""
        self.takeovers += 1
        self.load = secrets.token_hex(8)

    def facts(self) -> dict[str, str]:
        """As they stand in the meta of the partition."""
        return {name: str(value) for name, value in asdict(self).items()}

"""Kafka's side of an owner, made by hand: one partition's logs, a consumer of them, a place for dead letters.

They do what the real ones promise and no more; Redis is real.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from schemas.codec import Reason
from schemas.events import INPUT_TOPICS
from streams.batch import Batch, PlainRecord
from streams.errors import PulseError
from streams.log_check import Bounds, CountCheck
from streams.outlet import OutletUnavailableError
from streams.owner import Owner
from streams.state import PartitionState, StateWrite
from streams.store import Guard, Store, StoreUnavailableError, WriteAnswer
from streams.verdict import Refusal
from streams.work import Work
from tests.scenario_kit import Sent
from tests.store_kit import Shelf
from verify.model import CellKey, LogRecord
from verify.recompute import recompute
from verify.rules import Rules

PATIENCE_S = 60.0


async def eventually(holds: Callable[[], object]) -> None:
    """Waits until something holds; fails when it takes unreasonably long."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, "it never came to hold"
        await asyncio.sleep(0.005)


class PlainKafka:
    """The logs of partition 0 of every topic."""

    def __init__(self) -> None:
        self.partitions = 1
        # Records that were deleted, of every topic that had so many.
        self.deleted = 0
        self.logs: dict[str, list[PlainRecord]] = {topic: [] for topic in INPUT_TOPICS}

    def append(self, *sent: Sent) -> None:
        """Puts records at the end of their topics' logs."""
        for each in sent:
            log = self.logs[each.topic]
            log.append(PlainRecord(len(log), each.at, each.key, each.data))

    def expected(self) -> dict[CellKey, int]:
        """The cells that a plain recomputation of the logs gives."""
        records = [
            LogRecord(topic, 0, each.offset, each.timestamp, each.key, each.value)
            for topic, log in self.logs.items()
            for each in log
        ]
        return recompute(records, Rules(partitions=1)).cells

    async def partition_counts(self) -> Mapping[str, int]:
        """See `log_check.Log`."""
        return dict.fromkeys(self.logs, self.partitions)

    async def bounds(self, partition: int) -> Mapping[str, Bounds]:
        """See `log_check.Log`."""
        return {topic: Bounds(min(self.deleted, len(log)), len(log)) for topic, log in self.logs.items()}

    async def record_at(self, topic: str, partition: int, offset: int) -> PlainRecord | None:
        """See `log_check.Log`."""
        log = self.logs[topic]
        return log[offset] if offset < len(log) else None


class Consumer:
    """Reads the logs from where the owner opened them."""

    def __init__(self, kafka: PlainKafka) -> None:
        self._kafka = kafka
        self._epoch = 0
        self.positions: dict[str, int] = {}
        self.opened: list[dict[str, int]] = []
        self.done: list[Batch] = []

    async def open(self, partition: int, offsets: Mapping[str, int], epoch: int) -> None:
        """See `work.Reader`."""
        self.positions = dict(offsets)
        self._epoch = epoch
        self.opened.append({topic: offset for topic, offset in offsets.items() if offset})

    def folded(self, batch: Batch) -> None:
        """See `work.Reader`."""
        self.done.append(batch)

    def lag(self, topic: str, partition: int, next_offset: int) -> int | None:
        """See `work.Reader`."""
        return len(self._kafka.logs[topic]) - next_offset

    def fetch(self, topic: str, count: int = 1_000_000) -> Batch:
        """The next records of a topic, perhaps none, with the positions around them."""
        before = self.positions[topic]
        records = self._kafka.logs[topic][before : before + count]
        self.positions[topic] = before + len(records)
        return Batch(topic, 0, self._epoch, before, self.positions[topic], records)


@dataclass
class Letters:
    """Takes refused records, or says why not."""

    trouble: str = ""
    tries: int = 0
    taken: list[tuple[str, int, Reason]] = field(default_factory=list)

    async def send(self, topic: str, partition: int, refusals: list[Refusal]) -> None:
        """See `work.Outlet`."""
        self.tries += 1
        if self.trouble:
            raise OutletUnavailableError(self.trouble)
        self.taken += [(topic, refusal.record.offset, refusal.reason) for refusal in refusals]


class Line(Store):
    """The real store, over a line that can be held up, and that can lose answers."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf.client, shelf.prefix, shelf.rules.figures)
        self.tokens: list[str] = []
        self.largest = 0
        self.lost_answers = 0
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = 0
        # What comes in place of answers, once Redis has given them.
        self.trouble: BaseException | None = None

    async def _pass(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1

    async def load(self, partition: int, rules: object) -> tuple[PartitionState, Guard]:
        """See `Store.load`."""
        loaded = await super().load(partition, rules)  # type: ignore[arg-type]
        await self._pass()
        return loaded

    async def write(
        self,
        state: PartitionState,
        write: StateWrite,
        guard: Guard,
        token: str,
        published: Mapping[str, str],
    ) -> tuple[WriteAnswer, Guard]:
        """See `Store.write`; its answer is held up, or lost, after Redis has given it."""
        self.tokens.append(token)
        self.largest = max(self.largest, sum(len(cell.absolute) + len(cell.deltas) for cell in write.cells))
        answer = await super().write(state, write, guard, token, published)
        await self._pass()
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreUnavailableError("the answer was lost")
        return answer


class Station:
    """One worker's part in the partition: a consumer, a line to Redis, dead letters, an owner, a clock."""

    def __init__(
        self, shelf: Shelf, kafka: PlainKafka, max_dirty_cells: int = 20_000, *, may_begin_late: bool = False
    ) -> None:
        self.now_ms = time.time_ns() // 1_000_000
        self.kafka = kafka
        self.consumer = Consumer(kafka)
        self.letters = Letters()
        self.line = Line(shelf)
        self.fatal: list[PulseError] = []
        self.work = Work(
            rules=shelf.rules,
            store=self.line,
            outlet=self.letters,
            reader=self.consumer,
            log=kafka,
            counts=CountCheck(kafka, INPUT_TOPICS, 1, time.monotonic),
            may_begin_late=may_begin_late,
            now_ms=lambda: self.now_ms,
            on_fatal=self.fatal.append,
            flush_interval_ms=200,
            max_dirty_cells=max_dirty_cells,
            name="station",
        )
        self.owner = Owner(0, self.work)

    async def read(self, topic: str, count: int = 1_000_000) -> None:
        """Hands the owner the next records of a topic."""
        await self.fold(self.consumer.fetch(topic, count))

    async def fold(self, batch: Batch) -> None:
        """Hands the owner a batch, and waits until it is done with."""
        self.owner.inbox.append(batch)
        if len(self.owner.inbox) == 1:
            await self.owner.work_off()
        await eventually(lambda: any(each is batch for each in self.consumer.done))

    @property
    def is_done(self) -> bool:
        """Whether everything in the logs is in Redis, as far as this owner knows."""
        ends = {f"off:{topic}": str(len(log)) for topic, log in self.kafka.logs.items()}
        return self.owner.saved_offsets == ends

    async def finish(self) -> None:
        """Reads and saves until everything is in Redis, over refusals."""
        until = time.monotonic() + PATIENCE_S
        while not self.is_done:
            assert time.monotonic() < until and not self.fatal, self.fatal
            if self.owner.state is None:
                await asyncio.sleep(0.005)
                continue
            for topic in INPUT_TOPICS:
                await self.read(topic)
            await self.owner.flush()

"""All owners of this worker: who owns what after a rebalance, when to flush, and when something is stuck."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping

from streams.batch import Batch
from streams.errors import PulseError
from streams.owner import Owner, died_of
from streams.progress import NEVER_MS
from streams.work import Work

logger = logging.getLogger(__name__)

# How often owners are asked whether a flush is due: it comes late by up to as much.
TICK_S = 0.02
SUPERVISE_S = 1.0
HINT_S = 5.0
# In catch-up a topic this far ahead of the slowest one with lag waits for it.
AHEAD_MAX_MS = 10 * 60 * 1000
LAST_FLUSH_S = 5.0

Hold = Callable[[frozenset[tuple[str, int]]], None]
Hint = Callable[[Mapping[tuple[str, int], int]], Awaitable[None]]


class Fleet:
    """The owners of the partition numbers that are assigned to this worker.

    `hold(topic partitions)` tells the consumer which of them wait; `hint(next offsets)` tells Kafka, for lag
    tools, how far Redis is.
    """

    def __init__(self, work: Work, watchdog_ms: int, hold: Hold, hint: Hint) -> None:
        self.owners: dict[int, Owner] = {}
        self._work = work
        self._watchdog_ms = watchdog_ms
        self._hold = hold
        self._hint = hint
        self._assigned: tuple[frozenset[int], int] | None = None
        self._rebalances = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_ending = False
        self._held: frozenset[tuple[str, int]] = frozenset()

    def start(self, *others: Callable[[], Awaitable[None]]) -> None:
        """Starts the timers, and `others` that end with them. Needs a running event loop."""
        for loop in (self._flush_on_time, self._supervise, self._hint_on_time, *others):
            self._spawn(loop())

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = died_of(task)
        if error is not None and not self._is_ending:
            self._work.on_fatal(PulseError(f"a part of the worker failed: {error!r}; please report this"))

    def on_assigned(self, partitions: frozenset[int], generation: int) -> None:
        """A rebalance ended: takes over what is assigned, drops the rest. Once per generation."""
        if (partitions, generation) == self._assigned:
            return
        self._assigned = (partitions, generation)
        self._rebalances += 1
        logger.info("assigned partitions: %s", " ".join(map(str, sorted(partitions))) or "none")
        for partition in set(self.owners) - partitions:
            self.owners.pop(partition).release()
        for partition in sorted(partitions):
            owner = self.owners.get(partition) or Owner(partition, self._work)
            self.owners[partition] = owner
            owner.sharing = len(partitions)
            # Counted here: a rebalance drops the owners, and their counters with them.
            owner.counters.rebalances = self._rebalances
            self._spawn(owner.take_over())

    async def on_revoked(self) -> None:
        """A rebalance began: saves what it can in the time there is, and drops the memory."""
        self._assigned = None
        await self._last_flush()
        for owner in self.owners.values():
            owner.release()
        self.owners.clear()

    def take_over_again(self) -> None:
        """All memory is dropped at once, and built anew from where the figures are kept now."""
        for owner in self.owners.values():
            self._spawn(owner.take_over())

    def let_go(self, partition: int) -> None:
        """Another worker has taken the partition over: it is left to that one, whatever Kafka assigned."""
        owner = self.owners.pop(partition, None)
        if owner is not None:
            owner.release()

    def on_lost_position(self, partition: int, why: str) -> None:
        """The log does not hold what was to be read: the take-over finds out whether that can be mended."""
        owner = self.owners.get(partition)
        if owner is not None:
            logger.warning("partition %d: %s", partition, why)
            self._spawn(owner.take_over())

    def hand_over(self, batch: Batch) -> None:
        """Puts a batch into its owner's inbox. Nobody waits: what holds one up holds up no other."""
        owner = self.owners.get(batch.partition)
        if owner is None:
            self._work.reader.folded(batch)
            return
        owner.inbox.append(batch)
        if len(owner.inbox) == 1:
            self._spawn(owner.work_off())

    async def stop(self) -> None:
        """Saves what is in memory, for a few seconds at most, and stops the timers."""
        self._is_ending = True
        await self._last_flush()
        for owner in self.owners.values():
            owner.release()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            # Bounded: a cancellation can get lost in a client's `wait_for` on Python 3.11.
            await asyncio.wait(self._tasks, timeout=LAST_FLUSH_S)

    async def _last_flush(self) -> None:
        flushes = [asyncio.ensure_future(owner.flush()) for owner in self.owners.values()]
        if flushes:
            _, late = await asyncio.wait(flushes, timeout=LAST_FLUSH_S)
            for flush in late:
                flush.cancel()

    async def _flush_on_time(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for owner in list(self.owners.values()):
                owner.flush_if_due()

    async def _hint_on_time(self) -> None:
        while True:
            await asyncio.sleep(HINT_S)
            offsets = {
                (name.removeprefix("off:"), owner.partition): int(offset)
                for owner in self.owners.values()
                for name, offset in owner.saved_offsets.items()
                if offset
            }
            await self._hint(offsets)

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(SUPERVISE_S)
            held = frozenset(self._too_far_ahead())
            if held != self._held:
                self._held = held
                self._hold(held)
            for owner in self.owners.values():
                self._check_answers(owner)
                self._check_memory(owner)
                self._check_progress(owner)

    def _too_far_ahead(self) -> Iterator[tuple[str, int]]:
        for owner in self.owners.values():
            if owner.state is None:
                continue
            topics = owner.state.topics
            behind = [topics[topic].ingest_ms for topic, lag in owner.lags().items() if lag]
            known = [ingest_ms for ingest_ms in behind if ingest_ms != NEVER_MS]
            if not known:
                continue
            for topic, progress in topics.items():
                if progress.ingest_ms > min(known) + AHEAD_MAX_MS:
                    yield topic, owner.partition

    def _check_answers(self, owner: Owner) -> None:
        """Clients give up by themselves, sooner: one that does not has lost its own answer, or its task."""
        for question in owner.asking.questions:
            question.looks += 1
            if question.looks * SUPERVISE_S * 1000 > self._watchdog_ms:
                self._work.on_fatal(
                    PulseError(
                        f"no answer from Redis or Kafka for partition {owner.partition} in "
                        f"{self._watchdog_ms // 1000} s, nor an error; the worker ends to be started again"
                    )
                )

    def _check_memory(self, owner: Owner) -> None:
        """An owner without memory is building one: it asks for something, or waits to ask again."""
        is_at_rest = owner.state is None and not owner.asking.questions and not owner.asking.trouble
        owner.looks_without_memory = owner.looks_without_memory + 1 if is_at_rest else 0
        if owner.looks_without_memory * SUPERVISE_S * 1000 > self._watchdog_ms:
            self._work.on_fatal(
                PulseError(
                    f"partition {owner.partition} is assigned, but nobody has taken it over in "
                    f"{self._watchdog_ms // 1000} s; the worker ends to be started again"
                )
            )

    def _check_progress(self, owner: Owner) -> None:
        waiting = owner.asking.trouble or owner.state is None
        reading = [t for t, lag in owner.lags().items() if lag and (t, owner.partition) not in self._held]
        if not reading or waiting:
            # The clock starts when there is something to read.
            owner.made_progress()
            return
        stuck_ms = self._work.now_ms() - owner.progress_at_ms
        if stuck_ms > self._watchdog_ms:
            self._work.on_fatal(
                PulseError(
                    f"no progress for {stuck_ms // 1000} s on partition {owner.partition} of "
                    f"{' '.join(reading)} although records are there; the worker ends to be started again"
                )
            )

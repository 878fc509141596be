"""The owner of one partition number: the only task that folds its batches and writes its keys.

It works off its inbox, into which the agents put batches of all topics, folds them into memory, and every
flush interval saves what changed in one guarded write. Memory is a cache of what Redis holds plus what is
not saved: whenever Redis refuses a write, or a batch does not start where the memory ends, all memory of the
partition is dropped, loaded again, and its topics are read again from the offsets that Redis holds.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TypeVar

from streams.asking import Asking
from streams.batch import Batch, LogRecord, chunks
from streams.errors import PulseError
from streams.ledger import trim
from streams.log_check import start_offsets
from streams.state import Missing, PartitionState, StateWrite
from streams.store import Applied, AppliedBefore, Guard, Refused
from streams.verdict import Refusal
from streams.watermark import Quiet, watermark_ms
from streams.window import Pane
from streams.work import Counters, Work

logger = logging.getLogger(__name__)

# A partition without traffic still publishes its watermarks this often.
IDLE_WRITE_MS = 1_000
# A write holds no more records, and no more bytes of refused ones, than this: beside cells they fill memory
# too, and while Redis or Kafka is away nothing else would make the folding wait.
UNSAVED_RECORDS_MAX = 100_000
REFUSED_BYTES_MAX = 8 * 1024 * 1024
T = TypeVar("T")
Records = dict[str, dict[str, bytes | None]]
CellNames = dict[tuple[str, Pane], list[str]]
# Fetch epochs of all owners of this process: a partition that comes back gets one that no batch carries yet.
_EPOCHS = itertools.count(1)


def died_of(task: asyncio.Task[None]) -> BaseException | None:
    """The error of a task that nobody awaits; a cancellation is one, since a client's may come out of it."""
    return asyncio.CancelledError() if task.cancelled() else task.exception()


class Owner:
    """One partition number. `epoch` rises with every take-over: batches read before it are dropped."""

    def __init__(self, partition: int, work: Work) -> None:
        self.partition = partition
        self.epoch = next(_EPOCHS)
        self.counters = Counters()
        self.progress_at_ms = work.now_ms()
        # Partition numbers of this worker: its memory is shared by so many.
        self.sharing = 1
        self.asking = Asking(partition, self.made_progress)
        # How often the watchdog saw no memory, and nobody asking for what it is built from.
        self.looks_without_memory = 0
        # Batches as they came, of which the first is being folded; the transport bounds how many.
        self.inbox: deque[Batch] = deque()
        self._work = work
        self._state: PartitionState | None = None
        self._guard = Guard("", {})
        # Tokens under which Redis may hold what the memory was built on, since the last reading began.
        self._tokens: set[str] = set()
        self._token = ""
        self._refusals: dict[str, list[Refusal]] = {}
        self._unsaved_records = 0
        self._refused_bytes = 0
        self._quiet: dict[str, Quiet] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._written_at_ms = 0

    @property
    def state(self) -> PartitionState | None:
        """The memory, or None while there is none."""
        return self._state

    @property
    def saved_offsets(self) -> Mapping[str, str]:
        """The vector that Redis holds, by meta field; empty while there is no memory."""
        return self._guard.offsets if self._state is not None else {}

    def release(self) -> None:
        """Drops the memory; what is not saved is read again by the next owner."""
        self.epoch = next(_EPOCHS)
        self._state = None
        self._refusals = {}
        self._unsaved_records = self._refused_bytes = 0

    def take_over(self) -> Coroutine[None, None, None]:
        """Builds the memory from Redis and has the topics read from there. Retries until it is done.

        Ends early if the partition is released or taken over again meanwhile: from this call on, not from
        the first step of its task, by when the owner may be nobody's, and would have the topics read for it.
        """
        self.release()
        return self._take_over(self.epoch)

    async def _take_over(self, epoch: int) -> None:
        # Once something was counted, a Redis without it was emptied: what it held is not begun anew in part.
        may_begin_late = self._work.may_begin_late and not self._guard.token
        try:
            loaded = await self._retry(lambda: self._work.store.load(self.partition, self._work.rules), epoch)
            if loaded is None:
                return
            state, guard = loaded
            offsets = await self._retry(partial(self._offsets, state, may_begin_late), epoch)
            if offsets is None:
                return
        except PulseError as error:
            self._work.on_fatal(error)
            return
        for topic, offset in offsets.items():
            state.topics[topic].next_offset = offset
        self._state, self._guard, self._token = state, guard, guard.token
        self.counters.taken_over()
        self._quiet = {topic: Quiet() for topic in offsets}
        self.made_progress()
        with self.asking.open_question():
            await self._work.reader.open(self.partition, offsets, epoch)

    async def _offsets(self, state: PartitionState, may_begin_late: bool) -> dict[str, int]:
        """Where to read from, once it is known that the log is still the one that was counted."""
        await self._work.counts.check_for(self.partition)
        return await start_offsets(
            self._work.log, self.partition, state.topics, may_begin_late=may_begin_late
        )

    async def work_off(self) -> None:
        """Folds what is in the inbox, until it is empty; drops what was read before the last take-over.

        To be called when a batch came into an empty inbox: one task at a time works it off. Raises nothing:
        what cannot be counted ends the worker.
        """
        while self.inbox:
            batch = self.inbox[0]
            try:
                await self._apply(batch)
            except PulseError as error:
                self._fail(error)
            except Exception as error:
                where = f"{batch.topic} partition {batch.partition} from offset {batch.before}"
                self._fail(
                    PulseError(f"records of {where} could not be counted: {error!r}; please report this")
                )
            self._work.reader.folded(self.inbox.popleft())

    def _fail(self, error: PulseError) -> None:
        """Ends the worker. Memory that may lack something, or hold it twice, must not be saved at the end."""
        self.release()
        self._work.on_fatal(error)

    async def _apply(self, batch: Batch) -> None:
        state = self._state
        if state is None or batch.epoch != self.epoch:
            return
        if batch.before != state.topics[batch.topic].next_offset:
            self._resync(
                f"{batch.topic}: read from {batch.before}, not {state.topics[batch.topic].next_offset}"
            )
            return
        if not batch.records:
            state.topics[batch.topic].next_offset = batch.after
            self.made_progress()
        left = len(batch.records)
        for chunk in chunks(batch):
            left -= len(chunk)
            next_offset = chunk[-1].offset + 1 if left else batch.after
            if not await self._apply_chunk(state, batch, chunk, next_offset):
                return

    async def _apply_chunk(
        self, state: PartitionState, batch: Batch, chunk: Sequence[LogRecord], next_offset: int
    ) -> bool:
        """False if the partition was taken away meanwhile: the rest of the batch is dropped."""
        state.bounds.sharing = self.sharing
        trim(state.ledgers, state.bounds.copies)
        screened = state.screen(batch.topic, chunk)
        while missing := state.missing(batch.topic, screened):
            # A write on its way may be in Redis already; one that begins meanwhile joins them.
            self._tokens = {self._guard.token, self._token}
            found = await self._retry(partial(self._read, missing), batch.epoch)
            if found is None:
                return False
            records, names, tokens = found
            if not tokens <= self._tokens:
                self._resync("Redis holds what another owner wrote, or an older state")
                return False
            state.load_records(records)
            state.sums.admission.load(names)
        refusals = state.apply(batch.topic, chunk, screened, next_offset)
        self.made_progress()
        if refusals:
            self._refusals.setdefault(batch.topic, []).extend(refusals)
            self._refused_bytes += sum(len(refusal.record.value or b"") for refusal in refusals)
        self._unsaved_records += len(chunk)
        if self._is_full(state):
            # While this half is on its way to Redis the other half gathers.
            if self._flushing is not None:
                await asyncio.wait({self._flushing})
            if self._state is state:
                self._start_flush()
        await asyncio.sleep(0)
        return self.epoch == batch.epoch

    async def _read(self, missing: Missing) -> tuple[Records, CellNames, set[str]]:
        """Records and names of cells, with the tokens that Redis held around the reading."""
        store, tokens = self._work.store, set[str]()
        records: Records = {}
        names: CellNames = {}
        if missing.records:
            records, token = await store.read_records(self.partition, missing.records)
            tokens.add(token)
        if missing.cells:
            names, others = await store.cell_names(self.partition, missing.cells)
            tokens |= others
        return records, names, tokens

    def _is_full(self, state: PartitionState) -> bool:
        return (
            state.dirty >= self._work.max_dirty_cells // 2
            or self._unsaved_records >= UNSAVED_RECORDS_MAX
            or self._refused_bytes >= REFUSED_BYTES_MAX
        )

    def flush_if_due(self) -> None:
        """Starts a flush if the interval has passed and none is on its way."""
        if self._state is None or self._flushing is not None:
            return
        waited_ms = self._work.now_ms() - self._written_at_ms
        if 0 <= waited_ms < min(self._work.flush_interval_ms, IDLE_WRITE_MS):
            return  # What changed is not counted before it matters: this is asked fifty times a second.
        changed = self._state.dirty or self._refusals
        # Below 0: the clock was set back, perhaps by hours, for which nothing would be saved.
        if waited_ms < 0 or waited_ms >= (self._work.flush_interval_ms if changed else IDLE_WRITE_MS):
            self._start_flush()

    async def flush(self) -> None:
        """Saves everything folded so far. Waits for the flush on its way, then for one of its own."""
        if self._flushing is not None:
            await asyncio.wait({self._flushing})
        if self._state is not None:
            await asyncio.wait({self._start_flush()})

    def _start_flush(self) -> asyncio.Task[None]:
        if self._flushing is not None:
            return self._flushing
        state = self._state
        assert state is not None
        # The snapshot: dirty cells, refusals and the vector, in one step without an await.
        self._publish_watermarks(state)
        write = state.take()
        refusals, self._refusals = self._refusals, {}
        self._unsaved_records = self._refused_bytes = 0
        task = asyncio.create_task(self._save(state, write, refusals, self.epoch))
        self._flushing = task
        task.add_done_callback(self._flush_ended)
        return task

    def _flush_ended(self, task: asyncio.Task[None]) -> None:
        self._flushing = None
        self._written_at_ms = self._work.now_ms()
        error = died_of(task)
        if isinstance(error, PulseError):
            self._fail(error)
        elif error is not None:
            self._fail(PulseError(f"partition {self.partition} could not be saved: {error!r}"))

    async def _save(
        self, state: PartitionState, write: StateWrite, refusals: dict[str, list[Refusal]], epoch: int
    ) -> None:
        for topic, refused in refusals.items():
            sent = await self._retry(partial(self._send, topic, refused), epoch)
            if sent is None:
                return
        token = secrets.token_hex(16)
        self._token = token
        self._tokens.add(token)
        began_ms = self._work.now_ms()
        guard, published = self._guard, self._published(state)
        answered = await self._retry(
            lambda: self._work.store.write(state, write, guard, token, published), epoch
        )
        if answered is None:
            return
        answer, next_guard = answered
        self.counters.write_ms = self._work.now_ms() - began_ms
        if isinstance(answer, Refused):
            self.counters.refused += 1
            self._resync(f"Redis refused the write: {answer.differs} is not what the memory was built on")
            return
        self.counters.writes += 1
        self._guard = next_guard
        if isinstance(answer, Applied):
            state.sums.learn(write.cells, iter(answer.increments))
            for (name, day), left in zip(write.trims.items(), answer.left, strict=True):
                if not left:
                    state.trimmed[name] = day
            for pane in answer.emptied:
                state.users.forget(pane)
            state.sums.expire_again(answer.unfinished)
        else:
            assert isinstance(answer, AppliedBefore)
            # Whether something is left in them is not known: they are deleted once more.
            state.sums.expire_again(write.expired_panes)

    async def _send(self, topic: str, refused: list[Refusal]) -> bool:
        await self._work.outlet.send(topic, self.partition, refused)
        return True

    def _resync(self, why: str) -> None:
        logger.warning("partition %d: %s; reading again from what Redis holds", self.partition, why)
        self._resyncing = asyncio.get_running_loop().create_task(self.take_over())
        self._resyncing.add_done_callback(self._resync_ended)

    def _resync_ended(self, task: asyncio.Task[None]) -> None:
        error = died_of(task)
        if error is not None:
            self._fail(PulseError(f"partition {self.partition} could not be taken over again: {error!r}"))

    async def _retry(self, ask: Callable[[], Awaitable[T]], epoch: int) -> T | None:
        """Asks until there is an answer; None once the partition was released or taken over anew."""
        return await self.asking.until_answered(ask, lambda: epoch == self.epoch)

    def made_progress(self) -> None:
        """The watchdog's clock starts anew."""
        self.progress_at_ms = self._work.now_ms()

    def lags(self) -> dict[str, int | None]:
        """Unread records by topic; None where the end of the log is not known."""
        if self._state is None:
            return {}
        return {
            topic: self._work.reader.lag(topic, self.partition, progress.next_offset)
            for topic, progress in self._state.topics.items()
            if progress.next_offset is not None
        }

    def _publish_watermarks(self, state: PartitionState) -> None:
        now_ms = self._work.now_ms()
        for topic, lag in self.lags().items():
            progress, quiet = state.topics[topic], self._quiet[topic]
            quiet.observe(lag, now_ms)
            progress.watermark_ms = watermark_ms(
                progress.watermark_ms, progress.high_ms, quiet.is_long(now_ms), now_ms
            )

    def _published(self, state: PartitionState) -> dict[str, str]:
        """Facts about the pipeline that the read service shows; no figure depends on them."""
        facts = {"owner": self._work.name, "up_ms": str(self._work.now_ms()), **self.counters.facts()}
        return facts | {f"lag:{topic}": str(lag) for topic, lag in self.lags().items() if lag is not None}

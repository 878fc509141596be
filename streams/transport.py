"""Faust's Kafka driver, taught three things: whole fetches, Redis's offsets, and which worker gets what.

Faust hands agents one message per record and keeps its progress in Kafka's consumer group. Here a message
is a whole fetch of one topic-partition (`batch.Batch`), reading starts where Redis says and only after the
owner has opened the partition, and a range assignor gives a worker the same partition number of every
topic. With agents.py the only module that knows Faust.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from schemas.events import INPUT_TOPICS
from streams.batch import Batch, LogRecord
from streams.log_check import Bounds
from streams.raw_records import REQUEST_TIMEOUT_MS
from streams.settings import Settings

# Records handed over per poll, and of these per topic-partition: large enough that a fetch is folded while
# the next one is on its way, small enough that the partitions of a topic take turns.
POLL_RECORDS_MAX = 10_000
BATCH_RECORDS_MAX = 2_500
# Batches handed over and not yet folded: of a topic-partition; of all partition numbers, which share them
# evenly, but get one each; and in all, of however many numbers. Faust's own back-pressure lets a partition
# starve as long as others keep the queue of their topic filled.
BATCHES_AHEAD_MAX = 2
SHARED_BATCHES_AHEAD_MAX = 16
ALL_BATCHES_AHEAD_MAX = 64
FETCH_WAIT_MS = 100
# A broker that answered no fetch for so long is not known to have nothing new.
UNHEARD_MS = 5_000
HEARTBEATS_PER_SESSION = 3


class Remembered(dict[Any, Any]):
    """Faust's note of the last offset it handed over, switched off.

    Faust drops a message below it without a word. Here an owner may read again from any offset that Redis
    holds, and decides itself, by position and epoch, what it has applied.
    """

    def __getitem__(self, key: Any) -> None:
        return None

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Runs aiokafka's consumer. Only this thread touches it; methods are called through `call_thread`."""

    settings: Settings
    on_lost_position: Callable[[int, str], None]

    def __post_init__(self) -> None:
        super().__post_init__()
        # Fetch epoch of each partition number that an owner has opened; others are not handed over.
        self.epochs: dict[int, int] = {}
        # Topics of a partition number that are too far ahead of the others in catch-up; replaced whole.
        self.held: frozenset[tuple[str, int]] = frozenset()
        # Batches handed over and not yet folded, since the partition was opened.
        self._ahead: Counter[TopicPartition] = Counter()
        self._room = asyncio.Event()
        self._base_of = {self.settings.topic_prefix + topic: topic for topic in INPUT_TOPICS}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        settings = self.settings
        self._assignor = RangePartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
            client_id="shop-pulse",
            group_id=settings.consumer_group,
            group_instance_id=self.app.conf.consumer_group_instance_id,
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            # Positions come from Redis; one that the log does not hold is an error, never a silent reset.
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=settings.fetch_max_bytes,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=max(REQUEST_TIMEOUT_MS, 2 * settings.session_timeout_ms),
            session_timeout_ms=settings.session_timeout_ms,
            rebalance_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // HEARTBEATS_PER_SESSION,
        )

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Nothing is handed over until the owners have opened what they are assigned next.

        Batches on their way are dropped, in Faust's queues or by their epoch: they take no room any more.
        """
        self.epochs.clear()
        self._ahead.clear()
        await super().on_partitions_revoked(revoked)

    async def open(self, partition: int, offsets: Mapping[str, int], epoch: int) -> None:
        """Reads a partition number's topics from `offsets` on; what was fetched before is discarded."""
        await self.call_thread(self._open, partition, offsets, epoch)

    async def _open(self, partition: int, offsets: Mapping[str, int], epoch: int) -> None:
        if epoch < self.epochs.get(partition, 0):
            return  # overtaken by a later opening: its batches would be of an epoch that is over
        consumer = self._ensure_consumer()
        try:
            for topic, offset in offsets.items():
                tp = TopicPartition(self.settings.topic_prefix + topic, partition)
                consumer.seek(tp, offset)
                self._ahead.pop(tp, None)
        except IllegalStateError:
            # The partition moved on meanwhile: the next assignment opens it where it belongs.
            self.epochs.pop(partition, None)
            return
        self.epochs[partition] = epoch
        self._room.set()

    def folded(self, batch: Batch) -> None:
        """A batch is done with: there is room for another one. Called in Faust's loop."""
        self.thread_loop.call_soon_threadsafe(self._folded, batch)

    def _folded(self, batch: Batch) -> None:
        # A batch of an older epoch was forgotten when the partition was opened again.
        if self.epochs.get(batch.partition) == batch.epoch:
            self._ahead[TopicPartition(self.settings.topic_prefix + batch.topic, batch.partition)] -= 1
            self._room.set()

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> RecordMap:
        if not self.consumer.flow_active or not active_partitions:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        deadline = time.monotonic() + (timeout or 0)
        with fetcher._subscriptions.fetch_context():
            while True:
                if fetcher._subscriptions.reassignment_in_progress:
                    await fetcher._subscriptions.wait_for_assignment()
                self._room.clear()
                drained = self._drain(consumer, active_partitions)
                left = deadline - time.monotonic()
                if drained or left <= 0 or fetcher._closed:
                    return drained
                await self._fetched_or_room(fetcher, left)

    async def _fetched_or_room(self, fetcher: Any, timeout_s: float) -> None:
        room = asyncio.ensure_future(self._room.wait())
        fetched = fetcher._create_fetch_waiter()
        await asyncio.wait([room, fetched], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        room.cancel()
        fetched.cancel()

    def _drain(self, consumer: aiokafka.AIOKafkaConsumer, active: set[TP]) -> RecordMap:
        """Everything fetched, as one batch per topic-partition, with the positions around it.

        Synchronous: no seek can come between a batch and its positions.
        """
        fetcher = consumer._fetcher
        drained: dict[TP, list[Batch]] = {}
        room = POLL_RECORDS_MAX
        in_all = ALL_BATCHES_AHEAD_MAX - self._ahead.total()
        share = max(1, SHARED_BATCHES_AHEAD_MAX // max(1, len(self.epochs)))
        of_number: Counter[int] = Counter()
        for tp, ahead in self._ahead.items():
            of_number[tp.partition] += ahead
        for tp in list(fetcher._records):
            if not fetcher._subscriptions.is_assigned(tp):
                del fetcher._records[tp]
                continue
            epoch = self.epochs.get(tp.partition)
            held = (self._base_of[tp.topic], tp.partition) in self.held
            if epoch is None or held or TP(*tp) not in active or room <= 0:
                continue
            if in_all <= 0 or of_number[tp.partition] >= share or self._ahead[tp] >= BATCHES_AHEAD_MAX:
                continue
            fetched = fetcher._records[tp]
            if isinstance(fetched, FetchError):
                del fetcher._records[tp]
                fetcher._notify(fetcher._wait_consume_future)
                self._lose_position(tp, fetched)
                continue
            batch = self._batch_of(fetcher, tp, fetched, epoch, min(room, BATCH_RECORDS_MAX))
            if batch is not None:
                drained[TP(*tp)] = [batch]
                room -= len(batch.records)
                self._ahead[tp] += 1
                of_number[tp.partition] += 1
                in_all -= 1
        return drained

    def _batch_of(
        self, fetcher: Any, tp: TopicPartition, fetched: FetchResult, epoch: int, room: int
    ) -> Batch | None:
        position = fetcher._subscriptions.subscription.assignment.state_value(tp)
        before = position._position
        records: list[LogRecord] = []
        while len(records) < room and fetched.has_more():
            for part in fetched.getall(1):
                records += part
        if not fetched.has_more():
            del fetcher._records[tp]
            fetcher._notify(fetcher._wait_consume_future)
        else:
            fetcher._records.move_to_end(tp)
        after = position._position
        if before is None or after is None or after == before:
            return None
        return Batch(self._base_of[tp.topic], tp.partition, epoch, before, after, records)

    def _lose_position(self, tp: TopicPartition, fetched: FetchError) -> None:
        self.epochs.pop(tp.partition, None)
        reason = f"topic {self._base_of[tp.topic]}: {fetched._error!r}"
        self.app.loop.call_soon_threadsafe(self.on_lost_position, tp.partition, reason)

    def lag(self, topic: str, partition: int, next_offset: int) -> int | None:
        """Records from `next_offset` up to the last stable offset.

        None if it is not known: before the first fetch, and where the broker was not heard of lately. A
        broker that is gone must not look like a log without new records.
        """
        consumer = self._consumer
        tp = TopicPartition(self.settings.topic_prefix + topic, partition)
        if consumer is None:
            return None
        try:
            end = consumer.last_stable_offset(tp)
            heard_ms = consumer.last_poll_timestamp(tp)
        except (AssertionError, AttributeError, IllegalStateError):
            # The assignment is another thread's, and may change under this look.
            return None
        if end is None or end < 0 or heard_ms is None:
            return None
        lag = max(0, int(end) - next_offset)
        is_fresh = time.time() * 1000 - heard_ms < UNHEARD_MS
        return lag if lag or is_fresh else None

    async def bounds(self, partition: int) -> Mapping[str, Bounds]:
        """First and next offset of each input topic's partition."""
        bounds: dict[str, Bounds] = await self.call_thread(self._bounds, partition)
        return bounds

    async def _bounds(self, partition: int) -> dict[str, Bounds]:
        consumer = self._ensure_consumer()
        prefix = self.settings.topic_prefix
        tps = {topic: TopicPartition(prefix + topic, partition) for topic in INPUT_TOPICS}
        starts = await consumer.beginning_offsets(list(tps.values()))
        ends = await consumer.end_offsets(list(tps.values()))
        return {topic: Bounds(starts[tp], ends[tp]) for topic, tp in tps.items()}

    async def hint_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commits offsets for lag tools; nothing is ever read from them."""
        await self.call_thread(self._hint_offsets, offsets)

    async def _hint_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        mine = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        if mine:
            await consumer.commit(mine)


class Consumer(driver.Consumer):
    """Faust's side of the consumer."""

    Thread: type[ConsumerThread]
    on_assigned: Callable[[frozenset[int], int], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = Remembered()

    def _new_consumer_thread(self) -> ConsumerThread:
        return self.Thread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> ConsumerThread:
        """The consumer itself, in its own thread."""
        return cast(ConsumerThread, self._thread)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Faust asks for this at the end of every rebalance: the owners take over, each at its own pace."""
        # In this order: an old generation with new partitions is asked for again, the reverse never.
        generation = self.app.consumer_generation_id
        self.on_assigned(frozenset(tp.partition for tp in self.assignment()), generation)
        return {}

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        batch: Batch = record
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            batch.before,
            0.0,
            0,
            [],
            None,
            batch,  # type: ignore[arg-type]
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )


def transport_for(
    settings: Settings,
    on_assigned: Callable[[frozenset[int], int], None],
    on_lost_position: Callable[[int, str], None],
) -> type[driver.Transport]:
    """A transport class for these settings.

    Called in Faust's loop: `on_assigned(partitions, generation)` at the end of a rebalance, and
    `on_lost_position(partition, why)` when the log no longer holds what was to be read.
    """
    thread = type(
        "SettledConsumerThread",
        (ConsumerThread,),
        {"settings": settings, "on_lost_position": staticmethod(on_lost_position)},
    )
    callbacks = {"Thread": thread, "on_assigned": staticmethod(on_assigned)}
    consumer = type("SettledConsumer", (Consumer,), callbacks)
    return type("SettledTransport", (driver.Transport,), {"Consumer": consumer})

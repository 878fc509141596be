"""How much the consumer hands over before it is folded; what Kafka does is shown in integration/."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from typing import Any
from unittest.mock import create_autospec

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError
from aiokafka.errors import NoOffsetForPartitionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from schemas.events import INPUT_TOPICS
from streams.batch import Batch, PlainRecord
from streams.settings import Settings
from streams.transport import (
    ALL_BATCHES_AHEAD_MAX,
    BATCHES_AHEAD_MAX,
    SHARED_BATCHES_AHEAD_MAX,
    ConsumerThread,
)

BATCH = 2_500


class Position:
    """aiokafka's place in a topic-partition."""

    _position = 0


class Fetched:
    """Fetched records that never end."""

    def __init__(self, position: Position) -> None:
        self._at = position

    def has_more(self) -> bool:
        """Always."""
        return True

    def getall(self, _: int) -> list[list[PlainRecord]]:
        """One Kafka batch."""
        at = self._at._position
        self._at._position += BATCH
        return [[PlainRecord(at + number, 0, None, None) for number in range(BATCH)]]


class Fetcher:
    """aiokafka's fetcher and subscriptions, as far as the transport looks at them."""

    def __init__(self, tps: list[TopicPartition]) -> None:
        self.positions = {tp: Position() for tp in tps}
        self._records = OrderedDict((tp, Fetched(at)) for tp, at in self.positions.items())
        self._subscriptions = self.subscription = self.assignment = self

    def is_assigned(self, tp: TopicPartition) -> bool:
        """Whether the partition is ours."""
        return tp in self.positions

    def state_value(self, tp: TopicPartition) -> Position:
        """The partition's position."""
        return self.positions[tp]


class Kafka:
    """A consumer to which the given partition numbers of all topics are assigned."""

    def __init__(self, partitions: list[int]) -> None:
        self.tps = [TopicPartition(f"shop.{topic}", p) for p in partitions for topic in INPUT_TOPICS]
        self._fetcher = Fetcher(self.tps)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Reading goes on from there."""
        self._fetcher.positions[tp]._position = offset


class Thread(ConsumerThread):
    """The consumer's thread, without a thread."""

    settings = Settings()

    def __init__(self) -> None:
        self.epochs = {}
        self.thread_loop = create_autospec(asyncio.AbstractEventLoop, instance=True)
        self.consumer = create_autospec(driver.Consumer, instance=True)
        self.held = frozenset()
        self._ahead = Counter()
        self._room = asyncio.Event()
        self._base_of = {f"shop.{topic}": topic for topic in INPUT_TOPICS}

    def own(self, partitions: list[int], epoch: int) -> None:
        """A rebalance: what was assigned is revoked, the partitions are assigned and opened."""
        asyncio.run(self.on_partitions_revoked(set()))
        self.kafka = Kafka(partitions)
        for partition in partitions:
            asyncio.run(self._open(partition, dict.fromkeys(INPUT_TOPICS, 0), epoch))

    def _ensure_consumer(self) -> Any:
        return self.kafka

    def _lose_position(self, tp: TopicPartition, fetched: FetchError) -> None:
        raise AssertionError(f"{tp} is looked for in the log: {fetched._error!r}")

    def drain(self) -> list[Batch]:
        """What one poll hands over."""
        found = self._drain(self.kafka, {TP(*tp) for tp in self.kafka.tps})
        return [batch for batches in found.values() for batch in batches]


def drained(thread: Thread) -> list[Batch]:
    """Everything that is handed over while nothing is folded."""
    batches: list[Batch] = []
    while more := thread.drain():
        batches += more
    return batches


def test_reading_stops_ahead_of_the_fold_and_every_partition_gets_its_turn() -> None:
    """At most two batches of a topic-partition and sixteen in all are ahead; one folded makes room."""
    thread = Thread()
    thread.own([0], epoch=1)
    batches = drained(thread)
    assert len(batches) == SHARED_BATCHES_AHEAD_MAX
    assert max(Counter(batch.topic for batch in batches).values()) == BATCHES_AHEAD_MAX
    thread._folded(batches[0])
    assert len(drained(thread)) == 1


def test_partition_numbers_share_the_room_ahead_evenly() -> None:
    """One whose batches are not folded takes none of the others' room: they read on."""
    thread = Thread()
    thread.own([0, 1, 2, 3], epoch=1)
    for _ in range(20):
        batches = drained(thread)
        for batch in batches:
            if batch.partition != 2:
                thread._folded(batch)
        assert {batch.partition for batch in batches} >= {0, 1, 3}
    assert (
        sum(each for tp, each in thread._ahead.items() if tp.partition == 2) == SHARED_BATCHES_AHEAD_MAX // 4
    )


def test_of_many_partition_numbers_each_is_one_batch_ahead() -> None:
    """As long as they are no more than may be ahead in all, which bounds what a worker's memory holds."""
    for partitions, ahead in ((40, 40), (100, ALL_BATCHES_AHEAD_MAX)):
        thread = Thread()
        thread.own(list(range(partitions)), epoch=1)
        batches = drained(thread)
        assert len({batch.partition for batch in batches}) == len(batches) == ahead


def test_partitions_that_moved_away_take_no_room() -> None:
    """Batches that a rebalance drops are never folded: what is left to this worker reads on."""
    thread = Thread()
    thread.own([0, 1], epoch=1)
    assert len(drained(thread)) == SHARED_BATCHES_AHEAD_MAX
    thread.own([0], epoch=2)
    assert len(drained(thread)) == SHARED_BATCHES_AHEAD_MAX
    assert thread.epochs == {0: 2}


def test_nothing_is_handed_over_between_two_assignments() -> None:
    """A partition has no place until its owner opens it: what Kafka's client says of it means nothing."""
    thread = Thread()
    thread.own([0, 1], epoch=1)
    asyncio.run(thread.on_partitions_revoked(set()))
    fetched = thread.kafka._fetcher._records
    fetched.update((tp, FetchError(error=NoOffsetForPartitionError(tp), backoff=0)) for tp in fetched)
    assert drained(thread) == []


def test_an_opening_that_was_overtaken_opens_nothing() -> None:
    """Two take-overs on their way to the consumer: in whatever order they come, the later one holds."""
    thread = Thread()
    thread.own([0], epoch=2)
    asyncio.run(thread._open(0, dict.fromkeys(INPUT_TOPICS, 5), 1))
    assert {batch.epoch for batch in drained(thread)} == {2}


def test_a_batch_of_an_older_epoch_makes_no_room() -> None:
    """It was forgotten when the partition was opened again."""
    thread = Thread()
    thread.own([0], epoch=1)
    old = drained(thread)
    thread.own([0], epoch=2)
    drained(thread)
    thread._folded(old[0])
    assert thread.drain() == []


def test_what_is_too_far_ahead_waits() -> None:
    """A held topic is not handed over until it is let go."""
    thread = Thread()
    thread.own([0], epoch=1)
    thread.held = frozenset((topic, 0) for topic in INPUT_TOPICS if topic != "ads")
    assert {batch.topic for batch in drained(thread)} == {"ads"}

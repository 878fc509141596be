"""The Kafka side of the comparison: whole topics by partition, up to given offsets.

A plain aiokafka consumer without a group: it reads what is committed, from the log's start. Also the ids of
what stands in the topics of dead letters and late rows.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from verify import VerifyError
from verify.model import DeadLetter, LogRecord, RecordId
from verify.rules import DEAD_LETTERS, LATE, TOPICS

POLL_MS = 500
STALL_SECONDS = 30.0


class Extent(NamedTuple):
    """First offset, and the one behind the last; of a whole log as readers of committed records see it."""

    start: int
    end: int


class KafkaLog:
    """Reads topics of one prefix. Use with `async with`; raises VerifyError when Kafka can't be reached."""

    def __init__(self, bootstrap: str, topic_prefix: str) -> None:
        self._bootstrap = bootstrap
        self._prefix = topic_prefix
        self._partitions: dict[str, int] = {}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=5_000,
            # A fetch that waits at the end of one topic holds up the first one of the next.
            fetch_max_wait_ms=20,
        )

    async def __aenter__(self) -> KafkaLog:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            await self._consumer.start()
            await admin.start()
            # All topics: a question for one that is missing might create it.
            found = await admin.describe_topics()
        except KafkaError as error:
            await self._consumer.stop()
            raise VerifyError(
                f"Kafka at {self._bootstrap} can't be reached ({type(error).__name__}); "
                "start it (`shop-pulse up`) or name another with --kafka"
            ) from error
        finally:
            await admin.close()
        self._partitions = {topic["topic"]: len(topic["partitions"]) for topic in found}
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()

    def partitions(self) -> int:
        """The partition count that all input topics share; VerifyError when one is missing or differs."""
        counts: dict[str, int] = {}
        for topic in TOPICS:
            name = self._prefix + topic
            if name not in self._partitions:
                raise VerifyError(
                    f"topic {name} does not exist in Kafka at {self._bootstrap}; "
                    "create the topics with `shop-pulse topics`, or check --topic-prefix"
                )
            counts[name] = self._partitions[name]
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise VerifyError(f"the topics' partition counts differ ({listed}); they must be equal")
        return next(iter(counts.values()))

    async def extents(self, partition: int) -> dict[str, Extent]:
        """Start and end of each input topic's log in this partition."""
        places = {topic: TopicPartition(self._prefix + topic, partition) for topic in TOPICS}
        starts = await self._consumer.beginning_offsets(list(places.values()))
        ends = await self._consumer.end_offsets(list(places.values()))
        return {topic: Extent(starts[place], ends[place]) for topic, place in places.items()}

    async def read(
        self, partition: int, spans: Mapping[str, Extent]
    ) -> AsyncIterator[tuple[str, list[LogRecord]]]:
        """The records of one partition number by topic, from `start` to below `end` of each, in batches.

        Topics come interleaved, each in the order of its offsets.
        """
        topics = {TopicPartition(self._prefix + topic, partition): topic for topic in spans}
        places = {place: spans[topic] for place, topic in topics.items()}
        async for place, batch in self._batches(places):
            topic, end = topics[place], places[place].end
            yield (
                topic,
                [
                    LogRecord(topic, partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
                    for r in batch
                    if r.offset < end
                ],
            )

    async def dead_letters(self) -> set[DeadLetter]:
        """Distinct ids in the topic of dead letters, with their reason."""
        ids = await self._output_ids(DEAD_LETTERS)
        return {(topic, partition, offset, reason) for topic, partition, offset, reason in ids}

    async def late(self) -> set[RecordId]:
        """Distinct ids in the topic of late rows."""
        return {(topic, partition, offset) for topic, partition, offset, _ in await self._output_ids(LATE)}

    async def _output_ids(self, base: str) -> set[DeadLetter]:
        name = self._prefix + base
        places = [TopicPartition(name, partition) for partition in range(self._partitions.get(name, 0))]
        starts = await self._consumer.beginning_offsets(places) if places else {}
        ends = await self._consumer.end_offsets(places) if places else {}
        ids: set[DeadLetter] = set()
        extents = {place: Extent(starts[place], ends[place]) for place in places}
        async for _, batch in self._batches(extents):
            ids.update(output_id(record.headers, self._prefix) for record in batch)
        return ids

    async def _batches(
        self, extents: Mapping[TopicPartition, Extent]
    ) -> AsyncIterator[tuple[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]]:
        """All places at once: each new assignment costs a wait for the broker."""
        positions = {place: extent.start for place, extent in extents.items() if extent.start < extent.end}
        self._consumer.assign(list(positions))
        for place, start in positions.items():
            self._consumer.seek(place, start)
        moved = time.monotonic()
        while positions:
            batches = await self._consumer.getmany(*positions, timeout_ms=POLL_MS)
            for place, batch in batches.items():
                yield place, batch
            for place, before in list(positions.items()):
                # The position, not the last record: a transaction's markers take offsets too.
                positions[place] = await self._consumer.position(place)
                if positions[place] > before:
                    moved = time.monotonic()
                if positions[place] >= extents[place].end:
                    self._consumer.pause(place)
                    del positions[place]
            if positions and time.monotonic() - moved > STALL_SECONDS:
                place, position = next(iter(positions.items()))
                raise VerifyError(
                    f"{place.topic}/{place.partition} gave nothing for {STALL_SECONDS:.0f} s "
                    f"at offset {position} of {extents[place].end}; is the broker up?"
                )


def output_id(headers: Sequence[tuple[str, bytes]], topic_prefix: str) -> DeadLetter:
    """(base topic, partition, offset, reason) that the headers of a dead letter or late row name.

    VerifyError when one is missing: such a record can't be told from others.
    """
    texts: dict[str, str] = {}
    for name, value in headers:
        # The record's own headers come behind ours and may have the same names: the first of each counts.
        if name in ("topic", "partition", "offset", "reason"):
            texts.setdefault(name, value.decode(errors="replace"))
    try:
        topic = texts["topic"].removeprefix(topic_prefix)
        partition, offset = int(texts["partition"]), int(texts["offset"])
        return topic, partition, offset, texts["reason"]
    except (KeyError, ValueError) as error:
        raise VerifyError(
            f"a dead letter or late row lacks a readable header ({error}); was it written by Shop Pulse?"
        ) from error

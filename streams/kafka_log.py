"""Looking into Kafka: its topics, a log up to its present end, and its errors as a user should see them.

It stands beside the way of an event: commands that look into topics use it, the worker has its own transport.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.errors import PulseError
from streams.settings import Settings

SILENCE_S: Final = 20  # longer than a leader election, shorter than a person's patience


def unreachable(settings: Settings) -> PulseError:
    """Kafka does not answer."""
    return PulseError(
        f"no Kafka answers at {settings.kafka}: start it (`shop-pulse up` brings one), "
        "or set SHOP_PULSE_KAFKA"
    )


def refused(error: BaseException) -> PulseError:
    """Kafka answers, but not with what it was asked for."""
    return PulseError(f"Kafka refused ({error!r}): look into the broker's log, then try again")


def quiet_client() -> None:
    """Keep the client's own log lines from the terminal of a command: what they say is raised as well."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class Log:
    """Some topics' records between two fixed places.

    Attributes:
        total: how many offsets lie between them.
    """

    def __init__(self, consumer: Any, ends: dict[TopicPartition, int], total: int) -> None:
        self.total = total
        self._consumer = consumer
        self._ends = ends

    async def records(self) -> AsyncIterator[Any]:
        """aiokafka's ConsumerRecords, in offset order within a topic-partition.

        Raises PulseError when Kafka sends nothing for SILENCE_S.
        """
        positions = await self._unread()
        while positions:
            fetched = await self._consumer.getmany(*positions, timeout_ms=SILENCE_S * 1000)
            for place, records in fetched.items():
                for record in records:
                    if record.offset < self._ends[place]:
                        yield record
            before, positions = positions, await self._unread()
            # Positions also move over what is no record (control batches, compacted offsets).
            if positions == before:
                raise PulseError(
                    f"Kafka sent nothing for {SILENCE_S} s: look into the broker's log, then try again"
                )

    async def topic_after(self, time_ms: int) -> str | None:
        """The Kafka name of a topic that holds a record with a timestamp above `time_ms`; None: none does."""
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._ends, time_ms + 1))
        return next((place.topic for place, offset in found.items() if offset is not None), None)

    async def _unread(self) -> dict[TopicPartition, int]:
        """The position in each topic-partition that has not been read to its end."""
        positions = {place: await self._consumer.position(place) for place in self._ends}
        return {place: position for place, position in positions.items() if position < self._ends[place]}


class Extents:
    """How far some topics' logs reach, as readers of committed records see them."""

    def __init__(self, consumer: Any, places: dict[TopicPartition, tuple[str, int]]) -> None:
        self._consumer = consumer
        self._places = places

    async def starts(self) -> dict[tuple[str, int], int]:
        """The first offset that is left, by topic (base name) and partition. Raises PulseError."""
        return await self._asked(self._consumer.beginning_offsets)

    async def ends(self) -> dict[tuple[str, int], int]:
        """The offset behind the last record. Raises PulseError."""
        return await self._asked(self._consumer.end_offsets)

    async def oldest_ms(self) -> dict[tuple[str, int], int]:
        """Kafka's time of the first record that is left, where there is one. Raises PulseError."""
        found = await self._asked(lambda places: self._consumer.offsets_for_times(dict.fromkeys(places, 0)))
        return {place: first.timestamp for place, first in found.items() if first is not None}

    async def _asked(self, ask: Callable[[list[TopicPartition]], Awaitable[Any]]) -> dict[Any, Any]:
        try:
            found = await ask(list(self._places))
        except (KafkaError, TimeoutError) as error:
            raise refused(error) from error
        return {self._places[place]: value for place, value in found.items()}


async def stop(consumer: AIOKafkaConsumer) -> None:
    """Ends a consumer.

    Where a fetch has failed a moment before, aiokafka lets its own cancellation of that fetch out, as if
    whoever waits here had been cancelled, and leaves its connections open.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        await consumer._client.close()


@asynccontextmanager
async def open_extents(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Extents]:
    """How far the logs of these topics (base names) reach.

    Raises PulseError when a topic is missing, or Kafka is away.
    """
    counts = await existing_partitions(settings, topics)
    places = {
        TopicPartition(settings.topic_prefix + topic, partition): (topic, partition)
        for topic, count in counts.items()
        for partition in range(count)
    }
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        enable_auto_commit=False,
        isolation_level="read_committed",
        request_timeout_ms=SILENCE_S * 1000,
    )
    try:
        await consumer.start()
        yield Extents(consumer, places)
    except KafkaConnectionError as error:
        raise unreachable(settings) from error
    finally:
        await stop(consumer)


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[Any]:
    """aiokafka's admin client. Raises PulseError when Kafka is away or refuses."""
    quiet_client()
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        await admin.start()
        yield admin
    except KafkaConnectionError as error:
        raise unreachable(settings) from error
    except (KafkaError, TimeoutError) as error:
        raise refused(error) from error
    finally:
        await admin.close()


async def partition_counts(admin: Any, settings: Settings, topics: Sequence[str]) -> dict[str, int]:
    """Partitions of these topics, by base name; 0 = no such topic."""
    names = [settings.topic_prefix + topic for topic in topics]
    found = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics(names)}
    return {topic: found[name] for topic, name in zip(topics, names, strict=True)}


async def existing_partitions(settings: Settings, topics: Sequence[str]) -> dict[str, int]:
    """Partitions of these topics, by base name, all of which must exist.

    A producer or consumer that is asked for a topic that does not exist waits 40 s for it to come: ask first.
    Raises PulseError when one is missing, or Kafka is away.
    """
    async with open_admin(settings) as admin:
        counts = await partition_counts(admin, settings, topics)
    for topic, count in counts.items():
        if not count:
            raise PulseError(f"topic {settings.topic_prefix}{topic} is missing: run `shop-pulse topics`")
    return counts


@asynccontextmanager
async def open_log(
    settings: Settings, topics: Sequence[str], latest: int | None = None, oldest: int | None = None
) -> AsyncIterator[Log]:
    """The log of these topics (base names) up to its present end, from its start or its `latest` offsets.

    With `oldest` only so many offsets of each topic-partition, from its start.
    Raises PulseError when a topic is missing, or Kafka is away.
    """
    counts = await existing_partitions(settings, topics)
    places = [
        TopicPartition(settings.topic_prefix + topic, partition)
        for topic, count in counts.items()
        for partition in range(count)
    ]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, enable_auto_commit=False, request_timeout_ms=SILENCE_S * 1000
    )
    try:
        await consumer.start()
        consumer.assign(places)
        # aiokafka cannot stop a consumer whose tasks have not run once.
        await asyncio.sleep(0)
        ends, begins = await asyncio.gather(consumer.end_offsets(places), consumer.beginning_offsets(places))
        if latest is not None:
            begins = {place: max(begins[place], ends[place] - latest) for place in places}
        if oldest is not None:
            ends = {place: min(ends[place], begins[place] + oldest) for place in places}
        for place in places:
            consumer.seek(place, begins[place])
        yield Log(consumer, ends, sum(ends[place] - begins[place] for place in places))
    except KafkaConnectionError as error:
        raise unreachable(settings) from error
    except KafkaError as error:
        raise refused(error) from error
    finally:
        await stop(consumer)

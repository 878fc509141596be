"""What Kafka's client leaves to those who look into the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.kafka_log import stop
from streams.local.kafka import KafkaServer
from streams.settings import Settings
from streams.topics import create
from tests.owner_kit import eventually


def test_a_consumer_is_stopped_while_its_fetch_has_failed(
    new_kafka: Callable[..., KafkaServer], caplog: pytest.LogCaptureFixture
) -> None:
    """aiokafka cancels a fetch that waits to be tried again, and lets that out: two take-overs once ended
    with it, without a word, and their partition numbers stood still."""
    server = new_kafka()
    settings = Settings(kafka=server.bootstrap, partitions=1)

    async def opened() -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=server.bootstrap,
            enable_auto_commit=False,
            retry_backoff_ms=3_600_000,
            fetch_max_wait_ms=1_000,
        )
        await consumer.start()
        place = TopicPartition(f"{settings.topic_prefix}views", 0)
        consumer.assign([place])
        consumer.seek(place, 0)
        await eventually(lambda: consumer.last_poll_timestamp(place))
        return consumer

    async def run() -> None:
        await create(settings)
        caplog.set_level(logging.ERROR, "aiokafka")
        plain, ours = await opened(), await opened()
        server.kill()
        await eventually(lambda: caplog.text.count("Failed fetch messages") == 2)
        with pytest.raises(asyncio.CancelledError):
            await plain.stop()
        await stop(ours)
        assert not any(each.connected() for each in ours._client._conns.values())
        await plain._client.close()

    asyncio.run(run())


def test_whoever_is_told_to_end_while_stopping_a_consumer_ends() -> None:
    """A cancellation of one's own is not taken for the client's."""

    class Slow:
        async def stop(self) -> None:
            await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(stop(Slow()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())

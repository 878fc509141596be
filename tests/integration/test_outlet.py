"""The outlet of dead letters and late rows after a failure of its producer, against a real broker."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import pytest
from aiokafka.producer.sender import Sender

from schemas.codec import Reason
from streams.batch import PlainRecord
from streams.kafka_log import open_log
from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from streams.outlet import Outlet, OutletUnavailableError
from streams.settings import Settings
from streams.topics import create
from streams.verdict import Refusal


def refuse(offset: int) -> Refusal:
    """A record that the worker refuses."""
    record = PlainRecord(offset=offset, value=b"{", timestamp=1_700_000_000_000, key=None, headers=[])
    return Refusal(record, Reason.NOT_JSON, "why")


@pytest.fixture
def settings(kafka: KafkaServer) -> Settings:
    """Settings with topics of their own."""
    made = Settings(kafka=kafka.bootstrap, topic_prefix="outlet.", partitions=2)
    asyncio.run(create(made))
    return made


def test_a_producer_that_died_is_replaced(settings: Settings) -> None:
    """What sends for all partitions ends with a broken connection, and nobody starts it again: that stopped a
    worker until its restart. What was refused meanwhile is sent again, and comes to Kafka."""
    send = Sender._send_produce_req

    async def run() -> set[tuple[int, bytes]]:
        outlet = Outlet(settings)
        await outlet.start()
        await outlet.send("views", 0, [refuse(1)])
        broken: list[int] = []

        async def break_once(sender: Any, node_id: int, batches: Any) -> None:
            if not broken:
                broken.append(node_id)
                raise RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")
            await send(sender, node_id, batches)

        with patch.object(Sender, "_send_produce_req", break_once):
            both = [outlet.send("views", p, [refuse(2)]) for p in range(2)]
            failed = await asyncio.gather(*both, return_exceptions=True)
            assert any(isinstance(each, OutletUnavailableError) for each in failed)
            for p in range(2):
                await outlet.send("views", p, [refuse(2)])
        await outlet.stop()
        async with open_log(settings, ["dead-letters"]) as log:
            return {(each.partition, dict(each.headers)["offset"]) async for each in log.records()}

    assert asyncio.run(run()) == {(0, b"1"), (0, b"2"), (1, b"2")}


def test_a_broker_that_is_away_is_told() -> None:
    """Each attempt says that Kafka takes nothing, and stopping waits for nobody."""

    async def run() -> None:
        outlet = Outlet(Settings(kafka=f"127.0.0.1:{free_port()}"))
        for _ in range(2):
            with pytest.raises(OutletUnavailableError, match="Kafka does not take dead letters"):
                await outlet.send("views", 0, [refuse(1)])
        await outlet.stop()

    asyncio.run(run())

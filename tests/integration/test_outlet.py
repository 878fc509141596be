"""The outlet of dead letters and late rows after a failure of its producer, against a real broker."""

from __future__ import annotations

import asyncio
import secrets
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from aiokafka.producer.sender import Sender

from schemas.codec import Reason
from streams import outlet as module
from streams.batch import PlainRecord
from streams.kafka_log import open_log
from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from streams.outlet import Outlet, OutletUnavailableError
from streams.settings import Settings
from streams.topics import create
from streams.verdict import Refusal
from tests.integration.pipeline import stand_still


def refuse(offset: int) -> Refusal:
    """A record that the worker refuses."""
    record = PlainRecord(offset=offset, value=b"{", timestamp=1_700_000_000_000, key=None, headers=[])
    return Refusal(record, Reason.NOT_JSON, "why")


@pytest.fixture
def settings(kafka: KafkaServer) -> Settings:
    """Settings with topics of their own."""
    made = Settings(kafka=kafka.bootstrap, topic_prefix=f"outlet-{secrets.token_hex(4)}.", partitions=2)
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


def _kept(settings: Settings) -> list[bytes]:
    """The offsets in the headers of all dead letters, in order."""

    async def read() -> list[bytes]:
        async with open_log(settings, ["dead-letters"]) as log:
            return [dict(each.headers)["offset"] async for each in log.records()]

    return asyncio.run(read())


def test_a_silent_broker_is_told_and_what_is_on_its_way_is_not_sent_again(tmp_path: Path) -> None:
    """aiokafka's producer tries without end and without a word: whoever waits learns it, asks again, and gets
    the answer for the same records."""
    server = KafkaServer(tmp_path)
    server.start()
    settings = Settings(kafka=server.bootstrap, partitions=1)

    async def run() -> None:
        await create(settings)
        outlet = Outlet(settings)
        await outlet.send("views", 0, [refuse(1)])
        refusals = [refuse(2)]
        stand_still(server)
        with patch.object(module, "PATIENCE_S", 0.5):
            for _ in range(3):
                with pytest.raises(OutletUnavailableError, match="no answer"):
                    await outlet.send("views", 0, refusals)
            server.send(signal.SIGCONT)
        await outlet.send("views", 0, refusals)
        await outlet.stop()

    try:
        asyncio.run(run())
        assert _kept(settings) == [b"1", b"2"]
    finally:
        server.send(signal.SIGCONT)
        server.stop()


def test_a_producer_that_stays_silent_beside_a_broker_that_answers_is_replaced(settings: Settings) -> None:
    """Its own task may hang, or have ended unseen: another one sends the records."""
    send = Sender._send_produce_req

    async def run() -> None:
        outlet = Outlet(settings)
        await outlet.start()
        hung: list[Any] = []
        over = asyncio.Event()

        async def hang(sender: Any, node_id: int, batches: Any) -> None:
            if not hung or sender in hung:
                hung.append(sender)
                await over.wait()
                raise RuntimeError("the handler is closed")
            await send(sender, node_id, batches)

        refusals = [refuse(1)]
        with patch.object(Sender, "_send_produce_req", hang):
            with patch.object(module, "PATIENCE_S", 2.0), pytest.raises(OutletUnavailableError):
                await outlet.send("views", 0, refusals)
            await outlet.send("views", 0, refusals)
            over.set()
            await outlet.stop()

    asyncio.run(run())
    assert _kept(settings) == [b"1"]


def test_a_broker_that_is_away_is_told() -> None:
    """Each attempt says that Kafka takes nothing, and stopping waits for nobody."""

    async def run() -> None:
        outlet = Outlet(Settings(kafka=f"127.0.0.1:{free_port()}"))
        for _ in range(2):
            with pytest.raises(OutletUnavailableError, match="Kafka does not take dead letters"):
                await outlet.send("views", 0, [refuse(1)])
        await outlet.stop()

    asyncio.run(run())

"""What a worker does while Kafka's client does not answer: it asks again, and never waits for ever."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from streams import worker
from streams.log_check import LogUnavailableError


async def _never() -> int:
    await asyncio.Event().wait()
    return 1


async def _fails() -> int:
    raise KafkaConnectionError("no node")


async def _given_up() -> int:
    raise asyncio.CancelledError


async def _soon() -> int:
    return 1


def test_who_waits_for_kafka_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what comes, with the client's error, or after a while with that nothing came: two partitions once
    stood still for minutes, without a word, behind a question that a cut connection had swallowed, and two
    others behind one that the client had cancelled itself."""
    monkeypatch.setattr(worker, "ANSWER_S", 0.05)
    assert asyncio.run(worker.answered(_soon())) == 1
    with pytest.raises(LogUnavailableError, match="no node"):
        asyncio.run(worker.answered(_fails()))
    with pytest.raises(LogUnavailableError, match="nothing for 0 s"):
        asyncio.run(worker.answered(_never()))
    with pytest.raises(LogUnavailableError, match="its client gave the question up"):
        asyncio.run(worker.answered(_given_up()))

"""A hundred thousand damaged records through a real broker and a real worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from schemas.codec import Reason
from schemas.events import DEAD_LETTERS, INPUT_TOPICS, LATE
from streams.kafka_log import open_log
from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from streams.settings import Settings
from streams.sources.produce import open_sender
from streams.sources.record import Record
from tests.bench.machine import peak_rss_mib
from tests.integration.pipeline import Pipeline
from tests.mutations import damaged

RECORDS = 100_000
USERS = 40
# What a worker may hold at most, whatever it is sent: MiB.
MEMORY_MAX_MIB = 400


async def _send(settings: Settings) -> None:
    async with open_sender(settings, INPUT_TOPICS) as sender:
        await sender.send(
            Record(at_ms, topic, b"u%d" % (number % USERS), value)
            for number, (at_ms, topic, value) in enumerate(damaged(1, RECORDS))
        )
        await sender.flush(confirmed=True)


async def _reasons(settings: Settings) -> Counter[str]:
    """How many distinct records were refused for each reason."""
    seen: dict[tuple[bytes, bytes, bytes], str] = {}
    async with open_log(settings, [DEAD_LETTERS, LATE]) as log:
        async for letter in log.records():
            told = dict(letter.headers)
            seen[told["topic"], told["partition"], told["offset"]] = told["reason"].decode()
    return Counter(seen.values())


def test_a_hundred_thousand_damaged_records(
    kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    """The worker neither ends nor stands still nor grows: what is no event is a dead letter with a reason,
    the rest is counted, and both are what `verify` finds with its own decoder."""
    pipeline = Pipeline(kafka, redis_server, tmp_path)
    pipeline.create_topics()
    settings = Settings(kafka=kafka.bootstrap, topic_prefix=pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"])
    asyncio.run(_send(settings))
    worker = pipeline.worker()
    try:
        found = pipeline.assert_exact()
        assert worker.running
        assert peak_rss_mib(worker.pid) < MEMORY_MAX_MIB
    finally:
        pipeline.end()
    assert found["records"] == RECORDS
    reasons = asyncio.run(_reasons(settings))
    # Damage of every kind was among them, and much was still an event.
    assert set(reasons) == {str(reason) for reason in Reason}
    assert RECORDS / 10 < sum(reasons.values()) < RECORDS * 9 / 10

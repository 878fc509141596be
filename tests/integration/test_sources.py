"""The sources against a real broker: what they say they sent is in the log, what is wrong is refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from click.testing import CliRunner

from schemas.codec import Rejected, decode
from schemas.events import INPUT_TOPICS, SourceHeartbeat
from schemas.partitioning import partition_of
from streams.errors import PulseError
from streams.kafka_log import open_log
from streams.local.kafka import KafkaServer
from streams.settings import Settings
from streams.sources import complete_journey
from streams.sources.generate import command
from streams.sources.history_command import command as history
from streams.sources.pacing import now_ms
from streams.sources.record import Record
from streams.topics import create

_numbers = count()
BASKET_MS = 1_483_271_606_000


@pytest.fixture
def settings(kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with topics of their own, in the environment too."""
    made = Settings(kafka=kafka.bootstrap, topic_prefix=f"sources{next(_numbers)}.")
    monkeypatch.setenv("SHOP_PULSE_KAFKA", made.kafka)
    monkeypatch.setenv("SHOP_PULSE_TOPIC_PREFIX", made.topic_prefix)
    yield made


def test_what_the_generator_reports_is_in_the_log(settings: Settings) -> None:
    """By topic and fault; in time order and where murmur2 puts the keys, with nothing in the future."""
    asyncio.run(create(settings))
    options = ["--events", "20000", "--max-speed", "--unreadable", "0.01", "--disorder-ms", "500", "--json"]
    summary = json.loads(CliRunner().invoke(command, options).output)
    assert summary["sent"] == 20_000

    async def read() -> tuple[Counter[str], int]:
        topics, rejected = Counter[str](), 0
        newest: dict[tuple[str, int], int] = {}
        async with open_log(settings, INPUT_TOPICS) as log:
            async for record in log.records():
                topic = record.topic.removeprefix(settings.topic_prefix)
                topics[topic] += 1
                assert newest.get((topic, record.partition), 0) <= record.timestamp <= now_ms()
                newest[topic, record.partition] = record.timestamp
                event = decode(record.value, topic)
                rejected += isinstance(event, Rejected)
                if not isinstance(event, SourceHeartbeat):
                    assert partition_of(record.key, settings.partitions) == record.partition
        return topics, rejected

    topics, rejected = asyncio.run(read())
    assert topics == summary["topics"]
    unreadable = sum(summary["faults"].values()) - summary["faults"].get("unreadable.future_time", 0)
    assert rejected == unreadable > 0


def test_a_paced_generator_keeps_its_rate(settings: Settings) -> None:
    """Two seconds at 500 events/s are about 1 000 events and take no less than two seconds."""
    asyncio.run(create(settings))
    options = ["--rate", "500", "--flat", "--for", "2", "--json"]
    summary = json.loads(CliRunner().invoke(command, options).output)
    assert summary["seconds"] >= 2
    traffic = summary["sent"] - summary["topics"]["catalogue"]
    assert 700 < traffic < 1_300


def test_a_generator_without_topics_says_how_to_make_them(settings: Settings) -> None:
    """At once, not after the client's forty seconds; and with other partitions it does not start."""
    result = CliRunner().invoke(command, ["--events", "1"])
    assert isinstance(result.exception, PulseError)
    assert "run `shop-pulse topics`" in str(result.exception)
    asyncio.run(create(Settings(kafka=settings.kafka, topic_prefix=settings.topic_prefix, partitions=2)))
    result = CliRunner().invoke(command, ["--events", "1"])
    assert isinstance(result.exception, PulseError)
    assert "SHOP_PULSE_PARTITIONS=2" in str(result.exception)


def test_a_generator_whose_kafka_is_gone_can_be_ended(new_kafka: Callable[..., KafkaServer]) -> None:
    """Ctrl-C ends it within seconds, with one line, though nothing is left that could confirm its records."""
    server = new_kafka()
    asyncio.run(create(Settings(kafka=server.bootstrap)))
    generator = subprocess.Popen(
        [sys.executable, "-m", "streams", "generate"],
        env={**os.environ, "SHOP_PULSE_KAFKA": server.bootstrap},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        asyncio.run(_wait_for_records(Settings(kafka=server.bootstrap)))
        server.kill()
        time.sleep(1)
        generator.send_signal(signal.SIGINT)
        _, errors = generator.communicate(timeout=30)
    finally:
        generator.kill()
    assert generator.returncode == 1
    assert errors.startswith("shop-pulse: ")
    assert errors.count("\n") == 1
    assert server.bootstrap in errors


async def _wait_for_records(settings: Settings) -> None:
    async with asyncio.timeout(30):
        while True:
            async with open_log(settings, ["views"]) as log:
                if log.total:
                    return
            await asyncio.sleep(0.2)


def test_history_is_sent_once_into_empty_topics(settings: Settings) -> None:
    """All of it with its own times, once: where a record lies, nothing of the past is sent."""
    with pytest.raises(PulseError, match="is missing"):
        CliRunner().invoke(history, catch_exceptions=False)
    asyncio.run(create(settings))
    first = json.loads(CliRunner().invoke(history, ["--json"]).output)
    assert first["sent"] == sum(first["topics"].values()) > 30_000

    async def span() -> tuple[int, int, int]:
        async with open_log(settings, INPUT_TOPICS) as log:
            times = [record.timestamp async for record in log.records()]
            return len(times), min(times), max(times)

    found, oldest_ms, newest_ms = asyncio.run(span())
    assert found == first["sent"]
    assert first["from_ms"] <= oldest_ms < newest_ms < now_ms() < first["to_ms"]
    assert "the topics hold something already" in CliRunner().invoke(history).output
    assert asyncio.run(span()) == (found, oldest_ms, newest_ms)


def test_history_is_refused_by_topics_that_forget(settings: Settings) -> None:
    """With a limited retention the broker would delete it at once, under the worker's eyes."""
    asyncio.run(create(settings, retention_ms=86_400_000))
    with pytest.raises(PulseError, match=r"would throw history away: it needs retention\.ms=-1"):
        CliRunner().invoke(history, catch_exceptions=False)


def _baskets() -> Iterator[Record]:
    for number in range(3):
        yield Record(BASKET_MS + number, "purchases", b"900", b"{}")


def test_baskets_are_refused_by_topics_that_hold_later_events(settings: Settings) -> None:
    """Empty topics take them with their own times; a second import, or one behind a generator, is refused."""
    asyncio.run(create(settings))
    asyncio.run(complete_journey.feed(settings, _baskets()))

    async def times() -> list[int]:
        async with open_log(settings, ["purchases"]) as log:
            return [record.timestamp async for record in log.records()]

    assert asyncio.run(times()) == [BASKET_MS, BASKET_MS + 1, BASKET_MS + 2]
    with pytest.raises(PulseError, match="purchases already holds later events"):
        asyncio.run(complete_journey.feed(settings, _baskets()))
    assert len(asyncio.run(times())) == 3


def test_baskets_are_refused_by_topics_that_forget(settings: Settings) -> None:
    """With a limited retention the broker would delete a year-old basket within minutes."""
    asyncio.run(create(settings, retention_ms=86_400_000))
    with pytest.raises(PulseError, match=r"retention\.ms=-1"):
        asyncio.run(complete_journey.feed(settings, _baskets()))

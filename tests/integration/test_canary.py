"""The canary with a real Kafka, worker and Redis: it arrives, and hides nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from schemas.canary import SOURCE, TOPIC
from schemas.codec import decode
from schemas.events import SourceHeartbeat
from streams.exporter import Exporter
from streams.kafka_log import open_log
from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.settings import load
from tests.integration.pipeline import Child, Pipeline, wait_until
from tests.redis_kit import NOON_MS, Shop

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


@pytest.fixture
def pipeline(kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[Pipeline]:
    """Topics of two partitions, without a worker."""
    made = Pipeline(kafka, redis_server, tmp_path, partitions=2)
    made.create_topics()
    yield made
    made.end()


def _canaries(pipeline: Pipeline) -> list[int]:
    """The partitions of the canaries in the log; there must be nothing else."""

    async def read() -> list[int]:
        partitions = []
        async with open_log(load(pipeline.settings), [TOPIC]) as log:
            async for record in log.records():
                event = decode(record.value, TOPIC)
                assert isinstance(event, SourceHeartbeat) and event.source == SOURCE
                assert abs(event.event_time_ms - record.timestamp) < 1_000
                partitions.append(record.partition)
        return partitions

    return asyncio.run(read())


def _ended(child: Child, number: signal.Signals) -> str:
    """What it said, once it has ended on the signal."""
    child.send(number)
    wait_until(lambda: not child.running, "the canary's end")
    assert child.exit_code == 0
    return child.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_canary_is_sent_to_every_partition_until_it_is_told_to_end(
    pipeline: Pipeline, number: signal.Signals
) -> None:
    """One round at once; it says where to, and nothing more into a log."""
    canary = pipeline.start("canary", "canary")
    wait_until(lambda: set(_canaries(pipeline)) == {0, 1}, "a canary in each partition")
    said = _ended(canary, number)
    assert said.splitlines() == [
        "shop-pulse canary: every 10 s a record to each of the 2 partitions of "
        f"{pipeline.settings['SHOP_PULSE_TOPIC_PREFIX']}ads"
    ]


def test_a_canary_whose_kafka_is_gone_can_be_ended(
    new_kafka: Callable[..., KafkaServer], redis_server: RedisServer, tmp_path: Path
) -> None:
    """It ends when it is told to, without its broker; one that is started then says so in one line."""
    kafka = new_kafka()
    pipeline = Pipeline(kafka, redis_server, tmp_path, partitions=2)
    pipeline.create_topics()
    canary = pipeline.start("canary", "canary")
    wait_until(lambda: set(_canaries(pipeline)) == {0, 1}, "a canary in each partition")
    kafka.kill()
    assert len(_ended(canary, signal.SIGTERM).splitlines()) == 1
    refused = pipeline.run("canary")
    assert refused.returncode == 1 and "no Kafka answers" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_canary_without_topics_says_how_to_make_them(pipeline: Pipeline) -> None:
    """At once; and where the topics have other partitions, which of them would get none."""
    pipeline.settings["SHOP_PULSE_PARTITIONS"] = "3"
    refused = pipeline.run("canary")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "SHOP_PULSE_PARTITIONS=2" in refused.stderr
    pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] = "missing."
    refused = pipeline.run("canary")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "run `shop-pulse topics`" in refused.stderr


def test_a_canary_comes_out_at_the_end(pipeline: Pipeline) -> None:
    """Its time is in the meta of each partition, no heartbeat is; verify agrees with every figure."""
    client = redis.Redis.from_url(pipeline.settings["SHOP_PULSE_REDIS"])

    def fact(name: str) -> list[bytes | None]:
        prefix = pipeline.settings["SHOP_PULSE_REDIS_PREFIX"]
        return [client.hget(f"{prefix}:{{{p}}}:meta", name) for p in range(2)]  # type: ignore[misc]

    pipeline.worker()
    canary = pipeline.start("canary", "canary")
    wait_until(lambda: None not in fact("canary:ads"), "canaries in the figures")
    _ended(canary, signal.SIGTERM)
    assert fact("hb:ads") == fact("src:ads") == [None, None]
    assert fact("canary:ads") == fact("ing:ads")
    sent = pipeline.run("generate", "--events", "500", "--max-speed")
    assert sent.returncode == 0, sent.stderr
    pipeline.assert_exact()


def test_canaries_hide_no_silent_source(redis_server: RedisServer) -> None:
    """30 charges in 35 minutes, then none for 25, but canaries: the source is silent."""
    shop = Shop(redis_server.url).healthy(NOON_MS - 10_000)
    last_ms = NOON_MS - 25 * MINUTE_MS
    shop.book(last_ms - 30 * MINUTE_MS, "pipeline", "ads", accepted=30)
    shop.book(last_ms - 30 * MINUTE_MS, "pipeline", "ads", excluded=3_000)
    for p in range(shop.partitions):
        shop.meta(p, up_ms=NOON_MS, ing__ads=NOON_MS - 5_000, canary__ads=NOON_MS - 5_000)

    async def ask(model: ReadModel) -> object:
        return (await model.kpis("all", "5m"))["state"]

    assert shop.ask(ask) == "open"  # Nothing is known of a source.
    shop.meta(0, src__ads=last_ms - HOUR_MS)
    shop.meta(1, src__ads=last_ms)
    assert shop.ask(ask) == "source_silent"
    shop.meta(1, src__ads=NOON_MS - 5 * MINUTE_MS)
    assert shop.ask(ask) == "open"


def test_the_newest_canary_is_a_gauge(redis_server: RedisServer) -> None:
    """By topic and partition, in Unix seconds; none where no canary was ever counted."""
    shop = Shop(redis_server.url).healthy(NOON_MS - 10_000)
    shop.meta(1, canary__ads=NOON_MS - 5_000)

    async def metrics(model: ReadModel) -> str:
        return (await Exporter(model, Ranking(model.store), 1).render()).decode()

    (line,) = [line for line in shop.ask(metrics).splitlines() if line.startswith("shop_pulse_canary")]
    name, value = line.split()
    assert name == 'shop_pulse_canary_timestamp_seconds{partition="1",topic="ads"}'
    assert float(value) == NOON_MS / 1_000 - 5

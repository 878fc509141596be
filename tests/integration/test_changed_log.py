"""Topics that are changed under a program that runs: it ends with one line, and nothing is counted apart."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from streams.local.redis import RedisServer
from tests.integration.pipeline import Child, Pipeline, last_line, wait_until
from tests.integration.test_rebuild import Asked, add_partitions, admin, fill, keys_of, serve

# What a program waits for, made short or endless, before it starts.
LOOKS_OFTEN = "streams.worker.COUNTS_EVERY_S = 0.5"
NEVER_LOOKS = "streams.worker.COUNTS_EVERY_S = 3600"
HEARS_OF_PARTITIONS = (
    "import aiokafka, functools; "
    "aiokafka.AIOKafkaConsumer = functools.partial(aiokafka.AIOKafkaConsumer, metadata_max_age_ms=500)"
)
GONE_SOON = "streams.log_check.GONE_AFTER_S = 3.0"


class Hasty(Child):
    """A command in a process of its own, with some of its times changed."""

    def __init__(self, pipeline: Pipeline, command: str, *changes: str) -> None:
        super().__init__(command, [command], pipeline.folder, pipeline.settings)
        self._changes = changes

    def command(self) -> list[str]:
        """The command line."""
        lines = ["import streams.worker, streams.log_check, streams.__main__", *self._changes]
        return [sys.executable, "-c", "\n".join([*lines, "streams.__main__.main()"]), *self._arguments]


@pytest.fixture
def pipeline(kafka: KafkaServer, new_redis: Callable[..., RedisServer], tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline whose topics a test may change, filled."""
    made = Pipeline(kafka, new_redis(), tmp_path, partitions=2, api_port=free_port())
    made.create_topics()
    fill(made, 3_000, seed=1)
    yield made
    made.end()


@pytest.fixture
def hasty(pipeline: Pipeline) -> Iterator[Callable[..., Hasty]]:
    """Starts commands with some of their times changed, and ends them."""
    started: list[Hasty] = []

    def start(command: str, *changes: str) -> Hasty:
        started.append(Hasty(pipeline, command, *changes))
        started[-1].launch()
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.mark.parametrize(
    "changes", [(LOOKS_OFTEN,), (NEVER_LOOKS, HEARS_OF_PARTITIONS)], ids=["looks", "assigned"]
)
def test_partitions_added_under_a_worker(
    pipeline: Pipeline, hasty: Callable[..., Hasty], changes: tuple[str, ...]
) -> None:
    """By its own look, or by what is assigned to it: it ends, writes no new number, and changes no figure."""
    worker = hasty("worker", *changes)
    before = pipeline.assert_exact()
    serve(pipeline)
    asked = Asked(pipeline)
    wait_until(asked.answers, "the read service")
    events = asked.ask()["events"]
    add_partitions(pipeline)
    line = last_line(worker, patience_s=60)
    assert "has 3 partitions, SHOP_PULSE_PARTITIONS says 2" in line
    assert "with SHOP_PULSE_PARTITIONS=3 `shop-pulse rebuild`" in line
    client: Any = Redis.from_url(pipeline.redis.url, decode_responses=True)
    numbers = {key.split("{")[1][0] for key in keys_of(client, pipeline.settings["SHOP_PULSE_REDIS_PREFIX"])}
    assert numbers == {"0", "1"} and before["records"] == 3_000
    assert asked.ask()["events"] == events


def test_a_topic_deleted_under_a_worker(pipeline: Pipeline, hasty: Callable[..., Hasty]) -> None:
    """Kafka answers, and has not known the topic for a while: the worker says which, and ends."""
    worker = hasty("worker", LOOKS_OFTEN, GONE_SOON)
    pipeline.assert_exact()
    topic = pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] + "views"
    admin(pipeline, lambda each: each.delete_topics([topic]))
    assert "topics are missing: views; create them with `shop-pulse topics`" in last_line(
        worker, patience_s=60
    )
    assert "Kafka does not know all topics at the moment (views)" in worker.said()


def test_partitions_added_under_a_rebuild(pipeline: Pipeline, hasty: Callable[..., Hasty]) -> None:
    """It looks once more before it switches: what it counted is not served."""
    client: Any = Redis.from_url(pipeline.redis.url, decode_responses=True)
    prefix = pipeline.settings["SHOP_PULSE_REDIS_PREFIX"]
    rebuild = hasty("rebuild", NEVER_LOOKS)
    wait_until(lambda: all(client.exists(f"{prefix}.1:{{{p}}}:meta") for p in (0, 1)), "the first writes")
    add_partitions(pipeline)
    assert "has 3 partitions, SHOP_PULSE_PARTITIONS says 2" in last_line(rebuild, patience_s=60)
    assert "serving" not in client.hgetall(f"{prefix}:generations")
    assert {key.split("{")[1][0] for key in keys_of(client, f"{prefix}.1")} == {"0", "1"}

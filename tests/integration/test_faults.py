"""Real processes under faults, with every topic flowing: afterwards every figure is exact."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from tests.integration.pipeline import Child, Pipeline, wait_until

SESSION_S = 6


@pytest.fixture
def pipeline(kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline on the session's servers."""
    made = Pipeline(kafka, redis_server, tmp_path)
    made.create_topics()
    yield made
    made.end()


@pytest.fixture
def own_servers(
    new_kafka: Callable[..., KafkaServer], new_redis: Callable[..., RedisServer], tmp_path: Path
) -> Iterator[Pipeline]:
    """A pipeline whose servers a test may break."""
    made = Pipeline(new_kafka(), new_redis(), tmp_path)
    made.create_topics()
    yield made
    made.end()


def wait_for_end(traffic: Child) -> None:
    """Waits until the generator has sent everything."""
    wait_until(lambda: not traffic.running, "the generator's end")
    assert traffic.exit_code == 0, traffic.said()


def test_kill_9_in_mid_batch(pipeline: Pipeline) -> None:
    """A worker killed again and again while it reads loses nothing and counts nothing twice."""
    traffic = pipeline.traffic(seconds=12)
    worker = pipeline.worker()
    for pause_s in (3.0, 1.7, 1.1, 2.3):
        time.sleep(pause_s)
        worker.kill()
        worker.launch()
    wait_for_end(traffic)
    pipeline.assert_exact()


def test_zombie_that_goes_on(pipeline: Pipeline) -> None:
    """A worker stopped past its session, whose partitions moved, does no harm when it goes on."""
    traffic = pipeline.traffic(seconds=20, rate=2_000)
    zombie = pipeline.worker("worker-0")
    pipeline.worker("worker-1")
    wait_until(lambda: "assigned partitions" in zombie.said(), "the first assignment")
    time.sleep(2)
    zombie.send(signal.SIGSTOP)
    time.sleep(SESSION_S + 3)
    zombie.send(signal.SIGCONT)
    wait_for_end(traffic)
    pipeline.assert_exact()


def test_workers_join_and_leave(pipeline: Pipeline) -> None:
    """Rebalances while everything flows move partitions without losing or doubling an event."""
    traffic = pipeline.traffic(seconds=20, rate=2_000)
    first = pipeline.worker("worker-0")
    time.sleep(3)
    second = pipeline.worker("worker-1")
    time.sleep(4)
    pipeline.worker("worker-2")
    time.sleep(4)
    first.stop()
    time.sleep(2)
    second.kill()
    wait_for_end(traffic)
    pipeline.assert_exact()


def test_redis_restarts_and_dies(own_servers: Pipeline) -> None:
    """Redis restarted, then killed: it may lose its last second, and the worker reads that second again."""
    traffic = own_servers.traffic(seconds=14)
    worker = own_servers.worker()
    time.sleep(4)
    own_servers.redis.restart()
    time.sleep(3)
    own_servers.redis.kill()
    time.sleep(1)
    own_servers.redis.start()
    wait_for_end(traffic)
    own_servers.assert_exact()
    assert worker.running
    assert "Redis does not answer" in worker.said()


def test_broker_restarts_and_dies(own_servers: Pipeline) -> None:
    """The broker restarted, then killed, while workers read and dead letters are sent."""
    first = own_servers.traffic(seconds=5)
    worker = own_servers.worker()
    wait_for_end(first)
    own_servers.kafka.restart()
    second = own_servers.traffic(seconds=5, seed=2)
    wait_for_end(second)
    own_servers.kafka.kill()
    own_servers.kafka.start()
    third = own_servers.traffic(seconds=5, seed=3)
    wait_for_end(third)
    if not worker.running:
        own_servers.worker("worker-1")
    own_servers.assert_exact()

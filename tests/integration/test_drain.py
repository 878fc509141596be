"""How a worker ends when it is told to: with everything written, and within the time that a container has."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from tests.integration.pipeline import Child, Pipeline, wait_until

GRACE_S = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def make(kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Makes the pipeline of a test, with topics; arguments are settings."""
    made: list[Pipeline] = []

    def pipeline(**settings: int) -> Pipeline:
        made.append(Pipeline(kafka, redis_server, tmp_path, partitions=2, **settings))
        made[0].create_topics()
        return made[0]

    yield pipeline
    for each in made:
        each.end()


def _stat(child: Child) -> list[str]:
    """What the kernel says of it, from its state on."""
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(child: Child) -> float:
    fields = _stat(child)
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rests(child: Child) -> bool:
    """Whether it has worked, and for a second wants no processor, which is more than getting none."""
    before, wanted = _cpu_s(child), 0
    for _ in range(20):
        time.sleep(0.05)
        wanted += _stat(child)[0] == "R"
    return before > 1.0 and _cpu_s(child) - before < 0.1 and wanted <= 2


def test_what_was_read_is_written_at_the_end(make: Callable[..., Pipeline]) -> None:
    """A worker that would not write for ten minutes writes all of it when SIGTERM comes."""
    pipeline = make(flush_interval_ms=600_000, max_dirty_cells=10_000_000)
    sent = pipeline.run("generate", "--events", "4000", "--max-speed", "--flat")
    assert sent.returncode == 0, sent.stderr
    worker = pipeline.worker()
    wait_until(lambda: _rests(worker), "a worker that has read everything")
    worker.send(signal.SIGTERM)
    wait_until(lambda: not worker.running, "its end", GRACE_S)
    assert worker.exit_code == 0, worker.said()
    # Nobody reads any more: what is missing now would stay away.
    found = pipeline.assert_exact()
    assert found["records"] >= 4_000


def test_it_ends_in_time_under_load(make: Callable[..., Pipeline]) -> None:
    """SIGTERM amid traffic ends it within the ten seconds that are promised, and without an error."""
    pipeline = make()
    worker = pipeline.worker()
    traffic = pipeline.traffic(seconds=60, rate=3_000)
    wait_until(lambda: _cpu_s(worker) > 3.0, "a worker that works")
    worker.send(signal.SIGTERM)
    wait_until(lambda: not worker.running, "its end", GRACE_S)
    assert worker.exit_code == 0, worker.said()
    assert "ERROR" not in worker.said() and "Traceback" not in worker.said()
    traffic.send(signal.SIGTERM)
    wait_until(lambda: not traffic.running, "the generator's end")
    pipeline.worker("worker-1")
    pipeline.assert_exact()

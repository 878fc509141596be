"""A rebuild beside a pipeline that goes on: the old figures serve until the new ones are whole and exact."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from streams.local.commands import ReadService
from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from streams.local.redis import RedisServer
from tests.integration.pipeline import Child, Pipeline, wait_until


@pytest.fixture
def pipeline(kafka: KafkaServer, new_redis: Callable[..., RedisServer], tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline whose Redis a test may empty."""
    made = Pipeline(kafka, new_redis(), tmp_path, partitions=2, api_port=free_port())
    made.create_topics()
    yield made
    made.end()


class Asked:
    """Asks the read service all the time, until the end of the block, and keeps what it says."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.url = f"http://127.0.0.1:{pipeline.settings['SHOP_PULSE_API_PORT']}"
        self.refused: list[str] = []
        self.orders: list[int] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Asked:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            try:
                self.orders.append(int(self.ask()["orders"]))
            except (OSError, urllib.error.HTTPError) as error:
                self.refused.append(repr(error))

    def ask(self) -> dict[str, Any]:
        """What is told of the whole shop's last day."""
        with urllib.request.urlopen(f"{self.url}/api/v1/kpis?scope=all&window=24h", timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
            return answer


def serve(pipeline: Pipeline) -> Child:
    """The read service, ready."""
    child = pipeline.start("serve", "serve")
    ready = ReadService(child.log, {}, "127.0.0.1", int(pipeline.settings["SHOP_PULSE_API_PORT"]))
    wait_until(ready.ready, "the read service")
    return child


def test_rebuild_beside_a_running_pipeline(pipeline: Pipeline) -> None:
    """Killed, started again, while events come: answers never stop, and every figure is exact."""
    pipeline.worker()
    sent = pipeline.run("generate", "--events", "30000", "--max-speed", "--seed", "1")
    assert sent.returncode == 0, sent.stderr
    serve(pipeline)
    pipeline.assert_exact()
    client = Redis.from_url(pipeline.redis.url, decode_responses=True)
    prefix = pipeline.settings["SHOP_PULSE_REDIS_PREFIX"]
    traffic = pipeline.traffic(seconds=60, rate=200, seed=2)
    with Asked(pipeline) as asked:
        rebuild = pipeline.start("rebuild", "rebuild", "--json")
        wait_until(lambda: bool(client.exists(f"{prefix}.1:{{0}}:meta")), "the first write")
        rebuild.kill()
        assert client.hget(f"{prefix}:generations", "serving") is None
        rebuild.launch()
        wait_until(lambda: not rebuild.running, "the rebuild's end")
        assert rebuild.exit_code == 0, rebuild.said()
        time.sleep(2)
    traffic.stop()
    result = json.loads(rebuild.said().splitlines()[-1])
    print(rebuild.said(), asked.refused, asked.orders[::20])
    assert (result["generation"], result["before"], result["went_on"]) == (f"{prefix}.1", prefix, True)
    assert not asked.refused
    found = pipeline.assert_exact()
    print(found)
    assert asked.orders[-1] >= max(asked.orders[:-40])

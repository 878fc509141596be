"""A rebuild beside a pipeline that goes on: the old figures serve until the new ones are whole and exact."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from redis import Redis

from streams.generations import POLL_S
from streams.local.commands import ReadService
from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from streams.local.redis import RedisServer
from streams.topics import ALL_TOPICS
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
        self.events: list[int] = []
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
                self.events.append(int(self.ask()["events"]["view"]))
            except (OSError, urllib.error.HTTPError) as error:
                self.refused.append(repr(error))

    def wait_for_another(self) -> None:
        """Returns once one more answer came, after the read service has had time to follow a switch."""
        time.sleep(2 * POLL_S)
        before = len(self.events) + len(self.refused)
        wait_until(lambda: len(self.events) + len(self.refused) > before, "another answer")

    def answers(self) -> bool:
        """Whether there is an answer."""
        try:
            return "events" in self.ask()
        except urllib.error.HTTPError:
            return False

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


def run_rebuild(pipeline: Pipeline, *options: str) -> dict[str, Any]:
    """A rebuild to its end; what `--json` prints."""
    done = pipeline.run("rebuild", "--json", *options)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def refusal(pipeline: Pipeline, *arguments: str) -> str:
    """The one line of a command that refuses, behind what a worker logs."""
    done = pipeline.run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    line = done.stderr.splitlines()[-1]
    assert line.startswith("shop-pulse: ") and "Traceback" not in done.stderr
    return line


def fill(pipeline: Pipeline, events: int, seed: int) -> None:
    """Sends events as fast as Kafka takes them."""
    sent = pipeline.run("generate", "--events", str(events), "--max-speed", "--seed", str(seed))
    assert sent.returncode == 0, sent.stderr


def admin(pipeline: Pipeline, act: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> None:
    """Does something to the pipeline's topics."""

    async def run() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=pipeline.kafka.bootstrap)
        await client.start()
        try:
            await act(client)
        finally:
            await client.close()

    asyncio.run(run())


def add_partitions(pipeline: Pipeline) -> None:
    """One more for every topic."""
    prefix = pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"]
    more = {prefix + topic: NewPartitions(total_count=3) for topic in ALL_TOPICS}
    admin(pipeline, lambda each: each.create_partitions(more))


def keys_of(client: Any, generation: str) -> list[str]:
    """Every key of the partitions of a generation."""
    return list(client.scan_iter(match=f"{generation}:{{*"))


def test_beside_a_running_pipeline(pipeline: Pipeline) -> None:
    """Killed, started again, while events come: answers never stop, and every figure is exact."""
    worker = pipeline.worker()
    fill(pipeline, 20_000, seed=1)
    serve(pipeline)
    client: Any = Redis.from_url(pipeline.redis.url, decode_responses=True)
    prefix = pipeline.settings["SHOP_PULSE_REDIS_PREFIX"]
    traffic = pipeline.traffic(seconds=100, rate=200, seed=2)
    with Asked(pipeline) as asked:
        rebuild = pipeline.start("rebuild", "rebuild", "--json")
        wait_until(lambda: bool(client.exists(f"{prefix}.1:{{0}}:meta")), "the first write")
        rebuild.kill()
        assert client.hgetall(f"{prefix}:generations").keys() == {"building", "building_of"}
        rebuild.launch()
        wait_until(lambda: not rebuild.running, "the rebuild's end")
        assert rebuild.exit_code == 0, rebuild.said()
        asked.wait_for_another()
    traffic.stop()
    [told] = [line for line in rebuild.said().splitlines() if line.startswith("{")]
    result = json.loads(told)
    assert (result["generation"], result["before"], result["went_on"]) == (f"{prefix}.1", prefix, True)
    assert asked.refused == []
    assert asked.events[-1] > asked.events[0]
    assert worker.running and f"kept under {prefix}.1 now" in worker.said()
    pipeline.assert_exact()


def test_after_a_loss_of_redis(pipeline: Pipeline) -> None:
    """What the log no longer holds has to be accepted; until then nothing is told or counted."""
    pipeline.worker()
    fill(pipeline, 3_000, seed=1)
    pipeline.assert_exact()
    pipeline.end()
    client: Any = Redis.from_url(pipeline.redis.url, decode_responses=True)
    client.flushall()
    views = TopicPartition(pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] + "views", 0)
    admin(pipeline, lambda each: each.delete_records({views: RecordsToDelete(before_offset=100)}))
    service = pipeline.start("serve", "serve")
    wait_until(lambda: "shop-pulse serve: " in service.said(), "the read service")
    asked = Asked(pipeline)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        asked.ask()
    line = refusal(pipeline, "rebuild")
    assert f"the first 100 records of {views.topic} were deleted" in line and "--accept-incomplete" in line
    assert client.keys() == []
    line = refusal(pipeline, "worker")
    assert "the first 100 records of topic views partition 0 were deleted, and Redis holds no figures" in line
    carts = TopicPartition(pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] + "carts", 1)
    admin(pipeline, lambda each: each.delete_records({carts: RecordsToDelete(before_offset=-1)}))
    prefix = pipeline.settings["SHOP_PULSE_REDIS_PREFIX"]
    assert run_rebuild(pipeline, "--accept-incomplete")["generation"] == f"{prefix}.1"
    wait_until(asked.answers, "the read service")
    worker = pipeline.worker("worker-1")
    fill(pipeline, 500, seed=2)
    pipeline.assert_exact()
    assert run_rebuild(pipeline, "--accept-incomplete")["before"] == f"{prefix}.1"
    fill(pipeline, 500, seed=3)
    pipeline.assert_exact()
    assert worker.running
    assert keys_of(client, f"{prefix}.1")
    assert run_rebuild(pipeline, "--delete-old")["deleted"].keys() == {prefix, f"{prefix}.1"}
    assert not keys_of(client, f"{prefix}.1") and not keys_of(client, prefix)
    pipeline.assert_exact()


def test_after_another_version_rules_and_partitions(pipeline: Pipeline) -> None:
    """The worker refuses and names the command, which says what moved, and counts as verify does."""
    pipeline.worker()
    fill(pipeline, 3_000, seed=1)
    pipeline.assert_exact()
    pipeline.end()
    client: Any = Redis.from_url(pipeline.redis.url, decode_responses=True)
    for key in client.scan_iter(match=f"{pipeline.settings['SHOP_PULSE_REDIS_PREFIX']}:{{*}}:meta"):
        client.hset(key, "schema", "3")
    line = refusal(pipeline, "worker")
    assert "has schema 3, this program writes 4" in line and "with this one: `shop-pulse rebuild`" in line
    assert run_rebuild(pipeline)["generation"].endswith(".1")
    pipeline.settings["SHOP_PULSE_ON_TIME_DAYS"] = "8"
    assert "or go on with these: `shop-pulse rebuild`" in refusal(pipeline, "worker")
    add_partitions(pipeline)
    assert "with SHOP_PULSE_PARTITIONS=3 `shop-pulse rebuild`" in refusal(pipeline, "rebuild")
    pipeline.settings["SHOP_PULSE_PARTITIONS"] = "3"
    assert "keys moved; `shop-pulse rebuild`" in refusal(pipeline, "worker")
    assert "lie in another partition than their key belongs to" in refusal(pipeline, "rebuild")
    assert run_rebuild(pipeline, "--accept-incomplete")["lacking"]
    pipeline.worker("worker-1")
    fill(pipeline, 500, seed=2)
    pipeline.assert_exact()

"""One worker against servers that are wrong, full, emptied or changed under it: one clear line each."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from tests.integration.pipeline import Pipeline, last_line, wait_until


@pytest.fixture
def pipeline(kafka: KafkaServer, new_redis: Callable[..., RedisServer], tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline whose Redis a test may break."""
    made = Pipeline(kafka, new_redis(), tmp_path, partitions=2)
    made.create_topics()
    yield made
    made.end()


def redis_says(redis: RedisServer, *words: str) -> None:
    """Sends one command to Redis, as redis-cli would."""
    with socket.create_connection(("127.0.0.1", redis.port), timeout=5) as connection:
        connection.sendall((" ".join(words) + "\r\n").encode())
        assert connection.recv(100).startswith(b"+OK")


def fill(pipeline: Pipeline, events: int = 4_000, seed: int = 1) -> None:
    """Sends events as fast as Kafka takes them."""
    sent = pipeline.run("generate", "--events", str(events), "--max-speed", "--seed", str(seed))
    assert sent.returncode == 0, sent.stderr


def test_transactions(pipeline: Pipeline) -> None:
    """Committed transactions are counted, aborted ones are not, and their control records hold nothing up."""

    async def send() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=pipeline.kafka.bootstrap, transactional_id=pipeline.folder.name
        )
        await producer.start()
        for number in range(30):
            await producer.begin_transaction()
            for copy in range(3):
                await producer.send(
                    pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] + "views",
                    key=b"u1",
                    value=a_view(f"{number}-{copy}"),
                    timestamp_ms=1_767_614_400_000 + number,
                )
            await (producer.abort_transaction() if number % 3 == 2 else producer.commit_transaction())
        await producer.stop()

    worker = pipeline.worker()
    asyncio.run(send())
    found = pipeline.assert_exact()
    assert found["verdicts"] == {"accepted": 60}
    worker.kill()
    pipeline.worker()
    assert pipeline.assert_exact()["verdicts"] == {"accepted": 60}


def a_view(event_id: str) -> bytes:
    """A view of user u1."""
    event = {"event_id": event_id, "event_type": "view", "event_time_ms": 1_767_614_400_000}
    return json.dumps(event | {"platform": "tiktok", "user_id": "u1", "session_id": "s"}).encode()


def test_a_record_without_key_and_value(pipeline: Pipeline) -> None:
    """A tombstone is a dead letter like any other; so is a record too large for a Kafka batch."""

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=pipeline.kafka.bootstrap)
        await producer.start()
        topic = pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] + "views"
        for value in (None, b" " * 900_000):
            batch = producer.create_batch()
            batch.append(timestamp=1_767_614_400_000, key=None, value=value)
            await (await producer.send_batch(batch, topic, partition=0))
        await producer.stop()

    asyncio.run(send())
    pipeline.worker()
    found = pipeline.assert_exact()
    assert found["verdicts"] == {"dead_letters.not_json": 1, "dead_letters.too_large": 1}


def test_redis_that_lost_everything(pipeline: Pipeline) -> None:
    """After FLUSHALL under a running worker everything is read again, and is right again."""
    fill(pipeline)
    pipeline.worker()
    before = pipeline.assert_exact()
    redis_says(pipeline.redis, "FLUSHALL")
    fill(pipeline, events=1_000, seed=2)
    after = pipeline.assert_exact()
    assert after["records"] == before["records"] + 1_000


def test_redis_that_is_full(pipeline: Pipeline) -> None:
    """A full Redis is said in one line; the worker waits, and goes on exactly once there is room."""
    worker = pipeline.worker()
    wait_until(lambda: "reads 9 topics" in worker.said(), "the worker's start")
    redis_says(pipeline.redis, "CONFIG", "SET", "maxmemory", "2mb")
    fill(pipeline, events=20_000)
    wait_until(lambda: "Redis is full: raise maxmemory" in worker.said(), "the worker's word")
    redis_says(pipeline.redis, "CONFIG", "SET", "maxmemory", "0")
    pipeline.assert_exact()
    assert worker.running


def test_redis_that_evicts(pipeline: Pipeline) -> None:
    """A Redis that evicts keys cannot keep figures: the worker refuses it."""
    redis_says(pipeline.redis, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert "set it to noeviction" in last_line(pipeline.worker())


def test_redis_that_is_away_at_start(pipeline: Pipeline) -> None:
    """The worker waits for Redis and starts when it comes."""
    pipeline.redis.stop()
    worker = pipeline.worker()
    wait_until(lambda: "Redis does not answer" in worker.said(), "the worker's word")
    fill(pipeline, events=1_000)
    pipeline.redis.start()
    pipeline.assert_exact()


def test_topics_that_are_missing(pipeline: Pipeline) -> None:
    """Without topics the worker ends and names the command that makes them."""
    pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] = "nowhere."
    assert "create them with `shop-pulse topics`" in last_line(pipeline.worker())


def test_another_partition_count(pipeline: Pipeline) -> None:
    """Keys move when partitions change: the worker ends instead of counting on."""
    pipeline.settings["SHOP_PULSE_PARTITIONS"] = "3"
    line = last_line(pipeline.worker())
    assert "has 2 partitions, SHOP_PULSE_PARTITIONS says 3" in line
    assert "with SHOP_PULSE_PARTITIONS=2 `shop-pulse rebuild`" in line


def test_a_truncated_log(pipeline: Pipeline) -> None:
    """Records deleted before they were read can't be counted: the worker says how many, and ends."""
    pipeline.worker()
    fill(pipeline)
    pipeline.assert_exact()
    pipeline.end()
    fill(pipeline, seed=2)
    topic = TopicPartition(pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] + "views", 0)

    async def truncate() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.kafka.bootstrap)
        await admin.start()
        await admin.delete_records({topic: RecordsToDelete(before_offset=-1)})
        await admin.close()

    asyncio.run(truncate())
    line = last_line(pipeline.worker("worker-1"))
    assert "were deleted unread" in line
    assert "`shop-pulse rebuild --accept-incomplete`" in line


def test_a_recreated_topic(pipeline: Pipeline) -> None:
    """A topic deleted and filled anew has other records at the same offsets: the worker notices, and ends."""
    pipeline.worker()
    fill(pipeline)
    pipeline.assert_exact()
    pipeline.end()
    topic = pipeline.settings["SHOP_PULSE_TOPIC_PREFIX"] + "views"

    async def recreate() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.kafka.bootstrap)
        await admin.start()
        await admin.delete_topics([topic])
        await asyncio.sleep(1)
        await admin.create_topics([NewTopic(topic, 2, 1)])
        await admin.close()

    asyncio.run(recreate())
    fill(pipeline, events=9_000, seed=3)
    line = last_line(pipeline.worker("worker-1"))
    assert "was recreated" in line and "`shop-pulse rebuild`" in line

"""Topics on a real broker: made as they must be, and every wrong thing about them is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_partitions import NewPartitions

from streams.errors import PulseError
from streams.kafka_log import open_admin, open_log
from streams.local.kafka import KafkaServer
from streams.settings import Settings
from streams.sources.produce import open_sender
from streams.sources.record import Record
from streams.topics import ALL_TOPICS, check, create, topic_configs

_numbers = count()


@pytest.fixture
def settings(kafka: KafkaServer) -> Iterator[Settings]:
    """Settings with a topic prefix of their own."""
    yield Settings(kafka=kafka.bootstrap, topic_prefix=f"topics{next(_numbers)}.", partitions=3)


def administer(settings: Settings, work: Callable[[Any], Any]) -> None:
    """Do something to the topics with aiokafka's admin client."""

    async def run() -> None:
        async with open_admin(settings) as admin:
            await work(admin)

    asyncio.run(run())


def check_until(settings: Settings, count: int) -> list[str]:
    """What is wrong, once the broker has heard of all `count` changes from its controller."""

    async def run() -> list[str]:
        async with asyncio.timeout(20):
            while len(lines := await check(settings)) != count:
                await asyncio.sleep(0.1)
        return lines

    return asyncio.run(run())


async def delete(admin: Any, name: str) -> None:
    """Delete a topic and wait until the broker, too, has heard of it from its controller."""
    await admin.delete_topics([name])
    while (await admin.describe_topics([name]))[0]["partitions"]:
        await asyncio.sleep(0.05)


def alter(settings: Settings, topic: str, **changes: str) -> None:
    """Change settings of a topic; names with underscores instead of dots."""
    configs = topic_configs(topic, -1) | {name.replace("_", "."): value for name, value in changes.items()}
    resource = ConfigResource(ConfigResourceType.TOPIC, settings.topic_prefix + topic, configs=configs)
    administer(settings, lambda admin: admin.alter_configs([resource]))


def test_topics_are_created_once_and_are_right(settings: Settings) -> None:
    """The first call makes all eleven, a second none; nothing is then wrong about them."""
    assert sorted(asyncio.run(create(settings))) == sorted(
        settings.topic_prefix + name for name in ALL_TOPICS
    )
    assert asyncio.run(create(settings)) == []
    assert asyncio.run(check(settings)) == []


def test_a_missing_topic_is_named_and_made_again(settings: Settings) -> None:
    """`--check` names it, `create` makes only it."""
    asyncio.run(create(settings))
    administer(settings, lambda admin: delete(admin, settings.topic_prefix + "carts"))
    assert asyncio.run(check(settings)) == [
        f"{settings.topic_prefix}carts is missing: run `shop-pulse topics`"
    ]
    assert asyncio.run(create(settings)) == [f"{settings.topic_prefix}carts"]
    assert asyncio.run(check(settings)) == []


def test_another_partition_count_is_named(settings: Settings) -> None:
    """Unequal counts would tear one user's events apart."""
    asyncio.run(create(settings))
    more = {settings.topic_prefix + "ads": NewPartitions(5)}
    administer(settings, lambda admin: admin.create_partitions(more))
    assert check_until(settings, 1) == [f"{settings.topic_prefix}ads has 5 partitions, not 3"]


def test_a_wrong_setting_is_named_with_what_it_should_be(settings: Settings) -> None:
    """Guard, retention and size limit, each in a line of its own."""
    asyncio.run(create(settings))
    alter(settings, "views", message_timestamp_after_max_ms="9223372036854775807")
    alter(settings, "purchases", retention_ms="86400000")
    alter(settings, "late", max_message_bytes="1048588")
    prefix = settings.topic_prefix
    assert check_until(settings, 3) == [
        f"{prefix}views: message.timestamp.after.max.ms is 9223372036854775807, not 300000",
        f"{prefix}purchases: retention.ms is 86400000, not -1",
        f"{prefix}late: max.message.bytes is 1048588, but a dead letter may take 1114124",
    ]


def test_a_topic_made_by_someone_else_stays_as_it_is(settings: Settings) -> None:
    """`create` leaves it alone, with its data; `check` says what is wrong about it."""
    name = settings.topic_prefix + "views"
    administer(settings, lambda admin: admin.create_topics([NewTopic(name, 1, 1)]))
    assert name not in asyncio.run(create(settings))
    wrong = asyncio.run(check(settings))
    assert f"{name} has 1 partitions, not 3" in wrong
    assert any("message.timestamp.after.max.ms" in line for line in wrong)
    assert all(line.startswith(name) for line in wrong)


def test_a_wrong_partitioner_is_named_with_its_topic_and_share(settings: Settings) -> None:
    """Only events are judged: heartbeats lie everywhere, of rejected records nobody knows the subject."""
    asyncio.run(create(settings))
    good = [_view(f"user-{n}") for n in range(60)]
    heartbeat = (
        b'{"event_id":"h","event_type":"source_heartbeat","event_time_ms":1700000000000,"platform":"x",'
        b'"source":"s"}'
    )
    extra = [Record(1_700_000_000_000, "views", b"any", heartbeat, partition) for partition in range(3)]
    extra += [Record(1_700_000_000_000, "views", b"any", b"no json", partition) for partition in range(3)]

    async def send(records: list[Record]) -> None:
        async with open_sender(settings, ["views"]) as sender:
            await sender.send(records)
            await sender.flush(confirmed=True)

    asyncio.run(send(good + extra))
    assert asyncio.run(check(settings)) == []
    asyncio.run(send([_view("user-1")._replace(partition=partition, key=None) for partition in (0, 1, 2)]))
    (line,) = asyncio.run(check(settings))
    assert line.startswith(f"{settings.topic_prefix}views: 3 of 63 sampled records (4.8%)")
    assert "murmur2" in line


def _view(user: str) -> Record:
    value = (
        f'{{"event_id":"{user}","event_type":"view","event_time_ms":1700000000000,"platform":"tiktok",'
        f'"user_id":"{user}","session_id":"s"}}'
    )
    return Record(1_700_000_000_000, "views", user.encode(), value.encode())


def test_a_log_is_read_to_the_end_it_had_when_it_was_opened(settings: Settings) -> None:
    """Whole or its latest offsets; what comes meanwhile is not waited for."""
    asyncio.run(create(settings))
    views = [_view(f"user-{n}") for n in range(500)]

    async def run() -> tuple[int, list[bytes], int]:
        async with open_sender(settings, ["views"]) as sender:
            await sender.send(views)
            await sender.flush(confirmed=True)
            async with open_log(settings, ["views"]) as log:
                await sender.send(views)
                await sender.flush(confirmed=True)
                whole = [record.value async for record in log.records()]
            async with open_log(settings, ["views"], latest=10) as log:
                return log.total, whole, len([record async for record in log.records()])

    total, whole, latest = asyncio.run(run())
    assert sorted(whole) == sorted(view.value for view in views)
    assert total == latest == 30


def test_without_kafka_there_is_one_line(settings: Settings) -> None:
    """It names the address and says what to do."""
    nowhere = Settings(kafka="127.0.0.1:1")
    for work in (create(nowhere), check(nowhere)):
        with pytest.raises(PulseError, match=r"no Kafka answers at 127\.0\.0\.1:1: start it"):
            asyncio.run(work)

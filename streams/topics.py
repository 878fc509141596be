"""`shop-pulse topics`: makes the Kafka topics, and says what is wrong with topics that exist.

It stands before the way of an event. Equal partition counts put `p` of all topics into one worker's hands;
the timestamp guard keeps one wrong clock from making everything after it late; the retention decides how far
back figures can be recomputed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError

from schemas.codec import Rejected, decode
from schemas.events import DEAD_LETTERS, INPUT_TOPICS, LATE, SourceHeartbeat
from schemas.partitioning import partition_of
from streams import settings as settings_module
from streams.errors import PulseError
from streams.kafka_log import open_admin, open_log, partition_counts
from streams.settings import Settings

OUTPUT_TOPICS: Final = (DEAD_LETTERS, LATE)
ALL_TOPICS: Final = (*INPUT_TOPICS, *OUTPUT_TOPICS)
UNLIMITED: Final = -1
MAX_RECORD_BYTES: Final = 1_048_588  # Kafka's own default: 1 MiB and the frame of a batch
HEADER_ROOM_BYTES: Final = 65_536  # what a dead letter's headers may add to the record that it holds
MAX_REPLICATION: Final = 3
LEADER_WAIT_S: Final = 15
SAMPLE: Final = 200


def topic_configs(topic: str, retention_ms: int) -> dict[str, str]:
    """The settings of a topic (base name), as Kafka names them. The catalogue is kept for ever."""
    outgoing = topic in OUTPUT_TOPICS
    return {
        "cleanup.policy": "delete",
        "compression.type": "producer",
        "max.message.bytes": str(MAX_RECORD_BYTES + HEADER_ROOM_BYTES * outgoing),
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": "300000",
        "message.timestamp.before.max.ms": str(2**63 - 1),
        "retention.bytes": str(UNLIMITED),
        "retention.ms": str(UNLIMITED if topic == "catalogue" else retention_ms),
    }


async def create(settings: Settings, retention_ms: int = UNLIMITED) -> list[str]:
    """Create the topics that are missing and wait until they can be used; their Kafka names.

    Topics that exist stay as they are. Raises PulseError when Kafka is away or refuses.
    """
    async with open_admin(settings) as admin:
        brokers = len((await admin.describe_cluster())["brokers"])
        wanted = [
            NewTopic(
                settings.topic_prefix + topic,
                settings.partitions,
                min(MAX_REPLICATION, brokers),
                topic_configs=topic_configs(topic, retention_ms),
            )
            for topic in ALL_TOPICS
        ]
        created = []
        for name, code, message in (await admin.create_topics(wanted)).topic_errors:
            if code == 0:
                created.append(name)
            elif code != TopicAlreadyExistsError.errno:
                raise PulseError(f"Kafka refused to create {name}: {message}")
        await _wait_for_leaders(admin, settings)
        return created


async def _wait_for_leaders(admin: Any, settings: Settings) -> None:
    names = [settings.topic_prefix + topic for topic in ALL_TOPICS]
    try:
        async with asyncio.timeout(LEADER_WAIT_S):
            while True:
                topics = await admin.describe_topics(names)
                if all(
                    each["partitions"] and all(part["leader"] >= 0 for part in each["partitions"])
                    for each in topics
                ):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise PulseError(
            f"the topics have no leader after {LEADER_WAIT_S} s: look into the broker's log, then try again"
        ) from error


async def check(settings: Settings, retention_ms: int = UNLIMITED, *, partitioner: bool = True) -> list[str]:
    """One line per topic, setting or (with `partitioner`) key placement that is wrong; [] when all is right.

    Raises PulseError when Kafka is away.
    """
    async with open_admin(settings) as admin:
        partitions = await partition_counts(admin, settings, ALL_TOPICS)
        configs = await _configs(admin, settings, [topic for topic in ALL_TOPICS if partitions[topic]])
    lines = []
    for topic in ALL_TOPICS:
        name = settings.topic_prefix + topic
        if not partitions[topic]:
            lines.append(f"{name} is missing: run `shop-pulse topics`")
            continue
        if partitions[topic] != settings.partitions:
            lines.append(f"{name} has {partitions[topic]} partitions, not {settings.partitions}")
        lines += [f"{name}: {wrong}" for wrong in _wrong_configs(topic, configs, retention_ms)]
    counts = {topic: partitions[topic] for topic in INPUT_TOPICS if partitions[topic]}
    if partitioner and counts:
        lines += [
            f"{settings.topic_prefix}{topic}: {wrong} of {seen} sampled records "
            f"({wrong / seen:.1%}) lie in another partition than murmur2 puts their key: let its "
            "producer partition by murmur2 (librdkafka: partitioner=murmur2_random)"
            for topic, (wrong, seen) in (await misplaced(settings, counts, latest=SAMPLE)).items()
            if wrong
        ]
    return lines


def _wrong_configs(topic: str, configs: Mapping[str, Mapping[str, str]], retention_ms: int) -> list[str]:
    """What is wrong with a topic's settings; `configs` holds those of every topic that exists."""
    found = configs[topic]
    wrong = [
        f"{key} is {found.get(key)}, not {value}"
        for key, value in topic_configs(topic, retention_ms).items()
        if key != "max.message.bytes" and found.get(key) != value
    ]
    size = int(found["max.message.bytes"])
    if topic in OUTPUT_TOPICS:
        largest = max(
            (int(configs[each]["max.message.bytes"]) for each in INPUT_TOPICS if each in configs),
            default=MAX_RECORD_BYTES,
        )
        if size < largest + HEADER_ROOM_BYTES:
            wrong.append(
                f"max.message.bytes is {size}, but a dead letter may take {largest + HEADER_ROOM_BYTES}"
            )
    return wrong


async def forgetful(settings: Settings, topics: Sequence[str]) -> list[str]:
    """Those of the topics (base names, which must exist) whose records Kafka throws away one day."""
    async with open_admin(settings) as admin:
        configs = await _configs(admin, settings, topics)
    return [topic for topic in topics if int(configs[topic]["retention.ms"]) != UNLIMITED]


async def _configs(admin: Any, settings: Settings, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """Settings in force, defaults too, by topic (base name)."""
    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, settings.topic_prefix + topic) for topic in topics]
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            found[name.removeprefix(settings.topic_prefix)] = {entry[0]: entry[1] for entry in entries}
    return found


async def misplaced(
    settings: Settings, counts: Mapping[str, int], *, latest: int | None = None, oldest: int | None = None
) -> dict[str, tuple[int, int]]:
    """By topic, how many records lie in other partitions than murmur2 puts their keys, and of how many.

    Of so many offsets of each topic-partition, its `latest` or its `oldest`. Raises PulseError.
    """
    seen, wrong = Counter[str](), Counter[str]()
    async with open_log(settings, list(counts), latest=latest, oldest=oldest) as log:
        async for record in log.records():
            topic = record.topic.removeprefix(settings.topic_prefix)
            event = decode(record.value, topic)
            # A heartbeat has no subject, and of what is no event nobody knows the subject.
            if not isinstance(event, Rejected | SourceHeartbeat):
                seen[topic] += 1
                key, partition = record.key, record.partition
                wrong[topic] += key is None or partition_of(key, counts[topic]) != partition
    return {topic: (wrong[topic], seen[topic]) for topic in counts if seen[topic]}


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; say what is wrong (exit code 1).")
@click.option(
    "--retention-ms",
    type=click.IntRange(UNLIMITED),
    default=UNLIMITED,
    show_default=True,
    help="How long Kafka keeps records; -1: for ever. The catalogue is always kept.",
)
@click.pass_context
def command(context: click.Context, only_check: bool, retention_ms: int) -> None:
    """Create the topics that Shop Pulse reads and writes; those that exist stay as they are."""
    settings = settings_module.load()
    wrong = asyncio.run(_run(settings, retention_ms, only_check))
    for line in wrong:
        click.echo(line)
    if wrong:
        context.exit(1)


async def _run(settings: Settings, retention_ms: int, only_check: bool) -> list[str]:
    if not only_check:
        created = await create(settings, retention_ms)
        click.echo(f"created {len(created)} topics, {len(ALL_TOPICS) - len(created)} were there")
    wrong = await check(settings, retention_ms, partitioner=only_check)
    if only_check and not wrong:
        click.echo(f"{len(ALL_TOPICS)} topics are right")
    return wrong

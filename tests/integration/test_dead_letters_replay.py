"""Dead letters through a real broker: written by the worker's outlet, shown, and sent again as they were."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count

import pytest
from click.testing import CliRunner

from schemas.codec import Reason
from streams.batch import PlainRecord
from streams.dead_letters import Choice, dead_letters, latest, replay, send_again
from streams.kafka_log import open_log
from streams.local.kafka import KafkaServer
from streams.outlet import Outlet
from streams.settings import Settings
from streams.topics import create
from streams.verdict import Refusal

_numbers = count()
TIME_MS = 1_700_000_000_000
BROKEN = b'{"event_id":"1","user_id":"user-4711","quantity":'


@pytest.fixture
def settings(kafka: KafkaServer) -> Iterator[Settings]:
    """Settings with topics of their own."""
    made = Settings(kafka=kafka.bootstrap, topic_prefix=f"letters{next(_numbers)}.", partitions=2)
    asyncio.run(create(made))
    yield made


def refuse(offset: int, value: bytes | None, reason: Reason = Reason.NOT_JSON, **more: object) -> Refusal:
    """A record that the worker refuses."""
    fields = {"timestamp": TIME_MS + offset, "key": b"user-4711", "headers": [("trace", b"\x00\xff")], **more}
    return Refusal(PlainRecord(offset=offset, value=value, **fields), reason, "why")  # type: ignore[arg-type]


def write(settings: Settings, topic: str, partition: int, refusals: list[Refusal]) -> None:
    """Write dead letters as the worker does."""

    async def run() -> None:
        outlet = Outlet(settings)
        await outlet.start()
        await outlet.send(topic, partition, refusals)
        await outlet.stop()

    asyncio.run(run())


def log_of(settings: Settings, topic: str) -> list[tuple[object, ...]]:
    """What lies in a topic: partition, timestamp, key, value, headers of each record."""

    async def run() -> list[tuple[object, ...]]:
        async with open_log(settings, [topic]) as log:
            return [
                (each.partition, each.timestamp, each.key, each.value, tuple(each.headers))
                async for each in log.records()
            ]

    return asyncio.run(run())


def test_a_letter_is_sent_again_as_it_was(settings: Settings) -> None:
    """Same topic, partition, timestamp, key, bytes and headers; one that was written twice goes out once."""
    write(settings, "carts", 1, [refuse(7, BROKEN), refuse(8, b"\xff\xfe")])
    write(settings, "carts", 1, [refuse(7, BROKEN)])
    write(settings, "purchases", 0, [refuse(9, b"x" * 70_000, Reason.TOO_LARGE, key=None, headers=[])])
    counts = asyncio.run(send_again(settings, Choice(None, {})))
    assert counts == {"not_json": 2, "too_large": 1}
    own = (("trace", b"\x00\xff"),)
    assert log_of(settings, "carts") == [
        (1, TIME_MS + 7, b"user-4711", BROKEN, own),
        (1, TIME_MS + 8, b"user-4711", b"\xff\xfe", own),
    ]
    assert log_of(settings, "purchases") == [(0, TIME_MS + 9, None, b"x" * 70_000, ())]


def test_a_tombstone_is_sent_again_too(settings: Settings) -> None:
    """A record without a value is a dead letter like any other."""
    write(settings, "views", 0, [refuse(1, None)])
    asyncio.run(send_again(settings, Choice(None, {})))
    assert log_of(settings, "views") == [(0, TIME_MS + 1, b"user-4711", None, (("trace", b"\x00\xff"),))]


def test_a_choice_and_a_dry_run_send_no_more_than_they_say(settings: Settings) -> None:
    """By reason, by place; a dry run counts and sends nothing."""
    write(settings, "carts", 0, [refuse(n, BROKEN) for n in range(5)])
    write(settings, "ads", 0, [refuse(1, b"{}", Reason.UNKNOWN_TYPE)])
    assert asyncio.run(send_again(settings, Choice(None, {}), dry_run=True)).total() == 6
    assert log_of(settings, "carts") == log_of(settings, "ads") == []
    assert asyncio.run(send_again(settings, Choice("unknown_type", {}))) == {"unknown_type": 1}
    assert asyncio.run(send_again(settings, Choice(None, {("carts", 0): 3}))) == {"not_json": 2}
    assert [timestamp for _, timestamp, *_ in log_of(settings, "carts")] == [TIME_MS + 3, TIME_MS + 4]
    assert len(log_of(settings, "ads")) == 1


def test_the_latest_are_found_behind_any_number_of_repetitions(settings: Settings) -> None:
    """A worker that crashes in a loop writes the same letter a hundred times: the others still show."""
    write(settings, "carts", 0, [refuse(1, b"first"), refuse(2, b"second")])
    write(settings, "carts", 0, [refuse(3, BROKEN)] * 120)
    found = asyncio.run(latest(settings, 3))
    assert sorted(letter.offset for letter in found) == [1, 2, 3]


def test_the_commands_print_what_they_did(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reason, place and masked payload, as text and as JSON; the count of a replay."""
    write(settings, "carts", 1, [refuse(7, BROKEN)])
    monkeypatch.setenv("SHOP_PULSE_KAFKA", settings.kafka)
    monkeypatch.setenv("SHOP_PULSE_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("SHOP_PULSE_PARTITIONS", "2")
    text = CliRunner().invoke(dead_letters, ["--last", "3"]).output
    assert "not_json" in text
    assert "carts/1/7" in text
    assert '"user_id":"***"' in text
    assert "4711" not in text
    (line,) = CliRunner().invoke(dead_letters, ["--json"]).output.splitlines()
    shown = json.loads(line)
    assert (shown["reason"], shown["topic"], shown["partition"], shown["offset"]) == (
        "not_json",
        "carts",
        1,
        7,
    )
    sent = CliRunner().invoke(replay, ["--dead-letters", "--json"]).output
    assert json.loads(sent) == {"replayed": 1, "dry_run": False, "reasons": {"not_json": 1}}
    assert len(log_of(settings, "carts")) == 1

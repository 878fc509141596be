"""`shop-pulse verify` against a real Kafka and Redis; the cells are written here, not by the worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import redis
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from click.testing import CliRunner

from streams.local.kafka import KafkaServer
from streams.local.ports import free_port
from streams.local.redis import RedisServer
from tests.scenario_kit import DAY, MONDAY, NOON, Scenario, Sent, line, purchase, refund, view
from verify.command import command, up_to
from verify.log import KafkaLog
from verify.model import Expected, LogRecord, PartitionExpected
from verify.recompute import recompute
from verify.rules import TOPICS, Rules

BASE_TOPICS = (*TOPICS, "dead-letters", "late")

SHOP = Scenario(
    name="shop",
    fact="views in two partitions, an order, a refund that does not fit, unreadable bytes, a late view",
    records=(
        view("e1", NOON, live_id="L1"),
        view("e2", NOON, partition=1),
        view("e3", NOON - DAY, ts=NOON),
        Sent(topic="views", value=b"{", at=NOON),
        purchase("o1", NOON, line("p1", 2, 500), live_id="L:1"),
        refund("r1", "o1", NOON, 2_000),
    ),
    cells={},
    partitions=2,
)


@dataclass
class Shop:
    """A Kafka and a Redis prefix of one test, with the log in the one and the figures in the other."""

    bootstrap: str
    redis_url: str
    prefix: str
    client: redis.Redis

    def write_log(self, log: Sequence[LogRecord], expected: Expected, *, transactional: bool = False) -> None:
        """Creates the topics; produces the records and what the pipeline would write behind them."""
        asyncio.run(_write_log(self, log, expected, transactional))

    def write_cells(self, expected: Expected, log: Sequence[LogRecord], extra_offset: int = 0) -> None:
        """What a right pipeline has in Redis after this log."""
        for p, part in expected.partitions.items():
            panes = {f"{size}:{start}" for _, size, start in part.panes}
            self.client.zadd(self.key(p, "panes"), dict.fromkeys(panes, 1))
            for (kind, size, start), fields in part.panes.items():
                self.client.hset(self.key(p, f"cells:{kind}:{size}:{start}"), mapping=dict[Any, Any](fields))
                if ":" in kind:
                    self.client.sadd(self.key(p, f"index:{size}:{start}"), kind)
            for (size, start), sketches in part.users.items():
                self.client.zadd(self.key(p, "userpanes"), {f"{size}:{start}": 1})
                self.client.sadd(self.key(p, f"usersindex:{size}:{start}"), *sketches)
                for name, users in sketches.items():
                    self.client.pfadd(self.key(p, f"users:{size}:{start}:{name}"), *users)
            meta: dict[str, int] = {} if part.h is None else {"h": part.h}
            meta |= {f"ing:{topic}": at for topic, at in part.ingest.items()}
            meta |= {f"hi:{topic}": at for topic, at in part.highest.items()}
            for topic in part.ingest:
                count = sum((record.topic, record.partition) == (topic, p) for record in log)
                meta[f"off:{topic}"] = count + extra_offset
            self.client.hset(self.key(p, "meta"), mapping=dict[Any, Any](meta))

    def key(self, partition: int, rest: str) -> str:
        """A Redis key of this test."""
        return f"{self.prefix}:{{{partition}}}:{rest}"

    def verify(self, *more: str) -> tuple[int, dict[str, Any]]:
        """Exit code and the figures of --json."""
        result = CliRunner().invoke(command, [*self.addresses(), "--json", *more])
        assert result.stdout, result.stderr
        return result.exit_code, json.loads(result.stdout)

    def addresses(self) -> list[str]:
        """The options that name this test's servers and prefixes."""
        return [
            *("--kafka", self.bootstrap, "--redis", self.redis_url),
            *("--topic-prefix", f"{self.prefix}.", "--redis-prefix", self.prefix),
        ]


async def _write_log(shop: Shop, log: Sequence[LogRecord], expected: Expected, transactional: bool) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=shop.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(f"{shop.prefix}.{topic}", 2, 1) for topic in BASE_TOPICS])
    finally:
        await admin.close()
    identity = {"transactional_id": shop.prefix} if transactional else {}
    async with AIOKafkaProducer(bootstrap_servers=shop.bootstrap, **identity) as producer:
        if transactional:
            async with producer.transaction():
                await _send(producer, shop.prefix, log)
        else:
            await _send(producer, shop.prefix, log)
    rows = [("dead-letters", *letter) for letter in expected.dead_letters]
    rows += [("late", *row, "late") for row in expected.late]
    async with AIOKafkaProducer(bootstrap_servers=shop.bootstrap) as producer:
        # Twice: after a crash of the worker they may be.
        for base, topic, partition, offset, reason in rows * 2:
            headers = [
                ("topic", topic.encode()),
                ("partition", str(partition).encode()),
                ("offset", str(offset).encode()),
                ("reason", reason.encode()),
            ]
            await producer.send_and_wait(f"{shop.prefix}.{base}", b"original", headers=headers)


async def _send(producer: AIOKafkaProducer, prefix: str, log: Sequence[LogRecord]) -> None:
    for r in log:
        await producer.send_and_wait(
            f"{prefix}.{r.topic}", r.value, r.key, partition=r.partition, timestamp_ms=r.timestamp_ms
        )


@pytest.fixture
def shop(kafka: KafkaServer, redis_server: RedisServer) -> Shop:
    """Prefixes of this test alone on the session's servers."""
    prefix = f"v{uuid4().hex[:8]}"
    return Shop(kafka.bootstrap, redis_server.url, prefix, redis.Redis.from_url(redis_server.url))


@pytest.fixture
def expected() -> Expected:
    """What SHOP amounts to."""
    return recompute(SHOP.log(), Rules(partitions=2))


def test_right_figures(shop: Shop, expected: Expected) -> None:
    """A log and a Redis that agree: something compared, nothing different, exit code 0."""
    shop.write_log(SHOP.log(), expected)
    shop.write_cells(expected, SHOP.log())
    code, figures = shop.verify()
    assert (code, figures["mismatches"], figures["differences"]) == (0, 0, [])
    assert figures["compared"] > len(expected.cells)
    assert (figures["records"], figures["orders"], figures["gmv_paid_minor"]) == (6, 1, {"USD": 1_000})
    assert (figures["dead_letters"], figures["late"], figures["panes_not_compared"]) == (2, 1, 0)


def test_wrong_figures(shop: Shop, expected: Expected) -> None:
    """One cent, one pane too many, one hash that nobody finds: three lines, exit code 1."""
    shop.write_log(SHOP.log(), expected)
    shop.write_cells(expected, SHOP.log())
    shop.client.hincrby(shop.key(0, f"cells:all:1d:{MONDAY}"), "gmv_paid:USD|", 1)
    shop.client.zadd(shop.key(0, "panes"), {f"10s:{MONDAY}": 1})
    shop.client.hset(shop.key(1, f"cells:live:1h:{MONDAY}"), "events.view|L1", 1)
    code, figures = shop.verify()
    assert code == 1
    assert [(d["what"], d["where"]) for d in figures["differences"]] == [
        ("gmv_paid:USD", f"p=0 all 1d:{MONDAY}"),
        ("pane", f"p=0 10s:{MONDAY}"),
        ("cells", f"p=1 live 1h:{MONDAY}"),
    ]
    result = CliRunner().invoke(command, shop.addresses())
    assert f"gmv_paid:USD at p=0 all 1d:{MONDAY}: expected 1000, found 1001" in result.stdout.splitlines()


def test_wrong_sketches_and_keys(shop: Shop, expected: Expected) -> None:
    """Users that are not in the log, a sketch that is gone or unnamed, a live's hash that no index names."""
    shop.write_log(SHOP.log(), expected)
    shop.write_cells(expected, SHOP.log())
    shop.client.pfadd(shop.key(0, f"users:1d:{MONDAY}:view:all:"), *"abcd")
    shop.client.delete(shop.key(0, f"users:1h:{NOON}:view:live:L1"))
    shop.client.srem(shop.key(0, f"usersindex:1m:{NOON}"), "purchase:live:L:1")
    shop.client.zrem(shop.key(1, "userpanes"), f"1d:{MONDAY}")
    shop.client.srem(shop.key(0, f"index:1h:{NOON}"), "room:L:1")
    shop.client.set(shop.key(1, "cel"), 1)
    code, figures = shop.verify()
    assert code == 1
    rooms = [f"rooms p=0 index:1h:{NOON}", f"cells p=0 room:L:1 1h:{NOON}"]
    sold = [f"{measure} p=0 room:L:1:{value} 1h:{NOON}" for measure, value in (
        ("gmv_paid:USD", "m0"), ("items", "pp1"), ("orders:USD", "m0"),
    )]  # fmt: skip
    users = [
        f"users p=0 purchase:live:L:1 1m:{NOON}",  # not named
        f"users p=0 view:live:L1 1h:{NOON}",  # counted as nobody
        f"users p=0 view:all: 1d:{MONDAY}",  # four too many
        f"users p=0 purchase:live:L:1 1m:{NOON}",  # there all the same
        *(f"users p=1 view:{scope} 1d:{MONDAY}" for scope in ("all:", "platform:tiktok")),
        f"users p=1 1d:{MONDAY}",  # their index, which no pane names
    ]
    told = [f"{d['what']} {d['where']}" for d in figures["differences"]]
    assert sorted(told) == sorted([*rooms, *sold, *users, "key p=1 cel"])


def test_many_sketches(shop: Shop, expected: Expected, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more sketches than can be counted some are, always the same ones, and it is said how many."""
    monkeypatch.setattr("verify.command.SKETCHES_COUNTED", 8)
    shop.write_log(SHOP.log(), expected)
    shop.write_cells(expected, SHOP.log())
    code, figures = shop.verify()
    there = sum(map(len, expected.partitions[0].users.values()))
    assert code == 0
    assert f"partition 0: of {there} sketches of users 4 were counted" in " ".join(figures["notes"])
    assert shop.verify() == (code, figures)


def test_nothing_to_compare(shop: Shop, expected: Expected) -> None:
    """A worker that never wrote is no success."""
    shop.write_log(SHOP.log(), expected)
    shop.client.zadd(shop.key(7, "panes"), {"1d:0": 1})
    code, figures = shop.verify()
    assert (code, figures["records"]) == (1, 0)


def test_transactions(shop: Shop, expected: Expected) -> None:
    """The markers of transactions take offsets: the log is read by positions, not by counting."""
    shop.write_log(SHOP.log(), expected, transactional=True)
    shop.write_cells(expected, SHOP.log(), extra_offset=1)
    code, figures = shop.verify("--wait", "10")
    assert (code, figures["mismatches"], figures["records"]) == (0, 0, 6)


def test_worker_behind(shop: Shop, expected: Expected) -> None:
    """What Redis has not counted yet is not expected; --wait says how far it is behind."""
    shop.write_log(SHOP.log(), expected)
    first = [record for record in SHOP.log() if record.offset == 0]
    shop.write_cells(recompute(first, Rules(partitions=2)), first)
    code, figures = shop.verify()
    assert (code, figures["mismatches"], figures["records"]) == (0, 0, 3)
    result = CliRunner().invoke(command, [*shop.addresses(), "--wait", "0.1"])
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: the worker is still 3 records behind after 0.1 s; is it running?\n",
    )


def test_some_topics_up_to_some_offsets(shop: Shop, expected: Expected) -> None:
    """What creators' days are held to: the log as far as the read service had read it, and no further."""
    shop.write_log(SHOP.log(), expected)

    async def read() -> PartitionExpected:
        async with KafkaLog(shop.bootstrap, f"{shop.prefix}.") as log:
            return await up_to(log, Rules(partitions=2), 0, {"purchases": 1, "livestreams": 0})

    part = asyncio.run(read())
    assert (part.records, part.orders, part.dead_letters) == (1, 1, set())


def test_missing_dead_letter(shop: Shop, expected: Expected) -> None:
    """A dead letter that is counted but in no topic is a difference."""
    shop.write_log(SHOP.log(), Expected({}))
    shop.write_cells(expected, SHOP.log())
    code, figures = shop.verify()
    assert code == 1
    assert sorted(d["what"] for d in figures["differences"]) == ["dead letter", "dead letter", "late row"]


def test_log_whose_start_is_gone(shop: Shop, expected: Expected) -> None:
    """With the first views gone, panes that may hold them are counted instead of compared."""
    shop.write_log(SHOP.log(), expected)
    shop.write_cells(expected, SHOP.log())
    asyncio.run(_delete_first(shop, "views"))
    code, figures = shop.verify()
    assert (code, figures["mismatches"]) == (0, 0)
    assert figures["panes_not_compared"] > 0
    assert "views/0 begins at offset 1" in " ".join(figures["notes"])


async def _delete_first(shop: Shop, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=shop.bootstrap)
    await admin.start()
    try:
        place = TopicPartition(f"{shop.prefix}.{topic}", 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=1)})
    finally:
        await admin.close()


def test_topic_made_anew(shop: Shop, expected: Expected) -> None:
    """A log that ends before what Redis has counted is another log: one line."""
    shop.write_log(SHOP.log(), expected)
    shop.write_cells(expected, SHOP.log(), extra_offset=100)
    result = CliRunner().invoke(command, shop.addresses())
    assert result.exit_code == 1
    assert "ends at offset" in result.stderr and result.stderr.count("\n") == 1


def test_servers_that_are_not_there(shop: Shop) -> None:
    """Kafka or Redis away, or topics missing: one line that says what to do."""
    nowhere = f"127.0.0.1:{free_port()}"
    for addresses, told in (
        (["--kafka", nowhere, "--redis", shop.redis_url], "Kafka at"),
        ([*shop.addresses(), "--topic-prefix", "none."], "topic none.views"),
    ):
        result = CliRunner().invoke(command, addresses)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: {told}") and result.stderr.count("\n") == 1


def test_redis_away(shop: Shop, expected: Expected) -> None:
    """Redis away: one line that says what to do."""
    shop.write_log(SHOP.log(), expected)
    shop.redis_url = f"redis://127.0.0.1:{free_port()}/0"
    result = CliRunner().invoke(command, shop.addresses())
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Redis at") and result.stderr.count("\n") == 1

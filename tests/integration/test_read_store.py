"""Reading a real Redis: exact sums, one consistent call per partition, and a Redis that fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from streams.answer import is_highest
from streams.figures import MEASURES
from streams.kpi import Keeping
from streams.local.redis import RedisServer
from streams.read_call import FIELDS_MAX
from streams.read_model import ReadModel
from streams.read_store import ReadStore
from streams.requests import (
    SKETCHES_MAX,
    CellsRequest,
    Reading,
    RecordRequest,
    Request,
    SketchRequest,
    cells,
    distinct,
    packed,
)
from streams.store import StoreCorruptError, StoreUnavailableError, connect
from streams.window import Pane, PaneSize
from tests.redis_kit import NOON_MS, Shop

MINUTE_MS = 60_000
MINUTE = PaneSize("1m", MINUTE_MS, 0)
PANE = "1m:0"


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _kpis(shop: Shop, scope: str, window: str) -> dict[str, object]:
    return shop.ask(lambda model: model.kpis(scope, window))


def test_sums_are_exact_beyond_doubles(shop: Shop) -> None:
    """Doubles, Lua's numbers among them, lose units above 2^53; sums of cells of every magnitude don't."""
    rng = random.Random(3)
    expected = 0
    for minute in range(30):
        for p in range(2):
            amount = rng.choice([1, -1]) * rng.randrange(10 ** rng.randrange(1, 18))
            expected += amount
            shop.book(NOON_MS - minute * MINUTE_MS - 1, "live", "L1", p=p, gmv_paid__USD=amount)
            shop.book(NOON_MS - minute * MINUTE_MS - 1, "all", p=p, gmv_paid__USD=amount)
    for scope in ("live:L1", "all"):
        money = _kpis(shop, scope, "30m")["money"]
        assert money["USD"]["gmv_paid_minor"] == expected  # type: ignore[index]


def test_many_amounts_below_doubles_limit_add_up_beyond_it(shop: Shop) -> None:
    """Each cell fits into a double, their sum does not: it is added up to the unit."""
    for minute in range(30):
        shop.book(NOON_MS - minute * MINUTE_MS - 1, "live", "L1", gmv_paid__USD=10**15 - 1)
    money = _kpis(shop, "live:L1", "30m")["money"]
    assert money["USD"]["gmv_paid_minor"] == 30 * (10**15 - 1)  # type: ignore[index]


def test_more_fields_than_lua_can_unpack_are_asked_in_parts(shop: Shop) -> None:
    """A request of thousands of fields comes back whole, in one consistent call."""
    wanted = [f"items|v{number}" for number in range(2 * FIELDS_MAX + 1)]
    shop.client.hset(f"{shop.prefix}:{{0}}:cells:some:{PANE}", mapping={name: 1 for name in wanted})

    async def ask(model: ReadModel) -> int:
        reading = await model.store.read([CellsRequest("some", (PANE,), tuple(wanted))])
        return sum(reading.sums[0].values())

    assert shop.ask(ask) == len(wanted)


def _read(shop: Shop, *requests: Request) -> Reading:
    return shop.ask(lambda model: model.store.read(requests))


def test_highest_values_are_never_added(shop: Shop) -> None:
    """Over the panes of a partition number the highest counts, beside sums in the same hashes.

    Nor over partition numbers. A reader knows such measures by the head of their names, and the catalogue
    names them so.
    """
    assert all(is_highest(each.name) is (each.keeping is Keeping.MAX) for each in MEASURES)
    rng = random.Random(5)
    for amounts in ([3, 7, 5], [-3, -7, -5], [rng.randrange(-(10**18), 10**18) for _ in range(30)]):
        kind = f"live{amounts[0]}"
        for minute, amount in enumerate(amounts):
            shop.highest(NOON_MS + minute * MINUTE_MS, kind, "L1", p=1, max__viewers=amount)
            shop.highest(NOON_MS + minute * MINUTE_MS, kind, "L1", p=0, max__viewers=amount - 1)
            shop.book(NOON_MS + minute * MINUTE_MS, kind, "L1", p=1, items=amount)
        panes = [Pane(MINUTE, NOON_MS + minute * MINUTE_MS) for minute in range(31)]
        expected = {"items|L1": sum(amounts), "max.viewers|L1": max(amounts)}
        assert _read(shop, cells(kind, panes, expected), cells(kind, panes)).sums == (expected, expected)


def test_records_come_as_they_are_stored(shop: Shop) -> None:
    """Every byte, None for one that is absent, more than Lua can unpack; and nothing for nothing."""
    key = f"{shop.prefix}:{{1}}:rooms"
    shop.client.hset(key, "odd|\n:", b"7:\x00\xff\r\n")
    shop.client.hset(key, mapping={f"L{number}": number for number in range(2 * FIELDS_MAX + 1)})
    wanted = tuple(f"L{number}" for number in range(2 * FIELDS_MAX + 1))
    odd, nothing, many = _read(
        shop,
        RecordRequest("rooms", ("none", "odd|\n:")),
        RecordRequest("rooms", ()),
        RecordRequest("rooms", wanted),
    ).records
    assert odd == [{"none": None, "odd|\n:": None}, {"none": None, "odd|\n:": b"7:\x00\xff\r\n"}]
    assert nothing == [{}, {}]
    assert many == [dict.fromkeys(wanted), {name: name[1:].encode() for name in wanted}]
    assert packed(b"-1:\x93:") == b"\x93:"


def test_distinct_users_of_a_union(shop: Shop) -> None:
    """Per step over all panes, each user once; a sketch that never was is empty, as is a union of none."""
    shop.users(NOON_MS, "view", "live", "L:1", "u1", "u2")
    shop.users(NOON_MS + MINUTE_MS, "view", "live", "L:1", "u2", "u3")
    shop.users(NOON_MS + MINUTE_MS, "purchase", "live", "L:1", "u3")
    shop.users(NOON_MS, "view", "live", "L:1", "u4", p=1)
    shop.users(NOON_MS, "view", "live", "L2", "u5")
    panes = [Pane(MINUTE, NOON_MS + minute * MINUTE_MS) for minute in range(-3, 3)]
    steps = ("view", "tag_tap", "purchase")
    read = _read(shop, distinct(steps, "live", "L:1", panes), distinct(steps, "live", "L:1", []))
    assert read.counts == ([3 + 1, 0, 1], [0, 0, 0])


def test_sketches_beyond_a_call_come_from_further_ones(shop: Shop) -> None:
    """However many are asked for, no call holds Redis for more than a bounded number of them."""
    whole = tuple(f"users:1m:0:view:live:L{number}" for number in range(SKETCHES_MAX))
    for number in (0, SKETCHES_MAX - 1):
        shop.client.pfadd(f"{shop.prefix}:{{0}}:{whole[number]}", f"u{number}")
    shop.client.hset(f"{shop.prefix}:{{0}}:cells:some:{PANE}", "a", 1)
    unions = (whole[:1], whole, whole[-1:], (), whole[1:], whole)
    mixed = (
        CellsRequest("some", (PANE,)),
        SketchRequest(unions),
        RecordRequest(f"cells:some:{PANE}", ("a",)),
        SketchRequest((whole,)),
    )
    sizes = []

    async def ask(model: ReadModel) -> Reading:
        run: Any = model.store._script

        async def counted(keys: Any = (), args: Any = ()) -> object:
            sizes.append(sum(":users:" in key for key in keys))
            return await run(keys=keys, args=args)

        model.store._script = counted
        return await model.store.read(mixed)

    read = shop.ask(ask)
    assert read.sums == ({"a": 1}, {}, {}, {})
    assert read.counts == ([], [1, 2, 1, 0, 1, 2], [], [2])
    assert read.records == ([], [], [{"a": b"1"}, {"a": None}], [])
    assert read.metas[0] == read.metas[1]
    assert max(sizes) == SKETCHES_MAX and sum(sizes) == 2 * (4 * SKETCHES_MAX + 1)
    with pytest.raises(ValueError, match="ask for at most"):
        _read(shop, SketchRequest(((*whole, "users:1m:0:view:all:"),)))


def test_everything_of_an_answer_is_one_call(shop: Shop) -> None:
    """Cells, records and sketches of a partition number come together, each at its request's place."""
    calls = []

    async def ask(model: ReadModel) -> Reading:
        run: Any = model.store._script

        async def counted(keys: Any = (), args: Any = ()) -> object:
            calls.append(len(keys))
            return await run(keys=keys, args=args)

        model.store._script = counted
        panes = [Pane(MINUTE, NOON_MS)]
        return await model.store.read(
            [
                distinct(["view"], "all", "", panes),
                cells("all", panes, ["items|"]),
                RecordRequest("lives", ("L1",)),
                cells("all", panes),
                distinct(["view"], "live", "L1", panes),
            ]
        )

    shop.users(NOON_MS, "view", "all", "", "u1", "u2")
    shop.book(NOON_MS, "all", items=3)
    shop.live(0, "L1", NOON_MS)
    read = shop.ask(ask)
    assert calls == [7, 7]
    assert read.counts == ([2], [], [], [], [0])
    assert read.sums == ({}, {"items|": 3}, {}, {"items|": 3}, {})
    assert read.records == ([], [], [{"L1": str(NOON_MS).encode()}, {"L1": None}], [], [])


def test_a_cell_or_a_sketch_that_is_none_is_named(shop: Shop) -> None:
    """A text in the place of an amount, or a string in that of a sketch: Redis holds something else."""
    shop.client.hset(f"{shop.prefix}:{{0}}:cells:some:{PANE}", "a", "many")
    shop.client.set(f"{shop.prefix}:{{0}}:sketch", "x")
    every, one = CellsRequest("some", (PANE,)), CellsRequest("some", (PANE,), ("a",))
    for request in (every, one, SketchRequest((("sketch",),))):
        with pytest.raises(StoreCorruptError, match="did not write"):
            _read(shop, request)


def test_foreign_data_under_the_prefix_is_named(shop: Shop) -> None:
    """A key of another type is no crash: the reader is told that Redis holds something else."""
    shop.client.set(f"{shop.prefix}:{{0}}:cells:all:1m:{NOON_MS - MINUTE_MS}", "x")
    with pytest.raises(StoreCorruptError, match="did not write"):
        _kpis(shop, "all", "30m")


def test_a_redis_that_comes_back_is_used_again(new_redis: Callable[..., RedisServer]) -> None:
    """Without Redis each question fails with one line; the same reader answers once Redis is back."""
    server = new_redis()
    shop = Shop(server.url).healthy(NOON_MS)
    shop.book(NOON_MS - 1, "all", items=1)

    async def scenario() -> None:
        client = connect(server.url)
        model = shop.model(client)
        assert (await model.kpis("all", "5m"))["items"] == 1
        server.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="does not answer"):
                await model.kpis("all", "5m")
        server.start()
        assert (await model.kpis("all", "5m"))["items"] == 1
        await client.aclose()

    asyncio.run(scenario())


def test_a_redis_that_hangs_is_given_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come is an error after a bounded time, not a hanging request."""
    monkeypatch.setattr("streams.read_store.CALL_TIMEOUT_S", 0.2)
    shop.client.client_pause(1_000)
    with pytest.raises(StoreUnavailableError, match="did not answer within"):
        _kpis(shop, "all", "5m")
    shop.client.client_unpause()


def test_a_partition_is_one_consistent_call(shop: Shop) -> None:
    """While a writer changes meta and cells in one transaction, no answer shows one without the other."""

    async def scenario() -> None:
        client, writer = connect(shop.url), connect(shop.url)
        store = ReadStore(client, shop.prefix, 1)
        request = CellsRequest("live", (PANE,), ("items|L1",))
        key = f"{shop.prefix}:{{0}}"
        done = asyncio.Event()

        async def write() -> None:
            for number in range(1, 300):
                pipe = writer.pipeline(transaction=True)
                pipe.hset(f"{key}:meta", mapping={"seq": number, "off:views": number})
                pipe.hset(f"{key}:cells:live:{PANE}", "items|L1", number)
                pipe.zadd(f"{key}:panes", {PANE: number})
                await pipe.execute()
            done.set()

        task = asyncio.create_task(write())
        while not done.is_set():
            read = await store.read([request])
            assert read.metas[0].number("off:views") == read.sums[0].get("items|L1")
        await task
        await client.aclose()
        await writer.aclose()

    asyncio.run(scenario())

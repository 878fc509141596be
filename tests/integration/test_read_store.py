"""Reading a real Redis: exact sums, one consistent call per partition, and a Redis that fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from streams.local.redis import RedisServer
from streams.read_model import ReadModel
from streams.read_store import FIELDS_MAX, HashRequest, ReadStore
from streams.store import StoreCorruptError, StoreUnavailableError, connect
from tests.redis_kit import NOON_MS, Shop

MINUTE_MS = 60_000


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _kpis(shop: Shop, scope: str, window: str) -> dict[str, object]:
    return shop.ask(lambda model: model.kpis(scope, window))


def test_sums_are_exact_beyond_doubles(shop: Shop) -> None:
    """Lua's numbers lose units above 2^53; sums of cells of every magnitude don't."""
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
    """Each cell fits into a double, their sum does not: subtotals leave Lua before they lose a unit."""
    for minute in range(30):
        shop.book(NOON_MS - minute * MINUTE_MS - 1, "live", "L1", gmv_paid__USD=10**15 - 1)
    money = _kpis(shop, "live:L1", "30m")["money"]
    assert money["USD"]["gmv_paid_minor"] == 30 * (10**15 - 1)  # type: ignore[index]


def test_more_fields_than_lua_can_unpack_are_asked_in_parts(shop: Shop) -> None:
    """A request of thousands of fields comes back whole, in one consistent call."""
    wanted = [f"items|v{number}" for number in range(2 * FIELDS_MAX + 1)]
    shop.client.hset(f"{shop.prefix}:{{0}}:some", mapping={name: 1 for name in wanted})

    async def ask(model: ReadModel) -> int:
        reads = await model.store.read([HashRequest(("some",), tuple(wanted))])
        return sum(reads[0].sums[0].values())

    assert shop.ask(ask) == len(wanted)


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
        request = HashRequest(("cells:live:1m:0",), ("items|L1",))
        key = f"{shop.prefix}:{{0}}"
        done = asyncio.Event()

        async def write() -> None:
            for number in range(1, 300):
                pipe = writer.pipeline(transaction=True)
                pipe.hset(f"{key}:meta", "off:views", number)
                pipe.hset(f"{key}:cells:live:1m:0", "items|L1", number)
                await pipe.execute()
            done.set()

        task = asyncio.create_task(write())
        while not done.is_set():
            (read,) = await store.read([request])
            assert read.meta.number("off:views") == read.sums[0].get("items|L1")
        await task
        await client.aclose()
        await writer.aclose()

    asyncio.run(scenario())

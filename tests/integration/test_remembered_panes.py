"""A reader that remembers quiet panes tells what one tells that never read before, whatever was written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streams import read_store
from streams.local.redis import RedisServer
from streams.read_model import ReadModel
from streams.read_store import READ_TRIES, ReadStore
from streams.requests import Reading, Request, cells
from streams.store import connect
from streams.window import Pane, PaneSize
from tests.redis_kit import NOON_MS, SIZES_MS, Shop

MINUTE_MS = SIZES_MS["1m"]
SIZES = [PaneSize(name, size_ms, 0) for name, size_ms in SIZES_MS.items()]
MINUTES = [Pane(SIZES[1], NOON_MS + minute * MINUTE_MS) for minute in range(-9, 1)]
AMOUNTS = (1, -3, 10**15, 2**62, -(2**63))


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions."""
    return Shop(redis_server.url).healthy(NOON_MS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that memory goes by."""
    found = Clock()
    monkeypatch.setattr(read_store, "time", found)
    return found


class Clock:
    """Stands still between steps."""

    now_s = 1_000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_s


class Past:
    """What Redis held at a moment: a failover brings it back."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._keys = {key: shop.client.dump(key) or b"" for key in shop.client.keys(f"{shop.prefix}:*")}

    def bring_back(self) -> None:
        """Everything since is lost."""
        self._shop.client.delete(*self._shop.client.keys(f"{self._shop.prefix}:*"))
        for key, dump in self._keys.items():
            self._shop.client.restore(key, 0, dump)


def _requests(rng: random.Random) -> list[Request]:
    """Ranges as readers ask for them: the last panes of a size, of one scope or all, few fields or many."""
    found: list[Request] = []
    for _ in range(rng.randrange(1, 4)):
        size = rng.choice(SIZES)
        last = NOON_MS // size.size_ms
        panes = [Pane(size, at * size.size_ms) for at in range(last - rng.randrange(12), last + 1)]
        fields = rng.choice([["items|L1"], ["items|L1", "max.viewers|L1", "gmv_paid:USD|L1", "items|L2"], []])
        found.append(cells(rng.choice(["live", "all", "due"]), panes, fields))
    return found


def _write(shop: Shop, rng: random.Random) -> None:
    time_ms = NOON_MS - rng.choice([0, 0, 0, 1, 3, 20, 100]) * 5_000
    p, live = rng.randrange(2), rng.choice(["L1", "L2"])
    if rng.random() < 0.2:
        shop.highest(time_ms, "live", live, p=p, max__viewers=rng.randrange(100))
    else:
        kind = rng.choice(["live", "all", "due"])
        shop.book(time_ms, kind, live, p=p, items=1, gmv_paid__USD=rng.choice((5, 10**9, 2**40)))


@pytest.mark.parametrize("seed", range(6))
def test_it_tells_the_same_as_a_new_reader(shop: Shop, clock: Clock, seed: int) -> None:
    """Over writes of now and late ones, quiet times, take-overs, and Redis losing what it had; cells that are
    deleted while their pane stays, writes that do not tell what they add, readings that overtake others."""
    rng = random.Random(seed)

    async def play() -> None:
        client = connect(shop.url)
        store = ReadStore(client, shop.prefix, shop.partitions)
        past, loads = Past(shop), 0
        for _ in range(150):
            clock.now_s += rng.choice([0.0, 0.1, 1.0, 3.0, 40.0])
            happens = rng.random()
            if happens < 0.03:
                past.bring_back()
            if happens < 0.06:  # Whoever writes after a loss has loaded anew.
                loads += 1
                for p in range(shop.partitions):
                    shop.meta(p, load=f"load {loads}")
            elif happens < 0.1:
                past = Past(shop)
            elif happens < 0.13:
                shop.delete("due")
            shop.tells_amounts = rng.random() < 0.9
            for _ in range(rng.choice([0, 0, 1, 5])):
                _write(shop, rng)
            if rng.random() < 0.3:
                await _overtaken(store, lambda: _write(shop, rng), _requests(rng), _requests(rng))
            asked = _requests(rng)
            fresh = ReadStore(client, shop.prefix, shop.partitions)
            assert await store.read(asked) == await fresh.read(asked)
        await client.aclose()

    asyncio.run(play())


async def _overtaken(store: ReadStore, happens: Callable[[], None], *asked: list[Request]) -> None:
    """Readings at the same time, and something that happens after each answer."""
    ask = store._ask

    async def meanwhile(p: int, since: str, calls: Any) -> Any:
        found = await ask(p, since, calls)
        happens()
        return found

    store._ask = meanwhile  # type: ignore[method-assign]
    await asyncio.gather(*map(store.read, asked))
    store._ask = ask  # type: ignore[method-assign]


@pytest.fixture
def read_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Of each call, how many hashes of cells it names."""
    found: list[int] = []
    ask = ReadStore._ask

    async def spied(self: ReadStore, p: int, since: str, calls: Any) -> Any:
        found.append(sum(name.startswith("cells:") for call in calls for name in call.names))
        return await ask(self, p, since, calls)

    monkeypatch.setattr(ReadStore, "_ask", spied)
    yield found


def _reading(store: ReadStore, *fields: str) -> Any:
    return store.read([cells("live", MINUTES, fields)])


def test_what_writes_add_is_not_read(shop: Shop, read_keys: list[int]) -> None:
    """The first readings learn; then nothing is read, whatever is added, but cells not asked for before."""

    async def play(model: ReadModel) -> list[int]:
        store = model.store
        for added in range(4):
            await store.meta(0)
            for _ in range(2):
                found = await store.read([cells("live", MINUTES[at:], ["items|L1"]) for at in (0, 5)])
                assert found.sums == ({"items|L1": 2 * added} if added else {},) * 2
            for p in range(2):
                shop.book(NOON_MS, "live", "L1", p=p, items=1, orders=1)
        await _reading(store, "items|L1", "orders|L1")
        assert (await _reading(store, "orders|L1")).sums == ({"orders|L1": 8},)
        return [keys for keys in read_keys[1::2] if keys]

    assert shop.ask(play) == [10, 10, 10]


def test_a_pane_of_which_a_write_does_not_tell_is_read_once_more(shop: Shop, read_keys: list[int]) -> None:
    """The reading that hears of it does not use what it remembers, and asks again for what it lacks."""

    async def play(model: ReadModel) -> list[int]:
        store = model.store
        for _ in range(2):
            await _reading(store, "items|L1")
        shop.tells_amounts = False
        shop.book(MINUTES[3].start_ms, "live", "L1", p=1, items=7)
        for _ in range(2):
            assert (await _reading(store, "items|L1")).sums == ({"items|L1": 7},)
        return read_keys[::2]

    assert shop.ask(play) == [10, 10, 0, 1, 0]


def test_after_a_loss_it_learns_anew(shop: Shop, clock: Clock, read_keys: list[int]) -> None:
    """Redis lost a write that was read, and another memory wrote up to a higher number before anybody looked:
    nothing of what was lost is told, and soon quiet panes are remembered again."""

    async def play(model: ReadModel) -> list[int]:
        store, past = model.store, Past(shop)
        shop.book(MINUTES[2].start_ms, "live", "L1", items=5)
        for _ in range(2):
            assert (await _reading(store, "items|L1")).sums == ({"items|L1": 5},)
        past.bring_back()
        shop.meta(0, load="another")
        for _ in range(3):
            shop.book(MINUTES[7].start_ms, "live", "L1", items=1)
        clock.now_s += 1
        for _ in range(4):
            assert (await _reading(store, "items|L1")).sums == ({"items|L1": 3},)
        return read_keys[::2]

    assert shop.ask(play) == [10, 10, 0, 10, 10, 0, 0]


def test_at_last_everything_is_read(shop: Shop, read_keys: list[int]) -> None:
    """Where something changes with every try and writes do not tell it, the last one rests on nothing that is
    remembered."""

    async def play(model: ReadModel) -> Reading:
        store = model.store
        for _ in range(2):
            await _reading(store, "items|L1")
        ask, late = store._ask, iter(MINUTES)

        async def meanwhile(p: int, since: str, calls: Any) -> Any:
            if p == 0:
                shop.tells_amounts = False
                shop.book(next(late).start_ms, "live", "L1", items=1)
            return await ask(p, since, calls)

        store._ask = meanwhile  # type: ignore[method-assign]
        found: Reading = await _reading(store, "items|L1")
        return found

    reading = shop.ask(play)
    assert reading.sums == ({"items|L1": READ_TRIES},)
    assert read_keys[-1] == len(MINUTES)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_every_amount_is_remembered(shop: Shop, amount: int) -> None:
    """Up to what a cell can hold, and sums over partition numbers beyond it."""
    for p in range(2):
        key = f"{shop.prefix}:{{{p}}}:cells:live:1m:{MINUTES[0].start_ms}"
        shop.client.hset(key, "items|L1", amount)

    async def play(model: ReadModel) -> list[object]:
        store = model.store
        return [(await _reading(store, *fields)).sums for fields in [["items|L1"], []] for _ in range(3)]

    assert shop.ask(play) == [({"items|L1": 2 * amount},)] * 6

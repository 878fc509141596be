"""Deleting generations that were left, while Redis forgets, clocks differ and a worker wakes up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streams import rebuild
from streams.errors import PulseError
from streams.generations import SCAN_COUNT, Generations
from streams.local.redis import RedisServer
from streams.rebuild import LEFT_FOR_MS, delete_left
from streams.store import Applied, Refused, Store
from tests.scenario_kit import NOON, view
from tests.store_kit import Memory, Shelf, on_redis, on_shelf

RULES = "rules"
HOUR_NS = 3_600 * 1_000_000_000
GRACE_LEFT_S = 0.5


async def _switched(shelf: Shelf) -> tuple[Generations, str]:
    """A prefix with some keys, which was left for a new generation; the latter."""
    owner = await shelf.owner()
    await owner.fold(view("e", NOON))
    await owner.save()
    of = Generations(shelf.client, shelf.prefix)
    name, _ = await of.begin(RULES, 1)
    assert await of.switch(name, shelf.prefix)
    return of, name


async def _note_left(shelf: Shelf, at_ms: int) -> None:
    await shelf.client.hset(f"{shelf.prefix}:generations", f"left:{shelf.prefix}", at_ms)


async def _forget(shelf: Shelf) -> dict[str, object]:
    """Redis loses the switch, as a failover does; all that it holds then."""
    await shelf.client.delete(f"{shelf.prefix}:generations")
    return await shelf.contents()


@on_redis()
async def test_a_switch_that_was_lost_during_the_grace(shelf: Shelf) -> None:
    """The old generation is served again, so nothing of it is deleted, and the command says why."""
    of, _ = await _switched(shelf)
    await _note_left(shelf, await of.now_ms() - LEFT_FOR_MS + round(GRACE_LEFT_S * 1_000))
    deleting = asyncio.create_task(delete_left(of))
    await asyncio.sleep(GRACE_LEFT_S / 5)
    held = await _forget(shelf)
    with pytest.raises(PulseError, match=f"{shelf.prefix} is served: nothing more was deleted"):
        await deleting
    assert await shelf.contents() == held


class ForgettingClient:
    """A client of the real Redis, which loses the switch once so many names of keys were told."""

    def __init__(self, shelf: Shelf, names: int) -> None:
        self._shelf = shelf
        self._names = names
        self.held: dict[str, object] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shelf.client, name)

    async def scan_iter(self, match: Any = None, count: Any = None) -> AsyncIterator[bytes]:
        """All of them."""
        async for name in self._shelf.client.scan_iter(match=match, count=count):
            self._names -= 1
            if not self._names:
                self.held = await _forget(self._shelf)
            yield name


@pytest.mark.parametrize("names", [1, 2 * SCAN_COUNT + 1])
def test_a_switch_that_was_lost_in_the_middle(redis_server: RedisServer, names: int) -> None:
    """From the step on in which Redis forgot it, nothing is deleted; no note says that something was."""

    async def story(shelf: Shelf) -> None:
        await _switched(shelf)
        # More than one step through all keys takes.
        pipe = shelf.client.pipeline()
        for number in range(4 * SCAN_COUNT):
            pipe.set(f"{shelf.key('ids')}:views:{number}", b"x")
        await pipe.execute()
        client = ForgettingClient(shelf, names)
        with pytest.raises(PulseError, match="no longer noted as left"):
            await Generations(client, shelf.prefix).delete(shelf.prefix)
        assert len(client.held) > SCAN_COUNT
        assert await shelf.contents() == client.held

    on_shelf(redis_server, story)


@on_redis()
async def test_what_is_filled_is_not_deleted(shelf: Shelf) -> None:
    """Nor what was never noted."""
    of = Generations(shelf.client, shelf.prefix)
    name, _ = await of.begin(RULES, 1)
    for each in (name, f"{shelf.prefix}.7"):
        with pytest.raises(PulseError, match="no longer noted as left"):
            await of.delete(each)


def test_the_grace_is_by_the_clock_of_redis(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose clock is an hour ahead does not cut it short, nor note a time of its own."""

    async def story(shelf: Shelf) -> None:
        of, _ = await _switched(shelf)
        [left_ms] = (await of.known()).left.values()
        assert 0 <= await of.now_ms() - left_ms < LEFT_FOR_MS
        await _note_left(shelf, await of.now_ms() - LEFT_FOR_MS + round(GRACE_LEFT_S * 1_000))
        began_s = time.monotonic()
        assert (await delete_left(of)).keys() == {shelf.prefix}
        assert time.monotonic() - began_s > GRACE_LEFT_S / 2

    right = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right() + HOUR_NS)
    on_shelf(redis_server, story)


def test_the_grace_has_an_end(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note from an hour ahead (a clock set back since, a failover) is not waited for."""

    async def story(shelf: Shelf) -> None:
        of, _ = await _switched(shelf)
        await _note_left(shelf, await of.now_ms() + 3_600_000)
        async with asyncio.timeout(30):
            assert (await delete_left(of)).keys() == {shelf.prefix}

    monkeypatch.setattr(rebuild, "LEFT_FOR_MS", 100)
    on_shelf(redis_server, story)


@on_redis()
async def test_a_worker_that_wakes_after_the_deletion(shelf: Shelf) -> None:
    """What it writes under a deleted name, of which it had read nothing, the next call finds."""
    store = Store(shelf.client, shelf.prefix, shelf.rules.figures)
    sleeping = Memory(store, *await store.load(0, shelf.rules))
    of = Generations(shelf.client, shelf.prefix)
    name, _ = await of.begin(RULES, 1)
    await of.switch(name, shelf.prefix)
    await _note_left(shelf, 0)
    assert await delete_left(of) == {shelf.prefix: 0}
    await sleeping.fold(view("e", NOON))
    assert isinstance(await sleeping.save(), Applied)
    leaked = [key for key in await shelf.keys() if key != f"{shelf.prefix}:generations"]
    assert await delete_left(of) == {shelf.prefix: len(leaked)}
    assert await shelf.keys() == [f"{shelf.prefix}:generations"]
    assert await delete_left(of) == {}
    await sleeping.fold(view("f", NOON))
    assert isinstance(await sleeping.save(), Refused)


@on_redis()
async def test_a_name_is_never_used_twice(shelf: Shelf) -> None:
    """Whoever still fills a generation that was given up and deleted must not meet the next rebuild's."""
    of = Generations(shelf.client, shelf.prefix)
    name, _ = await of.begin(RULES, 1)
    await of.give_up(name)
    await of.delete(name)
    assert not await of.claim(name, RULES)
    assert await of.begin(RULES, 1) == (f"{shelf.prefix}.2", False)

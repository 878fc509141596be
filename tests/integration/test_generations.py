"""Generations of figures in a real Redis: which is served, which is filled, the switch, what is deleted."""

from __future__ import annotations

import pytest

from streams.errors import REBUILD
from streams.generations import Generations
from streams.store import Store, StoreCorruptError, StoreUnavailableError
from tests.owner_kit import PlainKafka, Station
from tests.scenario_kit import NOON, view
from tests.store_kit import Shelf, on_redis
from verify import VerifyError
from verify.redis_cells import RedisCells

RULES, OTHER_RULES = "rules", "other rules"


def _of(shelf: Shelf) -> Generations:
    return Generations(shelf.client, shelf.prefix)


async def _count(shelf: Shelf, generation: str) -> None:
    """One view, counted under a generation."""
    store, shelf.store = shelf.store, Store(shelf.client, generation, shelf.rules.figures)
    owner = await shelf.owner()
    await owner.fold(view("e", NOON))
    await owner.save()
    shelf.store = store


@on_redis()
async def test_a_redis_that_says_nothing_serves_the_prefix(shelf: Shelf) -> None:
    """States from before there were generations stay valid, and looking writes nothing."""
    known = await _of(shelf).known()
    assert (known.served, known.building, known.left) == (shelf.prefix, None, {})
    assert await _of(shelf).served() == shelf.prefix
    assert await shelf.keys() == []


@on_redis()
async def test_a_rebuild_that_was_stopped_goes_on(shelf: Shelf) -> None:
    """By the same rules in the same generation; by others in a new one, and the former is left."""
    of = _of(shelf)
    first = f"{shelf.prefix}.1"
    assert await of.begin(RULES, 1) == (first, False)
    assert await of.begin(RULES, 1) == (first, True)
    assert await of.begin(OTHER_RULES, 1) == (f"{shelf.prefix}.2", False)
    known = await of.known()
    assert (known.building, known.building_of, set(known.left)) == (f"{shelf.prefix}.2", OTHER_RULES, {first})
    assert known.served == shelf.prefix


@on_redis()
async def test_the_switch_is_one_step(shelf: Shelf) -> None:
    """What was filled is served, what was served is left; told a second time it changes nothing."""
    of = _of(shelf)
    name, _ = await of.begin(RULES, 1)
    assert await of.switch(name, shelf.prefix)
    assert not await of.switch(name, shelf.prefix)
    known = await of.known()
    assert (known.served, known.building, set(known.left)) == (name, None, {shelf.prefix})
    second, _ = await of.begin(RULES, 1)
    assert second == f"{shelf.prefix}.2"


@on_redis()
async def test_only_what_is_being_filled_can_be_switched_to(shelf: Shelf) -> None:
    """A rebuild whose place another one took, or which began under figures left since, switches nothing."""
    of = _of(shelf)
    first, _ = await of.begin(RULES, 1)
    second, _ = await of.begin(OTHER_RULES, 1)
    assert not await of.switch(first, shelf.prefix)
    assert not await of.switch(second, first)
    assert await of.served() == shelf.prefix
    await of.give_up(second)
    assert not await of.switch(second, shelf.prefix)
    assert (await of.known()).left.keys() == {first, second}


@on_redis()
async def test_a_redis_that_forgot_a_switch(shelf: Shelf) -> None:
    """After a rollback the old figures serve on; the next rebuild begins beside what was filled before."""
    of = _of(shelf)
    name, _ = await of.begin(RULES, 1)
    await _count(shelf, name)
    await shelf.client.delete(f"{shelf.prefix}:generations")
    assert await of.served() == shelf.prefix
    assert await of.begin(RULES, 1) == (f"{shelf.prefix}.2", False)


@on_redis()
async def test_a_redis_that_forgot_what_is_filled(shelf: Shelf) -> None:
    """The rebuild that still runs notes it again, unless another one has begun."""
    of = _of(shelf)
    name, _ = await of.begin(RULES, 1)
    await shelf.client.delete(f"{shelf.prefix}:generations")
    assert await of.claim(name, RULES)
    assert (await of.known()).building == name
    assert not await of.claim(f"{shelf.prefix}.9", RULES)


@on_redis()
async def test_deleting_touches_one_generation(shelf: Shelf) -> None:
    """Its keys are gone, and its note says so; those served, those of a longer name, and changes stay."""
    of = _of(shelf)
    name, _ = await of.begin(RULES, 1)
    await of.switch(name, shelf.prefix)
    await _count(shelf, shelf.prefix)
    old = [key for key in await shelf.keys() if key != f"{shelf.prefix}:generations"]
    await _count(shelf, name)
    await shelf.client.zadd(f"{shelf.prefix}:changes", {"x": 1})
    before = {key.decode() async for key in shelf.client.scan_iter()}
    assert await of.delete(shelf.prefix) == len(old) > 3
    assert {key.decode() async for key in shelf.client.scan_iter()} == before - set(old)
    known = await of.known()
    assert (known.served, set(known.left), set(known.deleted)) == (name, set(), {shelf.prefix})


@on_redis()
async def test_a_name_that_is_none_is_not_followed(shelf: Shelf) -> None:
    """Whoever wrote it: nothing is read from there."""
    for field in ("serving", "building", "left:elsewhere", "deleted:elsewhere"):
        await shelf.client.delete(f"{shelf.prefix}:generations")
        await shelf.client.hset(f"{shelf.prefix}:generations", field, "elsewhere")
        with pytest.raises(StoreCorruptError, match="did not write; delete it"):
            await _of(shelf).known()
    await shelf.client.delete(f"{shelf.prefix}:generations")
    await shelf.client.set(f"{shelf.prefix}:generations", "x")
    with pytest.raises(StoreCorruptError, match="did not write; delete it") as raised:
        await _of(shelf).served()
    assert REBUILD not in str(raised.value)


@on_redis()
async def test_a_memory_is_built_on_what_is_served(shelf: Shelf) -> None:
    """A worker that has not noticed a switch waits at its next take-over, and writes nothing new."""
    of = _of(shelf)
    store = Store(shelf.client, shelf.prefix, shelf.rules.figures, of.served)
    await store.load(0, shelf.rules)
    name, _ = await of.begin(RULES, 1)
    await of.switch(name, shelf.prefix)
    with pytest.raises(StoreUnavailableError, match=f"kept under {name} now"):
        await store.load(0, shelf.rules)
    store.generation = name
    await store.load(0, shelf.rules)


@on_redis()
async def test_a_worker_moves_with_the_figures(shelf: Shelf) -> None:
    """Its memory is built anew from the other generation; the one that was left is not written any more."""
    kafka = PlainKafka()
    kafka.append(view("a", NOON), view("b", NOON))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.finish()
    before = await shelf.contents()
    kafka.append(view("c", NOON))
    await station.read("views")
    station.line.generation = f"{shelf.prefix}.1"
    station.owner.release()
    await station.owner.take_over()
    await station.finish()
    assert await shelf.contents() == before
    assert RedisCells(shelf.url, f"{shelf.prefix}.1").meta(0)["off:views"] == "3"


@on_redis()
async def test_verify_reads_what_is_served(shelf: Shelf) -> None:
    """By the prefix the served generation, by a generation's name that one."""
    of = _of(shelf)
    name, _ = await of.begin(RULES, 1)
    await _count(shelf, name)
    cells = RedisCells(shelf.url, shelf.prefix)
    cells.follow()
    assert cells.meta(0) == {}
    await of.switch(name, shelf.prefix)
    assert cells.served() == name != cells.generation
    cells.follow()
    exactly = RedisCells(shelf.url, name)
    exactly.follow()
    assert cells.meta(0) == exactly.meta(0) != {}


@on_redis()
async def test_verify_does_not_read_on_what_is_served_no_more(shelf: Shelf) -> None:
    """It may be deleted at any moment: nothing left would look as if there were nothing to compare."""
    of = _of(shelf)
    name, _ = await of.begin(RULES, 1)
    cells = RedisCells(shelf.url, shelf.prefix)
    cells.follow()
    assert cells.snapshot(0, 0).meta == {}
    await of.switch(name, shelf.prefix)
    with pytest.raises(VerifyError, match=f"{name} is served since {shelf.prefix} .*; run it again"):
        cells.snapshot(0, 0)

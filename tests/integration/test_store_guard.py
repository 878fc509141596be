"""The guard of a write: whoever's memory is not what Redis holds writes nothing, and nothing twice."""

from __future__ import annotations

import pytest

from streams.errors import PulseError
from streams.state import PartitionState
from streams.store import Applied, AppliedBefore, Guard, Refused
from streams.write_plan import SCHEMA
from tests.scenario_kit import DAY, MINUTE, NOON, line, purchase, refund, view
from tests.store_kit import Shelf, on_redis

TODAY = NOON - NOON % DAY
VIEWS = ("all", "", "1d", TODAY, "events.view")


@on_redis()
async def test_another_owners_write_refuses_ours(shelf: Shelf) -> None:
    """The token is another: not a byte changes, and after loading again everything goes on."""
    first, second = await shelf.owner(), await shelf.owner()
    await first.fold(view("e1", NOON))
    await second.fold(view("e1", NOON), view("e2", NOON), purchase("o", NOON, line("p", 1, 100)))
    assert isinstance(await first.save(), Applied)
    before = await shelf.contents()
    assert await second.save() == Refused("token")
    assert await shelf.contents() == before
    third = await shelf.owner()
    assert third.state.topics["views"].next_offset == 1
    await third.fold(view("e2", NOON))
    assert isinstance(await third.save(), Applied)
    assert shelf.cells()[VIEWS] == 2


@on_redis()
async def test_two_first_owners(shelf: Shelf) -> None:
    """On an empty Redis, too, only one of two memories gets its first write in."""
    first, second = await shelf.owner(), await shelf.owner()
    for owner in (first, second):
        await owner.fold(view("e1", NOON))
    assert isinstance(await first.save(), Applied)
    assert await second.save() == Refused("token")
    assert shelf.cells()[VIEWS] == 1


@on_redis()
async def test_another_vector_refuses_ours(shelf: Shelf) -> None:
    """Each topic's next offset must be the one that the memory was built on; the token alone will not do."""
    owner = await shelf.owner()
    await owner.fold(view("e1", NOON), purchase("o", NOON, line("p", 1, 100)))
    await owner.save()
    for topic, other in (("views", "2"), ("purchases", "0"), ("ads", "0")):
        stored = await shelf.client.hget(shelf.key("meta"), f"off:{topic}")
        await shelf.client.hset(shelf.key("meta"), f"off:{topic}", other)
        await owner.fold(view("e2", NOON))
        before = await shelf.contents()
        assert await owner.save() == Refused(f"off:{topic}")
        assert await shelf.contents() == before
        await shelf.client.hdel(shelf.key("meta"), f"off:{topic}")
        if stored:
            await shelf.client.hset(shelf.key("meta"), f"off:{topic}", stored)


@on_redis()
async def test_redis_that_lost_everything_refuses(shelf: Shelf) -> None:
    """An emptied Redis holds no token: the memory is not written on top of nothing."""
    owner = await shelf.owner()
    await owner.fold(view("e1", NOON))
    await owner.save()
    await shelf.roll_back({})
    await owner.fold(view("e2", NOON))
    assert await owner.save() == Refused("token")
    assert await shelf.keys() == []


@on_redis()
async def test_the_same_write_again_changes_nothing(shelf: Shelf) -> None:
    """A retry after a lost answer finds its own token: applied once, whatever the write holds."""
    first = await shelf.owner()
    await first.fold(view("e0", NOON), purchase("o0", NOON, line("p", 1, 100)))
    await first.save()
    owner = await shelf.owner()
    await owner.fold(view("e1", NOON), purchase("o1", NOON, line("p", 1, 100)), refund("r", "?", NOON, 5))
    write = owner.state.take()
    assert any(cell.deltas for cell in write.cells)
    await owner.send_unanswered(write, "mine")
    before = await shelf.contents()
    for _ in range(2):
        assert await owner.send(write, "mine") == AppliedBefore()
    assert await shelf.contents() == before


@on_redis()
async def test_sums_are_right_after_lost_answers(shelf: Shelf) -> None:
    """The answers of increments never arrive: the cells stay unknown, and go on as increments."""
    first = await shelf.owner()
    await first.fold(view("e0", NOON), purchase("o0", NOON, line("p", 1, 100)))
    await first.save()
    owner = await shelf.owner()
    for number in range(3):
        await owner.fold(view(f"e{number + 1}", NOON), purchase(f"o{number + 1}", NOON, line("p", 1, 100)))
        write, token = owner.state.take(), f"token {number}"
        await owner.send_unanswered(write, token)
        assert await owner.send(write, token) == AppliedBefore()
    await owner.fold(view("e9", NOON), view("e10", NOON + MINUTE))
    assert isinstance(await owner.save(), Applied)
    cells = shelf.cells()
    assert cells[VIEWS] == 6
    assert cells["product", "p", "1d", TODAY, "gmv_paid:USD"] == 400


@on_redis()
async def test_a_rollback_that_a_counter_would_not_see(shelf: Shelf) -> None:
    """Redis falls back, another owner writes as much as was lost: `seq` and vector are the same again.

    A counter as version would let the old owner write its absolute values over the other's: the token,
    random for each write, is not the same.
    """
    old = await shelf.owner()
    await old.fold(view("a", NOON))
    await old.save()
    snapshot = await shelf.snapshot()
    await old.fold(view("b", NOON), view("b", NOON))
    await old.save()
    then = await shelf.meta()

    await shelf.roll_back(snapshot)
    other = await shelf.owner()
    await other.fold(view("b", NOON), view("c", NOON))
    await other.save()
    now = await shelf.meta()
    assert now["seq"] == then["seq"] == "2"
    assert now["off:views"] == then["off:views"] == "3"
    assert now["token"] != then["token"]

    await old.fold(view("d", NOON))
    before = await shelf.contents()
    assert await old.save() == Refused("token")
    assert await shelf.contents() == before
    assert shelf.cells()[VIEWS] == 3


@on_redis()
async def test_a_rollback_to_ones_own_past(shelf: Shelf) -> None:
    """Redis loses its last write: data and offsets go together, and come again."""
    owner = await shelf.owner()
    await owner.fold(view("a", NOON), purchase("o", NOON, line("p", 1, 100)))
    await owner.save()
    snapshot = await shelf.snapshot()
    await owner.fold(view("b", NOON), refund("r", "o", NOON, 40))
    await owner.save()
    lost = shelf.cells()
    await shelf.roll_back(snapshot)
    await owner.fold(view("c", NOON))
    assert await owner.save() == Refused("token")
    again = await shelf.owner()
    assert again.state.topics["views"].next_offset == 1
    await again.fold(view("b", NOON), refund("r", "o", NOON, 40))
    await again.save()
    assert shelf.cells() == lost


@on_redis()
async def test_a_hash_that_vanished(shelf: Shelf) -> None:
    """Why no key of ours may expire: an absolute value brings back its own cell and no other of the hash.

    What is written again is right; the rest of the hash is gone until it is built anew (`verify` says so).
    """
    owner = await shelf.owner()
    await owner.fold(view("a", NOON, live_id="L1"), view("b", NOON, live_id="L2"))
    await owner.save()
    await shelf.client.delete(shelf.key(f"cells:live:1d:{TODAY}"))
    await owner.fold(view("c", NOON, live_id="L1"))
    await owner.save()
    cells = shelf.cells()
    assert cells["live", "L1", "1d", TODAY, "events.view"] == 2
    assert ("live", "L2", "1d", TODAY, "events.view") not in cells
    assert cells["live", "L2", "1h", NOON, "events.view"] == 1


@on_redis()
async def test_a_guard_names_every_topic(shelf: Shelf) -> None:
    """Also topics that were never read: another owner that began one is noticed by the vector."""
    owner = await shelf.owner()
    assert owner.guard == Guard("", dict.fromkeys(owner.guard.offsets, ""))
    assert set(owner.guard.offsets) == {f"off:{topic}" for topic in owner.state.topics}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("schema", "1", f"has schema 1, this program writes {SCHEMA}"),
        ("partitions", "8", "was built with 8 partitions a topic, now there are 1"),
    ],
)
def test_a_state_of_another_kind_is_not_used(redis_server: object, field: str, value: str, says: str) -> None:
    """Another schema or partition count: one line that names the command that continues."""

    @on_redis()
    async def story(shelf: Shelf) -> None:
        owner = await shelf.owner()
        await owner.fold(view("a", NOON))
        await owner.save()
        await shelf.client.hset(shelf.key("meta"), field, value)
        with pytest.raises(PulseError) as raised:
            await shelf.owner()
        assert says in str(raised.value) and "`shop-pulse rebuild`" in str(raised.value)
        assert "\n" not in str(raised.value)

    story(redis_server)


@on_redis()
async def test_an_empty_redis_is_a_new_partition(shelf: Shelf) -> None:
    """Nothing stored: nothing known, and nothing is written by looking."""
    owner = await shelf.owner()
    fresh = PartitionState(0, shelf.rules)
    assert (owner.state.high_ms, owner.state.topics) == (fresh.high_ms, fresh.topics)
    assert await shelf.keys() == []

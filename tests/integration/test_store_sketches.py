"""Sketches of users and hashes of rooms over a real Redis: found by an index, and gone with their pane."""

from __future__ import annotations

import secrets

import pytest

from streams.ledger import LedgerWrite
from streams.local.redis import RedisServer
from streams.read_store import ReadStore
from streams.requests import RecordRequest, cells, distinct, packed
from streams.scopes import room_kind
from streams.state import StateWrite
from streams.store import Applied, AppliedBefore, Refused, StoreCorruptError
from streams.sums import CellWrite
from streams.users import SKETCH_SIZES, SketchWrite
from streams.window import Pane
from streams.write_plan import SLICE_MAX, SWEEP_MAX, pane_member
from tests.scenario_kit import HOUR, MINUTE, NOON, view
from tests.store_kit import Memory, Shelf, on_redis, on_shelf

Members = dict[tuple[Pane, str], list[str]]
MINUTES, HOURS, _ = SKETCH_SIZES
NEW = Pane(MINUTES, NOON)
OLD = Pane(MINUTES, NOON - HOUR)


def _hour(shelf: Shelf, start_ms: int = NOON) -> Pane:
    """A pane of cells."""
    return Pane(shelf.rules.sizes[2], start_ms)


def _write(owner: Memory, members: Members, *expired: Pane) -> StateWrite:
    write = owner.state.take()
    write.sketches = SketchWrite(members, list(expired))
    return write


async def _send(owner: Memory, write: StateWrite) -> Applied:
    answer = await owner.send(write, secrets.token_hex(16))
    assert isinstance(answer, Applied)
    return answer


async def _count(shelf: Shelf, *names: str) -> int:
    return int(await shelf.client.pfcount(*(shelf.key(f"users:{name}") for name in names)))


@on_redis()
async def test_users_are_counted_once(shelf: Shelf) -> None:
    """By whichever owner a user is added, and however often: a sketch, and a union of two, know each once."""
    owner = await shelf.owner()
    members = {(NEW, "view:live:L:1"): ["u1", "u2", "ü|\n"], (NEW, "view:all:"): ["u1"]}
    await _send(owner, _write(owner, members))
    owner = await shelf.owner()
    await _send(owner, _write(owner, {(NEW, "view:live:L:1"): ["u2", "u3"]}))
    live, everyone = f"1m:{NOON}:view:live:L:1", f"1m:{NOON}:view:all:"
    assert [await _count(shelf, live), await _count(shelf, everyone)] == [4, 1]
    assert await _count(shelf, live, everyone) == 4
    assert await shelf.client.smembers(shelf.key(f"usersindex:1m:{NOON}")) == {b"view:live:L:1", b"view:all:"}
    assert await shelf.client.zrange(shelf.key("userpanes"), 0, -1, withscores=True) == [
        (f"1m:{NOON}".encode(), 2)
    ]


@on_redis()
async def test_many_users_and_many_sketches_in_one_write(shelf: Shelf) -> None:
    """Users beyond a slice are all added, and thousands of keys in one write are no limit."""
    owner = await shelf.owner()
    hour = Pane(HOURS, NOON)
    users = [f"u{number}" for number in range(2 * SLICE_MAX + 1)]
    members = {(hour, f"view:product:p{number}"): ["u"] for number in range(5_000)}
    await _send(owner, _write(owner, members | {(hour, "view:all:"): users}))
    assert await _count(shelf, f"1h:{NOON}:view:all:") == pytest.approx(len(users), rel=0.05)
    assert await shelf.client.scard(shelf.key(f"usersindex:1h:{NOON}")) == 5_001
    assert len([key for key in await shelf.keys() if ":users:" in key]) == 5_001


@on_redis()
async def test_a_retried_write_of_sketches_changes_nothing(shelf: Shelf) -> None:
    """Its answer was lost: the same token finds everything done, the sweep of old panes too."""
    owner = await shelf.owner()
    await _send(owner, _write(owner, {(OLD, f"view:live:L{n}"): ["u"] for n in range(SWEEP_MAX + 1)}))
    owner = await shelf.owner()
    write = _write(owner, {(NEW, "view:all:"): ["u1"]}, OLD)
    write.cells.append(CellWrite("live", NEW, {}, {}, {"max.viewers|L": 5}))
    await owner.send_unanswered(write, "mine")
    before = await shelf.contents()
    assert len(before[shelf.key(f"usersindex:1m:{NOON - HOUR}")]) == 1  # type: ignore[arg-type]
    for _ in range(2):
        assert await owner.send(write, "mine") == AppliedBefore()
    assert await shelf.contents() == before


@on_redis()
async def test_a_refused_write_of_sketches_leaves_nothing(shelf: Shelf) -> None:
    """Another owner wrote: neither a user nor a name nor a sweep of ours is in Redis."""
    first, second = await shelf.owner(), await shelf.owner()
    await _send(first, _write(first, {(OLD, "view:all:"): ["u"]}))
    before = await shelf.contents()
    write = _write(second, {(NEW, "view:all:"): ["u1"]}, OLD)
    assert await second.send(write, "mine") == Refused("token")
    assert await shelf.contents() == before


@on_redis()
async def test_a_pane_of_sketches_goes_in_steps(shelf: Shelf) -> None:
    """A write deletes a bounded number of sketches; the pane is emptied when its index is, and not before."""
    owner = await shelf.owner()
    old, small, kept = (Pane(MINUTES, NOON + n * MINUTE) for n in range(3))
    await _send(owner, _write(owner, {(old, f"view:live:{{L:{n}}}"): ["u"] for n in range(SWEEP_MAX + 100)}))
    await _send(owner, _write(owner, {(pane, "view:all:"): ["u"] for pane in (small, kept)}))
    left, emptied = [], []
    for _ in range(3):
        answer = await _send(owner, _write(owner, {}, old, small))
        left.append(await shelf.client.scard(shelf.key(f"usersindex:{pane_member(old)}")))
        emptied.append(answer.emptied)
        assert await shelf.client.zscore(shelf.key("userpanes"), pane_member(old)) == (
            1 if left[-1] else None
        )
    assert left == [600, 100, 0]
    assert emptied == [[small], [small], [old, small]]
    assert [key for key in await shelf.keys() if ":users" in key] == [
        shelf.key(f"users:{pane_member(kept)}:view:all:"),
        shelf.key(f"usersindex:{pane_member(kept)}"),
    ]
    assert await shelf.client.zrange(shelf.key("userpanes"), 0, -1) == [pane_member(kept).encode()]


@on_redis()
async def test_a_new_owner_goes_on_with_old_panes(shelf: Shelf) -> None:
    """Which panes hold sketches is read on taking over; what is past its time then goes, and only that."""
    owner = await shelf.owner()
    hour = Pane(HOURS, NOON - HOUR)
    await _send(owner, _write(owner, {(OLD, "view:all:"): ["u"], (hour, "view:all:"): ["u"]}))
    owner = await shelf.owner()
    await owner.fold(view("e", NOON + 2 * HOUR, ts=NOON + 2 * HOUR))
    await owner.save()
    assert await shelf.client.exists(shelf.key(f"users:{pane_member(OLD)}:view:all:")) == 0
    assert await shelf.client.exists(shelf.key(f"users:{pane_member(hour)}:view:all:")) == 1
    owner = await shelf.owner()
    assert owner.state.take().sketches.expired == []


@on_redis()
async def test_rooms_go_with_their_pane(shelf: Shelf) -> None:
    """The pane stays listed while it holds rooms, and is said to be unfinished: none is left behind."""
    owner = await shelf.owner()
    hour, later = _hour(shelf), _hour(shelf, NOON + HOUR)
    write = _write(owner, {})
    lives = [f"L:{n}|" for n in range(SWEEP_MAX + 1)]
    write.cells += [CellWrite(room_kind(live), hour, {"items|m0": 1}) for live in lives]
    write.cells += [CellWrite(room_kind("L"), later, {"items|m0": 2}), CellWrite("all", hour, {"items|": 3})]
    await _send(owner, write)
    assert await shelf.client.hget(shelf.key(f"cells:room:L:7|:1h:{NOON}"), "items|m0") == b"1"
    unfinished = []
    for _ in range(3):
        write = _write(owner, {})
        write.expired_panes = [hour, NEW]
        unfinished.append((await _send(owner, write)).unfinished)
        left = len([key for key in await shelf.keys() if f":1h:{NOON}" in key])
        # One room and the index that names it.
        assert left == (2 if unfinished[-1] else 0)
    assert unfinished == [[hour], [], []]
    assert await shelf.client.zrange(shelf.key("panes"), 0, -1) == [pane_member(later).encode()]
    assert await shelf.client.smembers(shelf.key(f"index:1h:{NOON + HOUR}")) == {b"room:L"}


@on_redis()
async def test_what_is_written_is_what_is_read(shelf: Shelf) -> None:
    """Sketches, rooms, highest values and records are asked for by the names under which they are written."""
    owner = await shelf.owner()
    hour = Pane(HOURS, NOON)
    write = _write(owner, {(NEW, "view:live:L:1"): ["u1", "u2"], (hour, "view:live:L:1"): ["u3"]})
    write.cells.append(CellWrite("live", NEW, {}, {}, {"max.viewers|L:1": 5}))
    write.cells.append(CellWrite(room_kind("L:1"), hour, {"orders:USD|m0": 7}))
    write.ledgers.append(LedgerWrite("rooms", {"L:1": b"-1:record"}, {}))
    await _send(owner, write)
    read = await ReadStore(shelf.client, shelf.prefix, 1).read(
        [
            distinct(["view", "purchase"], "live", "L:1", [NEW, hour]),
            cells("live", [NEW, hour]),
            cells(room_kind("L:1"), [hour]),
            RecordRequest("rooms", ("L:1",)),
        ]
    )
    assert read.counts[0] == [3, 0]
    assert read.sums[1:3] == ({"max.viewers|L:1": 5}, {"orders:USD|m0": 7})
    assert {name: packed(record or b"") for name, record in read.records[3][0].items()} == {"L:1": b"record"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"users:1m:{NOON}:view:all:", ""),
        (f"users:1m:{NOON}:view:all:", "x"),
        (f"users:1m:{NOON}:view:all:", "HYLL\x01"),
        (f"users:1m:{NOON}:view:all:", "HYLL\x00" + "\0" * 20),
        (f"users:1m:{NOON}:view:all:", "HYLL\x02" + "\0" * 20),
        (f"users:1m:{NOON}:view:all:", None),
        (f"usersindex:1m:{NOON}", "x"),
        ("userpanes", "x"),
        (f"usersindex:1m:{NOON - HOUR}", "x"),
        (f"index:1h:{NOON}", "x"),
        (f"cells:live:1m:{NOON}", "x"),
    ],
)
def test_a_key_that_is_not_ours_stops_the_whole_write(
    redis_server: RedisServer, name: str, value: str | None
) -> None:
    """A string that is no sketch, or a key of another type: found before anything is written."""

    async def story(shelf: Shelf) -> None:
        owner = await shelf.owner()
        write = _write(owner, {(NEW, "view:live:L"): ["u"], (NEW, "view:all:"): ["u"]}, OLD)
        write.cells.append(CellWrite("live", NEW, {}, {}, {"max.viewers|": 1}))
        write.cells.append(CellWrite(room_kind("L"), _hour(shelf), {"items|m0": 1}))
        if value is None:
            await shelf.client.hset(shelf.key(name), "x", "y")
        else:
            await shelf.client.set(shelf.key(name), value)
        before = await shelf.contents()
        with pytest.raises(StoreCorruptError) as raised:
            await owner.send(write, "token")
        assert shelf.key(name) in str(raised.value) and "`shop-pulse rebuild`" in str(raised.value)
        assert await shelf.contents() == before

    on_shelf(redis_server, story)


@on_redis()
async def test_a_sketch_that_is_broken_within(shelf: Shelf) -> None:
    """No cheap look finds it before the write: it fails first of all, so no sum and no offset has changed."""
    owner = await shelf.owner()
    await shelf.client.set(shelf.key(f"users:1m:{NOON}:view:all:"), b"HYLL\x01" + bytes(11) + b"\x00")
    write = _write(owner, {(NEW, "view:all:"): ["u"]})
    write.cells.append(CellWrite("live", NEW, {"items|": 1}))
    with pytest.raises(StoreCorruptError, match="INVALIDOBJ"):
        await owner.send(write, "token")
    assert await shelf.keys() == [shelf.key("meta"), shelf.key(f"users:1m:{NOON}:view:all:")]
    assert await shelf.meta() == {"seq": "1"}


@pytest.mark.parametrize("value", ["1.5", "x", "007"])
def test_a_highest_value_that_is_no_amount(redis_server: RedisServer, value: str) -> None:
    """What is compared must be an amount: found before anything is written."""

    async def story(shelf: Shelf) -> None:
        owner = await shelf.owner()
        await shelf.client.hset(shelf.key(f"cells:live:1m:{NOON}"), "max.viewers|", value)
        write = _write(owner, {(NEW, "view:all:"): ["u"]})
        write.cells.append(CellWrite("live", NEW, {}, {}, {"max.viewers|": 7}))
        before = await shelf.contents()
        with pytest.raises(StoreCorruptError, match="is no amount"):
            await owner.send(write, "token")
        assert await shelf.contents() == before

    on_shelf(redis_server, story)

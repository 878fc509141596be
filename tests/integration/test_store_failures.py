"""A Redis that cannot or must not be written: nothing is written by half, and one line says what to do."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import uvloop
from msgspec.msgpack import encode
from redis.exceptions import ResponseError

from streams.errors import PulseError
from streams.local.ports import free_port
from streams.local.redis import RedisServer
from streams.store import Applied, StoreCorruptError, StoreUnavailableError, check_server, connect, guarded
from streams.sums import CellWrite
from streams.window import Pane
from streams.write_plan import AMOUNT_MAX
from tests.scenario_kit import DAY, NOON, Sent, event, line, payment, purchase, refund, tick, view
from tests.store_kit import Memory, Shelf, on_redis, on_shelf

TODAY = NOON // DAY
Story = Callable[[Shelf], Awaitable[None]]


def _full() -> list[Sent]:
    """Records whose write uses every operation but deletions."""
    start = event("live_start", "s2", NOON, live_id="L2")
    return [
        view("e2", NOON, live_id="L1"),
        Sent(topic="livestreams", value=start, at=NOON),
        purchase("o2", NOON, line("p", 1, 100), live_id="L1"),
        payment("y2", "o2", NOON, "started"),
        refund("r2", "unknown", NOON, 5),
    ]


async def _used(shelf: Shelf) -> Memory:
    """An owner that follows another one: its next write increments."""
    first = await shelf.owner()
    await first.fold(view("e1", NOON, live_id="L1"), purchase("o1", NOON, line("p", 1, 100), live_id="L1"))
    await first.save()
    return await shelf.owner()


async def _spoil_by_type(shelf: Shelf, name: str) -> None:
    key = shelf.key(name)
    await shelf.client.delete(key)
    kind = "string" if name.startswith(("cells", "panes", "orders", "attempts", "identities")) else "hash"
    if kind == "string" or name.startswith(("waiting", "lives")):
        await shelf.client.set(key, "x")
    else:
        await shelf.client.hset(key, "x", "y")


@pytest.mark.parametrize(
    "name",
    [
        f"cells:all:10s:{NOON}",
        f"cells:live:1d:{TODAY * DAY}",
        "panes",
        f"ids:views:{NOON // 60_000}",
        "orders",
        f"orders:day:{TODAY}",
        "attempts",
        f"attempts:day:{TODAY}",
        "identities",
        f"identities:day:{TODAY}",
        "waiting",
        "lives",
        f"lives:day:{TODAY}",
    ],
)
def test_a_key_of_another_type_stops_the_whole_write(redis_server: RedisServer, name: str) -> None:
    """Whichever key of the write is not ours: an error in one line, and no other key has changed."""

    async def story(shelf: Shelf) -> None:
        owner = await _used(shelf)
        await owner.fold(*_full())
        await _spoil_by_type(shelf, name)
        before = await shelf.contents()
        with pytest.raises(StoreCorruptError) as raised:
            await owner.save()
        assert shelf.key(name) in str(raised.value) and "\n" not in str(raised.value)
        assert "`shop-pulse rebuild`" in str(raised.value)
        assert await shelf.contents() == before

    on_shelf(redis_server, story)


@on_redis()
async def test_a_trim_over_a_key_of_another_type(shelf: Shelf) -> None:
    """The hash whose records a day's list names is looked at before anything is written, too."""
    owner = await _used(shelf)
    await owner.fold(tick("t", NOON + 91 * DAY))
    write = owner.state.take()
    write.trims = {"orders": TODAY}
    write.ledgers = []
    await shelf.client.set(shelf.key("orders"), "x")
    before = await shelf.contents()
    with pytest.raises(StoreCorruptError, match="orders is a string, not a hash"):
        await owner.send(write, "token")
    assert await shelf.contents() == before


@pytest.mark.parametrize(
    "value", ["", "1.5", "x", "1e3", "9223372036854775808", "-" + "9" * 19, "1" * 20, " 1", "+1", "007", "-0"]
)
def test_a_cell_that_is_no_amount_stops_the_whole_write(redis_server: RedisServer, value: str) -> None:
    """An increment of it would fail in mid-write, or overflow: it is looked at before the first write."""

    async def story(shelf: Shelf) -> None:
        owner = await _used(shelf)
        await owner.fold(view("e2", NOON, live_id="L1"))
        await shelf.client.hset(shelf.key(f"cells:live:1d:{TODAY * DAY}"), "events.view|L1", value)
        before = await shelf.contents()
        with pytest.raises(StoreCorruptError, match="is no amount"):
            await owner.save()
        assert await shelf.contents() == before

    on_shelf(redis_server, story)


@on_redis()
async def test_sums_up_to_64_bits_and_not_beyond(shelf: Shelf) -> None:
    """Every sum that fits is exact; one that does not is an error naming its cell, and nothing changes."""
    owner = await shelf.owner()
    pane = Pane(shelf.rules.sizes[0], NOON)
    edges = [1, 10**15 - 1, 10**15, 10**18 - 1, 10**18, AMOUNT_MAX // 2, AMOUNT_MAX - 1, AMOUNT_MAX]
    for before in [sign * edge for edge in edges for sign in (1, -1)]:
        room = AMOUNT_MAX - abs(before)
        for amount in (room, room + 1, -room, -room - 1):
            first, second = owner.state.take(), owner.state.take()
            first.cells.append(CellWrite("live", pane, {"a|": before}))
            await owner.send(first, secrets.token_hex(16))
            second.cells.append(CellWrite("live", pane, {}, {"b|": 0, "a|": amount}))
            if abs(before + amount) <= AMOUNT_MAX:
                answer = await owner.send(second, secrets.token_hex(16))
                assert isinstance(answer, Applied) and answer.increments == [0, before + amount]
                continue
            held = await shelf.contents()
            with pytest.raises(PulseError, match=rf"64 bits \(a\| of .*: {before} \+ {amount}\)") as raised:
                await owner.send(second, secrets.token_hex(16))
            assert not isinstance(raised.value, StoreCorruptError) and "\n" not in str(raised.value)
            assert await shelf.contents() == held


@on_redis()
async def test_other_fields_of_meta_that_are_not_ours(shelf: Shelf) -> None:
    """A `seq` that is no number, or a meta key of another type, is found before anything is written."""
    owner = await _used(shelf)
    await owner.fold(view("e2", NOON))
    write = owner.state.take()
    await shelf.client.hset(shelf.key("meta"), "seq", "many")
    before = await shelf.contents()
    with pytest.raises(StoreCorruptError, match="seq"):
        await owner.send(write, "token")
    assert await shelf.contents() == before
    await shelf.client.delete(shelf.key("meta"))
    await shelf.client.set(shelf.key("meta"), "x")
    with pytest.raises(StoreCorruptError):
        await owner.send(write, "token")
    with pytest.raises(StoreCorruptError):
        await shelf.owner()


@pytest.mark.parametrize(
    "operation",
    [
        ["?", 1, 1, "a"],
        ["H", 2, 1, "field without value"],
        ["H", 2, 0],
        ["H", 2, 4, "a", "1"],
        ["H", 99, 2, "a", "1"],
        ["H", 2, 4_002, *(["a", "1"] * 2_001)],
        ["I", 2, 2, "a", "one"],
        ["D", 2, 0],
        ["A", 3, 2, "a", "b"],
        ["N", 2, 2, "live", "5"],
        ["N", 2, 3, "live", "soon", 4],
        ["T", 4, 1, 2],
        ["M", 2, 1, "a"],
        ["M", 2, 2, "a", "1.0"],
        ["M", 2, 2, "a", "9223372036854775808"],
        ["P", 3, 0],
        ["S", 5, 0],
        ["E", 5, 4, 6, "pane", "ROOT", ""],
        ["E", 5, 5, 99, "pane", "ROOT", "", 10],
        ["E", 5, 5, 6, "pane", "", "", 10],
        ["E", 5, 5, 6, "pane", "sp:{1}:", "", 10],
        ["E", 5, 5, 6, "pane", "ROOT", "", 0],
        ["E", 5, 5, 6, "pane", "ROOT", "", 4_001],
        ["E", 5, 5, 6, "pane", "ROOT", "", 1.5],
        ["E", 5, 5, 6, "pane", "ROOT", "", "all"],
        ["H", 2, "many", "a", "1"],
        ["H", 2],
    ],
    ids=lambda operation: " ".join(map(str, operation[:6])),
)
def test_an_operation_that_is_malformed_stops_the_whole_write(
    redis_server: RedisServer, operation: Sequence[str | int]
) -> None:
    """The script trusts nobody: an unknown code, a wrong count, a key that was not named."""

    async def story(shelf: Shelf) -> None:
        names = ["meta", "hash", "string", "list", "set", "zset"]
        good = ["H", 2, 2, "a", "1", "R", 4, 1, "x"]
        args: list[Any] = ["", "token", 0, 1, "schema", "1", *good]
        args += [shelf.key("") if arg == "ROOT" else arg for arg in operation]
        script: Any = shelf.store._apply
        with pytest.raises(ResponseError):
            await script(keys=[shelf.key(name) for name in names], args=[encode(args)])
        assert await shelf.keys() == []

    on_shelf(redis_server, story)


def _on_own(make: Callable[..., RedisServer], story: Story, **options: str) -> None:
    on_shelf(make(options={name.replace("_", "-"): value for name, value in options.items()}), story)


def test_a_full_redis(new_redis: Callable[..., RedisServer]) -> None:
    """Refused before the first byte; with more memory the same write goes through."""

    async def story(shelf: Shelf) -> None:
        owner = await _used(shelf)
        await owner.fold(*_full())
        write = owner.state.take()
        before = await shelf.contents()
        await shelf.client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailableError, match="Redis is full: raise maxmemory or free memory"):
            await owner.send(write, "token")
        await shelf.client.config_set("maxmemory", "0")
        assert await shelf.contents() == before
        assert isinstance(await owner.send(write, "token"), Applied)

    _on_own(new_redis, story)


def test_a_replica(new_redis: Callable[..., RedisServer]) -> None:
    """A Redis that became a replica (failing over) takes nothing, and everything once it leads again."""

    async def story(shelf: Shelf) -> None:
        owner = await _used(shelf)
        await owner.fold(*_full())
        write = owner.state.take()
        before = await shelf.contents()
        await shelf.client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        with pytest.raises(StoreUnavailableError, match="read-only replica"):
            await owner.send(write, "token")
        assert await shelf.contents() == before
        await shelf.client.execute_command("REPLICAOF", "NO", "ONE")
        assert isinstance(await owner.send(write, "token"), Applied)

    _on_own(new_redis, story)


def test_a_disk_that_cannot_be_written(new_redis: Callable[..., RedisServer]) -> None:
    """Redis refuses writes after a failed save: said so, and nothing written."""

    async def story(shelf: Shelf) -> None:
        owner = await _used(shelf)
        await owner.fold(*_full())
        before = await shelf.contents()
        await shelf.client.config_set("save", "3600 1000000")
        with pytest.raises(ResponseError):
            await shelf.client.save()
        await shelf.client.bgsave()
        while (await shelf.client.info("persistence"))["rdb_bgsave_in_progress"]:
            await asyncio.sleep(0.02)
        with pytest.raises(StoreUnavailableError, match="Redis cannot save to disk"):
            await owner.save()
        await shelf.client.config_set("save", "")
        assert await shelf.contents() == before

    server = new_redis(options={"dbfilename": "folder"})
    (server.folder / "folder").mkdir()
    on_shelf(server, story)


def test_wrong_credentials(new_redis: Callable[..., RedisServer]) -> None:
    """Without the password, and with another one: one line that names the setting, not the password."""
    server = new_redis()

    async def lock(shelf: Shelf) -> None:
        await shelf.client.config_set("requirepass", "right")

    async def story(url: str) -> str:
        client = connect(url)
        try:
            with pytest.raises(StoreUnavailableError) as raised:
                await check_server(client)
            return str(raised.value)
        finally:
            await client.aclose()

    on_shelf(server, lock)
    for url in (server.url, server.url.replace("//", "//:wrong@")):
        said = asyncio.run(story(url))
        assert "Redis refuses the credentials in SHOP_PULSE_REDIS" in said and "\n" not in said
        assert "wrong@" not in said


def test_no_redis(redis_server: RedisServer) -> None:
    """Nobody answers on the port: one line that names the setting."""

    async def story() -> None:
        client = connect(f"redis://127.0.0.1:{free_port()}/0")
        try:
            with pytest.raises(StoreUnavailableError, match=r"does not answer: check .* SHOP_PULSE_REDIS"):
                await check_server(client)
        finally:
            await client.aclose()

    asyncio.run(story())


def test_a_redis_that_is_loading(new_redis: Callable[..., RedisServer]) -> None:
    """While it reads its data Redis is waited for; afterwards everything is there."""
    slow = {"key-load-delay": "2000", "loading-process-events-interval-bytes": "1024"}
    server = new_redis(options=slow | {"save": "3600 1000000", "appendonly": "no"})

    async def fill(shelf: Shelf) -> None:
        await shelf.client.mset({f"k{number}": "x" * 100 for number in range(500)})
        await shelf.client.save()

    async def meet(shelf: Shelf) -> None:
        said = ""
        while True:
            try:
                await shelf.owner()
                break
            except StoreUnavailableError as error:
                said += str(error)
                await asyncio.sleep(0.02)
        assert "Redis is loading its data: waiting" in said
        assert await shelf.client.dbsize() == 500

    on_shelf(server, fill)
    server.stop()
    server.launch()
    on_shelf(server, meet)


def test_a_redis_that_evicts(new_redis: Callable[..., RedisServer]) -> None:
    """An eviction policy would delete figures: refused at the start, with the policy that is needed."""

    async def story(shelf: Shelf) -> None:
        with pytest.raises(PulseError, match=r"maxmemory-policy allkeys-lru.*set it to noeviction"):
            await shelf.store.check_server()
        await shelf.client.config_set("maxmemory-policy", "noeviction")
        await shelf.store.check_server()

    _on_own(new_redis, story, maxmemory_policy="allkeys-lru")


@pytest.mark.parametrize(("version", "is_old"), [("6.2.14", True), ("7.0.0", False), ("10.1", False)])
def test_a_redis_that_is_too_old(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, version: str, is_old: bool
) -> None:
    """7.0 or newer; compared as numbers."""

    async def story(shelf: Shelf) -> None:
        info: dict[str, object] = await shelf.client.info()

        async def answer() -> dict[str, object]:
            return info | {"redis_version": version}

        monkeypatch.setattr(shelf.client, "info", answer)
        if is_old:
            with pytest.raises(PulseError, match=r"Redis 6\.2\.14 is too old: 7\.0 or newer is needed"):
                await shelf.store.check_server()
        else:
            await shelf.store.check_server()

    on_shelf(redis_server, story)


def test_a_connection_that_was_reset_a_moment_ago(redis_server: RedisServer) -> None:
    """uvloop tells it by a RuntimeError: an error that passes like any other, and the next call works."""

    async def story() -> None:
        client: Any = connect(redis_server.url)
        connection = await client.connection_pool.get_connection()
        connection._writer.transport.abort()
        with pytest.raises(StoreUnavailableError, match="handler is closed"):
            await guarded(connection.send_command("PING"))
        await client.connection_pool.release(connection)
        assert await guarded(client.ping())
        await client.aclose()

    uvloop.run(story())

"""A partition's memory over a real Redis, without Kafka: fold what was sent, save it, look at every key."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from streams.batch import PlainRecord
from streams.local.redis import RedisServer
from streams.marks import Change, pack
from streams.settings import Settings
from streams.state import PartitionState, Rules, StateWrite
from streams.store import Applied, AppliedBefore, Client, Guard, Refused, Store, WriteAnswer, connect
from streams.worker import rules_of
from tests.scenario_kit import Sent
from verify.model import CellKey, flat_cells
from verify.redis_cells import RedisCells

T = TypeVar("T")
_numbers = itertools.count()


def rules(**settings: Any) -> Rules:
    """The rules of one partition, of settings that differ from their defaults."""
    return rules_of(Settings(**({"partitions": 1} | settings)))


class Shelf:
    """A key prefix of one Redis, of its own for each test."""

    def __init__(self, url: str, client: Client, the_rules: Rules) -> None:
        self.url = url
        self.client: Any = client  # the client's own types are unions over its two decodings
        self.rules = the_rules
        self.prefix = f"s{next(_numbers)}"
        self.store = Store(client, self.prefix, the_rules.figures)

    def key(self, name: str) -> str:
        """A key of partition 0."""
        return f"{self.prefix}:{{0}}:{name}"

    async def add(self, kind: str, pane: str, cell: str, amount: int) -> None:
        """A wrong number in a cell of partition 0, written as writes are: its pane is marked."""
        await self.client.hincrby(self.key(f"cells:{kind}:{pane}"), cell, amount)
        seq = await self.client.hincrby(self.key("meta"), "seq", 1)
        await self.client.zadd(self.key("panes"), {pane: seq})
        await self.client.lpush(self.key("marks"), b"%d %b" % (seq, pack([Change([pane])])))

    async def keys(self) -> list[str]:
        """Every key under the prefix."""
        return sorted([key.decode() async for key in self.client.scan_iter(match=f"{self.prefix}:*")])

    async def contents(self) -> dict[str, object]:
        """Every key with all that it holds."""
        held: dict[str, object] = {}
        for key in await self.keys():
            match await self.client.type(key):
                case b"hash":
                    held[key] = await self.client.hgetall(key)
                case b"list":
                    held[key] = await self.client.lrange(key, 0, -1)
                case b"set":
                    held[key] = await self.client.smembers(key)
                case b"zset":
                    held[key] = await self.client.zrange(key, 0, -1, withscores=True)
                case _:
                    held[key] = await self.client.get(key)
        return held

    async def meta(self) -> dict[str, str]:
        """The meta hash."""
        raw = await self.client.hgetall(self.key("meta"))
        return {name.decode(): value.decode() for name, value in raw.items()}

    async def snapshot(self) -> dict[str, bytes]:
        """What a backup would hold."""
        keys = await self.keys()
        pipe = self.client.pipeline(transaction=True)
        for key in keys:
            pipe.dump(key)
        return dict(zip(keys, await pipe.execute(), strict=True))

    async def roll_back(self, snapshot: Mapping[str, bytes]) -> None:
        """What a Redis that starts from this backup holds."""
        pipe = self.client.pipeline(transaction=True)
        for key in await self.keys():
            pipe.delete(key)
        for key, dumped in snapshot.items():
            pipe.restore(key, 0, dumped)
        await pipe.execute()

    def cells(self) -> dict[CellKey, int]:
        """Every cell that is not zero, read as `verify` reads it."""
        reader = RedisCells(self.url, self.prefix)
        try:
            found = reader.snapshot(0, sketches_most=0)
        finally:
            reader.close()
        assert (found.unlisted, found.unlisted_users, found.unknown) == (set(), set(), set())
        return flat_cells(found.panes)

    async def owner(self) -> Memory:
        """A new owner's memory, built from what is stored."""
        state, guard = await self.store.load(0, self.rules)
        return Memory(self.store, state, guard)


class AnotherOwnersRecordsError(Exception):
    """Redis does not hold what the memory was built on: what was read must not be used."""


class Memory:
    """One owner's memory and what it was built on."""

    def __init__(self, store: Store, state: PartitionState, guard: Guard) -> None:
        self.store = store
        self.state = state
        self.guard = guard
        # The token of the last write that was sent: Redis may hold it before its answer is here.
        self.sent = guard.token

    async def fold(self, *sent: Sent) -> None:
        """Folds records, which follow those folded before in each topic's log."""
        for topic, group in itertools.groupby(sent, key=lambda each: each.topic):
            at = self.state.topics[topic].next_offset or 0
            chunk = [PlainRecord(at + n, each.at, each.key, each.data) for n, each in enumerate(group)]
            await self.fold_chunk(topic, chunk)

    async def fold_chunk(self, topic: str, chunk: list[PlainRecord]) -> None:
        """Folds records of one topic, at their offsets. Raises AnotherOwnersRecordsError."""
        screened = self.state.screen(topic, chunk)
        while missing := self.state.missing(topic, screened):
            records, token = await self.store.read_records(0, missing.records)
            names, tokens = await self.store.cell_names(0, missing.cells)
            if not {token, *tokens} <= {self.guard.token, self.sent}:
                raise AnotherOwnersRecordsError
            self.state.load_records(records)
            self.state.sums.admission.load(names)
        self.state.apply(topic, chunk, screened, chunk[-1].offset + 1)

    async def save(self) -> WriteAnswer:
        """One guarded write of everything unsaved."""
        return await self.send(self.state.take(), secrets.token_hex(16))

    async def send(self, write: StateWrite, token: str) -> WriteAnswer:
        """Sends a write; what its answer says is learned."""
        self.sent = token
        answer, guard = await self.store.write(self.state, write, self.guard, token, {"owner": "test"})
        if not isinstance(answer, Refused):
            self.learn(write, answer, guard)
        return answer

    def learn(self, write: StateWrite, answer: Applied | AppliedBefore, guard: Guard) -> None:
        """What an owner learns from the answer to a write that is in Redis."""
        self.guard = guard
        if isinstance(answer, AppliedBefore):
            self.state.sums.expire_again(write.expired_panes)
            return
        self.state.sums.learn(write.cells, iter(answer.increments))
        for (name, day), left in zip(write.trims.items(), answer.left, strict=True):
            if not left:
                self.state.trimmed[name] = day
        for pane in answer.emptied:
            self.state.users.forget(pane)
        self.state.sums.expire_again(answer.unfinished)

    async def send_unanswered(self, write: StateWrite, token: str) -> None:
        """Sends a write whose answer gets lost on the way."""
        self.sent = token
        await self.store.write(self.state, write, self.guard, token, {"owner": "test"})


def on_redis(**settings: Any) -> Callable[[Callable[[Shelf], Awaitable[None]]], Callable[..., None]]:
    """Makes an async test of a Shelf, on the session's Redis, into one that pytest runs."""

    def make(test: Callable[[Shelf], Awaitable[None]]) -> Callable[..., None]:
        def run(redis_server: RedisServer) -> None:
            on_shelf(redis_server, test, **settings)

        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return run

    return make


def on_shelf(server: RedisServer, story: Callable[[Shelf], Awaitable[T]], **settings: Any) -> T:
    """Runs a story over a new prefix of this server."""

    async def told() -> T:
        client = connect(server.url)
        try:
            return await story(Shelf(server.url, client, rules(**settings)))
        finally:
            await client.aclose()

    return asyncio.run(told())

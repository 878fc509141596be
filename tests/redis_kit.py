"""Fills a Redis by hand, by the layout of docs/engine.md: for tests of whoever reads it.

Independent of the write side: a change of layout on one side only fails a test.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import redis
from aiohttp import web

from schemas.events import INPUT_TOPICS
from streams.changes import Changes
from streams.read_model import ReadModel
from streams.read_store import ReadStore
from streams.requests import Reading, Request
from streams.settings import Settings
from streams.store import connect
from streams.web.app import build_app
from streams.write_plan import SCHEMA

SIZES_MS = {"10s": 10_000, "1m": 60_000, "1h": 3_600_000, "1d": 86_400_000}
# A noon: on a border of every size but the day.
NOON_MS = 1_785_931_200_000
T = TypeVar("T")
_numbers = itertools.count()


@dataclass
class Shop:
    """What a worker would have written under a prefix of its own."""

    url: str
    partitions: int = 2
    prefix: str = field(default_factory=lambda: f"t{next(_numbers)}")
    # A worker that catches up names panes only.
    tells_amounts: bool = True

    def __post_init__(self) -> None:
        self.client = redis.Redis.from_url(self.url)

    def settings(self, **changed: Any) -> Settings:
        """Settings that name this Redis and prefix."""
        fields = {"redis": self.url, "redis_prefix": self.prefix, "partitions": self.partitions}
        return Settings(**(fields | changed))  # type: ignore[arg-type]

    def book(self, time_ms: int, kind: str, value: str = "", p: int = 0, **amounts: int) -> None:
        """Adds amounts to the cells of one scope, in the panes of each size; ``gmv_paid__USD`` is
        ``gmv_paid:USD``, ``events__view`` is ``events.view``, ``pay__attempts`` is ``pay.attempts``."""
        cells = {f"{stored_name(name)}|{value}": amount for name, amount in amounts.items()}
        panes = _panes(time_ms)
        for pane in panes:
            for cell, amount in cells.items():
                self.client.hincrby(f"{self.prefix}:{{{p}}}:cells:{kind}:{pane}", cell, amount)
        self._mark(p, panes, kind, cells)

    def _mark(self, p: int, panes: list[str], kind: str, cells: Mapping[str, int] | None) -> None:
        """As a write does that adds to cells of a kind, the same in each of the panes, or deletes them."""
        tag = f"{self.prefix}:{{{p}}}"
        seq = self.client.hincrby(f"{tag}:meta", "seq", 1)
        amounts = None if cells is None else _amounts(kind, cells)
        told = [panes, kind, amounts] if self.tells_amounts else [panes]
        mark = msgspec.msgpack.encode([told])
        self.client.zadd(f"{tag}:panes", dict.fromkeys(panes, seq))
        self.client.lpush(f"{tag}:marks", b"%d %b" % (seq, mark))

    def delete(self, kind: str) -> None:
        """Deletes all cells of a kind, while their panes stay."""
        for p in range(self.partitions):
            head = f"{self.prefix}:{{{p}}}:cells:{kind}:"
            for key in list(self.client.scan_iter(f"{head}*")):
                self.client.delete(key)
                self._mark(p, [key.decode().removeprefix(head)], kind, None)

    def highest(self, time_ms: int, kind: str, value: str = "", p: int = 0, **amounts: int) -> None:
        """Raises cells of one scope in the panes of each size; ``max__viewers`` is ``max.viewers``."""
        cells = {f"{stored_name(name)}|{value}": amount for name, amount in amounts.items()}
        panes = _panes(time_ms)
        for pane in panes:
            key = f"{self.prefix}:{{{p}}}:cells:{kind}:{pane}"
            for cell, amount in cells.items():
                stored = self.client.hget(key, cell)
                if stored is None or int(stored) < amount:
                    self.client.hset(key, cell, amount)
        self._mark(p, panes, kind, cells)

    def room(self, time_ms: int, live_id: str, cells: Mapping[str, int], p: int = 0) -> None:
        """Adds to a live's own hash of the hour; cells as stored, for example ``orders:USD|m5``."""
        start_ms = time_ms - time_ms % SIZES_MS["1h"]
        for cell, amount in cells.items():
            self.client.hincrby(f"{self.prefix}:{{{p}}}:cells:room:{live_id}:1h:{start_ms}", cell, amount)
        self.client.sadd(f"{self.prefix}:{{{p}}}:index:1h:{start_ms}", f"room:{live_id}")
        self._mark(p, [f"1h:{start_ms}"], f"room:{live_id}", cells)

    def users(self, time_ms: int, step: str, kind: str, value: str, *ids: str, p: int = 0) -> None:
        """Adds users to the sketches of one step and scope, in the panes of each size that has them."""
        for size in ("1m", "1h", "1d"):
            pane = f"{size}:{time_ms - time_ms % SIZES_MS[size]}"
            sketch = f"{step}:{kind}:{value}"
            self.client.pfadd(f"{self.prefix}:{{{p}}}:users:{pane}:{sketch}", *ids)
            self.client.sadd(f"{self.prefix}:{{{p}}}:usersindex:{pane}", sketch)
            self.client.zadd(f"{self.prefix}:{{{p}}}:userpanes", {pane: 1})

    def record(self, p: int, ledger: str, record_id: str, record: msgspec.Struct) -> None:
        """A record of a ledger; its first field is the day under which it is filed."""
        fields = msgspec.msgpack.encode(record)
        day = msgspec.msgpack.decode(fields)[0]
        self.client.hset(f"{self.prefix}:{{{p}}}:{ledger}", record_id, b"%d:%b" % (day, fields))

    def meta(self, p: int, **fields: object) -> None:
        """Sets meta fields; ``wm__views`` is ``wm:views`` and ``wm__tag_taps`` is ``wm:tag-taps``."""
        for name, value in fields.items():
            fact, colon, topic = name.partition("__")
            stored = f"{fact}:{topic.replace('_', '-')}" if colon else fact
            self.client.hset(f"{self.prefix}:{{{p}}}:meta", stored, str(value))

    def forget_meta(self, p: int, stored: str) -> None:
        """Removes a meta field, named as it is stored."""
        self.client.hdel(f"{self.prefix}:{{{p}}}:meta", stored)

    def healthy(self, watermark_ms: int, currencies: str = "USD") -> Shop:
        """Every partition written once, all topics read up to `watermark_ms`."""
        for p in range(self.partitions):
            self.meta(p, token="0" * 32, schema=SCHEMA, partitions=self.partitions)
            self.client.hincrby(f"{self.prefix}:{{{p}}}:meta", "seq", 0)
            self.meta(p, h=watermark_ms, currencies=currencies)
            for topic in INPUT_TOPICS:
                self.client.hset(f"{self.prefix}:{{{p}}}:meta", f"wm:{topic}", watermark_ms)
        return self

    def live(self, p: int, live_id: str, start_ms: int) -> None:
        """A live's accepted start."""
        self.client.hset(f"{self.prefix}:{{{p}}}:lives", live_id, start_ms)

    def ask(self, question: Callable[[ReadModel], Awaitable[T]], now_ms: int = NOON_MS, **changed: Any) -> T:
        """Asks a read model of its own, whose clock stands still."""

        async def asked() -> T:
            client = connect(self.url)
            try:
                return await question(self.model(client, now_ms, **changed))
            finally:
                await client.aclose()

        return asyncio.run(asked())

    def model(self, client: object, now_ms: int = NOON_MS, **changed: Any) -> ReadModel:
        """A read model over this shop."""
        settings = self.settings(**changed)
        store = ReadStore(client, settings.redis_prefix, settings.partitions)  # type: ignore[arg-type]
        return ReadModel(store, settings, lambda: now_ms)

    def app(self, client: Any, now_ms: int = NOON_MS, **changed: Any) -> web.Application:
        """The read service over this shop."""
        changes = Changes(client, self.prefix, lambda: now_ms)
        return build_app(self.model(client, now_ms, **changed), self.settings(**changed), changes)


def _amounts(kind: str, cells: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """By value and measure; of products of a live by live, then ``measure|product``."""
    amounts: dict[str, dict[str, int]] = {}
    for cell, amount in cells.items():
        measure, _, value = cell.partition("|")
        length, _, ids = value.partition(":")
        if kind == "live,product" and length.isdigit():
            value, measure = ids[: int(length)], f"{measure}|{ids[int(length) :]}"
        amounts.setdefault(value, {})[measure] = amount
    return amounts


def _panes(time_ms: int) -> list[str]:
    """The panes around a time, as the index names them."""
    return [f"{size}:{time_ms - time_ms % size_ms}" for size, size_ms in SIZES_MS.items()]


def stored_name(name: str) -> str:
    """A measure's stored name from a Python name: capitals after ``__`` are a currency."""
    head, found, tail = name.partition("__")
    if not found:
        return name
    return f"{head}:{tail}" if tail.isupper() else f"{head}.{tail}"


def before_each_read(model: ReadModel, happens: Callable[[Sequence[Request]], None]) -> None:
    """Lets something happen before each reading of the store; it gets the reading's requests."""
    plain = model.store.read

    async def read(requests: Sequence[Request] = ()) -> Reading:
        happens(requests)
        return await plain(requests)

    model.store.read = read  # type: ignore[method-assign]


def counted(model: ReadModel) -> list[int]:
    """Counts the readings of the store from now on: the number of requests of each."""
    readings: list[int] = []
    before_each_read(model, lambda requests: readings.append(len(requests)))
    return readings

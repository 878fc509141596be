"""What Redis holds, read: one consistent view per partition number, and a walk over the cells of a pane.

It stands behind the guarded write and before the read model; it never writes. The client is handed in, and
only `streams.store` knows the Redis library. Keys of one partition number share a hash tag, and no call
names two of them: it works on a cluster as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any, Protocol

from streams.store import StoreUnavailableError, guarded
from streams.window import Pane
from streams.write_plan import Keys, pane_member

# One HMGET of more fields than Lua can unpack fails as a whole.
FIELDS_MAX = 2_000
CALLS_AT_ONCE = 8
CALL_TIMEOUT_S = 5.0
SCAN_COUNT = 1_000


class Script(Protocol):
    """A Lua script that the client loads by itself where the server does not know it."""

    def __call__(self, keys: Any = ..., args: Any = ...) -> Awaitable[Any]:
        """Runs it; the answer as the server gave it, bytes undecoded."""


class Client(Protocol):
    """What is needed of a connected client (`streams.store.connect`)."""

    def register_script(self, script: Any) -> Script:
        """A callable for the script."""

    def zmscore(self, key: Any, members: Any) -> Awaitable[Any]:
        """Scores of members of a sorted set, None for one that is absent."""

    def hscan(self, name: Any, cursor: Any = ..., *, count: Any = ...) -> Awaitable[Any]:
        """A step through a hash: next cursor (0 at the end) and fields."""


@dataclass(frozen=True, slots=True)
class HashRequest:
    """Sums over hashes of a partition number.

    Attributes:
        names: what follows the partition's tag in the keys, for example ``lives``.
        fields: the fields wanted; empty for every field.
    """

    names: tuple[str, ...]
    fields: tuple[str, ...] = ()


def cells(kind: str, panes: Iterable[Pane], fields: Iterable[str] = ()) -> HashRequest:
    """The request for cells (``measure|value``) of a kind of scope, summed over the panes."""
    names = tuple(f"cells:{kind}:{pane.size.name}:{pane.start_ms}" for pane in panes)
    return HashRequest(names, tuple(fields))


@dataclass(frozen=True, slots=True)
class Meta:
    """The meta hash of a partition number; empty where no worker has written yet."""

    fields: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """An integer field, or None while it is not known."""
        text = self.fields.get(name)
        return None if text is None else int(text)

    @property
    def currencies(self) -> frozenset[str]:
        """Currencies in which an amount was ever booked."""
        return frozenset(self.fields.get("currencies", "").split())


@dataclass(frozen=True, slots=True)
class PartitionRead:
    """One partition number at one moment: its meta, and for each request the sum of each field found."""

    meta: Meta
    sums: tuple[Mapping[str, int], ...]


class ReadStore:
    """The read side of Redis, over the partition numbers 0 to `partitions` - 1."""

    def __init__(self, client: Client, prefix: str, partitions: int) -> None:
        self._client = client
        self._prefix = prefix
        self._script = client.register_script(
            resources.files("streams").joinpath("read.lua").read_text("utf-8")
        )
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self.partitions = partitions

    async def read(self, requests: Sequence[HashRequest] = ()) -> list[PartitionRead]:
        """Every partition number, each in one call and consistent in itself. Raises StoreUnavailableError."""
        return await asyncio.gather(*(self._read_one(p, requests) for p in range(self.partitions)))

    async def _read_one(self, p: int, requests: Sequence[HashRequest]) -> PartitionRead:
        of_p = Keys(self._prefix, p)
        keys, args, owners = [of_p("meta")], list[str | int](), list[int]()
        for index, request in enumerate(requests):
            for fields in _chunks(request.fields):
                keys += [of_p(name) for name in request.names]
                args += [len(request.names), len(fields), *fields]
                owners.append(index)
        meta, *groups = await self._call(lambda: self._script(keys=keys, args=args))
        sums: list[dict[str, int]] = [{} for _ in requests]
        for index, flat in zip(owners, groups, strict=True):
            into = sums[index]
            for name, amount in _pairs(flat):
                into[name] = into.get(name, 0) + int(amount)
        return PartitionRead(Meta(dict(_pairs(meta))), tuple(sums))

    async def marks(self, p: int, panes: Sequence[Pane]) -> list[float | None]:
        """Per pane a number that differs after each change of it; None where the pane holds nothing."""
        members = [pane_member(pane) for pane in panes]
        found: list[float | None] = await self._call(
            lambda: self._client.zmscore(Keys(self._prefix, p)("panes"), members)
        )
        return found

    async def walk(self, p: int, kind: str, pane: Pane) -> AsyncIterator[tuple[str, int]]:
        """Every cell (``measure|value``, amount) of a pane, in small steps that hold up no writer.

        No moment: what changes meanwhile may come old or new, or twice.
        """
        key = Keys(self._prefix, p).cells(kind, pane)
        cursor = 0
        while True:
            cursor, found = await self._call(partial(self._client.hscan, key, cursor, count=SCAN_COUNT))
            for cell, amount in found.items():
                yield cell.decode(), int(amount)
            if cursor == 0:
                return

    async def _call(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S), self._slots:
                return await guarded(ask())
        except TimeoutError as error:
            raise StoreUnavailableError(f"Redis did not answer within {CALL_TIMEOUT_S:.0f} s") from error


def _chunks(fields: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    if not fields:
        return ((),)
    return (fields[at : at + FIELDS_MAX] for at in range(0, len(fields), FIELDS_MAX))


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[str, str]]:
    texts = [text.decode() for text in flat]
    return zip(texts[::2], texts[1::2], strict=True)

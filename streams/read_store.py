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
from typing import Any, Protocol, TypeAlias

from msgspec.msgpack import encode

from streams import together
from streams.answer import is_highest
from streams.store import StoreUnavailableError, guarded
from streams.window import PANES_MAX, Pane
from streams.write_plan import Keys, pane_member

# One HMGET of more fields than Lua can unpack fails as a whole.
FIELDS_MAX = 2_000
# Sketches counted in one call, and in one union: Redis is held for up to 25 us by each of them.
SKETCHES_MAX = PANES_MAX
CALLS_AT_ONCE = 8
CALL_TIMEOUT_S = 5.0
SCAN_COUNT = 1_000


class Client(together.Client, Protocol):
    """What is needed of a connected client (`streams.store.connect`)."""

    def zmscore(self, key: Any, members: Any) -> Awaitable[Any]:
        """Scores of members of a sorted set, None for one that is absent."""

    def hscan(self, name: Any, cursor: Any = ..., *, count: Any = ...) -> Awaitable[Any]:
        """A step through a hash: next cursor (0 at the end) and fields."""


@dataclass(frozen=True, slots=True)
class HashRequest:
    """Sums over hashes of a partition number; highest values (``max.…``) are not added.

    Attributes:
        names: what follows the partition's tag in the keys, for example ``lives``.
        fields: the fields wanted; empty for every field.
    """

    names: tuple[str, ...]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """Fields of one hash as they are stored: records of a ledger, see `packed`.

    Attributes:
        name: what follows the partition's tag in the key, for example ``rooms``.
        fields: the fields wanted.
    """

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SketchRequest:
    """Estimated numbers of distinct users, each over the union of some sketches; see `distinct`.

    Attributes:
        unions: per number the sketches' names, what follows the partition's tag in the keys. At most
            `SKETCHES_MAX` a union; a sketch that does not exist is empty.
    """

    unions: tuple[tuple[str, ...], ...]


Request = HashRequest | RecordRequest | SketchRequest


def cells(kind: str, panes: Iterable[Pane], fields: Iterable[str] = ()) -> HashRequest:
    """The request for cells (``measure|value``) of a kind of scope, put together over the panes.

    A live's own hashes are asked for with `kind` = ``room_kind(live)``.
    """
    names = tuple(f"cells:{kind}:{pane.size.name}:{pane.start_ms}" for pane in panes)
    return HashRequest(names, tuple(fields))


def distinct(steps: Iterable[str], kind: str, value: str, panes: Iterable[Pane]) -> SketchRequest:
    """The request for distinct users of one scope over the panes: a number per step, in order.

    A user lives in one partition number: the numbers of all partitions are added.
    """
    kept = tuple(panes)
    return SketchRequest(
        tuple(
            tuple(f"users:{pane.size.name}:{pane.start_ms}:{step}:{kind}:{value}" for pane in kept)
            for step in steps
        )
    )


def packed(record: bytes) -> bytes:
    """The msgpack of a ledger's record as it is stored, without the day by which it is filed."""
    return record[record.index(b":") + 1 :]


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
    """One partition number at one moment: its meta, and an answer per request.

    Each tuple is as long as the requests, and empty at the place of a request of another kind.

    Attributes:
        meta: the meta hash.
        sums: of a HashRequest, the sum (or highest value) of each field found.
        records: of a RecordRequest, each field asked for with its value as stored, None where absent.
        counts: of a SketchRequest, an estimate per union, 0 over nothing.
    """

    meta: Meta
    sums: tuple[Mapping[str, int], ...]
    records: tuple[Mapping[str, bytes | None], ...] = ()
    counts: tuple[Sequence[int], ...] = ()


class ReadStore:
    """The read side of Redis: one generation, over the partition numbers 0 to `partitions` - 1."""

    def __init__(self, client: Client, generation: str, partitions: int) -> None:
        self._client = client
        self.generation = generation
        self._script = client.register_script(
            resources.files("streams").joinpath("read.lua").read_text("utf-8")
        )
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self.partitions = partitions

    async def read(self, requests: Sequence[Request] = ()) -> list[PartitionRead]:
        """Every partition number, each in one call and consistent in itself.

        Where the requests name more than `SKETCHES_MAX` sketches, the numbers of those beyond come from
        further calls: each of one moment, which may be later than that of the rest.

        Raises StoreUnavailableError, and ValueError for a union of more sketches than that.
        """
        plan = _plan_of(requests)
        return await asyncio.gather(*(self._read_one(p, requests, plan) for p in range(self.partitions)))

    async def _read_one(self, p: int, requests: Sequence[Request], calls: _Calls) -> PartitionRead:
        tag = Keys(self.generation, p)("")
        meta: dict[str, str] = {}
        sums: list[dict[str, int]] = [{} for _ in requests]
        records: list[dict[str, bytes | None]] = [{} for _ in requests]
        counts: list[list[int]] = [[] for _ in requests]
        for call, packed in calls:
            keys = [tag + name for name in call.names]
            raw_meta, *groups = await self._call(partial(self._script, keys=keys, args=[packed]))
            meta = meta or dict(_pairs(raw_meta))
            for (index, fields), answer in zip(call.groups, groups, strict=True):
                match requests[index]:
                    case HashRequest():
                        _put_together(sums[index], _pairs(answer))
                    case RecordRequest():
                        records[index].update(zip(fields, answer, strict=True))
                    case SketchRequest():
                        counts[index].append(answer)
        return PartitionRead(Meta(meta), tuple(sums), tuple(records), tuple(counts))

    async def meta(self, p: int) -> Meta:
        """The meta of one partition number."""
        return (await self._read_one(p, (), _plan_of(()))).meta

    async def marks(self, p: int, panes: Sequence[Pane]) -> list[float | None]:
        """Per pane a number that differs after each change of it; None where the pane holds nothing."""
        members = [pane_member(pane) for pane in panes]
        found: list[float | None] = await self._call(
            lambda: self._client.zmscore(Keys(self.generation, p)("panes"), members)
        )
        return found

    async def walk(self, p: int, kind: str, pane: Pane) -> AsyncIterator[tuple[str, int]]:
        """Every cell (``measure|value``, amount) of a pane, in small steps that hold up no writer.

        No moment: what changes meanwhile may come old or new, or twice.
        """
        key = Keys(self.generation, p).cells(kind, pane)
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


@dataclass(slots=True)
class _Call:
    """One call of the script for any partition number; a group belongs to a request and asks for fields."""

    names: list[str] = field(default_factory=lambda: ["meta"])
    args: list[str | int] = field(default_factory=list)
    groups: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    sketches: int = 0

    def add(self, index: int, code: str, names: Sequence[str], fields: tuple[str, ...] = ()) -> None:
        self.names += names
        self.args += [code, len(names), len(fields), *fields]
        self.groups.append((index, fields))


# With its arguments as the script takes them, packed once for all partition numbers: see decision 0016.
_Calls: TypeAlias = Sequence[tuple[_Call, bytes]]


def _plan_of(requests: Sequence[Request]) -> _Calls:
    first = _Call()
    calls = [first]
    for index, request in enumerate(requests):
        match request:
            case HashRequest(names, wanted):
                for fields in _chunks(wanted):
                    first.add(index, "S", names, fields)
            case RecordRequest(name, wanted):
                for fields in _chunks(wanted) if wanted else ():
                    first.add(index, "R", (name,), fields)
            case SketchRequest(unions):
                for union in unions:
                    if len(union) > SKETCHES_MAX:
                        raise ValueError(f"a union of {len(union)} sketches; ask for at most {SKETCHES_MAX}")
                    if calls[-1].sketches + len(union) > SKETCHES_MAX:
                        calls.append(_Call())
                    calls[-1].sketches += len(union)
                    calls[-1].add(index, "C", union)
    return [(call, encode(call.args)) for call in calls]


def _put_together(into: dict[str, int], found: Iterable[tuple[str, str]]) -> None:
    for name, text in found:
        amount = int(text)
        if name not in into:
            into[name] = amount
        elif is_highest(name):
            into[name] = max(into[name], amount)
        else:
            into[name] += amount


def _chunks(fields: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    if not fields:
        return ((),)
    return (fields[at : at + FIELDS_MAX] for at in range(0, len(fields), FIELDS_MAX))


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[str, str]]:
    texts = [text.decode() for text in flat]
    return zip(texts[::2], texts[1::2], strict=True)

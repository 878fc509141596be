"""Generations of figures: which keys are served, which are being filled, and the switch between them.

It stands beside the partitions, in one hash `PREFIX:generations`. A generation is the first part of its keys:
PREFIX itself, then PREFIX.1, PREFIX.2, ... Readers and workers ask for the one that is served; nothing is
ever served from two at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from streams import together
from streams.errors import PulseError
from streams.store import StoreCorruptError, guarded
from streams.write_plan import Keys

# Readers and workers look at the pointer this often.
POLL_S = 1.0
# Keys looked at, and those of them deleted, in one step: so long Redis serves nobody else.
SCAN_COUNT = 500
PARTITIONS_AT_ONCE = 16

# Times in notes are Redis' own: who compares them later may run on another host.
_NOW = """
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
"""
# Serves ARGV[1] from now on, if the generation ARGV[2] is served and ARGV[1] is the one being filled.
# One key, one step: nobody sees half of it.
_SWITCH = f"""{_NOW}
local served = redis.call('HGET', KEYS[1], 'serving') or ARGV[3]
if served ~= ARGV[2] or redis.call('HGET', KEYS[1], 'building') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'serving', ARGV[1], 'left:' .. served, now_ms)
redis.call('HDEL', KEYS[1], 'building', 'building_of', 'left:' .. ARGV[1])
return 1
"""
# Fills ARGV[1] from now on, if the one filled until now is ARGV[2] ('' for none); that one is left.
# What is served, or was left, is not filled again: somebody may be about to delete it, or has.
_BEGIN = f"""{_NOW}
local before = redis.call('HGET', KEYS[1], 'building') or ''
local is_known = redis.call('HGET', KEYS[1], 'serving') == ARGV[1]
  or redis.call('HEXISTS', KEYS[1], 'left:' .. ARGV[1]) == 1
  or redis.call('HEXISTS', KEYS[1], 'deleted:' .. ARGV[1]) == 1
if before ~= ARGV[2] or is_known then
  return 0
end
if before ~= '' then
  redis.call('HSET', KEYS[1], 'left:' .. before, now_ms)
end
if ARGV[1] == '' then
  redis.call('HDEL', KEYS[1], 'building', 'building_of')
else
  redis.call('HSET', KEYS[1], 'building', ARGV[1], 'building_of', ARGV[3])
end
return 1
"""
# Notes that ARGV[1], which was left, holds no keys any more.
_DELETED = f"""{_NOW}
if redis.call('HDEL', KEYS[1], 'left:' .. ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'deleted:' .. ARGV[1], now_ms)
end
"""


class Client(together.Client, Protocol):
    """What is needed of a connected client (`streams.store.connect`)."""

    def hget(self, name: Any, key: Any) -> Awaitable[Any]:
        """A field of a hash."""

    def hgetall(self, name: Any) -> Awaitable[Any]:
        """All fields of a hash."""

    def time(self) -> Awaitable[Any]:
        """The server's clock: Unix seconds, and microseconds on top."""

    def unlink(self, *names: Any) -> Awaitable[Any]:
        """Deletes keys, freeing their memory beside other work."""

    def scan_iter(self, match: Any = ..., count: Any = ...) -> AsyncIterator[Any]:
        """Names of all keys, in steps; on a cluster node by node."""


@dataclass(frozen=True, slots=True)
class Known:
    """What `PREFIX:generations` says.

    Attributes:
        served: the generation that answers come from.
        building: the one that is being filled, None if there is none.
        building_of: by which rules it is filled.
        left: generations that nobody reads any more, with the time of that in Unix milliseconds by Redis.
        deleted: those whose keys were deleted since.
    """

    served: str
    building: str | None
    building_of: str
    left: Mapping[str, int]
    deleted: frozenset[str]


class Generations:
    """The generations under one key prefix. Raises StoreUnavailableError and StoreCorruptError."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._key = f"{prefix}:generations"
        self._switch = client.register_script(_SWITCH)
        self._begin = client.register_script(_BEGIN)
        self._deleted = client.register_script(_DELETED)
        self.prefix = prefix

    async def served(self) -> str:
        """The generation that answers come from: the prefix itself until something else was switched to."""
        found = await self._ask(self._client.hget(self._key, "serving"))
        return self._name(found) if found else self.prefix

    async def known(self) -> Known:
        """All of it, as of one moment."""
        raw = await self._ask(self._client.hgetall(self._key))
        fields = {name.decode(): value for name, value in raw.items()}
        building = fields.get("building")
        return Known(
            served=self._name(fields["serving"]) if "serving" in fields else self.prefix,
            building=None if building is None else self._name(building),
            building_of=fields.get("building_of", b"").decode(),
            left={name: int(value) for name, value in self._noted("left:", fields)},
            deleted=frozenset(name for name, _ in self._noted("deleted:", fields)),
        )

    def _noted(self, what: str, fields: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
        for name, value in fields.items():
            if name.startswith(what):
                yield self._name(name.removeprefix(what).encode()), value

    async def now_ms(self) -> int:
        """Redis' clock in Unix milliseconds: the one that notes are made by."""
        seconds, microseconds = await guarded(self._client.time())
        return int(seconds) * 1_000 + int(microseconds) // 1_000

    async def begin(self, of: str, partitions: int) -> tuple[str, bool]:
        """The generation to fill by the rules `of`, and whether one that was begun goes on.

        One that was begun by other rules is left: whoever still fills it does no harm there.
        """
        while True:
            known = await self.known()
            if known.building is not None and known.building_of == of:
                return known.building, True
            name = await self._unused(known, partitions)
            args = [name, known.building or "", of]
            if await self._ask(self._begin(keys=[self._key], args=args)):
                return name, False

    async def _unused(self, known: Known, partitions: int) -> str:
        taken = {known.served, known.building, *known.left, *known.deleted}
        number = 1 + max((self._number(name) for name in taken if name), default=0)
        # A Redis that lost its last second may have forgotten a switch, but not what was filled before.
        while any(await self.metas(f"{self.prefix}.{number}", partitions)):
            number += 1
        return f"{self.prefix}.{number}"

    async def claim(self, name: str, of: str) -> bool:
        """Notes once more that `name` is filled, for a Redis that forgot it.

        False if another one is, or if Redis forgot nothing: `name` is noted as left, deleted or served.
        """
        return bool(await self._ask(self._begin(keys=[self._key], args=[name, "", of])))

    async def give_up(self, name: str) -> None:
        """The generation is not filled any more; the next `begin` takes a new one."""
        await self._ask(self._begin(keys=[self._key], args=["", name, ""]))

    async def switch(self, name: str, served: str) -> bool:
        """Serves `name` in place of `served`, in one step; False if the latter is served no more."""
        return bool(await self._ask(self._switch(keys=[self._key], args=[name, served, self.prefix])))

    async def metas(self, name: str, partitions: int) -> list[dict[str, str]]:
        """The meta hash of each partition number of a generation; empty where nothing was written."""
        found: list[dict[str, str]] = []
        for at in range(0, partitions, PARTITIONS_AT_ONCE):
            numbers = range(at, min(at + PARTITIONS_AT_ONCE, partitions))
            asked = (guarded(self._client.hgetall(Keys(name, p)("meta"))) for p in numbers)
            for raw in await asyncio.gather(*asked):
                found.append({field.decode(): value.decode() for field, value in raw.items()})
        return found

    async def delete(self, name: str) -> int:
        """Deletes a generation that was left, in small steps; how many keys it had.

        Its name stays noted, as deleted: a worker that had read nothing of it, and was stopped since, writes
        there once more when it goes on, and the next call finds that. Raises PulseError as soon as the name
        is served, filled or not noted, and deletes nothing more.
        """
        # First what a worker that is not done with it would build on: it is refused, and writes nothing more.
        deleted = await self._delete_keys(name, "meta")
        deleted += await self._delete_keys(name, "*")
        await self._check_left(name)
        await self._ask(self._deleted(keys=[self._key], args=[name]))
        return deleted

    async def _delete_keys(self, name: str, rest: str) -> int:
        deleted = 0
        pattern = f"{_escaped(name)}:{{[0-9]*}}:{rest}"
        names = self._client.scan_iter(match=pattern, count=SCAN_COUNT)
        while keys := await guarded(_next(names, SCAN_COUNT)):
            # Each time: a Redis that failed over may have forgotten the switch away from it.
            await self._check_left(name)
            deleted += await guarded(self._client.unlink(*keys))
        return deleted

    async def _check_left(self, name: str) -> None:
        known = await self.known()
        if name in (known.served, known.building) or name not in {*known.left, *known.deleted}:
            raise PulseError(
                f"{name} is no longer noted as left, and {known.served} is served: nothing more was deleted "
                "(did Redis lose its last writes?); if other figures should be served, run "
                "`shop-pulse rebuild` again"
            )

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        try:
            return await guarded(answer)
        except StoreCorruptError as error:
            raise self._corrupt() from error

    def _name(self, raw: bytes) -> str:
        """A generation's name. Raises StoreCorruptError for what is none of this prefix."""
        name = raw.decode(errors="replace")
        if name != self.prefix and not self._number(name):
            raise self._corrupt()
        return name

    def _number(self, name: str) -> int:
        head, _, number = name.rpartition(".")
        return int(number) if head == self.prefix and number.isascii() and number.isdecimal() else 0

    def _corrupt(self) -> StoreCorruptError:
        return StoreCorruptError(
            f"the key {self._key} in Redis holds what Shop Pulse did not write; delete it (it holds no "
            f"figures; without it those under {self.prefix}:{{0}} are served)"
        )


async def _next(names: AsyncIterator[Any], most: int) -> list[Any]:
    """So many of the next names; fewer at the end."""
    found: list[Any] = []
    async for name in names:
        found.append(name)
        if len(found) == most:
            break
    return found


def _escaped(text: str) -> str:
    """For a Redis pattern, in which braces are plain but these are not."""
    return "".join("\\" + char if char in "\\*?[]" else char for char in text)

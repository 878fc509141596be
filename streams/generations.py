"""Generations of figures: which keys are served, which are being filled, and the switch between them.

It stands beside the partitions, in one hash `PREFIX:generations`. A generation is the first part of its keys:
PREFIX itself, then PREFIX.1, PREFIX.2, ... Readers and workers ask for the one that is served; nothing is
ever served from two at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from streams.store import StoreCorruptError, guarded
from streams.write_plan import Keys

# Readers and workers look at the pointer this often.
POLL_S = 1.0
# Keys looked at, and those of them deleted, in one step: so long Redis serves nobody else.
SCAN_COUNT = 500
PARTITIONS_AT_ONCE = 16

# Serves ARGV[1] from now on, if the generation ARGV[2] is served and ARGV[1] is the one being filled.
# One key, one step: nobody sees half of it.
_SWITCH = """
local served = redis.call('HGET', KEYS[1], 'serving') or ARGV[3]
if served ~= ARGV[2] or redis.call('HGET', KEYS[1], 'building') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'serving', ARGV[1], 'left:' .. served, ARGV[4])
redis.call('HDEL', KEYS[1], 'building', 'building_of', 'left:' .. ARGV[1])
return 1
"""
# Fills ARGV[1] from now on, if the one filled until now is ARGV[2] ('' for none); that one is left.
_BEGIN = """
local before = redis.call('HGET', KEYS[1], 'building') or ''
if before ~= ARGV[2] then
  return 0
end
if before ~= '' then
  redis.call('HSET', KEYS[1], 'left:' .. before, ARGV[4])
end
if ARGV[1] == '' then
  redis.call('HDEL', KEYS[1], 'building', 'building_of')
else
  redis.call('HSET', KEYS[1], 'building', ARGV[1], 'building_of', ARGV[3])
end
return 1
"""


class Script(Protocol):
    """A Lua script that the client loads by itself where the server does not know it."""

    def __call__(self, keys: Any = ..., args: Any = ...) -> Awaitable[Any]:
        """Runs it."""


class Client(Protocol):
    """What is needed of a connected client (`streams.store.connect`)."""

    def hget(self, name: Any, key: Any) -> Awaitable[Any]:
        """A field of a hash."""

    def hgetall(self, name: Any) -> Awaitable[Any]:
        """All fields of a hash."""

    def hdel(self, name: Any, *keys: Any) -> Awaitable[Any]:
        """Removes fields of a hash."""

    def unlink(self, *names: Any) -> Awaitable[Any]:
        """Deletes keys, freeing their memory beside other work."""

    def scan(self, cursor: Any = ..., match: Any = ..., count: Any = ...) -> Awaitable[Any]:
        """A step through all keys: next cursor (0 at the end) and names."""

    def register_script(self, script: Any) -> Script:
        """A callable for the script."""


@dataclass(frozen=True, slots=True)
class Known:
    """What `PREFIX:generations` says.

    Attributes:
        served: the generation that answers come from.
        building: the one that is being filled, None if there is none.
        building_of: by which rules it is filled.
        left: generations that nobody reads any more, with the time of that in Unix milliseconds.
    """

    served: str
    building: str | None
    building_of: str
    left: Mapping[str, int]


class Generations:
    """The generations under one key prefix. Raises StoreUnavailableError and StoreCorruptError."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._key = f"{prefix}:generations"
        self._switch = client.register_script(_SWITCH)
        self._begin = client.register_script(_BEGIN)
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
            left={
                self._name(name.removeprefix("left:").encode()): int(value)
                for name, value in fields.items()
                if name.startswith("left:")
            },
        )

    async def begin(self, of: str, partitions: int, now_ms: int) -> tuple[str, bool]:
        """The generation to fill by the rules `of`, and whether one that was begun goes on.

        One that was begun by other rules is left: whoever still fills it does no harm there.
        """
        while True:
            known = await self.known()
            if known.building is not None and known.building_of == of:
                return known.building, True
            name = await self._unused(known, partitions)
            args = [name, known.building or "", of, now_ms]
            if await self._ask(self._begin(keys=[self._key], args=args)):
                return name, False

    async def _unused(self, known: Known, partitions: int) -> str:
        taken = {known.served, known.building, *known.left}
        number = 1 + max((self._number(name) for name in taken if name), default=0)
        # A Redis that lost its last second may have forgotten a switch, but not what was filled before.
        while any(await self.metas(f"{self.prefix}.{number}", partitions)):
            number += 1
        return f"{self.prefix}.{number}"

    async def claim(self, name: str, of: str, now_ms: int) -> bool:
        """Notes once more that `name` is filled, for a Redis that forgot it; False if another one is."""
        return bool(await self._ask(self._begin(keys=[self._key], args=[name, "", of, now_ms])))

    async def give_up(self, name: str, now_ms: int) -> None:
        """The generation is not filled any more; the next `begin` takes a new one."""
        await self._ask(self._begin(keys=[self._key], args=["", name, "", now_ms]))

    async def switch(self, name: str, served: str, now_ms: int) -> bool:
        """Serves `name` in place of `served`, in one step; False if the latter is served no more."""
        args = [name, served, self.prefix, now_ms]
        return bool(await self._ask(self._switch(keys=[self._key], args=args)))

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
        """Deletes a generation that was left, in small steps; how many keys it had."""
        # First what a worker that is not done with it would build on: it is refused, and writes nothing more.
        deleted = await self._delete_keys(f"{_escaped(name)}:{{[0-9]*}}:meta")
        deleted += await self._delete_keys(f"{_escaped(name)}:{{[0-9]*}}:*")
        await self._ask(self._client.hdel(self._key, f"left:{name}"))
        return deleted

    async def _delete_keys(self, pattern: str) -> int:
        deleted, cursor = 0, 0
        while True:
            cursor, keys = await guarded(self._client.scan(cursor, match=pattern, count=SCAN_COUNT))
            if keys:
                deleted += await guarded(self._client.unlink(*keys))
            if not cursor:
                return deleted

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


def _escaped(text: str) -> str:
    """For a Redis pattern, in which braces are plain but these are not."""
    return "".join("\\" + char if char in "\\*?[]" else char for char in text)

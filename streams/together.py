"""Commands on keys of one slot, done at one moment: a transaction that a Redis Cluster has, too.

It stands beside the guarded write, for what is read or written without its guard. redis-py's own
transactions on a cluster open connections in threads of their own, and fail once a node has died.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any, Protocol

from msgspec.msgpack import encode

from streams.write_plan import SLICE_MAX, Arg

Command = tuple[str, str, *tuple[Arg, ...]]


class Script(Protocol):
    """A Lua script that the client loads by itself where the server does not know it."""

    def __call__(self, keys: Any = ..., args: Any = ...) -> Awaitable[Any]:
        """Runs it; the answer as the server gave it, bytes undecoded."""


class Client(Protocol):
    """What is needed of a connected client (`streams.store.connect`)."""

    def register_script(self, script: Any) -> Script:
        """A callable for the script."""


class Together:
    """Does commands together, on any keys that share a slot."""

    def __init__(self, client: Client) -> None:
        self._script = client.register_script(files("streams").joinpath("together.lua").read_text("utf-8"))

    def __call__(self, commands: Iterable[Command]) -> Awaitable[list[Any]]:
        """What each (command, key, argument ...) answers, as Redis gives it: a hash as a list of pairs."""
        keys, packed = [], []
        for name, key, *args in commands:
            keys.append(key)
            packed.append([name, *args])
        return self._script(keys=keys, args=[encode(packed)])


def fields_of(key: str, names: Sequence[str]) -> Iterator[Command]:
    """Commands that read these fields of a hash, in slices that Lua can unpack."""
    for at in range(0, len(names), SLICE_MAX):
        yield ("HMGET", key, *names[at : at + SLICE_MAX])

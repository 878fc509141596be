"""A worker's connection to the modelled Redis: what `Store` needs of redis-py, over a network that fails.

A request travels, is answered at one moment, and the answer travels back. What is on the wire survives the
death of the worker that sent it. What a connection that is cut had on the wire fails, whether it was done or
not; a request that timed out may still be done later.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections.abc import Callable, Sequence
from contextvars import Context
from importlib.resources import files
from itertools import chain
from random import Random
from typing import Any, Final

from msgspec.msgpack import decode
from redis import exceptions as redis_errors

from tests.simulation.redis_model import RedisModel, ScriptError, unpacked

TOGETHER: Final = files("streams").joinpath("together.lua").read_text("utf-8")
THE_WORLD = Context()
Question = Callable[[RedisModel], Any]

TROUBLES: dict[str, Callable[[], Exception]] = {
    "full": lambda: redis_errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'"),
    "read-only": lambda: redis_errors.ReadOnlyError("You can't write against a read only replica."),
    "loading": lambda: redis_errors.BusyLoadingError("Redis is loading the dataset in memory"),
    "away": lambda: redis_errors.ConnectionError("Connection refused"),
}


class RedisServer:
    """The one Redis that all workers share, with its troubles and its network."""

    def __init__(self, rng: Random) -> None:
        self.model = RedisModel()
        self.trouble = ""
        self.slow_s = 0.0
        # Rises whenever connections are cut: what was sent before is not answered any more.
        self.connection = 0
        self.on_written: Callable[[list[Any]], None] = lambda answer: None
        self.happened: Callable[[str], None] = lambda fault: None
        self._rng = rng

    def delay_s(self) -> float:
        """How long something travels."""
        return 0.0002 + 0.004 * self._rng.random() ** 3 + self.slow_s * self._rng.random()

    def cut(self) -> None:
        """Every connection breaks."""
        self.connection += 1

    def answer(self, question: Question, is_write: bool) -> Any:
        """Asks the model; raises what redis-py raises where Redis answers an error."""
        if self.trouble and (is_write or self.trouble not in ("full", "read-only")):
            raise TROUBLES[self.trouble]()
        try:
            return question(self.model)
        except ScriptError as error:
            raise redis_errors.ResponseError(str(error)) from error


class Asking:
    """What `Store` uses of redis-py, over some way to ask the model."""

    @property
    def connection(self) -> int:
        """Which connection it is over."""
        return 0

    async def ask(self, question: Question, is_write: bool = False, since: int | None = None) -> Any:
        """One round trip, over the connection that was there `since`. Raises what redis-py would."""
        raise NotImplementedError

    def pipeline(self, transaction: bool) -> Pipeline:
        """See redis-py; never a transaction: others may write between the commands."""
        assert not transaction
        return Pipeline(self)

    def register_script(self, script: str) -> Callable[..., Any]:
        """What is read together, or else the guarded write."""
        if script == TOGETHER:
            return self._together

        async def apply(keys: Sequence[str], args: Sequence[bytes]) -> Any:
            argv = unpacked(args[0])
            return await self.ask(lambda model: model.run_script(keys, argv), is_write=True)

        return apply

    async def _together(self, keys: Sequence[str], args: Sequence[bytes]) -> Any:
        commands = decode(args[0])
        return await self.ask(
            lambda model: [_read(model, key, *each) for key, each in zip(keys, commands, strict=True)]
        )


def _read(model: RedisModel, key: str, command: str, *names: str) -> Any:
    """What Redis answers to one of several readings; of a sorted set only the whole is asked for."""
    stored = model.data.get(key)
    match command:
        case "GET":
            return stored
        case "HGET" | "HMGET":
            found = [(stored or {}).get(name.encode()) for name in names]
            return found if command == "HMGET" else found[0]
        case "HGETALL":
            return list(chain.from_iterable((stored or {}).items()))
        case "ZRANGE":
            return sorted(stored or {})
        case _:
            raise NotImplementedError(command)


class AtOnce(Asking):
    """Asks without a network: no coroutine over it ever waits."""

    def __init__(self, model: RedisModel) -> None:
        self._model = model

    async def ask(self, question: Question, is_write: bool = False, since: int | None = None) -> Any:
        """See `Asking`."""
        return question(self._model)


class Client(Asking):
    """A worker's connection.

    `armed` are faults of the next requests, by name: `lost_request`, `lost_reply`, `late` (done after the
    client gave up), `crash_sent` and `crash_done` (the worker dies when its request was sent, or done).
    """

    def __init__(self, server: RedisServer, die: Callable[[str], None]) -> None:
        self._server = server
        self._die = die
        self.armed: list[str] = []

    @property
    def connection(self) -> int:
        """See `Asking`."""
        return self._server.connection

    async def ask(self, question: Question, is_write: bool = False, since: int | None = None) -> Any:
        """One round trip, over the connection that was there `since`. Raises what redis-py would."""
        server, loop = self._server, get_running_loop()
        reply: Future[Any] = loop.create_future()
        fault = self.armed.pop(0) if self.armed else ""
        if fault:
            server.happened(fault)
        connection = server.connection if since is None else since

        def fail(error: Exception) -> None:
            if not reply.done():
                reply.set_exception(error)

        def answer_travels(outcome: Any) -> None:
            if fault == "lost_reply" or connection != server.connection:
                fail(redis_errors.ConnectionError("Connection closed by server"))
            elif not reply.done():
                if isinstance(outcome, Exception):
                    reply.set_exception(outcome)
                else:
                    reply.set_result(outcome)

        def arrive() -> None:
            cut = connection != server.connection
            # What a connection that is cut has sent may have arrived all the same.
            if fault == "lost_request" or (cut and fault != "late"):
                fail(redis_errors.ConnectionError("Connection reset by peer"))
                return
            try:
                outcome = server.answer(question, is_write)
            except redis_errors.RedisError as error:
                outcome = error
            else:
                if is_write:
                    server.on_written(outcome)
                if fault == "crash_done":
                    self._die("when its request was done")
            loop.call_later(server.delay_s(), answer_travels, outcome, context=THE_WORLD)

        loop.call_later(server.delay_s() + (0.5 if fault == "late" else 0), arrive, context=THE_WORLD)
        if fault == "late":
            timeout = redis_errors.TimeoutError("Timeout reading from socket")
            loop.call_later(0.01, fail, timeout, context=THE_WORLD)
        if fault == "crash_sent":
            loop.call_soon(self._die, "when its request was sent", context=THE_WORLD)
        return await reply


class Pipeline:
    """Commands that are sent together."""

    def __init__(self, client: Asking) -> None:
        self._client = client
        self._asked: list[Question] = []

    def hget(self, key: str, name: str) -> None:
        """See redis-py."""
        self._asked.append(lambda model: model.data.get(key, {}).get(name.encode()))

    def hkeys(self, key: str) -> None:
        """See redis-py."""
        self._asked.append(lambda model: list(model.data.get(key, {})))

    async def execute(self) -> list[Any]:
        """See redis-py."""
        asked = self._asked
        half, since = len(asked) // 2, self._client.connection
        first = await self._client.ask(lambda model: [ask(model) for ask in asked[:half]], since=since)
        rest = await self._client.ask(lambda model: [ask(model) for ask in asked[half:]], since=since)
        return [*first, *rest]

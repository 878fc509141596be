"""A TCP proxy that can be cut, stalled, and made to forget connections without telling anybody.

It stands between workers and read service on one side and Kafka or Redis on the other, and between a Redis
and its replica. Which connections a fault hits is drawn from a seed.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
# SO_LINGER with no time to linger: closing sends a reset, as a firewall would.
_RESET = struct.pack("ii", 1, 0)


class Background:
    """An event loop in a thread of its own: the main thread may block, and starts the programs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="background", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs there."""
        return self.spawn(work).result()

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts a coroutine there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call(self, function: Callable[[], None]) -> None:
        """Calls a function there and waits for it."""

        async def called() -> None:
            function()

        self.run(called())

    def stop(self) -> None:
        """Ends the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class _Side(asyncio.Protocol):
    """One half of a connection: what comes in here goes out at `other`."""

    transport: asyncio.Transport
    other: _Side

    def __init__(self, pair: _Pair) -> None:
        self._pair = pair

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._pair.dead:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._pair.stalled:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        # The far end of a connection that is dead never hears of it.
        if not self._pair.dead:
            self._pair.close()


class _Pair:
    """A connection through the proxy. Both sides begin paused, and `begin` lets the bytes flow."""

    def __init__(self, pairs: set[_Pair]) -> None:
        self.near = _Side(self)
        self.far = _Side(self)
        self.near.other, self.far.other = self.far, self.near
        self.dead = False
        self.stalled = False
        self._pairs = pairs

    @property
    def transports(self) -> list[asyncio.Transport]:
        return [side.transport for side in (self.near, self.far) if hasattr(side, "transport")]

    def stall(self, stalled: bool) -> None:
        self.stalled = stalled
        for transport in self.transports:
            if not transport.is_closing():
                (transport.pause_reading if stalled else transport.resume_reading)()

    def reset(self) -> None:
        for transport in self.transports:
            plug = transport.get_extra_info("socket")
            if plug is not None and not transport.is_closing():
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        self._pairs.discard(self)

    def close(self) -> None:
        for transport in self.transports:
            transport.close()
        self._pairs.discard(self)


class Proxy:
    """Listens on a free port of loopback and passes everything on to `target`, a port of loopback."""

    def __init__(self, background: Background, target: int) -> None:
        self._background = background
        self._target = target
        self._pairs: set[_Pair] = set()
        self._refusing = False
        self._stalling = False
        self._server: asyncio.Server
        self.port: int = background.run(self._listen())

    async def _listen(self) -> int:
        self._server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _accept(self) -> asyncio.Protocol:
        pair = _Pair(self._pairs)
        self._pairs.add(pair)
        asyncio.get_running_loop().create_task(self._connect(pair))
        return pair.near

    async def _connect(self, pair: _Pair) -> None:
        # `connection_made` of the near side comes after `_accept` has returned.
        while not hasattr(pair.near, "transport"):
            await asyncio.sleep(0)
        pair.near.transport.pause_reading()
        if self._refusing:
            pair.reset()
            return
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: pair.far, "127.0.0.1", self._target)
        except OSError:
            pair.reset()
            return
        if pair.near.transport.is_closing():
            pair.close()
        elif self._stalling:
            pair.stall(True)
        else:
            pair.near.transport.resume_reading()

    @property
    def connections(self) -> int:
        """How many are open, those that nobody was told about included."""
        return len(self._pairs)

    def retarget(self, port: int) -> None:
        """From now on to another port; what is open is reset."""

        def change() -> None:
            self._target = port
            for pair in list(self._pairs):
                pair.reset()

        self._background.call(change)

    def cut(self, seed: int, share: float, *, refuse: bool) -> None:
        """Resets a share of the connections; with `refuse` new ones too, until `heal`."""

        def change() -> None:
            self._refusing = refuse
            for pair in self._drawn(seed, share):
                pair.reset()

        self._background.call(change)

    def stall(self) -> None:
        """Nothing passes any more, until `heal`: then all that was sent meanwhile arrives."""

        def change() -> None:
            self._stalling = True
            for pair in self._pairs:
                pair.stall(True)

        self._background.call(change)

    def forget(self, seed: int, share: float) -> None:
        """A share of the connections is dead for ever: bytes vanish, neither end is told. New ones work."""

        def change() -> None:
            for pair in self._drawn(seed, share):
                pair.dead = True

        self._background.call(change)

    def heal(self) -> None:
        """New connections pass, and stalled ones go on."""

        def change() -> None:
            self._refusing = self._stalling = False
            for pair in list(self._pairs):
                if pair.stalled:
                    pair.stall(False)

        self._background.call(change)

    def _drawn(self, seed: int, share: float) -> list[_Pair]:
        rng = random.Random(seed)
        # In the order of their ports: a set has none.
        alive = [pair for pair in self._pairs if not pair.dead and pair.transports]
        alive.sort(key=lambda pair: pair.transports[0].get_extra_info("peername") or ("", 0))
        return [pair for pair in alive if rng.random() < share]

    def close(self) -> None:
        """Ends it, with every connection."""

        def change() -> None:
            self._server.close()
            for pair in list(self._pairs):
                pair.reset()

        self._background.call(change)

"""``/api/v1/stream``: answers as server-sent events, complete ones, on change, at most one a second.

It stands behind the hub and before the reader. A reader who does not read is given up: what waits for one
client must hold up no other, and no memory.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from streams.answer import VALUE_CODE_POINTS_MAX, QuestionError
from streams.read_model import Question as KpiQuestion
from streams.web.access import EXPIRED, EXPIRES_MS, HOST
from streams.web.hub import Hub, HubClosedError, Question, Seat, failure_message
from streams.web.routes import MODEL, parameters, required

ADDRESS = "/api/v1/stream"
HUB = web.AppKey("hub", Hub)

KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
# A client that has not taken a message for so long is given up.
SLOW_S = 10.0
SLOW_LOOK_S = 0.25
# What the system may hold back for one client; by default it would be megabytes, minutes of messages.
SEND_BUFFER_BYTES = 32 * 1024


async def get_stream(request: web.Request) -> web.StreamResponse:
    """``/api/v1/stream?scope=…&window=…`` or ``…?live=…``: an unending response of server-sent events."""
    hub = request.app[HUB]
    seen = request.headers.get("Last-Event-ID")
    with hub.seat(_question(request), seen) as seat:
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                # Proxies that collect a response before they pass it on are asked not to.
                "X-Accel-Buffering": "no",
            }
        )
        try:
            await response.prepare(request)
            if seen is not None:
                # There may be nothing new for long: who comes back hears at once that the connection holds.
                await response.write(KEEP_ALIVE)
            await _Pipe(request, response, hub, seat).pour()
        except ConnectionError:
            return response  # The client has gone; there is nobody to tell.
        return response


def _question(request: web.Request) -> Question:
    """The question of a stream. What can be said against it at once is a QuestionError or WindowError."""
    query = parameters(request, ("scope", "window", "live"))
    live, host = query.get("live"), request.get(HOST)
    if live is None:
        scope = required(query, "scope", "scope=all, or live=LIVE")
        window = required(query, "window", "window=5m")
        request.app[MODEL].check(KpiQuestion(scope, window))
        return Question(scope=scope, window=window, host=host)
    if len(query) > 1:
        raise QuestionError("ask either with live, or with scope and window")
    if not 1 <= len(live) <= VALUE_CODE_POINTS_MAX:
        raise QuestionError(f"live has 1 to {VALUE_CODE_POINTS_MAX} characters")
    return Question(live=live, host=host)


class _Pipe:
    """One client's response, and how well the client reads it."""

    def __init__(self, request: web.Request, response: web.StreamResponse, hub: Hub, seat: Seat) -> None:
        """Raises ConnectionError if the client has gone."""
        self._response = response
        self._hub = hub
        self._seat = seat
        self._expires_ms: int | None = request.get(EXPIRES_MS)
        self._clock = request.app[MODEL].clock
        if request.transport is None:
            raise ConnectionResetError("the client went before the first message")
        self._transport = request.transport
        self._written_s = 0.0
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    async def pour(self) -> None:
        """Writes until the service ends, the client's link expires, or it does not read.

        Raises ConnectionError when the client has gone.
        """
        try:
            while not self._has_expired():
                await self._write_next()
            await self._write(failure_message(EXPIRED).chunk)
        except HubClosedError:
            return  # The end of the response says so.
        except TimeoutError:
            self._hub.dropped += 1
            self._transport.abort()

    async def _write_next(self) -> None:
        if await self._seat.wait(self._patience_s()):
            await self._until_taken()
            newest = self._seat.take()
            if newest is not None:
                await self._write(newest.chunk)
                self._hub.sent += 1
        elif not self._has_expired():
            await self._until_taken()
            await self._write(KEEP_ALIVE)

    def _has_expired(self) -> bool:
        return self._expires_ms is not None and self._clock() >= self._expires_ms

    def _patience_s(self) -> float:
        """How long to wait for a message."""
        if self._expires_ms is None:
            return KEEP_ALIVE_S
        return min(KEEP_ALIVE_S, (self._expires_ms - self._clock()) / 1_000)

    async def _write(self, chunk: bytes) -> None:
        async with asyncio.timeout(SLOW_S):
            await self._response.write(chunk)
        self._written_s = asyncio.get_running_loop().time()

    async def _until_taken(self) -> None:
        """Returns when nothing of the last message waits here any more. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        while self._transport.get_write_buffer_size():
            if loop.time() - self._written_s > SLOW_S:
                raise TimeoutError
            await asyncio.sleep(SLOW_LOOK_S)

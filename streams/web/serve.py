"""`shop-pulse serve`: runs the read service until it is told to end.

It stands at the end of the way of an event. It starts without Redis and says so at /readyz; it does not
start where it could be asked by strangers without a token. When a rebuild switches to another generation of
figures, the application begins anew on the same sockets: nothing that was read of one is ever shown with the
other.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import NoReturn

import click
import uvloop
from aiohttp import web

from streams.changes import Changes
from streams.collector import OF_ANSWERS, collect_seldom
from streams.errors import PulseError
from streams.generations import POLL_S, Generations
from streams.read_model import ReadModel
from streams.read_store import Client, ReadStore
from streams.settings import Settings, load
from streams.store import StoreCorruptError, StoreUnavailableError, connect
from streams.web.access import is_loopback
from streams.web.app import build_app
from streams.web.hub import CLIENTS_MAX

# Spent twice: requests may end by themselves, then they are cancelled. SIGTERM ends the service within 2 s.
SHUTDOWN_S = 0.5
KEEPALIVE_S = 30.0
# After a restart all streams come back at once.
BACKLOG = 1_024
# Two for each stream: requests that come beside it, the connections to Redis.
OPEN_FILES = 2 * CLIENTS_MAX

_log = logging.getLogger(__name__)


@click.command()
def command() -> None:
    """Answer questions: API, streams, metrics and pages.

    Ends at Ctrl-C or SIGTERM. Settings come from the environment, see docs/settings.md.
    """
    settings = load()
    check_exposure(settings)
    listening = listen(settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It logs what strangers send that is not HTTP, and with it what they sent: perhaps a token. Faults of our
    # own are logged in `streams.web.app`.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    allow_open_files()
    collect_seldom(OF_ANSWERS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, listening))


def check_exposure(settings: Settings) -> None:
    """Raises PulseError if others than this machine could ask without a token."""
    if not settings.token and not is_loopback(settings.api_host):
        raise PulseError(
            f"SHOP_PULSE_API_HOST is {settings.api_host!r}, which others can reach: "
            "set SHOP_PULSE_TOKEN, or use 127.0.0.1"
        )


def listen(settings: Settings) -> list[socket.socket]:
    """Takes the address, each of those that a name stands for. Raises PulseError if it can't be taken."""
    host, port = settings.api_host, settings.api_port
    try:
        return _take(host, port)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PulseError(
                f"port {port} of {host} is taken; set SHOP_PULSE_API_PORT to a free one"
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise PulseError(
            f"can't listen on {host[:80]} port {port} ({reason}); set SHOP_PULSE_API_HOST"
        ) from error


def _take(host: str, port: int) -> list[socket.socket]:
    taken: list[socket.socket] = []
    missing = None
    with ExitStack() as unless_all:
        # An empty host means every address, as it does everywhere.
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            # Of a name with two addresses both get the same port, whichever was free.
            at = (address[0], taken[0].getsockname()[1] if taken else port, *address[2:])
            try:
                taken.append(socket.create_server(at, family=family, backlog=BACKLOG))
                unless_all.push(taken[-1])
            except OSError as error:
                # Where IPv6 is switched off, localhost still stands for ::1 too.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
        if missing is not None and not taken:
            raise missing
        unless_all.pop_all()
    return taken


def allow_open_files(wanted: int = OPEN_FILES) -> None:
    """Lets this process have a connection per stream; the usual limit of 1 024 files is but a default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _log.warning("only %d files may be open (ulimit -Hn): fewer than %d streams", allowed, CLIENTS_MAX)


class UnknownFigures(ReadStore):
    """What is read while it is not known which generation is served: nothing."""

    def __init__(self, client: Client, generations: Generations, partitions: int) -> None:
        super().__init__(client, generations.prefix, partitions)
        self._generations = generations

    async def _call(self, ask: object) -> NoReturn:
        await self._generations.served()  # Says why Redis does not answer, while it does not.
        raise StoreUnavailableError("Redis answers again; ask once more in a moment")


async def serve(settings: Settings, listening: Sequence[socket.socket]) -> None:
    """Serves at the sockets until SIGINT or SIGTERM."""
    client = connect(settings.redis)
    generations = Generations(client, settings.redis_prefix)
    changes = Changes(client, settings.redis_prefix, now_ms)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    said = False
    served = await _served(generations)
    try:
        while not ended.is_set():
            reader = (
                UnknownFigures(client, generations, settings.partitions)
                if served is None
                else ReadStore(client, served, settings.partitions)
            )
            app = build_app(ReadModel(reader, settings, now_ms), settings, changes)
            async with running(app, listening):
                if not said:
                    click.echo(
                        f"shop-pulse serve: {_url(settings, listening)} (pages; /api/v1/kpis, /metrics)"
                    )
                    said = True
                served = await _moved_to(generations, served, ended)
    finally:
        for each in listening:
            each.close()
        await client.aclose()


async def _served(generations: Generations) -> str | None:
    """The generation that is served; None if Redis does not say so soon."""
    try:
        async with asyncio.timeout(POLL_S):
            return await generations.served()
    except (StoreUnavailableError, StoreCorruptError, TimeoutError) as error:
        _log.debug("which figures are served is not known: %s", error)
        return None


async def _moved_to(generations: Generations, served: str | None, ended: asyncio.Event) -> str | None:
    """Returns when another generation than `served` is served, or at the end."""
    while not ended.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await ended.wait()
        found = await _served(generations)
        if found not in (None, served):
            return found
    return served


@asynccontextmanager
async def running(app: web.Application, listening: Sequence[socket.socket]) -> AsyncIterator[None]:
    """The application answers at the sockets, which stay open: who comes after it waits for the next one.

    Who came before is answered by this one, also if the question is still under way.
    """
    runner = web.AppRunner(
        app,
        access_log=None,  # It would hold ids out of scopes, and one line per second and page.
        handler_cancellation=True,  # Whoever has gone needs no answer, and a stream ends with its client.
        shutdown_timeout=SHUTDOWN_S,
        keepalive_timeout=KEEPALIVE_S,
    )
    await runner.setup()
    try:
        for each in listening:
            await web.SockSite(runner, each.dup(), backlog=BACKLOG).start()
        yield
    finally:
        for site in list(runner.sites):
            await site.stop()
        # A connection that was taken and has not asked yet would be closed without an answer.
        await asyncio.sleep(SHUTDOWN_S)
        await runner.cleanup()


def _url(settings: Settings, listening: Sequence[socket.socket]) -> str:
    """The base URL, with the port that was really taken."""
    host, port = settings.api_host, listening[0].getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000

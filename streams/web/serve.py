"""`shop-pulse serve`: runs the read service until it is told to end.

It stands at the end of the way of an event. It starts without Redis and says so at /readyz; it does not
start where it could be asked by strangers without a token.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import signal
import time

import click
import uvloop
from aiohttp import web

from streams.errors import PulseError
from streams.read_model import ReadModel
from streams.read_store import ReadStore
from streams.settings import Settings, load
from streams.store import connect
from streams.web.app import build_app

# Spent twice: requests may end by themselves, then they are cancelled. SIGTERM ends the service within 2 s.
SHUTDOWN_S = 0.5
KEEPALIVE_S = 30.0


@click.command()
def command() -> None:
    """Answer questions: API, metrics and a page.

    Ends at Ctrl-C or SIGTERM. Settings come from the environment, see docs/settings.md.
    """
    settings = load()
    check_exposure(settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It logs what strangers send that is not HTTP, and with it what they sent: perhaps a token. Faults of our
    # own are logged in `streams.web.app`.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


def check_exposure(settings: Settings) -> None:
    """Raises PulseError if others than this machine could ask without a token."""
    if not settings.token and not is_loopback(settings.api_host):
        raise PulseError(
            f"SHOP_PULSE_API_HOST is {settings.api_host!r}, which others can reach: "
            "set SHOP_PULSE_TOKEN, or use 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name other than localhost may point anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. Raises PulseError if the address can't be taken."""
    client = connect(settings.redis)
    reader = ReadStore(client, settings.redis_prefix, settings.partitions)
    app = build_app(ReadModel(reader, settings, now_ms), settings)
    # No access log: it would hold ids out of scopes, and one line per second and page.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=KEEPALIVE_S)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await runner.setup()
    try:
        click.echo(f"shop-pulse serve: {await _listen(runner, settings)} (page; /api/v1/kpis, /metrics)")
        await ended.wait()
    finally:
        await runner.cleanup()
        await client.aclose()


async def _listen(runner: web.AppRunner, settings: Settings) -> str:
    """Takes the address; the base URL, with the port that was really taken."""
    host, port = settings.api_host, settings.api_port
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PulseError(
                f"port {port} of {host} is taken; set SHOP_PULSE_API_PORT to a free one"
            ) from error
        reason = error.strerror or str(error)
        raise PulseError(f"can't listen on {host} port {port} ({reason}); set SHOP_PULSE_API_HOST") from error
    taken = runner.addresses[0][1]
    return f"http://[{host}]:{taken}" if ":" in host else f"http://{host}:{taken}"


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000

"""`shop-pulse serve` as a process: where it listens, what it refuses, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from streams.errors import PulseError
from streams.local.ports import free_port
from streams.local.redis import RedisServer
from streams.settings import Settings
from streams.web.access import is_loopback
from streams.web.faults import ANSWER_TIMEOUT_S
from streams.web.serve import KEEPALIVE_S, OPEN_FILES, SHUTDOWN_S, check_exposure, listen, running
from tests.redis_kit import NOON_MS, Shop

COMMAND = [sys.executable, "-m", "streams", "serve"]
# Two seconds are promised; a busy machine may make more of them. Who waited for a question that hangs or for
# an open connection would take longer still.
END_S = 8.0


@contextmanager
def _serving(**settings: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its base URL, once it listens."""
    environ = {**os.environ, "SHOP_PULSE_API_PORT": "0", "PYTHONUNBUFFERED": "1"}
    environ |= {f"SHOP_PULSE_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        COMMAND, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield process, line.removeprefix("shop-pulse serve: ").partition(" ")[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_it_serves_and_ends_at_sigterm(redis_server: RedisServer) -> None:
    """It says where it listens, answers there, and ends by itself, with an open connection too."""
    shop = Shop(redis_server.url).healthy(NOON_MS)
    names = {"redis": shop.url, "redis_prefix": shop.prefix, "partitions": shop.partitions}
    with _serving(**names) as (process, url):
        with urllib.request.urlopen(f"{url}/api/v1/kpis?scope=all&window=5m", timeout=5) as response:
            assert json.load(response)["scope"] == "all"
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\n")
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=END_S)
        assert (process.returncode, out, err) == (0, "", "")
        assert 3 * SHUTDOWN_S < 2 < END_S < min(ANSWER_TIMEOUT_S, KEEPALIVE_S)


def test_a_question_that_hangs_does_not_hold_up_the_end(new_redis: Callable[..., RedisServer]) -> None:
    """A request that waits for a Redis that hangs is given up at SIGTERM."""
    server = new_redis()
    shop = Shop(server.url).healthy(NOON_MS)
    with _serving(redis=server.url) as (process, url):
        shop.client.client_pause(10_000)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as asking:
            asking.sendall(b"GET /api/v1/kpis?scope=all&window=5m HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=END_S)
        assert (process.returncode, out, err) == (0, "", "")


def test_it_starts_without_redis() -> None:
    """Redis may come later: the service is alive, and not ready."""
    with _serving(redis=f"redis://127.0.0.1:{free_port()}/0") as (_, url):
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as response:
            assert response.status == 200
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/readyz", timeout=10)
        assert caught.value.code == 503
        assert "Redis does not answer" in json.load(caught.value)["error"]


def _orders(url: str) -> int:
    with urllib.request.urlopen(f"{url}/api/v1/kpis?scope=all&window=24h", timeout=5) as response:
        orders: int = json.load(response)["orders"]
        return orders


def test_it_moves_with_the_figures(redis_server: RedisServer) -> None:
    """After a switch every answer is of the new generation, none of both, and none is missing."""
    old = Shop(redis_server.url)
    new = Shop(redis_server.url, prefix=f"{old.prefix}.1")
    now_ms = time.time_ns() // 1_000_000
    old.book(now_ms, "all", p=0, events__purchase=1)
    old.healthy(now_ms)
    # In both partition numbers: an answer that reads one of each generation shows neither 1 nor 20.
    for p in (0, 1):
        new.book(now_ms, "all", p=p, events__purchase=10)
    new.healthy(now_ms)
    names = {"redis": old.url, "redis_prefix": old.prefix, "partitions": old.partitions}
    with _serving(**names) as (_, url):
        seen = [_orders(url)]
        old.client.hset(f"{old.prefix}:generations", "serving", new.prefix)
        until = time.monotonic() + 30
        while seen[-1] != 20 and time.monotonic() < until:
            seen.append(_orders(url))
        assert set(seen) == {1, 20}
        old.client.unlink(*old.client.scan_iter(match=f"{new.prefix}:*"))
        with pytest.raises(urllib.error.HTTPError) as caught:
            _orders(url)
        assert caught.value.code == 503
        assert f"no figures under {new.prefix}: run `shop-pulse worker`" in json.load(caught.value)["error"]


async def _asked_late() -> bytes:
    """What a client gets that connected before the application was told to end, and asks after."""
    app = web.Application()
    app.router.add_get("/", _figures)
    ended = asyncio.Event()

    async def run(listening: socket.socket) -> None:
        async with running(app, [listening]):
            await ended.wait()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(run(listening))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        await asyncio.sleep(SHUTDOWN_S / 2)
        ended.set()
        await asyncio.sleep(SHUTDOWN_S / 5)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await task
        return answer


async def _figures(_: web.Request) -> web.Response:
    return web.Response(text="figures")


def test_who_was_let_in_is_answered() -> None:
    """A client that connected just before the figures move, and asks just after, gets its answer."""
    assert asyncio.run(_asked_late()).endswith(b"figures")


def test_redis_that_comes_later_says_which_figures_are_served(new_redis: Callable[..., RedisServer]) -> None:
    """Started without Redis, it answers from no generation until it knows the one that is served."""
    server = new_redis()
    shop = Shop(server.url, prefix="sp")
    served = Shop(server.url, prefix="sp.1")
    now_ms = time.time_ns() // 1_000_000
    for each, orders in ((shop, 1), (served, 7)):
        each.book(now_ms, "all", events__purchase=orders)
        each.healthy(now_ms)
    shop.client.hset("sp:generations", "serving", "sp.1")
    server.stop()
    with _serving(redis=server.url, partitions=shop.partitions) as (_, url):
        with pytest.raises(urllib.error.HTTPError, match="503"):
            _orders(url)
        server.start()
        seen: list[int] = []
        until = time.monotonic() + 30
        while not seen and time.monotonic() < until:
            try:
                seen.append(_orders(url))
            except urllib.error.HTTPError as error:
                assert error.code == 503
        assert seen == [7]


def test_what_is_not_http_is_refused_and_not_logged(redis_server: RedisServer) -> None:
    """Garbage, endless lines and contradicting headers end in a 400; what was sent, perhaps a token, stays
    out of the log."""
    sent = (
        b"\x00\xff garbage\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\n"
        + b"Content-Length: 1\r\n" * 2
        + b"\r\n",
    )
    shop = Shop(redis_server.url).healthy(NOON_MS)
    names = {"redis": shop.url, "redis_prefix": shop.prefix, "partitions": shop.partitions}
    with _serving(token="s3cret", **names) as (process, url):
        host, port = url.removeprefix("http://").split(":")
        for request in sent:
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall(request)
                assert b" 400 " in connection.recv(4096).partition(b"\r\n")[0]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}/metrics?token=s3cret", timeout=5)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=5) == ("", "")


def _run(**settings: object) -> tuple[int, str]:
    environ = {**os.environ} | {f"SHOP_PULSE_{name.upper()}": str(value) for name, value in settings.items()}
    done = subprocess.run(COMMAND, env=environ, text=True, capture_output=True, timeout=20, check=False)
    return done.returncode, done.stderr


def test_a_port_that_is_taken_is_one_line() -> None:
    """It says which port, and which setting takes another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, err = _run(api_port=port)
    assert code == 1
    line = f"shop-pulse: port {port} of 127.0.0.1 is taken; set SHOP_PULSE_API_PORT to a free one\n"
    assert err == line


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "x" * 300, "fe80::1%nowhere", "::1:2:3::4"])
def test_an_address_that_is_not_ours_is_one_line(host: str) -> None:
    """It is found before anything else begins, and the line names the setting."""
    code, err = _run(api_host=host, token="x", redis=f"redis://127.0.0.1:{free_port()}/0")
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith("shop-pulse: can't listen on ")
    assert err.endswith("; set SHOP_PULSE_API_HOST\n")


def test_every_address_of_a_name_is_taken() -> None:
    """localhost is 127.0.0.1, and ::1 where there is IPv6: under one port."""
    listening = listen(Settings(api_host="localhost", api_port=0))
    assert len({each.getsockname()[1] for each in listening}) == 1
    assert "127.0.0.1" in {each.getsockname()[0] for each in listening}
    for each in listening:
        each.close()


def test_it_may_have_a_connection_for_each_stream() -> None:
    """The usual limit of open files is raised, as far as the machine lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = ["-c", f"ulimit -Sn 256; exec {sys.executable} -m streams serve"]
    environ = {**os.environ, "SHOP_PULSE_API_PORT": "0", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(["sh", *few], env=environ, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        soft, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        process.send_signal(signal.SIGTERM)
    assert line.startswith("shop-pulse serve: ")
    assert soft == (OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard))


def test_it_refuses_to_be_open_to_strangers() -> None:
    """Beyond loopback without a token it does not start."""
    code, err = _run(api_host="0.0.0.0")
    assert code == 1
    assert "set SHOP_PULSE_TOKEN" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_only_loopback_is_closed_to_strangers(host: str, expected: bool) -> None:
    """A name other than localhost may point anywhere; every-address is not loopback."""
    assert is_loopback(host) is expected
    if expected:
        check_exposure(Settings(api_host=host))
    else:
        with pytest.raises(PulseError, match="SHOP_PULSE_TOKEN"):
            check_exposure(Settings(api_host=host))
        check_exposure(Settings(api_host=host, token="x"))

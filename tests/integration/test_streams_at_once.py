"""Streams of a read service as it is run: a thousand clients, one that does not read, and the end."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streams.local.redis import RedisServer
from tests.redis_kit import Shop
from tests.stream_kit import ALL, CURRENCIES, Listener, deaf_client, sell

CLIENTS = 1_000
DEADLINE_S = 60.0
# Two seconds are promised; a busy machine may make more of them. No stream would end by itself.
END_S = 8.0


@asynccontextmanager
async def _serving(shop: Shop) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A read service as a process, and its port."""
    names = {"redis": shop.url, "redis_prefix": shop.prefix, "partitions": shop.partitions, "api_port": 0}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams", "serve"),
        env={**os.environ, **{f"SHOP_PULSE_{n.upper()}": str(v) for n, v in names.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        yield process, int(line.split(" (")[0].rpartition(":")[2])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_thousand_clients_at_once(redis_server: RedisServer) -> None:
    """Each gets the first message and each later state, at most one a second, none twice; and the service
    ends while all of them listen."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    shop = Shop(redis_server.url).healthy(_now_ms())
    paths = [ALL, *(f"/api/v1/stream?scope=live:L{n}&window=5m" for n in range(19))]

    def sell_all() -> None:
        for path in paths:
            kind, _, value = path.partition("scope=")[2].partition("&")[0].partition(":")
            sell(shop, _now_ms(), kind, value)

    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S), _serving(shop) as (process, port):
            opened = (Listener.open("127.0.0.1", port, paths[n % 20]) for n in range(CLIENTS))
            listeners = await asyncio.gather(*opened)
            await asyncio.gather(*(listener.next() for listener in listeners))
            began_s = time.monotonic()
            listening = [asyncio.create_task(listener.until(5)) for listener in listeners]
            for _ in range(5):
                await asyncio.sleep(0.4)
                await asyncio.to_thread(sell_all)
            await asyncio.gather(*listening)
            lasted_s = time.monotonic() - began_s
            # The first one, and one for each second begun, from each client's own first message on.
            assert max(len(listener.answers) for listener in listeners) <= 2 + lasted_s + 1
            for listener in listeners:
                assert len(set(listener.ids)) == len(listener.ids)
            process.send_signal(signal.SIGTERM)
            began_s = time.monotonic()
            for listener in listeners:
                with pytest.raises(EOFError):
                    while True:
                        await listener.next()
            assert process.stderr is not None
            assert (await process.wait(), await process.stderr.read()) == (0, b"")
            assert time.monotonic() - began_s < END_S
            for listener in listeners:
                listener.close()

    asyncio.run(story())


def test_a_service_drops_a_client_that_does_not_read(redis_server: RedisServer) -> None:
    """The process as it is run: one that never reads is cut off and counted, the others are told on."""
    shop = Shop(redis_server.url).healthy(_now_ms(), CURRENCIES)

    async def metric(port: int) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return next(line for line in text.splitlines() if line.startswith("shop_pulse_stream_dropped_total "))

    async def story() -> None:
        async with asyncio.timeout(2 * DEADLINE_S), _serving(shop) as (_, port):
            listeners = [await (await Listener.open("127.0.0.1", port)).next() for _ in range(20)]
            with deaf_client("127.0.0.1", port):
                items = 0
                while (await metric(port)).endswith(" 0.0"):
                    items += 1
                    await asyncio.to_thread(sell, shop, _now_ms())
                    await asyncio.gather(*(listener.until(items) for listener in listeners))
                assert (await metric(port)).endswith(" 1.0")
            for listener in listeners:
                listener.close()

    asyncio.run(story())

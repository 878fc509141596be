"""A steady load beside the latency probes, in a process of its own: the events of `data`, by the wall clock.

Servers and prefix come from the settings. Ends at SIGTERM and prints how many it sent.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator

import click

from streams import settings as settings_module
from streams.settings import Settings
from streams.sources.pacing import paced
from streams.sources.produce import open_sender
from tests.bench.data import TOPICS, Shop


def times_ms(rate: float) -> Iterator[int]:
    """So many times a second, from now on, without end."""
    start_ms, number = time.time_ns() // 1_000_000, 0
    while True:
        yield start_ms + int(number * 1000 / rate)
        number += 1


async def feed(settings: Settings, rate: float, rooms: int, seed: int) -> int:
    """Sends until SIGTERM; how many."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    shop = Shop(seed, rooms)
    async with open_sender(settings, TOPICS) as sender:
        async for chunk in paced(shop.records(times_ms(rate)), stop):
            await sender.send(chunk)
            await sender.flush()
        await sender.flush(confirmed=True)
        return sender.sent.total()


@click.command()
@click.option("--rate", type=float, required=True)
@click.option("--rooms", type=int, required=True)
@click.option("--seed", type=int, required=True)
def command(rate: float, rooms: int, seed: int) -> None:
    """Send a steady load."""
    click.echo(asyncio.run(feed(settings_module.load(), rate, rooms, seed)))


if __name__ == "__main__":
    command()

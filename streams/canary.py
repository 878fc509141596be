"""`shop-pulse canary`: a record to every partition number every 10 s, to see that it comes out at the end.

It stands at the beginning of the way of an event; at the end `shop_pulse_canary_timestamp_seconds` says which
canary is in the figures. Broker, workers, Redis, read service and Prometheus all have their part in that.
All topics of a partition number share an owner and its guarded write, so one topic is enough.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Final

import click

from schemas.canary import SOURCE, TOPIC, TRAFFIC
from streams import settings as settings_module
from streams.errors import PulseError
from streams.kafka_log import unreachable
from streams.settings import Settings
from streams.sources.pacing import now_ms
from streams.sources.produce import open_sender
from streams.sources.record import Record

INTERVAL_S: Final = 10
# Whoever ends the canary need not wait for a broker that is gone.
END_S: Final = 0.3


def canaries(run: str, partitions: int, time_ms: int) -> Iterator[Record]:
    """A canary of this moment for each partition; `run` stands in their ids."""
    for partition in range(partitions):
        event = {
            "event_id": f"canary-{run}-{partition}-{time_ms}",
            "event_type": "source_heartbeat",
            "event_time_ms": time_ms,
            "platform": "other",
            "source": SOURCE,
            "traffic": TRAFFIC,
        }
        yield Record(time_ms, TOPIC, None, json.dumps(event).encode(), partition)


async def keep_sending(
    settings: Settings, told: Callable[[int], object], trouble: Callable[[str], object]
) -> None:
    """Sends canaries until it is cancelled; `told` gets the milliseconds that each round took.

    Raises PulseError if the first round fails: a topic is missing, or Kafka is away. Later `trouble` gets the
    line, and "" once it is over: what is to find an outage must outlast it.
    """
    run = secrets.token_hex(4)
    rounds, last = 0, ""
    while True:
        try:
            async with open_sender(settings, [TOPIC]) as sender:
                while True:
                    began_ms = now_ms()
                    async with asyncio.timeout(INTERVAL_S):
                        await sender.send(canaries(run, settings.partitions, began_ms))
                        await sender.flush(confirmed=True)
                    rounds += 1
                    if last:
                        last = ""
                        trouble(last)
                    took_ms = now_ms() - began_ms
                    told(took_ms)
                    await asyncio.sleep(INTERVAL_S - min(max(took_ms, 0) / 1000, INTERVAL_S))
        except (PulseError, TimeoutError) as error:
            line = str(error if isinstance(error, PulseError) else unreachable(settings))
            if not rounds:
                raise PulseError(line) from error
            if line != last:
                last = line
                trouble(last)
            await asyncio.sleep(INTERVAL_S)


async def _until_told(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    sending = asyncio.ensure_future(keep_sending(settings, _tell, _tell_trouble))
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if sending.done():
        await sending
    for _ in range(2):
        # The first time it closes its connections, which takes as long as the broker does.
        sending.cancel()
        await asyncio.wait({sending}, timeout=END_S)


def _tell(took_ms: int) -> None:
    """Rewrites the line of a terminal; a log needs no line every 10 s."""
    if sys.stderr.isatty():
        click.echo(f"\rlast canaries confirmed in {took_ms} ms   ", err=True, nl=False)


def _tell_trouble(line: str) -> None:
    click.echo(f"shop-pulse canary: {f'{line}; trying again' if line else 'goes on'}", err=True)


@click.command()
def command() -> None:
    """Send a canary to every partition every 10 s, to see that the whole pipeline passes it on.

    It is test traffic, in no figure; /metrics shows the newest one that arrived
    (shop_pulse_canary_timestamp_seconds). Ends at Ctrl-C or SIGTERM.
    """
    settings = settings_module.load()
    places = f"each of the {settings.partitions} partitions of {settings.topic_prefix}{TOPIC}"
    click.echo(f"shop-pulse canary: every {INTERVAL_S} s a record to {places}")
    asyncio.run(_until_told(settings))

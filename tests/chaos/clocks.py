"""`python -m tests.chaos.clocks KIND SEED`: a producer whose clock is wrong, with five seconds of events.

It says what Kafka did with them; exit code 0 only if that is what is expected of Kafka.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import takewhile

from schemas.events import INPUT_TOPICS
from streams import settings as settings_module
from streams.errors import PulseError
from streams.settings import Settings
from streams.sources.produce import open_sender
from streams.sources.record import Record
from streams.sources.simulation import SimConfig, simulate
from tests.chaos.plan import Kind

MINUTE_MS = 60_000
EVENTS_S = 5
RATE = 200
# How far the events' own times lie ahead of the clock on the wall.
AHEAD_MS = {
    Kind.CLOCK_AHEAD: 4 * MINUTE_MS,
    Kind.CLOCK_REFUSED: 60 * MINUTE_MS,
    Kind.CLOCK_BEHIND: -60 * MINUTE_MS,
    Kind.EVENTS_AHEAD: 60 * MINUTE_MS,
}


def records(kind: Kind, seed: int, now_ms: int, partitions: int) -> Iterator[Record]:
    """What it sends, in the order of Kafka's timestamps. With `events-ahead` those alone are right."""
    start_ms = now_ms + AHEAD_MS[kind]
    run = simulate(
        SimConfig(start_ms=start_ms, seed=seed, rate=RATE, daily_shape=False, partitions=partitions)
    )
    for record in takewhile(lambda each: each.timestamp_ms < start_ms + EVENTS_S * 1_000, run):
        yield record._replace(timestamp_ms=now_ms) if kind is Kind.EVENTS_AHEAD else record


async def send(kind: Kind, seed: int, settings: Settings) -> int:
    """How many records were sent. Raises PulseError if Kafka does not take them."""
    async with open_sender(settings, INPUT_TOPICS) as sender:
        await sender.send(records(kind, seed, time.time_ns() // 1_000_000, settings.partitions))
        await sender.flush(confirmed=True)
        return sender.sent.total()


def main(kind: Kind, seed: int) -> int:
    """The exit code."""
    try:
        sent = asyncio.run(send(kind, seed, settings_module.load()))
    except PulseError as error:
        print(error)
        # Refused for its time it must be; a broker that is down refuses nothing.
        return 0 if kind is Kind.CLOCK_REFUSED and "its time lies" in str(error) else 1
    print(f"sent {sent} records")
    return 1 if kind is Kind.CLOCK_REFUSED else 0


if __name__ == "__main__":
    sys.exit(main(Kind(sys.argv[1]), int(sys.argv[2])))

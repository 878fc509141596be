"""How fast records go out: with the wall clock, or as fast as Kafka takes them.

The only clock of the sources is here: a simulation knows when its records happen, this module waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Final

from streams.sources.record import Record

# What is due within a tick goes out together. At 200 events/s a broker needs a quarter less than with half of
# it, and a worker a tenth: each batch that arrives is a fetch.
TICK_S: Final = 0.1
CHUNK: Final = 5_000
# Between two full flushes the topics drift apart by no more than so many records.
UNPACED_CHUNK: Final = 50_000


def now_ms() -> int:
    """The wall clock, UTC."""
    return time.time_ns() // 1_000_000


async def paced(records: Iterable[Record], stop: asyncio.Event) -> AsyncIterator[list[Record]]:
    """Chunks of records, none before its timestamp on the wall clock, until they or `stop` end it."""
    due: list[Record] = []
    border_ms = now_ms()
    for record in records:
        while record.timestamp_ms > border_ms and not stop.is_set():
            if due:
                yield due
                due = []
            await _sleep(stop, max(TICK_S, (record.timestamp_ms - now_ms()) / 1000))
            border_ms = now_ms()
        if stop.is_set():
            break
        due.append(record)
        if len(due) >= CHUNK:
            yield due
            due = []
    if due:
        yield due


async def unpaced(records: Iterable[Record], stop: asyncio.Event) -> AsyncIterator[Iterable[Record]]:
    """Chunks of records as fast as they are taken, until they or `stop` end it."""
    rest = iter(records)
    while not stop.is_set():
        chunk = islice(rest, UNPACED_CHUNK)
        first = next(chunk, None)
        if first is None:
            return
        yield _with_first(first, chunk)


def _with_first(first: Record, others: Iterable[Record]) -> Iterable[Record]:
    yield first
    yield from others


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return

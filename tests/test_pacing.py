"""Pacing: no record before its time, none withheld for long, and an end at any moment."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable

from streams.sources.pacing import now_ms, paced, unpaced
from streams.sources.record import Record


def record(time_ms: int) -> Record:
    """A record at this time."""
    return Record(time_ms, "views", b"u", b"{}")


def test_records_go_out_at_their_time_and_in_order() -> None:
    """None is early, none is much late, all come."""

    async def run() -> list[tuple[int, Record]]:
        begin = now_ms()
        times = [begin - 50, *range(begin, begin + 400, 10)]
        return [
            (now_ms(), each)
            async for chunk in paced([record(time) for time in times], asyncio.Event())
            for each in chunk
        ]

    sent = asyncio.run(run())
    assert len(sent) == 41
    assert all(now >= each.timestamp_ms for now, each in sent)
    assert [each.timestamp_ms for _, each in sent] == sorted(each.timestamp_ms for _, each in sent)
    assert max(now - each.timestamp_ms for now, each in sent[1:]) < 1_000


def test_a_paced_run_ends_when_it_is_told_to() -> None:
    """What is due is sent, what lies ahead is not waited for."""

    async def run() -> int:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, stop.set)
        records: Iterable[Record] = [record(now_ms() - 1), record(now_ms() + 600_000)]
        return sum([len(chunk) async for chunk in paced(records, stop)])

    assert asyncio.run(asyncio.wait_for(run(), 5)) == 1


def test_an_unpaced_run_takes_all_and_ends_when_it_is_told_to() -> None:
    """Every record once, in chunks; no further chunk after the stop."""

    async def run(count: int | None) -> int:
        stop, taken = asyncio.Event(), 0
        async for chunk in unpaced((record(n) for n in itertools.islice(itertools.count(), count)), stop):
            taken += len(list(chunk))
            if count is None:
                stop.set()
        return taken

    assert asyncio.run(run(120_000)) == 120_000
    assert asyncio.run(run(None)) == 50_000

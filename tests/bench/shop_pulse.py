"""Contestant: the production worker, one process, with the figures of the task and nothing switched off.

It judges every record (schema, range, time, key against partition), knows repeated ids, keeps order records
and payment attempts, and saves sums, ids and offsets in one guarded write. It reads all nine topics.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any, cast

from streams.local.commands import Command
from streams.local.processes import Program
from tests.bench.data import CURRENCY
from tests.bench.harness import Place, Timing, expect_equal, timed
from tests.bench.proof import prove

NAME = "shop_pulse"
POLL_S = 0.02


class ProfiledWorker(Command):
    """The worker under cProfile, which sees its main thread only: not the one that fetches."""

    grace_s = 60.0

    def __init__(self, place: Place, profile: Path, environment: dict[str, str]) -> None:
        super().__init__(NAME, ["worker"], place.folder / f"{place.name}.log", environment)
        self._profile = profile

    def command(self) -> list[str]:
        """As always, with a profiler around it."""
        return [sys.executable, "-m", "cProfile", "-o", str(self._profile), "-m", "streams", "worker"]


def prepare(place: Place, figures: str = "funnel-gmv", processes: int = 1) -> Program:
    """`shop-pulse worker`, or several of them under one command."""
    environment = dict(place.environment(FIGURES=figures))
    if place.profile is not None:
        return ProfiledWorker(place, place.profile, environment)
    return Command(
        NAME, ["worker", "--processes", str(processes)], place.folder / f"{place.name}.log", environment
    )


def run(place: Place, program: Program) -> Timing:
    """Progress = the offsets that Redis holds: there are no other records in the topics.

    None is seen before every partition has some. From then on each of them has up to a flush interval of
    work that is not saved; the last write waits as long for nothing: on the whole neither helps nor hurts.
    """
    client = place.servers.client()

    def done() -> int:
        pipeline = client.pipeline(transaction=False)
        for p in range(place.dataset.partitions):
            pipeline.hgetall(f"{place.name}:{{{p}}}:meta")
        saved = [
            sum(int(offset) for name, offset in meta.items() if name.startswith("off:"))
            for meta in pipeline.execute()
        ]
        return sum(saved) if all(saved) else 0

    return timed(place, program, done, POLL_S)


def check(place: Place, figures: str = "funnel-gmv") -> None:
    """Every cell of every live, and that all were accepted; every figure in a place that is proved."""
    totals = place.dataset.totals
    counts, gmv = Counter[Any](), Counter[Any]()
    for minute_ms in totals.minutes:
        for field, amount in cells(place, "live", minute_ms).items():
            measure, live_id = field.split("|")
            if measure == f"gmv_paid:{CURRENCY}":
                gmv[live_id, minute_ms] += amount
            elif measure.startswith("events."):
                counts[live_id, measure.removeprefix("events."), minute_ms] += amount
    expect_equal(NAME, "counts", counts, totals.counts)
    expect_equal(NAME, "amounts", gmv, totals.gmv_minor)
    pipeline = Counter[str]()
    for minute_ms in totals.minutes:
        for field, amount in cells(place, "pipeline", minute_ms).items():
            pipeline[field.split("|")[0]] += amount
    expect_equal(NAME, "verdicts", pipeline, {"accepted": totals.events})
    if place.proved:
        prove(place, figures)


def cells(place: Place, kind: str, minute_ms: int) -> Counter[str]:
    """The cells of a kind of scope in one minute, added over the partitions."""
    found = Counter[str]()
    for p in range(place.dataset.partitions):
        stored = place.servers.client().hgetall(f"{place.name}:{{{p}}}:cells:{kind}:1m:{minute_ms}")
        for field, amount in cast("dict[str, str]", stored).items():
            found[field] += int(amount)
    return found

"""What all contestants have in common: servers, a place for each run, and the clock.

The clock runs from the first progress that can be seen in Redis to the last; what was done before the first
sight is left out. That is the steady speed. The other one counts from the start of the process.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import click
from redis import Redis

from streams.errors import PulseError
from streams.local.kafka import KafkaServer
from streams.local.processes import Program, end
from streams.local.redis import RedisServer
from streams.settings import PREFIX, Settings
from tests.bench.data import Dataset
from tests.bench.machine import Cpu, cpu_of, peak_rss_mib

STANDSTILL_S: Final = 60.0


@dataclass(frozen=True)
class Servers:
    """A broker and a Redis for one bench, set as `shop-pulse up` sets them."""

    kafka: KafkaServer
    redis: RedisServer

    def settings(self, topic_prefix: str) -> Settings:
        """Settings that name these servers."""
        return Settings(kafka=self.kafka.bootstrap, redis=self.redis.url, topic_prefix=topic_prefix)

    def client(self) -> Redis:
        """A client of this Redis, which answers with text."""
        return Redis.from_url(self.redis.url, decode_responses=True)


@contextmanager
def bench_folder() -> Iterator[Path]:
    """A folder for one bench, gone after it. What fails is told as one line, as of a command."""
    with tempfile.TemporaryDirectory(prefix="shop-pulse-bench-") as name:
        try:
            yield Path(name)
        except PulseError as error:
            raise click.ClickException(str(error)) from error


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Servers with their data in `folder`, ready, ended with the block."""
    both = Servers(KafkaServer(folder / "kafka"), RedisServer(folder / "redis"))
    try:
        for each in (both.redis, both.kafka):
            each.launch()
        for each in (both.redis, both.kafka):
            each.wait_ready()
        yield both
    finally:
        end([both.kafka, both.redis])


@dataclass(frozen=True)
class Place:
    """Where one run happens.

    Attributes:
        name: fresh for each run; consumer group and first part of all Redis keys.
        folder: for its log.
        profile: where a profile of the worker goes; None for none.
        proved: whether `verify` recomputes everything after the run, where it can.
    """

    servers: Servers
    dataset: Dataset
    name: str
    folder: Path
    profile: Path | None = None
    proved: bool = False

    def environment(self, **settings: str) -> Mapping[str, str]:
        """The environment of a Shop Pulse command in this place, free of what the caller's shell sets."""
        own = {
            "KAFKA": self.servers.kafka.bootstrap,
            "REDIS": self.servers.redis.url,
            "REDIS_PREFIX": self.name,
            "TOPIC_PREFIX": self.dataset.topic_prefix,
            "PARTITIONS": str(self.dataset.partitions),
            "CONSUMER_GROUP": self.name,
        }
        return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {
            PREFIX + name: value for name, value in (own | settings).items()
        }


@dataclass(frozen=True)
class Timing:
    """One run. The steady part lies between the first and the last progress seen.

    Attributes:
        events: all of the run.
        seconds: from the start of the process to the last event in Redis.
        steady_events, steady_s: the steady part; both 0 if all was done at first sight.
        warm_events, warm_s: what came after half of the events: compilers have done their work by then.
        cpu: processor time in the steady part by process: worker, redis, kafka.
        peak_rss_mib: of the worker.
    """

    events: int
    seconds: float
    steady_events: int
    steady_s: float
    warm_events: int
    warm_s: float
    cpu: Mapping[str, Cpu]
    peak_rss_mib: float

    @property
    def events_per_s(self) -> float | None:
        """Steady speed; None if the run was too short to see any."""
        return self.steady_events / self.steady_s if self.steady_events else None

    @property
    def warm_events_per_s(self) -> float | None:
        """Speed of the second half; None if the run was too short to see any."""
        return self.warm_events / self.warm_s if self.warm_events else None

    @property
    def cpu_us(self) -> dict[str, float] | None:
        """Processor time per event by process; of the worker's, `worker_main` is its main thread's part."""
        if not self.steady_events:
            return None
        scale = 1e6 / self.steady_events
        total = {name: cpu.total_s * scale for name, cpu in self.cpu.items()}
        return total | {"worker_main": self.cpu["worker"].main_s * scale}


class Contestant(Protocol):
    """What a contestant's module has to have."""

    NAME: str

    def prepare(self, place: Place) -> Program:
        """Its process, not yet started."""

    def run(self, place: Place, program: Program) -> Timing:
        """Starts it and returns when all events of the place are in Redis."""

    def check(self, place: Place) -> None:
        """Raises PulseError if what Redis holds differs from the totals of the place's records.

        In a place that is `proved`, Shop Pulse's own recompute everything (`proof`).
        """


def timed(place: Place, program: Program, done: Callable[[], int], interval_s: float) -> Timing:
    """Starts the program and asks `done` how many events are in Redis, until all are."""
    total = place.dataset.totals.events
    pids = {"redis": place.servers.redis.pid, "kafka": place.servers.kafka.pid}
    launched_s = moved_s = first_s = half_s = time.perf_counter()
    program.launch()
    pids["worker"] = program.pid
    seen = first_seen = half_seen = 0
    before: dict[str, Cpu] = {}
    while seen < total:
        time.sleep(interval_s)
        now_seen, now_s = done(), time.perf_counter()
        if now_seen > seen:
            if not seen:
                first_seen, first_s = now_seen, now_s
                before = {name: cpu_of(pid) for name, pid in pids.items()}
            if seen < total / 2 <= now_seen:
                half_seen, half_s = now_seen, now_s
            seen, moved_s = now_seen, now_s
        elif now_s - moved_s > STANDSTILL_S or not program.running:
            raise PulseError(
                f"{program.name} stands still at {seen} of {total} events: {program.last_line()} "
                f"(log: {program.log})"
            )
    if seen > total:
        raise PulseError(f"{program.name} counted {seen} events of {total}")
    return Timing(
        events=total,
        seconds=moved_s - launched_s,
        steady_events=seen - first_seen,
        steady_s=moved_s - first_s,
        warm_events=seen - half_seen,
        warm_s=moved_s - half_s,
        cpu={name: cpu_of(pid) - before[name] for name, pid in pids.items()},
        peak_rss_mib=peak_rss_mib(program.pid),
    )


def compete(contestant: Contestant, place: Place) -> Timing:
    """One run: fresh process, fresh keys, totals verified. Nothing of it is left in Redis."""
    program = contestant.prepare(place)
    try:
        timing = contestant.run(place, program)
        contestant.check(place)
    finally:
        end([program])
    place.servers.client().flushall()
    return timing


def expect_equal(name: str, what: str, found: Mapping[Any, int], wanted: Mapping[Any, int]) -> None:
    """Raises PulseError with the first difference between two tables, in which absent means 0."""
    wrong = [key for key in found.keys() | wanted.keys() if found.get(key, 0) != wanted.get(key, 0)]
    if wrong:
        key = min(wrong, key=str)
        raise PulseError(
            f"{name}: {len(wrong)} {what} are wrong; {key} is {found.get(key, 0)}, not {wanted.get(key, 0)}"
        )

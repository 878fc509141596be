"""`python -m tests.bench.latency`: from an event's sending until it is visible, under a steady load.

Every 100 ms on average one event of a live room of its own goes into Kafka. It is visible when the count of
this room has risen: in Redis, and in an answer of `/api/v1/kpis`. The clock starts before the event is handed
to the producer, and each look comes up to its interval late: what is printed is never too small.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from statistics import quantiles
from typing import Any, Final, cast

import aiohttp
import click
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from schemas.partitioning import partition_of
from streams.errors import PulseError
from streams.kpis import FIGURE_SETS
from streams.local.commands import Command, ReadService
from streams.local.ports import free_port
from streams.local.processes import Program, end
from streams.options import Number
from streams.topics import create
from tests.bench.data import MINUTE_MS, ROOMS, Dataset, Totals
from tests.bench.harness import Place, bench_folder, servers
from tests.bench.machine import cpu_of, described

PARTITIONS: Final = 4
PROBE_S: Final = (0.05, 0.15)  # drawn anew each time: not in step with anybody's interval
LOOK_REDIS_S: Final = 0.005
LOOK_API_S: Final = 0.05
SETTLE_S: Final = 5.0
PATIENCE_S: Final = 30.0
WAYS: Final = ("redis", "api")


class Load(Program):
    """`tests.bench.load` as a program."""

    def __init__(self, place: Place, rate: float, rooms: int = ROOMS) -> None:
        super().__init__("load", place.folder / "load.log")
        self._place = place
        self._options = {"--rate": rate, "--rooms": rooms, "--seed": 1}

    def command(self) -> list[str]:
        """Its command line."""
        options = [str(each) for option in self._options.items() for each in option]
        return [sys.executable, "-m", "tests.bench.load", *options]

    def environment(self) -> Mapping[str, str]:
        """The settings of the place."""
        return self._place.environment()


class Probes:
    """When each probe was sent, and after how long it was seen; by partition, which keeps their order."""

    def __init__(self) -> None:
        self.users = [_user_of(p) for p in range(PARTITIONS)]
        self.sent: list[list[float]] = [[] for _ in range(PARTITIONS)]
        self.took_s: dict[str, list[list[float]]] = {way: [[] for _ in range(PARTITIONS)] for way in WAYS}
        self.began_ms = _now_ms()
        # Asked for by the watches. Cancelling them is no way: on Python 3.11 a cancellation that meets a
        # write of the Redis client is lost.
        self.over = False

    def saw(self, way: str, partition: int, visible: int) -> None:
        """So many probes of this partition are visible now."""
        now_s = time.perf_counter()
        took_s, sent = self.took_s[way][partition], self.sent[partition]
        while len(took_s) < min(visible, len(sent)):
            took_s.append(now_s - sent[len(took_s)])

    def missing(self, way: str, partition: int) -> int:
        """Probes that were sent and not seen yet."""
        return len(self.sent[partition]) - len(self.took_s[way][partition])

    def all_seen(self) -> bool:
        """Whether nothing is missing."""
        return not any(self.missing(way, p) for way in WAYS for p in range(PARTITIONS))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _user_of(partition: int) -> str:
    """A user whose key lies in this partition."""
    names = (f"probe-{number}" for number in count())
    return next(name for name in names if partition_of(name.encode(), PARTITIONS) == partition)


async def send_probes(place: Place, probes: Probes, seconds: float) -> None:
    """Sends probes to all partitions in turn."""
    rng = random.Random(1)
    topic = f"{place.dataset.topic_prefix}views"
    producer = AIOKafkaProducer(bootstrap_servers=place.servers.kafka.bootstrap, linger_ms=0)
    async with producer:
        until = time.monotonic() + seconds
        for number in count():
            if time.monotonic() > until:
                return
            p = number % PARTITIONS
            time_ms = _now_ms()
            event = {
                "event_id": f"probe-{number}",
                "event_type": "view",
                "event_time_ms": time_ms,
                "platform": "tiktok",
                "user_id": probes.users[p],
                "session_id": "probe",
                "live_id": f"probe-{p}",
            }
            probes.sent[p].append(time.perf_counter())
            key, value = probes.users[p].encode(), json.dumps(event).encode()
            await producer.send(topic, value, key, partition=p, timestamp_ms=time_ms)
            await asyncio.sleep(rng.uniform(*PROBE_S))


async def watch_redis(place: Place, probes: Probes) -> None:
    """Looks into the cells of the probes' rooms until all is over."""
    client = Redis.from_url(place.servers.redis.url)
    async with client:
        while not probes.over:
            minutes = range(probes.began_ms // MINUTE_MS, _now_ms() // MINUTE_MS + 1)
            pipeline = client.pipeline(transaction=False)
            for p in range(PARTITIONS):
                for minute in minutes:
                    key = f"{place.name}:{{{p}}}:cells:live:1m:{minute * MINUTE_MS}"
                    pipeline.hget(key, f"events.view|probe-{p}")
            found = [int(amount or 0) for amount in await pipeline.execute()]
            for p in range(PARTITIONS):
                probes.saw("redis", p, sum(found[p * len(minutes) : (p + 1) * len(minutes)]))
            await asyncio.sleep(LOOK_REDIS_S)


async def watch_api(url: str, probes: Probes, partition: int) -> None:
    """Asks the API for one room whenever one of its probes is out, until all is over."""
    async with aiohttp.ClientSession() as session:
        while not probes.over:
            if probes.missing("api", partition):
                # Of whole minutes: some sets of figures keep no others.
                to_ms = (_now_ms() // MINUTE_MS + 1) * MINUTE_MS
                from_ms = probes.began_ms // MINUTE_MS * MINUTE_MS
                scope = f"live:probe-{partition}"
                params = {"scope": scope, "from_ms": str(from_ms), "to_ms": str(to_ms)}
                async with session.get(f"{url}/api/v1/kpis", params=params) as response:
                    response.raise_for_status()
                    answer = await response.json()
                probes.saw("api", partition, answer["events"]["view"])
            await asyncio.sleep(LOOK_API_S)


async def probe(place: Place, url: str, seconds: float) -> Probes:
    """Sends probes for so many seconds and waits until all are seen. Raises PulseError if one is not."""
    probes = Probes()
    watches = [asyncio.create_task(watch_redis(place, probes))]
    watches += [asyncio.create_task(watch_api(url, probes, p)) for p in range(PARTITIONS)]
    try:
        await send_probes(place, probes, seconds)
        until = time.monotonic() + PATIENCE_S
        while not probes.all_seen():
            ended = next((watch for watch in watches if watch.done()), None)
            if ended is not None or time.monotonic() > until:
                why = (
                    f"a watch failed: {ended.exception()!r}" if ended else f"gave up after {PATIENCE_S:.0f} s"
                )
                raise PulseError(f"some probes were not seen: {why}")
            await asyncio.sleep(LOOK_API_S)
    finally:
        probes.over = True
        await asyncio.gather(*watches, return_exceptions=True)
    return probes


def summary(took_s: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    percentiles = quantiles(took_s, n=100, method="inclusive")
    found = {"p50": percentiles[49], "p95": percentiles[94], "p99": percentiles[98], "max": max(took_s)}
    return {name: round(value * 1000, 1) for name, value in found.items()}


def measure(folder: Path, rate: float, seconds: float, figures: str) -> dict[str, Any]:
    """The whole pipeline under load; what `--json` prints."""
    with ExitStack() as stack:
        started = stack.enter_context(servers(folder))
        info = cast("Mapping[str, object]", started.client().info("server"))
        machine = described(str(info["redis_version"]))
        asyncio.run(create(started.settings("load.")))
        place = Place(started, Dataset("load.", PARTITIONS, Totals(), 0.0), "latency", folder)
        environment = place.environment(API_PORT=str(port := free_port()), FIGURES=figures)
        worker = Command("worker", ["worker"], folder / "worker.log", environment)
        serve = ReadService(folder / "serve.log", environment, "127.0.0.1", port)
        load = Load(place, rate)
        programs: dict[str, Program] = {"worker": worker, "serve": serve, "load": load}
        stack.callback(end, list(programs.values()))
        for program in programs.values():
            program.launch()
        serve.wait_ready()
        time.sleep(SETTLE_S)
        programs |= {"kafka": started.kafka, "redis": started.redis}
        before = {name: cpu_of(program.pid).total_s for name, program in programs.items()}
        sent, began_s = _records(place), time.perf_counter()
        probes = asyncio.run(probe(place, serve.url, seconds))
        took_s, saved = time.perf_counter() - began_s, _records(place) - sent
        used = {name: cpu_of(program.pid).total_s - before[name] for name, program in programs.items()}
    of_way = {way: [each for took in probes.took_s[way] for each in took] for way in WAYS}
    return {
        **{f"event_to_{way}_ms": summary(took) for way, took in of_way.items()},
        "probes": len(of_way["redis"]),
        "figures": figures,
        "wanted_events_per_s": rate,
        "saved_events_per_s": round(saved / took_s),
        "cpu_percent_of_a_core": {name: round(100 * seconds / took_s) for name, seconds in used.items()},
        "machine": machine,
    }


def _records(place: Place) -> int:
    """How many records the figures in Redis hold."""
    client = place.servers.client()
    metas = [client.hgetall(f"{place.name}:{{{p}}}:meta") for p in range(PARTITIONS)]
    pairs = [pair for meta in metas for pair in cast("dict[str, str]", meta).items()]
    return sum(int(offset) for name, offset in pairs if name.startswith("off:"))


@click.command()
@click.option("--rate", type=Number(1), default=20_000, show_default=True, help="Events/s beside it.")
@click.option(
    "--seconds",
    type=Number(1, 240),
    default=60,
    show_default=True,
    help="How long probes are sent.",
)
@click.option("--figures", type=click.Choice([*FIGURE_SETS]), default="all", show_default=True)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(rate: float, seconds: float, figures: str, json_wanted: bool) -> None:
    """Measure how long an event takes until Redis and the API show it."""
    with bench_folder() as folder:
        result = measure(folder, rate, seconds, figures)
    if json_wanted:
        click.echo(json.dumps(result))
        return
    lines = ["| from sending to | p50 ms | p95 | p99 | max |", "|---|---|---|---|---|"]
    for way in WAYS:
        found = result[f"event_to_{way}_ms"]
        lines.append(f"| {way} | {found['p50']} | {found['p95']} | {found['p99']} | {found['max']} |")
    rest = {name: value for name, value in result.items() if not name.startswith("event_to_")}
    click.echo("\n".join([*lines, "", *(f"{name}: {value}" for name, value in rest.items())]))


if __name__ == "__main__":
    command()

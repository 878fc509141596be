"""`python -m tests.bench.pages`: the read service with many pages of live rooms open, and its `/metrics`.

Each page is a stream of server-sent events about one live, as its host has it open. All lives have been on
air for a while, with events in every minute, and a steady load runs. Now and then a comment, of which the
load has none, goes into one of them: it is pushed when a message to the page of this live counts it. The
clock starts before the comment is handed to the producer. At the end `/metrics` is scraped with everything
still open: a few times as somebody does who comes once, then regularly, as our own Prometheus does.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import click
import msgspec
from aiokafka import AIOKafkaProducer

from streams.errors import PulseError
from streams.local.commands import Command, ReadService
from streams.local.ports import free_port
from streams.local.processes import Program, end
from streams.options import Number
from streams.topics import create
from streams.web.routes import PROMETHEUS_HEADER
from tests.bench.data import Dataset, Shop, Totals, send_all
from tests.bench.harness import Place, bench_folder, servers
from tests.bench.latency import Load, summary
from tests.bench.machine import cpu_of, described, rss_mib

PARTITIONS: Final = 4
OPENED_AT_ONCE: Final = 50
# So many events lie in the minutes before, and the worker has so long for them before the clock starts.
PAST_EVENTS: Final = 300_000
SETTLE_S: Final = 60.0
PROBE_S: Final = 0.02
PATIENCE_S: Final = 60.0
SCRAPES: Final = 5
# Each scrape is a reading of its own: nothing is remembered for so long.
SCRAPE_AGAIN_S: Final = 1.5
# As in `deploy/prometheus.yml`. The first ones say the pace: they are read for when they come.
SCRAPE_EVERY_S: Final = 10.0
SCRAPE_TIMEOUT_S: Final = 5.0
PACE_SCRAPES: Final = 3
REGULAR_SCRAPES: Final = 10
LOOK_S: Final = 0.05


@dataclass(frozen=True)
class Size:
    """How much there is at once: streams open, lives and for how long they have been on air,
    SHOP_PULSE_TOP_K, events/s beside it."""

    pages: int
    lives: int
    minutes: int
    top_k: int
    events_per_s: float


class _Counts(msgspec.Struct):
    events_by_type: dict[str, int]


class _Told(msgspec.Struct):
    """Of a message what is looked at."""

    since_start: _Counts | None = None


_TOLD = msgspec.json.Decoder(_Told)


class Page:
    """A stream that is read to the end of each message; looked into only while a probe is on its way."""

    def __init__(self, live: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.live = live
        self.sent: list[float] = []
        self.took_s: list[float] = []
        self.came_s: list[float] = []
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str, live: str) -> Page:
        """Asks. Raises PulseError if there is no stream."""
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**22)
        writer.write(f"GET /api/v1/stream?live={live} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise PulseError(f"no stream of {live}: {head.splitlines()[0].decode()}")
        return cls(live, reader, writer)

    @property
    def waits(self) -> bool:
        """Whether a probe is on its way to it."""
        return len(self.sent) > len(self.took_s)

    async def read(self) -> None:
        """Reads until it is closed."""
        while True:
            try:
                message = await self._reader.readuntil(b"\n\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            now_s = time.perf_counter()
            _, found, data = message.partition(b"\ndata: ")
            if not found or b"event: error" in message:
                continue
            self.came_s.append(now_s)
            if self.waits:
                told = _TOLD.decode(data).since_start
                seen = 0 if told is None else told.events_by_type.get("live_comment", 0)
                self.took_s += [now_s - sent_s for sent_s in self.sent[len(self.took_s) : seen]]

    def close(self) -> None:
        """Goes."""
        self._writer.transport.abort()


@asynccontextmanager
async def opened(url: str, lives: Sequence[str], pages: int) -> AsyncIterator[list[Page]]:
    """So many pages, the lives by turns; each has had a message."""
    found: list[Page] = []
    readers: list[asyncio.Task[None]] = []
    try:
        for at in range(0, pages, OPENED_AT_ONCE):
            wanted = [lives[number % len(lives)] for number in range(at, min(at + OPENED_AT_ONCE, pages))]
            more = await asyncio.gather(*(Page.open(url, live) for live in wanted))
            found += more
            readers += [asyncio.create_task(page.read()) for page in more]
        await _until(lambda: all(page.came_s for page in found), "the first message to every page")
        yield found
    finally:
        for page in found:
            page.close()
        await asyncio.gather(*readers)


async def _until(holds: Any, what: str) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until_s:
            raise PulseError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        await asyncio.sleep(LOOK_S)


class Stage:
    """The topic of lives, written to by hand."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._sent = 0

    async def send(self, live: str, event_type: str, time_ms: int | None = None, **more: str) -> None:
        """One event about a live, of now if nothing else is said."""
        self._sent += 1
        time_ms = time.time_ns() // 1_000_000 if time_ms is None else time_ms
        event = {
            "event_id": f"{event_type}-{self._sent}",
            "event_type": event_type,
            "event_time_ms": time_ms,
            "platform": "tiktok",
            "live_id": live,
            **more,
        }
        key = more.get("user_id", live).encode()
        await self._producer.send(self._topic, json.dumps(event).encode(), key, timestamp_ms=time_ms)


@asynccontextmanager
async def staged(place: Place) -> AsyncIterator[Stage]:
    """A stage; what was sent is in Kafka after the block."""
    async with AIOKafkaProducer(bootstrap_servers=place.servers.kafka.bootstrap, linger_ms=0) as producer:
        yield Stage(producer, f"{place.dataset.topic_prefix}livestreams")


async def prepare(place: Place, size: Size) -> None:
    """Creates the topics and fills them with the minutes before: starts of lives, then what went on."""
    settings = place.servers.settings(place.dataset.topic_prefix)
    await create(settings)
    shop, span_ms = Shop(2, size.lives), size.minutes * 60_000
    start_ms = time.time_ns() // 1_000_000 - span_ms
    async with staged(place) as stage:
        for live in shop.rooms:
            await stage.send(live, "live_start", start_ms, creator_id=f"creator-{live}")
    records = shop.records(start_ms + span_ms * number // PAST_EVENTS for number in range(PAST_EVENTS))
    await send_all(settings, records)


async def play(place: Place, url: str, size: Size, seconds: float) -> dict[str, Any]:
    """Everything, once the programs run. Raises PulseError if a comment is never pushed."""
    rng, lives = random.Random(1), Shop(1, size.lives).rooms
    async with staged(place) as stage:
        await asyncio.sleep(SETTLE_S)
        async with opened(url, lives, size.pages) as watched:
            first: dict[str, Page] = {}
            for page in watched:
                first.setdefault(page.live, page)
            began_s = time.perf_counter()
            while time.perf_counter() < began_s + seconds:
                page = rng.choice(list(first.values()))
                if not page.waits:
                    page.sent.append(time.perf_counter())
                    await stage.send(page.live, "live_comment", user_id="probe", session_id="probe")
                await asyncio.sleep(PROBE_S)
            ended_s = time.perf_counter()
            await _until(lambda: not any(page.waits for page in watched), "the last comments")
            scrapes = await _scraped(url)
    came = [[at_s for at_s in page.came_s if began_s <= at_s <= ended_s] for page in watched]
    gaps_s = [after - before for each in came for before, after in pairwise(each)]
    took_s = [each for page in watched for each in page.took_s]
    return {
        "event_to_page_ms": summary(took_s),
        "between_messages_ms": summary(gaps_s),
        "probes": len(took_s),
        "messages_per_s": round(sum(map(len, came)) / (ended_s - began_s)),
        **scrapes,
    }


async def _scraped(url: str) -> dict[str, Any]:
    """How long each scrape took, how many were refused, and the series that the last one had."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        once = []
        for _ in range(SCRAPES):
            await asyncio.sleep(SCRAPE_AGAIN_S)
            once.append(await _scrape(session, url))
        regular, began_s = [], loop.time() + SCRAPE_AGAIN_S
        for number in range(PACE_SCRAPES + REGULAR_SCRAPES):
            await asyncio.sleep(max(0.0, began_s + number * SCRAPE_EVERY_S - loop.time()))
            regular.append(await _scrape(session, url, SCRAPE_TIMEOUT_S))
    regular = regular[PACE_SCRAPES:]
    return {
        "scrape_ms": _taken_ms(once),
        "scrape_ms_of_prometheus": _taken_ms(regular),
        "scrapes_refused": sum(each is None for each in once + regular),
        "series": next((each[1] for each in reversed(once + regular) if each is not None), 0),
    }


async def _scrape(
    session: aiohttp.ClientSession, url: str, timeout_s: float | None = None
) -> tuple[float, int] | None:
    """(seconds, series), None if it was refused. With a time-out as Prometheus scrapes."""
    headers = {} if timeout_s is None else {PROMETHEUS_HEADER: str(timeout_s)}
    began_s = time.perf_counter()
    try:
        timeout = aiohttp.ClientTimeout(timeout_s or PATIENCE_S)
        async with session.get(f"{url}/metrics", headers=headers, timeout=timeout) as response:
            text = await response.text()
    except TimeoutError:
        return None
    took_s = time.perf_counter() - began_s
    series = sum(not line.startswith("#") for line in text.splitlines())
    return (took_s, series) if response.status == HTTPStatus.OK else None


def _taken_ms(scrapes: Sequence[tuple[float, int] | None]) -> dict[str, Any] | None:
    took_s = sorted(each[0] for each in scrapes if each is not None)
    return (
        {"median": round(median(took_s) * 1000), "all": [round(each * 1000) for each in took_s]}
        if took_s
        else None
    )


def measure(folder: Path, size: Size, seconds: float) -> dict[str, Any]:
    """The whole pipeline with pages open; what `--json` prints."""
    with ExitStack() as stack:
        started = stack.enter_context(servers(folder))
        machine = described(str(started.client().info("server")["redis_version"]))
        place = Place(started, Dataset("pages.", PARTITIONS, Totals(), 0.0), "pages", folder)
        asyncio.run(prepare(place, size))
        environment = place.environment(API_PORT=str(port := free_port()), TOP_K=str(size.top_k))
        worker = Command("worker", ["worker"], folder / "worker.log", environment)
        serve = ReadService(folder / "serve.log", environment, "127.0.0.1", port)
        programs: list[Program] = [worker, serve, Load(place, size.events_per_s, size.lives)]
        stack.callback(end, programs)
        for program in programs:
            program.launch()
        serve.wait_ready()
        of = {"worker": worker, "serve": serve, "kafka": started.kafka, "redis": started.redis}
        before, began_s = {name: cpu_of(each.pid) for name, each in of.items()}, time.perf_counter()
        result = asyncio.run(play(place, serve.url, size, seconds))
        took_s = time.perf_counter() - began_s
        memory_mib = round(rss_mib(serve.pid))
        used = {name: (cpu_of(each.pid) - before[name]).total_s for name, each in of.items()}
    return {
        **result,
        **asdict(size),
        "serve_rss_mib": memory_mib,
        "cpu_percent_of_a_core": {name: round(100 * each / took_s) for name, each in used.items()},
        "machine": machine,
    }


@click.command()
@click.option("--pages", type=click.IntRange(1), default=1_000, show_default=True, help="Streams open.")
@click.option("--lives", type=click.IntRange(1), default=1_000, show_default=True, help="All on air.")
@click.option(
    "--minutes", type=click.IntRange(1), default=20, show_default=True, help="How long they have been on air."
)
@click.option("--top-k", type=click.IntRange(1), default=50, show_default=True, help="For more series.")
@click.option(
    "--rate", "events_per_s", type=Number(1), default=2_000, show_default=True, help="Events/s beside it."
)
@click.option(
    "--seconds", type=Number(1, 240), default=60, show_default=True, help="How long comments are sent."
)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(seconds: float, json_wanted: bool, **size: Any) -> None:
    """Measure how fast pages of lives are told, and how long a scrape takes meanwhile."""
    with bench_folder() as folder:
        result = measure(folder, Size(**size), seconds)
    if json_wanted:
        click.echo(json.dumps(result))
        return
    lines = ["| | p50 ms | p95 | p99 | max |", "|---|---|---|---|---|"]
    ways = {"event_to_page_ms": "event to page", "between_messages_ms": "between two messages to a page"}
    for name, text in ways.items():
        found = result[name]
        lines.append(f"| {text} | {found['p50']} | {found['p95']} | {found['p99']} | {found['max']} |")
    rest = {name: value for name, value in result.items() if name not in ways}
    click.echo("\n".join([*lines, "", *(f"{name}: {value}" for name, value in rest.items())]))


if __name__ == "__main__":
    command()

"""`python -m tests.bench.sessions`: what sessions cost in memory, of Redis and of the worker.

Live sessions, whose events come out of order, go through the production worker in three equal parts. After
each part Redis is asked for the size of every key, and the worker's memory is read: its copies of sessions
are bounded, so it must not grow with them for ever. Ids that came before the first part are remembered
meanwhile. The funnels have to be what was sent, or no figure is told. These sessions are short and of one
live each; a session in many lives costs more.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, Final, cast

import click
from redis import Redis

from schemas.events import INPUT_TOPICS, TYPES_OF_TOPIC, SourceHeartbeat, event_type
from streams.errors import PulseError
from streams.local.commands import Command
from streams.local.processes import Program, end
from streams.sources.produce import open_sender
from streams.sources.record import Record
from streams.topics import create
from tests.bench.data import CHUNK, CURRENCY, MINUTE_MS, Dataset
from tests.bench.data import Totals as NoTotals
from tests.bench.harness import STANDSTILL_S, Place, bench_folder, expect_equal, servers
from tests.bench.machine import described, peak_rss_mib, rss_mib

PARTITIONS: Final = 4
PARTS: Final = 3
PART_MS: Final = 3 * MINUTE_MS
# A session's steps are 1 to 6 s apart, and each event arrives up to 5 s late: over within a minute.
GAP_MS: Final = (1_000, 6_000)
DELAY_MS: Final = 5_000
SESSION_MS: Final = MINUTE_MS
IDS_MS: Final = 2 * MINUTE_MS
BUYING: Final = 0.3
ROOMS: Final = 100
CREATORS: Final = 50
PRODUCTS: Final = 500
PER_SESSIONS: Final = 100_000
DAY_MS: Final = 1_440 * MINUTE_MS
POLL_S: Final = 0.1
# Redis frees, and the worker writes what only published facts need, a moment after the last record is in.
SETTLE_S: Final = 2.0
MIB: Final = 1_048_576

# Of every session; and of one that buys, besides.
VIEWED: Final = ("view", "tag_tap")
BOUGHT: Final = ("add_to_cart", "purchase")
CHECKOUT: Final = ("begin_checkout", "payment_started", "payment_authorised", "purchase")


_TOPIC: Final = {
    event_type(cls): topic for topic, types in TYPES_OF_TOPIC.items() for cls in types - {SourceHeartbeat}
}


@dataclass
class Totals:
    """What was sent.

    Attributes:
        steps: sessions by stored measure, for example ``sessions.view``.
        events: by event type.
        orders, items, gmv_minor: by product; `orders` counts an order once for each of its products.
    """

    steps: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    gmv_minor: Counter[str] = field(default_factory=Counter)


class Shoppers:
    """Draws live sessions of some users; equal seeds and times give equal bytes."""

    def __init__(self, seed: int, users: int, products: int = PRODUCTS) -> None:
        self.totals = Totals()
        self._rng = random.Random(seed)
        self._users = users
        self._products = products
        self._run = f"{seed:04x}"
        self._numbers = count()

    def records(self, starts_ms: Iterable[int]) -> Iterator[Record]:
        """The records of sessions that begin at these times, which ascend; in the order of their arrival."""
        waiting: list[Record] = []
        for start_ms in starts_ms:
            while waiting and waiting[0].timestamp_ms <= start_ms:
                yield heapq.heappop(waiting)
            for record in self._session(start_ms):
                heapq.heappush(waiting, record)
        while waiting:
            yield heapq.heappop(waiting)

    def _session(self, start_ms: int) -> Iterator[Record]:
        draw, totals, number = self._rng.random, self.totals, next(self._numbers)
        user, room = int(draw() * self._users), int(draw() ** 2 * ROOMS)
        product = f'"product_id":"{self._product()}"'
        shared = (
            f'"platform":"{("tiktok", "douyin", "kuaishou", "instagram")[user % 4]}",'
            f'"user_id":"user-{user:07d}","session_id":"{self._run}-{number:08x}","surface":"live",'
            f'"live_id":"live-{room:03d}","creator_id":"creator-{room % CREATORS:02d}"'
        )
        steps = [
            ("views", "view", product) if draw() < 0.5 else ("livestreams", "live_join", ""),
            ("views", "product_impression", product),
            ("views", "product_view", product),
            ("tag-taps", "tag_tap", product),
        ]
        totals.steps.update(f"sessions.{step}" for step in VIEWED)
        if draw() < BUYING:
            steps += self._checkout(f'"order_id":"{self._run}-o{number:08x}","gateway":"adyen"', product)
            totals.steps.update(f"sessions.{step}" for step in BOUGHT)
            totals.steps.update(f"checkouts.{step}" for step in CHECKOUT)
        time_ms = start_ms
        for step, (topic, kind, own) in enumerate(steps):
            totals.events[kind] += 1
            value = (
                f'{{"event_id":"{self._run}-{number:08x}-{step}","event_type":"{kind}",'
                f'"event_time_ms":{time_ms},{shared}{own and ","}{own}}}'
            )
            yield Record(time_ms + int(draw() * DELAY_MS), topic, b"user-%07d" % user, value.encode())
            time_ms += GAP_MS[0] + int(draw() * (GAP_MS[1] - GAP_MS[0]))

    def _checkout(self, order: str, product: str) -> list[tuple[str, str, str]]:
        price = 500 + int(self._rng.random() * 20_000)
        return [
            ("carts", "add_to_cart", f'{product},"quantity":1,"unit_price_minor":{price},'
                                     f'"currency":"{CURRENCY}"'),
            ("carts", "begin_checkout", product),
            ("purchases", "payment", f'{order},"attempt_id":"1","outcome":"started"'),
            ("purchases", "payment", f'{order},"attempt_id":"1","outcome":"authorised"'),
            ("purchases", "purchase", f'{order},"currency":"{CURRENCY}","items":[{self._lines()}]'),
        ]  # fmt: skip

    def _lines(self) -> str:
        draw, totals = self._rng.random, self.totals
        lines = []
        products = [self._product() for _ in range(1 + int(draw() * 2))]
        for product in products:
            quantity, price, discount = 1 + int(draw() * 3), 500 + int(draw() * 20_000), int(draw() * 400)
            totals.items[product] += quantity
            totals.gmv_minor[product] += quantity * price - discount
            lines.append(
                f'{{"product_id":"{product}","quantity":{quantity},"unit_price_minor":{price},'
                f'"seller_discount_minor":{discount}}}'
            )
        totals.orders.update(set(products))
        return ",".join(lines)

    def _product(self) -> str:
        return f"product-{int(self._rng.random() ** 2 * self._products):03d}"


def record(kind: str, time_ms: int, key: str, event_id: str, fields: str) -> Record:
    """An event of this type; `fields` are what it has beside the envelope, as JSON without braces."""
    head = f'{{"event_id":"{event_id}","event_type":"{kind}","event_time_ms":{time_ms},"platform":"tiktok"'
    return Record(time_ms, _TOPIC[kind], key.encode(), f"{head},{fields}}}".encode())


def impressions(starts_ms: Iterable[int]) -> Iterator[Record]:
    """Impressions of few products by few users, without a step of a session: only their ids are new."""
    for number, time_ms in enumerate(starts_ms):
        shopper = f"shower-{number % 5_000:04d}"
        product = f'"product_id":"product-{number % PRODUCTS:03d}"'
        fields = f'"user_id":"{shopper}","session_id":"shown",{product}'
        yield record("product_impression", time_ms, shopper, f"id{number:09d}", fields)


def spread_over(start_ms: int, span_ms: int, number: int) -> Iterator[int]:
    """So many times, evenly spread over the span."""
    return (start_ms + span_ms * each // number for each in range(number))


@dataclass(frozen=True)
class Running:
    """A worker at work in a place."""

    place: Place
    worker: Program

    @property
    def client(self) -> Redis:
        """A client of its Redis."""
        return self.place.servers.client()

    def send(self, records: Iterable[Record]) -> int:
        """Puts the records into Kafka; how many."""
        settings, waiting = self.place.servers.settings(self.place.dataset.topic_prefix), iter(records)

        async def send() -> int:
            async with open_sender(settings, INPUT_TOPICS) as sender:
                while chunk := list(islice(waiting, CHUNK)):
                    await sender.send(chunk)
                await sender.flush(confirmed=True)
                return sender.sent.total()

        return asyncio.run(send())

    def wait_saved(self, total: int) -> None:
        """Returns when the figures hold so many records, and some time later. Raises PulseError otherwise."""
        seen, moved_s = -1, time.monotonic()
        while seen < total:
            time.sleep(POLL_S)
            saved = self._saved()
            if saved > seen:
                seen, moved_s = saved, time.monotonic()
            elif not self.worker.running or time.monotonic() - moved_s > STANDSTILL_S:
                raise PulseError(
                    f"the worker stands still at {seen} of {total} records: {self.worker.last_line()} "
                    f"(log: {self.worker.log})"
                )
        if seen > total:
            raise PulseError(f"the worker counted {seen} records of {total}")
        time.sleep(SETTLE_S)

    def _saved(self) -> int:
        """Records that the figures hold; -1 before every partition was written."""
        pipeline = self.client.pipeline(transaction=False)
        for p in range(PARTITIONS):
            pipeline.hgetall(f"{self.place.name}:{{{p}}}:meta")
        saved = [
            [int(offset) for name, offset in meta.items() if name.startswith("off:")]
            for meta in pipeline.execute()
        ]
        return sum(map(sum, saved)) if all(saved) else -1

    def cells(self, kind: str, start_ms: int) -> Counter[str]:
        """Cells ``measure|value`` of a day, added over the partitions."""
        found = Counter[str]()
        for p in range(PARTITIONS):
            stored = self.client.hgetall(f"{self.place.name}:{{{p}}}:cells:{kind}:1d:{start_ms}")
            for name, amount in cast("dict[str, str]", stored).items():
                found[name] += int(amount)
        return found


def used_memory(client: Redis, name: str = "used_memory") -> int:
    """Bytes that Redis holds, or `used_memory_peak`."""
    return int(cast("Mapping[str, int]", client.info("memory"))[name])


def stored(client: Redis, prefix: str) -> dict[str, dict[str, int]]:
    """Number and bytes of all keys by what they hold: the first word after the partition.

    The lists by day count as part of what they list, and the indexes of sketches as part of these.
    """
    found: dict[str, dict[str, int]] = {}
    keys = iter(set(client.scan_iter(match=f"{prefix}:*", count=CHUNK)))
    while some := list(islice(keys, CHUNK)):
        pipeline = client.pipeline(transaction=False)
        for key in some:
            pipeline.memory_usage(key, samples=0)
        for key, size in zip(some, pipeline.execute(), strict=True):
            word = key.partition("}:")[2].partition(":")[0]
            group = found.setdefault("users" if word.startswith("user") else word, {"keys": 0, "bytes": 0})
            group["keys"] += 1
            group["bytes"] += size or 0
    return dict(sorted(found.items()))


def check(running: Running, totals: Totals, since_ms: int, sent: int) -> None:
    """Raises PulseError if the funnels of the whole shop, or the verdicts, are not what was sent."""
    steps, verdicts = Counter[str](), Counter[str]()
    for start_ms in range(since_ms - since_ms % DAY_MS, time.time_ns() // 1_000_000 + 1, DAY_MS):
        for cell, amount in running.cells("all", start_ms).items():
            if cell.startswith(("sessions.", "checkouts.", "time_to_convert.")):
                steps[re.sub(r"(?<=^time_to_convert)\..*", "", cell.rstrip("|"))] += amount
        for cell, amount in running.cells("pipeline", start_ms).items():
            verdicts[cell.partition("|")[0]] += amount
    wanted = totals.steps | Counter(time_to_convert=totals.steps["sessions.purchase"])
    expect_equal("sessions", "steps of the funnels", steps, wanted)
    expect_equal("sessions", "verdicts", verdicts, {"accepted": sent})


def measure(folder: Path, sessions: int, ids: int = 0, seed: int = 1) -> dict[str, Any]:
    """Three parts of so many sessions, after so many ids; what `--json` prints.

    Raises PulseError if a total is wrong.
    """
    with servers(folder) as started:
        client = started.client()
        machine = described(str(cast("Mapping[str, object]", client.info("server"))["redis_version"]))
        asyncio.run(create(started.settings("sessions.")))
        place = Place(started, Dataset("sessions.", PARTITIONS, NoTotals(), 0.0), "sessions", folder)
        worker = Command("worker", ["worker"], folder / "worker.log", place.environment())
        running = Running(place, worker)
        try:
            worker.launch()
            running.wait_saved(0)
            shoppers = Shoppers(seed, users=max(1, sessions // 2))
            since_ms = time.time_ns() // 1_000_000 - PARTS * PART_MS
            empty = used_memory(client)
            # Within the horizon of ids as long as the first part of sessions lasts.
            sent = running.send(impressions(spread_over(since_ms - IDS_MS, IDS_MS, ids)))
            running.wait_saved(sent)
            readings = [_reading(running, 0, sent, empty)]
            for part in range(PARTS):
                starts_ms = spread_over(since_ms + part * PART_MS, PART_MS - SESSION_MS, sessions)
                sent += running.send(shoppers.records(starts_ms))
                running.wait_saved(sent)
                check(running, shoppers.totals, since_ms, sent)
                readings.append(_reading(running, sessions * (part + 1), sent, empty))
            peak_mib = round(peak_rss_mib(worker.pid), 1)
        finally:
            end([worker])
    first, scale = readings[1], PER_SESSIONS / sessions
    by_group = {name: round(each["bytes"] * scale) for name, each in first["redis"].items()}
    return {
        "bytes_per_100k_sessions": {
            "sessions": by_group["sessions"],
            "users": by_group["users"],
            "everything": round(first["redis_bytes"] * scale),
        },
        "by_key_per_100k_sessions": by_group,
        "worker_rss_mib": {str(each["sessions"]): each["worker_rss_mib"] for each in readings},
        "worker_peak_mib": peak_mib,
        "events_per_session": round(sent / sessions / PARTS, 2),
        "readings": readings,
        "seed": seed,
        "machine": machine,
    }


def _reading(running: Running, sessions: int, records: int, empty: int) -> dict[str, Any]:
    """What is held after so many sessions; `empty` is what Redis used before the first."""
    return {
        "sessions": sessions,
        "records": records,
        "worker_rss_mib": round(rss_mib(running.worker.pid), 1),
        "redis_bytes": used_memory(running.client) - empty,
        "redis": stored(running.client, running.place.name),
    }


def as_table(result: Mapping[str, Any]) -> str:
    """The same as lines for a terminal, also good as Markdown."""
    lines = [
        "| sessions | events | worker RSS MiB | Redis MiB: `sessions` | sketches of users | everything |",
        "|---|---|---|---|---|---|",
    ]
    for each in result["readings"]:
        of = [each["redis"].get(name, {}).get("bytes", 0) for name in ("sessions", "users")]
        mib = " | ".join(f"{size / MIB:,.1f}" for size in (*of, each["redis_bytes"]))
        rss = f"{each['worker_rss_mib']:,.0f}"
        lines.append(f"| {each['sessions']:,} | {each['records']:,} | {rss} | {mib} |")
    keys = ", ".join(f"{name} {size / MIB:,.1f}" for name, size in result["by_key_per_100k_sessions"].items())
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    lines += ["", f"MiB per {PER_SESSIONS:,} sessions by key, after the first part: {keys}"]
    return "\n".join([*lines, f"funnels right; the worker's peak {result['worker_peak_mib']} MiB; {machine}"])


@click.command()
@click.option(
    "--sessions", type=click.IntRange(1), default=100_000, show_default=True, help="In each of three parts."
)
@click.option("--ids", type=click.IntRange(0), default=0, show_default=True, help="Impressions before them.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(sessions: int, ids: int, json_wanted: bool) -> None:
    """Measure what sessions cost in memory, on servers started for it, funnels verified."""
    with bench_folder() as folder:
        result = measure(folder, sessions, ids)
    click.echo(json.dumps(result) if json_wanted else as_table(result))


if __name__ == "__main__":
    command()

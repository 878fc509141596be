"""`python -m tests.bench.memory`: what Redis holds per thousand lives, ten thousand products, and so on.

Each part sends one kind of thing through the production worker with its default figures, waits until every
offset is in Redis, and reads how much Redis grew. What one part shares with those before it (the panes, the
cells of the whole shop) is there already: products come first, orders last. The worker must have counted
every record, or no figure is told.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import click

from streams.local.commands import Command
from streams.local.processes import end
from streams.sources.record import Record
from streams.topics import create
from tests.bench.data import CURRENCY, MINUTE_MS, Dataset
from tests.bench.data import Totals as NoTotals
from tests.bench.harness import Place, bench_folder, servers
from tests.bench.machine import described, rss_mib
from tests.bench.sessions import (
    MIB,
    PARTITIONS,
    PRODUCTS,
    Running,
    Shoppers,
    impressions,
    record,
    spread_over,
    stored,
    used_memory,
)

# Event times of each part run over so long, beginning so long ago.
PART_MS: Final = 2 * MINUTE_MS
SINCE_MS: Final = 12 * MINUTE_MS
HEARTBEATS: Final = 6


@dataclass(frozen=True)
class Part:
    """One kind of thing.

    Attributes:
        name: as it is told.
        number: how many things the issue asks about.
        records: those of so many things that begin at these times.
    """

    name: str
    number: int
    records: Callable[[Iterator[int]], Iterator[Record]]


def _products(starts_ms: Iterator[int]) -> Iterator[Record]:
    """Listed, with a stock, and shown once."""
    for number, time_ms in enumerate(starts_ms):
        product = f'"product_id":"memory-product-{number:06d}"'
        key, shopper = f"memory-product-{number:06d}", f"shower-{number % 5_000:04d}"
        price = f'"unit_price_minor":{500 + number % 20_000},"currency":"{CURRENCY}"'
        listed = f'{product},"title":"A product of some name {number}","category":"c{number % 40}",{price}'
        yield record("product_listed", time_ms, key, f"ml{number}", listed)
        yield record("stock_set", time_ms, key, f"ms{number}", f'{product},"units":{number % 500}')
        shown = f'"user_id":"{shopper}","session_id":"shown",{product}'
        yield record("product_impression", time_ms, shopper, f"mi{number}", shown)


def _lives(starts_ms: Iterator[int]) -> Iterator[Record]:
    """On air with a minute of heartbeats, a pin, a viewer, and a sale."""
    for number, time_ms in enumerate(starts_ms):
        live, shopper = f"memory-live-{number:05d}", f"viewer-{number % 5_000:04d}"
        room = f'"live_id":"{live}","creator_id":"memory-creator-{number % 500:03d}"'
        of = f'"user_id":"{shopper}","session_id":"live-{number}",{room}'
        line = f'"product_id":"product-{number % PRODUCTS:03d}","quantity":1,"unit_price_minor":900'
        yield record("live_start", time_ms, live, f"mls{number}", room)
        for beat in range(HEARTBEATS):
            fields = f'{room},"concurrent_viewers":{beat}'
            yield record("live_heartbeat", time_ms, live, f"mlh{number}-{beat}", fields)
        pin = f'{room},"product_id":"product-{number % PRODUCTS:03d}"'
        yield record("product_pin", time_ms, live, f"mlp{number}", pin)
        yield record("live_join", time_ms, shopper, f"mlj{number}", of)
        order = f"{of},{_order(f'ml{number}', line)}"
        yield record("purchase", time_ms, shopper, f"mlo{number}", order)


def _orders(starts_ms: Iterator[int]) -> Iterator[Record]:
    """One line each, a third of them bought through a creator's link; every second buyer is new."""
    for number, time_ms in enumerate(starts_ms):
        user = f"buyer-{number // 2:07d}"
        line = f'"product_id":"product-{number % PRODUCTS:03d}","quantity":1,"unit_price_minor":900'
        if number % 3 == 0:
            line += f',"affiliate_id":"affiliate-{number % 200:03d}","commission_bps":1000'
        fields = f'"user_id":"{user}",{_order(f"mo{number:09d}", line)}'
        yield record("purchase", time_ms, user, f"mo{number}", fields)


def _order(order_id: str, line: str) -> str:
    return f'"order_id":"{order_id}","gateway":"adyen","currency":"{CURRENCY}","items":[{{{line}}}]'


def parts(seed: int, share: float) -> tuple[Part, ...]:
    """The parts in their order, each of `share` of what the issue asks about."""
    sessions = max(1, round(100_000 * share))
    shoppers = Shoppers(seed, users=max(1, sessions // 2), products=PRODUCTS)
    return (
        Part("10 000 products", 10_000, _products),
        Part("1 000 lives", 1_000, _lives),
        Part("100 000 sessions", 100_000, shoppers.records),
        Part("1 M ids", 1_000_000, impressions),
        Part("1 M orders", 1_000_000, _orders),
    )


def measure(folder: Path, share: float, seed: int = 1) -> dict[str, Any]:
    """What Redis grew by with each part; as `--json` prints it. Raises PulseError if a record is lost."""
    with servers(folder) as started:
        client = started.client()
        machine = described(str(cast("Mapping[str, object]", client.info("server"))["redis_version"]))
        asyncio.run(create(started.settings("memory.")))
        place = Place(started, Dataset("memory.", PARTITIONS, NoTotals(), 0.0), "memory", folder)
        worker = Command("worker", ["worker"], folder / "worker.log", place.environment())
        running = Running(place, worker)
        results: dict[str, Any] = {}
        try:
            worker.launch()
            running.wait_saved(0)
            sent, since_ms = 0, time.time_ns() // 1_000_000 - SINCE_MS
            before, keys_before = used_memory(client), stored(client, place.name)
            for at, part in enumerate(parts(seed, share)):
                number = max(1, round(part.number * share))
                starts_ms = spread_over(since_ms + at * PART_MS, PART_MS - MINUTE_MS, number)
                sent += running.send(part.records(starts_ms))
                running.wait_saved(sent)
                after, keys_after = used_memory(client), stored(client, place.name)
                results[part.name] = {
                    "number": number,
                    "redis_bytes": after - before,
                    "redis_mib_of_all": round((after - before) * part.number / number / MIB, 1),
                    "by_key_bytes": _grown(keys_before, keys_after),
                    "worker_rss_mib": round(rss_mib(worker.pid), 1),
                }
                before, keys_before = after, keys_after
        finally:
            end([worker])
    return {"parts": results, "records": sent, "seed": seed, "share": share, "machine": machine}


def _grown(before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    grown = {name: each["bytes"] - before.get(name, {}).get("bytes", 0) for name, each in after.items()}
    return {name: grew for name, grew in sorted(grown.items(), key=lambda pair: -pair[1]) if grew > 0}


def as_table(result: Mapping[str, Any]) -> str:
    """The same as lines for a terminal, also good as Markdown."""
    lines = ["| | Redis grew by MiB | most of it in | worker RSS MiB |", "|---|---|---|---|"]
    for name, each in result["parts"].items():
        scale = each["redis_mib_of_all"] * MIB / max(1, each["redis_bytes"])
        most = list(each["by_key_bytes"].items())[:4]
        told = ", ".join(f"{key} {size * scale / MIB:,.1f}" for key, size in most)
        lines.append(f"| {name} | {each['redis_mib_of_all']:,.1f} | {told} | {each['worker_rss_mib']:,.0f} |")
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    measured = f"measured with {result['share']:.0%} of these numbers; {result['records']:,} records"
    return "\n".join([*lines, "", f"{measured}; {machine}"])


@click.command()
@click.option(
    "--share", type=click.FloatRange(0.001, 1), default=1.0, show_default=True, help="Of these numbers."
)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(share: float, json_wanted: bool) -> None:
    """Measure what Redis holds of lives, products, sessions, ids and orders, on servers started for it."""
    with bench_folder() as folder:
        result = measure(folder, share)
    click.echo(json.dumps(result) if json_wanted else as_table(result))


if __name__ == "__main__":
    command()

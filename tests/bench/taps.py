"""`python -m tests.bench.taps`: what it costs in Redis to know to whom a sale belongs.

Users tap three products of one live each, and every tenth buys the last one with an order that names nobody;
all goes through the production worker. Each sale has to be that of the live tapped in, or no figure is told.
A user's day is one record: who taps three times on two days costs twice as much.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import click

from streams.local.commands import Command
from streams.local.processes import end
from streams.sources.record import Record
from streams.topics import create
from tests.bench.data import CURRENCY, MINUTE_MS, Dataset
from tests.bench.data import Totals as NoTotals
from tests.bench.harness import Place, bench_folder, expect_equal, servers
from tests.bench.machine import described
from tests.bench.sessions import DAY_MS, PARTITIONS, Running, spread_over, stored, used_memory

TAPS: Final = 3
GAP_MS: Final = 5_000
SPAN_MS: Final = 9 * MINUTE_MS
BUYS_ONE_IN: Final = 10
ROOMS: Final = 100
PRODUCTS: Final = 2_000
PER_USERS: Final = 100_000
MIB: Final = 1_048_576


class Tappers:
    """Draws taps and purchases; `gmv_minor` is what each live has to have sold, added up while drawing."""

    def __init__(self, seed: int) -> None:
        self.gmv_minor: Counter[str] = Counter()
        self._draw = random.Random(seed).random

    def records(self, users: int, start_ms: int) -> Iterator[Record]:
        """All records, in order of time."""
        drawn = (
            record
            for number, time_ms in enumerate(spread_over(start_ms, SPAN_MS - TAPS * GAP_MS, users))
            for record in self._user(number, time_ms)
        )
        yield from sorted(drawn, key=lambda record: record.timestamp_ms)

    def _user(self, number: int, time_ms: int) -> Iterator[Record]:
        room, key = int(self._draw() ** 2 * ROOMS), b"user-%07d" % number
        who = f'"platform":"tiktok","user_id":"user-{number:07d}","session_id":"s{number:07d}"'
        where = f'"live_id":"live-{room:03d}","creator_id":"creator-{room % 50:02d}"'
        product = ""
        for tap in range(TAPS):
            product = f"product-{int(self._draw() ** 2 * PRODUCTS):04d}"
            value = (
                f'{{"event_id":"t{number}-{tap}","event_type":"tag_tap","event_time_ms":{time_ms},'
                f'{who},{where},"product_id":"{product}"}}'
            )
            yield Record(time_ms, "tag-taps", key, value.encode())
            time_ms += GAP_MS
        if number % BUYS_ONE_IN == 0:
            price = 500 + int(self._draw() * 20_000)
            self.gmv_minor[f"live-{room:03d}"] += price
            value = (
                f'{{"event_id":"p{number}","event_type":"purchase","event_time_ms":{time_ms},{who},'
                f'"order_id":"o{number}","gateway":"adyen","currency":"{CURRENCY}","items":['
                f'{{"product_id":"{product}","quantity":1,"unit_price_minor":{price}}}]}}'
            )
            yield Record(time_ms, "purchases", key, value.encode())


def measure(folder: Path, users: int, seed: int = 1) -> dict[str, Any]:
    """What `--json` prints. Raises PulseError if a live did not get what it sold."""
    with servers(folder) as started:
        client = started.client()
        machine = described(str(cast("Mapping[str, object]", client.info("server"))["redis_version"]))
        asyncio.run(create(started.settings("taps.")))
        place = Place(started, Dataset("taps.", PARTITIONS, NoTotals(), 0.0), "taps", folder)
        worker = Command("worker", ["worker"], folder / "worker.log", place.environment())
        running = Running(place, worker)
        try:
            worker.launch()
            running.wait_saved(0)
            empty = used_memory(client)
            tappers = Tappers(seed)
            start_ms = time.time_ns() // 1_000_000 - SPAN_MS
            running.wait_saved(running.send(tappers.records(users, start_ms)))
            check(running, tappers, start_ms)
            by_key = {name: each["bytes"] for name, each in stored(client, place.name).items()}
            everything = used_memory(client) - empty
        finally:
            end([worker])
    scale = PER_USERS / users
    return {
        "taps_bytes_per_100k_users": round(by_key["taps"] * scale),
        "everything_bytes_per_100k_users": round(everything * scale),
        "by_key_per_100k_users": {name: round(size * scale) for name, size in by_key.items()},
        "users": users,
        "taps_per_user": TAPS,
        "seed": seed,
        "machine": machine,
    }


def check(running: Running, tappers: Tappers, since_ms: int) -> None:
    """Raises PulseError if sales are not the lives' that were tapped in."""
    found = Counter[str]()
    for start_ms in range(since_ms - since_ms % DAY_MS, time.time_ns() // 1_000_000 + 1, DAY_MS):
        for cell, amount in running.cells("live", start_ms).items():
            measure_name, _, live = cell.partition("|")
            if measure_name == f"gmv_paid:{CURRENCY}":
                found[live] += amount
    expect_equal("taps", "GMV by live", found, tappers.gmv_minor)


def as_line(result: Mapping[str, Any]) -> str:
    """The same for a terminal."""
    keys = ", ".join(f"{name} {size / MIB:,.1f}" for name, size in result["by_key_per_100k_users"].items())
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return (
        f"MiB of Redis per {PER_USERS:,} users with {TAPS} taps each: "
        f"`taps` {result['taps_bytes_per_100k_users'] / MIB:,.1f}, "
        f"everything {result['everything_bytes_per_100k_users'] / MIB:,.1f}\n"
        f"by key: {keys}\nGMV by live right; {machine}"
    )


@click.command()
@click.option("--users", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(users: int, json_wanted: bool) -> None:
    """Measure what taps cost in memory, on servers started for it, GMV by live verified."""
    with bench_folder() as folder:
        result = measure(folder, users)
    click.echo(json.dumps(result) if json_wanted else as_line(result))


if __name__ == "__main__":
    command()

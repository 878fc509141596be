"""`python -m tests.bench.growth`: what an event costs the worker's core as a shop grows.

One size at a time grows from what the contest has: products, lives, partition numbers. The core is `fold`'s,
in this process, with every figure; whatever the size, a write comes after so many records of the whole shop.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

import click

from tests.bench.fold import Size, measure
from tests.bench.machine import described

SERIES: Final[dict[str, Sequence[int]]] = {
    "products": (1_000, 10_000, 100_000, 1_000_000),
    "rooms": (100, 1_000, 10_000),
    "partitions": (4, 16, 64),
}


def grown(what: str, number: int, events: int, flush_records: int, runs: int) -> dict[str, Any]:
    """Median µs an event and bytes an event at one size."""
    size = replace(Size(), **{what: number})
    found = [measure("all", events, max(1, flush_records // size.partitions), size) for _ in range(runs)]
    return {
        "number": number,
        "us": round(median(each["us"] for each in found), 2),
        "us_all": [round(each["us"], 2) for each in found],
        "bytes": round(found[0]["bytes"], 1),
    }


def as_table(result: dict[str, Any]) -> str:
    """A line for each size; ratios to the smallest of its series."""
    lines = ["| | µs an event: median (min–max) | to the smallest | bytes to Redis |", "|---|---|---|---|"]
    for what, points in result["series"].items():
        for each in points:
            spread = f"{min(each['us_all'])}–{max(each['us_all'])}"
            lines.append(
                f"| {each['number']:,} {what} | {each['us']:.1f} ({spread}) "
                f"| {each['us'] / points[0]['us']:.2f} × | {each['bytes']:.0f} |"
            )
    return "\n".join(lines)


@click.command()
@click.option("--events", type=click.IntRange(1), default=200_000, show_default=True, help="Of a run.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Of each size.")
@click.option(
    "--flush-records", type=click.IntRange(1), default=16_000, show_default=True, help="Of all partitions."
)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(events: int, runs: int, flush_records: int, json_wanted: bool) -> None:
    """How the cost of an event grows with products, lives and partition numbers."""
    series = {
        what: [grown(what, number, events, flush_records, runs) for number in numbers]
        for what, numbers in SERIES.items()
    }
    result = {"events": events, "series": series, "machine": described("none")}
    click.echo(json.dumps(result) if json_wanted else as_table(result))


if __name__ == "__main__":
    command()

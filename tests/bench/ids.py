"""`python -m tests.bench.ids`: what the ids of the dedupe horizon cost, packed and as sets of integers.

Four topic-partitions take ids for three horizons: the first ones have left by then. Each way runs in a
process of its own, whose memory is read at the end; the times are processor time of the window alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final
from unittest.mock import patch

import click

from streams import identity
from streams.allocator import give_back_freed
from streams.identity import IdWindow
from streams.window import MINUTE_MS
from tests.bench.machine import described, rss_mib

HORIZON_MINUTES: Final = 6
# Six minutes and the one that is going on.
KEPT_MS: Final = 7 * MINUTE_MS
HORIZONS: Final = 3
WINDOWS: Final = 4
START_MS: Final = 1_767_614_400_000
# What is worth packing, of a minute that is over and of one that goes on.
WAYS: Final = {
    "packed": {"PACKED_IDS_MIN": identity.PACKED_IDS_MIN, "PART_IDS": identity.PART_IDS},
    "sets": {"PACKED_IDS_MIN": sys.maxsize, "PART_IDS": sys.maxsize},
}


def measure(worth: Mapping[str, Any], ids: int, batch: int) -> dict[str, float]:
    """One way, in this process: MiB of the windows, µs of processor time an id, the slowest batch in ms."""
    give_back_freed()
    windows = [IdWindow(HORIZON_MINUTES) for _ in range(WINDOWS)]
    before_mib, used_s, slowest_s, number = rss_mib(os.getpid()), 0.0, 0.0, 0
    with patch.multiple(identity, **worth):
        while number < HORIZONS * ids:
            at_ms = START_MS + number * KEPT_MS // ids
            for window in windows:
                names = [f"1a2b3c4d-{each:08x}" for each in range(number, number + batch)]
                times_ms = [at_ms] * batch
                began_s = time.process_time()
                fresh = window.admit(names, times_ms, times_ms)
                window.take_unsaved()
                took_s = time.process_time() - began_s
                if len(fresh) != batch:
                    raise click.ClickException(
                        "a window took a new id for a repetition: its cost says nothing"
                    )
                used_s, slowest_s, number = used_s + took_s, max(slowest_s, took_s), number + batch
    return {
        "mib": round(rss_mib(os.getpid()) - before_mib, 1),
        "us_an_id": round(used_s / number * 1e6, 2),
        "slowest_batch_ms": round(slowest_s * 1e3, 1),
    }


@click.command()
@click.option("--ids", type=click.IntRange(1), default=7_000_000, show_default=True, help="In the horizon.")
@click.option("--batch", type=click.IntRange(1), default=4_000, show_default=True, help="Records at once.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(ids: int, batch: int, json_wanted: bool) -> None:
    """Measure the memory and the time of the ids by which repeated events are known."""
    result: dict[str, Any] = {"ids": ids, "batch": batch, "machine": described("none")}
    for way, worth in WAYS.items():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            result[way] = apart.submit(measure, worth, ids, batch).result()
    if json_wanted:
        click.echo(json.dumps(result))
        return
    lines = ["| ids in the horizon | MiB | µs an id | slowest batch, ms |", "|---|---|---|---|"]
    for way in WAYS:
        lines.append(f"| {ids:,}, {way} | " + " | ".join(str(each) for each in result[way].values()) + " |")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    command()

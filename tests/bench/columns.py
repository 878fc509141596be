"""`python -m tests.bench.columns`: dicts or columns? The fold of the whole catalogue, in five ways.

One batch of events of the simulated shop is counted by pane, type and value in every kind of scope. All ways
have to come to the same cells, as Python objects: that is what a guarded write is made of. Decoding and
telling repeated ids apart are measured beside them. The record: docs/decisions/0002-columns-of-objects.md.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import islice
from operator import attrgetter
from statistics import median
from typing import Any, Final

import click
import orjson
import polars

from schemas.codec import Rejected, decode_batch
from schemas.events import Event
from streams.catalogue import EVENT_COUNTS
from streams.fold import EventCounter
from streams.identity import IdWindow
from streams.kpi import Level
from streams.scopes import ALL, GATEWAY, SCOPES
from streams.settings import Settings
from streams.sources.record import Record
from streams.sources.simulation import SimConfig, simulate
from streams.sums import Sums
from streams.worker import rules_of

START_MS: Final = 1_785_931_200_000
RATE: Final = 2_000.0
PANE_MS: Final = 10_000
# The order service's records are booked one by one in any case: they move money.
TOPICS: Final = ("views", "tag-taps", "carts", "livestreams", "engagement")
KINDS: Final = [
    kind
    for kind in SCOPES.values()
    if len(kind.fields) == 1 and kind is not GATEWAY and kind.level is not Level.EVENT
]
FIELDS: Final = [kind.fields[0] for kind in KINDS]
NAMES: Final = {cls: measure.name for cls, measure in EVENT_COUNTS.items()}
WHOLES: Final = frozenset(NAMES.values())

# (kind of scope, start of the pane, measure, value) -> count
Cells = dict[tuple[str, int, str, str], int]


class Batch:
    """Records, and the same as events.

    Keys that a record repeats are taken out: the last one counts by the contract, the first one for polars.
    """

    def __init__(self, size: int) -> None:
        wanted = (each for each in simulate(SimConfig(start_ms=START_MS, rate=RATE)) if _is_wanted(each))
        records = list(islice(wanted, size))
        self.values = {
            topic: [orjson.dumps(orjson.loads(each.value)) for each in records if each.topic == topic]
            for topic in TOPICS
        }
        self.lines = b"\n".join(value for values in self.values.values() for value in values)
        self.events = self.decode()
        self.times_ms = [event.event_time_ms for event in self.events]

    def decode(self) -> list[Event]:
        """Every record judged and typed, as the worker does it."""
        judged = [each for topic, values in self.values.items() for each in decode_batch(values, topic)]
        events = [each for each in judged if not isinstance(each, Rejected)]
        if len(events) < len(judged):
            raise click.ClickException("the simulated shop made a record that is no event")
        return events


def _is_wanted(record: Record) -> bool:
    return record.topic in TOPICS and record.key is not None  # without a key: a source's heartbeat


def with_dicts(batch: Batch) -> Cells:
    """A loop over events and scopes."""
    get: Callable[[Event], Any] = attrgetter(*FIELDS)
    panes: dict[int, list[defaultdict[tuple[str, str], int]]] = {}
    for event, time_ms in zip(batch.events, batch.times_ms, strict=True):
        start_ms = time_ms - time_ms % PANE_MS
        tables = panes.get(start_ms)
        if tables is None:
            tables = panes[start_ms] = [defaultdict(int) for _ in range(len(KINDS) + 1)]
        name = NAMES[event.__class__]
        for table, value in zip(tables, (*get(event), ""), strict=True):
            if value is not None:
                table[name, value] += 1
    kinds = [*(kind.name for kind in KINDS), ALL.name]
    return {
        (kind, start_ms, *key): count
        for start_ms, tables in panes.items()
        for kind, table in zip(kinds, tables, strict=True)
        for key, count in table.items()
    }


def with_columns_of_objects(batch: Batch) -> Cells:
    """What the worker does: `Counter` over zipped columns of the events' own strings."""
    rules = rules_of(Settings())
    sums = Sums(rules.figures, rules.sizes)
    EventCounter(rules.figures, sums).count(batch.events, batch.times_ms)
    starts = {time_ms - time_ms % PANE_MS for time_ms in batch.times_ms}
    return {
        (kind.name, start_ms, *key): count
        for kind in (*KINDS, ALL)
        for start_ms in starts
        for key, count in sums.cells_of(kind.name, start_ms).items()
        if key[0] in WHOLES  # The parts by a field are not what is compared.
    }


def with_columns_of_one_pane(batch: Batch) -> Cells:
    """The same where all events fall into one pane, as they mostly do: its start need not be counted."""
    starts = {time_ms - time_ms % PANE_MS for time_ms in batch.times_ms}
    if len(starts) > 1:
        raise click.ClickException("the batch spans two panes: take fewer --events")
    start_ms = starts.pop()
    names = [NAMES[event.__class__] for event in batch.events]
    columns = zip(*map(attrgetter(*FIELDS), batch.events), strict=True)
    counts = {
        kind.name: Counter(zip(names, column, strict=True))
        for kind, column in zip(KINDS, columns, strict=True)
    }
    counts[ALL.name] = Counter((name, "") for name in names)
    return {
        (kind, start_ms, *key): count
        for kind, cells in counts.items()
        for key, count in cells.items()
        if key[1] is not None
    }


def with_polars_from_objects(batch: Batch) -> Cells:
    """The same columns handed to polars."""
    columns = dict(zip(FIELDS, zip(*map(attrgetter(*FIELDS), batch.events), strict=True), strict=True))
    frame = polars.DataFrame(
        {
            "measure": [NAMES[event.__class__] for event in batch.events],
            "event_time_ms": batch.times_ms,
            **columns,
        },
        schema={"measure": polars.String, "event_time_ms": polars.Int64}
        | dict.fromkeys(FIELDS, polars.String),
    )
    return _grouped(frame)


def with_polars_from_bytes(batch: Batch) -> Cells:
    """JSON straight into columns. Nothing is judged: no reason, no rule of the contract."""
    schema = {"event_type": polars.String, "event_time_ms": polars.Int64} | dict.fromkeys(
        FIELDS, polars.String
    )
    frame = polars.read_ndjson(batch.lines, schema=schema)
    return _grouped(frame.with_columns(("events." + polars.col("event_type")).alias("measure")))


def _grouped(frame: polars.DataFrame) -> Cells:
    """A group-by per kind of scope, all in one go on all threads, and the groups as Python objects."""
    time_ms = polars.col("event_time_ms")
    lazy = frame.lazy().with_columns((time_ms - time_ms % PANE_MS).alias("start"))
    queries = [
        lazy.filter(polars.col(field).is_not_null()).group_by("start", "measure", field).len()
        for field in FIELDS
    ]
    queries.append(lazy.group_by("start", "measure", polars.lit("").alias("value")).len())
    kinds = [*(kind.name for kind in KINDS), ALL.name]
    return {
        (kind, *group[:3]): group[3]
        for kind, found in zip(kinds, polars.collect_all(queries), strict=True)
        for group in found.iter_rows()
    }


def tell_repeated_apart(batch: Batch) -> int:
    """64-bit hashes of all ids into a set, with the minute in which each may be forgotten."""
    window = IdWindow(horizon_minutes=6)
    ids = [event.event_id for event in batch.events]
    return len(window.admit(ids, [max(batch.times_ms)] * len(ids), batch.times_ms))


WAYS: Final[dict[str, Callable[[Batch], Cells]]] = {
    "fold: dicts": with_dicts,
    "fold: columns of objects (Counter)": with_columns_of_objects,
    "fold: columns of objects of one pane (Counter)": with_columns_of_one_pane,
    "fold: columns of objects (polars)": with_polars_from_objects,
    "fold: polars from the bytes, its own decoding in it": with_polars_from_bytes,
}
PARTS: Final[dict[str, Callable[[Batch], object]]] = {
    "decode and judge (msgspec)": Batch.decode,
    "tell repeated ids apart": tell_repeated_apart,
    **WAYS,
}


def measure(size: int, rounds: int) -> dict[str, Any]:
    """Microseconds per event of each part, by the wall clock and in processor time of all threads."""
    batch = Batch(size)
    wanted = with_dicts(batch)
    for name, way in WAYS.items():
        if way(batch) != wanted:
            raise click.ClickException(f"{name} comes to other cells than dicts")
    wall: dict[str, list[float]] = {name: [] for name in PARTS}
    cpu: dict[str, list[float]] = {name: [] for name in PARTS}
    for _ in range(rounds):
        for name, part in PARTS.items():
            gc.collect()
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            part(batch)
            cpu[name].append((time.process_time() - cpu_s) * 1e6 / size)
            wall[name].append((time.perf_counter() - wall_s) * 1e6 / size)
    return {
        "events": size,
        "cells": len(wanted),
        "kinds": len(KINDS) + 1,
        "rounds": rounds,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "us_per_event": {
            name: {
                "wall": round(median(wall[name]), 2),
                "wall_min": round(min(wall[name]), 2),
                "wall_max": round(max(wall[name]), 2),
                "cpu": round(median(cpu[name]), 2),
            }
            for name in PARTS
        },
    }


def as_table(result: dict[str, Any]) -> str:
    """The same as Markdown."""
    lines = ["| part | µs an event: median (min–max) | CPU µs, all threads |", "|---|---|---|"]
    lines += [
        f"| {name} | {us['wall']:.2f} ({us['wall_min']:.2f}–{us['wall_max']:.2f}) | {us['cpu']:.2f} |"
        for name, us in result["us_per_event"].items()
    ]
    frame = ", ".join(f"{name} {value}" for name, value in result.items() if name != "us_per_event")
    return "\n".join([*lines, "", frame])


@click.command()
@click.option("--events", type=click.IntRange(1), default=5_000, show_default=True, help="In the batch.")
@click.option("--rounds", type=click.IntRange(7), default=21, show_default=True, help="Parts take turns.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(events: int, rounds: int, json_wanted: bool) -> None:
    """Measure the fold of the whole catalogue with dicts and with columns."""
    result = measure(events, rounds)
    click.echo(json.dumps(result) if json_wanted else as_table(result))


if __name__ == "__main__":
    command()

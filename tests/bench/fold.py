"""`python -m tests.bench.fold`: the worker's own work in this process, by parts; no Kafka, Redis or Faust.

The records of the contest go through the production core as an owner hands them over: decoded, judged,
counted, and now and then packed as the command of a guarded write, which nobody gets. What is read back from
Redis comes from plain dicts, outside of the clock. Times are processor time of this thread.
"""

from __future__ import annotations

import gc
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from itertools import islice
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import click
import hiredis
from msgspec.msgpack import encode

from schemas.partitioning import partition_of
from streams import state as state_module
from streams import verdict
from streams.batch import Batch, PlainRecord, chunks
from streams.collector import OF_RECORDS, collect_seldom
from streams.fold import EventCounter
from streams.funnel import SessionBook
from streams.identity import IdWindow
from streams.kpis import FIGURE_SETS
from streams.ledger import trim
from streams.order_service import OrderService
from streams.settings import Settings
from streams.state import PartitionState, Rules
from streams.transport import BATCH_RECORDS_MAX
from streams.users import UserSketches
from streams.worker import rules_of
from streams.write_plan import Keys, plan
from tests.bench.data import PRODUCTS, ROOMS, SPAN_MS, Shop
from tests.bench.machine import described
from tests.driver import Saved

START_MS: Final = 1_785_931_200_000
# Of each topic-partition so many parts, by turns: topics stay as close as in a worker that keeps up.
TURNS: Final = 20
# What a part of the work is called, and the functions that do it: time belongs to the innermost of them.
PARTS: Final = (
    ("decode", verdict, "decode_batch"),
    ("judge", verdict.Screen, "screen"),
    ("tell repeated ids", IdWindow, "admit"),
    ("count in every scope", EventCounter, "count"),
    ("users", UserSketches, "add"),
    ("users", UserSketches, "take"),
    ("sessions", SessionBook, "ids"),
    ("sessions", SessionBook, "accept"),
    ("orders and payments", OrderService, "apply"),
    ("orders and payments", OrderService, "wanted"),
    ("what to read", PartitionState, "missing"),
    ("what to read", PartitionState, "load_records"),
    ("the rest of the fold", PartitionState, "apply"),
    ("roll up", PartitionState, "take"),
)
STORIES: Final = (
    "RoomBook ProductBook AttributionBook AfterPurchaseBook AdBook LiveStarts ReturnBook ArrivalBook "
    "RedirectBook"
).split()


@dataclass
class Clock:
    """Processor time of this thread by part; a part that calls another one stands still meanwhile."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _running: list[str] = field(default_factory=list)
    _since_s: float = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs in the block belongs to this part."""
        self._book()
        self._running.append(name)
        try:
            yield
        finally:
            self._book()
            self._running.pop()

    def _book(self) -> None:
        now_s = time.thread_time()
        if self._running:
            self.seconds[self._running[-1]] += now_s - self._since_s
        self._since_s = now_s

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, on this clock."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                found = function(*args, **kwargs)
                # A generator does its work where it is gone through.
                return list(found) if isinstance(found, Iterator) else found

        return timed

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block the production code runs on this clock."""
        stories = [getattr(state_module, name) for name in STORIES]
        parts = [*PARTS, *(("stories", each, name) for each in stories for name in ("ids", "accept"))]
        with ExitStack() as stack:
            for name, owner, attribute in parts:
                around = self.around(name, getattr(owner, attribute))
                stack.enter_context(patch.object(owner, attribute, around))
            yield


@dataclass(frozen=True)
class Size:
    """How large the shop is that is folded."""

    partitions: int = 4
    rooms: int = ROOMS
    products: int = PRODUCTS


class Shopfront:
    """The states of all partition numbers, and what Redis would hold of them."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._saved = [Saved() for _ in range(rules.partitions)]
        self._states = [saved.load(p, rules) for p, saved in enumerate(self._saved)]
        for state in self._states:
            state.bounds.sharing = rules.partitions
        self._unsaved = Counter[int]()
        self.bytes_written = 0

    def take(self, batch: Batch, clock: Clock, flush_records: int) -> None:
        """Folds a batch, and writes once so many records have gathered."""
        state, saved = self._states[batch.partition], self._saved[batch.partition]
        for chunk in chunks(batch):
            trim(state.ledgers, state.bounds.copies)
            screened = state.screen(batch.topic, chunk)
            while missing := state.missing(batch.topic, screened):
                records = {
                    name: {each: saved.ledgers[name].get(each) for each in ids}
                    for name, ids in missing.records.items()
                }
                state.load_records(records)
                state.sums.admission.load({place: saved.cells[place] for place in missing.cells})
            state.apply(batch.topic, chunk, screened, chunk[-1].offset + 1)
        self._unsaved[batch.partition] += len(batch.records)
        if self._unsaved[batch.partition] >= flush_records:
            self.write(batch.partition, clock)

    def write(self, partition: int, clock: Clock) -> None:
        """Packs the guarded write of everything unsaved."""
        state = self._states[partition]
        write = state.take()
        with clock.part("plan the write"):
            operations = plan(Keys("bench", partition), self._rules.figures, write)
        with clock.part("pack the write"):
            command = hiredis.pack_command(("EVALSHA", *operations.keys, encode(operations.args)))  # type: ignore[arg-type]
        self.bytes_written += len(command)
        self._unsaved[partition] = 0
        self._saved[partition].apply(state, write)

    def cells(self) -> dict[tuple[str, str], int]:
        """Sums of the minute panes by kind and name, over partitions and panes: to be compared."""
        found: Counter[tuple[str, str]] = Counter()
        for saved in self._saved:
            for (kind, pane), fields in saved.cells.items():
                if pane.size.name == "1m":
                    found.update({(kind, name): amount for name, amount in fields.items()})
        return found


def batches(events: int, size: Size, seed: int = 1) -> list[Batch]:
    """The records of the contest, as a consumer that keeps up would hand them over."""
    shop = Shop(seed, size.rooms, size.products)
    logs: defaultdict[tuple[str, int], list[PlainRecord]] = defaultdict(list)
    for record in shop.records(START_MS + SPAN_MS * number // events for number in range(events)):
        log = logs[record.topic, partition_of(record.key or b"", size.partitions)]
        log.append(PlainRecord(len(log), record.timestamp_ms, record.key, record.value))
    found: list[Batch] = []
    for turn in range(TURNS):
        for (topic, p), log in logs.items():
            part = iter(log[len(log) * turn // TURNS : len(log) * (turn + 1) // TURNS])
            while records := list(islice(part, BATCH_RECORDS_MAX)):
                found.append(Batch(topic, p, 1, records[0].offset, records[-1].offset + 1, records))
    return found


def measure(figures: str, events: int, flush_records: int, size: Size = Size()) -> dict[str, Any]:
    """One run: µs of processor time an event, by part, and the bytes that a write sends an event."""
    shop = Shopfront(rules_of(Settings(partitions=size.partitions, figures=figures)))
    records = batches(events, size)
    clock = Clock()
    gc.collect()
    before = gc.get_threshold()
    collect_seldom(OF_RECORDS)
    try:
        with clock.watching():
            for batch in records:
                shop.take(batch, clock, flush_records)
            for p in range(size.partitions):
                shop.write(p, clock)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
    parts = {name: seconds / events * 1e6 for name, seconds in clock.seconds.items()}
    return {
        "us": sum(parts.values()),
        "parts": parts,
        "bytes": shop.bytes_written / events,
        "cells": shop.cells(),
    }


@click.command()
@click.option("--events", type=click.IntRange(1), default=200_000, show_default=True, help="Of a run.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Of each figure set.")
@click.option(
    "--flush-records", type=click.IntRange(1), default=4_000, show_default=True, help="A partition's write."
)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(events: int, runs: int, flush_records: int, json_wanted: bool) -> None:
    """Where the worker's own time goes, by part, for each set of figures."""
    result: dict[str, Any] = {"events": events, "flush_records": flush_records, "machine": described("none")}
    measured = {
        figures: [measure(figures, events, flush_records) for _ in range(runs)] for figures in FIGURE_SETS
    }
    few, all_cells = (measured[figures][0]["cells"] for figures in ("funnel-gmv", "all"))
    if not few.items() <= all_cells.items():
        raise click.ClickException("the cores have lost events, so their times say nothing")
    for figures, found in measured.items():
        result[figures] = {
            "us": [round(each["us"], 2) for each in found],
            "bytes": round(found[0]["bytes"], 1),
            "parts": {
                name: round(median(each["parts"][name] for each in found), 2) for name in found[0]["parts"]
            },
        }
    click.echo(json.dumps(result) if json_wanted else as_table(result))


def as_table(result: dict[str, Any]) -> str:
    """A column for each figure set; parts in the order of the work."""
    sets = [result[figures] for figures in FIGURE_SETS]
    order = list(dict.fromkeys(name for each in sets for name in each["parts"]))
    lines = [f"| µs an event | {' | '.join(FIGURE_SETS)} |", "|---" * (len(sets) + 1) + "|"]
    for name in order:
        lines.append(f"| {name} | " + " | ".join(f"{each['parts'].get(name, 0):.2f}" for each in sets) + " |")
    spreads = (f"**{median(each['us']):.1f}** ({min(each['us'])}–{max(each['us'])})" for each in sets)
    lines.append("| **all** (min–max) | " + " | ".join(spreads) + " |")
    lines.append("| bytes to Redis | " + " | ".join(f"{each['bytes']:.0f}" for each in sets) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    command()

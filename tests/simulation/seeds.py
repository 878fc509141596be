"""Seeds: what each decides, and running many of them."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from random import Random
from unittest.mock import patch

from streams import batch, fleet, identity, memory_bounds, owner, sums, users, write_plan
from streams.settings import Settings
from streams.state import Rules
from streams.worker import rules_of
from tests.simulation.faults import draw_faults
from tests.simulation.records import draw_records
from tests.simulation.world import FAULTS_WANTED, Outcome, Story, World

FAULTS_DRAWN = 120
# Owners are asked less often than in production whether a flush is due: a story takes fewer steps.
TICK_S = 0.05
# Limits of memory and of writes that small stories would never reach: as they are, or small.
LIMITS: dict[str, tuple[object, int]] = {
    "COPIES_MAX": (memory_bounds, 3),
    "UNSAVED_RECORDS_MAX": (owner, 6),
    "CHUNK_RECORDS": (batch, 2),
    "CHUNK_PURCHASES": (batch, 2),
    "KNOWN_CELLS_MAX": (memory_bounds, 40),
    "EXPIRED_PANES_MAX": (sums, 5),
    "RECENT_MAX": (memory_bounds, 4),
    "SWEPT_PANES_MAX": (users, 2),
    "IDLE_VALUES_MAX": (memory_bounds, 5),
    "TRIM_MAX": (write_plan, 2),
    "SWEEP_MAX": (write_plan, 2),
    "SLICE_MAX": (write_plan, 10),
    "PACKED_IDS_MIN": (identity, 1),
    "PART_IDS": (identity, 2),
}


@dataclass(frozen=True)
class Failure:
    """A seed that showed something wrong, and what."""

    seed: int
    wrong: list[str]


@dataclass
class Totals:
    """What many seeds came to."""

    seeds: int = 0
    records: int = 0
    writes: int = 0
    steps: int = 0
    # Seeds with fewer faults than there are to be: all was sent and read, and none was left to happen.
    calm_seeds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    in_records: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        """Takes up what others came to."""
        self.seeds += other.seeds
        self.records += other.records
        self.writes += other.writes
        self.steps += other.steps
        self.calm_seeds += other.calm_seeds
        self.faults += other.faults
        self.in_records += other.in_records
        self.failures += other.failures


def story_of(seed: int, drawn: Counter[str] | None = None) -> Story:
    """Everything that a seed decides before its story begins."""
    rng = Random(seed)
    records = draw_records(rng, Counter() if drawn is None else drawn)
    return Story(
        schedule=rng.getrandbits(64),
        records=records,
        faults=draw_faults(rng, FAULTS_DRAWN),
        scope_values_max=rng.choice((20_000, 20_000, 20_000, 1, 2)),
        max_dirty_cells=rng.choice((20_000, 20_000, 300)),
        watchdog_ms=60_000 if rng.random() < 0.1 else 10**15,
        limits={name: small for name, (_, small) in LIMITS.items() if rng.random() < 0.2},
    )


@cache
def _rules(scope_values_max: int) -> Rules:
    return rules_of(Settings(partitions=1, scope_values_max=scope_values_max))


@contextmanager
def _limited(limits: Mapping[str, int]) -> Iterator[None]:
    before = {name: getattr(LIMITS[name][0], name) for name in limits}
    for name, small in limits.items():
        setattr(LIMITS[name][0], name, small)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(LIMITS[name][0], name, value)


def run_story(story: Story) -> Outcome:
    """Lets a story happen."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    # What is collected when is no part of a story: nothing is, until it ends.
    collects = gc.isenabled()
    gc.disable()
    try:
        with _limited(story.limits), patch.object(fleet, "TICK_S", TICK_S):
            return World(story, _rules(story.scope_values_max)).run()
    finally:
        logging.disable(disabled)
        if collects:
            gc.enable()


def run_many(seeds: Iterable[int]) -> Totals:
    """Runs seeds one after the other."""
    totals = Totals()
    for seed in seeds:
        story = story_of(seed, totals.in_records)
        outcome = run_story(story)
        totals.seeds += 1
        totals.records += outcome.records
        totals.writes += outcome.writes
        totals.steps += outcome.steps
        totals.calm_seeds += outcome.faults.total() < FAULTS_WANTED
        totals.faults += outcome.faults
        if outcome.wrong:
            totals.failures.append(Failure(seed, outcome.wrong))
    return totals


def run_seeds(seeds: Iterable[int]) -> list[Failure]:
    """The failures among these seeds; none, where everything is as it should be."""
    return run_many(seeds).failures

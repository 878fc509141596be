"""The short form of `make chaos`: every kind of fault at least once, on real processes, everything proved."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.plan import Kind, chaos_plan
from tests.chaos.report import as_markdown
from tests.chaos.run import as_json, run

SEED = 4
RATE = 300
# Two and a half are enough on a machine of two cores; a busy one gets what it needs.
MINUTES = 60.0


def test_every_kind_of_fault(tmp_path: Path) -> None:
    """Kafka, Redis, workers, network, disk and clocks broken, some at once: every figure in Redis, API and
    `/metrics` equals the recomputation, dead letters and late rows are equal by id.

    In small: 22 faults, 300 events/s; `make chaos` makes 200 with more than a million events.
    """
    # Shown when the test fails.
    print(f"seed {SEED}")
    steps = chaos_plan(SEED, len(Kind))
    found = as_json(run(tmp_path, steps, seed=SEED, rate=RATE, minutes=MINUTES, say=print))
    print(as_markdown(found), found["proof"])
    assert found["mismatches"] == 0
    assert {each["kind"] for each in found["faults"] if each["back_s"] is not None} == set(Kind)
    assert found["proof"]["verify"]["compared"] > 100_000
    assert found["proof"]["metrics"]["compared"] > 1_000
    # The faults did what they are for: Redis forgot something, and dead letters were sent again.
    assert found["lost_records"] > 0
    assert found["outputs"]["dead-letters"] > found["proof"]["verify"]["dead_letters"]

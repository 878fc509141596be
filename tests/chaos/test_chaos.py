"""The short form of `make chaos`: every kind of fault at least once, on real processes, everything proved."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.plan import Kind, chaos_plan
from tests.chaos.report import as_markdown
from tests.chaos.run import as_json, run

SEED = 4
RATE = 600
# On a machine that is so slow that not even twenty faults fit in, the test fails.
MINUTES = 10.0
LEAST = 20


def test_every_kind_of_fault(tmp_path: Path) -> None:
    """Kafka, Redis, workers, network, disk and clocks broken, some at once: every figure in Redis, API and
    `/metrics` equals the recomputation, dead letters and late rows are equal by id.

    In small: 22 faults, 600 events/s; `make chaos` makes 200 with more than a million events.
    """
    said: list[str] = []
    steps = chaos_plan(SEED, len(Kind))
    result = run(tmp_path, steps, seed=SEED, rate=RATE, minutes=MINUTES, say=said.append)
    found = as_json(result)
    story = "\n".join([*said, as_markdown(found), str(found["proof"])])
    assert found["mismatches"] == 0, story
    assert len(found["faults"]) >= LEAST, story
    assert found["proof"]["verify"]["compared"] > 100_000, story
    assert found["proof"]["metrics"]["compared"] > 1_000, story
    # The faults did what they are for: Redis forgot something, and dead letters were sent again.
    assert found["lost_records"] > 0, story
    assert found["outputs"]["dead-letters"] > found["proof"]["verify"]["dead_letters"], story

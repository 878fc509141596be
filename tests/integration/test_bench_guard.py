"""A guard against getting slower by half, by ratio: what a machine is worth cancels out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import __main__ as contest
from tests.bench import shop_pulse, shop_pulse_all
from tests.bench.harness import Contestant

OFF_MAX = 2.0
EVENTS = 40_000
# Processor time an event: of the whole core to decoding alone, and of the worker to its core (with all its
# threads: fetching, Faust, Redis's client). From several runs of this test; see docs/performance.md.
CORE_TO_DECODING = {"all": 28.0, "funnel-gmv": 4.8}
WORKER_TO_CORE = {"all": 1.2, "funnel-gmv": 1.05}
WORKERS: dict[str, tuple[Contestant, int]] = {
    "all": (shop_pulse_all, 60_000),
    "funnel-gmv": (shop_pulse, 240_000),
}


@pytest.fixture(scope="module")
def core() -> dict[str, dict[str, Any]]:
    """What the core needs for each figure set, in a process of its own: coverage slows this one down."""
    run = [sys.executable, "-m", "tests.bench.fold", "--events", str(EVENTS), "--runs", "1", "--json"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def expect_near(found: float, wanted: float, what: str) -> None:
    """Fails where a ratio is off by more than the guard allows, in either direction."""
    assert wanted / OFF_MAX < found < wanted * OFF_MAX, f"{what} is {found:.2f}, was about {wanted}"


@pytest.mark.parametrize("figures", WORKERS)
def test_the_core_is_as_fast_as_ever_beside_decoding(core: dict[str, dict[str, Any]], figures: str) -> None:
    """Whoever makes counting twice as dear learns it here."""
    ratio = core[figures]["us"][0] / core[figures]["parts"]["decode"]
    expect_near(ratio, CORE_TO_DECODING[figures], f"core to decoding, {figures}")


@pytest.mark.parametrize("figures", WORKERS)
def test_the_worker_is_as_fast_as_ever_beside_its_core(
    core: dict[str, dict[str, Any]], figures: str, tmp_path: Path
) -> None:
    """Whoever makes the way to and from the core twice as dear learns it here."""
    contestant, events = WORKERS[figures]
    result: dict[str, Any] = contest.measure(
        tmp_path, [contestant], events=events, plain_events=1, runs=1, seed=1
    )
    cpu = result["contestants"][contestant.NAME]["cpu_us_per_event"]["worker"]
    expect_near(cpu["median"] / core[figures]["us"][0], WORKER_TO_CORE[figures], f"worker to core, {figures}")

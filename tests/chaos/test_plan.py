"""A plan is drawn from its seed alone, has every kind of fault, and never breaks one thing twice at once."""

from __future__ import annotations

import pytest

from tests.chaos.plan import (
    EARLY_SHARE,
    SIZES,
    SOAK_LEFT_OUT,
    SPECS,
    Fault,
    Kind,
    Step,
    chaos_plan,
    soak_plan,
    told,
)

SEEDS = range(40)


def _faults(steps: tuple[Step, ...]) -> list[Fault]:
    return [fault for step in steps for fault in step.faults]


def test_a_seed_is_a_plan() -> None:
    """A run that failed can be drawn again; another seed is another run."""
    assert chaos_plan(7, 60) == chaos_plan(7, 60)
    assert chaos_plan(7, 60) != chaos_plan(8, 60)
    assert soak_plan(7, 60) == soak_plan(7, 60)


@pytest.mark.parametrize("count", [1, 22, 200])
def test_a_plan_has_so_many_faults(count: int) -> None:
    """Numbered in order; with as many as there are kinds, each is there."""
    for seed in SEEDS:
        faults = _faults(chaos_plan(seed, count))
        assert [fault.number for fault in faults] == list(range(1, count + 1))
        assert len({fault.kind for fault in faults}) == min(count, len(Kind)) or count > len(Kind)
        if count >= len(Kind):
            assert {fault.kind for fault in faults} == set(Kind)


def test_faults_at_once_touch_different_things() -> None:
    """Of two faults on Redis's process the second would break what the first has not healed."""
    together = 0
    for seed in SEEDS:
        for step in chaos_plan(seed, 100):
            touched = [SPECS[fault.kind].touches for fault in step.faults]
            assert len(touched) == len(set(touched))
            together += len(touched) > 1
    assert together > 10 * len(SEEDS)


def test_not_every_fault_is_followed_by_quiet() -> None:
    """Some come before the figures are back after the one before."""
    quiet = [step.quiet for seed in SEEDS for step in chaos_plan(seed, 60)]
    assert 0.6 < sum(quiet) / len(quiet) < 0.8


def test_a_rebuild_comes_early() -> None:
    """FLUSHALL has the whole log read again: the longer the run, the longer that takes."""
    for seed in SEEDS:
        for count in (22, 200):
            numbers = [f.number for f in _faults(chaos_plan(seed, count)) if f.kind is Kind.REDIS_FLUSH]
            assert numbers and max(numbers) <= max(SIZES) * max(1, round(count * EARLY_SHARE))


def test_faults_last_as_long_as_their_kind() -> None:
    """A zombie is stopped for longer than its session of 6 s, whatever the seed."""
    for seed in SEEDS:
        for fault in _faults(chaos_plan(seed, 60)):
            spec = SPECS[fault.kind]
            assert spec.shortest_s <= fault.lasts_s <= spec.longest_s
    assert SPECS[Kind.WORKER_STOP].shortest_s > 6


def test_a_soak_leaves_servers_their_processes() -> None:
    """One fault at a time, none of which starts the broker or Redis again."""
    steps = soak_plan(3, 50)
    assert {len(step.faults) for step in steps} == {1}
    assert {fault.kind for fault in _faults(steps)} == set(Kind) - SOAK_LEFT_OUT


def test_a_plan_is_told_in_a_line() -> None:
    """How many of each kind."""
    steps = (Step((Fault(1, Kind.REDIS_CUT, 0, 1, 1), Fault(2, Kind.WORKER_KILL, 0, 0, 1)), 0, True),)
    assert told((*steps, *steps)) == "2 redis-cut, 2 worker-kill"

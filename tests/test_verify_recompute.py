"""verify.recompute against the scenarios, and facts that hold for all of them."""

from __future__ import annotations

import random

import pytest

from tests.scenario_kit import Scenario
from tests.scenarios import SCENARIOS
from verify.model import Expected
from verify.panes import OF_DAYS
from verify.recompute import recompute
from verify.rules import SIZE_MS, Rules

FATES = ("accepted", "excluded", "duplicates", "late", "dead_letters")


def recomputed(scenario: Scenario) -> Expected:
    """The scenario's log, recomputed with its settings."""
    return recompute(scenario.log(), Rules(partitions=scenario.partitions, **scenario.settings))


each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@each_scenario
def test_scenario(scenario: Scenario) -> None:
    """The recomputation gives what was computed by hand."""
    expected = recomputed(scenario)
    assert scenario.selected(expected.cells) == scenario.cells
    assert scenario.selected_users(expected.user_counts) == scenario.users
    assert expected.dead_letters == scenario.dead_letters
    assert expected.late == scenario.late


@each_scenario
def test_order_of_topics_does_not_matter(scenario: Scenario) -> None:
    """Topics may be read in any order: only the order within a topic-partition counts."""
    by_place: dict[tuple[str, int], list[int]] = {}
    log = scenario.log()
    for number, record in enumerate(log):
        by_place.setdefault((record.topic, record.partition), []).append(number)
    queues = [list(numbers) for numbers in by_place.values()]
    rng = random.Random(scenario.name)
    shuffled = []
    while queues:
        queue = rng.choice(queues)
        shuffled.append(log[queue.pop(0)])
        queues = [queue for queue in queues if queue]
    rules = Rules(partitions=scenario.partitions, **scenario.settings)
    assert recompute(shuffled, rules) == recompute(log, rules)


@each_scenario
def test_every_record_ends_in_one_place(scenario: Scenario) -> None:
    """accepted + excluded + duplicates + late + dead letters = records."""
    coarsest = "1m" if scenario.settings.get("figures") == "funnel-gmv" else "1d"
    counted = sum(
        amount
        for (kind, _, size, _, measure), amount in recomputed(scenario).cells.items()
        if kind == "pipeline" and size == coarsest and measure.partition(".")[0] in FATES
    )
    assert counted == len(scenario.records)


def test_names_are_unique() -> None:
    """Scenarios are told apart by name."""
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if not s.settings], ids=lambda s: s.name)
def test_sizes_agree(scenario: Scenario) -> None:
    """Where nothing is past its retention or capped, panes of each size hold the same sum per figure that is
    kept for all sizes."""
    ever = 10**12
    rules = Rules(
        partitions=scenario.partitions,
        retention_10s_ms=ever,
        retention_1m_ms=ever,
        retention_1h_ms=ever,
        retention_1d_ms=ever,
    )
    expected = recompute(scenario.log(), rules)
    sums: dict[str, dict[tuple[str, str, str], int]] = {size: {} for size in SIZE_MS}
    for (kind, value, size, _, measure), amount in expected.cells.items():
        daily = kind in ("due", "rule,arm", "platform,creator") or measure.startswith(OF_DAYS)
        if measure.startswith("max.") or kind.startswith("room:") or daily:
            continue
        name = (kind, value, measure)
        sums[size][name] = sums[size].get(name, 0) + amount
    without_zeros = [{name: n for name, n in by_name.items() if n} for by_name in sums.values()]
    assert all(by_name == without_zeros[0] for by_name in without_zeros)

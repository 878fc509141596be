"""The pipeline's core against the scenarios: the same facts that `verify` is held to."""

from __future__ import annotations

import random

import pytest

from tests.driver import PipelineDriver, run
from tests.scenario_kit import Scenario
from tests.scenarios import SCENARIOS

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@each_scenario
def test_scenario(scenario: Scenario) -> None:
    """The pipeline gives what was computed by hand."""
    driver = run(scenario.log(), scenario.partitions, scenario.settings)
    assert scenario.selected(driver.cells()) == scenario.cells
    assert scenario.selected_users(driver.user_counts()) == scenario.users
    assert driver.dead_letters == scenario.dead_letters
    assert driver.late == scenario.late


@pytest.mark.no_cover  # drawn, as examples of hypothesis are; the same scenarios count above
@each_scenario
def test_any_reading_and_any_crash_gives_the_same(scenario: Scenario) -> None:
    """Topics read in any order, in pieces, with crashes between them: the same figures."""
    rng = random.Random(scenario.name)
    expected = run(scenario.log(), scenario.partitions, scenario.settings)
    for _ in range(10):
        driver = PipelineDriver(scenario.partitions, **scenario.settings)
        driver.append(scenario.log())
        places = list(driver.log)
        for _ in range(60):
            topic, partition = rng.choice(places)
            driver.read(topic, partition, rng.randint(1, 3))
            if rng.random() < 0.2:
                driver.save(partition)
            if rng.random() < 0.1:
                driver.crash(partition)
        driver.finish()
        assert driver.cells() == expected.cells()
        assert driver.user_counts() == expected.user_counts()
        assert driver.dead_letters == expected.dead_letters
        assert driver.late == expected.late

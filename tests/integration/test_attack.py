"""The bench of an attack in small: a cap of 200, and 20 000 products that nobody has. No size is asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.errors import PulseError
from streams.local.kafka import KafkaServer
from streams.local.redis import RedisServer
from streams.settings import Settings
from tests.bench.attack import CAPPED_KINDS, TOPICS_OF_STEP, expect, measure
from tests.bench.harness import Servers

CAP = 200
IDS = 20_000


def test_an_attack_costs_neither_money_nor_bounds(
    kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Under random ids money stays exact and ratios become null; cells, sketches and `/metrics` stay bounded.

    What the answers say is checked by the bench itself, which raises PulseError.
    """
    found = measure(Servers(kafka, redis_server), tmp_path, IDS, CAP)
    # The cap was met, by every kind that the attack fills, and it held.
    assert {found["values_a_topic_and_pane"][f"{kind} 1d"] for kind in CAPPED_KINDS} == {CAP}
    assert max(found["values_a_topic_and_pane"].values()) == CAP
    assert found["sketches_a_step_and_pane"]["product 1m"] == CAP
    for place, sketches in found["sketches_a_step_and_pane"].items():
        assert sketches <= CAP * max(TOPICS_OF_STEP.values()), place
    # The largest and the rest are named, whatever is sent; of lives those with most viewers, too.
    top_k = Settings().top_k
    assert found["after"]["metrics_values"]["product"] == top_k + 1
    for kind, named in found["after"]["metrics_values"].items():
        assert named <= top_k + 1 + (top_k if kind == "live" else 0), kind
    # Before, one of the two windows of `/metrics` lies behind the last event and has no ratios.
    assert found["after"]["metrics_lines"] < 2 * found["before"]["metrics_lines"]


def test_a_wrong_figure_ends_the_attack() -> None:
    """A figure that is off is named, with what it should be."""
    with pytest.raises(PulseError, match="attack: orders of all is 2, not 3"):
        expect("orders of all", 2, 3)

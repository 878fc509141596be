"""Seeded shops and what is done to them: the same seed the same shop, and a drop that takes what it says."""

from __future__ import annotations

import numpy as np
import pytest

from backtest.drops import (
    DURATIONS,
    HORIZON_MIN,
    SIZES,
    Drop,
    Duration,
    Outage,
    delays,
    lost_parts,
    place_drop,
    silenced,
    struck,
)
from backtest.shops import HISTORY_H, LEAD_MIN, PLATFORMS, SURFACES, Parameters, make_shop

CALM = Parameters(promotions=0, bursts=0, bots=0)
DAY_MIN = 1_440


def test_a_seed_is_a_shop() -> None:
    """The same seed gives the same counts; another seed others."""
    one, same, other = (make_shop(10, 60, seed, Parameters()) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one.minutes, same.minutes, strict=True))
    assert not np.array_equal(one.minutes.steps, other.minutes.steps)


def test_tables_have_their_shape() -> None:
    """Four measures of six strata: the history by hour, the lead and what is scored by minute."""
    shop = make_shop(10, 60, 1, CALM)
    assert shop.hours.steps.shape == (4, len(PLATFORMS) * len(SURFACES), HISTORY_H)
    assert shop.minutes.steps.shape == (4, 6, LEAD_MIN + 60)
    assert shop.expected.shape == (len(PLATFORMS), LEAD_MIN + 60)


def test_nobody_takes_a_step_without_the_one_before() -> None:
    """Each measure counts some of those of the measure before it."""
    steps = make_shop(100, 120, 3, Parameters()).minutes.steps
    assert (np.diff(steps, axis=0) <= 0).all()


def test_a_shop_converts_as_a_whole_as_it_is_meant_to() -> None:
    """Surfaces differ, the shop as a whole takes each step as often as the parameters say, within its
    drift."""
    steps = make_shop(1_000, 60, 4, CALM).hours.steps.sum(axis=(1, 2))
    assert steps[1:] / steps[:-1] == pytest.approx(CALM.step_rates, rel=0.1)
    assert steps[0] / HISTORY_H / 60 == pytest.approx(1_000, rel=0.15)


def test_bots_only_view() -> None:
    """A shop of bots has more views and as many purchases as before."""
    without, with_ = (
        make_shop(1_000, 60, 5, Parameters(promotions=0, bursts=0, bots=often)) for often in (0, 40)
    )
    views, purchases = ([shop.hours.steps[measure].sum() for shop in (without, with_)] for measure in (0, 3))
    assert views[1] > 1.3 * views[0]
    assert purchases[1] == pytest.approx(purchases[0], rel=0.1)


def test_a_burst_is_a_crowd_on_the_live_surface() -> None:
    """A large live brings fifty times the shop's mean minute, all on one platform's live surface."""
    shop = make_shop(100, DAY_MIN, 6, Parameters(promotions=0, bots=0, bursts=60))
    most = shop.minutes.steps[0].max(axis=1)
    assert max(most[0], most[len(SURFACES)]) > 40 * 100
    assert max(most[1], most[2]) < 10 * 100


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_total_stop_leaves_nobody_who_is_wholly_struck(step: int) -> None:
    """Sessions of minutes whose step falls into the drop take neither the step nor a later one."""
    tables = make_shop(100, DAY_MIN, 7, CALM).minutes
    drop = Drop(1.0, Duration("", 0, 60), step, 30)
    steps = struck(tables, drop, np.random.default_rng(1), CALM).steps
    whole = slice(LEAD_MIN + 30, LEAD_MIN + 30 + 60 - HORIZON_MIN)
    assert steps[step + 1 :, :, whole].sum() == 0
    assert np.array_equal(steps[: step + 1], tables.steps[: step + 1])
    before = slice(0, LEAD_MIN + 30 - HORIZON_MIN)
    assert np.array_equal(steps[..., before], tables.steps[..., before])


def test_half_a_drop_on_a_platform_takes_half_of_it_there() -> None:
    """The platform loses its part, the other one nothing."""
    tables = make_shop(1_000, DAY_MIN, 8, CALM).minutes
    drop = Drop(0.5, Duration("", 0, 600), 2, 0, platform=1)
    steps = struck(tables, drop, np.random.default_rng(1), CALM).steps
    during = slice(LEAD_MIN, LEAD_MIN + 600 - HORIZON_MIN)
    assert np.array_equal(steps[:, :3], tables.steps[:, :3])
    assert steps[3, 3:, during].sum() / tables.steps[3, 3:, during].sum() == pytest.approx(0.5, abs=0.03)


def test_a_gateways_drop_fails_its_attempts() -> None:
    """Technical failures rise at that gateway alone; purchases fall by its share."""
    tables = make_shop(1_000, DAY_MIN, 9, CALM).minutes
    drop = Drop(1.0, Duration("", 0, 600), 2, 0, platform=0, gateway=1)
    after = struck(tables, drop, np.random.default_rng(1), CALM)
    during = slice(LEAD_MIN, LEAD_MIN + 600 - HORIZON_MIN)
    assert np.array_equal(after.failures[1, during], after.attempts[1, during])
    assert np.array_equal(after.failures[[0, 2, 3]], tables.failures[[0, 2, 3]])
    kept = after.steps[3, :3, during].sum() / tables.steps[3, :3, during].sum()
    assert kept == pytest.approx(1 - CALM.gateway_shares[1], abs=0.03)


def test_a_ramp_grows_and_holds() -> None:
    """Half of it is in force in the middle of its growth, all of it after."""
    drop = Drop(0.8, DURATIONS[3], 0, 10)
    force = drop.force(LEAD_MIN + 200)[LEAD_MIN:]
    assert force[9] == 0 and force[10 + 30] == pytest.approx(0.5, abs=0.01)
    assert force[10 + 60] == force[10 + 119] == 1 and force[10 + 120] == 0
    assert lost_parts(drop, LEAD_MIN + 200).max() == pytest.approx(0.8)


def test_delays_are_parts_of_the_horizon() -> None:
    """Everybody who takes a step within the horizon takes it in one of its minutes."""
    for step in range(3):
        assert len(delays(step)) == HORIZON_MIN + 1 and delays(step).sum() == pytest.approx(1)


def test_drops_come_everywhere_on_platforms_and_at_gateways() -> None:
    """Of sixty, thirty-six everywhere, fifteen on a platform, nine at a gateway; each step gets its turn."""
    random = np.random.default_rng(1)
    drops = [place_drop(number, SIZES[0], DURATIONS[0], random) for number in range(60)]
    assert sum(drop.platform is None for drop in drops) == 36
    assert sum(drop.gateway is not None for drop in drops) == 9
    assert {drop.step for drop in drops if drop.platform is None} == {0, 1, 2}
    assert {drop.step for drop in drops if drop.gateway is not None} == {2}


def test_a_silent_source_is_missing_in_the_sessions_that_needed_it() -> None:
    """Purchases are missing from sessions of a horizon before the silence on; nothing else is."""
    tables = make_shop(100, 240, 10, CALM).minutes
    after = silenced(tables, Outage(60, 30, silent=3))
    wholly = slice(LEAD_MIN + 60, LEAD_MIN + 75)
    assert after.steps[3, :, wholly].sum() == 0
    assert np.array_equal(after.steps[:3], tables.steps[:3])
    early, late = LEAD_MIN + 60 - HORIZON_MIN, LEAD_MIN + 90
    assert np.array_equal(after.steps[3, :, :early], tables.steps[3, :, :early])
    assert np.array_equal(after.steps[3, :, late:], tables.steps[3, :, late:])
    assert silenced(tables, Outage(60, 30, silent=None)) is tables

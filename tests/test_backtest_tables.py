"""The arrays of the backtest say what the service's own arithmetic says, and leave out nothing that
matters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from backtest.drops import DURATIONS, HORIZON_MIN, Drop, Outage, struck
from backtest.gauges import Service, cohort_samples, near_cohorts, usual_scene
from backtest.runs import outage_scene
from backtest.shops import LEAD_MIN, Parameters, make_shop
from backtest.tables import (
    NEAR,
    SCOPES,
    Board,
    Windows,
    bounds,
    low_windows,
    near_windows,
    sure_since,
)
from streams.cohorts import EXPECTED_MIN, RUNGS_AGREEING, RUNGS_MIN, STEPS, TOOK_PART_MIN, Z, upper_bound

PARAMETERS = Parameters()
SCORED_MIN = 240
MINUTES = (0, 59, 60, 100, 200)


def _gauges(service: Service, scope: int, step: int, minute: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, window, value in service.cohorts(scope, step, minute):
        found.setdefault(window, {})[name.removeprefix("shop_pulse_cohort_")] = value
    return found


def _places() -> Iterator[tuple[int, int, int]]:
    return (
        (scope, step, minute)
        for scope in range(len(SCOPES))
        for step in range(len(STEPS))
        for minute in MINUTES
    )


@pytest.mark.parametrize(
    ("traffic", "lives_a_week"), [(1.0, 2.0), (10.0, 2.0), (1_000.0, 2.0), (10.0, 100.0)]
)
def test_arrays_and_the_service_agree(traffic: float, lives_a_week: float) -> None:
    """Every window of every scope and step has the counts and the baseline that the service's core gives it,
    also with large lives in it."""
    shop = make_shop(traffic, SCORED_MIN, 11, Parameters(bursts=lives_a_week))
    board, scene = Board(shop, SCORED_MIN), usual_scene(shop.minutes)
    windows, service = board.windows(shop.minutes), Service(shop, board, scene)
    compared = 0
    for scope, step, minute in _places():
        gauges = _gauges(service, scope, step, minute)
        for rung, length in enumerate(RUNGS_MIN):
            n, k, ratio, usual_reached = (each[step, scope, rung, minute] for each in windows)
            said = n >= TOOK_PART_MIN and n * ratio >= EXPECTED_MIN
            assert (f"{length}m" in gauges) == said
            if said:
                gauge = gauges[f"{length}m"]
                assert (gauge["size"], gauge["reached"]) == (n, k)
                assert gauge["baseline_ratio"] == pytest.approx(ratio)
                assert gauge["usual_reached"] == pytest.approx(usual_reached)
                compared += 1
    assert compared > 50


def test_bounds_agree() -> None:
    """The bound over arrays is that of the core."""
    n, k = np.array([20, 300, 5_000]), np.array([0, 9, 5_000])
    expected = [upper_bound(int(a), int(b)) for a, b in zip(n, k, strict=True)]
    assert bounds(n, k, Z) == pytest.approx(np.array(expected))
    assert np.isnan(bounds(np.array([0]), np.array([0]), Z))[0]


def test_what_is_low_is_near() -> None:
    """No window that is low where enough agree is left out; those near the threshold are kept, too."""
    shop = make_shop(1_000, SCORED_MIN, 12, PARAMETERS)
    drop = Drop(0.3, DURATIONS[2], 2, 0)
    tables = struck(shop.minutes, drop, np.random.default_rng(1), PARAMETERS)
    windows = Board(shop, SCORED_MIN).windows(tables)
    low = low_windows(windows)
    agreeing = low & (low.sum(axis=2, keepdims=True) >= RUNGS_AGREEING)
    near = near_windows(windows)
    assert agreeing.any() and near.sum() > agreeing.sum()
    assert not (agreeing & ~near).any()
    assert not (near_windows(windows, 1.0) & ~near).any() and NEAR > 1


def test_a_minute_more_is_written() -> None:
    """After the last minute near a drop the next one is written, so that no old sample is taken for a new
    one."""
    shop = make_shop(1_000, SCORED_MIN, 13, PARAMETERS)
    scene = usual_scene(
        struck(shop.minutes, Drop(1.0, DURATIONS[1], 2, 20), np.random.default_rng(1), PARAMETERS)
    )
    board = Board(shop, SCORED_MIN)
    near = near_cohorts(board, scene, 0, 60)
    samples = list(cohort_samples("s", Service(shop, board, scene), near))
    last = int(np.flatnonzero(near.any(axis=(0, 1, 2))).max())
    assert {each.minute for each in samples} >= {last, last + 1}


def test_a_page_is_sure_only_where_it_holds_by_far() -> None:
    """A total stop is sure soon after it shows; a quiet shop never is."""
    shop = make_shop(1_000, SCORED_MIN, 14, Parameters(bursts=0, bots=0, promotions=0))
    board = Board(shop, SCORED_MIN)
    assert sure_since(board.windows(shop.minutes), 0) is None
    tables = struck(shop.minutes, Drop(1.0, DURATIONS[2], 1, 0), np.random.default_rng(1), PARAMETERS)
    since = sure_since(board.windows(tables, 5, SCORED_MIN), 5)
    assert since is not None and HORIZON_MIN < since < 40


def test_nothing_is_low_while_the_pipeline_stands_or_a_source_is_silent() -> None:
    """As-of that stands moves no window; minutes whose sessions miss purchases count as nothing."""
    shop = make_shop(1_000, SCORED_MIN, 15, Parameters(bursts=0, bots=0, promotions=0))
    for silent in (None, 1, 3):
        scene = outage_scene(shop, Outage(60, 45, silent), SCORED_MIN)
        board = Board(shop, SCORED_MIN, scene.as_of)
        assert not near_cohorts(board, scene, 0, SCORED_MIN, near=1.0).any()
    assert scene.left_out == frozenset(range(LEAD_MIN + 45, LEAD_MIN + 105))
    unguarded = scene._replace(left_out=frozenset())
    assert near_cohorts(board, unguarded, 0, SCORED_MIN).any()


def test_a_window_without_a_baseline_is_not_low() -> None:
    """NaN stands for what is not known, and is never below anything."""
    one = np.ones((1, 1, 1, 1), np.int64)
    windows = Windows(one * 1_000, one * 0, np.full(one.shape, np.nan), np.full(one.shape, np.nan))
    assert not low_windows(windows).any()

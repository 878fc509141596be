"""The backtest's gateways are those of the service, and nothing that could page is left out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from backtest.drops import DURATIONS, Drop, Outage, struck
from backtest.gateways import (
    LOOKBACK_MIN,
    Payments,
    all_windows,
    gateway_samples,
    near,
    sure_since,
)
from backtest.gauges import Scene, usual_scene
from backtest.runs import outage_scene
from backtest.shops import GATEWAYS, LEAD_MIN, PLATFORMS, Parameters, Shop, make_shop
from backtest.tables import bounds
from streams.cohorts import RUNGS_MIN
from streams.gateways import FAILING_Z
from tests.gateway_kit import bound, verdict

PARAMETERS = Parameters()
SCORED_MIN = 180
ROWS = range(len(PLATFORMS) * len(GATEWAYS))
SIZES = pytest.mark.parametrize(("traffic", "size"), [(100.0, 1.0), (1_000.0, 0.5), (1_000.0, 0.8)])


def _struck(traffic: float, size: float, start: int = 60) -> tuple[Shop, Scene]:
    """A shop of which one gateway fails for half an hour."""
    shop = make_shop(traffic, SCORED_MIN, 21, PARAMETERS)
    drop = Drop(size, DURATIONS[1], 2, start, platform=0, gateway=0)
    return shop, usual_scene(struck(shop.minutes, drop, np.random.default_rng(1), PARAMETERS))


@SIZES
def test_arrays_and_the_service_agree(traffic: float, size: float) -> None:
    """Every window with an attempt has the counts and the bound that plain code has."""
    shop, scene = _struck(traffic, size)
    payments, of = Payments(shop.hours, scene), all_windows(scene, 0, SCORED_MIN)
    lower = bounds(of.n, of.failed, -FAILING_Z)
    for row in ROWS:
        for minute in (0, 63, 100, SCORED_MIN - 1):
            told = {each.window_min: each for each in payments.read(row, minute)}
            for rung, length in enumerate(RUNGS_MIN):
                n, failed = of.n[row, rung, minute], of.failed[row, rung, minute]
                assert (length in told) == (n > 0)
                if n:
                    assert (told[length].n, told[length].failed) == (n, failed)
                    assert bound(told[length]) == pytest.approx(lower[row, rung, minute])


@SIZES
def test_minutes_in_which_a_gateway_fails_are_written(traffic: float, size: float) -> None:
    """Whatever fails is near, and its samples are there, for both gateways of the platform."""
    shop, scene = _struck(traffic, size)
    payments = Payments(shop.hours, scene)
    found = near(all_windows(scene, 0, SCORED_MIN))
    failing = [
        (row, minute)
        for row in ROWS
        for minute in range(SCORED_MIN)
        if verdict(payments.read(row, minute)).failing is not None
    ]
    assert failing and {row for row, _ in failing} == {0}
    assert all(found[place] for place in failing)
    written = {
        (each.minute, gateway)
        for each in gateway_samples("s", shop.hours, scene, (0, SCORED_MIN), until_sure=False)
        for gateway in GATEWAYS
        if f'gateway="{gateway}"' in each.series and 'platform="tiktok"' in each.series
    }
    last = max(minute for _, minute in failing)
    assert written >= {(minute, gateway) for _, minute in failing for gateway in GATEWAYS}
    assert (last + 1, GATEWAYS[0]) in written


def test_a_page_is_sure_only_where_it_fires() -> None:
    """When it is sure, the gateway has failed in two minutes one after the other; a quiet shop never is."""
    shop, scene = _struck(1_000.0, 0.8)
    payments, of = Payments(shop.hours, scene), all_windows(scene, 60, SCORED_MIN)
    since = sure_since(of, payments.usual or 0.0)
    assert since is not None
    failing = [verdict(payments.read(0, 60 + at)).failing is not None for at in range(since)]
    assert any(one and other for one, other in pairwise(failing))
    calm = all_windows(usual_scene(shop.minutes), 0, SCORED_MIN)
    assert sure_since(calm, payments.usual or 0.0) is None
    span = (60, SCORED_MIN)
    short, whole = (
        {each.minute for each in gateway_samples("s", shop.hours, scene, span, until_sure=sure)}
        for sure in (True, False)
    )
    assert short < whole and max(short) <= 60 + since


def test_a_window_with_too_few_is_told_of_for_a_while() -> None:
    """Prometheus would go on with its last sample, of attempts that are gone from the window."""
    shop, scene = _struck(100.0, 0.8)
    scene.tables.attempts[:2, :] = 0
    scene.tables.failures[:2, :] = 0
    at = LEAD_MIN + 60
    scene.tables.attempts[0, at], scene.tables.failures[0, at] = 40, 40
    samples = list(gateway_samples("s", shop.hours, scene, (0, SCORED_MIN), until_sure=False))
    shortest = {
        each.minute: each.value
        for each in samples
        if each.series.startswith("shop_pulse_gateway_attempts") and 'window="2m"' in each.series
    }
    assert list(shortest.values()) == [40, 40] + [0] * LOOKBACK_MIN


def test_what_is_left_out_says_nothing() -> None:
    """Attempts whose outcomes never came, because the orders' source was silent, are in no window."""
    shop = make_shop(1_000, SCORED_MIN, 22, PARAMETERS)
    scene = outage_scene(shop, Outage(60, 45, 3), SCORED_MIN)
    failures = scene.tables.failures.copy()
    pending = slice(LEAD_MIN + 60 - 5, LEAD_MIN + 60)
    failures[:, pending] = scene.tables.attempts[:, pending]
    scene = scene._replace(tables=scene.tables._replace(failures=failures))
    assert not near(all_windows(scene, 0, SCORED_MIN)).any()
    assert near(all_windows(scene._replace(left_out=frozenset()), 0, SCORED_MIN)).any()

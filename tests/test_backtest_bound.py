"""How soon a drop can be found at all: exact, and never kinder to the rules than to anybody else."""

from __future__ import annotations

from math import comb

import pytest

from backtest.bound import (
    ALPHA,
    POWER,
    fewest,
    held_by_gateway,
    minutes_needed,
    power,
    sessions_for_nothing,
)
from backtest.drops import DURATIONS, HORIZON_MIN, Drop, Duration
from backtest.runs import Found
from backtest.shops import Parameters, make_shop
from streams.cohorts import ATTEMPT_HORIZON_MIN, DROP_TO

CALM = Parameters(promotions=0, bursts=0, bots=0)


def test_a_total_stop_at_three_percent_needs_303_sessions() -> None:
    """The plain bound of the contract: not one success of 303 sessions has a chance below 1 in 10 000."""
    assert sessions_for_nothing(0.03) == 303
    assert 0.97**303 < ALPHA < 0.97**302


@pytest.mark.parametrize(("usual", "size"), [(0.4, 0.5), (0.25, 0.8), (0.03, 1.0)])
def test_the_fewest_sessions_have_the_power_and_fewer_have_not(usual: float, size: float) -> None:
    """The test finds the drop in nine of ten cases with so many, and not with a tenth less."""
    n = fewest(usual, size)
    assert n is not None
    assert power(n, usual * DROP_TO, usual * (1 - size)) >= POWER
    assert power(n * 9 // 10, usual * DROP_TO, usual * (1 - size)) < POWER


def test_power_is_the_sum_of_the_binomial() -> None:
    """Checked against the sum by hand: 40 sessions, at least 0.3 held, 0.1 true."""

    def at_most(k: int, rate: float) -> float:
        return sum(comb(40, at) * rate**at * (1 - rate) ** (40 - at) for at in range(k + 1))

    most = max(k for k in range(40) if at_most(k, 0.3) <= ALPHA)
    assert power(40, 0.3, 0.1) == pytest.approx(at_most(most, 0.1))


def test_deeper_drops_need_fewer_and_shallow_ones_are_never_found() -> None:
    """At 75 % and above of the usual rate there is nothing to find."""
    needed = [fewest(0.4, size) for size in (0.3, 0.5, 0.8, 1.0)]
    assert all(each is not None for each in needed)
    assert needed == sorted(needed, key=lambda each: -(each or 0))
    assert fewest(0.4, 0.25) is None and fewest(0.4, 0.1) is None


def test_more_traffic_is_sooner_and_the_horizon_is_always_waited_for() -> None:
    """A total stop of a large shop takes the horizon and a minute or so, a small one's longer or for ever."""
    drop = Drop(1.0, DURATIONS[2], 2, 0)
    soon, later, never = (
        minutes_needed(make_shop(traffic, 180, 1, CALM), drop, CALM) for traffic in (1_000, 10, 0.1)
    )
    assert soon is not None and later is not None and never is None
    assert HORIZON_MIN <= soon < HORIZON_MIN + 5 < later


def test_a_short_drop_that_strikes_too_few_cannot_be_found() -> None:
    """Five minutes of a small shop hold too few sessions whatever the size."""
    assert minutes_needed(make_shop(1, 180, 1, CALM), Drop(1.0, DURATIONS[0], 2, 0), CALM) is None


def test_a_gateways_drop_waits_for_attempts_only() -> None:
    """Attempts have a horizon of their own, two minutes."""
    drop = Drop(1.0, Duration("", 0, 60), 2, 0, platform=0, gateway=0)
    needed = minutes_needed(make_shop(1_000, 180, 1, CALM), drop, CALM)
    assert needed is not None and ATTEMPT_HORIZON_MIN < needed < HORIZON_MIN


@pytest.mark.parametrize(("size", "attempts"), [(1.0, 5), (0.8, 12), (0.5, 32), (0.1, None)])
def test_a_gateways_failures_show_sooner_than_its_missing_successes(
    size: float, attempts: int | None
) -> None:
    """What the rule draws its line at is how many fail, 13 % where 3 % are usual: five in a row are beyond
    it, while five successes less are nothing yet. 13 % are no failing gateway."""
    held = held_by_gateway(0.97)
    assert held == pytest.approx(0.87)
    assert fewest(0.97, size, held) == attempts
    assert attempts is None or attempts < (fewest(0.97, size) or 0)
    assert 0.13**5 < ALPHA < 0.13**4


def test_a_live_on_the_other_platform_brings_a_gateway_nobody() -> None:
    """The bound counts who comes to the platform, not a share of all."""
    shop = make_shop(100, 180, 1, CALM)
    here, there = (Drop(1.0, DURATIONS[2], 2, 0, platform=at, gateway=0) for at in range(2))
    crowd = shop.expected.copy()
    crowd[1] *= 50
    crowded = shop._replace(expected=crowd)
    assert minutes_needed(crowded, here, CALM) == minutes_needed(shop, here, CALM)
    soon, later = minutes_needed(crowded, there, CALM), minutes_needed(shop, there, CALM)
    assert soon is not None and later is not None and soon < later


def test_a_drop_lasts_as_long_as_those_who_are_struck_are_waited_for() -> None:
    """Of a gateway two minutes after its end, of the funnel the horizon."""
    gateway, whole = (Drop(1.0, DURATIONS[0], 2, 0, platform=0, gateway=of) for of in (0, None))
    assert (gateway.horizon_min, whole.horizon_min) == (ATTEMPT_HORIZON_MIN, HORIZON_MIN)
    for drop, bound_min, lasts in ((gateway, 5, True), (gateway, 6, False), (whole, 15, True)):
        assert Found(100.0, drop, bound_min, None, (), {}).lasts is lasts

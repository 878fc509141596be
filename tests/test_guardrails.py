"""The stop signal's tests: worse beyond chance, not worse, or not enough evidence."""

from __future__ import annotations

import random

import pytest

from streams.guardrails import Sold, Verdict, mean_of, of_earnings, of_ratings, of_refunds

WORSE, NOT_WORSE, NOT_ENOUGH = Verdict.WORSE, Verdict.NOT_WORSE, Verdict.NOT_ENOUGH


@pytest.mark.parametrize(
    ("before", "since", "verdict"),
    [
        (Sold(1_000, 100_000, 5_000), Sold(1_000, 100_000, 12_000), WORSE),
        (Sold(1_000, 100_000, 5_000), Sold(1_000, 100_000, 6_000), NOT_WORSE),
        (Sold(1_000, 100_000, 12_000), Sold(1_000, 100_000, 5_000), NOT_WORSE),
        (Sold(29, 2_900, 0), Sold(1_000, 100_000, 50_000), NOT_ENOUGH),
        (Sold(30, 3_000, 0), Sold(30, 3_000, 3_000), WORSE),
        (Sold(100, 0, 0), Sold(100, 10_000, 1_000), NOT_ENOUGH),
    ],
)
def test_refunds(before: Sold, since: Sold, verdict: Verdict) -> None:
    """5 % to 12 % of 1 000 orders is worse, 5 % to 6 % may be chance; fewer than 30 orders say nothing."""
    assert of_refunds(before, since) is verdict


def test_two_orders_count_as_one() -> None:
    """200 orders a side, 5 % to 16 %: beyond chance if each order were a trial, within it as they are."""
    assert of_refunds(Sold(200, 20_000, 1_000), Sold(200, 20_000, 3_200)) is NOT_WORSE
    assert of_refunds(Sold(400, 40_000, 2_000), Sold(400, 40_000, 6_400)) is WORSE


@pytest.mark.parametrize(
    ("before", "since", "verdict"),
    [
        ({5: 80, 4: 20}, {5: 40, 4: 30, 1: 30}, WORSE),
        ({5: 80, 4: 20}, {5: 75, 4: 25}, NOT_WORSE),
        ({1: 50}, {5: 50}, NOT_WORSE),
        ({5: 19}, {1: 100}, NOT_ENOUGH),
        ({5: 20}, {4: 20}, WORSE),
        ({5: 20}, {5: 20}, NOT_WORSE),
        ({}, {}, NOT_ENOUGH),
    ],
)
def test_ratings(before: dict[int, int], since: dict[int, int], verdict: Verdict) -> None:
    """A fall beyond the ratings' own spread; 20 reviews a side; a rise never stops anything."""
    assert of_ratings(before, since) is verdict


def test_the_mean_of_ratings() -> None:
    """Stars by how often they were given; of none there is no mean."""
    assert mean_of({5: 2, 1: 1}) == pytest.approx(11 / 3)
    assert mean_of({5: 0}) is None


def test_earnings_fall_by_ranks() -> None:
    """Half as much on most days is worse; one single day of nothing, or a single great day before, is not."""
    usual = [100 + day % 7 for day in range(30)]
    assert of_earnings(usual, [50 + day % 7 for day in range(10)]) is WORSE
    assert of_earnings(usual, [0, *usual[:9]]) is NOT_WORSE
    assert of_earnings([10**9, *usual[1:]], usual) is NOT_WORSE
    assert of_earnings(usual, [200] * 30) is NOT_WORSE


def test_earnings_need_days() -> None:
    """Fourteen days before with any earnings, and seven since."""
    usual = [100] * 30
    assert of_earnings(usual, [0] * 6) is NOT_ENOUGH
    assert of_earnings(usual, [0] * 7) is WORSE
    assert of_earnings([100] * 13, [0] * 30) is NOT_ENOUGH
    assert of_earnings([0] * 30, [0] * 30) is NOT_ENOUGH
    assert of_earnings(usual, usual) is NOT_WORSE


def test_chance_seldom_stops() -> None:
    """Days, orders and ratings that are drawn alike on both sides: of 1 500 tests at most a few are worse."""
    rng = random.Random(1)
    worse = 0
    for _ in range(500):
        days = [round(rng.lognormvariate(4, 1)) for _ in range(60)]
        worse += of_earnings(days[:30], days[30:]) is WORSE
        sides = []
        for _ in range(2):
            refunded = sum(rng.random() < 0.1 for _ in range(300))
            sides.append(Sold(300, 30_000, refunded * 100))
        worse += of_refunds(*sides) is WORSE
        stars = [[rng.choice((1, 3, 4, 5, 5)) for _ in range(60)] for _ in range(2)]
        worse += of_ratings(*({of: given.count(of) for of in given} for given in stars)) is WORSE
    assert worse <= 6

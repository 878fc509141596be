"""Uplift, its interval and the check of the arms' sizes, against numbers worked out by hand or by drawing."""

from __future__ import annotations

import random
from math import exp, log, sqrt

import pytest

from streams.uplift import Arm, against_held_out, rise_percent, sample_ratio_p


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [(1_000, 10_000, 900.0), (500, 8_000, 1_500.0), (2_000, 12_000, 500.0), (10, 5, -50.0)],
)
def test_the_published_table(before: int, after: int, percent: float) -> None:
    """Resso +900 %, TikTok Plus +1500 %, TikTok Shop +500 %; a loss is negative."""
    assert rise_percent(before, after) == percent


@pytest.mark.parametrize(("before", "after"), [(0, 5), (None, 5), (5, None)])
def test_a_rise_from_nothing_is_no_number(before: int | None, after: int | None) -> None:
    """From nobody, or from what is not known, no percentage follows."""
    assert rise_percent(before, after) is None


def test_the_interval_by_hand() -> None:
    """800 of 1 000 against 200 of 1 000: four times as many; the interval is that of the log of the ratio."""
    uplift, interval = against_held_out(Arm(1_000, 800), Arm(1_000, 200))
    half = 1.959964 * sqrt(1 / 800 - 1 / 1_000 + 1 / 200 - 1 / 1_000 + 2 * 0.0081**2)
    assert uplift == pytest.approx(300)
    assert interval == pytest.approx([100 * (exp(log(4) + side * half) - 1) for side in (-1, 1)])


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Arms drawn with 30 % and 24 % active, counted by sketches: of 400 intervals about 95 % hold +25 %."""
    rng = random.Random(6)
    held = 0
    for _ in range(400):
        arms = []
        for share in (0.30, 0.24):
            active = sum(rng.random() < share for _ in range(1_500))
            arms.append(Arm(1_500, round(active * rng.gauss(1, 0.0081))))
        _, interval = against_held_out(*arms)
        assert interval is not None
        held += interval[0] <= 25 <= interval[1]
    assert 0.92 <= held / 400 <= 0.98


def test_arms_without_users_tell_nothing() -> None:
    """Nobody assigned, or nobody active in the arm that is divided by: null; else perhaps no interval."""
    assert against_held_out(Arm(0, 0), Arm(10, 5)) == (None, None)
    assert against_held_out(Arm(10, 5), Arm(10, 0)) == (None, None)
    assert against_held_out(Arm(10, 0), Arm(10, 5)) == (-100, None)


def test_an_estimate_above_all_assigned_counts_as_all() -> None:
    """A sketch may count 1 010 of 1 000; no share is above 1."""
    assert Arm(1_000, 1_010).share == 1
    assert against_held_out(Arm(1_000, 1_010), Arm(1_000, 1_000))[0] == 0


def test_the_sample_ratio_check_finds_arms_that_are_off() -> None:
    """Of equal arms 5 400 against 4 600 are off, and so are 900 of 10 000 that were meant to be a tenth."""
    assert sample_ratio_p(5_000, 5_000, 50) == 1
    likely, unlikely = sample_ratio_p(5_050, 4_950, 50), sample_ratio_p(5_400, 4_600, 50)
    assert likely == pytest.approx(0.3173, abs=1e-4)  # one standard deviation of a normal
    assert unlikely is not None
    assert unlikely < 0.001
    assert sample_ratio_p(9_000, 1_000, 10) == 1
    tenth = sample_ratio_p(9_100, 900, 10)
    assert tenth is not None
    assert tenth < 0.001
    assert sample_ratio_p(0, 0, 50) is None

"""What a formula is worth, over totals as they are stored."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.formula import worth
from streams.kpi import Aged, Formula, Mean, Measure, Product, Quantile, Ratio, Sum, Whole

HERE = frozenset({"all", "live"})
TAPS = Measure(name="taps", help="", kinds=HERE)
VIEWS = Measure(name="views", help="", kinds=HERE)
LIKES = Measure(name="likes", help="", kinds=HERE | {"gateway"})
GMV = Measure(name="gmv", help="", kinds=HERE, per_currency=True)
SUMS = st.integers(-(2**70), 2**70)


def _worth(formula: Formula, kind: str = "all", **totals: int) -> int | float | None:
    return worth(formula, kind, None)(totals)


def test_a_measure_is_its_total_and_0_where_there_is_none() -> None:
    """A cell that nothing was added to does not exist; money is that of the asked currency."""
    assert (_worth(TAPS, taps=3), _worth(TAPS, views=3)) == (3, 0)
    assert worth(GMV, "all", "USD")({"gmv:USD": 5, "gmv:EUR": 7}) == 5


def test_a_sum_adds_and_takes_away() -> None:
    """`minus` terms lower the figure."""
    assert _worth(Sum((TAPS, VIEWS), (LIKES,)), taps=2, views=3, likes=10) == -5


def test_a_ratio_over_nothing_is_none() -> None:
    """0/0 and x/0 are None, never 0: nothing can be said."""
    assert _worth(Ratio(TAPS, VIEWS), taps=0, views=0) is None
    assert _worth(Ratio(TAPS, VIEWS), taps=5) is None
    assert _worth(Ratio(TAPS, VIEWS), views=4) == 0.0


def test_a_ratio_of_too_few_is_none() -> None:
    """Below its minimum a ratio says nothing; from it on it does."""
    ratio = Ratio(TAPS, VIEWS, least=(LIKES, 50))
    assert _worth(ratio, taps=1, views=4, likes=49) is None
    assert _worth(ratio, taps=1, views=4, likes=50) == 0.25


def test_what_is_aged_is_a_measure_of_its_own() -> None:
    """It is read by its name, not by that of the sum it is a part of."""
    aged = Aged(name="old", help="", kinds=HERE, of=VIEWS, age_ms=1, border_ms=1)
    assert _worth(Ratio(aged, VIEWS), old=1, views=4) == 0.25


def test_a_ratio_whose_measure_the_kind_lacks_is_none() -> None:
    """Likes per view by gateway: views have no gateway, so it is None even if zeros could be divided."""
    ratio = Ratio(LIKES, VIEWS)
    assert _worth(ratio, "gateway", likes=7, views=7) is None
    assert _worth(Product((ratio, ratio)), "gateway", likes=7, views=7) is None
    assert _worth(ratio, "live", likes=7, views=7) == 1.0


@pytest.mark.parametrize(
    ("part", "whole", "expected"), [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (1, 3, 0), (2, 3, 1)]
)
def test_whole_units_round_half_to_even(part: int, whole: int, expected: int) -> None:
    """Money ratios are integers of the minor unit; halves go to the even one."""
    result = _worth(Ratio(TAPS, VIEWS, whole_units=True), taps=part, views=whole)
    assert result == expected
    assert isinstance(result, int)


@given(SUMS, st.integers(1, 2**70))
def test_whole_units_are_exact_at_any_size(part: int, whole: int) -> None:
    """No double comes between: the result is within half a unit however large the sums are."""
    result = _worth(Ratio(TAPS, VIEWS, whole_units=True), taps=part, views=whole)
    assert isinstance(result, int)
    assert abs(2 * (result * whole - part)) <= whole


@given(SUMS, st.integers(1, 2**70), st.sampled_from([1, 1_000]))
def test_a_quotient_is_the_nearest_double(part: int, whole: int, scale: int) -> None:
    """It is divided once, exactly, and then rounded; also where a sum fits into no double."""
    result = _worth(Ratio(TAPS, VIEWS, scale=scale), taps=part, views=whole)
    assert result == float(Fraction(part * scale, whole))


def test_a_scaled_ratio_multiplies_before_it_rounds() -> None:
    """GMV per 1 000 views: 1 unit over 3 views is 333, not 0."""
    assert _worth(Ratio(TAPS, VIEWS, scale=1000, whole_units=True), taps=1, views=3) == 333


def test_whole_units_are_rounded_down() -> None:
    """A second that is not over yet is not counted."""
    assert _worth(Whole(TAPS, 1_000), taps=1_999) == 1


def test_a_mean_is_weighted_by_how_often() -> None:
    """Three fives and one four are 4.75; without a count there is nothing to tell."""
    mean = Mean(((5, TAPS), (4, VIEWS)))
    assert _worth(mean, taps=3, views=1) == 4.75
    assert _worth(mean) is None


@pytest.mark.parametrize(
    ("q", "expected"), [(0.25, 10 / 3), (0.5, 20 / 3), (0.75, 10.0), (0.9, 26.0), (1, 30)]
)
def test_a_quantile_is_interpolated_within_its_bucket(q: float, expected: float) -> None:
    """Three of four lie at 0 to 10, one at 20 to 30: ranks are spread evenly within each bucket."""
    formula = Quantile(((10, TAPS), (20, VIEWS), (30, LIKES)), q)
    assert _worth(formula, taps=6, likes=2) == pytest.approx(expected)


def test_a_quantile_of_nothing_is_none() -> None:
    """Without a count there is no time to tell, not even 0."""
    assert _worth(Quantile(((10, TAPS),), 0.5), taps=0) is None


def test_a_product_of_ratios_is_exact_and_null_where_one_is() -> None:
    """2 / 6 x 3 / 2 is a half, without a rounding between; over nothing in any of them there is none."""
    formula = Product((Ratio(TAPS, VIEWS), Ratio(LIKES, TAPS)))
    assert _worth(formula, taps=2, views=6, likes=3) == 0.5
    assert _worth(formula, taps=0, views=6, likes=3) is None

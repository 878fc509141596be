"""The language of figures: what a formula is worth, and how paths become the shape of an answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kpi import (
    Aged,
    Keeping,
    Kpi,
    Measure,
    Product,
    Quantile,
    Ratio,
    Sum,
    Whole,
    is_kept,
    measures_of,
    nest,
    value,
)

HERE = frozenset({"all", "live"})
TAPS = Measure(name="taps", help="", kinds=HERE)
VIEWS = Measure(name="views", help="", kinds=HERE)
GMV = Measure(name="gmv", help="", kinds=HERE | {"gateway"}, per_currency=True)


def _totals(**amounts: int) -> Callable[[Measure], int]:
    return lambda measure: amounts[measure.name]


def test_amounts_are_stored_per_currency_and_counts_are_not() -> None:
    """A measure per currency has the currency in its stored name; for others it is ignored."""
    assert GMV.stored_as("USD") == "gmv:USD"
    assert TAPS.stored_as("USD") == "taps"
    assert TAPS.stored_as(None) == "taps"


def test_a_sum_adds_and_takes_away() -> None:
    """`minus` terms lower the figure."""
    assert value(Sum((TAPS, VIEWS), (GMV,)), "all", _totals(taps=2, views=3, gmv=10)) == -5


def test_a_ratio_over_nothing_is_none() -> None:
    """0/0 and x/0 are None, never 0: nothing can be said."""
    assert value(Ratio(TAPS, VIEWS), "all", _totals(taps=0, views=0)) is None
    assert value(Ratio(TAPS, VIEWS), "all", _totals(taps=5, views=0)) is None
    assert value(Ratio(TAPS, VIEWS), "all", _totals(taps=0, views=4)) == 0.0


def test_a_ratio_of_too_few_is_none() -> None:
    """Below its minimum a ratio says nothing; from it on it does, and what is counted for that is read."""
    ratio = Ratio(TAPS, VIEWS, least=(GMV, 50))
    assert value(ratio, "all", _totals(taps=1, views=4, gmv=49)) is None
    assert value(ratio, "all", _totals(taps=1, views=4, gmv=50)) == 0.25
    assert measures_of(ratio) == (TAPS, VIEWS, GMV)


def test_what_is_aged_is_kept_nowhere() -> None:
    """An aged measure is a measure of its own in formulas, and no cell holds it."""
    aged = Aged(name="old", help="", kinds=HERE, of=VIEWS, age_ms=1, border_ms=1)
    assert (aged.keeping, aged.of) == (Keeping.AGED, VIEWS)
    assert value(Ratio(aged, VIEWS), "all", _totals(old=1, views=4)) == 0.25


def test_a_ratio_whose_measure_the_kind_lacks_is_none() -> None:
    """GMV per view by gateway: views have no gateway, so the ratio is None even if zeros could be divided."""
    ratio = Ratio(GMV, VIEWS, scale=1000, whole_units=True)
    assert is_kept(ratio, "live")
    assert not is_kept(ratio, "gateway")
    assert value(ratio, "gateway", _totals(gmv=7, views=7)) is None


@pytest.mark.parametrize(
    ("part", "whole", "expected"), [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (1, 3, 0), (2, 3, 1)]
)
def test_whole_units_round_half_to_even(part: int, whole: int, expected: int) -> None:
    """Money ratios are integers of the minor unit; halves go to the even one."""
    result = value(Ratio(TAPS, VIEWS, whole_units=True), "all", _totals(taps=part, views=whole))
    assert result == expected
    assert isinstance(result, int)


@given(st.integers(-(2**70), 2**70), st.integers(1, 2**70))
def test_whole_units_are_exact_at_any_size(part: int, whole: int) -> None:
    """No double comes between: the result is within half a unit however large the sums are."""
    result = value(Ratio(TAPS, VIEWS, whole_units=True), "all", _totals(taps=part, views=whole))
    assert isinstance(result, int)
    assert abs(2 * (result * whole - part)) <= whole


def test_a_scaled_ratio_multiplies_before_it_rounds() -> None:
    """GMV per 1 000 views: 1 unit over 3 views is 333, not 0."""
    assert value(Ratio(TAPS, VIEWS, scale=1000, whole_units=True), "all", _totals(taps=1, views=3)) == 333


def test_measures_of_a_formula_are_all_its_leaves() -> None:
    """Whoever needs the totals of a formula finds every measure, nested sums included."""
    assert measures_of(Ratio(Sum((TAPS,), (GMV,)), VIEWS)) == (TAPS, GMV, VIEWS)
    assert measures_of(GMV) == (GMV,)


def test_a_kpi_is_per_currency_if_any_measure_is() -> None:
    """A ratio of money over counts stands once per currency."""
    kpi = Kpi(path="money.*.x", formula=Ratio(GMV, VIEWS), unit="minor", help="", source="", kinds=HERE)
    assert kpi.per_currency


def test_dotted_paths_nest_in_order() -> None:
    """Paths become groups, in the order in which they first came."""
    assert list(nest({"b.y": 1, "a": 2, "b.x": 3}).items()) == [("b", {"y": 1, "x": 3}), ("a", 2)]


def test_a_figure_cannot_be_a_group() -> None:
    """Two declarations that contradict each other fail instead of hiding one another."""
    with pytest.raises(TypeError, match="figure and a group"):
        nest({"a": 1, "a.b": 2})


def test_whole_units_are_rounded_down() -> None:
    """A second that is not over yet is not counted."""
    assert value(Whole(TAPS, 1_000), "all", _totals(taps=1_999)) == 1
    assert measures_of(Whole(TAPS, 1_000)) == (TAPS,)


@pytest.mark.parametrize(
    ("q", "expected"), [(0.25, 10 / 3), (0.5, 20 / 3), (0.75, 10.0), (0.9, 26.0), (1, 30)]
)
def test_a_quantile_is_interpolated_within_its_bucket(q: float, expected: float) -> None:
    """Three of four lie at 0 to 10, one at 20 to 30: ranks are spread evenly within each bucket."""
    taps, views, gmv = (Measure(name=name, help="", kinds=HERE) for name in ("taps", "views", "gmv"))
    formula = Quantile(((10, taps), (20, views), (30, gmv)), q)
    counts = _totals(taps=6, views=0, gmv=2)
    assert value(formula, "all", counts) == pytest.approx(expected)


def test_a_quantile_of_nothing_is_none() -> None:
    """Without a count there is no time to tell, not even 0."""
    assert value(Quantile(((10, TAPS),), 0.5), "all", _totals(taps=0)) is None


def test_a_product_of_ratios_is_exact_and_null_where_one_is() -> None:
    """2 / 6 x 3 / 2 is a half, without a rounding between; over nothing in any of them there is none."""
    formula = Product((Ratio(TAPS, VIEWS), Ratio(GMV, TAPS)))
    assert value(formula, "all", _totals(taps=2, views=6, gmv=3)) == 0.5
    assert value(formula, "all", _totals(taps=0, views=6, gmv=3)) is None
    assert value(formula, "all", _totals(taps=2, views=0, gmv=3)) is None
    assert value(formula, "elsewhere", _totals(taps=2, views=6, gmv=3)) is None
    assert measures_of(formula) == (TAPS, VIEWS, GMV, TAPS)

"""The language of figures: what a formula reads, and how paths become the shape of an answer."""

from __future__ import annotations

import pytest

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
)

HERE = frozenset({"all", "live"})
TAPS = Measure(name="taps", help="", kinds=HERE)
VIEWS = Measure(name="views", help="", kinds=HERE)
GMV = Measure(name="gmv", help="", kinds=HERE | {"gateway"}, per_currency=True)


def test_amounts_are_stored_per_currency_and_counts_are_not() -> None:
    """A measure per currency has the currency in its stored name; for others it is ignored."""
    assert GMV.stored_as("USD") == "gmv:USD"
    assert TAPS.stored_as("USD") == "taps"
    assert TAPS.stored_as(None) == "taps"


def test_what_is_aged_is_kept_nowhere() -> None:
    """An aged measure is a measure of its own in formulas, and no cell holds it."""
    aged = Aged(name="old", help="", kinds=HERE, of=VIEWS, age_ms=1, border_ms=1)
    assert (aged.keeping, aged.of) == (Keeping.AGED, VIEWS)
    assert measures_of(Ratio(aged, VIEWS)) == (aged, VIEWS)


def test_a_ratio_is_kept_where_all_its_measures_are() -> None:
    """GMV per view by gateway: views have no gateway."""
    assert is_kept(Ratio(GMV, VIEWS), "live")
    assert not is_kept(Ratio(GMV, VIEWS), "gateway")


def test_measures_of_a_formula_are_all_its_leaves() -> None:
    """Whoever needs the totals of a formula finds every measure, nested sums included."""
    assert measures_of(Ratio(Sum((TAPS,), (GMV,)), VIEWS)) == (TAPS, GMV, VIEWS)
    assert measures_of(GMV) == (GMV,)
    assert measures_of(Ratio(TAPS, VIEWS, least=(GMV, 50))) == (TAPS, VIEWS, GMV)
    assert measures_of(Product((Ratio(TAPS, VIEWS), Ratio(GMV, TAPS)))) == (TAPS, VIEWS, GMV, TAPS)
    assert measures_of(Whole(TAPS, 1_000)) == measures_of(Quantile(((10, TAPS),), 0.5)) == (TAPS,)


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

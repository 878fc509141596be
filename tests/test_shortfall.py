"""Products that underperform: the rule with its evidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.shortfall import PRODUCTS_MIN, TAPS_MIN, Seller, categories, shortfalls


def _sellers(*orders: int, taps: int = 1_000, category: str = "home") -> list[Seller]:
    return [Seller(f"{category}{n}", category, taps, count) for n, count in enumerate(orders)]


def test_a_product_is_named_if_its_upper_bound_lies_below_the_median() -> None:
    """10 of 1 000 against a median of 50 of 1 000: named, with the best of the category to send users to."""
    [found] = shortfalls(_sellers(10, 50, 50, 60, 90))
    assert found.seller.product_id == "home0"
    assert found.category.median == 0.05
    assert found.upper_bound == pytest.approx(0.0204, abs=1e-4)
    assert found.missing_orders == pytest.approx(40)
    assert [best.product_id for best in found.category.best] == ["home4", "home3"]


def test_a_low_rate_without_evidence_is_not_named() -> None:
    """Nothing sold by 60 taps, or 3 by 100 where 5 are usual, may be chance."""
    usual = _sellers(50, 50, 50, 50, 50)
    assert shortfalls([*usual, Seller("few", "home", TAPS_MIN - 1, 0)]) == []
    assert shortfalls([*usual, Seller("chance", "home", 100, 3)]) == []
    assert [each.seller.product_id for each in shortfalls([*usual, Seller("low", "home", 150, 0)])] == ["low"]


def test_a_category_needs_products() -> None:
    """Four products make no median, and products without evidence are not counted."""
    assert shortfalls(_sellers(1, *[50] * (PRODUCTS_MIN - 2))) == []
    thin = [*_sellers(1, *[50] * (PRODUCTS_MIN - 2)), Seller("thin", "home", TAPS_MIN - 1, 50)]
    assert categories(thin) == {}
    assert categories(_sellers(*[50] * PRODUCTS_MIN))["home"].products == PRODUCTS_MIN


def test_each_category_has_its_own_median() -> None:
    """What is low for toys is usual for furniture."""
    toys = _sellers(100, 100, 100, 100, 100, category="toys")
    furniture = _sellers(5, 5, 5, 5, 5, category="furniture")
    assert shortfalls([*toys, *furniture]) == []
    assert [
        each.seller.category for each in shortfalls([*toys, *furniture, Seller("x", "toys", 1_000, 5)])
    ] == ["toys"]


def test_the_costliest_stands_first() -> None:
    """By the orders that its taps would have brought at the median."""
    usual = _sellers(50, 50, 50, 50, 50, 50, 50)
    low = [Seller("small", "home", 1_000, 0), Seller("large", "home", 9_000, 200)]
    assert [each.seller.product_id for each in shortfalls([*usual, *low])] == ["large", "small"]


def test_orders_without_taps_make_no_rate_above_one() -> None:
    """Of a product bought without taps, orders count as far as taps reach."""
    assert Seller("p", "home", 100, 250).rate == 1


@pytest.mark.parametrize("taps", [100, 103, 109, 120, 1_001])
def test_a_product_at_the_median_is_not_named(taps: int) -> None:
    """Where every tap sells, the bound is 1 as the median is, and not a last bit less."""
    assert shortfalls(_sellers(*[taps] * 5, taps=taps)) == []


@given(st.integers(TAPS_MIN, 10**6), st.floats(0, 1))
def test_bounds_stand_around_the_rate(taps: int, share: float) -> None:
    """The rate lies between its bounds, and both within 0 and 1."""
    seller = Seller("p", "home", taps, round(taps * share))
    assert -1e-12 <= seller.bound(-2.326) <= seller.rate + 1e-12
    assert seller.rate - 1e-12 <= seller.bound(2.326) <= 1 + 1e-12

"""What redirection rests on, counted by `verify` in fractions and by the pipeline in floating point: the same
verdicts, bounds and names."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import isclose
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import guardrails, shortfall
from streams.guardrails import Sold
from verify import stop_signal
from verify.days import Days
from verify.underperforming import Category, Product, bound

_orders = st.integers(25, 2_000)
_stars = st.lists(st.integers(1, 5), min_size=15, max_size=90)
_days = st.lists(st.integers(-3, 12), min_size=5, max_size=30)


@given(_orders, _orders, st.integers(0, 100), st.integers(0, 100), st.integers(0, 90_000))
def test_shares_refunded(before: int, since: int, old: int, new: int, gmv: int) -> None:
    """Two proportions of money: the same verdict, also where nothing was paid or all is refunded."""
    sold = [(before, gmv, gmv * old // 100), (since, 70_000, 700 * new)]
    sides = [
        Counter({"orders:USD": n, "gmv_paid:USD": paid, "refunds_of_purchases:USD": back})
        for n, paid, back in sold
    ]
    found = stop_signal.refunds_verdict(sides[0], sides[1], "USD")
    assert found == guardrails.of_refunds(*(Sold(*each) for each in sold)).value


@given(_stars, _stars)
def test_ratings(before: list[int], since: list[int]) -> None:
    """Two means, each with its own variance: the same verdict."""
    counted = [{of: ratings.count(of) for of in range(1, 6)} for ratings in (before, since)]
    assert stop_signal.ratings_verdict(before, since) == guardrails.of_ratings(*counted).value


@given(_days, _days)
def test_earnings(before: list[int], since: list[int]) -> None:
    """Sums of ranks against wins of pairs, with many equal days: the same verdict."""
    assert stop_signal.earnings_verdict(before, since) == guardrails.of_earnings(before, since).value


@pytest.mark.parametrize(
    ("before", "since", "verdict"),
    [
        ([5] * 20, [4] * 20, "worse"),
        ([5] * 19, [4] * 20, "not_enough"),
        ([4, 5] * 10, [4] * 20, "worse"),
        ([4, 5] * 10, [4, 4, 4, 5] * 5, "not_worse"),
    ],
)
def test_verdicts_by_hand(before: list[int], since: list[int], verdict: str) -> None:
    """Means 4.5 and 4: 0.5 over sqrt(0.2632 / 20) is 4.4 deviations; 4.5 and 4.25 are 1.7 apart."""
    assert stop_signal.ratings_verdict(before, since) == verdict


@given(st.integers(100, 10**6), st.floats(0, 1))
def test_bounds(taps: int, share: float) -> None:
    """The roots of Wilson's equation are its usual form."""
    product = Product("p", "", 5, "USD", taps, round(taps * share))
    seller = shortfall.Seller("p", "c", taps, product.orders)
    for side in (-1, 1):
        assert isclose(
            bound(product, side), seller.bound(side * shortfall.Z_BOUND), rel_tol=1e-9, abs_tol=1e-12
        )


@given(st.lists(st.tuples(st.integers(100, 3_000), st.integers(0, 400)), min_size=5, max_size=12))
def test_who_underperforms(counts: list[tuple[int, int]]) -> None:
    """Whatever products a category has: the same are named, and the same are shown as better ones."""
    products = [Product(f"p{n:02}", "", 5, "USD", *each) for n, each in enumerate(counts)]
    sellers = [shortfall.Seller(each.product_id, "c", each.taps, each.orders) for each in products]
    category = Category("c", products, median(each.rate for each in products))
    found = shortfall.shortfalls(sellers)
    assert {each.product_id for each in category.low()} == {each.seller.product_id for each in found}
    [other] = shortfall.categories(sellers).values()
    assert [each.product_id for each in category.best()] == [each.product_id for each in other.best]
    assert category.middle == pytest.approx(other.median)
    for each in found:
        product = next(one for one in products if one.product_id == each.seller.product_id)
        assert float(category.missing(product)) == pytest.approx(each.missing_orders)


def test_days_are_kept_by_kind() -> None:
    """Of kinds that are told of day by day the named measures, of others nothing; partitions are added."""
    days = Days()
    for _ in range(2):
        days.add("product", 0, {"orders:USD|p1": 1, "items|p1": 5, "events.tag_tap|p1": 3})
    days.add("product", 7, {"orders:USD|p1": 1})
    days.add("brand", 0, {"orders:USD|p1": 9})
    assert days.of("product", "p1", [0]) == {"orders:USD": 2, "events.tag_tap": 6}
    assert days.of("product", "p1", [0, 7])["orders:USD"] == 3
    assert days.of("brand", "p1", [0]) == {}
    assert (days.most_tapped([0, 7], 9, ()), days.most_tapped([0], 9, ["p1"])) == (["p1"], [])


def test_of_nothing_nothing_is_judged() -> None:
    """A side without orders or ratings is no evidence; orders beyond the taps make no rate above 1."""
    assert stop_signal.refunds_verdict(Counter(), Counter(), "USD") == "not_enough"
    assert stop_signal.ratings_verdict([], []) == "not_enough"
    assert Product("p", "", 5, "USD", 100, 250).rate == Fraction(1)

"""Creators over whole days: who sold, what they earned, who stopped."""

from __future__ import annotations

from fractions import Fraction
from statistics import median
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.earners import STOPPED_SHOWN, TOP, creators_answer, quantile, together

USD = ("USD",)


def _work(orders: int = 0, commission: int = 0, gmv: int = 0, lives: int = 0, cur: str = "USD") -> Any:
    return {
        f"orders:{cur}": orders,
        f"commission:{cur}": commission,
        f"gmv_paid:{cur}": gmv,
        "live_starts": lives,
    }


def test_earnings_of_those_who_sold() -> None:
    """Of three creators with a sale one earned nothing; who only went live is not among them."""
    now = {
        ("tiktok", "c1"): _work(2, 100, 1_000),
        ("tiktok", "c2"): _work(1, 0, 500),
        ("tiktok", "c3"): _work(1, 50, 200),
        ("tiktok", "c4"): _work(lives=3),
    }
    answer: Any = creators_answer(now, {}, None, USD)
    assert (answer["with_a_sale"], answer["with_a_live"]) == (3, 1)
    best = [
        {"creator_id": "c1", "commission_minor": 100, "gmv_paid_minor": 1_000, "orders": 2},
        {"creator_id": "c3", "commission_minor": 50, "gmv_paid_minor": 200, "orders": 1},
        {"creator_id": "c2", "commission_minor": 0, "gmv_paid_minor": 500, "orders": 1},
    ]
    assert answer["earnings"]["USD"] == {
        "creators": 3, "total_minor": 150, "p25_minor": 25, "median_minor": 50, "p75_minor": 75, "top": best,
    }  # fmt: skip


def test_who_stopped_was_active_before() -> None:
    """c1 sold before and not now, c2 still does; c3 went live before and not now, though it sells."""
    before = {
        ("tiktok", "c1"): _work(4, gmv=70),
        ("tiktok", "c2"): _work(1),
        ("tiktok", "c3"): _work(lives=2),
    }
    now = {("tiktok", "c2"): _work(1), ("tiktok", "c3"): _work(1), ("tiktok", "c1"): _work(lives=1)}
    answer: Any = creators_answer(now, before, "tiktok", USD)
    assert answer["stopped_selling"] == {
        "count": 1,
        "per_creator_with_a_sale_before": 0.5,
        "creators": [{"creator_id": "c1", "orders_before": 4, "gmv_paid_before_minor": {"USD": 70}}],
    }
    assert answer["stopped_going_live"] == {
        "count": 1,
        "per_creator_with_a_live_before": 1,
        "creators": [{"creator_id": "c3", "lives_before": 2}],
    }


def test_a_creator_of_two_platforms_counts_once() -> None:
    """Who moved from one platform to another stopped there, and not altogether."""
    before, now = {("douyin", "c1"): _work(1, 5)}, {("tiktok", "c1"): _work(1, 7)}
    for platform, stopped, selling in (("douyin", 1, 0), ("tiktok", 0, 1), (None, 0, 1)):
        answer: Any = creators_answer(now, before, platform, USD)
        assert (answer["stopped_selling"]["count"], answer["with_a_sale"]) == (stopped, selling)
    both: Any = creators_answer({**before, **now}, {}, None, USD)
    assert (both["with_a_sale"], both["earnings"]["USD"]["median_minor"]) == (1, 12)


def test_currencies_are_never_added() -> None:
    """A creator's earnings stand in each currency in which they sold."""
    now = {("tiktok", "c1"): _work(1, 5) | _work(1, 700, cur="EUR")}
    answer: Any = creators_answer(now, {}, None, ("EUR", "GBP", "USD"))
    totals = {cur: each["total_minor"] for cur, each in answer["earnings"].items()}
    assert (totals, answer["with_a_sale"]) == ({"EUR": 700, "GBP": 0, "USD": 5}, 1)
    assert answer["earnings"]["GBP"]["median_minor"] is None


def test_lists_are_bounded() -> None:
    """However many stopped, so many are named; the count is of all."""
    many = {("tiktok", f"c{n:03}"): _work(1, n) for n in range(STOPPED_SHOWN + 20)}
    answer: Any = creators_answer({}, many, None, USD)
    assert (answer["stopped_selling"]["count"], len(answer["stopped_selling"]["creators"])) == (120, 100)
    best: Any = creators_answer(many, {}, None, USD)
    assert [each["commission_minor"] for each in best["earnings"]["USD"]["top"]] == list(
        range(119, 119 - TOP, -1)
    )


@given(amounts=st.lists(st.integers(0, 10**6), min_size=1))
def test_quantiles_lie_in_order(amounts: list[int]) -> None:
    """The middle one is the median; quarters lie between the ends and it; the ends are the extremes."""
    ascending = sorted(amounts)
    low, middle, high = (quantile(ascending, Fraction(n, 4)) for n in (1, 2, 3))
    assert middle == round(Fraction(median(ascending)))
    assert low is not None and high is not None and middle is not None
    assert ascending[0] <= low <= middle <= high <= ascending[-1]
    assert (quantile(ascending, Fraction(0)), quantile(ascending, Fraction(1))) == (
        ascending[0],
        ascending[-1],
    )
    assert quantile([], Fraction(1, 2)) is None


WORK = st.dictionaries(st.sampled_from(["orders:USD", "live_starts"]), st.integers(0, 3))
SPAN = st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), WORK)


@given(spans=st.lists(SPAN, max_size=4))
def test_spans_add_up_in_any_order(spans: list[Any]) -> None:
    """Two weeks are what each of them is, whichever comes first; the parts stay as they are."""
    copies = [{who: dict(work) for who, work in span.items()} for span in spans]
    assert together(spans) == together(reversed(spans))
    assert together([together(spans[:2]), *spans[2:]]) == together(spans)
    assert spans == copies

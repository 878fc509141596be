"""The split of a refund over an order's lines."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from streams.refunds import in_proportion, split


@st.composite
def refunds(draw: st.DrawFn) -> tuple[int, list[tuple[str, int]], list[str], list[int]]:
    """A refund that its order can bear: amount, items, products of the lines, what is left of each."""
    money = st.one_of(st.integers(0, 20), st.integers(0, 2**53 - 1))
    lines = draw(st.lists(st.tuples(st.sampled_from("abc"), money), min_size=1, max_size=6))
    left = [amount for _, amount in lines]
    items = draw(st.lists(st.tuples(st.sampled_from("abcx"), money), max_size=4))
    wanted = sum(amount for _, amount in items)
    if not items or wanted > sum(left):
        return draw(st.integers(0, sum(left))), [], [product for product, _ in lines], left
    return wanted, items, [product for product, _ in lines], left


@given(refunds())
def test_a_split_adds_up_within_what_is_left(
    refund: tuple[int, list[tuple[str, int]], list[str], list[int]],
) -> None:
    """Not a minor unit is lost or invented, and no line gives more than it has."""
    amount, items, products, left = refund
    taken = split(amount, items, products, left)
    assert sum(taken) == amount
    assert all(0 <= part <= line for part, line in zip(taken, left, strict=True))


@given(refunds())
def test_items_take_from_their_own_lines_first(
    refund: tuple[int, list[tuple[str, int]], list[str], list[int]],
) -> None:
    """A product's lines give at least what its items want, as far as it is left of them."""
    amount, items, products, left = refund
    taken = split(amount, items, products, left)
    for product in set(products):
        wanted = sum(part for name, part in items if name == product)
        rows = [index for index, name in enumerate(products) if name == product]
        assert sum(taken[index] for index in rows) >= min(wanted, sum(left[index] for index in rows))


@given(st.lists(st.integers(0, 2**53), min_size=1, max_size=8), st.data())
def test_largest_remainder(weights: list[int], data: st.DataObject) -> None:
    """Each part is its exact share rounded down or up; the larger fractions, then the first, are rounded up.

    The part rounded up is never above its weight, as long as the amount is not above their sum.
    """
    if not any(weights):
        weights[0] = 1
    total = sum(weights)
    amount = data.draw(st.integers(0, total))
    parts = in_proportion(amount, weights)
    shares = [Fraction(amount * weight, total) for weight in weights]
    floors = [int(share) for share in shares]
    up = [part - floor for part, floor in zip(parts, floors, strict=True)]
    assert sum(parts) == amount
    assert set(up) <= {0, 1}
    assert all(part <= weight for part, weight in zip(parts, weights, strict=True))
    rank = sorted(range(len(weights)), key=lambda index: (-(shares[index] % 1), index))
    assert [up[index] for index in rank] == sorted(up, reverse=True)


def test_ties_go_in_line_order() -> None:
    """Equal fractions: the first lines get the odd units."""
    assert in_proportion(5, [10, 10, 10]) == [2, 2, 1]
    assert split(5, [], ["a", "b", "c"], [10, 10, 10]) == [2, 2, 1]


def test_items_of_the_same_product_fill_its_lines_one_after_the_other() -> None:
    """The first line of a product is emptied before the next gives; the rest goes over all lines."""
    assert split(7, [("a", 3), ("a", 4)], ["a", "b", "a"], [5, 9, 5]) == [5, 0, 2]
    assert split(12, [("a", 12)], ["a", "b", "a"], [5, 4, 5]) == [5, 2, 5]
    assert split(4, [("unknown", 4)], ["a", "b"], [4, 4]) == [2, 2]


def test_nothing_left_gives_nothing() -> None:
    """A refund of nothing from an empty order divides nothing by nothing, and is nothing."""
    assert split(0, [], ["a"], [0]) == [0]

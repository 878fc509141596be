"""Products that run short: since when nothing is left, and the order in which they are told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.stock import Left
from streams.stock_list import is_sold_out, sold_out_from

STARTS = [0, 10, 20, 30]


def test_nothing_is_left_from_a_border_on() -> None:
    """Two were left at 10 and sold in that pane: from 20 on there was nothing."""
    left = [Left("", 0, 0)]
    assert sold_out_from(left, [[3], [2], [0], [0]], STARTS) == 2
    assert sold_out_from(left, [[0], [0], [0], [0]], STARTS) == 0
    assert sold_out_from(left, [[0], [0], [0], [1]], STARTS) is None


def test_before_a_stock_was_set_nothing_is_known() -> None:
    """Set to nothing within the pane at 20, whose sales count from there: told from then, not before."""
    assert sold_out_from([Left("", 0, 20)], [[0]] * 4, STARTS) == 2
    assert sold_out_from([Left("", 0, 25)], [[0]] * 4, STARTS) == 3


def test_one_sku_that_is_there_is_enough() -> None:
    """A product with an oversold SKU and one that is left is not sold out."""
    assert not is_sold_out([Left("red", -3, 0), Left("blue", 1, 0)])
    assert is_sold_out([Left("red", -3, 0), Left("blue", 0, 0)])
    assert (
        sold_out_from([Left("red", -3, 0), Left("blue", 0, 0)], [[0, 1], [3, 0], [0, 0], [0, 0]], STARTS) == 1
    )


@given(
    stocked=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    sold=st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=8),
)
def test_equal_to_selling_forwards(stocked: list[int], sold: list[list[int]]) -> None:
    """Going back from what is left now finds the border that selling pane by pane from the stock on finds."""
    panes = [row[: len(stocked)] for row in sold]
    starts = list(range(len(panes)))
    units, empty_at = list(stocked), []
    for row in panes:
        empty_at.append(max(units) <= 0)
        units = [now - items for now, items in zip(units, row, strict=True)]
    left = [Left(str(n), each, 0) for n, each in enumerate(units)]
    expected = empty_at.index(True) if True in empty_at else None
    assert sold_out_from(left, panes, starts) == expected

"""What is left of a stock: its state, the records of a product, and panes that are read once for many."""

from __future__ import annotations

import pytest

from streams.products import ProductRecord, Stock
from streams.since import Wanted, together
from streams.stock import StockState, merged, state
from streams.window import Pane, pane_sizes

TEN_SECONDS, MINUTE, *_ = pane_sizes(1, 1, 1, 1)


@pytest.mark.parametrize(
    ("left", "minutes_left", "expected"),
    [
        ([100], None, StockState.IN_STOCK),
        ([11], None, StockState.IN_STOCK),
        ([10], None, StockState.LOW),
        ([4, 5], None, StockState.LOW),
        ([5], 30.5, StockState.IN_STOCK),
        ([500], 30.0, StockState.LOW),
        ([0], None, StockState.OUT),
        ([0, 0], 0.0, StockState.OUT),
        ([-1], 0.0, StockState.OVERSOLD),
        ([50, -1], 60.0, StockState.OVERSOLD),
        ([1, -1], None, StockState.OVERSOLD),
    ],
)
def test_a_stock_has_the_most_urgent_state(
    left: list[int], minutes_left: float | None, expected: StockState
) -> None:
    """One oversold SKU is enough; a known pace says better than a number of units what is low."""
    assert state(left, minutes_left) is expected


def test_a_products_records_are_merged() -> None:
    """Of misplaced events another partition has a record too: the latest listing and stocks hold."""
    first = ProductRecord(listed=(5, 0), title="Tea", stocks={"s": Stock(1, 9, 10), "t": Stock(3, 1, 30)})
    second = ProductRecord(listed=(4, 7), title="Old", stocks={"s": Stock(2, 0, 20), "": Stock(1, 1, 5)})
    both = merged([second, first])
    assert both is not None
    assert both.title == "Tea"
    assert both.stocks == {"s": Stock(2, 0, 20), "t": Stock(3, 1, 30), "": Stock(1, 1, 5)}
    assert merged([first]) is first
    assert merged([]) is None


def test_a_pane_is_read_once_for_all_who_want_it() -> None:
    """Values with ranges of their own share the panes that they have in common; none gets another's."""
    panes = [Pane(TEN_SECONDS, 50_000), Pane(MINUTE, 60_000), Pane(MINUTE, 120_000)]
    wanted = [
        Wanted("a", ["items"], panes),
        Wanted("b", ["items", "orders:USD"], panes[1:]),
        Wanted("c", [], panes),
        Wanted("d", ["items"], []),
    ]
    found = {request.panes: request.fields for request in together("product", wanted)}
    assert found == {
        ("10s:50000",): ("items|a",),
        ("1m:60000", "1m:120000"): ("items|a", "items|b", "orders:USD|b"),
    }

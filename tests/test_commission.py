"""Commission as a function of an order's record, and deliveries in whatever order the log has them."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.commission import Settlement, commission_of, due_values
from streams.deliveries import Deliveries, Delivery
from streams.errors import PulseError
from streams.ledger import Order, OrderLine, Taken
from streams.refunds import split
from streams.settings import load
from tests.driver import run
from tests.scenario_kit import DAY, NOON, Sent, line, purchase, refund
from tests.scenarios_commission import status
from verify.model import LogRecord

SETTLEMENT = Settlement()


def _line(value_minor: int, bps: int, **more: Any) -> OrderLine:
    absent = dict.fromkeys(("sku", "creator", "live", "brand", "merchant", "affiliate"))
    own = {
        "product": "p",
        "quantity": 1,
        "value_minor": value_minor,
        "paid_minor": 0,
        "left_minor": value_minor,
    }
    return OrderLine(**(absent | own | {"commission_bps": bps, "fee_bps": 0} | more))  # type: ignore[arg-type]


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """An order with refunds at any time, delivered at any time or never."""
    rates = st.sampled_from([0, 1, 333, 5_000, 10_000])
    lines = [_line(draw(st.integers(0, 10**6)), draw(rates)) for _ in range(draw(st.integers(1, 3)))]
    moments = st.sampled_from([-DAY, 0, 14 * DAY, 15 * DAY, 44 * DAY, 45 * DAY, 46 * DAY, 60 * DAY])
    order = Order(0, 0, 0, NOON, "USD", False, ("tiktok",), lines, "u", 0, [])
    order.delivered_ms = draw(st.none() | moments.map(lambda after: NOON + after))
    for after in draw(st.lists(moments, max_size=4)):
        left = [each.left_minor for each in lines]
        taken = split(draw(st.integers(0, sum(left))), [], ["p"] * len(lines), left)
        for each, part in zip(lines, taken, strict=True):
            each.left_minor -= part
        order.refunds.append(Taken(NOON + after, taken))
    return order


@given(orders())
def test_what_is_earned_is_reversed_kept_or_clawed_back(order: Order) -> None:
    """Line by line: earned = reversed + kept, what is left = kept - clawed back, and nothing is below 0."""
    commission = commission_of(order, SETTLEMENT)
    if commission is None:
        assert not any(each.commission_bps for each in order.lines)
        return
    for at, each in enumerate(order.lines):
        kept, clawed_back = commission.kept[at], commission.clawed_back[at]
        assert commission.reversed[at] + kept == each.value_minor * each.commission_bps // 10_000
        assert kept - clawed_back == each.left_minor * each.commission_bps // 10_000
        assert sum(by_line[at] for _, by_line in commission.claw_backs) == clawed_back
        assert min(kept, clawed_back, commission.reversed[at], 0) == 0


@given(orders())
def test_final_lies_between_its_bounds(order: Order) -> None:
    """F is never sooner than 15 days after the purchase, nor later than 60: readers rely on both."""
    final_ms = SETTLEMENT.final_ms(order)
    assert order.time_ms + SETTLEMENT.least_ms <= final_ms <= order.time_ms + SETTLEMENT.most_ms
    commission = commission_of(order, SETTLEMENT)
    if commission is not None:
        assert 0 <= commission.due_hour * 3_600_000 - final_ms < 3_600_000


def test_lines_without_a_value_stand_in_the_shop_alone() -> None:
    """A line counts for its affiliate and brand, and its creator or nobody; all lines for the shop."""
    lines = [_line(100, 10_000, affiliate="a:1", brand="b"), _line(7, 10_000, creator="c")]
    order = Order(0, 0, 0, 0, "USD", False, ("tiktok",), lines, "u", 0, [])
    commission = commission_of(order, Settlement.of_days(2, 3))
    assert commission is not None
    assert list(due_values(order, commission)) == [
        ("72:all:", 107),
        ("72:platform:tiktok", 107),
        ("72:creator:unattributed", 100),
        ("72:affiliate:a:1", 100),
        ("72:brand:b", 100),
        ("72:creator:c", 7),
    ]


def _cells(sent: list[Sent]) -> dict[tuple[str, str], int]:
    """Everything that is kept of commission, by measure and stored value, of days."""
    log = [LogRecord("purchases", 0, at, NOON + 20 * DAY, s.key, s.data) for at, s in enumerate(sent)]
    names = ("commission:", "reversed:", "clawed_back:", "claw_backs:", "final:")
    cells = run(log, settings={"purchase_lateness_ms": 30 * DAY}).cells()
    return {
        (cell[4], f"{cell[0]}|{cell[1]}|{cell[3]}"): n
        for cell, n in cells.items()
        if cell[2] == "1d" and cell[4].startswith(names)
    }


def test_any_order_of_the_log_gives_the_same() -> None:
    """A purchase, two deliveries and a refund: in each of their 24 orders the same figures."""
    sent = [
        purchase("o1", NOON, line("p1", 1, 1_000, commission_bps=1_000, affiliate_id="a1")),
        status("e1", "o1", NOON + 3 * DAY),
        status("e2", "o1", NOON + 2 * DAY),
        refund("r1", "o1", NOON + 17 * DAY, 300),
    ]
    found = [_cells(list(order)) for order in permutations(sent)]
    assert found[0]["clawed_back:USD", f"affiliate|a1|{NOON - NOON % DAY}"] == 30
    assert all(each == found[0] for each in found)


def test_a_waiting_delivery_lives_as_long_as_it_is_spoken_of() -> None:
    """Ninety days after the last word of it a delivery is forgotten; the earliest time of those counts."""
    waiting = Deliveries(90, are_kept=True)
    waiting.records.load({"o": None})
    assert waiting.waiting_ms("o", 0) is None
    waiting.let_wait("o", 50, 0)
    waiting.let_wait("o", 70, 90 * DAY)
    assert waiting.records.get("o") == Delivery(90, 50)
    assert waiting.waiting_ms("o", 180 * DAY) == 50
    assert waiting.waiting_ms("o", 181 * DAY) is None
    waiting.let_wait("o", 70, 181 * DAY)
    assert waiting.records.get("o") == Delivery(181, 70)


def test_a_figure_set_without_commission_asks_for_no_delivery() -> None:
    """The bench's set reads and keeps nothing of deliveries."""
    sent = [status("e1", "o1", NOON), purchase("o1", NOON, line("p1", 1, 10, commission_bps=9_000))]
    sent.append(status("e2", "o1", NOON))
    log = [LogRecord("purchases", 0, at, NOON, each.key, each.data) for at, each in enumerate(sent)]
    saved = run(log, settings={"figures": "funnel-gmv"}).saved[0]
    assert not saved.ledgers["deliveries"]
    assert not any(kind == "due" for kind, _ in saved.cells)


@pytest.mark.parametrize("after", ["DELIVERY", "PURCHASE"])
def test_commission_is_not_final_while_minutes_are_kept(after: str) -> None:
    """Panes of minutes don't tell when commission is final, so it must not be final in their time."""
    name = f"SHOP_PULSE_COMMISSION_FINAL_AFTER_{after}_DAYS"
    assert load({name: "2"})
    with pytest.raises(PulseError, match=f"{name} is 1: give at least 2, or keep minutes"):
        load({name: "1"})
    with pytest.raises(PulseError, match=f"{name} is 2: give at least 3, or keep minutes"):
        load({name: "2", "SHOP_PULSE_RETENTION_1M_MS": str(37 * 3_600_000)})

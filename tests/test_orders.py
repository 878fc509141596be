"""Orders and refunds: what scenarios do not say."""

from __future__ import annotations

from heapq import heappop
from typing import Any
from unittest.mock import patch

import pytest

from schemas.events import Purchase, PurchaseItem, Refund, RefundItem
from streams.attribution import AttributionBook
from streams.batch import PlainRecord
from streams.booking import Books
from streams.kpis import FIGURE_SETS
from streams.ledger import Identity, Ledger, Order
from streams.orders import (
    OrderBook,
    event_identity,
    is_repeated,
    lines_of,
    money_hash,
    order_scopes,
    refund_identity,
)
from streams.settings import Settings
from streams.sums import Sums
from streams.worker import rules_of

NOON = 1_767_614_400_000
MINUTE, DAY = 60_000, 86_400_000


def _item(**fields: Any) -> PurchaseItem:
    own: dict[str, Any] = {"product_id": "p", "quantity": 2, "unit_price_minor": 50}
    return PurchaseItem(**(own | fields))


def _purchase(*items: PurchaseItem, **fields: Any) -> Purchase:
    own: dict[str, Any] = {"event_id": "e", "event_time_ms": NOON, "platform": "tiktok", "user_id": "u"}
    own |= {"order_id": "o", "gateway": "adyen", "currency": "USD"}
    return Purchase(**(own | {"items": items or (_item(),)} | fields))


def _refund(amount: int, refund_id: str = "r", **fields: Any) -> Refund:
    own: dict[str, Any] = {"event_id": "e", "event_time_ms": NOON, "platform": "tiktok", "user_id": "u"}
    own |= {"order_id": "o", "currency": "USD", "refund_id": refund_id, "amount_minor": amount}
    return Refund(**(own | fields))


def _book(wait_ms: int = 7 * DAY) -> OrderBook:
    figures = FIGURE_SETS["all"]
    books = Books(figures, Sums(figures, rules_of(Settings()).sizes))
    orders = Ledger("orders", Order)
    attribution = AttributionBook(
        books, orders, enabled=False, lateness_ms=0, purchase_lateness_ms=0, taps_read_ms=lambda: NOON
    )
    book = OrderBook(books, orders, attribution, 90, wait_ms)
    book.orders.load({"o": None, "o2": None})
    book.deliveries.records.load({"o": None, "o2": None})
    return book


def _record(offset: int) -> PlainRecord:
    return PlainRecord(offset, NOON, b"u", b"{}", [("trace", b"1")])


@pytest.mark.parametrize(
    "change",
    [
        {"currency": "EUR"},
        {"shipping_minor": 1},
        *(
            {"items": (_item(**{name: 1}),)}
            for name in """quantity unit_price_minor seller_discount_minor platform_discount_minor tax_minor
            commission_bps platform_fee_bps""".split()
        ),
        {"items": (_item(product_id="q"),)},
        {"items": (_item(), _item(product_id="q"))},
    ],
)
def test_every_field_that_moves_money_changes_the_hash(change: dict[str, Any]) -> None:
    """A repetition that differs in any of them is a conflict, not a duplicate."""
    assert money_hash(_purchase(**change)) != money_hash(_purchase())


def test_order_of_lines_is_part_of_the_money_hash() -> None:
    """Refunds fill lines in their order: another order of lines is another order."""
    lines = (_item(), _item(product_id="q"))
    assert money_hash(_purchase(items=lines)) != money_hash(_purchase(items=lines[::-1]))


def test_other_fields_do_not_change_the_hash() -> None:
    """A retry by the producer may carry another event id, time or context."""
    other = _purchase(_item(live_id="L", sku_id="s"), event_id="f", event_time_ms=NOON + 1, gateway="x")
    assert money_hash(other) == money_hash(_purchase())
    assert money_hash(_refund(5, kind="cancel", reason="x")) == money_hash(_refund(5, event_id="f"))


def test_a_refunds_hash_holds_its_order_amount_currency_and_items() -> None:
    """Each of them makes another refund of the same id a conflict."""
    item = RefundItem(product_id="p", quantity=1, amount_minor=5)
    changed = [
        _refund(6),
        _refund(5, order_id="o2"),
        _refund(5, currency="EUR"),
        _refund(5, items=(item,)),
        _refund(5, items=(RefundItem(product_id="p", quantity=2, amount_minor=5),)),
    ]
    hashes = {money_hash(each) for each in [_refund(5), *changed]}
    assert len(hashes) == 6
    assert all(0 <= each < 2**64 for each in hashes)


def test_a_line_takes_the_items_attribution_else_the_envelopes() -> None:
    """The product is always the item's; nothing is invented where both lack it."""
    own, bare = lines_of(
        _purchase(
            _item(live_id="L1", brand_id="b1"),
            _item(product_id="q"),
            live_id="L0",
            merchant_id="m",
            product_id="x",
        )
    )
    assert (own.product, own.live, own.brand, own.merchant, own.creator) == ("p", "L1", "b1", "m", None)
    assert (bare.product, bare.live, bare.brand, bare.merchant) == ("q", "L0", None, "m")


def test_scopes_of_an_event_without_gateway() -> None:
    """A refund names no gateway: its place stays empty."""
    assert order_scopes(_refund(5, surface="live")) == ("tiktok", "live", None, None, None, None, None)
    assert order_scopes(_purchase())[2] == "adyen"


def test_identities_are_separate_name_spaces() -> None:
    """A refund and an event of the same id do not know each other."""
    assert refund_identity("e:x") != event_identity("x") != refund_identity("x")


def test_a_repetition_is_known_by_whole_minutes() -> None:
    """Up to the horizon, inclusive; nothing known is never repeated; a forgotten identity neither."""
    known = Identity(0, NOON // MINUTE, 0)
    assert is_repeated(known, NOON + 10 * MINUTE + MINUTE - 1, 10)
    assert not is_repeated(known, NOON + 11 * MINUTE, 10)
    assert not is_repeated(None, NOON, 10)
    assert not is_repeated(Identity(0, -1, 0), NOON, 10_081)


def test_an_order_is_known_for_ninety_days_of_its_own_time() -> None:
    """Whole UTC days between ingest time and the purchase's event time."""
    book = _book()
    assert list(book.accept_purchase(_purchase(), NOON, False)) == []
    midnight = NOON - NOON % DAY
    assert book.known_order("o", midnight + 91 * DAY - 1) is not None
    assert book.known_order("o", midnight + 91 * DAY) is None


def test_a_refund_that_waits_keeps_its_bytes() -> None:
    """It may still become a dead letter: original key, value, headers, place, for the next owner too."""
    book = _book()
    assert book.accept_refund(_refund(500), _record(7), NOON + 5, False) is None
    kept = book.changed_waiting["r"]
    assert kept is not None
    book.changed_waiting = {}
    (refused,) = book.accept_purchase(_purchase(), NOON + 9, False)
    assert refused.record == _record(7)
    assert refused.detail == "refund of 500 above the 100 left of its order"
    assert book.take_refused() == ["r"]
    assert book.take_refused() == []
    assert book.changed_waiting == {"r": None}
    assert kept.counted_ms == NOON + 5


def test_refunds_wait_for_their_own_order_and_time() -> None:
    """One whose time is up goes, the others stay; each has its own time."""
    book = _book(wait_ms=10)
    book.accept_refund(_refund(5, "r1"), _record(1), NOON, False)
    book.accept_refund(_refund(5, "r2"), _record(2), NOON + 4, False)
    book.accept_refund(_refund(5, "r3", order_id="o2"), _record(3), NOON + 4, False)
    book.expire_waiting(NOON + 9)
    assert set(book.waiting["o"]) == {"r1", "r2"}
    book.expire_waiting(NOON + 10)
    assert {order: set(ours) for order, ours in book.waiting.items()} == {"o": {"r2"}, "o2": {"r3"}}
    book.expire_waiting(NOON + 14)
    assert book.waiting == {}
    assert book.changed_waiting == {"r1": None, "r2": None, "r3": None}


def test_a_refund_costs_the_same_however_many_came_before() -> None:
    """Of an order with fifty refunds, claw-backs among them, the next one books no more than the first; so a
    shop that gives money back cent by cent does not slow down."""
    book = _book()
    list(book.accept_purchase(_purchase(_item(quantity=100, commission_bps=9_999)), NOON, excluded=False))
    costs = []
    with patch.object(Books, "book", autospec=True, side_effect=Books.book) as booked:
        for number in range(50):
            event = _refund(7, f"r{number}", event_time_ms=NOON + number * 2 * DAY)
            book.accept_refund(event, _record(number), NOON, excluded=False)
            costs.append(booked.call_count)
            booked.reset_mock()
    # The purchase taken back and booked anew, the refund; and what it claws back.
    assert costs[0] == 3
    assert max(costs) == 4


def test_a_refund_that_waits_again_is_given_up_once_and_by_its_own_time() -> None:
    """Refused when its order came, its id is free; sent again of an order that never comes, it waits anew."""
    book = _book(wait_ms=10)
    book.accept_refund(_refund(500), _record(1), NOON, False)
    assert len(list(book.accept_purchase(_purchase(), NOON + 1, False))) == 1
    book.accept_refund(_refund(5, order_id="o2"), _record(2), NOON + 4, False)
    book.expire_waiting(NOON + 10)
    assert set(book.waiting["o2"]) == {"r"}
    with patch.object(Books, "book", autospec=True) as booked:
        for later in (14, 15):
            book.expire_waiting(NOON + later)
    assert (book.waiting, booked.call_count) == ({}, 1)


def test_those_whose_time_is_not_up_are_not_looked_at() -> None:
    """However many refunds wait (of a shop whose older orders are in no log), giving one up touches one."""
    book = _book(wait_ms=1_000)
    for number in range(50):
        book.accept_refund(_refund(1, f"r{number}"), _record(number), NOON + number, False)
    with (
        patch.object(OrderBook, "let_wait") as let_wait,
        patch("streams.orders.heappop", wraps=heappop) as pop,
    ):
        book.expire_waiting(NOON + 1_000)
    assert (let_wait.call_count, pop.call_count, len(book.waiting["o"])) == (0, 1, 49)

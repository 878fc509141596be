"""Orders, refunds and commission: the ledger of the purchases topic of one partition.

Second step of a recomputation: fed with accepted and excluded purchases and refunds in log order, it leaves
orders with all that was refunded of them, which `order_bookings` puts into figures once it is known to whom
their lines belong. Which verdict a refund gets against its order is asked here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from verify.model import Booking, Scope
from verify.parts import of_order
from verify.rules import DAY_MS, HOUR_MS, MINUTE_MS, Rules
from verify.scopes import ALL, PRODUCT_SKU, ROOM_HEAD, of_line, order_level, pair_value


@dataclass
class Line:
    """One line of an order; `left_minor` is its value less what was refunded of it.

    `attribution` is `own`, `direct` or `unattributed`; empty where the figures do not have it.
    """

    product_id: str
    sku_id: str
    live_id: str | None
    creator_id: str | None
    quantity: int
    value_minor: int
    buyer_paid_minor: int
    commission_bps: int
    fee_bps: int
    scopes: tuple[Scope, ...]
    left_minor: int
    attribution: str = ""

    @property
    def commission_minor(self) -> int:
        """Commission on what is left of the line."""
        return self.left_minor * self.commission_bps // 10_000


@dataclass
class Order:
    """What is remembered of a purchase.

    `refunds` are (time, amount of each line) in log order, `deliveries` the times at which it was delivered.
    """

    user_id: str
    time_ms: int
    currency: str
    excluded: bool
    shipping_minor: int
    scopes: tuple[Scope, ...]
    lines: list[Line]
    refunds: list[tuple[int, list[int]]] = field(default_factory=list)
    deliveries: list[int] = field(default_factory=list)

    @property
    def left_minor(self) -> int:
        """What a refund may still take."""
        return sum(line.left_minor for line in self.lines)


class WaitingRefund(NamedTuple):
    """A refund whose order is not known: its record's offset and the ingest time at which it came."""

    event: Mapping[str, Any]
    offset: int
    ingest_ms: int


class Ledger:
    """Orders and waiting refunds of one partition.

    `sold` are the orders that count, in log order; `bookings` are of refunds whose order never came.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.bookings: list[Booking] = []
        self.sold: list[Order] = []
        # In log order, which is the order of ingest time too.
        self.waiting: list[WaitingRefund] = []
        self.order_count = 0
        self.gmv_paid_minor: dict[str, int] = {}
        # Every order that counts in figures, also one whose id came again.
        self.booked: list[Order] = []
        self._orders: dict[str, Order] = {}
        # (ingest day, time) by order that was not known then.
        self._deliveries: dict[str, list[tuple[int, int]]] = {}

    def expire_waiting(self, ingest_ms: int) -> None:
        """Books refunds that waited too long, in `all` and their platform; to be called for each record."""
        while self.waiting and ingest_ms >= self.waiting[0].ingest_ms + self.rules.unknown_order_wait_ms:
            self._book_unattributed(self.waiting.pop(0).event)

    def order(self, order_id: str, ingest_ms: int) -> Order | None:
        """The order if it is known and within the horizon at this ingest time."""
        order = self._orders.get(order_id)
        if order is None:
            return None
        days = ingest_ms // DAY_MS - order.time_ms // DAY_MS
        return None if days > self.rules.order_horizon_days else order

    def refuses(self, refund: Mapping[str, Any], ingest_ms: int) -> bool:
        """Whether the refund's order is known and it does not fit: other currency, or above what is left."""
        order = self.order(refund["order_id"], ingest_ms)
        return order is not None and not fits(refund, order)

    def add_purchase(self, event: Mapping[str, Any], ingest_ms: int) -> list[WaitingRefund]:
        """Remembers an accepted or excluded purchase, then judges the refunds that waited for it.

        Returns those that do not fit, in log order.
        """
        order = read_order(event)
        self._orders[event["order_id"]] = order
        told = self._deliveries.get(event["order_id"], [])
        order.deliveries = waiting_deliveries(told, ingest_ms // DAY_MS, self.rules.order_horizon_days)
        if not order.excluded:
            self.sold.append(order)
            self.order_count += 1
            value = sum(line.value_minor for line in order.lines)
            self.gmv_paid_minor[order.currency] = self.gmv_paid_minor.get(order.currency, 0) + value
        refused = []
        for refund in [w for w in self.waiting if w.event["order_id"] == event["order_id"]]:
            self.waiting.remove(refund)
            if fits(refund.event, order):
                self._apply(refund.event, order)
            else:
                refused.append(refund)
        return refused

    def add_refund(self, event: Mapping[str, Any], offset: int, ingest_ms: int) -> None:
        """Takes an accepted refund from its order, or lets it wait for that. An excluded one does nothing."""
        if event["traffic"] != "real":
            return
        order = self.order(event["order_id"], ingest_ms)
        if order is None:
            self.waiting.append(WaitingRefund(event, offset, ingest_ms))
        else:
            self._apply(event, order)

    def add_delivery(self, event: Mapping[str, Any], ingest_ms: int) -> None:
        """A real order status: notes that the order was delivered, or lets that wait for it."""
        if event["status"] != "delivered":
            return
        order = self.order(event["order_id"], ingest_ms)
        if order is None:
            told = (ingest_ms // DAY_MS, event["event_time_ms"])
            self._deliveries.setdefault(event["order_id"], []).append(told)
        else:
            order.deliveries.append(event["event_time_ms"])

    def _apply(self, refund: Mapping[str, Any], order: Order) -> None:
        """Takes the refund from the order's lines."""
        parts = split_refund(refund, order.lines)
        for line, part in zip(order.lines, parts, strict=True):
            line.left_minor -= part
        order.refunds.append((refund["event_time_ms"], parts))

    def _book_unattributed(self, refund: Mapping[str, Any]) -> None:
        currency, amount = refund["currency"], refund["amount_minor"]
        amounts = ((f"refunds:{currency}", amount), (f"unattributed_refunds:{currency}", amount))
        scopes = (ALL, ("platform", refund["platform"]))
        self.bookings.append(Booking(refund["event_time_ms"], scopes, amounts))


def waiting_deliveries(told: Sequence[tuple[int, int]], day: int, horizon_days: int) -> list[int]:
    """Of deliveries (ingest day, time) of an unknown order, those that are not given up on `day`: each must
    have been followed within the horizon by the next, and the last one by that day."""
    found = []
    for told_on, time_ms in reversed(told):
        if day - told_on > horizon_days:
            break
        found.append(time_ms)
        day = told_on
    return found


def fits(refund: Mapping[str, Any], order: Order) -> bool:
    """Same currency, and not above what is left of the order."""
    return bool(refund["currency"] == order.currency and refund["amount_minor"] <= order.left_minor)


def read_order(event: Mapping[str, Any]) -> Order:
    """The order that a purchase event describes."""
    lines = []
    for item in event["items"]:
        value = line_value_minor(item)
        buyer_paid = value - item.get("platform_discount_minor", 0) + item.get("tax_minor", 0)
        lines.append(
            Line(
                product_id=item["product_id"],
                sku_id=item.get("sku_id", ""),
                live_id=item.get("live_id", event.get("live_id")),
                creator_id=item.get("creator_id", event.get("creator_id")),
                quantity=item["quantity"],
                value_minor=value,
                buyer_paid_minor=buyer_paid,
                commission_bps=item.get("commission_bps", 0),
                fee_bps=item.get("platform_fee_bps", 0),
                scopes=of_line(item, event),
                left_minor=value,
            )
        )
    return Order(
        user_id=event["user_id"],
        time_ms=event["event_time_ms"],
        currency=event["currency"],
        excluded=event["traffic"] != "real",
        shipping_minor=event.get("shipping_minor", 0),
        scopes=order_level(event),
        lines=lines,
    )


def line_value_minor(item: Mapping[str, Any]) -> int:
    """Quantity x unit price - seller discount."""
    return int(item["quantity"] * item["unit_price_minor"] - item.get("seller_discount_minor", 0))


def order_bookings(order: Order) -> Iterator[Booking]:
    """All that an order comes to, once its refunds are taken and its lines have their scopes."""
    time_ms, currency, lines = order.time_ms, order.currency, order.lines
    by_scope: dict[Scope, list[int]] = {}
    for number, line in enumerate(lines):
        for scope in line.scopes:
            by_scope.setdefault(scope, []).append(number)
    whole = range(len(lines))
    for scopes, numbers, shipped in (
        (order.scopes, whole, order.shipping_minor),
        *(((scope,), numbers, 0) for scope, numbers in by_scope.items()),
    ):
        ours = [lines[number] for number in numbers]
        yield Booking(time_ms, scopes, _purchase_amounts(order, ours, shipped))
        for refund_ms, parts in order.refunds:
            taken = sum(parts[number] for number in numbers)
            yield Booking(refund_ms, scopes, ((f"refunds:{currency}", taken),))
    yield from _sold_units(order)
    yield from _sold_in_rooms(order)


def _purchase_amounts(
    order: Order, lines: Sequence[Line], shipping_minor: int
) -> tuple[tuple[str, int], ...]:
    currency = order.currency
    gmv = sum(line.value_minor for line in lines)
    amounts = [
        ("events.purchase", 1),
        (f"orders:{currency}", 1),
        ("items", sum(line.quantity for line in lines)),
        (f"gmv_paid:{currency}", gmv),
        (f"buyer_paid:{currency}", sum(line.buyer_paid_minor for line in lines) + shipping_minor),
        (f"commission:{currency}", sum(line.commission_minor for line in lines)),
        (f"refunds_of_purchases:{currency}", gmv - sum(line.left_minor for line in lines)),
    ]
    amounts += of_order(dict(order.scopes).get("surface"), amounts)
    return tuple((measure, amount) for measure, amount in amounts if amount)


def _sold_units(order: Order) -> list[Booking]:
    """Units of each SKU, for what is left of its stock; a refund brings none back."""
    return [
        Booking(
            order.time_ms,
            ((PRODUCT_SKU, pair_value(line.product_id, line.sku_id)),),
            (("items", line.quantity),),
        )
        for line in order.lines
        if line.sku_id
    ]


def _sold_in_rooms(order: Order) -> list[Booking]:
    """What each live sold, on its own hashes: orders and GMV by minute of the hour, items by product."""
    minute = f"m{order.time_ms % HOUR_MS // MINUTE_MS}"
    bookings = []
    for live_id in dict.fromkeys(line.live_id for line in order.lines if line.live_id is not None):
        kind = ROOM_HEAD + live_id
        lines = [line for line in order.lines if line.live_id == live_id]
        gmv = sum(line.value_minor for line in lines)
        amounts = ((f"orders:{order.currency}", 1), (f"gmv_paid:{order.currency}", gmv))
        bookings.append(Booking(order.time_ms, ((kind, minute),), amounts))
        bookings += [
            Booking(order.time_ms, ((kind, f"p{line.product_id}"),), (("items", line.quantity),))
            for line in lines
        ]
    return bookings


def split_refund(refund: Mapping[str, Any], lines: Sequence[Line]) -> list[int]:
    """What the refund takes from each line, in line order; adds up to its amount.

    Items fill what is left of the lines of their product; all that exceeds them, and a refund without
    items, is split over all lines in proportion to what is then left.
    """
    left = [line.left_minor for line in lines]
    rest = refund["amount_minor"]
    for item in refund.get("items", ()):
        wanted = item["amount_minor"]
        for number, line in enumerate(lines):
            if line.product_id == item["product_id"]:
                taken = min(wanted, left[number])
                left[number] -= taken
                wanted -= taken
                rest -= taken
    for number, share in enumerate(proportional(rest, left)):
        left[number] -= share
    return [line.left_minor - after for line, after in zip(lines, left, strict=True)]


def proportional(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` split by `weights`: floors, then 1 each to the largest fractions, ties in order."""
    total = sum(weights)
    if amount == 0:
        return [0] * len(weights)
    shares = [amount * weight // total for weight in weights]
    fractions = [amount * weight % total for weight in weights]
    largest_first = sorted(range(len(weights)), key=lambda n: (-fractions[n], n))
    for number in largest_first[: amount - sum(shares)]:
        shares[number] += 1
    return shares

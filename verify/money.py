"""Orders, refunds and commission: the ledger of the purchases topic of one partition.

Second step of a recomputation: fed with accepted and excluded purchases and refunds in log order, it leaves
bookings. Which verdict a refund gets against its order is asked here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from verify.model import Booking, Scope
from verify.parts import of_order
from verify.rules import DAY_MS, HOUR_MS, MINUTE_MS, Rules
from verify.scopes import ALL, PRODUCT_SKU, ROOM_HEAD, of_line, order_level, pair_value


@dataclass
class Line:
    """One line of an order; `left_minor` is its value less what was refunded of it."""

    product_id: str
    sku_id: str
    live_id: str | None
    quantity: int
    value_minor: int
    buyer_paid_minor: int
    commission_bps: int
    scopes: tuple[Scope, ...]
    left_minor: int

    @property
    def commission_minor(self) -> int:
        """Commission on what is left of the line."""
        return self.left_minor * self.commission_bps // 10_000


@dataclass
class Order:
    """What is remembered of a purchase."""

    time_ms: int
    currency: str
    excluded: bool
    shipping_minor: int
    scopes: tuple[Scope, ...]
    lines: list[Line]

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
    """Orders and waiting refunds of one partition; `bookings` grows."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.bookings: list[Booking] = []
        # In log order, which is the order of ingest time too.
        self.waiting: list[WaitingRefund] = []
        self.order_count = 0
        self.gmv_paid_minor: dict[str, int] = {}
        self._orders: dict[str, Order] = {}

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
        """Remembers and books an accepted or excluded purchase, then judges the refunds that waited for it.

        Returns those that do not fit, in log order.
        """
        order = read_order(event)
        self._orders[event["order_id"]] = order
        if not order.excluded:
            self._book_purchase(order)
        refused = []
        for refund in [w for w in self.waiting if w.event["order_id"] == event["order_id"]]:
            self.waiting.remove(refund)
            if fits(refund.event, order):
                self._apply(refund.event, order)
            else:
                refused.append(refund)
        return refused

    def add_refund(self, event: Mapping[str, Any], offset: int, ingest_ms: int) -> None:
        """Books an accepted refund, or lets it wait for its order. An excluded one does nothing."""
        if event["traffic"] != "real":
            return
        order = self.order(event["order_id"], ingest_ms)
        if order is None:
            self.waiting.append(WaitingRefund(event, offset, ingest_ms))
        else:
            self._apply(event, order)

    def _book_purchase(self, order: Order) -> None:
        shipped = order.shipping_minor
        amounts = _purchase_amounts(order, order.lines, shipped)
        self.bookings.append(Booking(order.time_ms, order.scopes, amounts))
        for scope, lines in lines_by_scope(order).items():
            self.bookings.append(Booking(order.time_ms, (scope,), _purchase_amounts(order, lines, 0)))
        self.bookings += _sold_units(order)
        self.bookings += _sold_in_rooms(order)
        value = sum(line.value_minor for line in order.lines)
        self.order_count += 1
        self.gmv_paid_minor[order.currency] = self.gmv_paid_minor.get(order.currency, 0) + value

    def _apply(self, refund: Mapping[str, Any], order: Order) -> None:
        """Takes the refund from the order's lines; books it unless the order is excluded."""
        parts = split_refund(refund, order.lines)
        commission_before = [line.commission_minor for line in order.lines]
        for line, part in zip(order.lines, parts, strict=True):
            line.left_minor -= part
        if order.excluded:
            return
        changes = [
            line.commission_minor - before
            for line, before in zip(order.lines, commission_before, strict=True)
        ]
        time_ms = refund["event_time_ms"]
        self._book_refund(time_ms, order, order.scopes, sum(parts), sum(changes))
        by_scope: dict[Scope, list[int]] = {}
        for number, line in enumerate(order.lines):
            for scope in line.scopes:
                by_scope.setdefault(scope, []).append(number)
        for scope, numbers in by_scope.items():
            amount = sum(parts[n] for n in numbers)
            self._book_refund(time_ms, order, (scope,), amount, sum(changes[n] for n in numbers))

    def _book_refund(
        self, time_ms: int, order: Order, scopes: tuple[Scope, ...], amount: int, commission_change: int
    ) -> None:
        currency = order.currency
        self.bookings.append(Booking(time_ms, scopes, ((f"refunds:{currency}", amount),)))
        of_purchases = (f"refunds_of_purchases:{currency}", amount)
        commission = (f"commission:{currency}", commission_change)
        self.bookings.append(Booking(order.time_ms, scopes, (of_purchases, commission)))

    def _book_unattributed(self, refund: Mapping[str, Any]) -> None:
        currency, amount = refund["currency"], refund["amount_minor"]
        amounts = ((f"refunds:{currency}", amount), (f"unattributed_refunds:{currency}", amount))
        scopes = (ALL, ("platform", refund["platform"]))
        self.bookings.append(Booking(refund["event_time_ms"], scopes, amounts))


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
                quantity=item["quantity"],
                value_minor=value,
                buyer_paid_minor=buyer_paid,
                commission_bps=item.get("commission_bps", 0),
                scopes=of_line(item, event),
                left_minor=value,
            )
        )
    return Order(
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


def lines_by_scope(order: Order) -> dict[Scope, list[Line]]:
    """The lines of each line-level scope of the order."""
    found: dict[Scope, list[Line]] = {}
    for line in order.lines:
        for scope in line.scopes:
            found.setdefault(scope, []).append(line)
    return found


def _purchase_amounts(
    order: Order, lines: Sequence[Line], shipping_minor: int
) -> tuple[tuple[str, int], ...]:
    currency = order.currency
    amounts = [
        ("events.purchase", 1),
        (f"orders:{currency}", 1),
        ("items", sum(line.quantity for line in lines)),
        (f"gmv_paid:{currency}", sum(line.value_minor for line in lines)),
        (f"buyer_paid:{currency}", sum(line.buyer_paid_minor for line in lines) + shipping_minor),
        (f"commission:{currency}", sum(line.commission_minor for line in lines)),
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

"""What the order service says: purchases and refunds, judged and booked in the order of their log."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from msgspec.msgpack import encode
from xxhash import xxh3_64_intdigest

from schemas.codec import Reason
from schemas.events import Event, OrderStatus, Purchase, Refund
from streams import catalogue, order_entries
from streams.attribution import AttributionBook
from streams.batch import LogRecord, PlainRecord
from streams.booking import Books, Entry
from streams.deliveries import Deliveries
from streams.ledger import Identity, Ledger, Order, OrderLine, Taken, WaitingRefund, day_of
from streams.refunds import split
from streams.scopes import SINGLE_ORDER_SCOPES
from streams.verdict import Refusal
from streams.window import MINUTE_MS

TOPIC = "purchases"
_ORDER_FIELDS = tuple(kind.fields[0] for kind in SINGLE_ORDER_SCOPES)


def order_scopes(event: Event) -> tuple[str | None, ...]:
    """Values of the order-level scopes, as the event's envelope (and gateway) has them."""
    return tuple(getattr(event, name, None) for name in _ORDER_FIELDS)


def lines_of(purchase: Purchase) -> list[OrderLine]:
    """The order's lines, each with what the item names or else the envelope; of taps they know nothing."""
    return [
        OrderLine(
            product=item.product_id,
            sku=item.sku_id,
            creator=item.creator_id or purchase.creator_id,
            live=item.live_id or purchase.live_id,
            brand=item.brand_id or purchase.brand_id,
            merchant=item.merchant_id or purchase.merchant_id,
            affiliate=item.affiliate_id or purchase.affiliate_id,
            quantity=item.quantity,
            value_minor=(value := item.quantity * item.unit_price_minor - item.seller_discount_minor),
            paid_minor=value - item.platform_discount_minor + item.tax_minor,
            left_minor=value,
            commission_bps=item.commission_bps,
            fee_bps=item.platform_fee_bps,
        )
        for item in purchase.items
    ]


def money_hash(event: Purchase | Refund) -> int:
    """A hash of every field that moves money: a repetition with another hash is a conflict."""
    if isinstance(event, Purchase):
        lines = [
            (
                item.product_id,
                item.quantity,
                item.unit_price_minor,
                item.seller_discount_minor,
                item.platform_discount_minor,
                item.tax_minor,
                item.commission_bps,
                item.platform_fee_bps,
            )
            for item in event.items
        ]
        return xxh3_64_intdigest(encode((event.currency, event.shipping_minor, lines)))
    items = [(item.product_id, item.quantity, item.amount_minor) for item in event.items or ()]
    return xxh3_64_intdigest(encode((event.order_id, event.currency, event.amount_minor, items)))


class OrderBook:
    """Orders and refunds of one partition number."""

    def __init__(
        self,
        books: Books,
        orders: Ledger[Order],
        attribution: AttributionBook,
        horizon_days: int,
        wait_ms: int,
    ) -> None:
        self.orders = orders
        self.deliveries = Deliveries(horizon_days, books.keeps_commission)
        # Refunds that wait, by order and then by refund, with the bytes that a refusal would need.
        self.waiting: dict[str, dict[str, tuple[Refund, WaitingRefund]]] = {}
        # What the next write saves: by refund; None deletes.
        self.changed_waiting: dict[str, WaitingRefund | None] = {}
        # When the time of each is up: (ingest time, offset, order, refund); also of those that wait no more.
        self._due: list[tuple[int, int, str, str]] = []
        self._refused: list[str] = []
        self._books = books
        self._attribution = attribution
        self._horizon_days = horizon_days
        self._wait_ms = wait_ms

    def known_order(self, order_id: str, ingest_ms: int) -> Order | None:
        """The order, unless it is past the horizon of order records."""
        order = self.orders.get(order_id)
        if order is None or day_of(ingest_ms) - day_of(order.time_ms) > self._horizon_days:
            return None
        return order

    def accept_purchase(self, event: Purchase, ingest_ms: int, excluded: bool) -> Iterator[Refusal]:
        """Books an order that is new, then the refunds that waited for it; yields those it refuses."""
        accepted_minute = max(ingest_ms, event.event_time_ms) // MINUTE_MS
        order = Order(
            filed_day=day_of(event.event_time_ms),
            accepted_minute=accepted_minute,
            money_hash=money_hash(event),
            time_ms=event.event_time_ms,
            currency=event.currency,
            excluded=excluded,
            scopes=order_scopes(event),
            lines=lines_of(event),
            user=event.user_id,
            shipping_minor=event.shipping_minor,
            refunds=[],
            delivered_ms=self.deliveries.waiting_ms(event.order_id, ingest_ms),
        )
        self._attribution.attribute(event.order_id, order)
        self.orders.put(event.order_id, order)
        order_entries.book(self._books, order, 1)
        yield from self._settle_waiting(event.order_id, order)

    def accept_refund(
        self, event: Refund, record: LogRecord, ingest_ms: int, excluded: bool
    ) -> Refusal | None:
        """Books a refund that is new, or lets it wait for its order; a Refusal if it contradicts it.

        An excluded refund is judged like any other, but neither books nor waits.
        """
        order = self.known_order(event.order_id, ingest_ms)
        if order is None:
            if excluded:
                return None
            waiting = WaitingRefund(
                offset=record.offset,
                timestamp=record.timestamp,
                counted_ms=ingest_ms,
                key=record.key,
                value=record.value or b"",
                headers=list(record.headers),
            )
            self.let_wait(event, waiting)
            self.changed_waiting[event.refund_id] = waiting
            return None
        contradiction = self.contradiction(event, order)
        if contradiction:
            return Refusal(record, Reason.CONFLICTING_DUPLICATE, contradiction)
        if not excluded:
            self._take(event, order)
        return None

    def accept_delivery(self, event: OrderStatus, ingest_ms: int) -> None:
        """Notes that an order was delivered, or lets that wait for the order. The earliest time counts."""
        order = self.known_order(event.order_id, ingest_ms)
        if order is None:
            self.deliveries.let_wait(event.order_id, event.event_time_ms, ingest_ms)
        elif order.delivered_ms is None or event.event_time_ms < order.delivered_ms:
            with order_entries.amended(self._books, order):
                order.delivered_ms = event.event_time_ms
            self.orders.put(event.order_id, order)

    def let_wait(self, refund: Refund, kept: WaitingRefund) -> None:
        """Keeps a refund until its order comes or its time is up."""
        self.waiting.setdefault(refund.order_id, {})[refund.refund_id] = (refund, kept)
        heappush(self._due, (kept.counted_ms + self._wait_ms, kept.offset, refund.order_id, refund.refund_id))

    @staticmethod
    def contradiction(event: Refund, order: Order) -> str:
        """Why the refund cannot belong to the order; empty if it can."""
        if event.currency != order.currency:
            return f"refund in {event.currency} of an order in {order.currency}"
        left_minor = sum(line.left_minor for line in order.lines)
        if event.amount_minor > left_minor:
            return f"refund of {event.amount_minor} above the {left_minor} left of its order"
        return ""

    def _take(self, event: Refund, order: Order) -> None:
        """Takes a refund's amount from the lines of its order."""
        lines = order.lines
        taken = split(
            event.amount_minor,
            [(item.product_id, item.amount_minor) for item in event.items or ()],
            [line.product for line in lines],
            [line.left_minor for line in lines],
        )
        with order_entries.amended(self._books, order):
            for line, amount in zip(lines, taken, strict=True):
                line.left_minor -= amount
            order.refunds.append(Taken(event.event_time_ms, taken))
        self.orders.put(event.order_id, order)

    def _settle_waiting(self, order_id: str, order: Order) -> Iterator[Refusal]:
        ours = self.waiting.pop(order_id, {})
        for refund, kept in sorted(ours.values(), key=lambda pair: pair[1].offset):
            self.changed_waiting[refund.refund_id] = None
            contradiction = self.contradiction(refund, order)
            if not contradiction:
                self._take(refund, order)
                continue
            record = PlainRecord(kept.offset, kept.timestamp, kept.key, kept.value, kept.headers)
            self._uncount(refund, kept.counted_ms)
            self._refused.append(refund.refund_id)
            yield Refusal(record, Reason.CONFLICTING_DUPLICATE, contradiction)

    def _uncount(self, refund: Refund, counted_ms: int) -> None:
        books = self._books
        books.on_event(refund, -1)
        books.on_pipeline(counted_ms, TOPIC, catalogue.ACCEPTED, -1)
        dead = catalogue.DEAD_LETTERS[Reason.CONFLICTING_DUPLICATE]
        books.on_pipeline(counted_ms, TOPIC, dead, 1)

    def take_refused(self) -> list[str]:
        """Refunds that waited and were refused, since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def expire_waiting(self, ingest_ms: int) -> None:
        """Books refunds whose order did not come in time on the whole shop and the refund's platform."""
        while self._due and self._due[0][0] <= ingest_ms:
            _, offset, order_id, refund_id = heappop(self._due)
            ours = self.waiting.get(order_id, {})
            if refund_id not in ours or ours[refund_id][1].offset != offset:
                continue  # Its order came.
            refund, _ = ours.pop(refund_id)
            if not ours:
                del self.waiting[order_id]
            self.changed_waiting[refund_id] = None
            scopes = order_scopes(refund)
            platform_only = (scopes[0], *(None for _ in scopes[1:]))
            entries = (
                Entry(catalogue.REFUNDS, refund.amount_minor, refund.currency),
                Entry(catalogue.UNATTRIBUTED_REFUNDS, refund.amount_minor, refund.currency),
            )
            self._books.book(refund.event_time_ms, platform_only, entries)


def refund_identity(refund_id: str) -> str:
    """Name of a refund among the identities."""
    return f"r:{refund_id}"


def event_identity(event_id: str) -> str:
    """Name of any other record of the order service among the identities."""
    return f"e:{event_id}"


def is_repeated(known: Identity | Order | None, ingest_ms: int, horizon_minutes: int) -> bool:
    """Whether a record with this identity was accepted within the horizon."""
    return known is not None and ingest_ms // MINUTE_MS - known.accepted_minute <= horizon_minutes

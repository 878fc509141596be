"""What happens to an order: payment attempts, the purchase, and hours later status, refunds and reviews.

It stands behind the shoppers, who hand over a cart, and before the calendar. To keep a long run small, an
order that was paid is remembered as one object with one next step, and a parcel arrives within the hour.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from streams.sources.incidents import Incidents
from streams.sources.record import Calendar
from streams.sources.stock import Stock, sku_json
from streams.sources.world import Market, Product

AUTHORISED, DECLINED, ERROR, TIMEOUT, CANCELLED = (
    "authorised",
    "declined",
    "error",
    "timeout",
    "cancelled_by_user",
)
# Upper borders of [0, 1): what becomes of a payment attempt in ordinary times; above them nothing comes.
OUTCOMES: Final = (
    (0.885, AUTHORISED),
    (0.95, DECLINED),
    (0.965, ERROR),
    (0.975, TIMEOUT),
    (0.995, CANCELLED),
)
TIMEOUT_MS: Final = 30_000
DECLINE_REASONS: Final = ("insufficient_funds", "do_not_honor", "expired_card")
# What came without an answer names no reason.
ERROR_REASONS: Final = ("gateway_unavailable", "three_d_secure_failed")
REFUND_REASONS: Final = {
    "cancel": ("changed_my_mind", "ordered_by_mistake"),
    "return": ("does_not_fit", "not_as_described", "damaged", "arrived_late"),
    "refund_only": ("damaged", "not_received"),
    "chargeback": ("fraud", "not_received"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long it takes until parcels arrive and buyers want their money back.

    Attributes:
        slow: so many times as long as in the shop of now, where a parcel arrives within the hour.
        chargebacks: share of delivered orders whose buyer asks the bank, long after the delivery.
        chargebacks_ms: how long after it.
    """

    slow: int = 1
    chargebacks: float = 0.0
    chargebacks_ms: tuple[int, int] = (0, 0)


PACE: Final = Pace()


@dataclass(slots=True)
class Line:
    """One line of a cart, later of an order; amounts in minor units of the market's currency."""

    product: Product
    sku: str
    quantity: int
    seller: str  # JSON of creator, affiliate and live room; "" or beginning with a comma
    seller_discount_minor: int = 0
    platform_discount_minor: int = 0

    @property
    def value_minor(self) -> int:
        """Quantity × unit price − seller discount."""
        return self.quantity * self.product.price_minor - self.seller_discount_minor

    def json(self) -> str:
        """The line as an item of a purchase."""
        product = self.product
        return (
            f'{{{product.fragment}{sku_json(self.sku)},"quantity":{self.quantity},"unit_price_minor":{product.price_minor},'
            f'"seller_discount_minor":{self.seller_discount_minor},'
            f'"platform_discount_minor":{self.platform_discount_minor},"tax_minor":{self.value_minor // 12},'
            f'"commission_bps":{product.commission_bps},"platform_fee_bps":{product.fee_bps}{self.seller}}}'
        )


@dataclass(slots=True)
class Order:
    """A cart on its way through the checkout and after."""

    order_id: str
    key: bytes
    context: str  # envelope of the session, as JSON
    market: Market
    lines: list[Line]
    refunds: int = 0
    stage: str = "placed"
    steps: list[tuple[int, str]] = field(default_factory=list)  # what is still to come: (time, stage)


class Orders:
    """Every order of the simulated shop."""

    def __init__(
        self,
        calendar: Calendar,
        incidents: Incidents,
        rng: random.Random,
        start_ms: int,
        stock: Stock,
        *,
        pace: Pace = PACE,
    ) -> None:
        """What is bought before `start_ms` is never heard of again: its purchase is not sent either."""
        self._pace = pace
        self._start_ms = start_ms
        self._stock = stock
        self._calendar = calendar
        self._incidents = incidents
        self._rng = rng
        self._draw = rng.random
        self._numbered = 0
        self._due: defaultdict[int, list[tuple[int, Order]]] = defaultdict(list)

    def check_out(
        self, key: bytes, context: str, market: Market, lines: list[Line], time_ms: int
    ) -> int | None:
        """Pay for a cart from `time_ms` on; the time of the purchase, None when it came to none."""
        self._numbered += 1
        order = Order(f"o{self._calendar.run}-{self._numbered}", key, context, market, lines)
        gateway = market.gateways[int(self._draw() ** 1.5 * len(market.gateways))]
        for attempt in (1, 2):
            time_ms, outcome = self._attempt(order, gateway, attempt, time_ms)
            if outcome == AUTHORISED:
                return self._purchase(order, gateway, time_ms + 200 + int(self._draw() * 700))
            if outcome in ("", CANCELLED) or self._draw() < 0.5:
                break
            time_ms += 2_000 + int(self._draw() * 8_000)
            if self._draw() < 0.4:
                gateway = market.gateways[int(self._draw() * len(market.gateways))]
        return None

    def _attempt(self, order: Order, gateway: str, attempt: int, time_ms: int) -> tuple[int, str]:
        """One payment attempt: its last time and its outcome; "" = none ever came."""
        body = (
            f'{order.context},"order_id":"{order.order_id}","attempt_id":"{attempt}","gateway":"{gateway}",'
            f'"outcome":'
        )
        self._calendar.put("purchases", "payment", time_ms, order.key, f'{body}"started"')
        draw = self._draw()
        outcome = next((name for border, name in OUTCOMES if draw < border), "")
        if self._incidents.holds("gateway-down", gateway, time_ms):
            outcome = TIMEOUT if draw < 0.7 else ERROR
        if outcome:
            time_ms += TIMEOUT_MS if outcome == TIMEOUT else 800 + int(self._draw() * 4_000)
            reason = ""
            if outcome == DECLINED:
                reason = f',"reason":"{DECLINE_REASONS[int(self._draw() * 3)]}"'
            elif outcome == ERROR:
                reason = f',"reason":"{ERROR_REASONS[self._numbered % 2]}"'
            self._calendar.put("purchases", "payment", time_ms, order.key, f'{body}"{outcome}"{reason}')
        return time_ms, outcome

    def _purchase(self, order: Order, gateway: str, time_ms: int) -> int:
        for line in order.lines:
            if self._draw() < 0.25:
                line.seller_discount_minor = line.quantity * line.product.price_minor // 10
            if self._draw() < 0.1:
                line.platform_discount_minor = line.quantity * line.product.price_minor // 20
            self._stock.sell(line.product, line.sku, line.quantity, time_ms)
        shipping = 0 if self._draw() < 0.6 else 499
        items = ",".join(line.json() for line in order.lines)
        self._calendar.put(
            "purchases",
            "purchase",
            time_ms,
            order.key,
            f'{order.context},"order_id":"{order.order_id}","gateway":"{gateway}",'
            f'"currency":"{order.market.currency}","shipping_minor":{shipping},"items":[{items}]',
        )
        if time_ms >= self._start_ms:
            order.steps = self._fate(time_ms)
            self._schedule(order)
        return time_ms

    def _fate(self, time_ms: int) -> list[tuple[int, str]]:
        """What will happen to an order bought at `time_ms`, the last step first."""
        draw, slow = self._draw, self._pace.slow

        def between(least_ms: int, most_ms: int) -> int:
            return slow * self._rng.randint(least_ms, most_ms)

        steps = [(time_ms + between(300, 900), "placed")]
        if draw() < 0.03:
            cancelled = time_ms + between(20_000, 300_000)
            steps += [(cancelled, "cancelled"), (cancelled + between(500, 5_000), "refund.cancel")]
        else:
            shipped = time_ms + between(60_000, 600_000)
            delivered = shipped + between(120_000, 1_500_000)
            steps += [(shipped, "shipped"), (delivered, "delivered")]
            if draw() < 0.25:
                steps.append((delivered + between(10_000, 300_000), "review"))
            for _ in range(1 + (draw() < 0.2) if draw() < 0.08 else 0):
                kind = "return" if draw() < 0.7 else "refund_only" if draw() < 0.9 else "chargeback"
                steps.append((delivered + between(30_000, 1_800_000), f"refund.{kind}"))
            steps.append((delivered + slow * 1_900_000, "completed"))
            if self._pace.chargebacks and draw() < self._pace.chargebacks:
                asked = delivered + self._rng.randint(*self._pace.chargebacks_ms)
                steps.append((asked, "refund.chargeback"))
        return sorted(steps, reverse=True)

    def _schedule(self, order: Order) -> None:
        """Note the order's next step, if it has one."""
        if order.steps:
            time_ms, order.stage = order.steps.pop()
            self._due[time_ms // 1000].append((time_ms, order))

    def advance_to(self, second: int) -> None:
        """Put down every step that is due before this second."""
        while (due := min(self._due, default=second)) < second:
            self.advance(due)

    def advance(self, second: int) -> None:
        """Put down every step that is due in this second."""
        # A step may schedule the next one into this same second, which then joins the list being read.
        for time_ms, order in (due := self._due[second]):
            if order.stage == "review":
                self._review(order, time_ms)
            elif order.stage.startswith("refund."):
                self._refund(order, order.stage.removeprefix("refund."), time_ms)
            else:
                body = f'{order.context},"order_id":"{order.order_id}","status":"{order.stage}"'
                self._calendar.put("purchases", "order_status", time_ms, order.key, body)
            self._schedule(order)
        due.clear()
        del self._due[second]

    def _review(self, order: Order, time_ms: int) -> None:
        line = order.lines[0]
        body = (
            f'{order.context},{line.product.fragment},"order_id":"{order.order_id}",'
            f'"rating":{min(5, 1 + int(self._draw() ** 0.4 * 5))}'
        )
        self._calendar.put("engagement", "review", time_ms, order.key, body)

    def _refund(self, order: Order, kind: str, time_ms: int) -> None:
        """A refund: all, a part without items, or one line; never above what is left of the order."""
        order.refunds += 1
        value = sum(line.value_minor for line in order.lines)
        draw = self._draw()
        items = ""
        if kind == "cancel":
            amount = value
        elif len(order.steps) > 1 or order.refunds > 1 or draw < 0.3:
            # Another refund may follow or went before: a quarter each can never exceed the order.
            amount = max(1, value // 4)
        elif draw < 0.6:
            amount = value
        else:
            line = order.lines[int(self._draw() * len(order.lines))]
            quantity = 1 + int(self._draw() * line.quantity)
            amount = line.value_minor * quantity // line.quantity
            items = (
                f',"items":[{{"product_id":"{line.product.product_id}","quantity":{quantity},'
                f'"amount_minor":{amount}}}]'
            )
        reasons = REFUND_REASONS[kind]
        reason = reasons[(amount + order.refunds) % len(reasons)]
        body = (
            f'{order.context},"refund_id":"r{order.order_id[1:]}-{order.refunds}","order_id":"{order.order_id}",'
            f'"currency":"{order.market.currency}","amount_minor":{amount},"kind":"{kind}",'
            f'"reason":"{reason}"{items}'
        )
        self._calendar.put("purchases", "refund", time_ms, order.key, body)

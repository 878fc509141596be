"""Rules over several fields of one order or refund, which no single field's bounds can hold.

Judged after every field for itself is right; what they refuse is `out_of_range`.
"""

from __future__ import annotations

from schemas.events import Purchase, Refund
from schemas.fields import MAX_INTEGER


def contradiction(event: Purchase | Refund) -> str | None:
    """What is wrong with the amounts of `event` taken together, in one line; None if they hold."""
    return _of_purchase(event) if isinstance(event, Purchase) else _of_refund(event)


def _of_purchase(order: Purchase) -> str | None:
    gmv = 0
    buyer_paid = order.shipping_minor
    for place, item in enumerate(order.items):
        price = item.quantity * item.unit_price_minor
        seller = item.seller_discount_minor
        platform = item.platform_discount_minor
        if seller + platform > price:
            return f"items[{place}]: the discounts are more than quantity * unit_price_minor"
        gmv += price - seller
        buyer_paid += price - seller - platform + item.tax_minor
    if gmv > MAX_INTEGER or buyer_paid > MAX_INTEGER:
        return "items: the order's total is more than 2^53 - 1"
    return None


def _of_refund(refund: Refund) -> str | None:
    if refund.items is None or sum(item.amount_minor for item in refund.items) == refund.amount_minor:
        return None
    return "items: their amount_minor do not add up to the refund's"

"""Deliveries that were told of before their order came: they wait for it.

Beside the ledger of orders. A delivery whose order is known stands in the order's record; one that came
first in the log (the order service's own disorder) stands here until the order comes or is given up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

import msgspec

from schemas.events import Event, OrderStatus, Purchase
from streams.ledger import Ledger, day_of

DELIVERED = "delivered"


class Delivery(msgspec.Struct, array_like=True, gc=False):
    """The earliest `delivered` of an order that is not known; filed under the ingest day of the last one."""

    filed_day: int
    delivered_ms: int


class Deliveries:
    """What waits in one partition number."""

    def __init__(self, horizon_days: int, are_kept: bool) -> None:
        """`horizon_days`: so long after the last `delivered` an order that comes takes it up.

        `are_kept` is False where no figure needs them: then there are none.
        """
        self._are_kept = are_kept
        self.records = Ledger("deliveries", Delivery)
        self._horizon_days = horizon_days

    def told(self, event: Event) -> TypeGuard[OrderStatus]:
        """Whether the event says that an order was delivered, and that is of use."""
        return self._are_kept and isinstance(event, OrderStatus) and event.status == DELIVERED

    def ids(self, events: Iterable[Event]) -> list[str]:
        """Orders about which something may wait, or may have to."""
        if not self._are_kept:
            return []
        return [event.order_id for event in events if isinstance(event, Purchase) or self.told(event)]

    def waiting_ms(self, order_id: str, ingest_ms: int) -> int | None:
        """When the order was delivered, as far as it was told before the order came."""
        known = self.records.get(order_id) if self._are_kept else None
        if known is None or day_of(ingest_ms) - known.filed_day > self._horizon_days:
            return None
        return known.delivered_ms

    def let_wait(self, order_id: str, delivered_ms: int, ingest_ms: int) -> None:
        """Keeps a delivery whose order is not known."""
        known_ms = self.waiting_ms(order_id, ingest_ms)
        earliest_ms = delivered_ms if known_ms is None else min(known_ms, delivered_ms)
        self.records.put(order_id, Delivery(day_of(ingest_ms), earliest_ms))

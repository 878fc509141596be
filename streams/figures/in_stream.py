"""Sales within live streams: how much is bought while watching, of all that is bought.

In-stream is an order whose own surface is ``live``: it was bought in the overlay of a live, not later by way
of a product page that remembers the live.
"""

from __future__ import annotations

from schemas.events import Purchase
from streams.catalogue import EVENT_COUNTS, GMV_PAID
from streams.kpi import Formula, Kpi, Measure, OrderPart, Ratio
from streams.scopes import ALL, CREATOR, LIVE, PLATFORM

_SOURCE = "TikTok LIVE: in-stream purchases"
_KINDS = frozenset({ALL.name, PLATFORM.name, LIVE.name, CREATOR.name})

_ORDERS = Measure(name="in_stream.orders", help="Paid orders bought within a live stream.", kinds=_KINDS)
_GMV = Measure(
    name="in_stream.gmv_paid",
    help="GMV paid of orders bought within a live stream.",
    kinds=_KINDS,
    per_currency=True,
)

ORDER_PARTS = (OrderPart("surface", "live", {EVENT_COUNTS[Purchase].name: _ORDERS, GMV_PAID.name: _GMV}),)


def _kpi(path: str, formula: Formula, unit: str, help_text: str) -> Kpi:
    return Kpi(path=path, formula=formula, unit=unit, help=help_text, source=_SOURCE, kinds=_KINDS)


KPIS = (
    _kpi("in_stream.orders", _ORDERS, "count", _ORDERS.help),
    _kpi(
        "in_stream.orders_per_order",
        Ratio(_ORDERS, EVENT_COUNTS[Purchase]),
        "ratio",
        "Share of the orders that were bought within a live stream.",
    ),
    _kpi("money.*.in_stream_gmv_paid_minor", _GMV, "minor", _GMV.help),
    _kpi(
        "money.*.in_stream_gmv_per_gmv_paid",
        Ratio(_GMV, GMV_PAID),
        "ratio",
        "Share of the GMV paid that was bought within a live stream.",
    ),
)

"""After the purchase: what became of orders, how fast they were delivered, who reviewed them, what came back.

Every figure of this story but the kinds of refunds stands at the time, and in the scopes, of the purchase: a
cohort of orders, whose figures still grow while parcels are on their way. `after_purchase` counts them.
"""

from __future__ import annotations

from schemas.events import Purchase, Refund
from streams.catalogue import EVENT_COUNTS
from streams.kpi import Kpi, Measure, Part, Quantile, Ratio
from streams.scopes import ALL, CREATOR, EVERYWHERE, LIVE, LIVE_PRODUCT, ON_TRAFFIC, PLATFORM

_OURS = "CONTRACT: order_status"
_ON_TIME = "TikTok Shop: on-time delivery rate (OTDR)"
_REVIEWED = "Judge.me, Yotpo: review rate of delivered orders"
_RETURNS = "TikTok Shop: cancel, return, refund only"
# Not of lives and creators: taps that come late move lines from one of these to another.
_WITH_JOURNEYS = EVERYWHERE - {LIVE.name, CREATOR.name, LIVE_PRODUCT.name}
# Distributions where somebody answers for the parcels: one measure per bucket is too many for each product.
_WITH_DELIVERY_TIMES = frozenset({ALL.name, PLATFORM.name, "country", "merchant"})


def _orders(name: str, help_text: str) -> Measure:
    return Measure(name=f"after.{name}", help=help_text, kinds=_WITH_JOURNEYS)


SHIPPED = _orders("shipped", "Orders of these purchases that were shipped.")
DELIVERED = _orders("delivered", "Orders of these purchases that were delivered.")
COMPLETED = _orders("completed", "Orders of these purchases that were completed.")
CANCELLED = _orders("cancelled", "Orders of these purchases that were cancelled.")
ON_TIME = _orders("on_time", "Delivered orders that were delivered on time (`SHOP_PULSE_ON_TIME_DAYS`).")
REVIEWED = _orders("reviewed", "Delivered orders that their buyer reviewed at least once.")
# Seconds from the purchase to the delivery: the upper ends of the buckets.
_HOUR_S, _DAY_S = 3_600, 86_400
DELIVERY_BUCKETS_S = (
    *(600, 1_200, 1_800, 2_700, _HOUR_S, 5_400, 2 * _HOUR_S, 4 * _HOUR_S, 8 * _HOUR_S, 12 * _HOUR_S),
    *(days * _DAY_S for days in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 21, 28, 61)),
)
DELIVERY_TIMES = {
    upper_s: Measure(
        name=f"delivery_time.{upper_s}",
        help=f"Orders delivered at most {upper_s} s after the purchase, in no lower bucket.",
        kinds=_WITH_DELIVERY_TIMES,
    )
    for upper_s in DELIVERY_BUCKETS_S
}
_BY_KIND = {
    kind: Measure(
        name=f"refund_kind.{kind or 'none'}",
        help=f"Refunds of the kind {kind}, by event time." if kind else "Refunds that name no kind.",
        kinds=ON_TRAFFIC,
    )
    for kind in ("cancel", "return", "refund_only", "chargeback", None)
}

MEASURES = (SHIPPED, DELIVERED, COMPLETED, CANCELLED, ON_TIME, REVIEWED, *DELIVERY_TIMES.values())
PARTS = (Part(Refund, "kind", _BY_KIND),)


def _count(path: str, measure: Measure, source: str) -> Kpi:
    return Kpi(
        path=path, formula=measure, unit="count", help=measure.help, source=source, kinds=measure.kinds
    )


def _ratio(name: str, part: Measure, whole: Measure, help_text: str, source: str) -> Kpi:
    return Kpi(
        path=f"ratios.{name}",
        formula=Ratio(part, whole),
        unit="ratio",
        help=help_text,
        source=source,
        kinds=EVERYWHERE,
    )


KPIS = (
    _count("after_purchase.shipped", SHIPPED, _OURS),
    _count("after_purchase.delivered", DELIVERED, _OURS),
    _count("after_purchase.delivered_on_time", ON_TIME, _ON_TIME),
    _count("after_purchase.delivered_and_reviewed", REVIEWED, _REVIEWED),
    _count("after_purchase.completed", COMPLETED, _OURS),
    _count("after_purchase.cancelled", CANCELLED, _OURS),
    *(
        Kpi(
            path=f"after_purchase.delivery_p{percent}_seconds",
            formula=Quantile(tuple(DELIVERY_TIMES.items()), percent / 100),
            unit="seconds",
            help=f"Time from the purchase to the delivery: {percent} % were faster.",
            source=_ON_TIME,
            kinds=_WITH_DELIVERY_TIMES,
        )
        for percent in (50, 90)
    ),
    _ratio(
        "on_time_per_delivered_orders",
        ON_TIME,
        DELIVERED,
        "Share of the delivered orders that were delivered on time.",
        _ON_TIME,
    ),
    _ratio(
        "reviewed_per_delivered_orders",
        REVIEWED,
        DELIVERED,
        "Share of the delivered orders that their buyer reviewed (review rate).",
        _REVIEWED,
    ),
    _ratio(
        "delivered_per_orders",
        DELIVERED,
        EVENT_COUNTS[Purchase],
        "Share of these purchases' orders that were delivered so far.",
        _OURS,
    ),
    _ratio(
        "cancelled_per_orders",
        CANCELLED,
        EVENT_COUNTS[Purchase],
        "Share of these purchases' orders that were cancelled.",
        "TikTok Shop: cancellation rate",
    ),
    *(_count(f"refunds.by_kind.{kind or 'none'}", measure, _RETURNS) for kind, measure in _BY_KIND.items()),
)

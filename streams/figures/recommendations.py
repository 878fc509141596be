"""Recommendations: what they show, what becomes of it, and how that compares with everything else.

Recommended is what carries the surface ``recommendation``: an event's envelope, an order's own.
"""

from __future__ import annotations

from schemas.events import Event, ProductImpression, ProductView, Purchase, TagTap
from streams.catalogue import EVENT_COUNTS, GMV_PAID
from streams.kpi import Formula, Kpi, Measure, OrderPart, Part, Ratio, Sum
from streams.scopes import ALL, PLATFORM

_SURFACE = "recommendation"
_SOURCE = "DESIGN: recommended products against the rest"
_KINDS = frozenset({ALL.name, PLATFORM.name})


def _recommended(name: str, help_text: str, per_currency: bool = False) -> Measure:
    return Measure(name=f"recommended.{name}", help=help_text, kinds=_KINDS, per_currency=per_currency)


_IMPRESSIONS = _recommended("product_impression", "Product cards shown as recommendations.")
_PRODUCT_VIEWS = _recommended("product_view", "Recommended products opened.")
_TAG_TAPS = _recommended("tag_tap", "Tag taps on recommendations.")
_ORDERS = _recommended("orders", "Paid orders that came by a recommendation.")
_GMV = _recommended("gmv_paid", "GMV paid of orders that came by a recommendation.", per_currency=True)

PARTS = tuple(
    Part(cls, "surface", {_SURFACE: measure})
    for cls, measure in (
        (ProductImpression, _IMPRESSIONS),
        (ProductView, _PRODUCT_VIEWS),
        (TagTap, _TAG_TAPS),
    )
)
ORDER_PARTS = (OrderPart("surface", _SURFACE, {EVENT_COUNTS[Purchase].name: _ORDERS, GMV_PAID.name: _GMV}),)


def _kpi(path: str, formula: Formula, unit: str, help_text: str) -> Kpi:
    return Kpi(path=path, formula=formula, unit=unit, help=help_text, source=_SOURCE, kinds=_KINDS)


def _count(name: str, measure: Measure) -> Kpi:
    return _kpi(f"recommendations.{name}", measure, "count", measure.help)


def _rest(whole: type[Event], recommended: Measure) -> Sum:
    return Sum((EVENT_COUNTS[whole],), (recommended,))


KPIS = (
    _count("impressions", _IMPRESSIONS),
    _count("product_views", _PRODUCT_VIEWS),
    _count("tag_taps", _TAG_TAPS),
    _count("orders", _ORDERS),
    _kpi(
        "recommendations.tag_taps_per_impression",
        Ratio(_TAG_TAPS, _IMPRESSIONS),
        "ratio",
        "Tag taps on recommendations over product cards shown as such (CTR).",
    ),
    _kpi(
        "recommendations.tag_taps_per_impression_of_the_rest",
        Ratio(_rest(TagTap, _TAG_TAPS), _rest(ProductImpression, _IMPRESSIONS)),
        "ratio",
        "The same of everything that was not recommended.",
    ),
    _kpi(
        "recommendations.orders_per_tag_tap",
        Ratio(_ORDERS, _TAG_TAPS),
        "ratio",
        "Orders that came by a recommendation over taps there (conversion).",
    ),
    _kpi(
        "recommendations.orders_per_tag_tap_of_the_rest",
        Ratio(_rest(Purchase, _ORDERS), _rest(TagTap, _TAG_TAPS)),
        "ratio",
        "The same of everything that was not recommended.",
    ),
    _kpi("money.*.recommended_gmv_paid_minor", _GMV, "minor", _GMV.help),
    _kpi(
        "money.*.recommended_gmv_per_gmv_paid",
        Ratio(_GMV, GMV_PAID),
        "ratio",
        "Share of the GMV paid that came by a recommendation.",
    ),
)

"""Showcases and catalogues: how often a seller's showcase is seen, and what becomes of product cards."""

from __future__ import annotations

from schemas.events import AddToCart, Event, ProductImpression, ProductView, Purchase, TagTap, View
from streams.catalogue import EVENT_COUNTS
from streams.kpi import Kpi, Measure, Part, Ratio
from streams.scopes import EVERYWHERE, WITH_SHOWCASE

_SURFACE = "showcase"
_SOURCE = "TikTok Shop: showcase"
_CARDS = "GA4: product list and detail"


def _seen(cls: type[Event], what: str) -> Part:
    name = EVENT_COUNTS[cls].name.removeprefix("events.")
    measure = Measure(name=f"showcase.{name}", help=f"{what} on showcases.", kinds=WITH_SHOWCASE)
    return Part(cls, "surface", {_SURFACE: measure})


_VIEWS = _seen(View, "Views")
_IMPRESSIONS = _seen(ProductImpression, "Product cards shown")
_PRODUCT_VIEWS = _seen(ProductView, "Products opened")

PARTS = (_VIEWS, _IMPRESSIONS, _PRODUCT_VIEWS)


def _count(name: str, part: Part) -> Kpi:
    measure = part.measures[_SURFACE]
    return Kpi(
        path=f"showcase.{name}",
        formula=measure,
        unit="count",
        help=measure.help,
        source=_SOURCE,
        kinds=WITH_SHOWCASE,
    )


def _per(name: str, part: Measure, whole: type[Event], help_text: str) -> Kpi:
    return Kpi(
        path=f"ratios.{name}",
        formula=Ratio(part, EVENT_COUNTS[whole]),
        unit="ratio",
        help=help_text,
        source=_CARDS,
        kinds=EVERYWHERE,
    )


KPIS = (
    _count("views", _VIEWS),
    _count("impressions", _IMPRESSIONS),
    _count("product_views", _PRODUCT_VIEWS),
    _per(
        "product_views_per_product_impression",
        EVENT_COUNTS[ProductView],
        ProductImpression,
        "Products opened over product cards shown.",
    ),
    _per(
        "tag_taps_per_product_impression",
        EVENT_COUNTS[TagTap],
        ProductImpression,
        "Tag taps over product cards shown.",
    ),
    _per(
        "add_to_carts_per_product_view",
        EVENT_COUNTS[AddToCart],
        ProductView,
        "Products put into carts over products opened.",
    ),
    _per(
        "orders_per_product_view",
        EVENT_COUNTS[Purchase],
        ProductView,
        "Orders over products opened.",
    ),
)

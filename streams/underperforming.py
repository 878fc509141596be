"""Products that underperform, as `/api/v1/products/underperforming` tells of them.

It stands between the store and `shortfall`, which holds the rule. The most tapped products of the last seven
complete days are read, so that the work is bounded however many products there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.events import Purchase, TagTap
from streams.answer import QuestionError, capped_cells
from streams.catalogue import EVENT_COUNTS
from streams.details import DetailsPlan, listing
from streams.products import ProductRecord
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.reading import Range, View, complete_up_to_ms
from streams.requests import CellsRequest, Request, cells
from streams.scopes import OTHER, PRODUCT
from streams.shortfall import PRODUCTS_MIN, TAPS_MIN, Seller, Shortfall, categories, shortfalls
from streams.window import DAY_MS

DAYS = 7
# The most tapped ones; one with fewer taps than all of these has little to lose.
PRODUCTS_READ = 1_000
SHOWN_MAX = 100
_TOPICS = ("tag-taps", "purchases")
_TAPS, _ORDERS = EVENT_COUNTS[TagTap].name, EVENT_COUNTS[Purchase].name


@dataclass(frozen=True, slots=True)
class _Plan:
    counts: CellsRequest
    caps: CellsRequest
    details: DetailsPlan

    @property
    def requests(self) -> tuple[Request, ...]:
        """What has to be read."""
        return (self.counts, self.caps, *self.details.requests)


async def read_underperforming(model: ReadModel, ranking: Ranking, platform: str | None) -> dict[str, object]:
    """The answer; of products listed on a platform, or (None) of all.

    Raises QuestionError for a platform that is not told apart, WindowError if days are not kept, and
    StoreUnavailableError.
    """
    if PRODUCT.name not in model.kinds:
        raise QuestionError("products are not kept with these SHOP_PULSE_FIGURES")
    known = (*model.settings.platforms, OTHER)
    if platform is not None and platform not in known:
        raise QuestionError(
            f"unknown platform {platform[:40]!r}; known platforms: {' '.join(dict.fromkeys(known))}"
        )
    as_of_ms = complete_up_to_ms(await model.metas(), _TOPICS)
    if as_of_ms is None:
        raise QuestionError("nothing is known yet of taps and orders; ask again in a moment")
    to_ms = as_of_ms - as_of_ms % DAY_MS
    view, asked = await model.over(lambda _moment: (to_ms - DAYS * DAY_MS, to_ms))
    tally = await ranking.tally(PRODUCT.name, asked.panes)
    plan = _plan(model, asked, [of for of in tally.most_tapped(PRODUCTS_READ) if of != OTHER])
    view, _ = await model.view(lambda _moment: plan)
    head: dict[str, object] = {
        "platform": platform,
        "from_ms": asked.from_ms,
        "to_ms": asked.to_ms,
        "as_of_ms": as_of_ms,
        "tag_taps_min": TAPS_MIN,
        "products_min": PRODUCTS_MIN,
    }
    return head | _judged(view, plan, platform)


def _plan(model: ReadModel, asked: Range, products: list[str]) -> _Plan:
    fields = [f"{measure}|{of}" for of in products for measure in (_TAPS, _ORDERS)]
    return _Plan(
        # Without a product there is nothing to ask; an empty list of fields would mean all of them.
        cells(PRODUCT.name, asked.panes if products else (), fields),
        cells(PRODUCT.name, asked.panes, capped_cells(PRODUCT.name, model.figures)),
        DetailsPlan(products=tuple(products)),
    )


def _judged(view: View, plan: _Plan, platform: str | None) -> dict[str, object]:
    if any(view.sums(plan.caps).values()):
        # Days that count a product under `other` would make rates of parts.
        return {"capped": True, "categories": [], "products": []}
    listed = plan.details.read(view).products
    sellers = [
        Seller(of, record.category, counts.get(_TAPS, 0), counts.get(_ORDERS, 0))
        for of, counts in view.values(plan.counts).items()
        if (record := listed.get(of)) is not None
        and record.category is not None
        and platform in (None, record.platform)
        and counts.get(_TAPS, 0)
    ]
    return {
        "capped": False,
        "categories": [
            {
                "category": category.name,
                "products": category.products,
                "median_orders_per_tag_tap": category.median,
            }
            for category in categories(sellers).values()
        ],
        "products": [_told(each, listed) for each in shortfalls(sellers)[:SHOWN_MAX]],
    }


def _told(shortfall: Shortfall, listed: Mapping[str, ProductRecord]) -> dict[str, object]:
    seller = shortfall.seller
    return _named(seller, listed) | {
        "category": seller.category,
        "tag_taps": seller.tag_taps,
        "orders": seller.orders,
        "upper_bound": shortfall.upper_bound,
        "category_median": shortfall.category.median,
        "missing_orders": shortfall.missing_orders,
        "targets": [_named(best, listed) for best in shortfall.category.best],
    }


def _named(seller: Seller, listed: Mapping[str, ProductRecord]) -> dict[str, object]:
    return {
        "product_id": seller.product_id,
        **listing(listed[seller.product_id]),
        "orders_per_tag_tap": seller.rate,
    }

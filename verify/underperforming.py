"""Products that underperform, as the read service must name them: for the seven days that its answer says.

Between the products' days, recomputed, and the answer. In fractions up to the root of Wilson's bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import inf, sqrt
from statistics import median
from typing import Any, NamedTuple

from verify.api import PAUSE_SECONDS, check_flat, compare_until_agreed
from verify.compare import Report
from verify.panes import pane_start
from verify.rules import DAY_MS
from verify.scopes import OTHER, UNATTRIBUTED
from verify.totals import Range, Totals

DAYS = 7
PRODUCTS_LOOKED_AT = 1_000
TAPS_LEAST = 100
PRODUCTS_LEAST = 5
Z = Fraction("2.326")
TARGETS_MOST = 3
SHOWN = 100
ADDRESS = "/api/v1/products/underperforming"
NOTHING_READ = "nothing is known yet of taps and orders"

Ask = Callable[[str, Mapping[str, str]], Any]


class Product(NamedTuple):
    """A product of a category, by its taps and orders."""

    product_id: str
    title: str
    unit_price_minor: int
    currency: str
    taps: int
    orders: int

    @property
    def rate(self) -> Fraction:
        """Orders per tag tap, at most 1."""
        return Fraction(min(self.orders, self.taps), self.taps)


class Category(NamedTuple):
    """A category with enough products, and the median of their rates."""

    name: str
    products: Sequence[Product]
    middle: Fraction

    def low(self) -> list[Product]:
        """Those of which even the upper bound lies below the median."""
        return [each for each in self.products if each.rate < self.middle and bound(each, 1) < self.middle]

    def best(self) -> list[Product]:
        """Those above the median that sell best for sure."""
        above = [each for each in self.products if each.rate > self.middle]
        return sorted(above, key=lambda each: (-bound(each, -1), each.product_id))[:TARGETS_MOST]

    def missing(self, product: Product) -> Fraction:
        """How many orders the product's taps would have brought at the median."""
        return product.taps * (self.middle - product.rate)


def compare_underperforming(
    report: Report, totals: Totals, ask: Ask, pause: float = PAUSE_SECONDS
) -> list[str]:
    """Asks for all products, and for those of each platform; returns notes on what could not be compared."""
    first = ask(ADDRESS, {})
    if isinstance(first, str) and NOTHING_READ in first:
        return [f"products that underperform were not compared: {NOTHING_READ}, says the read service"]

    def compare(single: Report, platform: str | None) -> None:
        query = {} if platform is None else {"platform": platform}
        compare_answer(single, totals, platform, ask(ADDRESS, query))

    listed = {title.platform for title in totals.shelves.titles.values()}
    compare_until_agreed(report, [None, *sorted(listed)], compare, pause)
    return []


def compare_answer(report: Report, totals: Totals, platform: str | None, answer: Any) -> None:
    """One answer, for the days before its own "as of"."""
    where = f"api underperforming {platform or 'all'}"
    as_of_ms = answer.get("as_of_ms") if isinstance(answer, dict) else None
    if not isinstance(as_of_ms, int):
        report.check("answer", where, "products", answer)
        return
    to_ms = pane_start(as_of_ms, "1d")
    span = Range(to_ms - DAYS * DAY_MS, to_ms, "1d")
    capped = totals.is_capped("product", span)
    head = {"platform": platform, "from_ms": span.from_ms, "to_ms": to_ms, "capped": capped}
    head |= {"tag_taps_min": TAPS_LEAST, "products_min": PRODUCTS_LEAST}
    check_flat(report, where, head, answer)
    categories = [] if capped else _categories(totals, platform, span)
    told = _by(answer.get("categories"), "category")
    names = _names(answer.get("categories"), "category")
    report.check("categories", where, [each.name for each in categories], names)
    for each in categories:
        figures = {"products": len(each.products), "median_orders_per_tag_tap": float(each.middle)}
        check_flat(report, f"{where} category:{each.name}", figures, told.get(each.name, {}))
    _compare_products(report, where, categories, answer.get("products"))


def _compare_products(report: Report, where: str, categories: Sequence[Category], listed: Any) -> None:
    """Which are named, in which order, and all that is said of each.

    Of products that miss exactly as many orders any may come first: the service adds up in floating point,
    where equal sums may differ in their last bit.
    """
    low = [(each.missing(product), product, each) for each in categories for product in each.low()]
    told, names = _by(listed, "product_id"), _names(listed, "product_id")
    places = {product_id: place for place, product_id in enumerate(names)}
    low.sort(key=lambda each: (-each[0], places.get(each[1].product_id, inf), each[1].product_id))
    report.check("products", where, [product.product_id for _, product, _ in low[:SHOWN]], names)
    for missing, product, category in low[:SHOWN]:
        found = told.get(product.product_id, {})
        targets = _by(found.get("targets"), "product_id")
        here = f"{where} product:{product.product_id}"
        figures = {
            **_named(product),
            "category": category.name,
            "tag_taps": product.taps,
            "orders": product.orders,
            "upper_bound": bound(product, 1),
            "category_median": float(category.middle),
            "missing_orders": float(missing),
        }
        check_flat(report, here, figures, found)
        best = category.best()
        names = _names(found.get("targets"), "product_id")
        report.check("targets", here, [each.product_id for each in best], names)
        for each in best:
            check_flat(
                report, f"{here} target:{each.product_id}", _named(each), targets.get(each.product_id, {})
            )


def _categories(totals: Totals, platform: str | None, span: Range) -> list[Category]:
    """Those with enough products that were tapped often enough, by name."""
    days = range(span.from_ms, span.to_ms, DAY_MS)
    found: dict[str, list[Product]] = {}
    for product_id in totals.by_day.most_tapped(days, PRODUCTS_LOOKED_AT, (OTHER, UNATTRIBUTED)):
        listed = totals.shelves.titles.get(product_id)
        if listed is None or listed.category is None or platform not in (None, listed.platform):
            continue
        sums = totals.by_day.of("product", product_id, days)
        if sums["events.tag_tap"] >= TAPS_LEAST:
            product = Product(
                product_id,
                listed.title,
                listed.unit_price_minor,
                listed.currency,
                sums["events.tag_tap"],
                sums["events.purchase"],
            )
            found.setdefault(listed.category, []).append(product)
    return [
        Category(name, of, median(each.rate for each in of))
        for name, of in sorted(found.items())
        if len(of) >= PRODUCTS_LEAST
    ]


def bound(product: Product, side: int) -> float:
    """Wilson's bound above (1) or below (-1) the rate.

    It is where the square of the distance to the rate is Z² times the variance that the bound itself would
    have: a root of a quadratic equation.
    """
    of_square = 1 + Z * Z / product.taps
    half = product.rate + Z * Z / product.taps / 2
    return (float(half) + side * sqrt(half * half - of_square * product.rate**2)) / float(of_square)


def _named(product: Product) -> dict[str, Any]:
    return {
        "title": product.title,
        "unit_price_minor": product.unit_price_minor,
        "currency": product.currency,
        "orders_per_tag_tap": float(product.rate),
    }


def _by(listed: Any, name: str) -> dict[Any, Mapping[str, Any]]:
    """The objects of a list by one of their fields; of what is no list nothing."""
    return {each.get(name): each for each in _objects(listed)}


def _names(listed: Any, name: str) -> list[Any]:
    """One field of all objects of a list, in its order."""
    return [each.get(name) for each in _objects(listed)]


def _objects(listed: Any) -> list[Mapping[str, Any]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []

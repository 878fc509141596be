"""Which products sell less than their category, for sure: the stated rule for redirection. Pure arithmetic.

It stands behind the counts of taps and orders by product. Orders per tag tap of a product are held against
the median of its category; one is named only if even the upper bound of its rate lies below.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

# One-sided, 99 %.
Z_BOUND = 2.326
# What a product needs to be judged, or to be part of a median.
TAPS_MIN = 100
# What a category needs to have a median that says something.
PRODUCTS_MIN = 5
TARGETS_MAX = 3


@dataclass(frozen=True, slots=True)
class Seller:
    """A product's tag taps and orders."""

    product_id: str
    category: str
    tag_taps: int
    orders: int

    @property
    def rate(self) -> float:
        """Orders per tag tap; orders that came without a tap count as far as taps reach."""
        return min(self.orders, self.tag_taps) / self.tag_taps

    def bound(self, z: float) -> float:
        """Wilson's score bound of the rate: above it for z > 0, below for z < 0."""
        n, p = self.tag_taps, self.rate
        return (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


@dataclass(frozen=True, slots=True)
class Category:
    """A category with enough products: how many, the median of their rates, and who sells best for sure."""

    name: str
    products: int
    median: float
    best: Sequence[Seller]


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A product that sells less than its category."""

    seller: Seller
    upper_bound: float
    category: Category

    @property
    def missing_orders(self) -> float:
        """How many orders its taps would have brought at the median."""
        return self.seller.tag_taps * (self.category.median - self.seller.rate)


def categories(sellers: Iterable[Seller]) -> dict[str, Category]:
    """The categories with PRODUCTS_MIN products of TAPS_MIN taps or more."""
    members: defaultdict[str, list[Seller]] = defaultdict(list)
    for seller in sellers:
        if seller.tag_taps >= TAPS_MIN:
            members[seller.category].append(seller)
    found: dict[str, Category] = {}
    for name, of in sorted(members.items()):
        if len(of) >= PRODUCTS_MIN:
            middle = median(seller.rate for seller in of)
            ranked = sorted(of, key=lambda seller: (-seller.bound(-Z_BOUND), seller.product_id))
            best = [seller for seller in ranked if seller.rate > middle][:TARGETS_MAX]
            found[name] = Category(name, len(of), middle, best)
    return found


def shortfalls(sellers: Sequence[Seller]) -> list[Shortfall]:
    """The products of which even the upper bound lies below their category's median, the costliest first."""
    known = categories(sellers)
    found = [
        Shortfall(seller, bound, known[seller.category])
        for seller in sellers
        if seller.tag_taps >= TAPS_MIN
        and seller.category in known
        # Of a rate of 1 the bound is 1, but for what floating point leaves of it.
        and seller.rate < known[seller.category].median
        and (bound := seller.bound(Z_BOUND)) < known[seller.category].median
    ]
    return sorted(found, key=lambda each: (-each.missing_orders, each.seller.product_id))

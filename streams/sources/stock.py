"""What the simulated shop has in stock: it sells on when a shelf is empty, and fills it up minutes later.

It stands behind the orders, which take from the shelves, and before the calendar. How much lies on a shelf
follows from how many minutes it shall last: so at any rate some run low, and the one most wanted in the
first market is oversold within minutes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import ceil
from typing import Final

from streams.sources.record import Calendar
from streams.sources.world import MARKETS, PRODUCTS_PER_MARKET, Product, World

# Items sold per event, as simulations showed; how far it is off only moves the minutes below.
ITEMS_PER_EVENT: Final = 0.01
# For how many minutes the full shelves of a product last; the products take turns.
LAST_MINUTES: Final = (3, 240, 20, 600, 60, 90)
LEAST_UNITS: Final = 20
# A delivery is ordered when a shelf is down to this part, and takes so long.
LOW_PART: Final = 4
DELIVERY_MS: Final = (120_000, 360_000)


@dataclass(slots=True)
class Shelf:
    """The units of one SKU (or of a product without SKUs); `arrives_ms`: when what was ordered comes."""

    full: int
    left: int
    arrives_ms: int | None = None


class Stock:
    """Every shelf of the shop."""

    def __init__(
        self, world: World, calendar: Calendar, rng: random.Random, *, rate: float, start_ms: int
    ) -> None:
        """`rate` is in events per second; what is sold before `start_ms` was never on a shelf."""
        self._calendar = calendar
        self._rng = rng
        self._start_ms = start_ms
        self._products = [product for market in MARKETS for product in world.products[market.name]]
        self._shelves = {
            (product.product_id, sku): Shelf(full, full)
            for place, product in enumerate(self._products)
            for full in [_full(product, place, rate)]
            for sku in product.skus
        }

    def open(self, time_ms: int) -> None:
        """Tell what lies on every shelf at the beginning."""
        for product in self._products:
            self._fill(product, time_ms)

    def advance(self, second: int) -> None:
        """Now and then a product is counted and filled up, whether it had run low or not."""
        if second % 30 == 0:
            self._fill(self._rng.choice(self._products), max(second * 1000, self._start_ms) + 2)

    def sell(self, product: Product, sku: str, quantity: int, time_ms: int) -> None:
        """Take units from a shelf, whether they are there or not; order more when few are left."""
        if time_ms < self._start_ms:
            return
        shelf = self._shelves[product.product_id, sku]
        if shelf.arrives_ms is not None and shelf.arrives_ms <= time_ms:
            shelf.left, shelf.arrives_ms = shelf.full, None
        shelf.left -= quantity
        if shelf.arrives_ms is None and shelf.left <= shelf.full // LOW_PART:
            shelf.arrives_ms = time_ms + self._rng.randint(*DELIVERY_MS)
            self._tell(product, sku, shelf, shelf.arrives_ms)

    def _fill(self, product: Product, time_ms: int) -> None:
        for sku in product.skus:
            shelf = self._shelves[product.product_id, sku]
            shelf.left = shelf.full
            self._tell(product, sku, shelf, time_ms)

    def _tell(self, product: Product, sku: str, shelf: Shelf, time_ms: int) -> None:
        body = f'"platform":"other",{product.fragment}{sku_json(sku)},"units":{shelf.full}'
        self._calendar.put("catalogue", "stock_set", time_ms, product.product_id.encode(), body)


def sku_json(sku: str) -> str:
    """The SKU as a part of an event's or an item's JSON; nothing for a product without SKUs."""
    return f',"sku_id":"{sku}"' if sku else ""


def _full(product: Product, place: int, rate: float) -> int:
    """Units of each of the product's shelves when full."""
    rank = place % PRODUCTS_PER_MARKET + 1
    turn = rank - 1 + 2 * (place // PRODUCTS_PER_MARKET)
    share = product.market.share / rank / sum(1 / each for each in range(1, PRODUCTS_PER_MARKET + 1))
    units = rate * 60 * ITEMS_PER_EVENT * share * LAST_MINUTES[turn % len(LAST_MINUTES)]
    return ceil(max(LEAST_UNITS, units) / len(product.skus))

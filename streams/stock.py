"""What is left of a product's stock: units that were set less units sold since, over all partitions. No I/O.

It stands between the products' records and a reading. A signal within a second, not a reservation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from msgspec.structs import replace

from schemas.events import Purchase
from streams.catalogue import EVENT_COUNTS, ITEMS
from streams.products import ProductRecord
from streams.reading import Moment, Range, Reader, View
from streams.requests import CellsRequest, Request, cells
from streams.scopes import PRODUCT, PRODUCT_SKU, pair_value
from streams.since import Wanted, since, together, values
from streams.window import MINUTE_MS, NAMED_WINDOWS

# The shortest of these with enough orders says how fast a product sells.
PACE_MINUTES = (5, 15, 30)
PACE_ORDERS_MIN = 5
LOW_MINUTES = 30
LOW_UNITS = 10

_ORDERS = EVENT_COUNTS[Purchase].name


class StockState(StrEnum):
    """What to do about a stock, the most urgent first."""

    OVERSOLD = "oversold"
    OUT = "out"
    LOW = "low"
    IN_STOCK = "in_stock"


@dataclass(frozen=True, slots=True)
class Sku:
    """A SKU's latest `stock_set`, and the panes since; the empty SKU stands for the whole product."""

    sku: str
    units: int
    span: Range


class Left(NamedTuple):
    """Units left of a SKU (below 0: oversold), and since when its sales are counted."""

    sku: str
    units: int
    since_ms: int


def merged(records: Iterable[ProductRecord]) -> ProductRecord | None:
    """What is known of a product: one partition's record, or of misplaced events the latest of each kind."""
    known = sorted(records, key=lambda record: record.listed)
    if len(known) < 2:
        return known[0] if known else None
    latest = known[-1]
    stocks = dict(latest.stocks)
    for record in known[:-1]:
        for sku, stock in record.stocks.items():
            stocks[sku] = max(stock, stocks.get(sku, stock))
    return replace(latest, stocks=stocks)


class Stocks:
    """What is left of several products."""

    def __init__(self, reader: Reader, records: Mapping[str, ProductRecord], moment: Moment) -> None:
        self._skus = {product: _skus(reader, record, moment) for product, record in records.items()}
        every = [(product, each) for product, skus in self._skus.items() for each in skus]
        self._by_sku = together(
            PRODUCT_SKU.name,
            [
                Wanted(pair_value(of, each.sku), [ITEMS.name], each.span.panes)
                for of, each in every
                if each.sku
            ],
        )
        self._by_product = together(
            PRODUCT.name,
            [Wanted(of, [ITEMS.name], each.span.panes) for of, each in every if not each.sku],
        )
        self._pace: list[tuple[Range, CellsRequest]] = []
        fields = [f"{name}|{of}" for of, skus in self._skus.items() if skus for name in (_ORDERS, ITEMS.name)]
        for span in _pace_ranges(reader, moment) if fields else ():
            self._pace.append((span, cells(PRODUCT.name, span.panes, fields)))
        self.requests: tuple[Request, ...] = (
            *self._by_sku,
            *self._by_product,
            *(request for _, request in self._pace),
        )

    def answer(self, view: View) -> dict[str, dict[str, object] | None]:
        """`stock` of each product's answer; None where no stock was set, or its time is not kept."""
        left = self.left(view)
        return {
            product: self._answer(view, product, skus, [each.units for each in left[product]])
            for product, skus in self._skus.items()
        }

    def left(self, view: View) -> dict[str, list[Left]]:
        """What is left of each SKU, by product; none where its stock is not known."""
        by_sku, by_product = values(view, self._by_sku), values(view, self._by_product)

        def units(product: str, each: Sku) -> int:
            sold = by_sku.get(pair_value(product, each.sku)) if each.sku else by_product.get(product)
            return each.units - (sold or {}).get(ITEMS.name, 0)

        return {
            product: [Left(each.sku, units(product, each), each.span.from_ms) for each in skus]
            for product, skus in self._skus.items()
        }

    def _answer(self, view: View, product: str, skus: list[Sku], left: list[int]) -> dict[str, object] | None:
        if not skus:
            return None
        units = sum(left)
        minutes_left = _minutes_left(max(units, 0), self._items_per_minute(view, product))
        return {
            "units": units,
            "state": state(left, minutes_left).value,
            "minutes_left": minutes_left,
            "oversold_units": sum(max(0, -each) for each in left),
            "since_ms": min(each.span.from_ms for each in skus),
        }

    def _items_per_minute(self, view: View, product: str) -> Fraction | None:
        for span, request in self._pace:
            totals = view.values(request).get(product, {})
            if totals.get(_ORDERS, 0) >= PACE_ORDERS_MIN:
                return Fraction(totals.get(ITEMS.name, 0) * MINUTE_MS, span.to_ms - span.from_ms)
        return None


def state(left: Iterable[int], minutes_left: float | None) -> StockState:
    """From the units left of each SKU, and the minutes that all of them last."""
    left = list(left)
    units = sum(left)
    if min(left) < 0:
        return StockState.OVERSOLD
    if units == 0:
        return StockState.OUT
    is_low = units <= LOW_UNITS if minutes_left is None else minutes_left <= LOW_MINUTES
    return StockState.LOW if is_low else StockState.IN_STOCK


def _minutes_left(units: int, items_per_minute: Fraction | None) -> float | None:
    return None if not items_per_minute else float(units / items_per_minute)


def _skus(reader: Reader, record: ProductRecord, moment: Moment) -> list[Sku]:
    """The product's SKUs; none of them if the sales since one of them are not kept: a part is no stock."""
    spans = {sku: since(reader, stock.time_ms, moment) for sku, stock in record.stocks.items()}
    return [
        Sku(sku, record.stocks[sku].units, span)
        for sku, span in spans.items()
        if span is not None and None not in spans.values()
    ]


def _pace_ranges(reader: Reader, moment: Moment) -> list[Range]:
    border_ms = NAMED_WINDOWS["5m"].border_ms
    to_ms = -(-moment.now_ms // border_ms) * border_ms
    spans = [since(reader, to_ms - minutes * MINUTE_MS, moment, to_ms) for minutes in PACE_MINUTES]
    return [span for span in spans if span is not None]

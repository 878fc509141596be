"""Products: what is listed under which title, and how many units were set as available to sell.

Behind the verdicts, beside the counting of events; the read service takes titles from here, and computes
what is left of a stock from its `stock_set` and the units sold since. The latest by (event time, offset)
holds, in whatever order the events come.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from schemas.events import ProductListed, StockSet
from streams.catalogue import ITEMS
from streams.kpi import FigureSet
from streams.ledger import Ledger
from streams.scopes import PRODUCT_SKU
from streams.story import Chunk, Shelf

# Of a product's SKUs those with the latest stock_set are kept: bounds the record.
SKUS_MAX = 200
_TOPICS = frozenset({"catalogue"})


class Stock(NamedTuple):
    """The latest `stock_set` of a SKU; sorts by event time, then offset."""

    time_ms: int
    offset: int
    units: int


class ProductRecord(msgspec.Struct, array_like=True):
    """What is known of a product; kept for good.

    Attributes:
        filed_day: filed under no day.
        listed: (event time in ms, offset) of the latest `product_listed`, from which title, brand, category
            and price (minor units of the currency) are; the title is empty while there was none.
        stocks: by SKU; empty for a `stock_set` without `sku_id`.
        platform: of that listing; at the end, since older records end before it.
    """

    filed_day: int = -1
    listed: tuple[int, int] = (-1, -1)
    title: str = ""
    brand_id: str | None = None
    category: str | None = None
    unit_price_minor: int = 0
    currency: str = ""
    stocks: dict[str, Stock] = {}
    platform: str | None = None


class ProductBook:
    """The products of one partition number."""

    def __init__(self, figures: FigureSet) -> None:
        self.records = Ledger("products", ProductRecord)
        self.enabled = PRODUCT_SKU in figures.kinds and ITEMS.name in figures.measures

    @property
    def topics(self) -> frozenset[str]:
        """The catalogue."""
        return _TOPICS if self.enabled else frozenset()

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """The products, for good."""
        return (Shelf(self.records, _TOPICS),)

    def ids(self, chunk: Chunk) -> dict[str, list[str]]:
        """Products whose records must be loaded before `accept`."""
        wanted = [event.product_id for event in chunk.events if isinstance(event, ProductListed | StockSet)]
        return {self.records.name: wanted}

    def accept(self, chunk: Chunk) -> None:
        """Takes up accepted, real events of the catalogue."""
        for event, log_record in zip(chunk.events, chunk.records, strict=True):
            if isinstance(event, ProductListed | StockSet):
                record = self.records.get(event.product_id) or ProductRecord()
                if isinstance(event, ProductListed):
                    changed = _list(record, event, log_record.offset)
                else:
                    changed = _set_stock(record, event, log_record.offset)
                if changed:
                    self.records.put(event.product_id, record)


def _list(record: ProductRecord, event: ProductListed, offset: int) -> bool:
    """Whether the event is the latest that lists the product."""
    listed = (event.event_time_ms, offset)
    if listed < record.listed:
        return False
    record.listed = listed
    record.title, record.brand_id, record.category = event.title, event.brand_id, event.category
    record.platform = event.platform
    record.unit_price_minor, record.currency = event.unit_price_minor, event.currency
    return True


def _set_stock(record: ProductRecord, event: StockSet, offset: int) -> bool:
    """Whether the event is the latest of its SKU, and the SKU among those that are kept."""
    sku_id = event.sku_id or ""
    stock = Stock(event.event_time_ms, offset, event.units)
    known = record.stocks.get(sku_id)
    if known is not None and stock < known:
        return False
    record.stocks[sku_id] = stock
    if len(record.stocks) <= SKUS_MAX:
        return True
    oldest = min(record.stocks, key=record.stocks.__getitem__)
    del record.stocks[oldest]
    return oldest != sku_id

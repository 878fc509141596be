"""What the catalogue said last: titles and stock, by event time and then offset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from verify.model import PartitionExpected, StockSet, Title


def listed(event: Mapping[str, Any], offset: int) -> Title:
    """What a `product_listed` says."""
    price = event["unit_price_minor"], event["currency"]
    return Title(
        event["event_time_ms"], offset, event["title"], *price, event.get("category"), event["platform"]
    )


class Shelves:
    """Products of one partition, or of all together."""

    def __init__(self) -> None:
        self.stock: dict[tuple[str, str], StockSet] = {}
        self.titles: dict[str, Title] = {}

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """Any accepted, real event; only those of the catalogue say something here."""
        if event["event_type"] == "stock_set":
            place = (event["product_id"], event.get("sku_id", ""))
            self._set(place, StockSet(event["event_time_ms"], offset, event["units"]))
        elif event["event_type"] == "product_listed":
            self._call(event["product_id"], listed(event, offset))

    def merge(self, part: PartitionExpected) -> None:
        """What another partition knows; a product's events share one, unless they were misplaced."""
        for place, stock in part.stock.items():
            self._set(place, stock)
        for product_id, title in part.titles.items():
            self._call(product_id, title)

    def of(self, product_id: str) -> Iterable[tuple[str, StockSet]]:
        """(sku or empty, its stock) of one product."""
        return [(sku, stock) for (product, sku), stock in self.stock.items() if product == product_id]

    def _set(self, place: tuple[str, str], stock: StockSet) -> None:
        self.stock[place] = max(stock, self.stock.get(place, stock))

    def _call(self, product_id: str, title: Title) -> None:
        known = self.titles.get(product_id)
        # Of two at one time and offset that of the higher partition number holds, which comes later here.
        if known is None or title[:2] >= known[:2]:
            self.titles[product_id] = title

"""Figures since a moment of their own: a product's since its pin, a stock's since it was set. No I/O.

It stands between the records of rooms and products and a reading. Everything since a moment is composed of
panes from the border at or before it, of the finest size that is kept there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.events import AddToCart, Purchase, TagTap
from streams.answer import added, by_value
from streams.catalogue import EVENT_COUNTS, GMV_PAID
from streams.reading import Moment, Range, Reader, View
from streams.requests import CellsRequest, cells
from streams.rooms import Room, pinned
from streams.scopes import LIVE_PRODUCT, pair_value
from streams.window import Pane, WindowError

# The latest pins of a room that an answer tells of.
PINS_SHOWN = 20

SOLD = {
    "tag_taps": EVENT_COUNTS[TagTap].name,
    "add_to_carts": EVENT_COUNTS[AddToCart].name,
    "orders": EVENT_COUNTS[Purchase].name,
}


def since(reader: Reader, time_ms: int, moment: Moment, until_ms: int | None = None) -> Range | None:
    """From the border at or before the time to the newest pane, or up to a border that is given. None where
    nothing is kept of that time."""
    finest = reader.sizes[0]
    for size in reader.sizes:
        from_ms = size.start_of(time_ms)
        if size.is_answerable(from_ms, moment.high_ms):
            newest_ms = max(moment.now_ms, moment.high_ms, time_ms)
            to_ms = finest.start_of(newest_ms) + finest.size_ms if until_ms is None else until_ms
            try:
                return reader.range((from_ms, to_ms), moment)
            except WindowError:
                return None
    return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Measures of one scope value over panes of its own."""

    value: str
    measures: Sequence[str]
    panes: Sequence[Pane]


def together(kind: str, wanted: Iterable[Wanted]) -> tuple[CellsRequest, ...]:
    """The requests for many values of a kind, each pane read once. What they answer is to be added up.

    No value may stand twice with the same measure.
    """
    of_pane: dict[Pane, list[str]] = {}
    for each in wanted:
        fields = [f"{measure}|{each.value}" for measure in each.measures]
        for pane in each.panes if fields else ():
            of_pane.setdefault(pane, []).extend(fields)
    panes_of: dict[tuple[str, ...], list[Pane]] = {}
    for pane, fields in of_pane.items():
        panes_of.setdefault(tuple(fields), []).append(pane)
    return tuple(cells(kind, panes, fields) for fields, panes in panes_of.items())


def values(view: View, requests: Iterable[CellsRequest]) -> dict[str, dict[str, int]]:
    """What was read for `together`, by value and stored measure."""
    return by_value(added(view.sums(request) for request in requests))


def money(totals: dict[str, int], currencies: Iterable[str]) -> dict[str, int]:
    """GMV paid by currency, of totals by stored measure."""
    return {currency: totals.get(GMV_PAID.stored_as(currency), 0) for currency in currencies}


class Pins:
    """What a room shows, and what each of it brought since its pin."""

    def __init__(self, reader: Reader, live_id: str, room: Room | None, moment: Moment) -> None:
        self._live_id = live_id
        self._currencies = moment.currencies
        shown = pinned(room)[:PINS_SHOWN] if room is not None else []
        self.products = {product: since(reader, time_ms, moment) for product, time_ms in shown}
        measures = [*SOLD.values(), *map(GMV_PAID.stored_as, moment.currencies)]
        self.requests = together(
            LIVE_PRODUCT.name,
            [
                Wanted(pair_value(live_id, product), measures, span.panes)
                for product, span in self.products.items()
                if span is not None
            ],
        )

    def answer(self, view: View) -> list[dict[str, object]]:
        """`pinned` of an answer, the latest pin first; null where nothing is kept of that time."""
        found = values(view, self.requests)
        return [
            {
                "product_id": product,
                "since_ms": None if span is None else span.from_ms,
                **self._figures(span, found.get(pair_value(self._live_id, product), {})),
            }
            for product, span in self.products.items()
        ]

    def _figures(self, span: Range | None, totals: dict[str, int]) -> dict[str, object]:
        if span is None:
            return {**dict.fromkeys(SOLD), "gmv_paid_minor": None}
        counts = {name: totals.get(measure, 0) for name, measure in SOLD.items()}
        return {**counts, "gmv_paid_minor": money(totals, self._currencies)}

"""Products that run short: what is left by SKU, for how long, and who still taps on what is sold out.

It stands behind the read model, beside the answers to single products. There is no index of stocks, so it
looks at the products that are most tapped and sell most in a window: a product that nobody asks for is not
missed. What is sold out is followed back pane by pane, to tell taps in vain from those before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from schemas.events import TagTap
from streams.answer import QuestionError
from streams.catalogue import EVENT_COUNTS, ITEMS
from streams.details import DetailsPlan, listing, read_details
from streams.products import ProductRecord
from streams.ranking import Ranking
from streams.read_model import Answer, ReadModel
from streams.reading import Moment, Range, View
from streams.requests import CellsRequest, Request, cells
from streams.samples import Remembered, Samples
from streams.scopes import PRODUCT, PRODUCT_SKU, pair_value
from streams.since import since
from streams.stock import Left, Stocks, StockState
from streams.trust import Trust
from streams.window import MINUTE_MS, SECOND_MS, Pane, WindowError, compose

WINDOWS = ("5m", "30m", "1h")
GAUGES_WINDOW = "30m"
# Looked at are so many of the most tapped, and as many of the best-selling.
LOOKED_AT_MAX = 200
SHOWN_MAX = 100
SHORT = (StockState.OVERSOLD, StockState.OUT, StockState.LOW)
REFRESH_MS = 10 * SECOND_MS

_TAPS = EVENT_COUNTS[TagTap].name


class SoldOut(NamedTuple):
    """Since when (Unix milliseconds, on a border of a pane) nothing is left, and the tag taps since."""

    since_ms: int
    tag_taps: int


@dataclass(frozen=True, slots=True)
class Short:
    """A product that runs short."""

    product_id: str
    record: ProductRecord
    stock: Answer
    skus: Sequence[Left]
    tag_taps: int
    sold_out: SoldOut | None

    @property
    def state(self) -> str:
        """The state of its stock."""
        return str(self.stock["state"])

    def answer(self) -> Answer:
        """As it stands in the list."""
        return {
            "product_id": self.product_id,
            **listing(self.record),
            "brand_id": self.record.brand_id,
            **self.stock,
            "skus": [
                {
                    "sku_id": each.sku or None,
                    "units": each.units,
                    "oversold_units": max(0, -each.units),
                    "since_ms": each.since_ms,
                }
                for each in self.skus
            ],
            "tag_taps": self.tag_taps,
            "sold_out_since_ms": None if self.sold_out is None else self.sold_out.since_ms,
            "tag_taps_while_sold_out": 0 if self.sold_out is None else self.sold_out.tag_taps,
        }


@dataclass(frozen=True, slots=True)
class Shortages:
    """What one reading found: of `looked_at` products those that run short, the most urgent first.

    `read_ms` is the clock by which stocks were read: how fast products sell is told up to then.
    """

    range_ms: tuple[int, int]
    read_ms: int
    trust: Trust
    looked_at: int
    products: Sequence[Short]

    @property
    def tag_taps_while_sold_out(self) -> int:
        """Taps in vain, of all products."""
        return sum(each.sold_out.tag_taps for each in self.products if each.sold_out is not None)


class StockList:
    """Reads what runs short; for gauges at most every REFRESH_MS."""

    def __init__(self, model: ReadModel, ranking: Ranking) -> None:
        self._model = model
        self._ranking = ranking
        self._enabled = PRODUCT_SKU in model.figures.kinds
        self._gauges = Remembered(model.clock, REFRESH_MS, self._read_gauges)

    async def answer(self, state: str | None, window: str) -> Answer:
        """The answer of ``/api/v1/stock``. Raises QuestionError, WindowError, StoreUnavailableError."""
        if not self._enabled:
            raise QuestionError("stock is not kept with these SHOP_PULSE_FIGURES")
        if window not in WINDOWS:
            raise QuestionError(f"window is one of {' '.join(WINDOWS)} here")
        if state is not None and state not in SHORT:
            raise QuestionError(f"state is one of {' '.join(SHORT)}, or left out for all of them")
        found = await self._read(window)
        asked = [each for each in found.products if state is None or each.state == state]
        return {
            "window": window,
            "from_ms": found.range_ms[0],
            "to_ms": found.range_ms[1],
            "read_ms": found.read_ms,
            "as_of_ms": found.trust.as_of_ms,
            "completeness": found.trust.completeness,
            "looked_at": found.looked_at,
            "count": len(asked),
            "tag_taps_while_sold_out": found.tag_taps_while_sold_out,
            "products": [each.answer() for each in asked[:SHOWN_MAX]],
        }

    async def families(self) -> tuple[Samples, ...]:
        """The gauges, read again if the last reading is REFRESH_MS old; none where the window is not kept.

        Raises StoreUnavailableError and StoreCorruptError.
        """
        try:
            return await self._gauges.get() if self._enabled else ()
        except WindowError:
            return ()

    async def _read_gauges(self) -> tuple[Samples, ...]:
        return gauges_of(await self._read(GAUGES_WINDOW))

    async def _read(self, window: str) -> Shortages:
        view, asked = await self._model.over(window)
        tally = await self._ranking.tally(PRODUCT.name, asked.panes)
        products = {*tally.most_tapped(LOOKED_AT_MAX), *tally.named(LOOKED_AT_MAX)}
        details = await read_details(self._model, DetailsPlan(products=tuple(sorted(products))))
        view, plan = await self._model.view(partial(_Plan, self._model, asked, details.products))
        stocks, left, taps = plan.stocks.answer(view), plan.stocks.left(view), plan.taps(view)
        short = {of: stock for of, stock in stocks.items() if stock is not None and stock["state"] in SHORT}
        out = {of: details.products[of] for of in short if is_sold_out(left[of])}
        sold_out = await self._sold_out(asked, out)
        found = [
            Short(of, details.products[of], stock, left[of], taps[of], sold_out.get(of))
            for of, stock in short.items()
        ]
        range_ms = asked.from_ms, asked.to_ms
        trusted = await self._model.trust(view, range_ms, PRODUCT.name)
        read_ms = view.moment.now_ms
        return Shortages(range_ms, read_ms, trusted, len(products), sorted(found, key=_urgency))

    async def _sold_out(self, asked: Range, products: Mapping[str, ProductRecord]) -> dict[str, SoldOut]:
        """Of products of which nothing is left: since when within the window, and the taps since."""
        if not products:
            return {}
        view, plan = await self._model.view(partial(_Back, self._model, asked, products))
        return plan.sold_out(view)


def gauges_of(found: Shortages) -> tuple[Samples, ...]:
    """What `/metrics` says of it."""
    states = [each.state for each in found.products]
    window = (GAUGES_WINDOW,)
    return (
        Samples(
            "products_running_short",
            "Products by what is left of them, of those most tapped and best-selling in the window.",
            ("state", "window"),
            {(state.value, *window): states.count(state) for state in SHORT},
        ),
        Samples(
            "sold_out_tag_taps",
            "Tag taps on products while nothing was left of them (of those that run short).",
            ("window",),
            {window: found.tag_taps_while_sold_out},
        ),
    )


def is_sold_out(left: Iterable[Left]) -> bool:
    """Whether nothing is left of any SKU; of a product that is oversold another SKU may be there."""
    return all(each.units <= 0 for each in left)


def sold_out_from(
    left: Sequence[Left], sold: Sequence[Sequence[int]], starts_ms: Sequence[int]
) -> int | None:
    """The place of the first pane at whose start nothing was left any more; None if at none.

    `left` is what is left now of each SKU, `sold` the items of each pane by SKU, `starts_ms` where the panes
    begin, ascending. Before a SKU's `stock_set` nobody knows what was there.
    """
    units = [each.units for each in left]
    first = None
    for place in reversed(range(len(starts_ms))):
        units = [now + items for now, items in zip(units, sold[place], strict=True)]
        if max(units) > 0 or any(starts_ms[place] < each.since_ms for each in left):
            break
        first = place
    return first


def _urgency(short: Short) -> tuple[object, ...]:
    minutes = short.stock["minutes_left"]
    lasts = minutes if isinstance(minutes, float) else float("inf")
    taps = 0 if short.sold_out is None else short.sold_out.tag_taps
    return SHORT.index(StockState(short.state)), -taps, lasts, -short.tag_taps, short.product_id


class _Plan:
    """What is read for the stocks of the products that are looked at, and their taps in the window."""

    def __init__(
        self, model: ReadModel, asked: Range, products: Mapping[str, ProductRecord], moment: Moment
    ) -> None:
        self.stocks = Stocks(model, products, moment)
        fields = [f"{_TAPS}|{of}" for of in products]
        # An empty list of fields would mean all of them.
        self._taps = cells(PRODUCT.name, asked.panes if fields else (), fields)
        self._products = tuple(products)
        self.requests: tuple[Request, ...] = (*self.stocks.requests, self._taps)

    def taps(self, view: View) -> dict[str, int]:
        """Tag taps in the window, by product."""
        sums = view.sums(self._taps)
        return {of: sums.get(f"{_TAPS}|{of}", 0) for of in self._products}


class _Back:
    """What is read to follow sold-out products back: stocks as they are now, sales and taps by pane."""

    def __init__(
        self, model: ReadModel, asked: Range, products: Mapping[str, ProductRecord], moment: Moment
    ) -> None:
        self._stocks = Stocks(model, products, moment)
        self._window = _minutes(model, asked, moment)
        # What is left now follows from all sales, also those that a producer's clock put ahead of ours.
        beyond = since(model, asked.to_ms, moment)
        panes = (*self._window, *(beyond.panes if beyond is not None else ()))
        self._starts_ms = [pane.start_ms for pane in panes]
        of_product = [f"{measure}|{of}" for of in products for measure in (_TAPS, ITEMS.name)]
        of_sku = [
            f"{ITEMS.name}|{pair_value(of, sku)}"
            for of, record in products.items()
            for sku in record.stocks
            if sku
        ]
        self._by_product = [cells(PRODUCT.name, [pane], of_product) for pane in panes]
        self._by_sku = [cells(PRODUCT_SKU.name, [pane], of_sku) for pane in panes if of_sku]
        further: Sequence[CellsRequest] = (*self._by_product, *self._by_sku)
        self.requests: tuple[Request, ...] = (*self._stocks.requests, *further)

    def sold_out(self, view: View) -> dict[str, SoldOut]:
        """Of those of which still nothing is left; where that began within the window."""
        products = [view.sums(request) for request in self._by_product]
        skus = [view.sums(request) for request in self._by_sku] or [{} for _ in products]
        end = len(self._window)
        found: dict[str, SoldOut] = {}
        for of, left in self._stocks.left(view).items():
            sold = [
                [
                    by_sku.get(f"{ITEMS.name}|{pair_value(of, each.sku)}", 0)
                    if each.sku
                    else by_product.get(f"{ITEMS.name}|{of}", 0)
                    for each in left
                ]
                for by_product, by_sku in zip(products, skus, strict=True)
            ]
            first = sold_out_from(left, sold, self._starts_ms) if left and is_sold_out(left) else None
            if first is not None and first < end:
                taps = sum(each.get(f"{_TAPS}|{of}", 0) for each in products[first:end])
                found[of] = SoldOut(self._starts_ms[first], taps)
        return found


def _minutes(model: ReadModel, asked: Range, moment: Moment) -> Sequence[Pane]:
    """The range in panes of at most a minute, whatever the clock: the fewest ones may be a whole hour. Longer
    ones where these are not kept."""
    short = tuple(size for size in model.sizes if size.size_ms <= MINUTE_MS)
    try:
        return compose(asked.from_ms, asked.to_ms, short, moment.high_ms)
    except WindowError:
        return asked.panes

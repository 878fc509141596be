"""Products: the latest listing and the latest stock of each SKU hold, in whatever order they come."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import ProductListed, SourceHeartbeat, StockSet
from streams import products as module
from streams.batch import PlainRecord
from streams.kpis import FIGURE_SETS
from streams.products import ProductBook, ProductRecord, Stock
from streams.story import Chunk

NOON = 1_767_614_400_000
Logged = tuple[int, ProductListed | StockSet]  # (offset, event)


def _chunk(*log: Logged | tuple[int, SourceHeartbeat]) -> Chunk:
    records = [PlainRecord(offset, NOON, None, b"", []) for offset, _ in log]
    return Chunk("catalogue", [event for _, event in log], records, [NOON] * len(log))


class Pipeline:
    """One partition's products, with Redis as a dictionary."""

    def __init__(self, figures: str = "all") -> None:
        self.figures = FIGURE_SETS[figures]
        self.stored: dict[str, bytes] = {}
        self.book = ProductBook(self.figures)

    def new_owner(self) -> None:
        """Saves everything and begins with an empty memory."""
        self.stored.update(self.book.records.take().records)
        self.book = ProductBook(self.figures)

    def feed(self, *log: Logged | tuple[int, SourceHeartbeat]) -> None:
        """One chunk."""
        chunk = _chunk(*log)
        missing = self.book.records.missing(self.book.ids(chunk)["products"])
        self.book.records.load({each: self.stored.get(each) for each in missing})
        self.book.accept(chunk)

    def record(self, product_id: str = "p") -> ProductRecord | None:
        """The record as it is stored."""
        self.new_owner()
        self.book.records.load({product_id: self.stored.get(product_id)})
        return self.book.records.get(product_id)


def _listed(time_ms: int, title: str, product_id: str = "p", **fields: Any) -> ProductListed:
    return ProductListed(
        event_id="e",
        event_time_ms=time_ms,
        platform="other",
        product_id=product_id,
        title=title,
        unit_price_minor=len(title),
        currency="USD",
        **fields,
    )


def _stock(time_ms: int, units: int, sku_id: str | None = None, product_id: str = "p") -> StockSet:
    return StockSet(
        event_id="e",
        event_time_ms=time_ms,
        platform="other",
        product_id=product_id,
        sku_id=sku_id,
        units=units,
    )


_times = st.integers(NOON, NOON + 8)
_products = st.sampled_from(["p", "q"])
_events = st.one_of(
    st.builds(_listed, _times, st.sampled_from(["a", "bb", "ccc"]), _products),
    st.builds(_stock, _times, st.integers(0, 99), st.sampled_from([None, "s1", "s2", "s3"]), _products),
)


def _plain(log: list[Logged], product_id: str) -> ProductRecord | None:
    """By sorting: each event in the order of (event time, offset), later ones over earlier ones."""
    ours = sorted(
        (each for each in log if each[1].product_id == product_id),
        key=lambda each: (each[1].event_time_ms, each[0]),
    )
    record = ProductRecord()
    for offset, event in ours:
        if isinstance(event, ProductListed):
            record.listed = (event.event_time_ms, offset)
            record.title, record.unit_price_minor, record.currency = event.title, len(event.title), "USD"
            record.platform = "other"
        else:
            record.stocks.pop(event.sku_id or "", None)
            record.stocks[event.sku_id or ""] = Stock(event.event_time_ms, offset, event.units)
    record.stocks = dict(list(record.stocks.items())[-module.SKUS_MAX :])
    return record if ours else None


@given(
    st.lists(_events, max_size=30),
    st.sets(st.integers(0, 30)),
    st.integers(1, 5),
    st.sampled_from([2, 200]),
)
def test_any_order_gives_what_sorting_gives(
    events: list[ProductListed | StockSet], takeovers: set[int], chunk: int, skus_max: int
) -> None:
    """Neither order, nor batches, nor a new owner in between changes what is known of a product."""
    log = list(enumerate(events))
    with patch.object(module, "SKUS_MAX", skus_max):
        pipeline = Pipeline()
        for place, at in enumerate(range(0, len(log), chunk)):
            pipeline.feed(*log[at : at + chunk])
            if place in takeovers:
                pipeline.new_owner()
        for product_id in ("p", "q"):
            assert pipeline.record(product_id) == _plain(log, product_id)


def test_a_listing_leaves_the_stock_and_a_stock_the_listing() -> None:
    """Each kind of event changes its own part; what a later listing leaves out is gone."""
    pipeline = Pipeline()
    pipeline.feed((0, _listed(NOON, "Mug", brand_id="b", category="home")), (1, _stock(NOON, 7)))
    pipeline.feed((2, _stock(NOON + 1, 5, "red")))
    record = pipeline.record()
    assert record is not None
    assert (record.title, record.brand_id, record.category) == ("Mug", "b", "home")
    assert record.stocks == {"": Stock(NOON, 1, 7), "red": Stock(NOON + 1, 2, 5)}
    pipeline.feed((3, _listed(NOON + 2, "Cup")))
    changed = pipeline.record()
    assert changed is not None
    assert (changed.title, changed.brand_id, changed.stocks) == ("Cup", None, record.stocks)


def test_an_event_that_says_nothing_new_is_not_saved() -> None:
    """An older listing, an older stock and a SKU older than all that are kept leave the record clean."""
    with patch.object(module, "SKUS_MAX", 2):
        pipeline = Pipeline()
        pipeline.feed((0, _listed(NOON, "Mug")), (1, _stock(NOON, 1, "a")), (2, _stock(NOON, 1, "b")))
        pipeline.new_owner()
        pipeline.feed((3, _listed(NOON - 1, "Old")), (4, _stock(NOON - 1, 2, "a")))
        pipeline.feed((5, _stock(NOON - 1, 2, "c")))
        assert pipeline.book.records.dirty == 0


def test_products_are_kept_for_good() -> None:
    """The record is filed under no day, so that no deletion finds it."""
    pipeline = Pipeline()
    pipeline.feed((0, _stock(NOON, 1)))
    write = pipeline.book.records.take()
    assert write.filed == {}
    assert write.records["p"].startswith(b"-1:")


def test_heartbeats_and_other_figure_sets_touch_no_product() -> None:
    """A heartbeat of the source makes no record; where no stock is kept the book takes no topic."""
    beat = SourceHeartbeat(event_id="e", event_time_ms=NOON, platform="other", source="s")
    pipeline = Pipeline()
    assert pipeline.book.ids(_chunk((0, beat))) == {"products": []}
    pipeline.feed((0, beat))
    assert pipeline.book.records.dirty == 0
    assert pipeline.book.topics == {"catalogue"}
    assert Pipeline("funnel-gmv").book.topics == frozenset()

"""Where amounts are booked (what is booked, scenarios say)."""

from __future__ import annotations

from typing import Any

from streams import catalogue
from streams.booking import Books, Entry
from streams.kpi import FigureSet
from streams.kpis import FIGURE_SETS
from streams.ledger import Order, OrderLine
from streams.scopes import PIPELINE, SINGLE_LINE_SCOPES, SINGLE_ORDER_SCOPES
from streams.settings import Settings
from streams.sums import Sums
from streams.worker import rules_of

SIZES = rules_of(Settings()).sizes
NOON = 1_767_614_400_000
SCOPES = ("tiktok", None, "adyen", None, None, None, "1.0")
NOTHING = FigureSet(name="nothing", kinds=(PIPELINE,), sizes=frozenset({"1m"}), measures=frozenset())


_NO_MONEY = dict.fromkeys(
    ("quantity", "value_minor", "paid_minor", "left_minor", "commission_bps", "fee_bps"), 0
)


def _line(product: str, **values: str) -> OrderLine:
    absent = dict.fromkeys((*(kind.name for kind in SINGLE_LINE_SCOPES[1:]), "sku"))
    fields: dict[str, Any] = absent | _NO_MONEY | values
    return OrderLine(product=product, **fields)


def _sold(product: str, quantity: int, value_minor: int, live: str | None) -> OrderLine:
    line = _line(product)
    line.quantity, line.value_minor, line.live = quantity, value_minor, live
    return line


def _order(time_ms: int, *lines: OrderLine) -> Order:
    return Order(0, 0, 0, time_ms, "USD", False, SCOPES, list(lines), "u", 0, [])


def _booked(sums: Sums) -> dict[tuple[str, str], int]:
    writes, _ = sums.take(NOON)
    return {
        (write.kind, name): amount
        for write in writes
        if write.pane.size.name == "1m"
        for name, amount in write.absolute.items()
    }


def test_scopes_stand_in_the_catalogues_order() -> None:
    """`Order.scopes` and an order line's attributes are read by place and by name: the catalogue's."""
    names = [kind.name for kind in SINGLE_ORDER_SCOPES]
    assert names == "platform surface gateway mini_program country client_os app_version".split()
    assert {kind.name for kind in SINGLE_LINE_SCOPES} < set(OrderLine.__struct_fields__)


def test_an_order_is_booked_where_it_has_a_value_and_the_measure_is_kept() -> None:
    """The whole shop always; a scope without value not; a measure not in kinds that do not keep it."""
    sums = Sums(FIGURE_SETS["all"], SIZES)
    books = Books(FIGURE_SETS["all"], sums)
    entries = (
        Entry(catalogue.GMV_PAID, 7, "USD"),
        Entry(catalogue.UNATTRIBUTED_REFUNDS, 5, "EUR"),
        Entry(catalogue.COMMISSION, 0, "USD"),
    )
    books.book(NOON, SCOPES, entries)
    assert _booked(sums) == {
        ("all", "gmv_paid:USD|"): 7,
        ("platform", "gmv_paid:USD|tiktok"): 7,
        ("gateway", "gmv_paid:USD|adyen"): 7,
        ("platform,gateway", "gmv_paid:USD|6:tiktokadyen"): 7,
        ("app_version", "gmv_paid:USD|1.0"): 7,
        ("all", "unattributed_refunds:EUR|"): 5,
        ("platform", "unattributed_refunds:EUR|tiktok"): 5,
    }


def test_lines_add_up_in_each_value() -> None:
    """Lines of the same value share a cell; a line without the value is in none, but those of no live and of
    no creator are counted as such."""
    sums = Sums(FIGURE_SETS["all"], SIZES)
    books = Books(FIGURE_SETS["all"], sums)
    lines = [_line("p", live="L"), _line("q", live="L", brand="b"), _line("p")]
    entries = (
        Entry(catalogue.ITEMS, 0, by_line=[1, 20, 300]),
        Entry(catalogue.ORDERS_IN_CURRENCY, 1, "USD"),
    )
    books.book(NOON, (None,) * len(SINGLE_ORDER_SCOPES), entries, lines)
    assert _booked(sums) == {
        ("all", "orders:USD|"): 1,
        ("product", "items|p"): 301,
        ("product", "items|q"): 20,
        ("live", "items|L"): 21,
        ("brand", "items|b"): 20,
        ("live,product", "items|1:Lp"): 1,
        ("live,product", "items|1:Lq"): 20,
        ("live,product", "orders:USD|1:Lp"): 1,
        ("live,product", "orders:USD|1:Lq"): 1,
        ("product", "orders:USD|p"): 1,
        ("product", "orders:USD|q"): 1,
        ("live", "orders:USD|L"): 1,
        ("live", "items|unattributed"): 300,
        ("live", "orders:USD|unattributed"): 1,
        ("creator", "items|unattributed"): 321,
        ("creator", "orders:USD|unattributed"): 1,
        ("brand", "orders:USD|b"): 1,
    }


def test_a_live_keeps_what_it_sold_by_minute_and_by_product() -> None:
    """One hash per live and hour: an order once a minute, its GMV, and the units of each product."""
    sums = Sums(FIGURE_SETS["all"], SIZES)
    books = Books(FIGURE_SETS["all"], sums)
    books.book_rooms(_order(NOON + 61_000, _sold("p", 1, 5, "L"), _sold("q", 2, 70, "L")), 1)
    books.book_rooms(_order(NOON + 61_000, _sold("q", 3, 900, "M"), _sold("p", 4, 1, None)), 1)
    taken_back = _order(NOON + 61_000, _sold("q", 5, 40, "M"))
    books.book_rooms(taken_back, 1)
    books.book_rooms(taken_back, -1)
    writes, _ = sums.take(NOON)
    assert {(write.kind, write.pane.size.name): write.absolute for write in writes} == {
        ("room:L", "1h"): {"gmv_paid:USD|m1": 75, "orders:USD|m1": 1, "items|pp": 1, "items|pq": 2},
        ("room:M", "1h"): {"gmv_paid:USD|m1": 900, "orders:USD|m1": 1, "items|pq": 3},
    }


def test_a_set_that_does_not_keep_a_measure_books_nothing() -> None:
    """The bench's figure sets cost nothing for what they leave out."""
    sums = Sums(NOTHING, SIZES)
    books = Books(NOTHING, sums)
    entries = (Entry(catalogue.GMV_PAID, 7, "USD", [7]), Entry(catalogue.ORDERS_IN_CURRENCY, 1, "USD"))
    books.book(NOON, SCOPES, entries, [_line("p")])
    books.on_pipeline(NOON, "views", catalogue.ACCEPTED, 1)
    assert sums.dirty == 0


def test_a_set_without_the_pipelines_kind_counts_no_records() -> None:
    """A figure set may leave the pipeline's own counts out, or the whole shop."""
    figures = FIGURE_SETS["all"]
    bare = FigureSet(
        name="bare", kinds=figures.kinds[1:2], sizes=frozenset({"1m"}), measures=figures.measures
    )
    sums = Sums(bare, SIZES)
    books = Books(bare, sums)
    books.on_pipeline(NOON, "views", catalogue.ACCEPTED, 1)
    books.book(NOON, SCOPES, [Entry(catalogue.GMV_PAID, 7, "USD")])
    assert _booked(sums) == {("platform", "gmv_paid:USD|tiktok"): 7}


def test_the_pipelines_counts_name_the_topic() -> None:
    """Value = topic, by ingest time; money of late purchases per currency."""
    sums = Sums(FIGURE_SETS["all"], SIZES)
    books = Books(FIGURE_SETS["all"], sums)
    books.on_pipeline(NOON, "views", catalogue.ACCEPTED, 3)
    books.on_pipeline(NOON, "purchases", catalogue.LATE_GMV, 900, "JPY")
    assert _booked(sums) == {
        ("pipeline", "accepted|views"): 3,
        ("pipeline", "late_gmv:JPY|purchases"): 900,
    }

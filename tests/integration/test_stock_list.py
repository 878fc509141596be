"""The list of what runs short, from a real Redis that was filled by hand."""

from __future__ import annotations

from typing import Any

import pytest

from streams.answer import QuestionError
from streams.local.redis import RedisServer
from streams.products import ProductRecord, Stock
from streams.ranking import Ranking
from streams.scopes import pair_value
from streams.stock_list import StockList
from tests.redis_kit import NOON_MS, Shop

MINUTE_MS = 60_000
SET_MS = NOON_MS - 25 * MINUTE_MS


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _product(shop: Shop, product: str, p: int = 0, **units: int) -> None:
    stocks = {sku: Stock(SET_MS, 1, each) for sku, each in units.items()}
    listed: dict[str, Any] = {"listed": (1, 1), "title": product.title(), "brand_id": "b1"}
    record = ProductRecord(**listed, unit_price_minor=500, currency="USD", stocks=stocks)
    shop.record(p, "products", product, record)


def _sell(shop: Shop, product: str, sku: str, items: int, time_ms: int, *, p: int = 0) -> None:
    shop.book(time_ms, "product,sku", pair_value(product, sku), p, items=items)
    shop.book(time_ms, "product", product, p, items=items, events__purchase=1, gmv_paid__USD=items)


def _tap(shop: Shop, product: str, taps: int, time_ms: int, p: int = 0) -> None:
    shop.book(time_ms, "product", product, p, events__tag_tap=taps)


def _read(shop: Shop, state: str | None = None, window: str = "30m", **changed: Any) -> Any:
    async def read(model: Any) -> Any:
        return await StockList(model, Ranking(model.store)).answer(state, window)

    return shop.ask(read, **changed)


def _gauges(shop: Shop) -> Any:
    async def read(model: Any) -> Any:
        return await StockList(model, Ranking(model.store)).families()

    return {each.name: each.samples for each in shop.ask(read)}


def test_taps_in_vain_count_from_when_nothing_was_left(shop: Shop) -> None:
    """Both SKUs gone by 11:50: taps of before were not in vain; those of both partitions after it were."""
    _product(shop, "cup", red=3, blue=2)
    _sell(shop, "cup", "red", 3, NOON_MS - 20 * MINUTE_MS)
    _sell(shop, "cup", "blue", 3, NOON_MS - 10 * MINUTE_MS - 1, p=1)
    _tap(shop, "cup", 100, NOON_MS - 10 * MINUTE_MS - 1)
    _tap(shop, "cup", 10, NOON_MS - 10 * MINUTE_MS)
    _tap(shop, "cup", 1, NOON_MS - 1, p=1)
    answer = _read(shop)
    [cup] = answer["products"]
    assert cup == {
        "product_id": "cup", "title": "Cup", "unit_price_minor": 500, "currency": "USD", "brand_id": "b1",
        "units": -1, "state": "oversold", "minutes_left": None, "oversold_units": 1,
        "since_ms": SET_MS,
        "skus": [
            {"sku_id": "red", "units": 0, "oversold_units": 0, "since_ms": SET_MS},
            {"sku_id": "blue", "units": -1, "oversold_units": 1, "since_ms": SET_MS},
        ],
        "tag_taps": 111, "sold_out_since_ms": NOON_MS - 10 * MINUTE_MS, "tag_taps_while_sold_out": 11,
    }  # fmt: skip
    assert (answer["tag_taps_while_sold_out"], answer["looked_at"], answer["count"]) == (11, 1, 1)
    assert (answer["as_of_ms"], answer["read_ms"]) == (NOON_MS - 10_000, NOON_MS)
    assert _gauges(shop)["sold_out_tag_taps"] == {("30m",): 11}


def test_an_hour_is_followed_back_by_minutes(shop: Shop) -> None:
    """At full hours, too, where one pane holds the whole window."""
    _product(shop, "cup", red=3)
    _sell(shop, "cup", "red", 3, NOON_MS - 10 * MINUTE_MS - 1)
    _tap(shop, "cup", 7, NOON_MS - 5 * MINUTE_MS)
    [cup] = _read(shop, window="1h")["products"]
    assert (cup["sold_out_since_ms"], cup["tag_taps_while_sold_out"]) == (NOON_MS - 10 * MINUTE_MS, 7)
    # Where panes of a minute are gone, an hour's pane does not tell when.
    [cup] = _read(shop, window="1h", retention_10s_ms=1, retention_1m_ms=1)["products"]
    assert (cup["sold_out_since_ms"], cup["tag_taps_while_sold_out"]) == (None, 0)


def test_a_sale_ahead_of_the_clock_empties_no_pane_before_it(shop: Shop) -> None:
    """The order service's clock is 90 s ahead: nothing is left now, but within the window there was one."""
    _product(shop, "cup", red=3)
    _sell(shop, "cup", "red", 2, NOON_MS - 20 * MINUTE_MS)
    _tap(shop, "cup", 100, NOON_MS - 10 * MINUTE_MS)
    _sell(shop, "cup", "red", 1, NOON_MS + 90_000)
    shop.meta(0, h=NOON_MS + 90_000)
    [cup] = _read(shop)["products"]
    assert (cup["state"], cup["sold_out_since_ms"], cup["tag_taps_while_sold_out"]) == ("out", None, 0)


def test_the_most_urgent_stand_first_and_each_state_by_itself(shop: Shop) -> None:
    """Oversold before out before low; what is well stocked, or of unknown stock, is not in the list."""
    for product, units, taps in (("low", 5, 9), ("out", 0, 2), ("out2", 0, 3), ("well", 500, 9)):
        _product(shop, product, 1, red=units)
        _tap(shop, product, taps, NOON_MS - MINUTE_MS, p=1)
    _tap(shop, "unknown", 7, NOON_MS - MINUTE_MS)
    _product(shop, "over", blue=7, red=1)
    _sell(shop, "over", "red", 2, NOON_MS - MINUTE_MS)
    answer = _read(shop)
    assert [each["product_id"] for each in answer["products"]] == ["over", "out2", "out", "low"]
    assert answer["looked_at"] == 6
    over = answer["products"][0]
    assert (over["sold_out_since_ms"], over["tag_taps_while_sold_out"]) == (None, 0)
    assert [each["product_id"] for each in _read(shop, "out")["products"]] == ["out2", "out"]
    assert _gauges(shop)["products_running_short"] == {
        ("oversold", "30m"): 1, ("out", "30m"): 2, ("low", "30m"): 1,
    }  # fmt: skip


def test_nothing_asked_for_nothing_missed(shop: Shop) -> None:
    """A product that nobody taps or buys in the window is not looked at."""
    _product(shop, "cup", red=0)
    _tap(shop, "cup", 5, NOON_MS - 40 * MINUTE_MS)
    answer = _read(shop)
    assert (answer["looked_at"], answer["products"]) == (0, [])
    assert [each["product_id"] for each in _read(shop, window="1h")["products"]] == ["cup"]


@pytest.mark.parametrize(
    ("state", "window", "figures", "line"),
    [
        ("gone", "30m", "all", "state is one of oversold out low"),
        ("out", "24h", "all", "window is one of 5m 30m 1h"),
        ("out", "30m", "funnel-gmv", "stock is not kept"),
    ],
)
def test_wrong_questions(shop: Shop, state: str, window: str, figures: str, line: str) -> None:
    """Each is refused in one line."""
    with pytest.raises(QuestionError, match=line):
        _read(shop, state, window, figures=figures)

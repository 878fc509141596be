"""Products that underperform, from a real Redis that was filled by hand."""

from __future__ import annotations

from typing import Any

import pytest

from streams.answer import QuestionError
from streams.local.redis import RedisServer
from streams.products import ProductRecord
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.underperforming import read_underperforming
from tests.redis_kit import NOON_MS, Shop
from tests.scenario_kit import DAY

TODAY = NOON_MS - NOON_MS % DAY


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _listed(shop: Shop, product_id: str, category: str | None, platform: str = "tiktok") -> None:
    record = ProductRecord(
        listed=(NOON_MS, 0), title=f"Title {product_id}", category=category, platform=platform,
        unit_price_minor=990, currency="EUR",
    )  # fmt: skip
    shop.record(0, "products", product_id, record)


def _slow(shop: Shop, platform: str | None = None) -> Any:
    async def ask(model: ReadModel) -> Any:
        return await read_underperforming(model, Ranking(model.store), platform)

    return shop.ask(ask)


def test_products_that_underperform(shop: Shop) -> None:
    """Of the seven complete days before today: who sells less than the category's median, and who more."""
    for n, orders in enumerate((1, 10, 10, 10, 12)):
        _listed(shop, f"p{n}", "home", "douyin" if n == 4 else "tiktok")
        for day in range(1, 8):
            shop.book(TODAY - day * DAY, "product", f"p{n}", p=n % 2, events__tag_tap=100)
            shop.book(TODAY - day * DAY, "product", f"p{n}", p=n % 2, events__purchase=orders)
    _listed(shop, "elsewhere", None)
    for product in ("elsewhere", "never-listed"):
        shop.book(TODAY - DAY, "product", product, events__tag_tap=10_000)
    # Neither today nor the eighth day before counts.
    for at in (TODAY, TODAY - 8 * DAY):
        shop.book(at, "product", "p0", events__tag_tap=100, events__purchase=100)
    told = _slow(shop)
    assert (told["from_ms"], told["to_ms"]) == (TODAY - 7 * DAY, TODAY)
    assert told["categories"] == [{"category": "home", "products": 5, "median_orders_per_tag_tap": 0.1}]
    [found] = told["products"]
    assert (found["product_id"], found["title"], found["category"]) == ("p0", "Title p0", "home")
    assert (found["tag_taps"], found["orders"], found["orders_per_tag_tap"]) == (700, 7, 0.01)
    assert 0.01 < found["upper_bound"] < 0.1
    assert (found["category_median"], found["missing_orders"]) == (0.1, pytest.approx(63))
    [target] = found["targets"]
    assert (target["product_id"], target["title"]) == ("p4", "Title p4")
    assert {(each["unit_price_minor"], each["currency"]) for each in (found, target)} == {(990, "EUR")}
    # Four products of the category are listed on TikTok: too few for a median.
    assert (_slow(shop, "tiktok")["categories"], _slow(shop, "tiktok")["products"]) == ([], [])
    with pytest.raises(QuestionError, match="unknown platform 'nowhere'"):
        _slow(shop, "nowhere")


def test_where_products_were_not_told_apart_none_is_named(shop: Shop) -> None:
    """A day that counted products under `other` makes rates of parts: capped, and no list."""
    for n, orders in enumerate((1, 10, 10, 10, 12)):
        _listed(shop, f"p{n}", "home")
        shop.book(TODAY - DAY, "product", f"p{n}", events__tag_tap=700, events__purchase=7 * orders)
    assert len(_slow(shop)["products"]) == 1
    shop.book(TODAY - DAY, "product", "tag-taps", capped=1)
    told = _slow(shop)
    assert (told["capped"], told["products"], told["categories"]) == (True, [], [])


def test_without_a_watermark_no_day_is_complete(shop: Shop) -> None:
    """Before the worker has read taps and orders, the question can't be answered."""
    shop.forget_meta(0, "wm:tag-taps")
    with pytest.raises(QuestionError, match="nothing is known yet"):
        _slow(shop)

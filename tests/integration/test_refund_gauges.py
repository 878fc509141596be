"""The refund rate by age of the purchases, from a real Redis that was filled by hand."""

from __future__ import annotations

from typing import Any

import pytest

from streams.figures.refund_rate import RATE_BY_AGE
from streams.local.redis import RedisServer
from streams.read_model import ReadModel
from streams.refund_gauges import REFRESH_MS, RefundGauges
from tests.redis_kit import NOON_MS, Shop
from tests.scenario_kit import DAY

MIDNIGHT = NOON_MS - NOON_MS % DAY


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000, "EUR USD")


def _sold(shop: Shop, days_ago: int, refunds: int, orders: int = 50, *, on: str = "tiktok") -> None:
    """Purchases of 1 000 on the day so many days ago, of both partitions together."""
    amounts = {"gmv_paid__USD": 1_000, "refunds_of_purchases__USD": refunds}
    for kind, of in (("all", ""), ("platform", on)):
        shop.book(MIDNIGHT - days_ago * DAY, kind, of, p=0, **amounts, orders__USD=orders - 1)
        shop.book(MIDNIGHT - days_ago * DAY, kind, of, p=1, orders__USD=1)


def _rates(shop: Shop, **changed: Any) -> Any:
    async def read(model: ReadModel) -> Any:
        return {each.name: each.samples for each in await RefundGauges(model).families()}

    return shop.ask(read, **changed).get(RATE_BY_AGE)


def test_each_age_by_itself(shop: Shop) -> None:
    """Whole days: 1 to 7 ago, 8 to 30, 31 to 60; neither today nor the 61st. Too few orders tell nothing."""
    for days_ago, refunds in (
        (0, 900),
        (1, 10),
        (7, 20),
        (8, 100),
        (30, 200),
        (31, 400),
        (60, 500),
        (61, 900),
    ):
        _sold(shop, days_ago, refunds)
    _sold(shop, 3, 90, 49, on="douyin")
    assert _rates(shop) == {
        ("all", "", "0d-7d", "USD"): 0.04,
        ("all", "", "7d-30d", "USD"): 0.15,
        ("all", "", "30d-60d", "USD"): 0.45,
        ("platform", "tiktok", "0d-7d", "USD"): 0.015,
        ("platform", "tiktok", "7d-30d", "USD"): 0.15,
        ("platform", "tiktok", "30d-60d", "USD"): 0.45,
    }


def test_days_count_as_far_as_the_log_was_read(shop: Shop) -> None:
    """While it is read up to yesterday's noon, yesterday is no whole day; without a watermark none is."""
    _sold(shop, 1, 10)
    shop.healthy(NOON_MS - DAY, "USD")
    assert _rates(shop) == {}
    shop.forget_meta(0, "wm:purchases")
    assert _rates(shop) == {}


def test_without_money_nothing_is_asked_or_told(redis_server: RedisServer) -> None:
    """A shop that never sold has no rates; a figure set without refunds has no such family."""
    shop = Shop(redis_server.url).healthy(NOON_MS, "")
    shop.book(MIDNIGHT - DAY, "all", events__view=7)
    assert _rates(shop) == {}
    assert _rates(shop, figures="funnel-gmv") is None


def test_read_at_most_once_a_minute(shop: Shop) -> None:
    """In between what was read last is told."""
    clock = [NOON_MS]

    async def read(model: ReadModel) -> list[float]:
        model.clock = lambda: clock[0]
        gauges = RefundGauges(model)
        found = []
        for clock[0] in (NOON_MS, NOON_MS + REFRESH_MS - 1, NOON_MS + REFRESH_MS):
            _sold(shop, 1, 100)
            [family] = await gauges.families()
            found.append(family.samples["all", "", "0d-7d", "USD"])
            _sold(shop, 1, 300)
        return found

    assert shop.ask(read) == [0.1, 0.1, pytest.approx((3 * 100 + 2 * 300) / 5_000)]

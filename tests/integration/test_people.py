"""Answers about people, rooms and stock from a real Redis that was filled by hand."""

from __future__ import annotations

from typing import Any

import pytest

from streams.local.redis import RedisServer
from streams.products import ProductRecord, Stock
from streams.rooms import Heartbeat, Pin, Room
from streams.scopes import pair_value
from tests.redis_kit import NOON_MS, Shop

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _kpis(shop: Shop, *question: object, now_ms: int = NOON_MS) -> Any:
    return shop.ask(lambda model: model.kpis(*question), now_ms)  # type: ignore[arg-type]


def test_users_are_counted_over_the_whole_minutes_that_the_range_touches(shop: Shop) -> None:
    """One user of two minutes is one, users of two partitions are two; the range and its error are said."""
    shop.users(NOON_MS - 3 * MINUTE_MS, "view", "live", "L1", "u1", "u2")
    shop.users(NOON_MS - MINUTE_MS, "view", "live", "L1", "u2", "u3")
    shop.users(NOON_MS - 1, "view", "live", "L1", "u4", p=1)
    shop.users(NOON_MS - 6 * MINUTE_MS, "view", "live", "L1", "u5")
    shop.users(NOON_MS - 1, "purchase", "live", "L2", "u6")
    answer = _kpis(shop, "live:L1", None, NOON_MS - 5 * MINUTE_MS + 10_000, NOON_MS - 10_000)
    assert answer["users"] == {"view": 4, "tag_tap": 0, "add_to_cart": 0, "purchase": 0}
    people = [answer[f"users_{name}"] for name in ("from_ms", "to_ms", "standard_error")]
    assert people == [NOON_MS - 5 * MINUTE_MS, NOON_MS, 0.0081]


@pytest.mark.parametrize("users", [300, 5_000, 60_000, 200_000])
def test_users_are_estimated_within_the_error_that_is_said(shop: Shop, users: int) -> None:
    """Few and many, by minute, hour and day: the estimate is within three standard errors of the count."""
    half = users // 2
    for p, numbers in ((0, range(half)), (1, range(half, users))):
        # Every user comes in two minutes; a sketch knows that it is the same one.
        for minute in (3, 2):
            ids = [f"user-{number}" for number in numbers]
            shop.users(NOON_MS - minute * MINUTE_MS, "view", "all", "", *ids, p=p)
    for asked in ((NOON_MS - 5 * MINUTE_MS, NOON_MS), (NOON_MS - 3 * HOUR_MS, NOON_MS)):
        answer = _kpis(shop, "all", None, *asked)
        assert abs(answer["users"]["view"] - users) <= 3 * answer["users_standard_error"] * users
    shop.meta(0, h=NOON_MS + 36 * DAY_MS)
    day_ms = NOON_MS - NOON_MS % DAY_MS
    answer = _kpis(shop, "all", None, day_ms, day_ms + DAY_MS, now_ms=NOON_MS + 36 * DAY_MS)
    assert (answer["users_from_ms"], answer["users_to_ms"]) == (day_ms, day_ms + DAY_MS)
    assert abs(answer["users"]["view"] - users) <= 3 * answer["users_standard_error"] * users


def test_money_a_buyer_is_of_the_users_range(shop: Shop) -> None:
    """The asked range cuts a minute, users do not: the GMV of the whole minute is set against its buyers."""
    for time_ms in (NOON_MS - 55 * SECOND_MS, NOON_MS - 1):
        shop.book(time_ms, "all", gmv_paid__USD=100, orders__USD=1)
    shop.users(NOON_MS - 1, "purchase", "all", "", "u1")
    shop.users(NOON_MS - 1, "repeat_purchase", "all", "", "u1")
    answer = _kpis(shop, "all", None, NOON_MS - 30_000, NOON_MS)
    assert answer["money"]["USD"]["gmv_paid_minor"] == 100
    assert answer["money"]["USD"]["gmv_per_buyer_minor"] == 200
    assert answer["ratios"]["repeat_buyers_per_buyers"] == 1.0


def test_longer_ranges_count_users_by_the_hour_and_by_the_day(shop: Shop) -> None:
    """More than 2 hours back minutes are gone, more than 35 days back hours; beyond 400 days nothing is
    known."""
    shop.users(NOON_MS - 3 * HOUR_MS, "view", "all", "", "u1")
    shop.users(NOON_MS - 40 * DAY_MS, "view", "all", "", "u2")
    answer = _kpis(shop, "all", None, NOON_MS - 3 * HOUR_MS + MINUTE_MS, NOON_MS)
    assert (answer["users"]["view"], answer["users_from_ms"]) == (1, NOON_MS - 3 * HOUR_MS)
    midnight_ms = NOON_MS - 12 * HOUR_MS
    answer = _kpis(shop, "all", None, midnight_ms - 40 * DAY_MS, midnight_ms)
    assert (answer["users"]["view"], answer["users_from_ms"]) == (1, midnight_ms - 40 * DAY_MS)
    answer = _kpis(shop, "all", None, midnight_ms - 401 * DAY_MS, midnight_ms)
    assert (answer["users"]["view"], answer["users_from_ms"]) == (None, None)


def test_sessions_are_sums_over_partitions(shop: Shop) -> None:
    """Steps, checkouts and the buckets of time to convert add up, and shares are over the sums."""
    for p in range(2):
        shop.book(NOON_MS - 1, "platform", "tiktok", p=p, sessions__view=4, sessions__purchase=1)
        shop.book(NOON_MS - 1, "platform", "tiktok", p=p, checkouts__begin_checkout=2, time_to_convert__60=1)
    answer = _kpis(shop, "platform:tiktok", "5m")
    assert answer["sessions"] == {"view": 8, "tag_tap": 0, "add_to_cart": 0, "purchase": 2}
    assert answer["checkouts"]["begin_checkout"] == 4
    assert answer["ratios"]["purchases_per_view_sessions"] == 0.25
    assert answer["time_to_convert"]["p50_seconds"] == 52.5


def test_a_pair_is_a_scope_of_its_own(shop: Shop) -> None:
    """Its cells are found by both values, whatever signs are in them."""
    shop.book(NOON_MS - 1, "live,product", pair_value("L|1", "p:1"), items=3, gmv_paid__USD=30)
    shop.book(NOON_MS - 1, "platform,gateway", pair_value("tiktok", "adyen"), pay__attempts=2)
    answer = _kpis(shop, "live:L|1,product:p:1", "5m")
    assert (answer["scope"], answer["items"]) == ("live:L|1,product:p:1", 3)
    assert answer["users"]["view"] is None and answer["sessions"]["view"] is None
    assert not {"checkouts", "time_to_convert", "viewers", "stock"} & set(answer)
    assert _kpis(shop, "platform:tiktok,gateway:adyen", "5m")["payments"]["attempts"] == 2


def test_a_met_cap_is_said_and_no_share_told(shop: Shop) -> None:
    """A cap met by any value of the kind, in any partition: shares are null, counts and AOV stay."""
    shop.book(NOON_MS - 1, "product", "p1", events__view=9, events__tag_tap=3, orders__USD=2, gmv_paid__USD=8)
    assert _kpis(shop, "product:p1", "5m")["ratios"]["tag_taps_per_view_events"] == 1 / 3
    shop.book(NOON_MS - 1, "product", "views", p=1, capped=500)
    answer = _kpis(shop, "product:p1", "5m")
    assert (answer["capped"], answer["ratios"]["tag_taps_per_view_events"]) == (True, None)
    assert (answer["events"]["view"], answer["money"]["USD"]["aov_minor"]) == (9, 4)
    assert _kpis(shop, "live:L1", "5m")["capped"] is False
    assert _kpis(shop, "product:p1", None, NOON_MS - HOUR_MS, NOON_MS - 30 * MINUTE_MS)["capped"] is False


def test_a_cap_that_a_wider_pane_met_is_said_too(shop: Shop) -> None:
    """Sessions take a live by the day, users by their minute: what was cut there is not complete, even where
    the asked panes are."""
    shop.book(NOON_MS - HOUR_MS, "live", "L1", p=1, sessions__view=4, sessions__purchase=1)
    shop.book(NOON_MS - 1, "live", "L1", events__view=4, events__tag_tap=1, sessions__view=2)
    shop.book(NOON_MS - 3 * HOUR_MS, "live", "views", capped=1)
    answer = _kpis(shop, "live:L1", "5m")
    assert answer["capped"] is True
    assert answer["ratios"]["tag_taps_per_view_events"] == 0.25
    assert answer["ratios"]["purchases_per_view_sessions"] is None


def test_viewers_of_a_room(shop: Shop) -> None:
    """The highest of all panes and partitions, the average over what heartbeats cover, and now."""
    shop.highest(NOON_MS - 2 * MINUTE_MS, "live", "L1", max__viewers=90)
    shop.highest(NOON_MS - 1, "live", "L1", max__viewers=70, p=1)
    shop.book(NOON_MS - MINUTE_MS, "live", "L1", watch_ms=80_000, covered_ms=1_000)
    shop.book(NOON_MS - 1, "live", "L1", watch_ms=60_000, covered_ms=1_000)
    shop.record(0, "rooms", "L1", Room(20_000, heartbeats=[Heartbeat(NOON_MS - 50_000, 3, 65)]))
    viewers = _kpis(shop, "live:L1", "5m")["viewers"]
    assert viewers == {"now": 65, "peak": 90, "average": 70.0, "watch_seconds": 140}
    later = _kpis(shop, "live:L1", "1m", now_ms=NOON_MS + 10_001)["viewers"]
    assert (later["now"], later["peak"]) == (None, 70)
    nobody = _kpis(shop, "live:L2", "5m")["viewers"]
    assert nobody == {"now": None, "peak": None, "average": None, "watch_seconds": None}


def test_pinned_products_since_their_pin(shop: Shop) -> None:
    """Each from the border at or before its pin of the finest size kept there, whatever range is asked;
    with title and price where it was listed."""
    recent_ms, old_ms = NOON_MS - 3 * MINUTE_MS + 4_000, NOON_MS - 2 * HOUR_MS + 30_000
    pins = {
        "p1": Pin(recent_ms, 8, True),
        "p2": Pin(old_ms, 5, True),
        "p3": Pin(recent_ms, 9, False),
    }
    shop.record(1, "rooms", "L1", Room(20_000, pins=pins))
    for time_ms, taps in (
        (recent_ms - 4_001, 1_000),
        (recent_ms - 1, 100),
        (recent_ms, 10),
        (NOON_MS - 1, 1),
    ):
        shop.book(time_ms, "live,product", pair_value("L1", "p1"), events__tag_tap=taps)
    shop.book(NOON_MS - 1, "live,product", pair_value("L1", "p1"), p=1, events__purchase=2, gmv_paid__USD=7)
    shop.book(old_ms, "live,product", pair_value("L1", "p2"), events__add_to_cart=4)
    shop.book(old_ms - 31_000, "live,product", pair_value("L1", "p2"), events__add_to_cart=40)
    shop.record(0, "products", "p1", ProductRecord(-1, (1, 1), "Cup", unit_price_minor=990, currency="EUR"))
    assert _kpis(shop, "live:L1", "1m")["pinned"] == [
        {
            "product_id": "p1", "since_ms": NOON_MS - 3 * MINUTE_MS, "tag_taps": 111, "add_to_carts": 0,
            "orders": 2, "gmv_paid_minor": {"USD": 7},
            "title": "Cup", "unit_price_minor": 990, "currency": "EUR",
        },
        {
            "product_id": "p2", "since_ms": NOON_MS - 2 * HOUR_MS, "tag_taps": 0, "add_to_carts": 4,
            "orders": 0, "gmv_paid_minor": {"USD": 0},
            "title": None, "unit_price_minor": None, "currency": None,
        },
    ]  # fmt: skip
    assert _kpis(shop, "live:L2", "1m")["pinned"] == []


def _sell(shop: Shop, time_ms: int, sku: str, items: int, *, orders: int = 1, p: int = 0) -> None:
    shop.book(time_ms, "product,sku", pair_value("p1", sku), p, items=items)
    shop.book(time_ms, "product", "p1", p, items=items, events__purchase=orders)


def test_stock_is_what_was_set_less_what_was_sold_since(shop: Shop) -> None:
    """Each SKU from its own stock_set on, sales of all partitions; an oversold SKU shows beside the sum."""
    stocks = {"red": Stock(NOON_MS - 10 * MINUTE_MS, 1, 50), "blue": Stock(NOON_MS - 3 * HOUR_MS, 2, 5)}
    shop.record(0, "products", "p1", ProductRecord(listed=(1, 1), title="Cup", stocks=stocks))
    _sell(shop, NOON_MS - 11 * MINUTE_MS, "red", 1_000)
    _sell(shop, NOON_MS - 9 * MINUTE_MS, "red", 20, p=1)
    _sell(shop, NOON_MS - 2 * HOUR_MS, "blue", 7)
    _sell(shop, NOON_MS - 1, "", 3)
    answer = _kpis(shop, "product:p1", "5m")
    assert answer["title"] == "Cup"
    assert answer["stock"] == {
        "units": 28, "state": "oversold", "minutes_left": None, "oversold_units": 2,
        "since_ms": NOON_MS - 3 * HOUR_MS,
    }  # fmt: skip


def test_a_stock_without_sku_is_of_the_whole_product(shop: Shop) -> None:
    """Every item sold counts; the shortest time with five orders says how long it lasts."""
    shop.record(0, "products", "p1", ProductRecord(stocks={"": Stock(NOON_MS - HOUR_MS, 1, 100)}))
    _sell(shop, NOON_MS - 20 * MINUTE_MS, "red", 30, orders=20)
    _sell(shop, NOON_MS - 10 * MINUTE_MS, "red", 14, orders=2, p=1)
    _sell(shop, NOON_MS - MINUTE_MS, "blue", 16, orders=3)
    answer = _kpis(shop, "product:p1", "5m")
    assert "title" not in answer
    assert (answer["stock"]["units"], answer["stock"]["minutes_left"]) == (40, 20.0)
    assert answer["stock"]["state"] == "low"
    _sell(shop, NOON_MS - 1, "blue", 4, orders=2)
    assert _kpis(shop, "product:p1", "5m")["stock"]["minutes_left"] == 36 / 4


def test_sales_ahead_of_the_clock_are_sold(shop: Shop) -> None:
    """A producer's clock may run ahead: what it sold is gone, and seen at once."""
    shop.record(0, "products", "p1", ProductRecord(stocks={"": Stock(NOON_MS - HOUR_MS, 1, 3)}))
    shop.meta(1, h=NOON_MS + 2 * MINUTE_MS)
    _sell(shop, NOON_MS + 2 * MINUTE_MS, "", 4)
    stock = _kpis(shop, "product:p1", "5m")["stock"]
    assert (stock["units"], stock["state"], stock["oversold_units"]) == (-1, "oversold", 1)


def test_an_unknown_stock_is_null(shop: Shop) -> None:
    """Without a stock_set, or with one from before everything that is kept, nobody knows what is left."""
    assert _kpis(shop, "product:p1", "5m")["stock"] is None
    stocks = {"a": Stock(NOON_MS - HOUR_MS, 1, 3), "b": Stock(NOON_MS - 900 * DAY_MS, 1, 3)}
    shop.record(0, "products", "p1", ProductRecord(stocks=stocks))
    assert _kpis(shop, "product:p1", "5m")["stock"] is None

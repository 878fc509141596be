"""What the watch compares lives with, and what a large live means for the shop: over a real Redis."""

from __future__ import annotations

import pytest

from streams.baselines import LIVES_DIFFER
from streams.local.redis import RedisServer
from streams.rooms import Heartbeat, Room
from streams.scopes import pair_value
from tests.redis_kit import NOON_MS, Shop
from tests.watch_kit import (
    END,
    FAILED_FROM,
    HOUR_MS,
    LARGE,
    MINUTE_MS,
    NOON,
    Cells,
    added,
    dropped_in,
    drops_of,
    fill,
    funnel,
    merged,
    shop_of,
    states_in,
    times,
    watching,
)


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def test_a_live_is_held_to_its_own_first_hours(shop: Shop) -> None:
    """A live that sells half of what other lives sell is no drop; when it falls itself, it is one."""
    own = times({("live", "L1"): funnel(60, 12, 4, 1)}, 10)
    broken = times({("live", "L1"): funnel(60, 12, 4, 0)}, 10)
    for live in ("L1", "L2"):
        shop.live(0, live, NOON_MS - 3 * HOUR_MS)
        shop.book(NOON_MS - 1, "live", live, events__live_join=5)
    live_from = NOON - 180
    fill(
        shop,
        lambda minute: merged(LARGE, {} if minute < live_from else broken if minute >= FAILED_FROM else own),
        LARGE,
    )
    answer = watching(shop, drops_of)
    assert {("live:L1", "purchase_per_view"), ("live:L1", "purchase_per_add_to_cart")} == {
        each for each in dropped_in(answer) if each[0].startswith("live")
    }
    [drop] = [
        each for each in answer["drops"] if (each["scope"], each["step"]) == ("live:L1", "purchase_per_view")
    ]
    assert drop["since_ms"] == FAILED_FROM * MINUTE_MS
    assert drop["lost_orders"] == 300
    assert states_in(answer, "live:L2") == {"not_enough_traffic"}


def test_the_last_minutes_of_a_live_are_no_drop(shop: Shop) -> None:
    """Who came shortly before a live's end had no time to buy: by its live_end, or by its last heartbeat."""
    own = times({("live", live): funnel(60, 12, 4, 1) for live in ("L1", "L2", "L3")}, 10)
    late = times({("live", live): funnel(60, 12, 4, 0) for live in ("L1", "L2", "L3")}, 10)
    ended_ms = (FAILED_FROM + 15) * MINUTE_MS
    shop.record(0, "rooms", "L1", Room(20_000, latest_end=(ended_ms, 1)))
    shop.record(0, "rooms", "L2", Room(20_000, heartbeats=[Heartbeat(ended_ms, 1, 5)]))
    shop.record(0, "rooms", "L3", Room(20_000, heartbeats=[Heartbeat(NOON_MS - 20_000, 1, 5)]))
    for live in ("L1", "L2", "L3"):
        shop.book(NOON_MS - 1, "live", live, events__live_join=5)
    fill(shop, lambda minute: merged(LARGE, late if minute >= FAILED_FROM else own), LARGE)
    assert {scope for scope, _ in dropped_in(watching(shop, drops_of))} == {"live:L3"}


def test_a_young_live_is_held_to_its_creator_then_to_all_lives(shop: Shop) -> None:
    """In its first minutes a live has sold too little to be its own measure; it need not sell as well."""
    started = END - 20
    young = times({("live", "L1"): funnel(60, 6, 2, 0), ("live", "L2"): funnel(60, 6, 2, 0)}, 10)
    past = {("creator", "C1"): funnel(600, 120, 40, 10)}
    fill(shop, lambda minute: merged(LARGE, young if minute >= started else {}), merged(LARGE, past))
    for live, creator in (("L1", "C1"), ("L2", None)):
        shop.book(NOON_MS - 1, "live", live, events__live_join=5)
        shop.record(0, "rooms", live, Room(20_000, creator_id=creator))
    answer = watching(shop, drops_of)
    expected = {
        each["scope"]: each["expected_ratio"]
        for each in answer["watched"]
        if each["step"] == "purchase_per_view" and each["scope"].startswith("live")
    }
    most = LIVES_DIFFER / 60
    assert expected == {"live:L1": pytest.approx(most), "live:L2": pytest.approx(most)}
    assert ("live:L1", "purchase_per_view") in dropped_in(answer)


@pytest.mark.parametrize(
    ("sold_a_minute", "platform", "falls"),
    [(50, "tiktok", False), (50, None, True), (50, "douyin", True), (0, "tiktok", True)],
)
def test_a_large_live_is_no_measure_of_the_shop(
    shop: Shop, sold_a_minute: int, platform: str | None, falls: bool
) -> None:
    """A live of ten times the shop's sessions that sells half of what others sell, as it did from its first
    minute, is no drop of the shop; one that sells nothing any more is. Its platform has to be known."""
    shop.record(0, "rooms", "L1", Room(20_000, creator_id="C1", platform=platform))
    shop.book(NOON_MS - 1, "live", "L1", events__live_join=5)

    def with_live(minute: int) -> Cells:
        sold = sold_a_minute if minute >= FAILED_FROM else 50
        crowd = funnel(6_000, 1_200, 400, sold)
        return merged(LARGE, shop_of({("tiktok", "live"): crowd}), {("live", "L1"): crowd})

    fill(shop, lambda minute: with_live(minute) if minute >= NOON - 120 else LARGE, LARGE)
    dropped = dropped_in(watching(shop, drops_of))
    step = "purchase_per_add_to_cart"
    assert (("platform:tiktok", step) in dropped) == falls
    assert falls or ("all", step) not in dropped
    assert ("platform:douyin", step) not in dropped


def test_the_causes_of_a_lives_drop_are_its_products(shop: Shop) -> None:
    """Of the products of this live one is no longer bought."""
    pairs = {product: ("live,product", pair_value("L1", product)) for product in ("p1", "p2")}
    sold = {"events.tag_tap": 60, "events.add_to_cart": 20, "events.purchase": 10}
    own = {("live", "L1"): added(funnel(600, 120, 40, 20), {name: 2 * n for name, n in sold.items()})}
    before = merged(own, {pair: sold for pair in pairs.values()})
    after = merged(
        {
            ("live", "L1"): added(
                funnel(600, 120, 40, 10), sold, {"events.tag_tap": 60, "events.add_to_cart": 20}
            )
        },
        {pairs["p1"]: sold, pairs["p2"]: {"events.tag_tap": 60, "events.add_to_cart": 20}},
    )
    shop.live(0, "L1", NOON_MS - 3 * HOUR_MS)
    shop.book(NOON_MS - 1, "live", "L1", events__live_join=5)
    for pair in pairs.values():
        shop.book((NOON - 60) * MINUTE_MS, pair[0], pair[1], gmv_paid__USD=5)
    fill(
        shop,
        lambda minute: merged(
            LARGE, {} if minute < NOON - 180 else after if minute >= FAILED_FROM else before
        ),
        LARGE,
    )
    answer = watching(shop, drops_of)
    [drop] = [
        each for each in answer["drops"] if (each["scope"], each["step"]) == ("live:L1", "purchase_per_view")
    ]
    assert drop["causes"][0]["cause"] == "product p2"

"""/metrics over a real Redis: bounded series, `other`, one reading a second, or ahead."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from streams import ranking, read_ahead
from streams.exporter import Exporter
from streams.local.redis import RedisServer
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.rooms import Heartbeat, Room
from streams.samples import Samples
from streams.scopes import OTHER, UNATTRIBUTED
from streams.store import connect
from streams.web.routes import EXPORTER, PROMETHEUS_HEADER
from tests.redis_kit import NOON_MS, Shop, before_each_read

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _scopes(text: bytes, name: str, kind: str, window: str) -> dict[str, float]:
    return {
        sample.labels["scope"]: sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if (sample.name, sample.labels.get("scope_kind"), sample.labels.get("window")) == (name, kind, window)
    }


def _scrape(shop: Shop, top_k: int = 2, **changed: Any) -> bytes:
    async def ask(model: ReadModel) -> bytes:
        return await Exporter(model, Ranking(model.store), top_k).render()

    return shop.ask(ask, **changed)


def test_only_the_largest_values_are_named(shop: Shop) -> None:
    """The first K by GMV of 30 minutes have series, in each window the same; all the rest is `other`."""
    for number, gmv in enumerate([10, 40, 20, 30]):
        shop.book(NOON_MS - 20 * MINUTE_MS, "live", f"L{number}", p=number % 2, gmv_paid__USD=gmv)
        shop.book(NOON_MS - MINUTE_MS, "live", f"L{number}", p=number % 2, gmv_paid__USD=1)
    text = _scrape(shop)
    assert _scopes(text, "shop_pulse_gmv_paid_minor", "live", "30m") == {"L1": 41, "L3": 31, OTHER: 32}
    assert _scopes(text, "shop_pulse_gmv_paid_minor", "live", "5m") == {"L1": 1, "L3": 1, OTHER: 2}


def test_a_value_named_other_is_part_of_the_rest(shop: Shop) -> None:
    """A client that calls its live "other" cannot double a series: Prometheus would drop the whole scrape."""
    shop.book(NOON_MS - 1, "live", OTHER, gmv_paid__USD=100)
    shop.book(NOON_MS - 1, "live", "L1", gmv_paid__USD=1)
    assert _scopes(_scrape(shop), "shop_pulse_gmv_paid_minor", "live", "5m") == {"L1": 1, OTHER: 100}


def test_what_belongs_to_no_live_is_told_as_that(shop: Shop) -> None:
    """It takes no place of a live and is no part of the rest; it has sales, and nobody who watches."""
    shop.book(NOON_MS - 1, "live", UNATTRIBUTED, gmv_paid__USD=100, orders__USD=4)
    for live, gmv in (("L1", 9), ("L2", 8), ("L3", 7)):
        shop.book(NOON_MS - 1, "live", live, gmv_paid__USD=gmv)
    text = _scrape(shop)
    told = {"L1": 9, "L2": 8, UNATTRIBUTED: 100, OTHER: 7}
    assert _scopes(text, "shop_pulse_gmv_paid_minor", "live", "5m") == told
    assert UNATTRIBUTED not in _scopes(text, "shop_pulse_users_view", "live", "5m")


def test_a_flood_of_ids_adds_no_series(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of values that a client made up are one series, what is remembered of them is bounded; the
    largest values keep their names, and the cap is said."""
    key = f"{shop.prefix}:{{0}}:cells:product"
    shop.book(NOON_MS - MINUTE_MS, "product", "p1", gmv_paid__USD=5, events__product_view=1)
    shop.book(NOON_MS - MINUTE_MS, "product", "views", capped=7)
    for size in ("10s", "1m"):
        flood: dict[Any, Any] = {f"events.product_view|x{number}": 1 for number in range(3_000)}
        shop.client.hset(f"{key}:{size}:{NOON_MS - MINUTE_MS}", mapping=flood)
    monkeypatch.setattr(ranking, "VALUES_REMEMBERED", 10)
    text = _scrape(shop)
    assert _scopes(text, "shop_pulse_gmv_paid_minor", "product", "5m") == {"p1": 5, OTHER: 0}
    labels = {
        sample.labels["scope"]
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.labels.get("scope_kind") == "product" and "scope" in sample.labels
    }
    assert labels == {"p1", OTHER}
    assert b'capped{scope_kind="product",window="5m"} 1.0' in text
    assert b'capped{scope_kind="live",window="5m"} 0.0' in text


def test_people_are_counted_for_few_scopes(shop: Shop) -> None:
    """Users of the whole shop, of platforms and of the largest lives; viewers now of these lives."""
    for kind, value in (("all", ""), ("platform", "tiktok"), ("live", "L1"), ("product", "p1")):
        amounts = {"gmv_paid__USD": 10, "attribution.gmv_own__USD": 8, "orders__USD": 1, "sessions__view": 3}
        shop.book(NOON_MS - 1, kind, value, **amounts)
        shop.users(NOON_MS - 1, "purchase", kind, value, "u1", "u2")
    shop.record(0, "rooms", "L1", Room(20_000, heartbeats=[Heartbeat(NOON_MS - 1, 1, 42)]))
    text = _scrape(shop)
    assert _scopes(text, "shop_pulse_users_purchase", "all", "5m") == {"": 2}
    assert _scopes(text, "shop_pulse_users_purchase", "platform", "30m") == {"tiktok": 2}
    assert _scopes(text, "shop_pulse_users_purchase", "live", "5m") == {"L1": 2}
    assert _scopes(text, "shop_pulse_users_purchase", "product", "5m") == {}
    assert _scopes(text, "shop_pulse_gmv_per_buyer_minor", "platform", "5m") == {"tiktok": 5}
    assert _scopes(text, "shop_pulse_gmv_own_per_buyer_minor", "live", "5m") == {"L1": 4}
    assert _scopes(text, "shop_pulse_sessions_view", "live", "5m") == {"L1": 3, OTHER: 0}
    assert b'viewers_now{scope="L1",scope_kind="live"} 42.0' in text


def test_closed_lists_are_exported_whole(shop: Shop) -> None:
    """Platforms and surfaces come from the contract's lists: each has its series.
    With K = 0 no id of a client is named."""
    for platform in ("tiktok", "douyin", "other"):
        shop.book(NOON_MS - 1, "platform", platform, items=2)
    shop.book(NOON_MS - 1, "all", items=6)
    shop.book(NOON_MS - 1, "live", "L1", items=6)
    text = _scrape(shop, top_k=0)
    assert _scopes(text, "shop_pulse_items", "live", "5m") == {OTHER: 6}
    expected = {"tiktok": 2, "douyin": 2, "other": 2}
    assert _scopes(text, "shop_pulse_items", "platform", "5m") == expected
    assert _scopes(text, "shop_pulse_items", "all", "30m") == {"": 6}


def test_a_changed_pane_is_walked_again_and_others_are_not(shop: Shop) -> None:
    """The ranking follows what is written, walks only where the kind changed, and forgets after a rollback,
    also after one that only the owner noticed, who loaded the partition again."""

    async def ask(model: ReadModel) -> list[list[str]]:
        walked: list[str] = []
        orders: list[list[str]] = []
        plain = model.store.walk
        of_lives = Ranking(model.store)

        def walk(p: int, kind: str, pane: object) -> object:
            walked.append(f"{p} {pane}")
            return plain(p, kind, pane)  # type: ignore[arg-type]

        async def order() -> list[str]:
            walked.clear()
            _, asked = await model.over("30m")
            return (await of_lives.tally("live", asked.panes)).order(9)

        model.store.walk = walk  # type: ignore[assignment, method-assign]
        shop.book(NOON_MS - 20 * MINUTE_MS, "live", "L1", gmv_paid__USD=5)
        shop.book(NOON_MS - 10 * MINUTE_MS, "live", "L2", p=1, gmv_paid__USD=4)
        orders.append(await order())
        assert len(walked) == len(set(walked)) == 2 * 30
        orders.append(await order())
        assert walked == []
        shop.book(NOON_MS - 10 * MINUTE_MS, "live", "L2", p=1, gmv_paid__USD=4)
        shop.book(NOON_MS - 10 * MINUTE_MS, "product", "P", gmv_paid__USD=4)
        orders.append(await order())
        assert len(walked) == 1
        shop.meta(1, seq=0)
        orders.append(await order())
        assert len(walked) == 30
        shop.meta(0, seq=99, takeovers=2)
        orders.append(await order())
        assert len(walked) == 30
        orders.append(await order())
        assert walked == []
        return orders

    assert shop.ask(ask) == [["L1", "L2"], ["L1", "L2"], *[["L2", "L1"]] * 4]


def test_two_scrapes_within_a_second_cost_one_reading(shop: Shop) -> None:
    """Several Prometheus servers, or an impatient one, do not multiply the load on Redis."""

    async def ask(model: ReadModel) -> tuple[bytes, bytes]:
        exporter = Exporter(model, Ranking(model.store), 2)
        first = await exporter.render()
        shop.book(NOON_MS - 1, "all", items=1)
        return first, await exporter.render()

    first, second = shop.ask(ask)
    assert first == second


@pytest.mark.parametrize("headers", [{}, {PROMETHEUS_HEADER: "5"}])
def test_who_scrapes_regularly_is_read_for_ahead(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """After the third scrape of a Prometheus a reading begins before it asks; others are not expected."""
    monkeypatch.setattr(read_ahead, "GOOD_S", 0.0)
    monkeypatch.setattr(read_ahead, "PACE_MIN_S", 0.0)

    async def run() -> int:
        redis = connect(shop.url)
        app = shop.app(redis)
        readings = 0
        ahead = asyncio.Event()

        async def read() -> Iterable[Samples]:
            nonlocal readings
            readings += 1
            if readings == 4:
                ahead.set()
            return ()

        app[EXPORTER].add_reading(read)
        async with TestClient(TestServer(app)) as client:
            for _ in range(3):
                assert (await client.get("/metrics", headers=headers)).status == 200
            with suppress(TimeoutError):
                async with asyncio.timeout(30.0 if headers else 0.5):
                    await ahead.wait()
        await redis.aclose()
        return readings

    assert asyncio.run(run()) == (4 if headers else 3)


def test_a_scrape_goes_before_pages(shop: Shop) -> None:
    """Pages wait while it reads, and only then."""

    async def ask(model: ReadModel) -> tuple[set[bool], bool]:
        exporter = Exporter(model, Ranking(model.store), 2)
        seen: set[bool] = set()
        before_each_read(model, lambda _: seen.add(exporter.pause.is_held))
        await exporter.render()
        return seen, exporter.pause.is_held

    assert shop.ask(ask) == ({True}, False)


def test_the_benchs_figures_can_be_scraped(shop: Shop) -> None:
    """A worker that keeps minutes of lives only has no window of 10 s borders: that window is left out."""
    shop.book(NOON_MS - MINUTE_MS, "live", "L1", gmv_paid__USD=3)
    text = _scrape(shop, figures="funnel-gmv")
    assert _scopes(text, "shop_pulse_gmv_paid_minor", "live", "30m") == {"L1": 3, OTHER: 0}
    assert b"redis_up 1" in text


def test_a_redis_without_figures_is_up(redis_server: RedisServer) -> None:
    """Nothing was lost with it that Redis could be blamed for: it answers, and no figure is told."""
    text = _scrape(Shop(redis_server.url))
    assert b"shop_pulse_redis_up 1.0" in text
    assert b"shop_pulse_gmv_paid_minor{" not in text and b"shop_pulse_as_of_timestamp_seconds{" not in text


def test_without_redis_a_scrape_says_so(new_redis: Callable[..., RedisServer]) -> None:
    """The scrape itself succeeds: Prometheus can tell which of the two is down."""
    server = new_redis()
    shop = Shop(server.url).healthy(NOON_MS)
    server.stop()

    def ask(model: ReadModel) -> Awaitable[bytes]:
        return Exporter(model, Ranking(model.store), 2).render()

    text = shop.ask(ask)
    assert b"shop_pulse_redis_up 0" in text
    assert b"gmv" not in text


def test_a_day_is_told_of_the_shop_and_its_platforms(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last 24 hours have no series of lives, and are read anew only once a minute."""
    shop.book(NOON_MS - 10 * HOUR_MS, "all", "", gmv_paid__USD=7)
    shop.book(NOON_MS - 10 * HOUR_MS, "platform", "tiktok", gmv_paid__USD=7)
    shop.book(NOON_MS - 10 * HOUR_MS, "live", "L1", gmv_paid__USD=7)
    monkeypatch.setattr(read_ahead, "GOOD_S", 0.0)

    async def ask(model: ReadModel) -> list[bytes]:
        exporter = Exporter(model, Ranking(model.store), 2)
        first = await exporter.render()
        shop.book(NOON_MS - 10 * HOUR_MS, "all", "", gmv_paid__USD=1)
        return [first, await exporter.render()]

    for text in shop.ask(ask):
        assert _scopes(text, "shop_pulse_gmv_paid_minor", "all", "24h") == {"": 7}
        assert _scopes(text, "shop_pulse_gmv_paid_minor", "platform", "24h") == {"tiktok": 7}
        assert _scopes(text, "shop_pulse_gmv_paid_minor", "live", "24h") == {}


def test_the_most_used_apps_tell_their_users_of_whole_days(shop: Shop) -> None:
    """Of the first K apps by activity in 30 days: users of the last day that is over, and of the month."""
    for days_ago, users in ((1, ("u1",)), (2, ("u1", "u2")), (31, ("u3",))):
        for app, events in (("resso", 9), ("plus", 5), ("seldom", 1)):
            shop.book(NOON_MS - days_ago * DAY_MS, "app", app, events__active=events)
            shop.users(NOON_MS - days_ago * DAY_MS, "active", "app", app, *users)
    shop.book(NOON_MS - 1, "all", "", items=1)
    text = _scrape(shop)
    assert _scopes(text, "shop_pulse_active_users_day", "app", "24h") == {"resso": 1, "plus": 1}
    assert _scopes(text, "shop_pulse_active_users_month", "app", "24h") == {"resso": 2, "plus": 2}
    assert _scopes(text, "shop_pulse_active_users_month", "app", "5m") == {}


def test_the_best_selling_of_the_day_tell_whom_they_reach(shop: Shop) -> None:
    """The first K brands and merchants by GMV of 24 hours: reach, taps, sales; the others are one series."""
    for kind in ("brand", "merchant"):
        for of, gmv in (("b1", 30), ("b2", 20), ("b3", 10)):
            shop.book(NOON_MS - 10 * HOUR_MS, kind, of, gmv_paid__USD=gmv, events__tag_tap=2)
            shop.users(NOON_MS - 10 * HOUR_MS, "reach", kind, of, "u1", "u2", "u3")
    shop.book(NOON_MS - 1, "all", "", items=1)
    text = _scrape(shop)
    for kind in ("brand", "merchant"):
        assert _scopes(text, "shop_pulse_gmv_paid_minor", kind, "24h") == {"b1": 30, "b2": 20, OTHER: 10}
        assert _scopes(text, "shop_pulse_events_tag_tap", kind, "24h") == {"b1": 2, "b2": 2, OTHER: 2}
        assert _scopes(text, "shop_pulse_reach_users", kind, "24h") == {"b1": 3, "b2": 3}
        assert _scopes(text, "shop_pulse_gmv_paid_minor", kind, "30m") == {}
        assert _scopes(text, "shop_pulse_cart_adds_per_tag_tap", kind, "24h") == {}


def test_what_takes_days_has_no_gauge(shop: Shop) -> None:
    """A series that is always 0 would say that nothing ever becomes final."""
    shop.book(NOON_MS - 1, "all", "", commission__USD=7, claw_backs__USD=3)
    text = _scrape(shop)
    assert _scopes(text, "shop_pulse_commission_estimated_minor", "all", "5m") == {"": 7}
    assert _scopes(text, "shop_pulse_commission_claw_backs_minor", "all", "5m") == {"": 3}
    assert not re.findall(rb"commission_(?:final|clawed_back)_minor|past_30_days|returns_", text)

"""Redirection on a real Redis: the published table at a thousandth, arms, the stop signal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from streams.local.redis import RedisServer
from streams.products import ProductRecord
from streams.read_model import ReadModel
from streams.redirect_gauges import REFRESH_MS, RedirectGauges
from streams.redirection import read_rule
from streams.redirects import RuleNames, RuleRecord
from streams.scopes import app_arm_value, pair_value
from streams.store import connect
from tests.redis_kit import NOON_MS, Shop
from tests.scenario_kit import DAY, HOUR

FIRST_DAY = NOON_MS - NOON_MS % DAY - 40 * DAY
TODAY = FIRST_DAY + 40 * DAY


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon, forty days after a rule's first redirect."""
    shop = Shop(redis_server.url).healthy(NOON_MS - 10_000)
    _rule(shop, 0, FIRST_DAY + 5 * HOUR, to_app="shop", to_product_id="p1", creator_id="c1")
    _rule(shop, 1, FIRST_DAY + 4 * HOUR, from_app="music")
    return shop


def _rule(shop: Shop, p: int, first_ms: int, **said: str) -> None:
    record = RuleRecord(-1, first_ms, [], {name: (first_ms, 7, value) for name, value in said.items()})
    shop.record(p, "rules", "r1", record)
    shop.record(p, "rulenames", "all", RuleNames(-1, ["r1"]))


def _told(shop: Shop, now_ms: int = NOON_MS) -> Any:
    return shop.ask(lambda model: read_rule(model, "r1"), now_ms)


def test_partitions_are_put_together(shop: Shop) -> None:
    """The earliest redirect of any partition is the first; users and assignments are added."""
    for p, name in enumerate("ab"):
        shop.users(FIRST_DAY + 12 * DAY, "active", "app", "shop", f"{name}1", f"{name}2", p=p)
        for arm in ("treated", "held_out"):
            shop.book(FIRST_DAY, "rule,arm", pair_value("r1", arm), p=p, assigned=10 + p)
    shop.users(FIRST_DAY + 12 * DAY, "active", "app,rule,arm", app_arm_value("shop", "r1", "treated"), "a1")
    told = _told(shop)
    assert told["first_redirect_ms"] == FIRST_DAY + 4 * HOUR
    assert (told["from_app"], told["to_app"]) == ("music", "shop")
    assert (told["pre_mau"], told["post_mau"], told["uplift_percent"]) == (0, 4, None)
    assert told["arms"]["treated"]["assigned"] == 21
    assert told["arms"]["treated"]["active_per_assigned"] == 1 / 21
    # Nobody of those who were held out is active: there is nothing to divide by.
    assert (told["uplift_against_held_out_percent"], told["interval_percent"]) == (None, None)


def test_products_of_a_rule_carry_title_and_price(shop: Shop) -> None:
    """Null while nobody listed them; each once, also where a rule leads back to the product it begins at."""
    unknown = {"product_id": "p1", "title": None, "unit_price_minor": None, "currency": None}
    assert _told(shop)["products"] == [unknown]
    _rule(shop, 0, FIRST_DAY, from_product_id="p1", to_product_id="p1")
    cup = ProductRecord(listed=(1, 1), title="Cup", unit_price_minor=990, currency="EUR")
    shop.record(1, "products", "p1", cup)
    named = {"product_id": "p1", "title": "Cup", "unit_price_minor": 990, "currency": "EUR"}
    assert _told(shop)["products"] == [named]


@pytest.mark.parametrize(("days", "to_come"), [(30, 1), (31, 0), (1, 30), (0, 31)])
def test_against_the_held_out_arm_only_from_day_30_on(shop: Shop, days: int, to_come: int) -> None:
    """Before thirty whole days have passed since the day of the first redirect, nothing is said of it."""
    for arm in ("treated", "held_out"):
        value = app_arm_value("shop", "r1", arm)
        shop.book(FIRST_DAY, "rule,arm", pair_value("r1", arm), assigned=10)
        shop.users(FIRST_DAY, "active", "app,rule,arm", value, "u1")
        shop.users(FIRST_DAY + DAY, "active", "app,rule,arm", value, "u1")
    until_ms = FIRST_DAY + days * DAY
    shop.healthy(until_ms)
    told = _told(shop, until_ms + HOUR)
    assert told["days_to_come"] == to_come
    assert (told["uplift_against_held_out_percent"] is None) is bool(to_come)
    assert (told["post_from_ms"], told["post_to_ms"]) == (until_ms - 30 * DAY, until_ms)


def test_what_is_not_read_yet_is_not_told(shop: Shop) -> None:
    """Days are complete by the slowest topic's watermark; where one is unknown, nothing is said of after."""
    shop.meta(1, wm__engagement=TODAY - 1)
    assert _told(shop)["post_to_ms"] == TODAY - DAY
    shop.forget_meta(1, "wm:engagement")
    told = _told(shop)
    assert [told[name] for name in ("as_of_ms", "post_mau", "uplift_percent", "days_to_come")] == [None] * 4
    assert (told["pre_mau"], told["stop"]) == (0, False)


def test_what_was_before_is_frozen_and_told_as_long_as_it_is_kept(shop: Shop) -> None:
    """The month before the first redirect does not move on; 400 days after it is gone, and null."""
    shop.users(FIRST_DAY - DAY, "active", "app", "shop", "u1", "u2")
    assert _told(shop)["pre_mau"] == 2
    later_ms = FIRST_DAY + 371 * DAY
    for now_ms, pre in ((later_ms - DAY, 2), (later_ms, None)):
        shop.healthy(now_ms)
        told = _told(shop, now_ms)
        assert (told["pre_mau"], told["uplift_percent"] is None) == (pre, pre is None)


def test_only_assignments_that_may_hold_are_divided_by(shop: Shop) -> None:
    """Of an old rule those assigned in the 430 days up to the end of the last month: 30 and 400."""
    _rule(shop, 0, FIRST_DAY - 600 * DAY, to_app="shop")
    for day, users in ((-431, 1), (-430, 10), (-1, 100), (0, 1_000)):
        shop.book(TODAY + day * DAY, "rule,arm", pair_value("r1", "treated"), assigned=users)
    told = _told(shop)
    assert told["arms"]["treated"]["assigned"] == 110
    assert (told["pre_mau"], told["pre_days_with_activity"]) == (None, None)


def test_a_met_cap_leaves_no_uplift(shop: Shop) -> None:
    """Where users of apps are counted under `other`, before and after can't be compared."""
    for day in (-3, 20):
        shop.users(FIRST_DAY + day * DAY, "active", "app", "shop", "u1")
    assert _told(shop)["uplift_percent"] == 0
    shop.book(FIRST_DAY - 3 * DAY, "app", "redirects", capped=1)
    told = _told(shop)
    assert (told["capped"], told["uplift_percent"], told["pre_mau"]) == (True, None, 1)


def test_the_stop_signal_says_what_is_worse(shop: Shop) -> None:
    """Refunds and ratings of the product, earnings of the creator: each against the thirty days before."""
    for day in range(-30, 40):
        is_since = day > 0
        at = FIRST_DAY + day * DAY
        shop.book(at, "product", "p1", orders__USD=20, gmv_paid__USD=2_000)
        shop.book(at, "product", "p1", refunds_of_purchases__USD=500 if is_since else 100)
        shop.book(at, "product", "p1", **{"reviews__2" if is_since else "reviews__5": 2, "reviews__4": 1})
        shop.book(at, "creator", "c1", commission__USD=50 if is_since else 100 + day % 5)
        shop.book(at, "creator", "c1", orders__USD=20, gmv_paid__USD=2_000)
    told = _told(shop)
    assert told["stop"] is True
    assert told["stop_reasons"] == [
        "refunds_per_gmv USD of product:p1",
        "mean_rating of product:p1",
        "commission_minor_per_day USD of creator:c1",
    ]
    figures = {(each["scope"], each["figure"]): each for each in told["guardrails"]}
    refunds = figures["product:p1", "refunds_per_gmv USD"]
    assert (refunds["before"], refunds["since"], refunds["verdict"]) == (0.05, 0.25, "worse")
    assert figures["creator:c1", "refunds_per_gmv USD"]["verdict"] == "not_worse"
    assert figures["creator:c1", "mean_rating"]["verdict"] == "not_enough"
    assert told["guardrails_before_from_ms"] == FIRST_DAY - 30 * DAY
    # The day of the first redirect is on neither side; of those since, the last thirty.
    assert (told["guardrails_since_from_ms"], told["guardrails_since_to_ms"]) == (TODAY - 30 * DAY, TODAY)


def _get(shop: Shop, path: str, **changed: Any) -> tuple[int, Any]:
    """Status and JSON of one request to the service."""

    async def run() -> tuple[int, Any]:
        client = connect(shop.url)
        service = TestClient[Any, Any](TestServer(shop.app(client, **changed)))
        async with service, service.get(URL(path, encoded=True)) as response:
            answer = response.status, await response.json()
        await client.aclose()
        return answer

    return asyncio.run(run())


def test_gauges_tell_of_the_newest_rules(shop: Shop) -> None:
    """Of the rules that began last what is known of each; read again once a minute at most."""
    shop.record(0, "rules", "old", RuleRecord(-1, FIRST_DAY - DAY, [], {}))
    shop.record(0, "rulenames", "all", RuleNames(-1, ["old"]))
    for day in (-3, 20):
        shop.users(FIRST_DAY + day * DAY, "active", "app", "shop", "u1", *(["u2"] if day > 0 else []))
    for arm, users in (("treated", "abcdef"), ("held_out", "abc")):
        shop.book(FIRST_DAY, "rule,arm", pair_value("r1", arm), assigned=10)
        value = app_arm_value("shop", "r1", arm)
        shop.users(FIRST_DAY + 20 * DAY, "active", "app,rule,arm", value, *users)
    clock = [NOON_MS]

    async def read(model: ReadModel) -> list[dict[str, Any]]:
        model.clock = lambda: clock[0]
        gauges = RedirectGauges(model, 1)
        found = [{each.name: each.samples for each in await gauges.families()}]
        shop.users(FIRST_DAY + 20 * DAY, "active", "app", "shop", "u3")
        for clock[0] in (NOON_MS + REFRESH_MS - 1, NOON_MS + REFRESH_MS):
            found.append({each.name: each.samples for each in await gauges.families()})
        return found

    first, same, again = shop.ask(read)
    told = _told(shop)
    assert first == same
    assert (first["redirection_post_mau"], again["redirection_post_mau"]) == ({("r1",): 2}, {("r1",): 3})
    assert first["redirection_uplift_percent"] == {("r1",): 100}
    assert first["redirection_uplift_against_held_out_percent"] == {("r1",): pytest.approx(100)}
    low, high = told["interval_percent"]
    assert first["redirection_uplift_against_held_out_low_percent"] == {("r1",): low}
    assert first["redirection_uplift_against_held_out_high_percent"] == {("r1",): high}
    assert (first["redirection_stop"], first["redirection_sample_ratio_is_off"]) == (
        {("r1",): 0},
        {("r1",): 0},
    )

    async def all_of_them(model: ReadModel) -> Any:
        return {each.name: each.samples for each in await RedirectGauges(model, 9).families()}

    every = shop.ask(all_of_them)
    assert every["redirection_stop"].keys() == {("r1",), ("old",)}
    # Of a rule without a target no user is counted: no sample, never a zero.
    assert every["redirection_post_mau"].keys() == {("r1",)}


def test_addresses(shop: Shop) -> None:
    """Rules, a rule and slow sellers over HTTP; what can't be answered is one line; ids are decoded once."""
    shop.record(0, "rulenames", "all", RuleNames(-1, ["r1", "a/b%"]))
    shop.record(0, "rules", "a/b%", RuleRecord(-1, FIRST_DAY, [], {}))
    assert _get(shop, "/api/v1/redirections") == (200, {"rules": ["a/b%", "r1"]})
    assert _get(shop, "/api/v1/redirections/r1") == (200, _told(shop))
    status, named = _get(shop, "/api/v1/redirections/a%2Fb%25")
    assert (status, named["rule_id"], named["to_app"], named["pre_mau"]) == (200, "a/b%", None, None)
    status, unknown = _get(shop, "/api/v1/redirections/r9")
    assert status == 404 and "no redirect told of this rule" in unknown["error"]
    for platform in ("", "?platform=douyin"):
        status, slow = _get(shop, f"/api/v1/products/underperforming{platform}")
        assert (status, slow["products"], slow["to_ms"]) == (200, [], TODAY)
    for path, reason in (
        ("/api/v1/redirections?x=1", "unknown parameter 'x'"),
        ("/api/v1/redirections/r1?x=1", "unknown parameter 'x'"),
        ("/api/v1/products/underperforming?platform=nowhere", "unknown platform"),
    ):
        status, wrong = _get(shop, path)
        assert status == 400 and reason in wrong["error"]


def test_app_scopes_can_be_asked_everywhere(shop: Shop) -> None:
    """Figures, their series and their comparison: what an app does not have is null."""
    shop.book(NOON_MS - 1, "app", "shop", events__active=3)
    shop.users(TODAY - DAY, "active", "app", "shop", "u1", "u2")
    shop.users(TODAY, "active", "app", "shop", "u3")
    status, answer = _get(shop, "/api/v1/kpis?scope=app:shop&window=24h")
    assert (status, answer["active_users"]) == (200, {"day": 2, "month": 2})
    assert answer["users_standard_error"] == 0.0081
    assert (answer["events_by_type"], answer["orders"]) == ({"active": 3}, None)
    assert _get(shop, "/api/v1/series?scope=app:shop&window=30m")[0] == 200
    assert _get(shop, "/api/v1/comparison?scope=app:shop&window=5m")[0] == 200
    status, largest = _get(shop, "/api/v1/scopes?kind=app&window=5m")
    assert (status, [(each["scope"], each["views"]) for each in largest["scopes"]]) == (
        200,
        [("app:shop", 3)],
    )

"""verify.answers: what is expected of an answer, scope by scope."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenario_kit import NOON, Sent, event, in_room, line, payment, purchase, step, view
from tests.test_verify_api import ALL, ANSWER, scenario, told, totals_of
from verify.answers import quantile_s
from verify.compare import scope_text
from verify.model import Scope

CAPPED = scenario(
    view("e1", NOON, live_id="L1"),
    view("e2", NOON, live_id="L2", session_id="s2"),
    purchase("o1", NOON, line("p1", 1, 900), live_id="L1"),
    payment("e3", "o1", NOON, "authorised"),
    scope_values_max=1,
)


def test_capped_answers_have_no_ratios() -> None:
    """With a cap nothing is said per view, session or user; the average order value stays."""
    ratios = {f"ratios.{name}": "None" for name in ANSWER["ratios"]}
    wanted = told({"users": {"purchase": 1, "repeat_purchase": 0}}, ("live", "L1"), CAPPED, "")
    assert {name: wanted[name] for name in ratios} == ratios
    assert (wanted["capped"], wanted["money.USD.aov_minor"]) == ("True", "900")
    assert wanted["money.USD.gmv_own_per_buyer_minor"] == wanted["time_to_convert.p50_seconds"] == "None"
    assert wanted["money.USD.gmv_per_1000_view_events_minor"] == "None"
    assert wanted["sessions.view"] == "1"
    assert told({}, ALL, CAPPED, "capped", "payments.success", "ratios.tag_taps_per_view_events") == {
        "capped": "False",
        "payments.success_rate": "1.0",
        "payments.success_rate_per_order": "1.0",
        "ratios.tag_taps_per_view_events": "0.0",
    }


def test_capped_values_are_no_scopes() -> None:
    """The topics that `capped` is kept by are not asked for as lives; `other` is."""
    assert [value for kind, value in totals_of(CAPPED).scopes(None) if kind == "live"] == ["L1", "other"]


ROOM = scenario(
    in_room("live_heartbeat", "e1", NOON, concurrent_viewers=10),
    in_room("live_heartbeat", "e2", NOON + 30_000, concurrent_viewers=31),
    in_room("product_pin", "e3", NOON + 1, product_id="p1"),
    in_room("product_pin", "e4", NOON + 2, product_id="p2"),
    in_room("product_unpin", "e5", NOON + 3, product_id="p2"),
    in_room("product_pin", "e6", NOON + 15_000, product_id="p3", ts=NOON + 31_000),
)


def test_viewers() -> None:
    """Peak, average and watched seconds by heartbeats; viewers now only while the last one is fresh."""
    right = {"peak": 31, "average": 24.0, "watch_seconds": 2_160, "now": 31}
    live: Scope = ("live", "L1")
    assert told({"viewers": right}, live, ROOM, "viewers", now_ms=NOON + 31_000) == {}
    assert told({"viewers": right}, live, ROOM, "viewers", now_ms=NOON + 90_000) == {}
    assert told({"viewers": right | {"now": None}}, live, ROOM, "viewers", now_ms=NOON + 90_000) == {}
    late = told({"viewers": right}, live, ROOM, "viewers", now_ms=NOON + 96_000)
    assert late == {"viewers.now": "['None']"}
    nobody = {"viewers": {"now": None, "peak": None, "average": None, "watch_seconds": None}}
    assert told(nobody, ("live", "L2"), ROOM, "viewers") == {}


def test_pinned() -> None:
    """What is pinned, each since the border of the finest size kept there; nothing else is."""
    unlisted = {"title": None, "unit_price_minor": None, "currency": None}
    right: list[dict[str, Any]] = [
        {"product_id": "p1", "since_ms": NOON, "title": "Lamp", "unit_price_minor": 1, "currency": "USD"},
        {"product_id": "p3", "since_ms": NOON + 10_000, **unlisted},
    ]
    listed = scenario(*ROOM.records, Sent(topic="catalogue", value=LISTED, at=NOON))
    assert told({"pinned": right}, ("live", "L1"), listed, "pinned") == {}
    dear = [{**right[0], "unit_price_minor": 2}, right[1]]
    assert told({"pinned": dear}, ("live", "L1"), listed, "pinned") == {"pinned.p1.unit_price_minor": "1"}
    wrong = [{"product_id": "p1", "since_ms": NOON + 1}, {"product_id": "p2", "since_ms": NOON}]
    since = {f"pinned.p{number}.since_ms" for number in (1, 2, 3)}
    found = told({"pinned": wrong}, ("live", "L1"), ROOM, "pinned")
    assert {name: found[name] for name in since} == {
        "pinned.p1.since_ms": str(NOON),
        "pinned.p2.since_ms": "absent",
        "pinned.p3.since_ms": str(NOON + 10_000),
    }


def stock_set(event_id: str, at: int, units: int, **more: Any) -> Sent:
    """Stock of p1."""
    value = event("stock_set", event_id, at, product_id="p1", units=units, **more)
    return Sent(topic="catalogue", value=value, at=at)


LISTED = event(
    "product_listed", "e9", NOON, product_id="p1", title="Lamp", unit_price_minor=1, currency="USD"
)


def test_stock() -> None:
    """Units set last less those sold since the border before; of a SKU its own, without SKU the product's."""
    shop = scenario(
        Sent(topic="catalogue", value=LISTED, at=NOON),
        stock_set("e1", NOON, 99, sku_id="s1"),
        purchase("o1", NOON + 9_999, line("p1", 7, 1, sku_id="s1")),
        stock_set("e2", NOON + 15_000, 20, sku_id="s1"),
        stock_set("e3", NOON + 25_000, 30, sku_id="s2"),
        purchase("o2", NOON + 10_000, line("p1", 2, 1, sku_id="s1"), line("p1x", 1, 1)),
        purchase("o3", NOON + 26_000, line("p1", 31, 1, sku_id="s2"), line("p1", 5, 1)),
    )
    right = {"units": 17, "oversold_units": 1, "since_ms": NOON + 10_000, "state": "oversold"}
    card = {"title": "Lamp", "unit_price_minor": 1, "currency": "USD"}
    answer = card | {"stock": right | {"minutes_left": None}}
    assert told(answer, ("product", "p1"), shop, "stock", *card) == {}
    assert told(answer | {"currency": "EUR"}, ("product", "p1"), shop, *card) == {"currency": "USD"}
    assert told({}, ("product", "p1x"), shop, "stock", "title") == {"stock": "None"}


@pytest.mark.parametrize(
    ("units", "minutes_left", "state"),
    [(12, None, "low"), (13, None, "in_stock"), (13, 30.0, "low"), (3, 31.0, "in_stock"), (2, None, "out")],
)
def test_stock_states(units: int, minutes_left: float | None, state: str) -> None:
    """Low is what lasts 30 minutes or, without a rate, up to ten units; two were sold, without SKU."""
    shop = scenario(stock_set("e1", NOON, units), purchase("o1", NOON, line("p1", 2, 1, sku_id="s1")))
    answer = {"stock": {"minutes_left": minutes_left}}
    assert told(answer, ("product", "p1"), shop, "stock.state") == {"stock.state": state}


@pytest.mark.parametrize(
    ("orders", "ago", "minutes_left"),
    [(5, 0, [5.5]), (4, 0, [None]), (5, 10 * 60_000, [16.5]), (0, 0, [None])],
)
def test_minutes_left(orders: int, ago: int, minutes_left: list[float | None]) -> None:
    """Eleven units, two sold an order: over the shortest of 5, 15, 30 min that has five orders."""
    sold = [purchase(f"o{n}", NOON - ago - 60_000, line("p1", 2, 1)) for n in range(orders)]
    shop = scenario(stock_set("e1", NOON - ago - 120_000, 11 + 2 * orders), *sold)
    answer = {"stock": {"minutes_left": 77.0}}
    wanted = told(answer, ("product", "p1"), shop, "stock.minutes_left")
    assert wanted == {"stock.minutes_left": str(list(map(str, minutes_left)))}


def test_pairs_as_they_are_asked_for() -> None:
    """A pair is written kind:value,kind:value; a value that looks like the half of one is not asked for."""
    totals = totals_of(
        scenario(
            view("e1", NOON, surface="live", live_id="L:1", product_id="p1"),
            view("e2", NOON, live_id="L,product:1"),
            view("e3", NOON, live_id="L:1", product_id="p,country:1"),
        )
    )
    texts = {scope_text(*scope) for scope in totals.scopes(None)}
    assert texts == {
        *("all", "platform:tiktok", "surface:live", "platform:tiktok,surface:live", "live:L:1"),
        *("live:L:1,product:p1", "product:p1"),
    }


@pytest.mark.parametrize(
    ("counts", "median", "ninetieth"),
    [({}, None, None), ({"5": 4}, 2.5, 4.5), ({"10": 1, "20": 1, "86400": 1}, 17.5, 73_440.0)],
)
def test_time_to_convert(counts: dict[str, int], median: float | None, ninetieth: float | None) -> None:
    """The rank is found among the buckets, and within its bucket by a straight line."""
    sums = {f"time_to_convert.{upper}": count for upper, count in counts.items()}
    assert quantile_s(sums, 50) == (None if median is None else pytest.approx(median))
    assert quantile_s(sums, 90) == (None if ninetieth is None else pytest.approx(ninetieth))


def test_sessions_of_an_answer() -> None:
    """Sessions, checkouts and the ratios over them."""
    shop = scenario(
        *(step("view", f"v{n}", NOON, session_id=f"s{n}") for n in range(4)),
        *(step("tag_tap", f"t{n}", NOON, session_id=f"s{n}") for n in range(3)),
        *(step("begin_checkout", f"c{n}", NOON, session_id=f"s{n}") for n in range(2)),
        purchase("o1", NOON + 8_000, line("p1", 1, 1), session_id="s0"),
    )
    wanted = told({}, ALL, shop, "sessions", "checkouts", "time", "ratios")
    assert {name.partition(".")[2]: figure for name, figure in wanted.items() if "sessions" in name} == {
        "view": "4", "tag_tap": "3", "add_to_cart": "2", "purchase": "1",
        "purchases_per_view_sessions": "0.25", "tag_taps_per_view_sessions": "0.75",
        "add_to_carts_per_tag_tap_sessions": str(2 / 3), "purchases_per_add_to_cart_sessions": "0.5",
        "cart_abandonment_per_add_to_cart_sessions": "0.5",
        "checkout_abandonment_per_begin_checkout_sessions": "1.0",
    }  # fmt: skip
    assert wanted["checkouts.begin_checkout"] == "2"
    assert wanted["time_to_convert.p50_seconds"] == "7.5"

"""The watch over four weeks of a shop in a real Redis: drops, causes, states, gauges, what is read when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from streams.answer import QuestionError
from streams.drops import causes_answer, drops_answer
from streams.local.redis import RedisServer
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.scopes import pair_value
from streams.watch import Watch
from streams.watch_figures import figures
from tests.redis_kit import NOON_MS, Shop
from tests.watch_kit import (
    END,
    HOUR_MS,
    MINUTE_MS,
    STEADY,
    Cells,
    Flagged,
    fill,
    funnel,
    merged,
    shop_of,
    times,
)


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _watched(
    shop: Shop, use: Callable[[Watch], Awaitable[Any]], flags: Flagged | None = None, **changed: Any
) -> Any:
    async def ask(model: ReadModel) -> Any:
        watch = Watch(model, Ranking(model.store), flags or Flagged())
        await watch.look()
        return await use(watch)

    return shop.ask(ask, **changed)


async def _drops(watch: Watch) -> Any:
    return drops_answer(watch.found)


async def _gauges(watch: Watch) -> dict[str, dict[tuple[str, ...], float]]:
    return {each.name: dict(each.samples) for each in figures(watch.found)}


def _with_payments(cells: Cells, *gateways: tuple[str, str, int, int, int]) -> Cells:
    """Platform, gateway, attempts, authorised, errors of a minute."""
    return merged(
        cells,
        *(
            {
                ("platform,gateway", pair_value(platform, gateway)): {
                    "pay.attempts": n,
                    "pay.authorised": k,
                    "pay.errors": errors,
                },
                ("all", ""): {"pay.attempts": n, "pay.authorised": k},
                ("platform", platform): {"pay.attempts": n, "pay.authorised": k},
            }
            for platform, gateway, n, k, errors in gateways
        ),
    )


def test_a_steady_shop_is_watched_and_nothing_falls(shop: Shop) -> None:
    """Every step of the shop and of its platforms is watched; a platform without traffic is not."""
    fill(shop, lambda _: STEADY, STEADY)
    answer = _watched(shop, _drops)
    assert answer["drops"] == []
    assert (answer["as_of_ms"], answer["horizon_ms"]) == (NOON_MS - 10_000, 15 * MINUTE_MS)
    states = {(each["scope"], each["step"]): each["state"] for each in answer["watched"]}
    assert {state for (scope, _), state in states.items() if scope in ("all", "platform:tiktok")} == {
        "watched"
    }
    assert states["platform:kuaishou", "purchase_per_view"] == "no_baseline"
    [whole] = [
        each for each in answer["watched"] if (each["scope"], each["step"]) == ("all", "purchase_per_view")
    ]
    assert whole.pop("expected_ratio") == pytest.approx(0.05)
    assert whole == {
        "scope": "all", "step": "purchase_per_view", "state": "watched", "window": "2m",
        "sessions": 360, "reached": 18,
    }  # fmt: skip


# adyen carries half of tiktok's payments and fails from FAILED_FROM on.
FAILED_FROM = END - 30
_GATEWAYS = (("tiktok", "stripe", 3, 2, 0), ("douyin", "stripe", 5, 4, 0))
PAID = times(_with_payments(STEADY, ("tiktok", "adyen", 3, 3, 0), *_GATEWAYS), 10)
_FEWER = {
    ("tiktok", "live"): funnel(60, 12, 4, 0),
    ("tiktok", "search"): funnel(60, 20, 8, 2),
    ("douyin", "search"): funnel(60, 20, 8, 4),
}
FAILING = times(_with_payments(shop_of(_FEWER), ("tiktok", "adyen", 3, 0, 3), *_GATEWAYS), 10)


def _outage(minute: int) -> Cells:
    return FAILING if minute >= FAILED_FROM else PAID


def test_a_gateway_that_fails_is_a_drop_with_its_cause(shop: Shop) -> None:
    """Three of five orders are lost: since when, how many, and the gateway of the platform as cause."""
    fill(shop, _outage, PAID)
    answer = _watched(shop, _drops)
    found = {(each["scope"], each["step"]): each for each in answer["drops"]}
    assert set(found) == {
        ("all", "purchase_per_add_to_cart"), ("all", "purchase_per_view"),
        ("platform:tiktok", "purchase_per_add_to_cart"), ("platform:tiktok", "purchase_per_view"),
        ("platform:tiktok,gateway:adyen", "authorised_per_attempt"),
    }  # fmt: skip
    drop = found["platform:tiktok", "purchase_per_view"]
    assert (drop["state"], drop["since_ms"]) == ("drop", FAILED_FROM * MINUTE_MS)
    assert drop["now_ratio"] == pytest.approx(2 / 120)
    assert drop["expected_ratio"] == pytest.approx(5 / 120)
    assert (drop["lost_orders"], drop["lost_orders_per_minute"]) == (900, 30)
    first = drop["causes"][0]
    assert (first["cause"], first["now_ratio"], first["expected_ratio"]) == ("gateway adyen on tiktok", 0, 1)
    assert first["share"] == pytest.approx(1)
    whole = found["all", "purchase_per_view"]
    assert [each["cause"] for each in whole["causes"]][:2] == ["gateway adyen on tiktok", "platform tiktok"]


def test_causes_are_told_when_asked(shop: Shop) -> None:
    """By scope and step, also where nothing fell: then of the last hour, without a cause."""
    fill(shop, _outage, PAID)

    async def ask(watch: Watch) -> list[Any]:
        asked = (
            ("all", "purchase_per_view"),
            ("all", "tag_tap_per_view"),
            ("platform:douyin", "purchase_per_view"),
        )
        return [causes_answer(*await watch.causes(*each)) for each in asked]

    fell, taps, douyin = _watched(shop, ask)
    assert (fell["scope"], fell["step"]) == ("all", "purchase_per_view")
    assert (fell["from_ms"], fell["to_ms"]) == (FAILED_FROM * MINUTE_MS, END * MINUTE_MS)
    names = [each["cause"] for each in fell["causes"]]
    assert names[:2] == ["gateway adyen on tiktok", "platform tiktok"]
    assert set(names[2:]) == {"surface live on tiktok", "surface search on tiktok"}
    assert (taps["to_ms"] - taps["from_ms"], taps["causes"]) == (HOUR_MS, [])
    assert douyin["causes"] == []


@pytest.mark.parametrize(
    ("scope", "step", "line"),
    [
        ("all", "views", "unknown step"),
        ("product:p1", "purchase_per_view", "not watched"),
        ("al", "x", "unknown"),
    ],
)
def test_causes_of_what_is_not_watched(shop: Shop, scope: str, step: str, line: str) -> None:
    """One line says what is watched."""
    with pytest.raises(QuestionError, match=line):
        _watched(shop, lambda watch: watch.causes(scope, step))


def test_products_and_app_versions_are_causes_by_their_events(shop: Shop) -> None:
    """Where no sessions are kept events are compared: a new app version whose carts no longer become orders,
    and a name that could be markup is made plain."""

    def events(version: str, product: str, carts: int, orders: int) -> Cells:
        done = {"events.add_to_cart": carts, "events.purchase": orders, "events.view": 10 * carts}
        return {("all", ""): done, ("app_version", version): done, ("product", product): done}

    old = merged(PAID, times(events("1.0", "p1", 4, 2), 10))
    new = merged(FAILING, times(events("1.0", "p1", 2, 1), 10), times(events("<2>", "p2", 2, 0), 10))
    fill(shop, lambda minute: new if minute >= FAILED_FROM else old, old)
    answer = _watched(shop, _drops)
    [drop] = [
        each
        for each in answer["drops"]
        if (each["scope"], each["step"]) == ("all", "purchase_per_add_to_cart")
    ]
    products = {each["cause"]: each.get("product_id") for each in drop["causes"]}
    assert products.items() >= {"app_version _2_": None, "product p2": "p2"}.items()


def test_a_fall_of_everything_blames_nobody(shop: Shop) -> None:
    """All platforms and surfaces lose half: the largest one is no cause."""
    half = {
        ("tiktok", "live"): funnel(600, 60, 20, 5),
        ("tiktok", "search"): funnel(600, 100, 40, 20),
        ("douyin", "search"): funnel(600, 100, 40, 20),
    }
    fill(
        shop, lambda minute: shop_of(half) if minute >= FAILED_FROM else times(STEADY, 10), times(STEADY, 10)
    )
    answer = _watched(shop, _drops)
    drops = {(each["scope"], each["step"]): each for each in answer["drops"]}
    assert {("all", "tag_tap_per_view"), ("platform:douyin", "tag_tap_per_view")} <= drops.keys()
    assert [each["cause"] for each in drops["all", "tag_tap_per_view"]["causes"]] == ["everywhere alike"]
    # What followed the taps is as usual: only their number fell, and with them the orders.
    assert drops["all", "tag_tap_per_view"]["lost_orders_per_minute"] == pytest.approx(45, rel=0.01)


def test_more_viewers_who_buy_less_are_no_drop(shop: Shop) -> None:
    """A live brings twenty times its viewers, whose ratio is as ever: the mix of surfaces is what changed."""
    crowd = {
        ("tiktok", "live"): funnel(12_000, 2_400, 800, 200),
        ("tiktok", "search"): funnel(600, 200, 80, 40),
        ("douyin", "search"): funnel(600, 200, 80, 40),
    }
    fill(
        shop, lambda minute: shop_of(crowd) if minute >= FAILED_FROM else times(STEADY, 10), times(STEADY, 10)
    )
    answer = _watched(shop, _drops)
    assert answer["drops"] == []
    [whole] = [
        each for each in answer["watched"] if (each["scope"], each["step"]) == ("all", "purchase_per_view")
    ]
    assert whole["expected_ratio"] == pytest.approx(280 / 13_200, rel=0.01)


def test_a_crowd_that_is_gone_is_no_part_of_a_drop(shop: Shop) -> None:
    """A live brought twenty times its viewers, who seldom buy; half an hour after it a gateway fails. The
    drop began then, and what it costs and why is told of the time since."""
    live = merged(PAID, shop_of({("tiktok", "live"): funnel(11_400, 2_280, 760, 190)}))
    fill(shop, lambda minute: live if END - 150 <= minute < END - 60 else _outage(minute), PAID)
    answer = _watched(shop, _drops)
    drops = {(each["scope"], each["step"]): each for each in answer["drops"]}
    for scope in ("all", "platform:tiktok"):
        drop = drops[scope, "purchase_per_view"]
        assert (drop["since_ms"], drop["lost_orders"]) == (FAILED_FROM * MINUTE_MS, 30 * 30)
        assert drop["causes"][0]["cause"] == "gateway adyen on tiktok"


def test_bots_dilute_and_are_told_apart(shop: Shop) -> None:
    """Views without a surface that do nothing more: the ratio falls, but as many buy as usual."""
    bots = merged(times(STEADY, 10), {("all", ""): funnel(3_000, 0, 0, 0)})
    fill(shop, lambda minute: bots if minute >= FAILED_FROM else times(STEADY, 10), times(STEADY, 10))
    answer = _watched(shop, _drops)
    drops = {(each["scope"], each["step"]): each["state"] for each in answer["drops"]}
    assert drops == {("all", "tag_tap_per_view"): "diluted", ("all", "purchase_per_view"): "diluted"}

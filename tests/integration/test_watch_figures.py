"""Gauges and addresses of the watch, over a real Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from streams import watch_scopes
from streams.answer import QuestionError
from streams.changes import Changes
from streams.cohorts import RUNGS_MIN
from streams.exporter import expose, gauge
from streams.kpis import FIGURE_SETS
from streams.local.redis import RedisServer
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.scopes import pair_value
from streams.store import connect
from streams.watch import Watch
from streams.watch_figures import figures
from streams.web import routes
from streams.web.app import build_app
from streams.web.watch_routes import get_drops
from tests.redis_kit import NOON_MS, Shop
from tests.watch_kit import (
    END,
    HOUR_MS,
    NOON,
    STEADY,
    Cells,
    Flagged,
    fill,
    funnel,
    merged,
    shop_of,
    times,
    write,
)

FAILED_FROM = END - 30
LARGE = times(STEADY, 10)
Gauges = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000, "EUR USD")


def _gauges(shop: Shop, flags: Flagged | None = None) -> Gauges:
    async def ask(model: ReadModel) -> Gauges:
        watch = Watch(model, Ranking(model.store), flags or Flagged())
        await watch.look()
        # What they become: no label is missing, no series stands twice.
        expose(None, FIGURE_SETS["all"], [gauge(*each) for each in figures(watch.found)])
        return {each.name: dict(each.samples) for each in figures(watch.found)}

    return shop.ask(ask)


def _sold(gmv: int, orders: int, refunds: int = 0, kind: str = "all", value: str = "") -> Cells:
    return {(kind, value): {"gmv_paid:USD": gmv, "orders:USD": orders, "refunds:USD": refunds}}


def test_cohorts_and_states(shop: Shop) -> None:
    """Each window with enough evidence, and each state of each step."""
    fill(shop, lambda _: LARGE, LARGE)
    gauges = _gauges(shop)
    step = ("platform", "tiktok", "purchase_per_view")
    assert gauges["cohort_size"][*step, "6m"] == 7_200
    assert gauges["cohort_reached"][*step, "360m"] == 360 * 50
    assert gauges["cohort_baseline_ratio"][*step, "36m"] == pytest.approx(5 / 120)
    assert gauges["cohort_usual_reached"][*step, "36m"] == pytest.approx(1_800)
    assert gauges["cohort_state"][*step, "watched"] == 1
    assert gauges["cohort_state"][*step, "not_current"] == 0
    quiet = ("platform", "youtube", "purchase_per_view")
    assert gauges["cohort_state"][*quiet, "no_baseline"] == 1
    assert (*quiet, "360m") not in gauges["cohort_size"]
    assert gauges["drop_since_timestamp_seconds"] == {}


def test_a_drop_in_numbers(shop: Shop) -> None:
    """Since when, orders and money lost a minute by what an order brings, and ranked causes."""
    less = {
        ("tiktok", "live"): funnel(600, 120, 40, 10),
        ("tiktok", "search"): funnel(600, 200, 80, 40),
        ("douyin", "search"): funnel(600, 200, 20, 10),
    }
    usual = merged(LARGE, _sold(9_000, 90), _sold(4_000, 40, kind="platform", value="douyin"))
    fill(shop, lambda minute: shop_of(less) if minute >= FAILED_FROM else usual, usual)
    gauges = _gauges(shop)
    step = ("platform", "douyin", "add_to_cart_per_tag_tap")
    assert gauges["drop_since_timestamp_seconds"][step] == FAILED_FROM * 60
    # 60 of 80 carts are missing a minute, of which half would have become orders.
    assert gauges["drop_lost_orders_per_minute"][step] == pytest.approx(30)
    assert gauges["drop_lost_orders"][step] == pytest.approx(900)
    assert gauges["drop_lost_minor_per_minute"][*step, "USD"] == pytest.approx(3_000)
    assert ("all", "", "add_to_cart_per_tag_tap", "1", "platform douyin") in gauges["drop_cause_share"]


def _pays(gateway: str, attempts: int, authorised: int, errors: int, pending: int) -> Cells:
    names = ("pay.attempts", "pay.authorised", "pay.errors", "pay.pending")
    amounts = dict(zip(names, (attempts, authorised, errors, pending), strict=True))
    return {("platform,gateway", pair_value("tiktok", gateway)): amounts}


def test_failing_gateways(shop: Shop) -> None:
    """Attempts of every window that ended two minutes ago; errors, time-outs and pending of these fail,
    declines do not. A gateway too young to have a past is held to all of them."""
    usual = merged(LARGE, _pays("adyen", 100, 80, 2, 2))
    now = merged(LARGE, _pays("adyen", 100, 40, 30, 20), _pays("new", 1, 1, 0, 0))
    fill(shop, lambda minute: now if minute >= NOON - 13 else usual, usual)
    gauges = _gauges(shop)
    attempts, failures = gauges["gateway_attempts"], gauges["gateway_technical_failures"]
    assert {labels[2] for labels in attempts} == {f"{length}m" for length in RUNGS_MIN}
    told = {labels: (n, failures[labels]) for labels, n in attempts.items() if labels[2] in ("8m", "20m")}
    assert told == {
        ("tiktok", "adyen", "8m"): (800, 400),
        ("tiktok", "adyen", "20m"): (2_000, 10 * 50 + 10 * 4),
        ("tiktok", "new", "8m"): (8, 0),
        ("tiktok", "new", "20m"): (10, 0),
    }
    ratio = gauges["gateway_baseline_ratio"]
    assert ratio["tiktok", "adyen", "8m"] == pytest.approx(0.04) == ratio["tiktok", "adyen", "360m"]
    assert ratio["tiktok", "new", "8m"] == pytest.approx(0.04, abs=0.001)
    labels = ("platform,gateway", "tiktok,gateway:adyen", "authorised_per_attempt", "6m")
    assert (gauges["cohort_size"][labels], gauges["cohort_reached"][labels]) == (600, 240)


def test_minutes_that_are_left_out_fail_at_no_gateway(shop: Shop) -> None:
    """An incident that somebody told of is in no window of a gateway either: when it is over it is over."""
    usual, broken = (merged(LARGE, _pays("adyen", 100, 80, failed, 0)) for failed in (4, 90))
    fill(shop, lambda minute: broken if NOON - 60 <= minute < NOON - 30 else usual, usual)
    labels = ("tiktok", "adyen", "64m")
    assert _gauges(shop)["gateway_technical_failures"][labels] == 30 * 90 + 34 * 4
    told = _gauges(shop, Flagged([((NOON - 60) * 60_000, (NOON - 30) * 60_000)]))
    # With the incident the horizon before it is left out, too.
    assert told["gateway_technical_failures"][labels] == 27 * 4


def test_the_largest_gateways_are_watched(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many those with most attempts in the last day, whenever these were; of equal ones by name."""
    monkeypatch.setattr(watch_scopes, "GATEWAYS_MAX", 3)
    late = [_pays(name, n, n, 0, 0) for name, n in (("a", 1), ("b", 1), ("c", 1), ("large", 30))]
    early = _pays("early", 60, 60, 0, 0)
    fill(
        shop,
        lambda minute: merged(LARGE, *late) if minute >= NOON - 60 else merged(LARGE, early),
        merged(LARGE, _pays("long-ago", 500, 500, 0, 0)),
        until=NOON,
    )
    # The day before, without the gateway of weeks ago.
    gone = f"pay.attempts|{pair_value('tiktok', 'long-ago')}"
    for hour in range(NOON // 60 - 24, NOON // 60):
        for p in range(shop.partitions):
            shop.client.hdel(f"{shop.prefix}:{{{p}}}:cells:platform,gateway:1h:{hour * HOUR_MS}", gone)
    gateways = {labels[1] for labels in _gauges(shop)["gateway_attempts"]}
    assert gateways == {"early", "large", "a"}


@pytest.mark.parametrize(("of_a_day", "usual"), [(60_000, 12_000), (9_000, 9_000)])
def test_sales_of_the_hour(shop: Shop, of_a_day: int, usual: int) -> None:
    """The 60 minutes before as-of, against the second lowest of these minutes in four weeks, or the median of
    seven days if that is less; a flagged week is left out, and a currency that never sold has none."""
    fill(
        shop,
        lambda _: merged(LARGE, _sold(50, 1), _sold(30, 1, kind="platform", value="tiktok")),
        LARGE,
        days=0,
    )
    hour = NOON // 60 - 1
    panes = [("1h", (hour - 168 * 5) * HOUR_MS, LARGE)]
    past = {168 * week: gmv for week, gmv in enumerate([6_000, 12_000, 999, 18_000], 1)}
    past |= {24 * day: of_a_day for day in range(1, 7)}
    for back, gmv in past.items():
        for at, cells in ((hour, _sold(gmv, gmv // 60)), (hour - 1, _sold(6 * gmv, gmv // 10))):
            panes.append(("1h", (at - back) * HOUR_MS, merged(LARGE, cells)))
    # The shop began before these weeks.
    panes.append(("1h", (hour - 29 * 24) * HOUR_MS, LARGE))
    write(shop, panes)
    flagged = Flagged([((hour - 168 * 3) * HOUR_MS, (hour - 168 * 3) * HOUR_MS + 1)])
    gauges = _gauges(shop, flagged)
    assert gauges["gmv_last_hour_minor"]["all", "", "USD"] == 3_000
    assert gauges["gmv_last_hour_minor"]["platform", "tiktok", "USD"] == 1_800
    assert gauges["orders_last_hour"]["all", ""] == 60
    # As-of lies in the 59th minute of the hour: 59 parts of it, and one of the hour before.
    assert gauges["gmv_baseline_minor"]["all", "", "USD"] == pytest.approx(usual * (59 + 6) / 60)
    assert gauges["orders_baseline"]["all", ""] == pytest.approx(usual / 60 * (59 + 6) / 60)
    assert gauges["gmv_baseline_minor"]["all", "", "EUR"] == 0


def test_refunds_of_the_day(shop: Shop) -> None:
    """Refunds per GMV of 24 hours against the median of the days before; without GMV there is no ratio."""
    usual = merged(LARGE, _sold(100, 1, 2), _sold(10, 1, 1, kind="platform", value="tiktok"))
    more = merged(LARGE, _sold(100, 1, 22))
    fill(shop, lambda minute: more if minute >= NOON - 360 else usual, usual)
    gauges = _gauges(shop)
    assert gauges["refund_last_day_ratio"]["all", "", "USD"] == pytest.approx(
        0.02 + 0.2 * 6 / 23.98, rel=0.02
    )
    assert gauges["refund_baseline_ratio"]["all", "", "USD"] == pytest.approx(0.02)
    assert gauges["refund_baseline_ratio"]["platform", "tiktok", "USD"] == pytest.approx(0.1)
    assert ("all", "", "EUR") not in gauges["refund_last_day_ratio"]


def test_days_of_a_few_orders_tell_no_usual_refunds(shop: Shop) -> None:
    """Of a day with hardly an order mostly none comes back: a median of such days is no measure."""
    few = merged(LARGE, _sold(100, 0, 2))
    fill(shop, lambda _: few, few)
    gauges = _gauges(shop)
    assert gauges["refund_last_day_ratio"]["all", "", "USD"] == pytest.approx(0.02)
    assert gauges["refund_baseline_ratio"] == {}


def test_a_young_shop_has_no_usual_sales(shop: Shop) -> None:
    """Of two days nothing is known about weeks."""
    fill(shop, lambda _: merged(LARGE, _sold(50, 1)), merged(LARGE, _sold(50, 1)), days=1)
    gauges = _gauges(shop)
    assert gauges["gmv_baseline_minor"] == {} == gauges["orders_baseline"]
    assert gauges["refund_baseline_ratio"] == {}


def test_addresses(shop: Shop) -> None:
    """What they answer is the watch's, which looks while the service runs."""
    fill(shop, lambda _: LARGE, LARGE, days=2)

    async def run() -> list[tuple[int, Any]]:
        redis = connect(shop.url)
        app = build_app(shop.model(redis), shop.settings(), Changes(redis, shop.prefix, lambda: NOON_MS))
        async with TestClient(TestServer(app)) as client:
            async with asyncio.timeout(20):
                while (await (await client.get("/api/v1/drops")).json())["as_of_ms"] is None:
                    await asyncio.sleep(0.05)
            answers = []
            for path in ("drops", "causes?scope=all&step=purchase_per_view", "causes?scope=all&step=x"):
                response = await client.get(f"/api/v1/{path}")
                answers.append((response.status, await response.json()))
            text = await (await client.get("/metrics")).text()
        await redis.aclose()
        assert 'shop_pulse_cohort_state{scope="",scope_kind="all",state="watched"' in text
        return answers

    (status, drops), (also, causes), (wrong, line) = asyncio.run(run())
    assert (status, also, wrong) == (200, 200, 400)
    assert (drops["as_of_ms"], drops["drops"]) == (NOON_MS - 10_000, [])
    assert (causes["scope"], causes["causes"]) == ("all", [])
    assert line["error"].startswith("unknown step 'x'; known here: tag_tap_per_view ")


def test_without_sessions_nothing_is_watched() -> None:
    """A service that keeps the bench's figures says why it has no drops."""
    request = make_mocked_request("GET", "/api/v1/drops", app=web.Application())
    with pytest.raises(QuestionError, match="SHOP_PULSE_FIGURES"):
        asyncio.run(get_drops(request))


def test_who_watches_says_so_from_the_first_scrape_on(shop: Shop) -> None:
    """ShopPulseNotWatched rests on it: a service that has not looked yet says of the whole shop that it knows
    nothing, and one whose figures nobody can watch tells no state at all."""

    async def scrape(figures_kept: str) -> str:
        redis = connect(shop.url)
        app = shop.app(redis, figures=figures_kept)
        text = await app[routes.EXPORTER].render()
        await redis.aclose()
        return text.decode()

    unknown = (
        'shop_pulse_cohort_state{scope="",scope_kind="all",state="not_current",step="purchase_per_view"} 1'
    )
    assert unknown in asyncio.run(scrape("all"))
    assert "shop_pulse_cohort_state{" not in asyncio.run(scrape("funnel-gmv"))

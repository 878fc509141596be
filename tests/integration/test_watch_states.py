"""The watch when figures can't be trusted, and what it compares lives with: over a real Redis."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from streams.baselines import LIVES_DIFFER
from streams.cause_slices import CauseSlices
from streams.changes import Changes, Kind
from streams.drops import drops_answer
from streams.local.redis import RedisServer
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.rooms import Heartbeat, Room
from streams.scopes import pair_value
from streams.store import StoreUnavailableError, connect
from streams.watch import Watch, is_watchable
from tests.redis_kit import NOON_MS, Shop
from tests.watch_kit import (
    DAY_MS,
    END,
    HOUR_MS,
    MINUTE_MS,
    NOON,
    STEADY,
    Cells,
    Flagged,
    added,
    fill,
    funnel,
    merged,
    shop_of,
    times,
    write,
)

FAILED_FROM = END - 30
LARGE = times(STEADY, 10)
NOTHING_SOLD = {
    scope: {name: n for name, n in of.items() if name != "prompt.purchase"} for scope, of in LARGE.items()
}


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _watching(
    shop: Shop, use: Callable[[Watch], Awaitable[Any]], flags: Flagged | None = None, now_ms: int = NOON_MS
) -> Any:
    async def ask(model: ReadModel) -> Any:
        watch = Watch(model, Ranking(model.store), flags or Flagged())
        await watch.look()
        return await use(watch)

    return shop.ask(ask, now_ms)


async def _answer(watch: Watch) -> Any:
    return drops_answer(watch.found)


def _states(answer: Any, scope: str = "all") -> set[str]:
    return {each["state"] for each in answer["watched"] if each["scope"] == scope}


def _dropped(answer: Any) -> set[tuple[str, str]]:
    return {(each["scope"], each["step"]) for each in answer["drops"]}


def _sold_nothing(minute: int) -> Cells:
    return NOTHING_SOLD if minute >= FAILED_FROM else LARGE


def test_a_silent_source_is_no_drop_and_is_noted(shop: Shop) -> None:
    """Purchases stop because their source is silent: nothing is judged, and the span is noted as an outage,
    from its last sign on. Once it is back these minutes, and sessions still going on then, say nothing."""
    flags = Flagged()
    fill(shop, _sold_nothing, LARGE)
    silent_from_ms = FAILED_FROM * MINUTE_MS
    for p in range(shop.partitions):
        shop.meta(p, up_ms=NOON_MS - 1_000, hb__purchases=silent_from_ms)
    answer = _watching(shop, _answer, flags)
    assert (_states(answer), answer["drops"]) == ({"not_current"}, [])
    assert flags.noted == [(Kind.OUTAGE, "no source of purchases", silent_from_ms, NOON_MS)]
    for p in range(shop.partitions):
        shop.meta(p, hb__purchases=NOON_MS - 1_000)
    answer = _watching(shop, _answer, flags)
    assert (_states(answer), answer["drops"]) == ({"watched"}, [])
    assert len(flags.noted) == 1
    # Without the flag it would have been a drop.
    assert ("all", "purchase_per_view") in _dropped(_watching(shop, _answer))


def test_a_drop_is_told_where_its_causes_cannot_be_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Causes take further readings; one that fails is logged, and hides no drop."""

    async def fails(*_: object) -> None:
        raise StoreUnavailableError("Redis went away")

    monkeypatch.setattr(CauseSlices, "read", fails)
    fill(shop, _sold_nothing, LARGE)
    answer = _watching(shop, _answer)
    told = {(each["scope"], each["step"]): each["causes"] for each in answer["drops"]}
    assert told["all", "purchase_per_view"] == []
    assert "causes of a drop are not known: Redis went away" in caplog.text


def test_a_silence_is_kept_among_the_changes(shop: Shop) -> None:
    """A restarted service still knows what the one before saw: looked at twice, one span."""
    fill(shop, _sold_nothing, LARGE)
    for p in range(shop.partitions):
        shop.meta(p, up_ms=NOON_MS - 1_000, hb__purchases=FAILED_FROM * MINUTE_MS)

    async def ask(model: ReadModel) -> tuple[list[tuple[int, int]], Any]:
        client = connect(shop.url)
        for _ in range(2):
            watch = Watch(model, Ranking(model.store), Changes(client, shop.prefix, model.clock))
            await watch.look()
        for p in range(shop.partitions):
            shop.meta(p, hb__purchases=NOON_MS - 1_000)
        changes = Changes(client, shop.prefix, model.clock)
        restarted = Watch(model, Ranking(model.store), changes)
        await restarted.look()
        spans = await changes.flagged(NOON_MS - DAY_MS, NOON_MS)
        await client.aclose()
        return spans, await _answer(restarted)

    spans, answer = shop.ask(ask)
    assert spans == [(FAILED_FROM * MINUTE_MS, NOON_MS)]
    assert (_states(answer), answer["drops"]) == ({"watched"}, [])


def test_a_pipeline_that_is_behind_judges_nothing(shop: Shop) -> None:
    """As-of is three minutes old, or not known: not current; and every address says so."""
    fill(shop, _sold_nothing, LARGE)
    shop.healthy(NOON_MS - 3 * MINUTE_MS)
    answer = _watching(shop, _answer)
    assert (_states(answer), answer["drops"]) == ({"not_current"}, [])
    assert answer["as_of_ms"] == NOON_MS - 3 * MINUTE_MS

    async def ask(watch: Watch) -> None:
        with pytest.raises(Exception, match="not watched now"):
            await watch.causes("all", "purchase_per_view")

    _watching(shop, ask)
    shop.forget_meta(1, "wm:carts")
    assert _states(_watching(shop, _answer)) == {"not_current"}


def test_without_redis_the_watch_says_so_once(
    new_redis: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    """It logs one line, tells a state, and goes on when Redis is back."""
    server = new_redis()
    shop = Shop(server.url).healthy(NOON_MS - 10_000)
    fill(shop, lambda _: LARGE, LARGE, days=2)

    async def ask(watch: Watch) -> list[Any]:
        found = [await _answer(watch)]
        server.stop()
        for _ in range(2):
            await watch.look()
        found.append(await _answer(watch))
        return found

    with caplog.at_level(logging.WARNING, logger="streams.watch"):
        before, after = _watching(shop, ask)
    assert (_states(before), _states(after)) == ({"watched"}, {"not_current"})
    assert [record.getMessage()[:28] for record in caplog.records] == ["conversion is not watched: R"]


def test_a_fault_of_ours_is_logged_and_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The watch does not end by an error that nobody thought of."""
    fill(shop, lambda _: LARGE, LARGE, days=2)

    async def ask(watch: Watch) -> list[Any]:
        watch._judge = None  # type: ignore[assignment, method-assign]
        watch._looked_at = None
        for _ in range(2):
            await watch.look()
        return [await _answer(watch)]

    with caplog.at_level(logging.ERROR, logger="streams.watch"):
        [answer] = _watching(shop, ask)
    assert _states(answer) == {"not_current"}
    assert len(caplog.records) == 1


def test_what_was_found_long_ago_is_known_no_more(shop: Shop) -> None:
    """If nobody looks any more, nothing is said of now."""
    fill(shop, _sold_nothing, LARGE)
    clock = [NOON_MS]

    async def ask(model: ReadModel) -> list[Any]:
        model.clock = lambda: clock[0]
        watch = Watch(model, Ranking(model.store), Flagged())
        await watch.look()
        found = [await _answer(watch)]
        clock[0] += MINUTE_MS + 1
        return [*found, await _answer(watch)]

    now, later = shop.ask(ask)
    assert (_states(now), _states(later), later["drops"]) == ({"watched"}, {"not_current"}, [])


def test_an_incident_of_a_week_ago_is_no_baseline(shop: Shop) -> None:
    """A shop of nine days: the same hours of the week before sold nothing, but were flagged. The day before
    is compared instead."""
    hours = {
        hour: ({} if NOON // 60 - 174 <= hour < NOON // 60 - 160 else times(LARGE, 60))
        for hour in range(NOON // 60 - 9 * 24, NOON // 60 - 8)
    }
    fill(shop, lambda _: LARGE, LARGE, days=0)
    write(shop, [("1h", hour * HOUR_MS, cells) for hour, cells in hours.items()])
    spans = [((NOON // 60 - 174) * HOUR_MS, (NOON // 60 - 160) * HOUR_MS)]
    answer = _watching(shop, _answer, Flagged(spans))
    [whole] = [
        each for each in answer["watched"] if (each["scope"], each["step"]) == ("all", "purchase_per_view")
    ]
    assert whole["expected_ratio"] == pytest.approx(0.05)


def test_little_traffic_says_so(shop: Shop) -> None:
    """A shop in which an hour brings one order: not even a total stop would be significant."""
    few = shop_of({("tiktok", "search"): funnel(1, 0, 0, 0)})
    usual = merged(
        times(few, 60), {("all", ""): funnel(0, 20, 6, 2), ("platform", "tiktok"): funnel(0, 20, 6, 2)}
    )
    hours = [("1h", hour * HOUR_MS, usual) for hour in range(NOON // 60 - 29 * 24, NOON // 60)]
    fill(shop, lambda _: few, few, days=0)
    write(shop, hours)
    answer = _watching(shop, _answer)
    state = {each["step"]: each["state"] for each in answer["watched"] if each["scope"] == "all"}
    assert state["purchase_per_view"] == "not_enough_traffic"
    assert state["tag_tap_per_view"] == "watched"


def test_minutes_are_read_once_and_all_again_after_a_rollback(shop: Shop) -> None:
    """A minute later only what can still change is read; a Redis that went back is read anew."""
    fill(shop, lambda _: LARGE, LARGE)
    clock = [NOON_MS]

    async def ask(model: ReadModel) -> list[int]:
        model.clock = lambda: clock[0]
        asked: list[int] = []
        plain = model.store.read

        def read(requests: Any = ()) -> Any:
            asked.append(len(requests))
            return plain(requests)

        model.store.read = read  # type: ignore[method-assign]
        watch = Watch(model, Ranking(model.store), Flagged())
        sizes = []

        async def look(watermark_ms: int) -> None:
            asked.clear()
            shop.healthy(watermark_ms)
            await watch.look()
            assert watch.found.as_of_ms == watermark_ms
            sizes.append(sum(asked))

        await look(NOON_MS - 10_000)
        await look(NOON_MS - 9_000)
        clock[0] += MINUTE_MS
        await look(NOON_MS + MINUTE_MS - 10_000)
        await look(NOON_MS + MINUTE_MS - 20_000)
        return sizes

    first, same, next_minute, back = shop.ask(ask)
    assert first > 2_000
    assert same < 5
    assert next_minute < 200
    assert back > 2_000


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
    answer = _watching(shop, _answer)
    assert {("live:L1", "purchase_per_view"), ("live:L1", "purchase_per_add_to_cart")} == {
        each for each in _dropped(answer) if each[0].startswith("live")
    }
    [drop] = [
        each for each in answer["drops"] if (each["scope"], each["step"]) == ("live:L1", "purchase_per_view")
    ]
    assert drop["since_ms"] == FAILED_FROM * MINUTE_MS
    assert drop["lost_orders"] == 300
    assert _states(answer, "live:L2") == {"not_enough_traffic"}


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
    assert {scope for scope, _ in _dropped(_watching(shop, _answer))} == {"live:L3"}


def test_a_young_live_is_held_to_its_creator_then_to_all_lives(shop: Shop) -> None:
    """In its first minutes a live has sold too little to be its own measure; it need not sell as well."""
    started = END - 20
    young = times({("live", "L1"): funnel(60, 6, 2, 0), ("live", "L2"): funnel(60, 6, 2, 0)}, 10)
    past = {("creator", "C1"): funnel(600, 120, 40, 10)}
    fill(shop, lambda minute: merged(LARGE, young if minute >= started else {}), merged(LARGE, past))
    for live, creator in (("L1", "C1"), ("L2", None)):
        shop.book(NOON_MS - 1, "live", live, events__live_join=5)
        shop.record(0, "rooms", live, Room(20_000, creator_id=creator))
    answer = _watching(shop, _answer)
    expected = {
        each["scope"]: each["expected_ratio"]
        for each in answer["watched"]
        if each["step"] == "purchase_per_view" and each["scope"].startswith("live")
    }
    most = LIVES_DIFFER / 60
    assert expected == {"live:L1": pytest.approx(most), "live:L2": pytest.approx(most)}
    assert ("live:L1", "purchase_per_view") in _dropped(answer)


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
    dropped = _dropped(_watching(shop, _answer))
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
    answer = _watching(shop, _answer)
    [drop] = [
        each for each in answer["drops"] if (each["scope"], each["step"]) == ("live:L1", "purchase_per_view")
    ]
    assert drop["causes"][0]["cause"] == "product p2"


def test_what_is_not_kept_is_not_watched(shop: Shop) -> None:
    """The bench's figures have no sessions."""

    async def ask(model: ReadModel) -> bool:
        return is_watchable(model)

    assert shop.ask(ask)
    assert not shop.ask(ask, figures="funnel-gmv")

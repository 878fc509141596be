"""The watch when figures can't be trusted, and what it compares lives with: over a real Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from streams.cause_slices import CauseSlices
from streams.changes import Changes, Kind
from streams.local.redis import RedisServer
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.store import StoreUnavailableError, connect
from streams.watch import Watch, is_watchable
from tests.redis_kit import NOON_MS, Shop, counted
from tests.watch_kit import (
    DAY_MS,
    FAILED_FROM,
    HOUR_MS,
    LARGE,
    MINUTE_MS,
    NOON,
    Cells,
    Flagged,
    dropped_in,
    drops_of,
    fill,
    funnel,
    merged,
    shop_of,
    states_in,
    times,
    watching,
    write,
)

NOTHING_SOLD = {
    scope: {name: n for name, n in of.items() if name != "prompt.purchase"} for scope, of in LARGE.items()
}


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


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
    answer = watching(shop, drops_of, flags)
    assert (states_in(answer), answer["drops"]) == ({"not_current"}, [])
    assert flags.noted == [(Kind.OUTAGE, "no source of purchases", silent_from_ms, NOON_MS)]
    for p in range(shop.partitions):
        shop.meta(p, hb__purchases=NOON_MS - 1_000)
    answer = watching(shop, drops_of, flags)
    assert (states_in(answer), answer["drops"]) == ({"watched"}, [])
    assert len(flags.noted) == 1
    # Without the flag it would have been a drop.
    assert ("all", "purchase_per_view") in dropped_in(watching(shop, drops_of))


def test_a_drop_is_told_where_its_causes_cannot_be_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Causes take further readings; one that fails is logged, and hides no drop."""

    async def fails(*_: object) -> None:
        raise StoreUnavailableError("Redis went away")

    monkeypatch.setattr(CauseSlices, "read", fails)
    fill(shop, _sold_nothing, LARGE)
    answer = watching(shop, drops_of)
    told = {(each["scope"], each["step"]): each["causes"] for each in answer["drops"]}
    assert told["all", "purchase_per_view"] == []
    assert "causes of a drop are not known: Redis went away" in caplog.text


def test_a_drop_keeps_its_causes_until_they_are_known_anew(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape may come while a drop that lasts is explained: it finds what explained it a minute ago."""
    fill(shop, _sold_nothing, LARGE)
    clock = [NOON_MS]

    async def ask(watch: Watch) -> list[Any]:
        told, plain = [await drops_of(watch)], CauseSlices.read

        async def read(*asked: Any) -> Any:
            told.append(await drops_of(watch))
            return await plain(*asked)

        monkeypatch.setattr(CauseSlices, "read", read)
        clock[0] += MINUTE_MS
        shop.healthy(clock[0] - 10_000)
        await watch.look()
        return told

    before, *meanwhile = watching(shop, ask, clock=lambda: clock[0])
    causes = {(each["scope"], each["step"]): each["causes"] for each in before["drops"]}
    assert causes["all", "purchase_per_view"]
    assert meanwhile[0]["as_of_ms"] == before["as_of_ms"] + MINUTE_MS
    assert {(each["scope"], each["step"]): each["causes"] for each in meanwhile[0]["drops"]} == causes


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
        return spans, await drops_of(restarted)

    spans, answer = shop.ask(ask)
    assert spans == [(FAILED_FROM * MINUTE_MS, NOON_MS)]
    assert (states_in(answer), answer["drops"]) == ({"watched"}, [])


def test_a_pipeline_that_is_behind_judges_nothing(shop: Shop) -> None:
    """As-of is three minutes old, or not known: not current; and every address says so."""
    fill(shop, _sold_nothing, LARGE)
    shop.healthy(NOON_MS - 3 * MINUTE_MS)
    answer = watching(shop, drops_of)
    assert (states_in(answer), answer["drops"]) == ({"not_current"}, [])
    assert answer["as_of_ms"] == NOON_MS - 3 * MINUTE_MS

    async def ask(watch: Watch) -> None:
        with pytest.raises(Exception, match="not watched now"):
            await watch.causes("all", "purchase_per_view")

    watching(shop, ask)
    shop.forget_meta(1, "wm:carts")
    assert states_in(watching(shop, drops_of)) == {"not_current"}


def test_without_redis_the_watch_says_so_once(
    new_redis: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    """It logs one line, tells a state, and goes on when Redis is back."""
    server = new_redis()
    shop = Shop(server.url).healthy(NOON_MS - 10_000)
    fill(shop, lambda _: LARGE, LARGE, days=2)

    async def ask(watch: Watch) -> list[Any]:
        found = [await drops_of(watch)]
        server.stop()
        for _ in range(2):
            await watch.look()
        found.append(await drops_of(watch))
        return found

    with caplog.at_level(logging.WARNING, logger="streams.watch"):
        before, after = watching(shop, ask)
    assert (states_in(before), states_in(after)) == ({"watched"}, {"not_current"})
    assert [record.getMessage()[:28] for record in caplog.records] == ["conversion is not watched: R"]


def test_a_fault_of_ours_is_logged_and_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The watch does not end by an error that nobody thought of."""
    fill(shop, lambda _: LARGE, LARGE, days=2)

    async def ask(watch: Watch) -> list[Any]:
        watch._judge = None  # type: ignore[assignment, method-assign]
        watch._looked_at = None
        for _ in range(2):
            await watch.look()
        return [await drops_of(watch)]

    with caplog.at_level(logging.ERROR, logger="streams.watch"):
        [answer] = watching(shop, ask)
    assert states_in(answer) == {"not_current"}
    assert len(caplog.records) == 1


def test_what_was_found_long_ago_is_known_no_more(shop: Shop) -> None:
    """If nobody looks any more, nothing is said of now."""
    fill(shop, _sold_nothing, LARGE)
    clock = [NOON_MS]

    async def ask(watch: Watch) -> list[Any]:
        found = [await drops_of(watch)]
        clock[0] += MINUTE_MS + 1
        return [*found, await drops_of(watch)]

    now, later = watching(shop, ask, clock=lambda: clock[0])
    assert (states_in(now), states_in(later), later["drops"]) == ({"watched"}, {"not_current"}, [])


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
    answer = watching(shop, drops_of, Flagged(spans))
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
    answer = watching(shop, drops_of)
    state = {each["step"]: each["state"] for each in answer["watched"] if each["scope"] == "all"}
    assert state["purchase_per_view"] == "not_enough_traffic"
    assert state["tag_tap_per_view"] == "watched"


def test_minutes_are_read_once_and_all_again_after_a_rollback(shop: Shop) -> None:
    """A minute later only what can still change is read; a Redis that went back is read anew."""
    fill(shop, lambda _: LARGE, LARGE)
    clock = [NOON_MS]

    async def ask(model: ReadModel) -> list[int]:
        model.clock = lambda: clock[0]
        asked = counted(model)
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


def test_what_is_not_kept_is_not_watched(shop: Shop) -> None:
    """The bench's figures have no sessions."""

    async def ask(model: ReadModel) -> bool:
        return is_watchable(model)

    assert shop.ask(ask)
    assert not shop.ask(ask, figures="funnel-gmv")

"""Creators' days, from a real Redis that was filled by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams import creators
from streams.answer import QuestionError
from streams.creators import Creators
from streams.local.redis import RedisServer
from streams.scopes import pair_value
from streams.store import StoreUnavailableError
from tests.redis_kit import NOON_MS, Shop

DAY_MS = 86_400_000
MIDNIGHT_MS = NOON_MS - NOON_MS % DAY_MS


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _sell(
    shop: Shop, creator: str, days_ago: int, commission: int = 0, *, p: int = 0, on: str = "tiktok"
) -> None:
    """In the first minute of the day so many days ago; 0 is the one that is going on."""
    amounts = {"orders__USD": 1, "gmv_paid__USD": 10 * commission, "commission__USD": commission}
    shop.book(MIDNIGHT_MS - days_ago * DAY_MS, "platform,creator", pair_value(on, creator), p, **amounts)


def _read(shop: Shop, platform: str | None = None, days: int = 7, **changed: Any) -> Any:
    return shop.ask(lambda model: Creators(model).answer(platform, days), **changed)


def test_whole_days_and_the_ones_before(shop: Shop) -> None:
    """7 days against the 7 before them, of both partitions; the day that is going on is in neither."""
    _sell(shop, "today", 0, 900)
    _sell(shop, "c1", 1, 30)
    _sell(shop, "c1", 7, 10, p=1)
    _sell(shop, "c2", 8, 5)
    _sell(shop, "c3", 14, 5)
    _sell(shop, "c4", 15, 5)
    shop.book(MIDNIGHT_MS - 3 * DAY_MS, "platform,creator", pair_value("tiktok", "c9"), live_starts=2)
    answer = _read(shop)
    assert (answer["from_ms"], answer["to_ms"]) == (MIDNIGHT_MS - 7 * DAY_MS, MIDNIGHT_MS)
    assert answer["before_from_ms"] == MIDNIGHT_MS - 14 * DAY_MS
    assert (answer["with_a_sale"], answer["with_a_live"]) == (1, 1)
    [best] = answer["earnings"]["USD"]["top"]
    assert best == {"creator_id": "c1", "commission_minor": 40, "gmv_paid_minor": 400, "orders": 2}
    stopped = [each["creator_id"] for each in answer["stopped_selling"]["creators"]]
    assert stopped == ["c2", "c3"]
    month = _read(shop, days=30)
    assert (month["with_a_sale"], month["stopped_selling"]["count"]) == (4, 0)


def test_a_reading_says_up_to_which_record_it_was(shop: Shop) -> None:
    """By topic and partition number; nothing where that number's days changed while they were walked."""
    _sell(shop, "c1", 1, 30)
    shop.meta(0, off__purchases=7, off__tag_taps=5)
    shop.meta(1, off__livestreams=3)
    first = {"purchases": [7, 0], "livestreams": [0, 3], "tag-taps": [5, 0]}
    assert _read(shop)["read_offsets"] == first

    async def read(model: Any, sales: int) -> Any:
        walk, left = model.store.walk, [True] * sales

        async def walked(*asked: Any) -> Any:
            async for cell in walk(*asked):
                yield cell
            if left:
                left.pop()
                _sell(shop, "c1", 1, 30)

        model.store.walk = walked
        answer: Any = await Creators(model).answer(None, 7)
        return answer["read_offsets"], answer["earnings"]["USD"]["total_minor"]

    assert shop.ask(lambda model: read(model, 1)) == (first, 60)
    offsets, _ = shop.ask(lambda model: read(model, creators.WALKS))
    assert offsets == {"purchases": [None, 0], "livestreams": [None, 3], "tag-taps": [None, 0]}


def test_a_day_that_is_not_read_to_its_end_is_not_over(shop: Shop) -> None:
    """While the log is read up to yesterday's noon, yesterday is no whole day yet: nobody has stopped."""
    _sell(shop, "c1", 1, 30)
    shop.healthy(NOON_MS - DAY_MS)
    answer = _read(shop)
    assert (answer["to_ms"], answer["with_a_sale"]) == (MIDNIGHT_MS - DAY_MS, 0)


def test_without_a_watermark_no_day_is_over(shop: Shop) -> None:
    """Before every topic was looked at nobody can be said to have stopped: no answer, and no gauges."""
    _sell(shop, "c1", 8, 30)
    shop.forget_meta(0, "wm:purchases")
    with pytest.raises(QuestionError, match="no day is known to be read to its end"):
        _read(shop)


def test_platforms_by_themselves(shop: Shop) -> None:
    """A creator's sales on another platform are not told there."""
    _sell(shop, "c1", 1, 30)
    _sell(shop, "c2", 1, 10, on="kuaishou")
    told = {on: _read(shop, on)["with_a_sale"] for on in ("tiktok", "kuaishou", "douyin", None)}
    assert told == {"tiktok": 1, "kuaishou": 1, "douyin": 0, None: 2}


def test_gauges_tell_what_was_read_last(shop: Shop) -> None:
    """Nothing before the first reading; then each platform and length by itself, medians where there are."""
    _sell(shop, "c1", 1, 30)
    _sell(shop, "c2", 9, 30)

    async def read(model: Any) -> Any:
        reader = Creators(model)
        before = await reader.families()
        await reader.read()
        return before, {each.name: each.samples for each in await reader.families()}

    before, found = shop.ask(read)
    assert before == ()
    assert found["creators_with_a_sale"][("tiktok", "7d")] == 1
    assert found["creators_with_a_sale"][("all", "30d")] == 2
    assert found["creators_who_stopped_selling"][("all", "7d")] == 1
    assert found["creators_who_stopped_selling"][("douyin", "7d")] == 0
    assert found["creator_earnings_median_minor"] == {
        (on, days, "USD"): 30.0 for on in ("all", "tiktok") for days in ("7d", "30d")
    }


def test_reading_goes_on_after_a_fault(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is away, or a fault of our own, does not end it; nothing old is shown meanwhile."""
    monkeypatch.setattr(creators, "AGAIN_S", 0.0)
    faults: list[Exception] = [StoreUnavailableError("away"), ZeroDivisionError()]
    _sell(shop, "c1", 1, 30)

    async def read(model: Any) -> Any:
        reader = Creators(model)
        await reader.read()
        real, shown = model.over, []

        async def over(*asked: Any) -> Any:
            shown.append(len(await reader.families()))
            if faults:
                raise faults.pop(0)
            return await real(*asked)

        model.over = over
        task = asyncio.ensure_future(reader.run())
        while len(shown) < 3 or not await reader.families():
            await asyncio.sleep(0.01)
        task.cancel()
        return shown

    kinds = len(shop.ask(_families))
    assert shop.ask(read) == [kinds, 0, 0]


def test_days_that_are_still_being_read_are_read_again_soon(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that reads an old log shows the days of then; nobody waits minutes for those of now."""
    monkeypatch.setattr(creators, "AGAIN_S", 0.0)
    _sell(shop, "c1", 40, 20)
    _sell(shop, "c2", 1, 30)
    shop.healthy(NOON_MS - 39 * DAY_MS)

    async def read(model: Any) -> Any:
        reader = Creators(model)
        task = asyncio.ensure_future(reader.run())
        then = await reader.answer(None, 7)
        shop.healthy(NOON_MS - 10_000)
        while (now := await reader.answer(None, 7))["to_ms"] != MIDNIGHT_MS:
            await asyncio.sleep(0.01)
        task.cancel()
        return then["to_ms"], now["with_a_sale"]

    assert shop.ask(read) == (MIDNIGHT_MS - 39 * DAY_MS, 1)


async def _families(model: Any) -> Any:
    reader = Creators(model)
    await reader.read()
    return await reader.families()


def test_too_many_are_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would not fit into memory is not begun; the line says what to ask instead."""
    monkeypatch.setattr(creators, "CREATORS_MAX", 2)
    for number in range(3):
        _sell(shop, f"c{number}", 1)
    with pytest.raises(QuestionError, match="scope=creator:ID"):
        _read(shop)


@pytest.mark.parametrize(
    ("platform", "days", "figures", "line"),
    [
        ("myspace", 7, "all", "platform is one of"),
        (None, 8, "all", "days is one of 7 30"),
        (None, 7, "funnel-gmv", "are not kept"),
    ],
)
def test_wrong_questions(shop: Shop, platform: str | None, days: int, figures: str, line: str) -> None:
    """Each is refused in one line."""
    with pytest.raises(QuestionError, match=line):
        _read(shop, platform, days, figures=figures)

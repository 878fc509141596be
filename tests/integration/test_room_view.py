"""A live room whole, from a real Redis that was filled by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.answer import QuestionError, UnknownLiveError
from streams.local.redis import RedisServer
from streams.products import ProductRecord, Stock
from streams.read_model import ReadModel
from streams.room_view import RoomViews
from streams.rooms import Creator, Heartbeat, Pin, Room
from streams.scopes import pair_value
from streams.web.host_view import for_host
from tests.redis_kit import NOON_MS, Shop, counted

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
START_MS = NOON_MS - 25 * MINUTE_MS + 20 * SECOND_MS
LIVE = "L1"


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions with a live that began 24 min 40 s before noon, read up to 10 s before."""
    shop = Shop(redis_server.url).healthy(NOON_MS - 10_000)
    shop.live(0, LIVE, START_MS)
    shop.record(0, "rooms", LIVE, _room())
    return shop


def _room(**facts: Any) -> Room:
    return Room(20_000, creator_id="c1", started_ms=START_MS, latest_start=(START_MS, 1), **facts)


def _cup(stocks: dict[str, Stock]) -> ProductRecord:
    return ProductRecord(listed=(1, 1), title="Cup", unit_price_minor=990, currency="EUR", stocks=stocks)


def _read(shop: Shop, live_id: str = LIVE, now_ms: int = NOON_MS) -> Any:
    return shop.ask(lambda model: RoomViews(model).read(live_id), now_ms)


def _sell(shop: Shop, time_ms: int, product: str, items: int, gmv: int, *, p: int = 0) -> None:
    shop.book(time_ms, "live", LIVE, p, events__purchase=1, orders__USD=1, items=items, gmv_paid__USD=gmv)
    pair = pair_value(LIVE, product)
    shop.book(time_ms, "live,product", pair, p, events__purchase=1, items=items, gmv_paid__USD=gmv)
    shop.book(time_ms, "product", product, p, events__purchase=1, items=items)
    shop.book(time_ms, "product,sku", pair_value(product, ""), p, items=items)
    shop.room(time_ms, LIVE, {f"items|p{product}": items}, p)


def test_the_windows_of_a_room(shop: Shop) -> None:
    """Now is 5 minutes, the whole live since its start, and 10 minutes stand against the 10 before."""
    _sell(shop, START_MS, "p1", 1, 1_000)
    _sell(shop, NOON_MS - 15 * MINUTE_MS, "p1", 1, 100, p=1)
    _sell(shop, NOON_MS - 10 * MINUTE_MS, "p1", 1, 10)
    for _ in range(2):
        _sell(shop, NOON_MS - 1, "p1", 1, 1, p=1)
    answer = _read(shop)
    gmv = {
        name: answer[name]["money"]["USD"]["gmv_paid_minor"]
        for name in ("now", "since_start", "last_10m", "previous_10m")
    }
    assert gmv == {"now": 2, "since_start": 1_112, "last_10m": 12, "previous_10m": 100}
    assert answer["since_start"]["from_ms"] == NOON_MS - 25 * MINUTE_MS
    assert answer["previous_10m"]["from_ms"] == NOON_MS - 20 * MINUTE_MS
    assert answer["orders_per_minute"] == 2 * MINUTE_MS / (5 * MINUTE_MS - 10_000)
    facts = [answer[name] for name in ("live_id", "title", "creator_id", "started_ms", "ended_ms", "minute")]
    assert facts == [LIVE, None, "c1", START_MS, None, 24]
    assert {answer[name]["scope"] for name in gmv} == {"live:L1"}


def test_products_by_what_they_brought(shop: Shop) -> None:
    """The ten with most GMV of the live, with what is known of each; sales elsewhere are not the live's."""
    for number in range(12):
        _sell(shop, NOON_MS - MINUTE_MS, f"p{number:02}", 20 - number, 100 + number, p=number % 2)
    shop.book(NOON_MS - MINUTE_MS, "product", "p11", items=50)
    shop.book(NOON_MS - 1, "live,product", pair_value(LIVE, "p11"), p=1, events__tag_tap=6)
    shop.book(NOON_MS - 1, "live,product", pair_value(LIVE, "p11"), events__add_to_cart=5)
    stocks = {"": Stock(NOON_MS - 10 * MINUTE_MS, 1, 100)}
    shop.record(1, "products", "p11", _cup(stocks))
    pins = {"p11": Pin(NOON_MS - 2 * MINUTE_MS + 1, 4, True)}
    shop.record(0, "rooms", LIVE, _room(pins=pins, heartbeats=[Heartbeat(NOON_MS - SECOND_MS, 5, 77)]))
    answer = _read(shop)
    assert [product["product_id"] for product in answer["products"]] == [
        f"p{number:02}" for number in range(11, 1, -1)
    ]
    stock = {
        "units": 41, "state": "in_stock", "minutes_left": None, "oversold_units": 0,
        "since_ms": NOON_MS - 10 * MINUTE_MS,
    }  # fmt: skip
    assert answer["products"][0] == {
        "product_id": "p11", "title": "Cup", "orders": 1, "items": 9, "gmv_paid_minor": {"USD": 111},
        "tag_taps": 6, "add_to_carts": 5, "stock": stock, "pinned_since_ms": NOON_MS - 2 * MINUTE_MS,
        "unit_price_minor": 990, "currency": "EUR",
    }  # fmt: skip
    without = [answer["products"][1][name] for name in ("title", "currency", "stock", "pinned_since_ms")]
    assert without == [None, None, None, None]
    assert answer["pinned"][0]["title"] == "Cup"
    assert answer["pinned"] == [
        {**answer["now"]["pinned"][0], "stock": stock},
    ]
    assert answer["now"]["viewers"]["now"] == 77


def _past(shop: Shop, live_id: str, start_ms: int, gmv: int) -> None:
    """Sells once in each minute of the hour after the start."""
    for minute in range(60):
        time_ms = start_ms + minute * MINUTE_MS
        at = f"m{time_ms // MINUTE_MS % 60}"
        shop.room(time_ms, live_id, {f"gmv_paid:USD|{at}": gmv, f"orders:USD|{at}": 1}, p=minute % 2)


def test_past_lives_at_the_same_minute(shop: Shop) -> None:
    """The creator's five lives before this one, in as many minutes as this one has run, and their median."""
    starts = {f"O{day}": NOON_MS - day * DAY_MS + 50 * MINUTE_MS + 59_000 for day in range(1, 7)}
    for number, (live_id, start_ms) in enumerate(starts.items()):
        _past(shop, live_id, start_ms, 10 ** (number % 5))
    later = (LIVE, START_MS), ("N1", START_MS + 1)
    lives = sorted(starts.items(), key=lambda each: -each[1])
    shop.record(0, "creators", "c1", Creator(lives=[*later, *lives[::2]]))
    shop.record(1, "creators", "c1", Creator(lives=lives[1::2]))
    answer = _read(shop)
    assert (answer["minute"], answer["compared_minutes"]) == (24, 25)
    assert [(past["live_id"], past["started_ms"]) for past in answer["past_lives"]] == lives[:5]
    assert answer["past_lives"][1] == {
        "live_id": "O2", "started_ms": starts["O2"], "gmv_paid_minor": {"USD": 250}, "orders": 25,
    }  # fmt: skip
    assert answer["past_median"] == {"gmv_paid_minor": {"USD": 2_500}, "orders": 25}
    assert answer["at_minute"] == {"gmv_paid_minor": {"USD": 0}, "orders": 0}
    assert answer["past_percentile"] == {"gmv_paid_minor": {"USD": 0.0}, "orders": 0.0}


def test_a_currency_in_which_none_of_the_lives_sold_has_no_rank(shop: Shop) -> None:
    """Nobody stands among lives that sold nothing; so what a host is shown names no currency of others."""
    shop.meta(0, currencies="EUR USD")
    starts = [(f"O{day}", NOON_MS - day * DAY_MS) for day in (1, 2, 3)]
    for live_id, start_ms in starts:
        _past(shop, live_id, start_ms, 7)
    shop.record(0, "creators", "c1", Creator(lives=[(LIVE, START_MS), *starts]))
    answer = _read(shop)
    assert answer["past_percentile"]["gmv_paid_minor"] == {"EUR": None, "USD": 0.0}
    shown: Any = for_host(answer)
    assert shown["past_percentile"]["gmv_paid_minor"] == {"USD": 0.0}
    assert (
        "EUR" in answer["past_median"]["gmv_paid_minor"]
        and "EUR" not in shown["past_median"]["gmv_paid_minor"]
    )


def _each_ten_seconds(shop: Shop, live_id: str, start_ms: int, until_ms: int) -> None:
    for time_ms in range(start_ms, until_ms, 10 * SECOND_MS):
        at = f"m{time_ms // MINUTE_MS % 60}"
        shop.room(time_ms, live_id, {f"gmv_paid:USD|{at}": 7, f"orders:USD|{at}": 1})
        shop.book(time_ms, "live", live_id, orders__USD=1, events__purchase=1, gmv_paid__USD=7)


def test_equal_lives_compare_as_equal(shop: Shop) -> None:
    """This live is counted over as many whole minutes of the clock as its creator's past ones, whatever its
    seconds; before the first of them is over there is nothing to compare."""
    start_ms = NOON_MS + 4 * MINUTE_MS + 50 * SECOND_MS
    shop.live(0, "L2", start_ms)
    shop.record(0, "rooms", "L2", Room(20_000, creator_id="c2", started_ms=start_ms))
    shop.record(0, "creators", "c2", Creator(lives=[("L2", start_ms), ("O2", start_ms - DAY_MS)]))
    for live_id, at_ms in (("L2", start_ms), ("O2", start_ms - DAY_MS)):
        _each_ten_seconds(shop, live_id, at_ms, at_ms + 8 * MINUTE_MS)
    shop.healthy(start_ms + 10 * MINUTE_MS)
    names = ("minute", "at_minute", "past_median")
    for on_air_ms, minute, orders in ((59_000, 0, 1), (359_000, 5, 31), (370_000, 6, 37)):
        answer = _read(shop, "L2", start_ms + on_air_ms)
        both = {"gmv_paid_minor": {"USD": 7 * orders}, "orders": orders}
        assert [answer[name] for name in names] == [minute, both, both]
    answer = _read(shop, "L2", start_ms + 9_999)
    assert [answer[name] for name in names] == [0, None, None]
    assert answer["past_lives"] == []


def test_a_rate_is_over_the_time_that_is_known(redis_server: RedisServer) -> None:
    """Six orders a minute are six from the first 30 s on that were read of a live, and unknown before that
    or without a watermark."""
    start_ms = NOON_MS + 4 * MINUTE_MS
    for read_ms, rate in ((29_999, None), (30_000, 6.0), (60_000, 6.0), (480_000, 6.0)):
        shop = Shop(redis_server.url).healthy(start_ms + read_ms)
        shop.live(0, LIVE, start_ms)
        _each_ten_seconds(shop, LIVE, start_ms, start_ms + read_ms)
        assert _read(shop, LIVE, start_ms + read_ms)["orders_per_minute"] == rate
    shop.forget_meta(1, "wm:ads")
    assert _read(shop, LIVE, start_ms + read_ms)["orders_per_minute"] is None


def test_lives_that_cannot_be_compared_are_left_out(shop: Shop) -> None:
    """One whose hours are gone is no live without sales; and none is compared with a live of several days."""
    shop.record(0, "creators", "c1", Creator(lives=[("O1", NOON_MS - 36 * DAY_MS)]))
    answer = _read(shop)
    assert (answer["past_lives"], answer["past_median"]) == ([], None)
    shop.live(0, "L2", NOON_MS - 3 * DAY_MS)
    shop.record(0, "rooms", "L2", Room(20_000, creator_id="c2"))
    shop.record(0, "creators", "c2", Creator(lives=[("O1", NOON_MS - 4 * DAY_MS)]))
    assert _read(shop, "L2")["past_lives"] == []


def test_an_ended_live_stands_still(shop: Shop) -> None:
    """Its minutes are those that it was on air, and nothing is pinned any more."""
    pins = {"p1": Pin(START_MS, 4, True)}
    shop.record(0, "rooms", LIVE, _room(pins=pins, latest_end=(START_MS + 10 * MINUTE_MS, 9)))
    answer = _read(shop)
    assert (answer["ended_ms"], answer["minute"]) == (START_MS + 10 * MINUTE_MS, 10)
    assert answer["pinned"] == []


def test_a_room_without_a_start_has_its_minutes_only(shop: Shop) -> None:
    """Heartbeats are enough to be a live; what is counted since the start is not known then."""
    shop.record(1, "rooms", "L2", Room(20_000, heartbeats=[Heartbeat(NOON_MS - 1, 5, 7)]))
    shop.book(NOON_MS - 1, "live", "L2", items=3)
    answer = _read(shop, "L2")
    assert (answer["now"]["items"], answer["now"]["viewers"]["now"]) == (3, 7)
    unknown = ("creator_id", "started_ms", "since_start", "products", "at_minute", "past_median", "minute")
    assert [answer[name] for name in unknown] == [None] * 7
    assert answer["past_lives"] == []


def test_an_unknown_live_is_no_room(shop: Shop) -> None:
    """No zeros for a live that nobody has told of; and an id has its limits."""
    with pytest.raises(UnknownLiveError, match="no event of live 'L9'"):
        _read(shop, "L9")
    with pytest.raises(QuestionError, match="1 to 64"):
        _read(shop, "x" * 65)
    with pytest.raises(QuestionError, match="SHOP_PULSE_FIGURES"):
        shop.ask(lambda model: RoomViews(model).read(LIVE), figures="funnel-gmv")


def test_a_room_that_is_known_takes_two_readings(shop: Shop) -> None:
    """What leads to its figures is remembered; what has changed meanwhile is in the very next answer."""
    _sell(shop, NOON_MS - MINUTE_MS, "p1", 2, 20)
    shop.record(0, "creators", "c1", Creator(lives=[("O1", NOON_MS - DAY_MS)]))
    _past(shop, "O1", NOON_MS - DAY_MS, 5)
    for product in ("p1", "p2"):
        stocks = {"": Stock(NOON_MS - HOUR_MS, 1, 9)}
        shop.record(0, "products", product, ProductRecord(listed=(1, 1), title=product, stocks=stocks))

    async def ask(model: ReadModel) -> list[Any]:
        readings = counted(model)
        views = RoomViews(model)
        found: list[Any] = [await views.read(LIVE)]
        readings.clear()
        found.append(await views.read(LIVE))
        assert len(readings) == 2
        _sell(shop, NOON_MS - 1, "p2", 1, 500)
        return [*found, await views.read(LIVE)]

    first, second, third = shop.ask(ask)
    assert first == second
    assert first["past_lives"][0]["orders"] == 25
    sold = [(each["product_id"], each["title"], each["stock"]["units"]) for each in third["products"]]
    assert sold == [("p2", "p2", 8), ("p1", "p1", 7)]


def test_rooms_that_are_asked_at_once_are_answered_as_if_alone(shop: Shop) -> None:
    """They share two readings; a live that nobody knows fails alone, and costs none."""
    lives = [f"{LIVE}{number}" for number in range(5)]
    for number, live in enumerate(lives):
        shop.live(number % 2, live, NOON_MS - 20 * MINUTE_MS)
        shop.book(NOON_MS - 1, "live", live, p=number % 2, items=number)

    async def ask(model: ReadModel) -> list[Any]:
        alone = [await RoomViews(model).read(live) for live in lives]
        views = RoomViews(model)
        await asyncio.gather(*map(views.read, lives))
        readings = counted(model)
        together = await asyncio.gather(*map(views.read, (*lives, "nobody")), return_exceptions=True)
        return [alone, together, readings]

    alone, together, readings = shop.ask(ask)
    assert isinstance(together.pop(), UnknownLiveError)
    assert together == alone
    assert [each["now"]["items"] for each in together] == [0, 1, 2, 3, 4]
    assert len(readings) == 2  # what is known of them, and their figures

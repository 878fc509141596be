"""Gauges of live rooms, from a real Redis that was filled by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from streams.local.redis import RedisServer
from streams.products import ProductRecord, Stock
from streams.ranking import Ranking
from streams.room_gauges import (
    LOST_AFTER_MS,
    PINS_MAX,
    REFRESH_MS,
    RoomGauges,
    chosen,
    is_open,
)
from streams.rooms import Heartbeat, Pin, Room
from streams.scopes import pair_value
from streams.store import StoreUnavailableError, connect
from tests.redis_kit import NOON_MS, Shop

SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
HEARD_MS = NOON_MS - 5 * SECOND_MS


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _room(heard_ms: int | None = HEARD_MS, start_ms: int | None = NOON_MS - HOUR_MS, **facts: Any) -> Room:
    beats = [] if heard_ms is None else [Heartbeat(heard_ms - MINUTE_MS, 1, 9), Heartbeat(heard_ms, 2, 8)]
    start: dict[str, Any] = (
        {} if start_ms is None else {"started_ms": start_ms, "latest_start": (start_ms, 0)}
    )
    return Room(20_000, heartbeats=beats, **start, **facts)


def _live(shop: Shop, live_id: str, room: Room, gmv: int, *, sold_ms: int = NOON_MS - 1, p: int = 0) -> None:
    shop.record(p, "rooms", live_id, room)
    shop.book(sold_ms, "live", live_id, p, orders__USD=1, gmv_paid__USD=gmv)


def _product(shop: Shop, product: str, units: int, sold: int, p: int = 1) -> None:
    stocks = {"": Stock(NOON_MS - 10 * MINUTE_MS, 1, units)}
    shop.record(p, "products", product, ProductRecord(listed=(1, 1), title="Cup", stocks=stocks))
    shop.book(NOON_MS - MINUTE_MS, "product", product, orders__USD=1, gmv_paid__USD=1, items=sold)
    shop.book(NOON_MS - MINUTE_MS, "product,sku", pair_value(product, ""), items=sold)


def _pins(*products: str) -> dict[str, Pin]:
    """Pinned in this order, the last one latest."""
    return {of: Pin(NOON_MS - HOUR_MS + n, n, True) for n, of in enumerate(products)}


def _read(shop: Shop, top_k: int = 2, **changed: Any) -> dict[str, Mapping[tuple[str, ...], float]]:
    async def read(model: Any) -> Any:
        return await RoomGauges(model, Ranking(model.store), top_k).families()

    return {each.name: each.samples for each in shop.ask(read, **changed)}


def test_rooms_on_air_are_named_and_those_that_fell_silent(shop: Shop) -> None:
    """The largest two by GMV; of the others only those not heard of for a minute, also if they sold last
    hours ago; the newest heartbeat in Unix seconds."""
    _live(shop, "large", _room(), 900)
    _live(shop, "next", _room(NOON_MS), 800, p=1)
    _live(shop, "well", _room(), 700)
    _live(shop, "silent", _room(NOON_MS - 2 * MINUTE_MS), 600)
    long_ago_ms = NOON_MS - 5 * HOUR_MS - 59 * MINUTE_MS
    _live(shop, "silent for hours", _room(long_ago_ms), 100, sold_ms=long_ago_ms)
    assert _read(shop)["live_heartbeat_timestamp_seconds"] == {
        ("large",): HEARD_MS / 1_000,
        ("next",): NOON_MS / 1_000,
        ("silent",): (NOON_MS - 2 * MINUTE_MS) / 1_000,
        ("silent for hours",): long_ago_ms / 1_000,
    }


def test_rooms_that_are_not_on_air_are_not_missed(shop: Shop) -> None:
    """Rooms that ended, never began, have no heartbeats, are long over, and what is nobody's."""
    _live(shop, "ended", _room(latest_end=(NOON_MS - MINUTE_MS, 9)), 5)
    _live(shop, "again", _room(latest_end=(NOON_MS - 2 * HOUR_MS, 9)), 5)
    _live(shop, "never began", _room(start_ms=None), 5)
    _live(shop, "no heartbeats", _room(None), 5)
    _live(shop, "long over", _room(NOON_MS - LOST_AFTER_MS - 1), 5)
    for nobodys in ("other", "unattributed"):
        _live(shop, nobodys, _room(), 5)
    shop.book(NOON_MS - 1, "live", "no room", orders__USD=1, gmv_paid__USD=9)
    assert list(_read(shop, top_k=20)["live_heartbeat_timestamp_seconds"]) == [("again",)]


def test_what_is_pinned_and_how_much_is_left(shop: Shop) -> None:
    """The latest pins of each room that is shown, where stock is known; below 0 where more was sold."""
    names = [f"p{n}" for n in range(PINS_MAX + 1)]
    _live(shop, "L1", _room(pins=_pins(*names)), 9)
    _live(shop, "L2", _room(pins={**_pins("p3", "unknown"), "gone": Pin(NOON_MS, 9, False)}), 8, p=1)
    _live(shop, "L3", _room(pins=_pins("p3")), 7)
    for name in names:
        _product(shop, name, 10, 3)
    _product(shop, "p2", 10, 9)
    found = _read(shop)
    assert found["pinned_stock_units"] == {
        ("L1", "p3"): 7, ("L1", "p2"): -2, ("L1", "p1"): 7, ("L2", "p3"): 7,
    }  # fmt: skip
    assert found["oversold_units"] == {("p2",): 2}


def test_what_sells_most_is_looked_at_for_overselling(shop: Shop) -> None:
    """Without any live; a product with stock left has no gauge."""
    _product(shop, "cup", 4, 9)
    _product(shop, "hat", 5, 5)
    found = _read(shop)
    assert found["oversold_units"] == {("cup",): 5}
    assert found["pinned_stock_units"] == {}


def test_a_reading_is_used_for_a_while(shop: Shop) -> None:
    """Not read again within REFRESH_MS; a Redis that is away shows nothing of what was read before."""
    _live(shop, "L1", _room(), 9)
    clock = [NOON_MS]

    async def story() -> list[int]:
        client = connect(shop.url)
        model = shop.model(client)
        model.clock = lambda: clock[0]
        gauges = RoomGauges(model, Ranking(model.store), 2)
        shown = [len((await gauges.families())[0].samples)]
        shop.client.delete(f"{shop.prefix}:{{0}}:rooms")
        for passed_ms in (REFRESH_MS - 1, 1):
            clock[0] += passed_ms
            shown.append(len((await gauges.families())[0].samples))
        clock[0] += REFRESH_MS
        shop.meta(0, schema="another")
        with pytest.raises(StoreUnavailableError):
            await gauges.families()
        await client.aclose()
        return shown

    assert asyncio.run(story()) == [1, 1, 0]


def test_the_small_figure_set_has_no_rooms(shop: Shop) -> None:
    """Nothing is read; every family is there, without a sample."""
    _live(shop, "L1", _room(), 9)
    assert list(_read(shop, figures="funnel-gmv").values()) == [{}, {}, {}]


def test_what_is_named_is_bounded() -> None:
    """Twice `top_k`, though every room fell silent."""
    silent = {f"L{n}": _room(NOON_MS - 2 * MINUTE_MS) for n in range(50)}
    assert chosen(silent, 4, NOON_MS) == [f"L{n}" for n in range(8)]
    assert chosen(silent, 0, NOON_MS) == []
    assert not is_open(None, NOON_MS)

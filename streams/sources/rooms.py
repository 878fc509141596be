"""Live rooms: they start, show a product after the other, tell how many watch, and end.

They stand before the calendar, beside the shoppers, who ask them for a room to join.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from streams.sources.record import Calendar
from streams.sources.world import MARKETS, Creator, Market, Product, World

SHOWN_PRODUCTS: Final = 8
HEARTBEATS_MS: Final = (5_000, 10_000)


@dataclass(slots=True)
class Room:
    """A live room on air: `fragment` is its part of an event's JSON, `context` its own events' envelope."""

    live_id: str
    creator: Creator
    ends_ms: int
    products: list[Product]
    pinned: Product
    fragment: str
    context: str
    heartbeat_ms: int
    pin_ms: int
    leaves: list[int] = field(default_factory=list)  # heap of the times at which viewers go

    def join(self, leave_ms: int) -> None:
        """A viewer comes now and goes at `leave_ms`."""
        heappush(self.leaves, leave_ms)

    def viewers(self, time_ms: int) -> int:
        """How many watch at this time; times only go forward."""
        while self.leaves and self.leaves[0] <= time_ms:
            heappop(self.leaves)
        return len(self.leaves)


class Rooms:
    """All live rooms: in each market always the same number, each replaced when it ends."""

    def __init__(
        self,
        world: World,
        calendar: Calendar,
        rng: random.Random,
        *,
        per_market: int,
        heartbeats_ms: tuple[int, int] = HEARTBEATS_MS,
    ) -> None:
        """None is on air before `open`. `heartbeats_ms`: least and longest time between two of a room."""
        self._world = world
        self._calendar = calendar
        self._rng = rng
        self._per_market = per_market
        self._heartbeats_ms = heartbeats_ms
        self._numbered = 0
        self._on_air: dict[str, list[Room]] = {}

    def open(self, time_ms: int) -> None:
        """Every room goes on air, with new rooms in place of those before."""
        self._on_air = {
            market.name: [
                self._open(market, time_ms + self._rng.randrange(5_000)) for _ in range(self._per_market)
            ]
            for market in MARKETS
        }

    def close(self, time_ms: int) -> None:
        """Every room ends; until they open again nobody can be sent to one."""
        for room in (room for rooms in self._on_air.values() for room in rooms):
            self._put(room, "live_end", time_ms)
        self._on_air = {}

    def pick(self, market: Market, draw: float) -> Room:
        """A room of this market; the first has most viewers."""
        rooms = self._on_air[market.name]
        return rooms[int(draw * draw * len(rooms))]

    def advance(self, second: int) -> None:
        """Put down what the rooms themselves do in this second."""
        until_ms = (second + 1) * 1000
        for market in MARKETS:
            rooms = self._on_air[market.name]
            for place, room in enumerate(rooms):
                if room.ends_ms < until_ms:
                    self._put(room, "live_end", room.ends_ms)
                    rooms[place] = self._open(market, room.ends_ms + 1)
                    continue
                if room.heartbeat_ms < until_ms:
                    viewers = room.viewers(room.heartbeat_ms)
                    self._put(room, "live_heartbeat", room.heartbeat_ms, f',"concurrent_viewers":{viewers}')
                    room.heartbeat_ms += self._rng.randint(*self._heartbeats_ms)
                if room.pin_ms < until_ms:
                    self._pin_next(room)

    def _open(self, market: Market, time_ms: int) -> Room:
        rng = self._rng
        self._numbered += 1
        live_id = f"l{self._calendar.run}-{self._numbered}"
        creator = self._world.creator(market, rng.random())
        products = [self._world.product(market, rng.random()) for _ in range(SHOWN_PRODUCTS)]
        room = Room(
            live_id=live_id,
            creator=creator,
            ends_ms=time_ms + rng.randint(600_000, 2_400_000),
            products=products,
            pinned=products[0],
            fragment=f'"live_id":"{live_id}","creator_id":"{creator.creator_id}"',
            context=f'"platform":"{creator.platform}","surface":"live","live_id":"{live_id}",'
            f'"creator_id":"{creator.creator_id}"',
            heartbeat_ms=time_ms + rng.randint(1_000, 5_000),
            pin_ms=time_ms + rng.randint(60_000, 180_000),
        )
        self._put(room, "live_start", time_ms)
        self._put(room, "product_pin", time_ms + 500, f",{room.pinned.fragment}")
        return room

    def _pin_next(self, room: Room) -> None:
        time_ms = room.pin_ms
        self._put(room, "product_unpin", time_ms, f",{room.pinned.fragment}")
        room.pinned = room.products[self._rng.randrange(SHOWN_PRODUCTS)]
        self._put(room, "product_pin", time_ms + 1, f",{room.pinned.fragment}")
        room.pin_ms = time_ms + self._rng.randint(60_000, 180_000)

    def _put(self, room: Room, event_type: str, time_ms: int, more: str = "") -> None:
        self._calendar.put("livestreams", event_type, time_ms, room.live_id.encode(), room.context + more)

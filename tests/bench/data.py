"""Seeded shopping events of the task *funnel-gmv*, and their totals, added up while they are made.

The totals come from the numbers that were drawn, not from the records: a contestant that misreads a record
does not agree with them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from streams.settings import Settings
from streams.sources.produce import Sender, open_sender
from streams.sources.record import Record
from streams.topics import create

MINUTE_MS: Final = 60_000
# Event times lie in the last minutes, in order: nothing is late, and no topic runs ahead of another.
SPAN_MS: Final = 9 * MINUTE_MS
CURRENCY: Final = "USD"
SHOPPERS: Final = 50_000
ROOMS: Final = 100
PRODUCTS: Final = 2_000
CHUNK: Final = 20_000

# Percent of all events.
MIX: Final = {
    ("views", "view"): 40,
    ("views", "product_impression"): 12,
    ("views", "product_view"): 8,
    ("livestreams", "live_join"): 4,
    ("livestreams", "live_like"): 2,
    ("tag-taps", "tag_tap"): 20,
    ("carts", "add_to_cart"): 8,
    ("carts", "begin_checkout"): 2,
    ("purchases", "payment"): 2,
    ("purchases", "purchase"): 2,
}
TOPICS: Final = tuple(dict.fromkeys(topic for topic, _ in MIX))


@dataclass
class Totals:
    """What a right contestant has in the end.

    Attributes:
        counts: events by (live_id, event_type, start of the minute in ms).
        gmv_minor: paid line values by (live_id, start of the minute in ms).
    """

    counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    gmv_minor: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def events(self) -> int:
        """How many events there are."""
        return self.counts.total()

    @property
    def minutes(self) -> list[int]:
        """The starts of all minutes that hold an event."""
        return sorted({minute_ms for _, _, minute_ms in self.counts})


class Shop:
    """Draws events; equal seeds, sizes and times give equal bytes."""

    def __init__(self, seed: int, rooms: int = ROOMS, products: int = PRODUCTS) -> None:
        self.totals = Totals()
        self._products = products
        self.value_bytes = 0
        self._rng = rng = random.Random(seed)
        self._run = f"{seed:08x}"
        self._kinds = [kind for kind, percent in MIX.items() for _ in range(percent)]
        self._shoppers = [
            (
                f"user-{number:06d}".encode(),
                f'"platform":"{rng.choice(("tiktok", "douyin", "kuaishou", "instagram"))}",'
                f'"user_id":"user-{number:06d}","session_id":"s{number:06d}-1",'
                f'"country":"{rng.choice(("US", "GB", "ID", "BR"))}"',
            )
            for number in range(SHOPPERS)
        ]
        self._rooms = [
            (f"live-{number:03d}", f'"surface":"live","live_id":"live-{number:03d}"')
            for number in range(rooms)
        ]

    @property
    def rooms(self) -> list[str]:
        """The ids of all lives."""
        return [live_id for live_id, _ in self._rooms]

    def records(self, times_ms: Iterable[int]) -> Iterator[Record]:
        """One record per time, CreateTime = event time."""
        draw, kinds, shoppers, rooms = self._rng.random, self._kinds, self._shoppers, self._rooms
        counts, run = self.totals.counts, self._run
        for number, time_ms in enumerate(times_ms):
            topic, kind = kinds[int(draw() * len(kinds))]
            key, shopper = shoppers[int(draw() * SHOPPERS)]
            live_id, room = rooms[int(draw() ** 3 * len(rooms))]  # the first of a hundred has a fifth of all
            minute_ms = time_ms - time_ms % MINUTE_MS
            more = self._more(kind, number, live_id, minute_ms)
            value = (
                f'{{"event_id":"{run}-{number:08x}","event_type":"{kind}","event_time_ms":{time_ms},'
                f"{shopper},{room}{more}}}"
            ).encode()
            counts[live_id, kind, minute_ms] += 1
            self.value_bytes += len(value)
            yield Record(time_ms, topic, key, value)

    def _more(self, kind: str, number: int, live_id: str, minute_ms: int) -> str:
        """The fields that this type has beside the envelope, as JSON that begins with a comma."""
        draw = self._rng.random
        product = f'"product_id":"product-{int(draw() * self._products):04d}"'
        if kind == "purchase":
            quantity, price, discount = 1 + int(draw() * 3), 500 + int(draw() * 20_000), int(draw() * 400)
            self.totals.gmv_minor[live_id, minute_ms] += quantity * price - discount
            return (
                f',"order_id":"order-{number:09x}","gateway":"adyen","currency":"{CURRENCY}","items":[{{'
                f'{product},"quantity":{quantity},"unit_price_minor":{price},'
                f'"seller_discount_minor":{discount}}}]'
            )
        if kind == "payment":
            return f',"order_id":"order-{number:09x}","gateway":"adyen","outcome":"authorised"'
        if kind == "add_to_cart":
            price = 500 + int(draw() * 20_000)
            return f',{product},"quantity":1,"unit_price_minor":{price},"currency":"{CURRENCY}"'
        if kind in ("view", "live_join", "live_like", "begin_checkout"):
            return ""
        return f",{product}"


@dataclass(frozen=True)
class Dataset:
    """Records that lie in Kafka, and what they amount to."""

    topic_prefix: str
    partitions: int
    totals: Totals
    mean_bytes: float


def load(settings: Settings, events: int, seed: int, said: Callable[[int], None]) -> Dataset:
    """Create the topics of these settings and put so many events into them; `said` hears of each chunk."""
    shop = Shop(seed)
    start_ms = time.time_ns() // 1_000_000 - SPAN_MS
    records = shop.records(start_ms + SPAN_MS * number // events for number in range(events))

    async def send() -> None:
        await create(settings)
        await send_all(settings, records, said)

    asyncio.run(send())
    return Dataset(settings.topic_prefix, settings.partitions, shop.totals, shop.value_bytes / events)


async def send_all(
    settings: Settings, records: Iterator[Record], said: Callable[[int], None] = lambda _sent: None
) -> None:
    """Put all records into the topics of these settings; `said` hears of each chunk."""
    async with open_sender(settings, TOPICS) as sender:
        while await _send_chunk(sender, records):
            said(sender.sent.total())
        await sender.flush(confirmed=True)


async def _send_chunk(sender: Sender, records: Iterator[Record]) -> bool:
    """Send the next records; False when there were none."""
    chunk = list(islice(records, CHUNK))
    await sender.send(chunk)
    return bool(chunk)

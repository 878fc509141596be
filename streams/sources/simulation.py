"""The simulated shop: every record that a seed, a start time and a rate lead to, in time order.

It stands before the way of an event and is pure: no clock, no Kafka. Equal configurations give equal bytes.
A second is simulated at a time: first what is due (rooms, orders, heartbeats), then as many new sessions as
the rate still asks for.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from schemas.events import INPUT_TOPICS
from streams.sources.faults import Faults, with_faults
from streams.sources.incidents import Incident, Incidents
from streams.sources.orders import Orders
from streams.sources.record import Calendar, Record
from streams.sources.rooms import Rooms
from streams.sources.shoppers import Shoppers
from streams.sources.stock import Stock
from streams.sources.world import MARKETS, World

# Sessions begin so long before the start, so that the first second is as busy as any other; at high rates
# less long, because what is simulated before the start costs time and is thrown away.
WARM_UP_S: Final = 60
WARM_UP_EVENTS: Final = 400_000
SOURCE_HEARTBEAT_S: Final = 10
PEAK_HOUR_UTC: Final = 20
CAMPAIGNS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SimConfig:
    """What decides the bytes of a run.

    Attributes:
        start_ms: event time of the beginning.
        seed: equal seeds give equal shops and equal shoppers.
        rate: events per second, as a mean over a day; catalogue, ads, heartbeats and faults come on top.
        daily_shape: more traffic in the evening than at night; else the same at every hour.
        partitions: of every topic; each gets its own source heartbeats.
        incidents: what goes wrong, with times after `start_ms`.
        faults: what is wrong with single records.
    """

    start_ms: int
    seed: int = 1
    rate: float = 200
    daily_shape: bool = True
    partitions: int = 4
    incidents: tuple[Incident, ...] = ()
    faults: Faults = Faults()  # noqa: RUF009  # frozen


def simulate(config: SimConfig) -> Iterator[Record]:
    """All records of this run in the order of their Kafka timestamps, without end."""
    incidents = Incidents(config.incidents, config.start_ms)
    for record in with_faults(_shop(config, incidents), config.faults, config.seed):
        if not (config.incidents and incidents.holds("source-silent", record.topic, record.timestamp_ms)):
            yield record


def _shop(config: SimConfig, incidents: Incidents) -> Iterator[Record]:
    """The records of a shop without faults."""
    run = f"{zlib.crc32(f'{config.seed} {config.start_ms}'.encode()):08x}"
    calendar = Calendar(run)
    rng = random.Random(f"shop {config.seed}")
    world = World(config.seed, shoppers=max(1_000, min(100_000, int(config.rate * 40))))
    rooms_per_market = max(1, min(40, round(config.rate / 100)))
    stock = Stock(
        world, calendar, random.Random(f"stock {config.seed}"), rate=config.rate, start_ms=config.start_ms
    )
    orders = Orders(calendar, incidents, rng, config.start_ms, stock)
    rooms = Rooms(world, calendar, rng, per_market=rooms_per_market)
    rooms.open(config.start_ms)
    shoppers = Shoppers(
        world,
        calendar,
        rng,
        rooms=rooms,
        orders=orders,
        incidents=incidents,
        start_ms=config.start_ms,
        # Where disorder is asked for, it alone decides how late a record is sent.
        delays_from_ms=None if config.faults.disorder_ms else config.start_ms,
    )
    background = _Background(config, world, calendar, stock)
    wanted = 0.0
    first = config.start_ms // 1000
    second = first - max(10, min(WARM_UP_S, int(WARM_UP_EVENTS / config.rate)))
    while True:
        if second >= first:
            rooms.advance(second)
            before = calendar.count
            background.advance(second)
            wanted += calendar.count - before  # what happens without shoppers takes none of their rate
        orders.advance(second)
        wanted += _rate(config, incidents, second * 1000)
        while calendar.count < wanted:
            shoppers.start_session(second * 1000 + int(rng.random() * 1000))
        records = calendar.take(second)
        if second > first:
            yield from records
        elif second == first:
            yield from (record for record in records if record.timestamp_ms >= config.start_ms)
        second += 1


def _rate(config: SimConfig, incidents: Incidents, time_ms: int) -> float:
    """Events wanted in the second that begins at this time."""
    rate = config.rate * (daily_shape(time_ms) if config.daily_shape else 1)
    return rate / 2 if incidents.holds("traffic-halves", "", time_ms) else rate


def daily_shape(time_ms: int) -> float:
    """How busy the shop is at this time of the day (UTC); 1 on average."""
    hour = time_ms % 86_400_000 / 3_600_000
    return 1 + 0.6 * math.cos(2 * math.pi * (hour - PEAK_HOUR_UTC) / 24)


class _Background:
    """What happens without shoppers: the catalogue and its stock, ads, and the heartbeat of the source."""

    def __init__(self, config: SimConfig, world: World, calendar: Calendar, stock: Stock) -> None:
        self._config = config
        self._calendar = calendar
        self._stock = stock
        self._rng = random.Random(f"background {config.seed}")
        self._world = world
        self._listed = False

    def advance(self, second: int) -> None:
        """Put down what is due in this second."""
        time_ms = max(second * 1000, self._config.start_ms)
        if not self._listed:
            self._listed = True
            list_products(self._world, self._calendar, time_ms)
            self._stock.open(time_ms + 1)
        self._stock.advance(second)
        if second % 5 == 0:
            charge_campaign(self._calendar, self._rng, time_ms + 3)
        if second % SOURCE_HEARTBEAT_S == 0:
            self._source_heartbeats(second)

    def _source_heartbeats(self, second: int) -> None:
        """One to every partition of every topic: one without traffic is then known to be quiet, not dead."""
        for topic in INPUT_TOPICS:
            for partition in range(self._config.partitions):
                self._calendar.put_heartbeat(topic, partition, second * 1000)


def list_products(world: World, calendar: Calendar, time_ms: int) -> None:
    """Every product of the shop is put on sale."""
    products = [product for market in MARKETS for product in world.products[market.name]]
    for number, product in enumerate(products):
        calendar.put(
            "catalogue",
            "product_listed",
            time_ms,
            product.product_id.encode(),
            f'"platform":"{product.market.platforms[number % len(product.market.platforms)]}",'
            f'{product.fragment},"title":"{product.title}","category":"{product.category}",'
            f'"unit_price_minor":{product.price_minor},"currency":"{product.market.currency}"',
        )


def charge_campaign(calendar: Calendar, rng: random.Random, time_ms: int) -> None:
    """Some campaign is charged for its advertising."""
    market = MARKETS[rng.randrange(len(MARKETS))]
    campaign = f"{market.name}-ad{rng.randint(1, CAMPAIGNS)}"
    calendar.put(
        "ads",
        "ad_charge",
        time_ms,
        campaign.encode(),
        f'"platform":"{market.platforms[0]}","campaign_id":"{campaign}",'
        f'"amount_minor":{rng.randint(20, 900)},"currency":"{market.currency}"',
    )

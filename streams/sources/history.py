"""The simulated shop's past: some weeks of a few visits a day, for what takes days to tell.

It stands before the way of an event, beside the simulation of now, and is pure: equal configurations give
equal bytes. Commission becomes final, users come back, refunds come late, an app grows after its users were
redirected: minutes show nothing of that. It is thin, so that it is counted within seconds: a few times a day
the shop opens for minutes, with the same people, rooms and habits as today.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from streams.sources.incidents import Incidents
from streams.sources.orders import Orders, Pace
from streams.sources.record import Calendar, Record
from streams.sources.rooms import Rooms
from streams.sources.shoppers import APPS_BEFORE, Shoppers
from streams.sources.simulation import charge_campaign, list_products
from streams.sources.stock import Stock
from streams.sources.world import MARKETS, World

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
# Two whole months of monthly users, before and after the rules begin, the day between them, and today.
DAYS: Final = 62
# In these hours (UTC) the shop opens for so long, and so many visits begin.
OPEN_HOURS: Final = (12, 20)
OPEN_MS: Final = 300_000
VISITS: Final = (24, 36)
# Few people, who come often: so some come back to a mini-program on the next day, and after a week.
SHOPPERS: Final = 80
# Parcels take days, not minutes; some money goes back when commission is final.
PACE: Final = Pace(slow=200, chargebacks=0.05, chargebacks_ms=(16 * DAY_MS, 30 * DAY_MS))
# A heartbeat speaks for a minute at most.
HEARTBEATS_MS: Final = (40_000, 55_000)
# Redirection began a month and a day ago, so both months are whole; visits a day by users of all apps.
RULES_DAYS_AGO: Final = 31
APP_USERS: Final = 2_000
APP_VISITS: Final = 54
APP_VISITS_BEFORE: Final = len(APPS_BEFORE)
# Refunds of orders from before the shop's first event.
OLD_REFUNDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """What decides the bytes: it ends before `end_ms` (UTC), and equal seeds give equal shops."""

    end_ms: int
    seed: int = 1
    days: int = DAYS

    @property
    def today_ms(self) -> int:
        """When the day of the end began."""
        return self.end_ms - self.end_ms % DAY_MS

    @property
    def start_ms(self) -> int:
        """When the first day began; the last is that of the end."""
        return self.today_ms - (self.days - 1) * DAY_MS


def history(config: HistoryConfig) -> Iterator[Record]:
    """All records in the order of their Kafka timestamps, which are their event times."""
    return _Past(config).records()


class _Past:
    """The shop as it was."""

    def __init__(self, config: HistoryConfig) -> None:
        self._start_ms, self._end_ms = config.start_ms, config.end_ms
        self._rules_ms = config.today_ms - RULES_DAYS_AGO * DAY_MS
        run = f"{zlib.crc32(f'history {config.seed} {config.end_ms}'.encode()):08x}"
        self._rng = random.Random(f"history {config.seed}")
        self._calendar = Calendar(run)
        self._world = World(config.seed, SHOPPERS)
        self._users = World(config.seed, APP_USERS)
        stock_rng = random.Random(f"old stock {config.seed}")
        self._stock = Stock(self._world, self._calendar, stock_rng, rate=0, start_ms=self._start_ms)
        nothing = Incidents((), self._start_ms)
        self._orders = Orders(self._calendar, nothing, self._rng, self._start_ms, self._stock, pace=PACE)
        self._rooms = Rooms(
            self._world,
            self._calendar,
            self._rng,
            per_market=1,
            heartbeats_ms=HEARTBEATS_MS,
        )
        self._shoppers = Shoppers(
            self._world,
            self._calendar,
            self._rng,
            rooms=self._rooms,
            orders=self._orders,
            incidents=nothing,
            start_ms=self._start_ms,
            delays_from_ms=None,
            rules_from_ms=self._rules_ms,
        )

    def records(self) -> Iterator[Record]:
        list_products(self._world, self._calendar, self._start_ms)
        self._stock.open(self._start_ms + 1)
        self._refund_old_orders()
        for hour_ms in range(self._start_ms, self._end_ms, HOUR_MS):
            self._spend(hour_ms)
            until_ms = min(hour_ms + HOUR_MS, self._end_ms)
            self._orders.advance_to(-(-until_ms // 1000))
            for record in self._calendar.take_until(-(-until_ms // 1000)):
                if record.timestamp_ms < self._end_ms:
                    yield record

    def _spend(self, hour_ms: int) -> None:
        """Write down what begins in this hour."""
        hour = hour_ms % DAY_MS // HOUR_MS
        charge_campaign(self._calendar, self._rng, hour_ms + 1_000)
        for _ in range(self._app_visits(hour_ms, hour)):
            market = self._users.market(self._rng.random())
            user = self._users.shopper(market, self._rng.random())
            self._shoppers.use_app(market, user, hour_ms + self._rng.randrange(60_000))
        # One that could not close before the end would look as if it had lost its heartbeat.
        if hour in OPEN_HOURS and hour_ms + HOUR_MS < self._end_ms:
            self._stock.advance(hour_ms // 1000)
            self._open(hour_ms + self._rng.randrange(HOUR_MS // 2), VISITS[OPEN_HOURS.index(hour)])

    def _app_visits(self, hour_ms: int, hour: int) -> int:
        """How many visits of this hour only tell of an app."""
        a_day = APP_VISITS if hour_ms >= self._rules_ms else APP_VISITS_BEFORE
        return a_day * (hour + 1) // 24 - a_day * hour // 24

    def _open(self, start_ms: int, visits: int) -> None:
        """The shop opens: rooms go on air, and visits begin."""
        self._rooms.open(start_ms)
        first, last = start_ms // 1000 + 6, (start_ms + OPEN_MS) // 1000
        begin = sorted(self._rng.randrange(first * 1000, last * 1000) for _ in range(visits))
        for second in range(first, last):
            self._rooms.advance(second)
            while begin and begin[0] < (second + 1) * 1000:
                self._shoppers.start_session(begin.pop(0))
        self._rooms.close(last * 1000)

    def _refund_old_orders(self) -> None:
        """Money goes back for orders that no event tells of."""
        for number in range(OLD_REFUNDS):
            market = MARKETS[number % len(MARKETS)]
            user = self._world.shopper(market, self._rng.random())
            body = (
                f'"platform":"{market.platforms[0]}",{user.context},"refund_id":"old-{number}",'
                f'"order_id":"old-{number}","currency":"{market.currency}",'
                f'"amount_minor":{self._rng.randint(500, 5_000)}'
            )
            at_ms = self._start_ms + (number + 1) * 3 * HOUR_MS
            self._calendar.put("purchases", "refund", at_ms, user.key, body)

"""Gauges of live rooms for alerts: rooms that fell silent, pinned products without stock, oversold products.

It stands between the read model and the exporter. A room that fell silent sells nothing and leaves the
ranking of the last half hour, so rooms are looked for among the largest of the last hours; what is shown of
them is bounded. Read at most every REFRESH_MS: each reading asks for a few hundred records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from streams.details import DetailsPlan, read_details
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.reading import Moment, RangeAt
from streams.rooms import STEP_MAX_MS, Room, pinned
from streams.samples import Remembered, Samples
from streams.scopes import LIVE, PRODUCT, ROOM
from streams.stock import Stocks
from streams.window import HOUR_MS, SECOND_MS, WindowError

REFRESH_MS = 10 * SECOND_MS
# A room that was last heard of before that is over, also if nobody said so.
LOST_AFTER_MS = 6 * HOUR_MS
# Rooms that are looked at, and pins of each of them: an overlay shows one product, seldom more.
LOOKED_AT_MAX = 200
PINS_MAX = 3
PRODUCTS_WINDOW = "30m"


class _Found(NamedTuple):
    """What one reading found.

    Attributes:
        heard_ms: by live, event time of its newest heartbeat (Unix milliseconds).
        stock: units left by live and pinned product, where that is known.
        oversold: units by product, where there are any.
    """

    heard_ms: Mapping[str, int]
    stock: Mapping[tuple[str, str], int]
    oversold: Mapping[str, int]


_NOTHING = _Found({}, {}, {})


class RoomGauges:
    """What is known of the largest rooms and their pins."""

    def __init__(self, model: ReadModel, ranking: Ranking, top_k: int) -> None:
        """`top_k`: how many rooms and products are named, and as many rooms more that fell silent."""
        self._model = model
        self._ranking = ranking
        self._top_k = top_k
        self._enabled = ROOM in model.figures.kinds
        self._found = Remembered(model.clock, REFRESH_MS, self._read)

    async def families(self) -> tuple[Samples, ...]:
        """Every family, read again if the last reading is REFRESH_MS old.

        Raises StoreUnavailableError and StoreCorruptError.
        """
        heard_ms, stock, oversold = await self._found.get() if self._enabled else _NOTHING
        return (
            Samples(
                "live_heartbeat_timestamp_seconds",
                "Newest heartbeat of a live that began and did not end.",
                ("live",),
                {(live,): at_ms / SECOND_MS for live, at_ms in heard_ms.items()},
            ),
            Samples(
                "pinned_stock_units",
                "Units left of a pinned product.",
                ("live", "product"),
                {place: units for place, units in stock.items()},
            ),
            Samples(
                "oversold_units",
                "Units sold beyond stock, of pinned products and those that sell most.",
                ("product",),
                {(product,): units for product, units in oversold.items()},
            ),
        )

    async def _read(self) -> _Found:
        try:
            lives = await self._largest(LIVE.name, _last_hours, LOOKED_AT_MAX)
            top = await self._largest(PRODUCT.name, PRODUCTS_WINDOW, self._top_k)
        except WindowError:
            return _NOTHING
        details = await read_details(self._model, DetailsPlan(lives=tuple(lives)))
        now_ms = self._model.clock()
        open_rooms = {live: details.rooms[live] for live in lives if is_open(details.rooms.get(live), now_ms)}
        shown = chosen(open_rooms, self._top_k, now_ms)
        heard_ms = {live: open_rooms[live].heartbeats[-1].time_ms for live in shown}
        pins = {live: [product for product, _ in pinned(open_rooms[live])[:PINS_MAX]] for live in shown}
        stocks = await self._stocks({*top, *(product for products in pins.values() for product in products)})
        left = {
            (live, product): stocks[product][0]
            for live, products in pins.items()
            for product in products
            if product in stocks
        }
        oversold = {product: units for product, (_, units) in stocks.items() if units > 0}
        return _Found(heard_ms, left, oversold)

    async def _largest(self, kind: str, window: str | RangeAt, limit: int) -> list[str]:
        """The largest values by GMV, then by views. Raises WindowError."""
        _, asked = await self._model.over(window)
        return (await self._ranking.tally(kind, asked.panes)).named(limit)

    async def _stocks(self, products: Iterable[str]) -> dict[str, tuple[int, int]]:
        """(units left, units oversold) of the products whose stock is known."""
        details = await read_details(self._model, DetailsPlan(products=tuple(sorted(products))))
        if not details.products:
            return {}
        view, stocks = await self._model.view(partial(Stocks, self._model, details.products))
        found: dict[str, tuple[int, int]] = {}
        for product, answer in stocks.answer(view).items():
            match answer:
                case {"units": int(units), "oversold_units": int(oversold)}:
                    found[product] = (units, oversold)
        return found


def is_open(room: Room | None, now_ms: int) -> bool:
    """Whether a live began, did not end, and was heard of lately enough to be missed."""
    if room is None or room.started_ms is None or room.ended_ms is not None or not room.heartbeats:
        return False
    return now_ms - room.heartbeats[-1].time_ms <= LOST_AFTER_MS


def chosen(rooms: Mapping[str, Room], top_k: int, now_ms: int) -> list[str]:
    """Of open rooms, the largest first: the first `top_k`, and as many of the others that fell silent."""
    lives = list(rooms)
    lost = [live for live in lives[top_k:] if now_ms - rooms[live].heartbeats[-1].time_ms > STEP_MAX_MS]
    return lives[:top_k] + lost[:top_k]


def _last_hours(moment: Moment) -> tuple[int, int]:
    """Whole hours up to the end of the one that is going on: few panes, of which one changes."""
    to_ms = (moment.now_ms // HOUR_MS + 1) * HOUR_MS
    return to_ms - HOUR_MS - LOST_AFTER_MS, to_ms

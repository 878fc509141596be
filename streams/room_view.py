"""One live room whole: what its host looks at, put together from few readings.

It stands behind the read model, beside the answers to single questions. What is known of the room is read
first (`room_facts`), its figures then; what was known last time makes one reading of each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from streams.answer import VALUE_CODE_POINTS_MAX, QuestionError, Scope
from streams.catalogue import GMV_PAID, ITEMS, ORDERS_IN_CURRENCY
from streams.details import listing
from streams.gathered import Pause
from streams.past_lives import NO_COMPARISON, PastLives
from streams.read_model import Answer, Entry, ReadModel
from streams.reading import READ_TRIES, Moment, View
from streams.requests import CellsRequest, Request, cells
from streams.room_facts import Facts, Hints, read_facts
from streams.scopes import LIVE, LIVE_PRODUCT, ROOM, pair_value
from streams.shared_reading import SharedReadings
from streams.sheet import Sheet
from streams.since import SOLD, money
from streams.stock import Stocks
from streams.window import MINUTE_MS, NAMED_WINDOWS, SECOND_MS, WindowError, named_range

PRODUCTS_SHOWN = 10
# So long only the best products of a live are looked at; then all that may have become one of them.
RANKED_FOR_MS = 10 * SECOND_MS
BEST = 2 * PRODUCTS_SHOWN
LIVES_REMEMBERED = 2_000
RATE_WINDOW = "5m"
TEN_SECONDS_MS = NAMED_WINDOWS[RATE_WINDOW].border_ms
# Sales of less time than this say nothing of a rate.
RATE_MIN_MS = 30 * SECOND_MS
TEN_MINUTES_MS = 10 * MINUTE_MS

_StockAnswers = Mapping[str, dict[str, object] | None]


@dataclass(frozen=True, slots=True)
class _Memory:
    """What made one reading enough the last time.

    Attributes:
        hints: what leads to the facts.
        best: products by what they brought, the first ones of which were shown.
        ranked_ms: when `best` was chosen among all candidates.
    """

    hints: Hints = field(default_factory=Hints)
    best: tuple[str, ...] = ()
    ranked_ms: int = 0


class RoomViews:
    """Live rooms as ``/api/v1/lives/LIVE`` answers them; remembers of each what to ask for next time."""

    def __init__(self, model: ReadModel, pause: Pause | None = None) -> None:
        self._model = model
        # Pages of many rooms are read together.
        self._readings = SharedReadings(model, pause)
        self._memories: OrderedDict[str, _Memory] = OrderedDict()

    async def read(self, live_id: str) -> dict[str, object]:
        """The answer. Raises UnknownLiveError (a QuestionError) for a live that no event has told of,
        QuestionError, FigureTooLarge, StoreUnavailableError."""
        if ROOM not in self._model.figures.kinds:
            raise QuestionError("live rooms are not kept with these SHOP_PULSE_FIGURES")
        if not 1 <= len(live_id) <= VALUE_CODE_POINTS_MAX:
            raise QuestionError(f"the id of a live has 1 to {VALUE_CODE_POINTS_MAX} characters")
        memory = self._memories.pop(live_id, _Memory())
        shown = memory.best[:PRODUCTS_SHOWN]
        hints = memory.hints
        for _ in range(READ_TRIES):
            facts = await read_facts(self._model, self._readings, live_id, hints, shown)
            hints = facts.hints
            looked_at, ranked_ms = self._looked_at(facts, memory)
            view, plan = await self._readings.view(partial(_Plan, self._model, facts, looked_at))
            best = plan.best(view)
            if set(shown).issuperset(best[:PRODUCTS_SHOWN]):
                break
            shown = best[:PRODUCTS_SHOWN]
        self._memories[live_id] = _Memory(hints, best, ranked_ms)
        while len(self._memories) > LIVES_REMEMBERED:
            self._memories.popitem(last=False)
        return await plan.answer(view, best[:PRODUCTS_SHOWN])

    def _looked_at(self, facts: Facts, memory: _Memory) -> tuple[tuple[str, ...], int]:
        """The products of which all is read, and when these were chosen among all."""
        now_ms = self._model.clock()
        if len(facts.candidates) > BEST and now_ms - memory.ranked_ms < RANKED_FOR_MS:
            return memory.best, memory.ranked_ms
        return facts.candidates, now_ms


class _Plan:
    """What is read for a room's figures, at a moment."""

    def __init__(self, model: ReadModel, facts: Facts, looked_at: tuple[str, ...], moment: Moment) -> None:
        self._model = model
        self._facts = facts
        self._looked_at = looked_at
        self._moment = moment
        to_ms = -(-moment.now_ms // TEN_SECONDS_MS) * TEN_SECONDS_MS
        self._now = self._entry(named_range(RATE_WINDOW, moment.now_ms))
        self._last = self._entry((to_ms - TEN_MINUTES_MS, to_ms))
        self._previous = self._entry((to_ms - 2 * TEN_MINUTES_MS, to_ms - TEN_MINUTES_MS))
        self._since_start = self._whole()
        self._products = self._cells_of_products()
        self._stocks = Stocks(model, facts.products, moment)
        self._on_air_ms = self._time_on_air()
        self._past = None
        if self._on_air_ms is not None:
            self._past = PastLives(model, facts.creators, facts.live_id, self._on_air_ms, moment)

    @property
    def requests(self) -> list[Request]:
        """All of it."""
        entries = [each for each in (self._now, self._last, self._previous, self._since_start) if each]
        further = [] if self._products is None else [self._products]
        past = [] if self._past is None else self._past.requests
        return [
            *(request for each in entries for request in each.requests),
            *further,
            *self._stocks.requests,
            *past,
        ]

    def _entry(self, range_ms: tuple[int, int]) -> Entry:
        sheet = Sheet(self._model, Scope(LIVE.name, self._facts.live_id), range_ms, self._moment)
        return Entry(self._model, sheet, self._facts.details, self._moment)

    def _whole(self) -> Entry | None:
        """The live since its start; None while that is not known, or where nothing of it is kept."""
        started_ms = self._facts.hints.started_ms
        if started_ms is None:
            return None
        try:
            return self._entry(self._model.since_start(started_ms)(self._moment))
        except WindowError:
            return None

    def _cells_of_products(self) -> CellsRequest | None:
        if self._since_start is None or not self._looked_at:
            return None
        measures = [*SOLD.values(), ITEMS.name, *map(GMV_PAID.stored_as, self._moment.currencies)]
        # In an order of their own: with each sale another is best, and what was asked before is remembered.
        values = [pair_value(self._facts.live_id, product) for product in sorted(self._looked_at)]
        fields = [f"{measure}|{value}" for value in values for measure in measures]
        return cells(LIVE_PRODUCT.name, self._since_start.sheet.range.panes, fields)

    def _time_on_air(self) -> tuple[int, int] | None:
        """From the live's start to now, or to its end."""
        started_ms, room = self._facts.hints.started_ms, self._facts.room
        if started_ms is None:
            return None
        ended_ms = self._moment.now_ms if room is None or room.ended_ms is None else room.ended_ms
        return started_ms, max(min(ended_ms, self._moment.now_ms), started_ms)

    def _sold(self, view: View) -> dict[str, dict[str, int]]:
        """What was sold of the products that are looked at since the start: totals by product."""
        if self._products is None:
            return {}
        found = view.values(self._products)
        live_id = self._facts.live_id
        return {of: found.get(pair_value(live_id, of), {}) for of in self._looked_at}

    def best(self, view: View) -> tuple[str, ...]:
        """The products with most GMV: in the currency with most orders first, others break ties."""
        if self._since_start is None:
            return ()
        orders = self._since_start.sheet.totals(view).own
        currencies = sorted(
            self._moment.currencies, key=lambda each: -orders.get(ORDERS_IN_CURRENCY.stored_as(each), 0)
        )
        sold = self._sold(view)

        def rank(product: str) -> tuple[object, ...]:
            gmv = money(sold[product], currencies)
            return (*(-gmv[currency] for currency in currencies), product)

        return tuple(sorted(sold, key=rank)[:BEST])

    async def answer(self, view: View, top: tuple[str, ...]) -> dict[str, object]:
        """The answer of ``/api/v1/lives/LIVE``."""
        facts, room = self._facts, self._facts.room
        now = await self._filled(view, self._now)
        stocks = self._stocks.answer(view)
        on_air = self._on_air_ms
        return {
            "live_id": facts.live_id,
            "title": None,
            "creator_id": facts.hints.creator_id,
            "started_ms": facts.hints.started_ms,
            "ended_ms": None if room is None else room.ended_ms,
            "now": now,
            "since_start": None if self._since_start is None else await self._filled(view, self._since_start),
            "last_10m": await self._filled(view, self._last),
            "previous_10m": await self._filled(view, self._previous),
            "orders_per_minute": self._orders_per_minute(now),
            "products": self._shown_products(view, top, stocks),
            "pinned": self._shown_pins(view, stocks),
            **(NO_COMPARISON if self._past is None else self._past.answer(view)),
            "minute": None if on_air is None else (on_air[1] - on_air[0]) // MINUTE_MS,
        }

    def _orders_per_minute(self, now: Answer) -> float | None:
        """Over the part of the window that the live was on air and of which the log was read."""
        from_ms, to_ms = self._now.sheet.range_ms
        orders, as_of_ms = now["orders"], now["as_of_ms"]
        if not isinstance(orders, int) or not isinstance(as_of_ms, int):
            return None
        length_ms = min(to_ms, as_of_ms) - max(from_ms, self._facts.hints.started_ms or from_ms)
        return orders * MINUTE_MS / length_ms if length_ms >= RATE_MIN_MS else None

    async def _filled(self, view: View, entry: Entry) -> Answer:
        trusted = await self._model.trust(view, entry.sheet.range_ms, LIVE.name)
        return entry.answer(view, trusted)

    def _shown_products(
        self, view: View, top: tuple[str, ...], stocks: _StockAnswers
    ) -> list[dict[str, object]] | None:
        """None where what was sold since the start is not known."""
        if self._since_start is None:
            return None
        sold = self._sold(view)
        pins = {} if self._now.pins is None else self._now.pins.products
        shown: list[Answer] = []
        for product in top:
            totals, pin = sold[product], pins.get(product)
            counts = {name: totals.get(measure, 0) for name, measure in SOLD.items()}
            shown.append(
                {
                    "product_id": product,
                    **listing(self._facts.products.get(product)),
                    "orders": counts["orders"],
                    "items": totals.get(ITEMS.name, 0),
                    "gmv_paid_minor": money(totals, self._moment.currencies),
                    "tag_taps": counts["tag_taps"],
                    "add_to_carts": counts["add_to_carts"],
                    "stock": stocks.get(product),
                    "pinned_since_ms": None if pin is None else pin.from_ms,
                }
            )
        return shown

    def _shown_pins(self, view: View, stocks: _StockAnswers) -> list[Answer]:
        pins = [] if self._now.pins is None else self._now.pins.answer(view)
        shown: list[Answer] = []
        for pin in pins:
            product = str(pin["product_id"])
            known = listing(self._facts.products.get(product))
            shown.append({**pin, **known, "stock": stocks.get(product)})
        return shown

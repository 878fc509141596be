"""What became of an order after it was paid: shipped, delivered (on time?), completed, cancelled, reviewed.

Behind the verdicts, beside the money. Purchases and statuses come in the log of the order service, reviews
in that of `engagement`, in whatever order: so a record holds what was said of an order as sets, and what it
is worth is a function of these sets alone. Whatever comes changes the figures by the difference.
"""

from __future__ import annotations

from types import MappingProxyType

import msgspec

from schemas.events import Event, OrderStatus, Purchase, Review
from streams.booking import Books, Entry
from streams.figures.after_purchase import (
    CANCELLED,
    COMPLETED,
    DELIVERED,
    DELIVERY_TIMES,
    ON_TIME,
    REVIEWED,
    SHIPPED,
)
from streams.kpi import FigureSet, Measure
from streams.ledger import Ledger, OrderLine, day_of
from streams.orders import TOPIC, lines_of, order_scopes
from streams.story import Chunk, Shelf
from streams.window import DAY_MS, SECOND_MS

# What is said of an order counts from the day before its purchase (clocks differ) up to this many days after.
FOLLOWED_DAYS = 60
# How far apart the two topics may be read, beside their lateness.
APART_DAYS = 7

_TOPICS = frozenset({TOPIC, "engagement"})
_REVIEWED = "reviewed"
_MEASURES = MappingProxyType(
    {"shipped": SHIPPED, "delivered": DELIVERED, "completed": COMPLETED, "cancelled": CANCELLED}
)


class Bought(msgspec.Struct, array_like=True):
    """A purchase: event time, order-level values as in `Order`, and the lines' values, without amounts."""

    time_ms: int
    scopes: tuple[str | None, ...]
    lines: list[OrderLine]


class Journey(msgspec.Struct, array_like=True):
    """What was said of one order of one user.

    Attributes:
        filed_day: the latest day of anything in it.
        bought: its purchases; more than one only where an order id was used again after weeks.
        steps: by step and UTC day, in one word (``delivered:20453``), the earliest time in ms.
    """

    filed_day: int
    bought: list[Bought] = []
    steps: dict[str, int] = {}


def journey_id(user_id: str, order_id: str) -> str:
    """Name of an order among the journeys: only its own buyer can review it, whatever else lies here."""
    return f"{len(user_id)}:{user_id}{order_id}"


class AfterPurchaseBook:
    """The orders of one partition number, from the purchase on."""

    def __init__(self, books: Books, figures: FigureSet, on_time_days: int, lateness_ms: int) -> None:
        """`lateness_ms`: how far behind ingest time an event of the order service may be."""
        self.journeys = Ledger("journeys", Journey)
        self.enabled = DELIVERED.name in figures.measures
        self._books = books
        self._on_time_ms = on_time_days * DAY_MS
        # No event that is accepted belongs to a purchase that lies further back.
        self._remembered_days = FOLLOWED_DAYS + 1 - (-lateness_ms // DAY_MS) + APART_DAYS

    @property
    def topics(self) -> frozenset[str]:
        """Orders and reviews."""
        return _TOPICS if self.enabled else frozenset()

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """The journeys: longer than `_kept` keeps anything of them, so a late deletion changes nothing."""
        return (Shelf(self.journeys, _TOPICS, self._remembered_days + 3),)

    def ids(self, chunk: Chunk) -> dict[str, list[str]]:
        """Orders whose journeys must be loaded before `accept`."""
        return {self.journeys.name: [told for event in chunk.events if (told := _order_of(event))]}

    def accept(self, chunk: Chunk) -> None:
        """Takes up accepted, real events; those that say nothing of an order are passed over."""
        for event, ingest_ms in zip(chunk.events, chunk.ingest_ms, strict=True):
            told = _order_of(event)
            if told is not None:
                self._accept(told, event, ingest_ms)

    def _accept(self, told: str, event: Event, ingest_ms: int) -> None:
        day = day_of(event.event_time_ms)
        before = self.journeys.get(told) or Journey(day)
        journey = Journey(max(day, before.filed_day), *self._kept(before, day_of(ingest_ms)))
        worth = [self._worth(each, journey) for each in journey.bought]
        if isinstance(event, Purchase):
            journey.bought.append(Bought(event.event_time_ms, order_scopes(event), _values(event)))
            worth.append(frozenset())
        else:
            step = event.status if isinstance(event, OrderStatus) else _REVIEWED
            at = f"{step}:{day}"
            journey.steps[at] = min(journey.steps.get(at, event.event_time_ms), event.event_time_ms)
        for each, known in zip(journey.bought, worth, strict=True):
            now = self._worth(each, journey)
            entries = [Entry(measure, 1) for measure in now - known]
            entries += [Entry(measure, -1) for measure in known - now]
            if entries:
                self._books.book(each.time_ms, each.scopes, entries, each.lines)
        self.journeys.put(told, journey)

    def _kept(self, journey: Journey, today: int) -> tuple[list[Bought], dict[str, int]]:
        """What may still change or matter; a purchase that is kept keeps all its steps."""
        from_day = today - self._remembered_days
        bought = [each for each in journey.bought if day_of(each.time_ms) >= from_day]
        steps = {at: ms for at, ms in journey.steps.items() if day_of(ms) >= from_day - 1}
        return bought, steps

    def _worth(self, bought: Bought, journey: Journey) -> frozenset[Measure]:
        """What counts one purchase, by what was said of its order."""
        earliest_ms: dict[str, int] = {}
        for at, time_ms in journey.steps.items():
            if -1 <= day_of(time_ms) - day_of(bought.time_ms) <= FOLLOWED_DAYS:
                step = at.partition(":")[0]
                earliest_ms[step] = min(earliest_ms.get(step, time_ms), time_ms)
        worth = {measure for step, measure in _MEASURES.items() if step in earliest_ms}
        if "delivered" in earliest_ms:
            took_ms = earliest_ms["delivered"] - bought.time_ms
            uppers = (upper_s for upper_s in DELIVERY_TIMES if took_ms <= upper_s * SECOND_MS)
            worth.add(DELIVERY_TIMES[next(uppers)])
            if took_ms <= self._on_time_ms:
                worth.add(ON_TIME)
            if _REVIEWED in earliest_ms:
                worth.add(REVIEWED)
        return frozenset(worth)


def _order_of(event: Event) -> str | None:
    """The journey that an event says something of; None for what belongs to other stories."""
    match event:
        case Purchase() | OrderStatus():
            # That an order was placed says no more than that there is one.
            return (
                None
                if getattr(event, "status", "") == "placed"
                else journey_id(event.user_id, event.order_id)
            )
        case Review(order_id=str(order_id)):
            return journey_id(event.user_id, order_id)
    return None


def _values(purchase: Purchase) -> list[OrderLine]:
    """One line for each combination of the values that it is counted by here, without amounts."""
    found: dict[tuple[str | None, ...], OrderLine] = {}
    for line in lines_of(purchase):
        values = (line.brand, line.merchant, line.affiliate)
        one = OrderLine(line.product, None, None, None, *values, 0, 0, 0, 0, 0, 0)
        found.setdefault((line.product, *values), one)
    return list(found.values())

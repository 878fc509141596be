"""Sessions for tests: events by hand, a shop that reads them, and a recomputation that sorts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.events import (
    AddToCart,
    BeginCheckout,
    LiveJoin,
    LiveLike,
    MiniProgramOpen,
    Payment,
    ProductView,
    Purchase,
    PurchaseItem,
    RemoveFromCart,
    TagTap,
    View,
)
from streams.catalogue import CONVERT_BUCKETS_S
from streams.funnel import SessionBook, SessionRecord
from streams.kpis import FIGURE_SETS
from streams.scopes import pair_value
from streams.sums import Sums
from streams.window import PaneSize

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
NOON = 1_767_614_400_000
LATENESS = 5 * MINUTE
HORIZON = 15 * MINUTE
ALWAYS = PaneSize("10s", 10 * SECOND, 1_000 * DAY)
FIGURES = FIGURE_SETS["all"]
TOPICS: dict[Any, str] = {
    **dict.fromkeys((View, MiniProgramOpen, ProductView), "views"),
    **dict.fromkeys((AddToCart, BeginCheckout, RemoveFromCart), "carts"),
    **dict.fromkeys((LiveJoin, LiveLike), "livestreams"),
    **dict.fromkeys((Payment, Purchase), "purchases"),
    TagTap: "tag-taps",
}
OWN_FIELDS: dict[Any, dict[str, Any]] = {
    MiniProgramOpen: {"mini_program_id": "m", "entry": "search"},
    LiveJoin: {"live_id": "L1"},
    LiveLike: {"live_id": "L1"},
    ProductView: {"product_id": "p"},
    TagTap: {"product_id": "p"},
    AddToCart: {"product_id": "p", "quantity": 1, "unit_price_minor": 1, "currency": "USD"},
    RemoveFromCart: {"product_id": "p", "quantity": 1, "unit_price_minor": 1, "currency": "USD"},
    Payment: {"order_id": "o", "gateway": "g", "outcome": "started"},
    Purchase: {"order_id": "o", "gateway": "g", "currency": "USD", "items": ()},
}
Cells = Counter[tuple[str, str, str, int]]  # (kind, value, measure, start of the pane)


@dataclass(frozen=True)
class Arrival:
    """An event with its topic's ingest time at its record."""

    event: Any
    ingest_ms: int

    @property
    def topic(self) -> str:
        """Base name of the event's topic."""
        return TOPICS[type(self.event)]


def at(time_ms: int, cls: Any = View, ingest_ms: int | None = None, /, **fields: Any) -> Arrival:
    """An event at NOON + `time_ms`, read at its own time where nothing else is said."""
    head = {"event_id": "e", "platform": "tiktok", "user_id": "u", "session_id": "s"}
    made = cls(event_time_ms=NOON + time_ms, **(head | OWN_FIELDS.get(cls, {}) | fields))
    return Arrival(made, NOON + (time_ms if ingest_ms is None else ingest_ms))


def lines(*scopes: tuple[str | None, str | None]) -> tuple[PurchaseItem, ...]:
    """Lines of a purchase with their own live and creator."""
    return tuple(
        PurchaseItem(product_id="p", quantity=1, unit_price_minor=1, live_id=live, creator_id=creator)
        for live, creator in scopes
    )


def everything(_kind: str, _time_ms: int, _value: str) -> bool:
    """No cap was met."""
    return True


class Shop:
    """A book of sessions with what it saved."""

    def __init__(
        self, allowed: Callable[[str, int, str], bool] = everything, horizon_ms: int = HORIZON
    ) -> None:
        self.sums = Sums(FIGURES, (ALWAYS,))
        self.stored: dict[str, bytes] = {}
        self.book = SessionBook(FIGURES, self.sums, LATENESS, horizon_ms)
        self._allowed = allowed
        self._horizon_ms = horizon_ms

    def read(self, topic: str, arrivals: Sequence[Arrival]) -> None:
        """One chunk of a topic, as the owner hands it over."""
        events = [arrival.event for arrival in arrivals]
        ingest_ms = [arrival.ingest_ms for arrival in arrivals]
        records = self.book.records
        while missing := records.missing(self.book.ids(topic, events, ingest_ms)):
            records.load({name: self.stored.get(name) for name in missing})
        self.book.accept(topic, events, ingest_ms, self._allowed)

    def read_all(self, arrivals: Iterable[Arrival]) -> Shop:
        """Each event as a chunk of its own."""
        for arrival in arrivals:
            self.read(arrival.topic, [arrival])
        return self

    def save(self) -> dict[int, list[str]]:
        """A write; what it filed."""
        write = self.book.records.take()
        self.stored.update(write.records)
        return write.filed

    def restart(self) -> None:
        """Saves; another owner goes on."""
        self.save()
        self.book = SessionBook(FIGURES, self.sums, LATENESS, self._horizon_ms)

    def records(self) -> dict[str, SessionRecord]:
        """What is saved, by id."""
        self.restart()
        self.book.records.load(self.stored)
        return {name: found for name in self.stored if (found := self.book.records.get(name))}

    def cells(self) -> Cells:
        """Everything counted so far; to be asked once."""
        writes, _ = self.sums.take(NOON)
        found: Cells = Counter()
        for write in writes:
            assert not write.deltas
            for name, amount in write.absolute.items():
                measure, _, value = name.partition("|")
                if amount:
                    found[write.kind, value, measure, write.pane.start_ms - NOON] = amount
        return found


# What the contract says, in the plainest way -------------------------------------------------------------

VIEWS = (View, LiveJoin, MiniProgramOpen)
STEPS: dict[str, tuple[tuple[str, Callable[[Any], bool]], ...]] = {
    "sessions": (
        ("view", lambda event: isinstance(event, VIEWS)),
        ("tag_tap", lambda event: isinstance(event, TagTap)),
        ("add_to_cart", lambda event: isinstance(event, AddToCart | BeginCheckout)),
        ("purchase", lambda event: isinstance(event, Purchase)),
    ),
    "checkouts": (
        ("begin_checkout", lambda event: isinstance(event, BeginCheckout)),
        ("payment_started", lambda event: isinstance(event, Payment) and event.outcome == "started"),
        ("payment_authorised", lambda event: isinstance(event, Payment) and event.outcome == "authorised"),
        ("purchase", lambda event: isinstance(event, Purchase)),
    ),
}


def _is_step(arrival: Arrival) -> bool:
    event = arrival.event
    step = any(holds(event) for funnel in STEPS.values() for _, holds in funnel)
    return step and event.session_id is not None and arrival.ingest_ms - event.event_time_ms <= LATENESS


def _scopes(event: Any, allowed: Callable[[str, int, str], bool]) -> Iterator[tuple[str, str]]:
    yield "all", ""
    yield "platform", event.platform
    if event.surface is not None:
        yield "surface", event.surface
        yield "platform,surface", pair_value(event.platform, event.surface)
    items = event.items if isinstance(event, Purchase) else ()
    for kind, field in (("live", "live_id"), ("creator", "creator_id")):
        for value in {getattr(each, field) for each in (event, *items)} - {None}:
            if allowed(kind, event.event_time_ms, value):
                yield kind, value


def _funnel(events: list[Any], name: str, times_max: int) -> list[int]:
    reached: list[int] = []
    for _, holds in STEPS[name]:
        times = sorted({event.event_time_ms for event in events if holds(event)})[:times_max]
        if reached:
            times = [time for time in times if reached[-1] <= time <= reached[0] + DAY]
        if not times:
            break
        reached.append(times[0])
    return reached


def _count_session(cells: Cells, events: list[Any], times_max: int, allowed: Any, horizon_ms: int) -> None:
    for scope in {scope for event in events for scope in _scopes(event, allowed)}:
        ours = [event for event in events if scope in set(_scopes(event, allowed))]
        for name, steps in STEPS.items():
            reached = _funnel(ours, name, times_max)
            if not reached:
                continue
            start_ms = reached[0] // 10_000 * 10_000 - NOON
            for (step, _), time in zip(steps, reached, strict=False):
                cells[*scope, f"{name}.{step}", start_ms] += 1
                if name == "sessions" and step != "view" and time - reached[0] <= horizon_ms:
                    cells[*scope, f"prompt.{step}", start_ms] += 1
            if name == "sessions" and len(reached) == 4:
                took_ms = reached[3] - reached[0]
                bucket = min(upper_s for upper_s in CONVERT_BUCKETS_S if took_ms <= upper_s * 1_000)
                cells[*scope, f"time_to_convert.{bucket}", start_ms] += 1


def recomputed(
    arrivals: Iterable[Arrival],
    times_max: int = 64,
    allowed: Callable[[str, int, str], bool] = everything,
    horizon_ms: int = HORIZON,
) -> Cells:
    """Every cell, from the set of arrivals."""
    cells: Cells = Counter()
    sessions: dict[tuple[str, str], list[Arrival]] = {}
    for arrival in filter(_is_step, arrivals):
        sessions.setdefault((arrival.event.user_id, arrival.event.session_id), []).append(arrival)
    for session in sessions.values():
        left = session
        while left:
            earliest = min(each.event.event_time_ms for each in left)
            ours = [each.event for each in left if each.ingest_ms <= earliest + DAY + 15 * MINUTE]
            _count_session(cells, ours, times_max, allowed, horizon_ms)
            for each in left:
                if earliest + DAY + 15 * MINUTE < each.ingest_ms <= earliest + 2 * DAY:
                    start_ms = each.ingest_ms // 10_000 * 10_000 - NOON
                    cells["pipeline", each.topic, "sessions_expired", start_ms] += 1
            left = [each for each in left if each.ingest_ms > earliest + 2 * DAY]
    return cells

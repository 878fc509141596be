"""To whom a line of an order belongs that names neither live nor creator: to those of its buyer's last tap.

The last accepted, real tap on the line's product, at most WINDOW_MS before the purchase, decides, whichever
of the two is read first: a purchase looks up the taps that are known, and waits for those to come.
Of two taps the later one by (event time, offset) holds, so the order of reading cannot change the outcome.
It stands beside the orders: they ask when a purchase is booked; a tap that changes one books it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from schemas.events import Purchase, TagTap
from streams import order_entries
from streams.booking import Books
from streams.ledger import Ledger, Order, day_of
from streams.story import Chunk, Shelf
from streams.window import DAY_MS

# A tap speaks for what its user buys in so long.
WINDOW_MS: Final = DAY_MS
# Taps are not put together into runs: a late one may still fall between two of them.
# Bounds of a record, each the first in its topic's offset order; nobody taps or buys so often in a day.
TAPS_MAX: Final = 200
ORDERS_MAX: Final = 200
# Before every tap: of a line that a tap may give to somebody.
NO_TAP: Final = (-1, -1)
# Orders are named by ids of at most 64 code points. One whose id was taken again has a longer name.
_REPLACED_WIDTH: Final = 65

_TAPS: Final = "tag-taps"
_TOPICS = frozenset({_TAPS, "purchases"})


class Tap(NamedTuple):
    """What a tap said; sorts by event time, then offset."""

    time_ms: int
    offset: int
    product: str
    live: str | None
    creator: str | None


class Waiting(NamedTuple):
    """An order that a tap may still change: its name among the orders, and its event time."""

    order: str
    time_ms: int


class UserDay(msgspec.Struct, array_like=True):
    """A user on one UTC day of event time.

    Attributes:
        filed_day: the day.
        taps: the day's first TAPS_MAX taps in offset order.
        orders: how many orders of the day asked for taps.
        waiting: orders that a tap of this day may still change; of this day and of the next one.
    """

    filed_day: int
    taps: list[Tap] = []
    orders: int = 0
    waiting: list[Waiting] = []


class AttributionBook:
    """The taps of one partition number, and the orders that wait for more of them."""

    def __init__(
        self,
        books: Books,
        orders: Ledger[Order],
        *,
        enabled: bool,
        lateness_ms: int,
        purchase_lateness_ms: int,
        taps_read_ms: Callable[[], int],
    ) -> None:
        """`taps_read_ms` gives the ingest time up to which taps were read, `lateness_ms` is theirs."""
        self.days = Ledger("taps", UserDay)
        self.enabled = enabled
        self._books = books
        self._orders = orders
        self._lateness_ms = lateness_ms
        self._kept_days = 1 + -(-max(lateness_ms, purchase_lateness_ms) // DAY_MS)
        self._taps_read_ms = taps_read_ms

    @property
    def topics(self) -> frozenset[str]:
        """Taps; and purchases, which ask for them."""
        return _TOPICS if self.enabled else frozenset()

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """Taps, as long as a purchase within the window may still be accepted."""
        return (Shelf(self.days, _TOPICS, self._kept_days),)

    def ids(self, chunk: Chunk) -> dict[str, list[str]]:
        """Ids by ledger that must be loaded before `accept`, or before the orders ask."""
        if chunk.topic == _TAPS:
            return self._ids_of_taps(chunk)
        return {self.days.name: list(chain.from_iterable(map(self._names, chunk.events)))}

    def _names(self, event: object) -> Iterator[str]:
        if not isinstance(event, Purchase):
            return
        if event.traffic == "real" and _has_open_items(event):
            yield from _around(event.user_id, event.event_time_ms)
        # One whose id is taken again by this purchase keeps its place among those that wait.
        known = self._orders.peek(event.order_id)
        if known is not None and self._is_waiting(known.time_ms):
            yield from _around(known.user, known.time_ms)

    def _ids_of_taps(self, chunk: Chunk) -> dict[str, list[str]]:
        days: list[str] = []
        orders: list[str] = []
        for event in chunk.events:
            if isinstance(event, TagTap):
                name = _name(event.user_id, day_of(event.event_time_ms))
                days.append(name)
                day = self.days.peek(name)
                if day is not None and day.waiting:
                    orders += [each.order for each in day.waiting if _speaks_for(event.event_time_ms, each)]
        return {self.days.name: days, self._orders.name: orders}

    def accept(self, chunk: Chunk) -> None:
        """Takes up accepted, real taps; purchases ask by `attribute`."""
        if chunk.topic != _TAPS:
            return
        for event, record, ingest_ms in zip(chunk.events, chunk.records, chunk.ingest_ms, strict=True):
            if isinstance(event, TagTap):
                tap = Tap(
                    event.event_time_ms, record.offset, event.product_id, event.live_id, event.creator_id
                )
                self._accept(event.user_id, tap, ingest_ms)

    def _accept(self, user: str, tap: Tap, ingest_ms: int) -> None:
        name = _name(user, day_of(tap.time_ms))
        day = self.days.get(name) or UserDay(day_of(tap.time_ms))
        if len(day.taps) >= TAPS_MAX:
            return
        day.taps.append(tap)
        if day.waiting:
            # No tap at or before these is accepted any more.
            done_ms = ingest_ms - self._lateness_ms
            day.waiting = [each for each in day.waiting if each.time_ms >= done_ms]
            for each in day.waiting:
                if _speaks_for(tap.time_ms, each):
                    self._reconsider(each.order, tap)
        self.days.put(name, day)

    def _reconsider(self, name: str, tap: Tap) -> None:
        """Gives the order's lines of the product to whom the tap names, unless a later tap spoke for them."""
        order = self._orders.get(name)
        if order is None:
            return
        ours = [
            line
            for line in order.lines
            if line.product == tap.product and line.tap is not None and line.tap < tap[:2]
        ]
        moves = any((line.live, line.creator) != (tap.live, tap.creator) for line in ours)
        with order_entries.rebooked(self._books, order) if moves else nullcontext():
            for line in ours:
                line.tap, line.live, line.creator = tap[:2], tap.live, tap.creator
        if ours:
            self._orders.put(name, order)

    def attribute(self, order_id: str, order: Order) -> None:
        """Gives the lines of a new order that name nobody to whom the taps say, before it is booked.

        Its id may be that of an order before it, which no repetition is any more.
        """
        if not self.enabled:
            return
        self._replace(order_id)
        lines = [line for line in order.lines if line.live is None and line.creator is None]
        if order.excluded or not lines:
            return
        day, day_before = (
            (name, self.days.get(name) or UserDay(at)) for name, at in _days_around(order.user, order.time_ms)
        )
        if day[1].orders >= ORDERS_MAX:
            return
        day[1].orders += 1
        last: dict[str, Tap] = {}
        for tap in chain(day_before[1].taps, day[1].taps):
            if order.time_ms - WINDOW_MS <= tap.time_ms <= order.time_ms:
                last[tap.product] = max(tap, last.get(tap.product, tap))
        for line in lines:
            line.tap = NO_TAP
            if line.product in last:
                tap = last[line.product]
                line.tap, line.live, line.creator = tap[:2], tap.live, tap.creator
        if self._is_waiting(order.time_ms):
            day[1].waiting.append(Waiting(order_id, order.time_ms))
        self.days.put(*day)
        # Seldom: only until the taps of the day before are all in.
        if self._is_waiting(day[1].filed_day * DAY_MS - 1):
            day_before[1].waiting.append(Waiting(order_id, order.time_ms))
            self.days.put(*day_before)

    def _replace(self, order_id: str) -> None:
        """Keeps the order whose id is taken again under another name, if taps may still change it."""
        before = self._orders.get(order_id)
        if before is None or not self._is_waiting(before.time_ms):
            return
        if all(line.tap is None for line in before.lines):
            return
        old = Waiting(order_id, before.time_ms)
        kept = Waiting(f"{before.accepted_minute:>{_REPLACED_WIDTH}}:{order_id}", before.time_ms)
        for name in _around(before.user, before.time_ms):
            day = self.days.get(name)
            if day is not None and old in day.waiting:
                day.waiting[day.waiting.index(old)] = kept
                self.days.put(name, day)
                self._orders.put(kept.order, before)

    def _is_waiting(self, time_ms: int) -> bool:
        """Whether a tap at this time or before may still be accepted."""
        return self._taps_read_ms() - self._lateness_ms <= time_ms


def _has_open_items(event: Purchase) -> bool:
    """Whether any line names neither live nor creator."""
    if event.live_id is not None or event.creator_id is not None:
        return False
    return any(item.live_id is None and item.creator_id is None for item in event.items)


def _speaks_for(tap_ms: int, order: Waiting) -> bool:
    return order.time_ms - WINDOW_MS <= tap_ms <= order.time_ms


def _name(user: str, day: int) -> str:
    """The name of a user's day among the records."""
    return f"{day}:{user}"


def _days_around(user: str, time_ms: int) -> tuple[tuple[str, int], tuple[str, int]]:
    """The two days, latest first, of which taps may speak for a purchase at this time."""
    day = day_of(time_ms)
    return (_name(user, day), day), (_name(user, day - 1), day - 1)


def _around(user: str, time_ms: int) -> tuple[str, str]:
    """Their names."""
    (day, _), (day_before, _) = _days_around(user, time_ms)
    return day, day_before

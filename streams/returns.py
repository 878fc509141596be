"""Who comes back to a mini-program: on which days each of its users opened it.

Behind the counting of events. A user lives in one partition number and opens come in one topic, so all of it
is a function of that log's prefix; which days are known, not in which order they came, decides.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from schemas.events import MiniProgramOpen
from streams.figures.mini_programs import OPENED, RETURNS
from streams.kpi import FigureSet, Measure
from streams.ledger import Ledger, day_of
from streams.scopes import OTHER, pair_value
from streams.story import Chunk, Shelf
from streams.story_books import StoryBooks
from streams.sums import Sums
from streams.window import DAY_MS

_TOPIC = "views"
_TOPICS = frozenset({_TOPIC})
_LAST_RETURN_DAYS = max(RETURNS)


class Visits(msgspec.Struct, array_like=True, gc=False):
    """The days on which a user opened a mini-program.

    Attributes:
        filed_day: the latest of them.
        days: bit n stands for the day n days before the latest.
        moved: those of these days on which the mini-program was counted under `other`.
    """

    filed_day: int
    days: int
    moved: int


class _Booking(NamedTuple):
    """A measure that the user counts in, on a day; `is_moved`: with a mini-program under `other`."""

    measure: Measure
    day: int
    is_moved: bool


class ReturnBook:
    """The users of mini-programs in one partition number."""

    def __init__(self, figures: FigureSet, sums: Sums, lateness_ms: int) -> None:
        """`lateness_ms`: how far behind ingest time an open may be."""
        self.records = Ledger("visits", Visits)
        self.enabled = OPENED.name in figures.measures
        self._admission = sums.admission
        self._books = StoryBooks(figures, sums)
        self._kinds = [kind.name for kind in self._books.kept(OPENED)]
        self._late_days = lateness_ms // DAY_MS
        # A late open is a day older than the latest, or more where the limit is wide; days around it count.
        self._mask = (1 << _LAST_RETURN_DAYS + self._late_days + 3) - 1

    @property
    def topics(self) -> frozenset[str]:
        """The topic of opens."""
        return _TOPICS if self.enabled else frozenset()

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """The visits, for as long as a return counts."""
        return (Shelf(self.records, _TOPICS, _LAST_RETURN_DAYS + self._late_days + 1),)

    def ids(self, chunk: Chunk) -> dict[str, list[str]]:
        """Pairs of mini-program and user whose records must be loaded before `accept`."""
        wanted = [_id(event) for event in chunk.events if event.__class__ is MiniProgramOpen]
        return {self.records.name: wanted} if wanted else {}

    def accept(self, chunk: Chunk) -> None:
        """Takes up accepted, real opens; other events of the topic are passed over."""
        for event in chunk.events:
            if isinstance(event, MiniProgramOpen):
                self._accept(event)

    def _accept(self, event: MiniProgramOpen) -> None:
        day, record_id = day_of(event.event_time_ms), _id(event)
        known = self.records.get(record_id) or Visits(day, 0, 0)
        ahead = max(day - known.filed_day, 0)
        # In Python a shift makes numbers of any length: of a user of years ago nothing is left.
        days, moved = (
            (bits << ahead) & self._mask if ahead < self._mask.bit_length() else 0
            for bits in (known.days, known.moved)
        )
        latest = known.filed_day + ahead
        bit = 1 << latest - day
        if days & bit or bit > self._mask:
            return
        mini_program_id = event.mini_program_id
        is_moved = not self._admission.allows(_TOPIC, "mini_program", event.event_time_ms, mini_program_id)
        visits = Visits(latest, days | bit, moved | (bit if is_moved else 0))
        self.records.put(record_id, visits)
        for booking in _bookings(visits, day):
            for kind in self._kinds:
                value = OTHER if booking.is_moved else mini_program_id
                self._books.book_day(
                    booking.day * DAY_MS, booking.measure, kind, value if kind == "mini_program" else ""
                )


def _bookings(visits: Visits, day: int) -> list[_Booking]:
    """What changes by the first open of a day: the day's own cohort, and returns to it and from it."""

    def on(of: int) -> tuple[bool, bool]:
        at = visits.filed_day - of
        return (bool(visits.days >> at & 1), bool(visits.moved >> at & 1)) if at >= 0 else (False, False)

    found = [_Booking(OPENED, day, on(day)[1])]
    for after, measure in RETURNS.items():
        if on(day + after)[0]:
            found.append(_Booking(measure, day, on(day)[1]))
        came_before, is_moved = on(day - after)
        if came_before:
            found.append(_Booking(measure, day - after, is_moved))
    return found


def _id(event: MiniProgramOpen) -> str:
    return pair_value(event.mini_program_id, event.user_id)

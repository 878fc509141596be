"""Where an amount is booked: the cells of all scopes that an order, or its lines, belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.events import Event
from streams.catalogue import ALL, EVENT_COUNTS, LINE_SCOPES, ORDER_SCOPES, PIPELINE
from streams.kpi import FigureSet, Measure
from streams.ledger import OrderLine
from streams.sums import Sums

# Values of the order-level scopes stand in this order in `Order.scopes` and `Attempt.scopes`.
VALUED_ORDER_SCOPES = tuple(kind for kind in ORDER_SCOPES if kind is not ALL)
# The line's attribute that holds the value of a line-level scope has the scope's name.
LINE_KINDS = tuple(kind.name for kind in LINE_SCOPES)

_Kept = tuple[str, frozenset[str], int, Sequence[int] | None]


class Entry(NamedTuple):
    """One measure's share of a booking.

    Attributes:
        measure: what is summed.
        amount: what the order as a whole adds.
        currency: for measures per currency.
        by_line: what each line adds; None adds 1 to each value that any line carries: an order is
            counted once.
    """

    measure: Measure
    amount: int
    currency: str | None = None
    by_line: Sequence[int] | None = None


class Books:
    """Adds amounts to the sums of one partition, as far as the figure set keeps them."""

    def __init__(self, figures: FigureSet, sums: Sums) -> None:
        self._sums = sums
        self._measures = figures.measures
        kinds = {kind.name for kind in figures.kinds}
        self._kinds = tuple(kind for kind in figures.kinds if kind is not PIPELINE)
        self._keeps_all = ALL.name in kinds
        self._keeps_pipeline = PIPELINE.name in kinds
        self._order_kinds = [
            (i, kind.name) for i, kind in enumerate(VALUED_ORDER_SCOPES) if kind.name in kinds
        ]
        self._line_kinds = [name for name in LINE_KINDS if name in kinds]

    def book(
        self,
        time_ms: int,
        scopes: Sequence[str | None],
        entries: Iterable[Entry],
        lines: Sequence[OrderLine] = (),
    ) -> None:
        """Books on the whole shop, on each order-level scope that has a value, and on the lines' scopes."""
        kept = [
            (entry.measure.stored_as(entry.currency), entry.measure.kinds, entry.amount, entry.by_line)
            for entry in entries
            if entry.measure.name in self._measures
        ]
        start_ms = self._sums.finest.start_of(time_ms)
        if self._keeps_all:
            cells = self._sums.cells_of(ALL.name, start_ms)
            for name, _, amount, _ in kept:
                if amount:
                    cells[name, ""] += amount
        for index, kind in self._order_kinds:
            value = scopes[index]
            if value is None:
                continue
            cells = self._sums.cells_of(kind, start_ms)
            for name, kinds, amount, _ in kept:
                if amount and kind in kinds:
                    cells[name, value] += amount
        for kind in self._line_kinds if lines else ():
            self._book_lines(kind, start_ms, kept, lines)

    def _book_lines(self, kind: str, start_ms: int, kept: list[_Kept], lines: Sequence[OrderLine]) -> None:
        places: dict[str, list[int]] = {}
        for place, line in enumerate(lines):
            value = getattr(line, kind)
            if value is not None:
                places.setdefault(value, []).append(place)
        if not places:
            return
        cells = self._sums.cells_of(kind, start_ms)
        for value, at in places.items():
            for name, kinds, _, by_line in kept:
                amount = 1 if by_line is None else sum([by_line[place] for place in at])
                if amount and kind in kinds:
                    cells[name, value] += amount

    def on_event(self, event: Event, amount: int) -> None:
        """Counts one event in every scope that its envelope carries (`fold` counts whole chunks faster)."""
        measure = EVENT_COUNTS[type(event)]
        for kind in self._kinds:
            value = "" if kind.field is None else getattr(event, kind.field, None)
            if value is not None and kind.name in measure.kinds and measure.name in self._measures:
                self._sums.add(kind.name, event.event_time_ms, measure.name, value, amount)

    def on_pipeline(
        self, ingest_ms: int, topic: str, measure: Measure, amount: int, currency: str | None = None
    ) -> None:
        """Counts a record (or its money) of a topic, by ingest time."""
        if self._keeps_pipeline and measure.name in self._measures:
            self._sums.add(PIPELINE.name, ingest_ms, measure.stored_as(currency), topic, amount)

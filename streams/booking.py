"""Where an amount is booked: the cells of all scopes that an order, or its lines, belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from schemas.events import Event
from streams.catalogue import ALL, EVENT_COUNTS, LINE_SCOPES, ORDER_SCOPES, PIPELINE
from streams.kpi import FigureSet, Measure
from streams.ledger import OrderLine
from streams.sums import Sums

# Values of the order-level scopes stand in this order in `Order.scopes` and `Attempt.scopes`.
VALUED_ORDER_SCOPES = tuple(kind for kind in ORDER_SCOPES if kind is not ALL)
# The line's attribute that holds the value of a line-level scope has the scope's name.
LINE_KINDS = tuple(kind.name for kind in LINE_SCOPES)


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

    def on_order(
        self,
        time_ms: int,
        scopes: Sequence[str | None],
        measure: Measure,
        amount: int,
        currency: str | None = None,
    ) -> None:
        """Books on the whole shop and on each order-level scope that has a value and keeps the measure."""
        if measure.name not in self._measures or not amount:
            return
        name = measure.stored_as(currency)
        if self._keeps_all:
            self._sums.add(ALL.name, time_ms, name, "", amount)
        for index, kind in self._order_kinds:
            value = scopes[index]
            if value is not None and kind in measure.kinds:
                self._sums.add(kind, time_ms, name, value, amount)

    def on_lines(
        self,
        time_ms: int,
        lines: Iterable[tuple[OrderLine, int]],
        measure: Measure,
        currency: str | None = None,
    ) -> None:
        """Books each line's amount on the line-level scopes that it carries."""
        if measure.name not in self._measures:
            return
        name = measure.stored_as(currency)
        lines = list(lines)
        for kind in self._line_kinds:
            amounts: defaultdict[str, int] = defaultdict(int)
            for line, amount in lines:
                value = getattr(line, kind)
                if value is not None:
                    amounts[value] += amount
            for value, amount in amounts.items():
                if amount:
                    self._sums.add(kind, time_ms, name, value, amount)

    def once_per_value(
        self, time_ms: int, lines: Iterable[OrderLine], measure: Measure, currency: str | None = None
    ) -> None:
        """Books 1 on each line-level value that any of the lines carries: an order is counted once."""
        if measure.name not in self._measures:
            return
        name = measure.stored_as(currency)
        lines = list(lines)
        for kind in self._line_kinds:
            for value in {getattr(line, kind) for line in lines} - {None}:
                self._sums.add(kind, time_ms, name, value, 1)

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

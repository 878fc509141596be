"""Where an amount is booked: the cells of all scopes that an order, or its lines, belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from schemas.events import Event, Refund
from streams.catalogue import COMMISSION, EVENT_COUNTS, GMV_PAID, ITEMS, ORDERS_IN_CURRENCY
from streams.commission import Commission, Settlement, due_values
from streams.figures import PARTS
from streams.figures.attribution import keeps_attribution
from streams.figures.commission import FINAL
from streams.figures.payments_more import REFUNDS_FOR
from streams.kpi import FigureSet, Measure, ScopeKind
from streams.ledger import Order, OrderLine
from streams.reasons import Reasons
from streams.scopes import (
    ALL,
    CREATOR,
    DUE,
    LIVE,
    LIVE_PRODUCT,
    ORDER_SCOPES,
    PIPELINE,
    PLATFORM_CREATOR,
    PRODUCT_SKU,
    REFUND_REASON,
    ROOM,
    SCOPES,
    SINGLE_LINE_SCOPES,
    SINGLE_ORDER_SCOPES,
    UNATTRIBUTED,
    pair_value,
    room_kind,
)
from streams.sums import Sums
from streams.window import MINUTE_MS

_Kept = tuple[str, frozenset[str], int, Sequence[int] | None]


# How a line says its value of a line-level scope. The attribute of a single one has the scope's name.
_LINE_VALUES: Mapping[str, Callable[[OrderLine], str | None]] = MappingProxyType(
    {
        **{kind.name: attrgetter(kind.name) for kind in SINGLE_LINE_SCOPES},
        LIVE_PRODUCT.name: lambda line: None if line.live is None else pair_value(line.live, line.product),
        PRODUCT_SKU.name: lambda line: None if line.sku is None else pair_value(line.product, line.sku),
    }
)
# Where attribution is kept, the lives and the creators add up to the whole.
_ATTRIBUTED_VALUES: Mapping[str, Callable[[OrderLine], str | None]] = MappingProxyType(
    {
        LIVE.name: lambda line: UNATTRIBUTED if line.live is None else line.live,
        CREATOR.name: lambda line: UNATTRIBUTED if line.creator is None else line.creator,
    }
)


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
    """Adds amounts to the sums of one partition, as far as the figure set keeps them.

    `settlement` is when commission is final, which decides where some of an order's amounts belong.
    """

    def __init__(
        self,
        figures: FigureSet,
        sums: Sums,
        settlement: Settlement = Settlement(),  # noqa: B008 - frozen
    ) -> None:
        self.settlement = settlement
        self.reasons = Reasons()
        self._sums = sums
        self._measures = figures.measures
        kinds = figures.kinds
        self._kinds = frozenset(kinds)
        self._event_kinds = [kind for kind in kinds if kind.name in SCOPES]
        self._keeps_all = ALL in kinds
        self._keeps_pipeline = PIPELINE in kinds
        self._keeps_rooms = ROOM in kinds
        self._keeps_due = DUE in kinds
        # Whether an order's commission, and so its delivery, is of use.
        self.keeps_commission = COMMISSION.name in figures.measures
        # Where the values of an order-level scope stand in `Order.scopes` and `Attempt.scopes`.
        places = {kind.fields[0]: place for place, kind in enumerate(SINGLE_ORDER_SCOPES)}
        self._order_kinds = [
            (kind.name, [places[field] for field in kind.fields])
            for kind in ORDER_SCOPES
            if kind in kinds and kind is not ALL
        ]
        names = {kind.name for kind in kinds}
        self._keeps_creators = PLATFORM_CREATOR in kinds
        values = {**_LINE_VALUES, **_ATTRIBUTED_VALUES} if keeps_attribution(figures) else _LINE_VALUES
        self._line_kinds = [(name, value_of) for name, value_of in values.items() if name in names]

    def book(
        self,
        time_ms: int,
        scopes: Sequence[str | None],
        entries: Iterable[Entry],
        lines: Sequence[OrderLine] = (),
        sign: int = 1,
    ) -> None:
        """Books on the whole shop, on each order-level scope that has a value, and on the lines' scopes.

        With a `sign` of -1 takes back what was booked.
        """
        kept = [
            (
                entry.measure.stored_as(entry.currency),
                entry.measure.kinds,
                sign * entry.amount,
                entry.by_line and [sign * amount for amount in entry.by_line],
            )
            for entry in entries
            if entry.measure.name in self._measures
        ]
        if not kept:
            return
        start_ms = self._sums.finest.start_of(time_ms)
        if self._keeps_all:
            cells = self._sums.cells_of(ALL.name, start_ms)
            for name, _, amount, _ in kept:
                if amount:
                    cells[name, ""] += amount
        for kind, at in self._order_kinds:
            value = _joined([scopes[place] for place in at])
            if value is None:
                continue
            cells = self._sums.cells_of(kind, start_ms)
            for name, kinds, amount, _ in kept:
                if amount and kind in kinds:
                    cells[name, value] += amount
        for kind, value_of in self._line_kinds if lines else ():
            self._book_lines(kind, start_ms, kept, lines, value_of)
        if lines and self._keeps_creators:
            platform = scopes[0]
            self._book_lines(
                PLATFORM_CREATOR.name,
                start_ms,
                [entry for entry in kept if PLATFORM_CREATOR.name in entry[1]],
                lines,
                lambda line: _joined([platform, line.creator]),
            )

    def _book_lines(
        self,
        kind: str,
        start_ms: int,
        kept: list[_Kept],
        lines: Sequence[OrderLine],
        value_of: Callable[[OrderLine], str | None],
    ) -> None:
        places: dict[str, list[int]] = {}
        for place, line in enumerate(lines):
            value = value_of(line)
            if value is not None:
                places.setdefault(value, []).append(place)
        if not places:
            return
        cells = self._sums.cells_of(kind, start_ms)
        for value, at in places.items():
            for name, kinds, whole, by_line in kept:
                amount = whole if by_line is None else sum([by_line[place] for place in at])
                if amount and kind in kinds:
                    cells[name, value] += amount

    def book_rooms(self, order: Order, sign: int) -> None:
        """Books what each live of an order sold, by minute and by product, on the live's own hashes."""
        if not self._keeps_rooms:
            return
        start_ms = self._sums.finest.start_of(order.time_ms)
        minute = f"m{order.time_ms // MINUTE_MS % 60}"
        orders, gmv = ORDERS_IN_CURRENCY.stored_as(order.currency), GMV_PAID.stored_as(order.currency)
        counted = set[str]()
        for line in order.lines:
            if line.live is None:
                continue
            cells = self._sums.cells_of(room_kind(line.live), start_ms)
            cells[gmv, minute] += sign * line.value_minor
            cells[ITEMS.name, f"p{line.product}"] += sign * line.quantity
            if line.live not in counted:
                counted.add(line.live)
                cells[orders, minute] += sign

    def book_due(self, order: Order, commission: Commission, sign: int) -> None:
        """Books an order's commission by the hour in which it becomes final."""
        if not self._keeps_due:
            return
        name = FINAL.stored_as(order.currency)
        cells = self._sums.cells_of(DUE.name, self._sums.finest.start_of(order.time_ms))
        for value, amount in due_values(order, commission):
            if amount:
                cells[name, value] += sign * amount

    def keeps(self, kind: ScopeKind) -> bool:
        """Whether the figure set has the kind of scope."""
        return kind in self._kinds

    def book_one(self, time_ms: int, kind: ScopeKind, value: str, measure: Measure, amount: int) -> None:
        """Books an amount in one scope, given as it is stored."""
        if kind in self._kinds and measure.name in self._measures:
            self._sums.add(kind.name, time_ms, measure.name, value, amount)

    def on_event(self, event: Event, amount: int) -> None:
        """Counts one event in every scope that its envelope carries (`fold` counts whole chunks faster).

        A refund by its reason, too, whose list must have been loaded.
        """
        if isinstance(event, Refund) and self.keeps(REFUND_REASON):
            at = pair_value(event.platform, event.kind or "")
            reason = pair_value(at, self.reasons.name(event))
            self.book_one(event.event_time_ms, REFUND_REASON, reason, REFUNDS_FOR, amount)
        found = [part.measures.get(getattr(event, part.field)) for part in PARTS.get(type(event), ())]
        measures = [
            measure
            for measure in (EVENT_COUNTS[type(event)], *found)
            if measure is not None and measure.name in self._measures
        ]
        for kind in self._event_kinds:
            value = _joined([getattr(event, field, None) for field in kind.fields])
            if value is None:
                continue
            for measure in measures:
                if kind.name in measure.kinds:
                    self._sums.add(kind.name, event.event_time_ms, measure.name, value, amount)

    def on_pipeline(
        self, ingest_ms: int, topic: str, measure: Measure, amount: int, currency: str | None = None
    ) -> None:
        """Counts a record (or its money) of a topic, by ingest time."""
        if self._keeps_pipeline and measure.name in self._measures:
            self._sums.add(PIPELINE.name, ingest_ms, measure.stored_as(currency), topic, amount)


def _joined(values: Sequence[str | None]) -> str | None:
    """The stored value of a scope: empty for the whole shop, None where one of a pair is missing."""
    match values:
        case []:
            return ""
        case [value]:
            return value
        case [str(first), str(second)]:
            return pair_value(first, second)
        case _:
            return None

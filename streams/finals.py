"""How much of a scope's commission is final: read from the table of what becomes final, hour by hour.

It stands beside the sheet of a scope. Young panes hold nothing final, and old ones nothing that is not;
only those between are looked up in the table, for the hours up to as-of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.answer import Scope
from streams.catalogue import COMMISSION
from streams.commission import due_value
from streams.figures.commission import CLAWED_BACK, FINAL
from streams.reading import Moment, Reader, View
from streams.requests import CellsRequest, cells
from streams.scopes import DUE
from streams.window import DAY_MS, HOUR_MS, Pane

# So far as-of may fall back between the plan of a reading and the reading.
MARGIN_MS = DAY_MS
# What is counted as all of it, once it is all final.
_KEPT = (COMMISSION, CLAWED_BACK)


class Finals:
    """What is asked and answered about the final commission of one scope over some panes.

    Attributes:
        requests: what has to be read.
    """

    def __init__(self, reader: Reader, scope: Scope, panes: Sequence[Pane], moment: Moment) -> None:
        self._reader = reader
        self._scope = scope
        self._settled: CellsRequest | None = None
        self._table: CellsRequest | None = None
        is_kept = scope.kind in FINAL.kinds and DUE in reader.figures.kinds
        # Without a watermark of everything nothing is final, and an empty list of fields would mean all.
        if is_kept and moment.as_of_ms is not None and moment.currencies:
            self._plan(panes, moment, moment.as_of_ms)
        asked: tuple[CellsRequest | None, ...] = (self._settled, self._table)
        self.requests = tuple(request for request in asked if request is not None)

    def _plan(self, panes: Sequence[Pane], moment: Moment, as_of_ms: int) -> None:
        settlement = self._reader.settlement
        until_ms = max(moment.now_ms, moment.high_ms) + HOUR_MS
        old = [pane for pane in panes if _end_ms(pane) + settlement.most_ms + MARGIN_MS <= as_of_ms]
        between = [
            pane
            for pane in panes
            if pane.size.name in DUE.sizes
            and pane.start_ms + settlement.least_ms <= until_ms
            and _end_ms(pane) + settlement.most_ms + MARGIN_MS > as_of_ms
        ]
        kind, value = self._scope.kind, self._scope.value
        if old:
            names = [measure.stored_as(currency) for currency in moment.currencies for measure in _KEPT]
            self._settled = cells(kind, old, [f"{name}|{value}" for name in names])
        if between:
            first_ms = min(pane.start_ms for pane in between) + settlement.least_ms
            last_ms = min(until_ms, max(map(_end_ms, between)) + settlement.most_ms)
            hours = range(first_ms // HOUR_MS, last_ms // HOUR_MS + 1)
            self._table = cells(
                DUE.name,
                between,
                [
                    f"{FINAL.stored_as(currency)}|{due_value(hour, kind, value)}"
                    for currency in moment.currencies
                    for hour in hours
                ],
            )

    def totals(self, view: View) -> Mapping[str, int]:
        """What is final by as-of, by stored measure (a currency each); absent is nothing."""
        found: dict[str, int] = {}
        as_of_ms = self._reader.as_of_ms(view, self._scope.kind)
        if as_of_ms is None:
            return found
        for cell, amount in view.sums(self._settled).items() if self._settled else ():
            name = FINAL.stored_as(cell.partition("|")[0].partition(":")[2])
            found[name] = found.get(name, 0) + amount
        for cell, amount in view.sums(self._table).items() if self._table else ():
            name, _, due = cell.partition("|")
            if int(due.partition(":")[0]) * HOUR_MS <= as_of_ms:
                found[name] = found.get(name, 0) + amount
        return found


def _end_ms(pane: Pane) -> int:
    return pane.start_ms + pane.size.size_ms

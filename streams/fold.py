"""A chunk of valid events into sums: the fast way for traffic, column by column.

Events are counted per kind of scope with `Counter` over zipped columns, which runs in C
(docs/decisions/0002-columns-of-objects.md compares it with a loop and with polars).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any

from schemas.events import Event
from streams.catalogue import ALL, EVENT_COUNTS, GATEWAY, PIPELINE
from streams.kpi import FigureSet
from streams.sums import Sums


class EventCounter:
    """Counts events of the traffic topics in every scope that their envelope carries.

    No event of these topics names a gateway; payments and purchases are booked one by one.
    """

    def __init__(self, figures: FigureSet, sums: Sums) -> None:
        self._sums = sums
        self._names = {
            cls: measure.name for cls, measure in EVENT_COUNTS.items() if measure.name in figures.measures
        }
        self._keeps_all = ALL in figures.kinds
        valued = [kind for kind in figures.kinds if kind not in (ALL, GATEWAY, PIPELINE)]
        self._kinds = [kind.name for kind in valued]
        self._columns = _columns_getter([kind.field or "" for kind in valued])

    def count(self, events: Sequence[Event], times_ms: Sequence[int]) -> None:
        """Adds 1 per event and scope, in the pane of its event time."""
        names = [self._names.get(event.__class__) for event in events]
        if None in names:  # heartbeats, and what the figure set leaves out
            keep = [index for index, name in enumerate(names) if name is not None]
            events = [events[index] for index in keep]
            times_ms = [times_ms[index] for index in keep]
            names = [names[index] for index in keep]
        if not events:
            return
        size_ms = self._sums.finest.size_ms
        starts = [time_ms - time_ms % size_ms for time_ms in times_ms]
        # Each pair of pane and measure as a small number: what is counted below then hashes faster.
        numbers: dict[tuple[int, str | None], int] = {}
        heads = [numbers.setdefault(pair, len(numbers)) for pair in zip(starts, names, strict=True)]
        if self._keeps_all:
            self._add(ALL.name, numbers, Counter(zip(heads, repeat(""))))
        for kind, column in zip(self._kinds, self._columns(events), strict=True):
            if any(value is not None for value in set(column)):
                self._add(kind, numbers, Counter(zip(heads, column, strict=True)))

    def _add(self, kind: str, numbers: Iterable[tuple[int, Any]], counts: Counter[Any]) -> None:
        cells = [(self._sums.cells_of(kind, start_ms), name) for start_ms, name in numbers]
        for (head, value), count in counts.items():
            if value is not None:
                into, name = cells[head]
                into[name, value] += count


def _columns_getter(fields: list[str]) -> Callable[[Sequence[Event]], Iterable[Sequence[str | None]]]:
    if not fields:
        return lambda _events: ()
    get: Callable[[Event], Any] = attrgetter(*fields)
    if len(fields) == 1:
        return lambda events: ([get(event) for event in events],)
    return lambda events: zip(*map(get, events), strict=True)

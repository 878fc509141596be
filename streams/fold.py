"""A chunk of valid events into sums: the fast way for traffic, column by column.

Events are counted per kind of scope with `Counter` over zipped columns, which runs in C
(docs/decisions/0002-columns-of-objects.md compares it with a loop and with polars).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any

from schemas.events import Event
from streams.admission import TOPIC_OF
from streams.catalogue import CAPPED, EVENT_COUNTS
from streams.figures import PARTS
from streams.kpi import FigureSet, Level, Measure, ScopeKind
from streams.scopes import ALL, ON_TRAFFIC, OTHER, pair_value
from streams.sums import Sums


class _Columns:
    """Kinds of scope whose values events of some types all carry, and the columns that hold them."""

    def __init__(self, kinds: Iterable[ScopeKind]) -> None:
        kinds = tuple(kinds)
        valued = [kind for kind in kinds if kind is not ALL]
        self.has_all = ALL in kinds
        self.singles = [kind for kind in valued if len(kind.fields) == 1]
        self.pairs = [kind for kind in valued if len(kind.fields) == 2]
        self.fields = list(dict.fromkeys(field for kind in valued for field in kind.fields))
        self.of = _columns_getter(self.fields)


class EventCounter:
    """Counts events of the traffic topics in every scope that they carry.

    No event of these topics names a gateway; payments and purchases are booked one by one.
    """

    def __init__(self, figures: FigureSet, sums: Sums) -> None:
        self._sums = sums
        self._names = {
            cls: measure.name for cls, measure in EVENT_COUNTS.items() if measure.name in figures.measures
        }
        # By field, type and value: what counts an event beside its type. A field is looked at once.
        self._parts: dict[str, dict[type[Event], dict[Any, list[Measure]]]] = {}
        for part in (each for cls, parts in PARTS.items() if cls in self._names for each in parts):
            for value, measure in part.measures.items():
                if measure.name in figures.measures:
                    of_type = self._parts.setdefault(part.field, {}).setdefault(part.event, {})
                    of_type.setdefault(value, []).append(measure)
        envelope = [kind for kind in figures.kinds if kind.name in ON_TRAFFIC]
        self._envelope = _Columns(envelope)
        # The columns of parts, which are kept for some of these kinds.
        self._columns_of = {
            measure.kinds: _Columns(kind for kind in envelope if kind.name in measure.kinds)
            for of_types in self._parts.values()
            for of_values in of_types.values()
            for measures in of_values.values()
            for measure in measures
        }
        # Of each kind that few types of events carry: its column, and the names of their counts.
        self._own: list[tuple[_Columns, frozenset[str]]] = []
        for kind in figures.kinds:
            if kind.level is Level.EVENT:
                having = [name for cls, name in self._names.items() if kind.name in EVENT_COUNTS[cls].kinds]
                self._own.append((_Columns([kind]), frozenset(having)))

    def count(self, events: Sequence[Event], times_ms: Sequence[int]) -> None:
        """Adds 1 per event and scope, in the pane of its event time. The events are of one topic.

        Panes that `Sums.admission` does not know must have been loaded before.
        """
        names = [self._names.get(event.__class__) for event in events]
        if None in names:  # heartbeats, and what the figure set leaves out
            keep = [index for index, name in enumerate(names) if name is not None]
            events = [events[index] for index in keep]
            times_ms = [times_ms[index] for index in keep]
            names = [names[index] for index in keep]
        if not events:
            return
        self._count_as(names, events, times_ms, self._envelope)
        if self._parts:
            classes = {event.__class__ for event in events}
            for field, of_types in self._parts.items():
                if not classes.isdisjoint(of_types):
                    self._count_parts(field, of_types, events, times_ms)
        present = set(names) if self._own else set()
        for kind, having in self._own:
            if not having.isdisjoint(present):
                # All its types at once: values are admitted in the order of the events.
                at = [index for index, name in enumerate(names) if name in having]
                self._count_as(
                    [names[i] for i in at], [events[i] for i in at], [times_ms[i] for i in at], kind
                )

    def _count_parts(
        self,
        field: str,
        of_types: Mapping[type[Event], Mapping[Any, Iterable[Measure]]],
        events: Sequence[Event],
        times_ms: Sequence[int],
    ) -> None:
        of_kinds: dict[frozenset[str], list[tuple[str, Event, int]]] = {}
        value_of = attrgetter(field)
        for event, time_ms in zip(events, times_ms, strict=True):
            measures_of = of_types.get(event.__class__)
            if measures_of is not None:
                for measure in measures_of.get(value_of(event), ()):
                    of_kinds.setdefault(measure.kinds, []).append((measure.name, event, time_ms))
        for kinds, found in of_kinds.items():
            names, counted, at_ms = zip(*found, strict=True)
            self._count_as(names, counted, at_ms, self._columns_of[kinds])

    def _count_as(
        self, names: Sequence[str | None], events: Sequence[Event], times_ms: Sequence[int], kinds: _Columns
    ) -> None:
        """Adds 1 per event and scope of these kinds to the measure that stands for the event in `names`."""
        size_ms = self._sums.finest.size_ms
        starts = [time_ms - time_ms % size_ms for time_ms in times_ms]
        # Each pair of pane and measure as a small number: what is counted below then hashes faster.
        numbers: dict[tuple[int, Any], int] = {}
        heads = [numbers.setdefault(pair, len(numbers)) for pair in zip(starts, names, strict=True)]
        pairs = list(numbers)
        if kinds.has_all:
            self._add(ALL.name, pairs, Counter(zip(heads, repeat(""))))
        columns = dict(zip(kinds.fields, kinds.of(events), strict=True))
        # No value is empty: one that is there is true.
        columns = {field: column for field, column in columns.items() if any(column)}
        for kind in kinds.singles:
            column = columns.get(kind.fields[0])
            if column is not None:
                self._add(kind.name, pairs, Counter(zip(heads, column, strict=True)))
        for kind in kinds.pairs:
            first, second = map(columns.get, kind.fields)
            if first is not None and second is not None:
                counts = Counter(zip(heads, first, second, strict=True))
                self._add(
                    kind.name,
                    pairs,
                    {
                        (head, pair_value(one, two)): count
                        for (head, one, two), count in counts.items()
                        if one is not None and two is not None
                    },
                )

    def _add(
        self, kind: str, numbers: Sequence[tuple[int, str]], counts: Mapping[tuple[int, Any], int]
    ) -> None:
        """Adds counts by (index in `numbers`, value), which stand in the order of their first events."""
        found: dict[int, set[str]] = {start_ms: set() for start_ms, _ in numbers}
        cells = [(self._sums.cells_of(kind, start_ms), name, found[start_ms]) for start_ms, name in numbers]
        for (head, value), count in counts.items():
            if value is not None:
                into, name, values = cells[head]
                into[name, value] += count
                values.add(value)
        admission = self._sums.admission
        if kind not in admission.kinds:
            return
        topic = TOPIC_OF[numbers[0][1]]
        refused = admission.admit(
            topic, kind, found, lambda: ((numbers[head][0], value) for head, value in counts)
        )
        for head, value in counts if refused else ():
            start_ms, name = numbers[head]
            if value in refused.get(start_ms, ()):
                # No pane will keep it apart: then it need not be kept apart until the write, either.
                into = cells[head][0]
                amount = into.pop((name, value))
                into[name, OTHER] += amount
                if admission.counts_moved(name):
                    into[CAPPED.name, topic] += amount


def _columns_getter(fields: list[str]) -> Callable[[Sequence[Event]], Iterable[Sequence[str | None]]]:
    if not fields:
        return lambda _events: ()
    get: Callable[[Event], Any] = attrgetter(*fields)
    if len(fields) == 1:
        return lambda events: ([get(event) for event in events],)
    return lambda events: zip(*map(get, events), strict=True)

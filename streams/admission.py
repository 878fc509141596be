"""Which values of a scope have traffic cells of their own: the first ones of each topic, up to a cap.

It stands between the counting of traffic (`fold`) and the sums: ids come from clients without a closed list,
and without a cap whoever sends random ones fills memory and Redis. In every pane of each size each topic
admits the first values of a kind in its own offset order; the others are counted under `other`. That is a
function of the topic's log alone, whatever was read between, saved or lost: what a pane admitted before is
read from Redis (a value is admitted if it has a cell), and until it is known the pane must not be counted in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from types import MappingProxyType

from schemas.events import TYPES_OF_TOPIC
from streams.catalogue import CAPPED, EVENT_COUNTS
from streams.figures import PARTS
from streams.figures.take import ADS
from streams.kpi import FigureSet
from streams.memory_bounds import ALONE, MemoryBounds
from streams.scopes import OTHER
from streams.window import Pane, PaneSize

SCOPE_VALUES_MAX = 20_000

# Topic of each measure that has a cap. The order service's events are money, and never capped; what a
# campaign was charged goes where its charges are counted.
TOPIC_OF: Mapping[str, str] = MappingProxyType(
    {
        measure.name: topic
        for cls, whole in EVENT_COUNTS.items()
        for topic, types in TYPES_OF_TOPIC.items()
        if cls in types and topic != "purchases"
        for measure in (whole, *(each for part in PARTS.get(cls, ()) for each in part.measures.values()))
    }
    | {ADS.name: "ads"}
)
_WHOLES = frozenset(measure.name for measure in EVENT_COUNTS.values())

CellKey = tuple[str, Pane]  # (kind of scope, pane)


class _Places:
    """What one pane admitted.

    Attributes:
        values: by (topic, kind).
        count: how many these are.
        touched: the turn in which events were last counted in the pane.
    """

    __slots__ = ("count", "touched", "values")

    def __init__(self, turn: int) -> None:
        self.values: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.count = 0
        self.touched = turn


class Admission:
    """What the panes of one partition number admitted. A *turn* lasts from one write to the next."""

    def __init__(
        self, figures: FigureSet, sizes: tuple[PaneSize, ...], values_max: int, bounds: MemoryBounds = ALONE
    ) -> None:
        self.kinds = tuple(kind.name for kind in figures.kinds if kind.name in CAPPED.kinds)
        self._counts_moved = CAPPED.name in figures.measures
        self._sizes = sizes
        self._by_name = {size.name: size for size in sizes}
        self._values_max = values_max
        self._bounds = bounds
        self._panes: dict[Pane, _Places] = {}
        # Of `_panes`, the values where no further one has a place, by topic. Mostly there are none.
        self._full: dict[CellKey, dict[str, set[str]]] = {}
        # Starts of panes of which Redis may know more than `_panes`.
        self._uncertain: defaultdict[PaneSize, set[int]] = defaultdict(set)
        self._turn = 0
        # Values of all panes together.
        self._count = 0

    def load_stored(self, panes: Iterable[Pane]) -> None:
        """The panes that Redis holds: what they admitted must be read before anything is counted in them."""
        for pane in panes:
            self._uncertain[pane.size].add(pane.start_ms)

    def unknown(self, times_ms: Sequence[int]) -> list[CellKey]:
        """The hashes whose cells' names must be read before events of these times are counted."""
        if not times_ms or not self.kinds:
            return []
        low_ms, high_ms = min(times_ms), max(times_ms)
        found: list[CellKey] = []
        for size, uncertain in self._uncertain.items():
            span = range(size.start_of(low_ms), high_ms + 1, size.size_ms)
            # First what is quick: chunks of panes that are known are the rule.
            if uncertain and (len(span) > len(times_ms) or not uncertain.isdisjoint(span)):
                starts = uncertain.intersection(map(size.start_of, times_ms))
                found += [(kind, Pane(size, start_ms)) for start_ms in starts for kind in self.kinds]
        return found

    def load(self, found: Mapping[CellKey, Iterable[str]]) -> None:
        """Names (``measure|value``) of the cells in each hash that `unknown` named."""
        for (kind, pane), names in found.items():
            values: defaultdict[str, set[str]] = defaultdict(set)
            for name in names:
                measure, _, value = name.partition("|")
                if measure in TOPIC_OF and value != OTHER:
                    values[TOPIC_OF[measure]].add(value)
            places = self._panes.setdefault(pane, _Places(self._turn))
            for topic, admitted in values.items():
                self._add(places, topic, kind, pane, admitted)
        for _, pane in found:
            self._uncertain[pane.size].discard(pane.start_ms)

    def admit(
        self,
        topic: str,
        kind: str,
        found: Mapping[int, set[str]],
        in_order: Callable[[], Iterable[tuple[int, str | None]]],
    ) -> dict[int, set[str]]:
        """Gives the values of a chunk their places in the panes of every size, first come, first served.

        `found` holds the distinct values by start of the finest pane; `other` is taken out of it. `in_order`
        yields (start, value) as they came first, and is asked only where not all have a place. Returns, by
        start, the values for which no pane has a place. Raises KeyError for a pane that `unknown` named and
        that was not loaded.
        """
        for values in found.values():
            values.discard(OTHER)
        offered: Mapping[int, set[str]] = found
        have_places = True
        for size in self._sizes:
            fresh: dict[int, set[str]] = {}
            for start_ms, values in offered.items():
                at_ms = size.start_of(start_ms)
                new = values - self._places(Pane(size, at_ms)).values[topic, kind]
                if new:
                    fresh[at_ms] = fresh[at_ms] | new if at_ms in fresh else new
            if not fresh:
                # What a pane admitted before was offered to the longer panes around it, too.
                return {}
            have_places = True
            for at_ms, values in fresh.items():
                have_places &= self._place(topic, kind, Pane(size, at_ms), values, in_order)
            offered = fresh
        return {} if have_places else self._without_place(topic, kind, found)

    def _places(self, pane: Pane) -> _Places:
        places = self._panes.get(pane)
        if places is None:
            if pane.start_ms in self._uncertain[pane.size]:
                raise KeyError(pane)
            places = self._panes[pane] = _Places(self._turn)
        places.touched = self._turn
        return places

    def _place(
        self,
        topic: str,
        kind: str,
        pane: Pane,
        fresh: set[str],
        in_order: Callable[[], Iterable[tuple[int, str | None]]],
    ) -> bool:
        """Whether all values that are new to the pane have a place in it."""
        places = self._places(pane)
        left = self._values_max - len(places.values[topic, kind])
        if len(fresh) <= left:
            self._add(places, topic, kind, pane, fresh)
            return True
        if left:
            start_of = pane.size.start_of
            here = (value for start_ms, value in in_order() if start_of(start_ms) == pane.start_ms)
            first = dict.fromkeys(value for value in here if value in fresh)
            self._add(places, topic, kind, pane, set(islice(first, left)))
        return False

    def _add(self, places: _Places, topic: str, kind: str, pane: Pane, values: set[str]) -> None:
        admitted = places.values[topic, kind]
        before = len(admitted)
        admitted |= values
        added = len(admitted) - before
        places.count += added
        self._count += added
        if len(admitted) >= self._values_max:
            self._full.setdefault((kind, pane), {})[topic] = admitted

    def _without_place(self, topic: str, kind: str, found: Mapping[int, set[str]]) -> dict[int, set[str]]:
        refused: dict[int, set[str]] = {}
        for start_ms, values in found.items():
            admitted = (
                self._places(Pane(size, size.start_of(start_ms))).values[topic, kind] for size in self._sizes
            )
            left = values.difference(*admitted)
            if left:
                refused[start_ms] = left
        return refused

    def admitted(self, topic: str, kind: str, size_name: str, start_ms: int) -> AbstractSet[str] | None:
        """The values that a pane admits; None if it admits every one so far.

        To be asked after the events themselves were counted: then no later event changes what holds for them.
        """
        if not self._full or size_name not in self._by_name:
            return None
        full = self._full.get((kind, Pane(self._by_name[size_name], start_ms)))
        return None if full is None else full.get(topic)

    def allows(self, topic: str, kind: str, time_ms: int, value: str) -> bool:
        """Whether the longest pane at `time_ms`, the day, admits the value; see `admitted`."""
        if not self._full:
            return True
        size = self._sizes[-1]
        admitted = self.admitted(topic, kind, size.name, size.start_of(time_ms))
        return admitted is None or value in admitted or value == OTHER

    def resolved(
        self, kind: str, pane: Pane, amounts: Mapping[tuple[str, str], int]
    ) -> Mapping[tuple[str, str], int]:
        """Amounts by (measure, value) as the pane keeps them: what it did not admit is under `other`."""
        full = self._full.get((kind, pane))
        if full is None:
            return amounts
        kept: defaultdict[tuple[str, str], int] = defaultdict(int)
        for (measure, value), amount in amounts.items():
            topic = TOPIC_OF.get(measure.partition(":")[0], "")
            if topic in full and value != OTHER and value not in full[topic]:
                kept[measure, OTHER] += amount
                if self.counts_moved(measure):
                    kept[CAPPED.name, topic] += amount
            else:
                kept[measure, value] += amount
        return kept

    def counts_moved(self, measure: str) -> bool:
        """Whether moving this measure's events to `other` is counted: each event once, as a whole."""
        return self._counts_moved and measure in _WHOLES

    def end_turn(self, stored: Container[Pane], expired: Iterable[Pane]) -> None:
        """Called with each write, once its amounts are resolved.

        `stored` are the panes that Redis holds after it, `expired` those that it deletes. A pane is forgotten
        only if nothing was counted in it in this turn and the one before: what was is in Redis by now,
        because a write is taken only after the one before it was answered.
        """
        for pane in expired:
            self._forget(pane)
            self._uncertain[pane.size].discard(pane.start_ms)
        self._turn += 1
        if self._count <= self._bounds.idle_values:
            return
        idle = [(pane, places) for pane, places in self._panes.items() if places.touched < self._turn - 2]
        # The longest idle go first; they are read from Redis if events still come.
        too_many = sum(places.count for _, places in idle) - self._bounds.idle_values
        for pane, places in sorted(idle, key=lambda each: each[1].touched) if too_many > 0 else ():
            self._forget(pane)
            if pane in stored:
                self._uncertain[pane.size].add(pane.start_ms)
            too_many -= places.count
            if too_many <= 0:
                break

    def _forget(self, pane: Pane) -> None:
        places = self._panes.pop(pane, None)
        if places is not None:
            self._count -= places.count
            for kind in self.kinds:
                self._full.pop((kind, pane), None)

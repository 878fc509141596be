"""Where a story books what it makes of an event of traffic: the scopes that the event carries.

It stands between the books of stories and the sums. Counts of events are capped pane by pane (`fold`); a book
that remembers events goes by the day of each, so that what it booked can be taken back in the same cells.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas.events import Event
from streams.catalogue import CAPPED, CAPPED_KINDS
from streams.kpi import FigureSet, Measure, ScopeKind
from streams.scopes import OTHER, pair_value
from streams.sums import Sums


class Place(NamedTuple):
    """A scope in which a story's measure is booked; `is_moved`: under `other`, because a cap was met."""

    kind: str
    value: str
    is_moved: bool


class StoryBooks:
    """Books of one partition number, as far as the figure set keeps them."""

    def __init__(self, figures: FigureSet, sums: Sums) -> None:
        self._sums = sums
        self._kinds = figures.kinds

    def kept(self, measure: Measure) -> tuple[ScopeKind, ...]:
        """The kinds of scope that are kept of the measure."""
        return tuple(kind for kind in self._kinds if kind.name in measure.kinds)

    def places(self, topic: str, event: Event, kinds: Iterable[ScopeKind]) -> list[Place]:
        """The event's scopes of these kinds. To be asked after the event itself was counted: what the day of
        an event admits is decided then, once and for all."""
        found: list[Place] = []
        for kind in kinds:
            values: list[str] = [
                value for field in kind.fields if (value := getattr(event, field, None)) is not None
            ]
            if len(values) < len(kind.fields):
                continue
            value = pair_value(*values) if len(values) > 1 else "".join(values)
            is_moved = kind.name in CAPPED_KINDS and not self._sums.admission.allows(
                topic, kind.name, event.event_time_ms, value
            )
            found.append(Place(kind.name, OTHER if is_moved else value, is_moved))
        return found

    def book(
        self, topic: str, time_ms: int, measure: Measure, places: Iterable[Place], amount: int = 1
    ) -> None:
        """Adds to the measure in each place, in the panes of all sizes around `time_ms`."""
        for place in places:
            self._sums.add(place.kind, time_ms, measure.name, place.value, amount)
            if place.is_moved:
                self._sums.add(place.kind, time_ms, CAPPED.name, topic, amount)

    def book_day(self, time_ms: int, measure: Measure, kind: str, value: str) -> None:
        """Adds 1 to the measure in the pane of the day alone."""
        self._sums.add_to_longest(kind, time_ms, measure.name, value, 1)

"""Which creators go live: each start of a live counts once for its creator, on the platform, on its day.

Behind the verdicts, beside the rooms; it remembers nothing. Lives are the room service's word: no cap holds
for these creators.
"""

from __future__ import annotations

from schemas.events import LiveStart
from streams.catalogue import LIVE_STARTS
from streams.kpi import FigureSet
from streams.scopes import PLATFORM_CREATOR, pair_value
from streams.story import Chunk, Shelf
from streams.sums import Sums

_TOPICS = frozenset({"livestreams"})


class LiveStarts:
    """The starts of lives in one partition number."""

    def __init__(self, figures: FigureSet, sums: Sums) -> None:
        self._enabled = PLATFORM_CREATOR in figures.kinds and LIVE_STARTS.name in figures.measures
        self._sums = sums

    @property
    def topics(self) -> frozenset[str]:
        """The topic of the rooms."""
        return _TOPICS if self._enabled else frozenset()

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """No records."""
        return ()

    def ids(self, _chunk: Chunk) -> dict[str, list[str]]:
        """No records have to be loaded."""
        return {}

    def accept(self, chunk: Chunk) -> None:
        """Counts the starts that name a creator."""
        for event in chunk.events:
            if isinstance(event, LiveStart) and event.creator_id is not None:
                value = pair_value(event.platform, event.creator_id)
                self._sums.add(PLATFORM_CREATOR.name, event.event_time_ms, LIVE_STARTS.name, value, 1)

"""What advertising campaigns were charged: in the whole shop, by platform and by campaign.

A book beside the counting of events (`fold`), which decides which campaigns have a place of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.events import AdCharge
from streams.figures.take import ADS
from streams.kpi import FigureSet
from streams.story import Chunk, Shelf
from streams.sums import Sums

TOPICS = frozenset({"ads"})


class AdBook:
    """Charges of one partition number; their currencies are added to `currencies`."""

    shelves: Sequence[Shelf] = ()

    def __init__(self, figures: FigureSet, sums: Sums, currencies: set[str]) -> None:
        self.topics = TOPICS if ADS.name in figures.measures else frozenset[str]()
        self._sums = sums
        self._kinds = [
            kind for kind in figures.kinds if kind.name in ADS.kinds and ADS.name in figures.measures
        ]
        self._currencies = currencies

    def ids(self, _chunk: Chunk) -> Mapping[str, list[str]]:
        """None: a charge needs no record."""
        return {}

    def accept(self, chunk: Chunk) -> None:
        """Adds up the charges of a chunk; nothing else of its topic has an amount."""
        for event in chunk.events:
            if isinstance(event, AdCharge):
                self._currencies.add(event.currency)
                for kind in self._kinds:
                    value = getattr(event, kind.fields[0]) if kind.fields else ""
                    self._sums.add(
                        kind.name,
                        event.event_time_ms,
                        ADS.stored_as(event.currency),
                        value,
                        event.amount_minor,
                    )

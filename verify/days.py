"""Whole days of affiliates, products and creators, as far as answers tell of them day by day.

Between the recomputed panes and what such an answer must say. Of these kinds only the measures named here are
kept: there are many values, and as many days as the log has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

MEASURES: Mapping[str, tuple[str, ...]] = {
    "affiliate": ("orders:", "gmv_paid:", "commission:", "reversed:", "clawed_back:", "claw_backs:"),
    "product": (
        *("events.tag_tap", "events.purchase", "orders:", "gmv_paid:", "refunds_of_purchases:", "reviews."),
    ),
    "creator": ("orders:", "gmv_paid:", "refunds_of_purchases:", "commission:", "reviews."),
}
"""How the names of the kept measures begin, by kind of scope."""
TAPS = "events.tag_tap"
TAPPED_A_PANE = 1_000
"""Of so many products of a day and partition number taps are added up to choose the most tapped."""


class Days:
    """Sums by day, kind and value over all partitions."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], dict[str, Counter[str]]] = {}
        self._tapped: dict[int, Counter[str]] = {}

    def add(self, kind: str, day_ms: int, fields: Mapping[str, int]) -> None:
        """One partition's pane of a day."""
        heads = MEASURES.get(kind)
        if heads is None:
            return
        day = self._sums.setdefault((kind, day_ms), {})
        taps: list[tuple[int, str]] = []
        for name, amount in fields.items():
            measure, _, value = name.partition("|")
            if measure.startswith(heads):
                day.setdefault(value, Counter())[measure] += amount
            if (kind, measure) == ("product", TAPS):
                taps.append((-amount, value))
        for minus, product_id in sorted(taps)[:TAPPED_A_PANE]:
            self._tapped.setdefault(day_ms, Counter())[product_id] -= minus

    def of(self, kind: str, value: str, days_ms: Iterable[int]) -> Counter[str]:
        """The sums per measure of one value over these days, given by their starts."""
        total: Counter[str] = Counter()
        for day_ms in days_ms:
            total.update(self._sums.get((kind, day_ms), {}).get(value, Counter()))
        return total

    def most_tapped(self, days_ms: Iterable[int], most: int, without: Iterable[str]) -> list[str]:
        """The products with most tag taps over these days, most first, then by id.

        Of each day and partition number those taps count that belong to its TAPPED_A_PANE most tapped.
        """
        total: Counter[str] = Counter()
        for day_ms in days_ms:
            total.update(self._tapped.get(day_ms, Counter()))
        ranked = sorted(total.keys() - set(without), key=lambda product_id: (-total[product_id], product_id))
        return ranked[:most]

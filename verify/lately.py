"""What every value of a few kinds came to in the last hours, for answers that tell of the largest ones.

Beside the totals, which keep of such kinds only what single questions need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from verify.model import PaneKey
from verify.rules import HOUR_MS
from verify.windows import Piece

KINDS = frozenset({"product", "channel", "mini_program,channel"})
# Of a window that a clock ends, which may lie before the highest event time; 25 hours may hold a whole day.
KEPT_MS: Mapping[str, int] = {
    "10s": 2 * HOUR_MS,
    "1m": 2 * HOUR_MS,
    "1h": 27 * HOUR_MS,
    "1d": 27 * HOUR_MS,
}


class Lately:
    """Sums by value and measure; `h` is the highest event time over all partitions."""

    def __init__(self, h: int) -> None:
        self._h = h
        self._panes: dict[PaneKey, dict[str, Counter[str]]] = {}

    def add(self, key: PaneKey, fields: Mapping[str, int]) -> None:
        """A pane of one partition."""
        kind, size, start_ms = key
        if kind not in KINDS or start_ms < self._h - KEPT_MS[size]:
            return
        by_value = self._panes.setdefault(key, {})
        for name, amount in fields.items():
            measure, _, value = name.partition("|")
            if measure != "capped" and amount:
                by_value.setdefault(value, Counter())[measure] += amount

    def values(self, kind: str, panes: Iterable[Piece]) -> dict[str, Counter[str]]:
        """By value its sums over these panes."""
        found: dict[str, Counter[str]] = {}
        for pane in panes:
            for value, sums in self._panes.get((kind, *pane), {}).items():
                found.setdefault(value, Counter()).update(sums)
        return found

    def sums(self, kind: str, value: str, panes: Iterable[Piece]) -> Counter[str]:
        """One value's sums over these panes."""
        found: Counter[str] = Counter()
        for pane in panes:
            found.update(self._panes.get((kind, *pane), {}).get(value, {}))
        return found

    def most_in_a_pane(self, kind: str, panes: Iterable[Piece]) -> int:
        """How many values the pane with most of them has."""
        return max((len(self._panes.get((kind, *pane), {})) for pane in panes), default=0)

"""What an answer must say: recomputed panes of all partitions put together over a range.

Between the recomputation and the questions to the read service. Of line-level scopes only what is asked for
later is kept, since there are as many as products.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from verify.model import PaneKey, Panes, Scope
from verify.panes import is_kept_for_answers, pane_start
from verify.rules import SIZE_MS, Rules
from verify.scopes import LINE_LEVEL

LINE_KINDS = frozenset(kind for kind, _ in LINE_LEVEL)
RECENT = (("1h", 3), ("1m", 5), ("10s", 3))
"""The last panes of each finer size that are asked for; together of each size they make one range."""


class Range(NamedTuple):
    """[from_ms, to_ms), to be composed of panes of `size`."""

    from_ms: int
    to_ms: int
    size: str


class Totals:
    """Sums per range and scope. `h` is the highest event time over all partitions."""

    def __init__(self, h: int, rules: Rules) -> None:
        self._h = h
        self._rules = rules
        self._panes: dict[PaneKey, Counter[str]] = {}
        self._lines: dict[Scope, Counter[str]] = {}
        self._days: set[int] = set()

    def add(self, panes: Panes) -> None:
        """The panes of one partition."""
        for (kind, size, start_ms), fields in panes.items():
            if not is_kept_for_answers(start_ms, size, self._h, self._rules):
                continue
            if size == "1d":
                self._days.add(start_ms)
            if kind in LINE_KINDS and size == "1d":
                for name, amount in fields.items():
                    measure, _, value = name.partition("|")
                    self._lines.setdefault((kind, value), Counter())[measure] += amount
            elif kind not in LINE_KINDS or start_ms >= self._recent_from(size):
                # A Counter drops nothing on +=, unlike its operators: sums may be negative.
                kept = self._panes.setdefault((kind, size, start_ms), Counter())
                for name, amount in fields.items():
                    kept[name] += amount

    def days(self) -> list[Range]:
        """Each day that holds anything."""
        return [Range(day, day + SIZE_MS["1d"], "1d") for day in sorted(self._days)]

    def whole(self) -> Range | None:
        """From the first day that holds anything to the end of the last."""
        return Range(min(self._days), max(self._days) + SIZE_MS["1d"], "1d") if self._days else None

    def recent(self) -> list[Range]:
        """The last hours, minutes and tens of seconds before the highest event time, one range a size."""
        return [
            Range(self._recent_from(size), pane_start(self._h, size) + SIZE_MS[size], size)
            for size, _ in RECENT
            if is_kept_for_answers(self._recent_from(size), size, self._h, self._rules)
        ]

    def scopes(self, top: int | None) -> list[Scope]:
        """Every order-level scope, and of each line-level kind the `top` with most events (None: all)."""
        found: set[Scope] = set()
        for (kind, size, _), fields in self._panes.items():
            if kind not in LINE_KINDS and kind != "pipeline" and size == "1d":
                found.update((kind, name.partition("|")[2]) for name in fields)
        for kind in sorted(LINE_KINDS):
            ranked = sorted(
                (scope for scope in self._lines if scope[0] == kind),
                key=lambda scope: (-_weight(self._lines[scope]), scope),
            )
            found.update(ranked[:top])
        return sorted(found)

    def of(self, scope: Scope, span: Range) -> Counter[str]:
        """The scope's sums per measure over the range."""
        kind, wanted = scope
        if kind in LINE_KINDS and span.size == "1d":
            # Only the whole range is asked of line-level scopes: their days are added up on arrival.
            return self._lines.get(scope, Counter())
        total: Counter[str] = Counter()
        for start_ms in range(span.from_ms, span.to_ms, SIZE_MS[span.size]):
            for name, amount in self._panes.get((kind, span.size, start_ms), Counter()).items():
                measure, _, value = name.partition("|")
                if value == wanted:
                    total[measure] += amount
        return total

    def quality(self, span: Range) -> dict[str, int]:
        """accepted, duplicates, late, dead_letters, excluded, misplaced over all topics in the range."""
        result = dict.fromkeys(("accepted", "duplicates", "late", "dead_letters", "excluded", "misplaced"), 0)
        for start_ms in range(span.from_ms, span.to_ms, SIZE_MS[span.size]):
            for name, amount in self._panes.get(("pipeline", span.size, start_ms), Counter()).items():
                measure = name.partition("|")[0].partition(".")[0]
                if measure in result:
                    result[measure] += amount
        return result

    def _recent_from(self, size: str) -> int:
        panes = dict(RECENT).get(size, 0)
        return pane_start(self._h, size) - (panes - 1) * SIZE_MS[size]


def _weight(sums: Mapping[str, int]) -> int:
    return sum(amount for measure, amount in sums.items() if measure.startswith("events."))

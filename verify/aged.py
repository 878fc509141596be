"""How much of a sum is old enough: what an answer may say of the part that ended so long before "as of"."""

from __future__ import annotations

from typing import Any

from verify.asked import Asked, OneOf, ratio
from verify.rules import SECOND_MS, SIZE_MS

BEHIND_MS = 60 * SECOND_MS


def older_than(asked: Asked, measure: str, age_ms: int, size: str) -> set[int | None] | None:
    """What the part may be, by the reader's clock; None where these panes are not recomputed.

    The part ends at a border of `size` that lies `age_ms` and a minute before the reader's clock; where
    "as of" is further behind than that, nothing is known of it.
    """
    as_of_ms = asked.answer.get("as_of_ms")
    if not isinstance(as_of_ms, int):
        return {None}
    whole = asked.sums[measure]
    if asked.span.to_ms <= as_of_ms - age_ms:
        return {whole}
    found: set[int | None] = set()
    for clock_ms in asked.clock_ms:
        border_ms = clock_ms - age_ms - BEHIND_MS
        border_ms -= border_ms % SIZE_MS[size]
        if border_ms > as_of_ms - age_ms:
            found.add(None)
        elif border_ms <= asked.span.from_ms:
            found.add(0)
        else:
            young = asked.totals.since(asked.scope, measure, border_ms, asked.span.to_ms, size)
            if young is None:
                return None
            found.add(whole - young)
    return found


def expected(name: str, parts: set[int | None] | None, whole: int, beside: int = 0) -> dict[str, Any]:
    """A ratio of what `older_than` said, and of what is added to it, by the name of the figure."""
    if parts is None:
        return {}
    return {name: OneOf({None if part is None else ratio(part + beside, whole) for part in parts})}

"""How ripe a K-factor is. Pure arithmetic, behind the figures of an answer.

Who came through the newest shares has not had the time to share in turn: of a range only the part that lies a
whole cycle back says what its shares lead to.
"""

from __future__ import annotations

from streams.window import SECOND_MS


def maturity(range_ms: tuple[int, int], as_of_ms: int | None, cycle_s: float | None) -> float | None:
    """The part of [from, to) that lies a cycle or more before as-of, 0 to 1; None where either is unknown."""
    if as_of_ms is None or cycle_s is None:
        return None
    from_ms, to_ms = range_ms
    ripe_ms = as_of_ms - cycle_s * SECOND_MS - from_ms
    return min(max(ripe_ms / (to_ms - from_ms), 0.0), 1.0)


def add_maturity(answer: dict[str, object], range_ms: tuple[int, int], as_of_ms: int | None) -> None:
    """Puts `maturity` into the answer's `virality`, where that has a cycle."""
    virality = answer.get("virality")
    if isinstance(virality, dict) and "cycle_p50_seconds" in virality:
        virality["maturity"] = maturity(range_ms, as_of_ms, virality["cycle_p50_seconds"])

"""Windows that an answer names, and the panes that make up a range; written a second time, from the contract.

Between the rules and whoever recomputes an answer over a window: the moment comes from the answer itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from verify.panes import is_kept_for_answers
from verify.rules import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, SIZE_MS, Rules

WINDOW_MS: Mapping[str, int] = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "24h": DAY_MS,
}
ENDS_ON_10S = ("1m", "5m")

Piece = tuple[str, int]
"""(size, start_ms) of a pane."""


def named(window: str, clock_ms: int) -> tuple[int, int]:
    """[from_ms, to_ms) of a window while the reader's clock stands there."""
    to_ms = round_up(clock_ms, 10 * SECOND_MS if window in ENDS_ON_10S else MINUTE_MS)
    return to_ms - WINDOW_MS[window], to_ms


def round_up(time_ms: int, step_ms: int) -> int:
    """The next border of this step, or the time itself if it is one."""
    return (time_ms + step_ms - 1) // step_ms * step_ms


def day_text(time_ms: int) -> str:
    """The UTC day that holds a moment, like 2026-01-05."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).date().isoformat()


def pieces(from_ms: int, to_ms: int, h: int, rules: Rules, longest_ms: int = DAY_MS) -> list[Piece] | None:
    """The fewest panes of at most this length that make up [from_ms, to_ms); None where some of it is kept no
    longer. `h` is the highest event time."""
    found: list[Piece] = []
    at_ms = from_ms
    while at_ms < to_ms:
        fitting = [
            (size_ms, size)
            for size, size_ms in SIZE_MS.items()
            if size_ms <= longest_ms
            and at_ms % size_ms == 0
            and at_ms + size_ms <= to_ms
            and is_kept_for_answers(at_ms, size, h, rules)
        ]
        if not fitting:
            return None
        size_ms, size = max(fitting)
        found.append((size, at_ms))
        at_ms += size_ms
    return found

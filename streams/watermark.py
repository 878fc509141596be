"""The published watermark: how far in event time a topic-partition's figures are complete, as far as we know.

It decides what answers say of themselves (`as_of_ms`, `completeness`, `state`), and nothing else: no
verdict and no sum depends on it, so a clock that is wrong can make no figure wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.progress import NEVER_MS

# Events of one topic-partition may come this much out of order.
DISORDER_MS = 10_000
# A topic-partition without lag for so long is quiet, not behind: its watermark follows the clock.
QUIET_AFTER_MS = 30_000


@dataclass(slots=True)
class Quiet:
    """Since when a topic-partition has had no lag; None while it has."""

    since_ms: int | None = None

    def observe(self, lag: int | None, now_ms: int) -> None:
        """Takes note of the lag (None: not known, counts as lag)."""
        if lag != 0:
            self.since_ms = None
        elif self.since_ms is None:
            self.since_ms = now_ms

    def is_long(self, now_ms: int) -> bool:
        """Whether there has been no lag for long enough."""
        return self.since_ms is not None and now_ms - self.since_ms >= QUIET_AFTER_MS


def watermark_ms(last_ms: int, high_ms: int, is_quiet: bool, now_ms: int) -> int:
    """The next published watermark; `NEVER_MS` if nothing is known yet. Falls only with the clock."""
    candidates = [last_ms]
    if high_ms != NEVER_MS:
        candidates.append(high_ms - DISORDER_MS)
    if is_quiet:
        candidates.append(now_ms - DISORDER_MS)
    return min(now_ms, max(candidates))

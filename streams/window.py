"""Event time to panes, and panes to windows.

A *pane* is a fixed, aligned piece of event time in which figures are summed; four sizes are kept, each
for its own retention. A *window* is what a reader asks for; it is composed of whole panes. Everything
here is arithmetic on integer milliseconds: the time "now" and the highest event time are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# A range of more panes than this is refused: it bounds the work of one request.
PANES_MAX = 2_000


class WindowError(ValueError):
    """A window that cannot be answered; the text says why and what to ask instead."""


@dataclass(frozen=True, slots=True, eq=False)
class PaneSize:
    """One size of pane. Compared by identity: panes are dict keys, and must hash fast.

    Attributes:
        name: as written in keys and answers, for example ``10s``.
        size_ms: length of a pane.
        retention_ms: how far behind the highest event time panes are kept.
    """

    name: str
    size_ms: int
    retention_ms: int

    def start_of(self, time_ms: int) -> int:
        """Start of the pane that holds `time_ms`."""
        return time_ms - time_ms % self.size_ms

    def is_written(self, start_ms: int, partition_high_ms: int) -> bool:
        """Whether a partition with this highest event time still keeps the pane."""
        return start_ms + self.size_ms >= partition_high_ms - self.retention_ms

    def border_before(self, high_ms: int) -> int:
        """The latest border of this size before `high_ms`: until the next one is passed, no further pane of
        this size or a multiple of it goes (`is_written`), since at its border a pane is still kept."""
        return self.start_of(high_ms - 1)

    def is_answerable(self, start_ms: int, high_ms: int) -> bool:
        """Whether an answer may rest on the pane, given the highest event time of all partitions."""
        return start_ms >= high_ms - self.retention_ms


class Pane(NamedTuple):
    """A pane of one size: the event time [start_ms, start_ms + size.size_ms)."""

    size: PaneSize
    start_ms: int


def pane_sizes(
    retention_10s_ms: int, retention_1m_ms: int, retention_1h_ms: int, retention_1d_ms: int
) -> tuple[PaneSize, ...]:
    """The sizes kept, finest first. Each is a multiple of the one before: coarse panes are sums of fine."""
    return (
        PaneSize("10s", 10 * SECOND_MS, retention_10s_ms),
        PaneSize("1m", MINUTE_MS, retention_1m_ms),
        PaneSize("1h", HOUR_MS, retention_1h_ms),
        PaneSize("1d", DAY_MS, retention_1d_ms),
    )


@dataclass(frozen=True, slots=True)
class NamedWindow:
    """A window that a reader asks for by name: its length, and the border its end is rounded up to."""

    length_ms: int
    border_ms: int


NAMED_WINDOWS = {
    "1m": NamedWindow(MINUTE_MS, 10 * SECOND_MS),
    "5m": NamedWindow(5 * MINUTE_MS, 10 * SECOND_MS),
    "30m": NamedWindow(30 * MINUTE_MS, MINUTE_MS),
    "1h": NamedWindow(HOUR_MS, MINUTE_MS),
    "24h": NamedWindow(24 * HOUR_MS, MINUTE_MS),
}
LIVE_WINDOW = "live"


def named_range(name: str, now_ms: int) -> tuple[int, int]:
    """[from_ms, to_ms) of a named window at `now_ms`. Raises WindowError for an unknown name."""
    window = NAMED_WINDOWS.get(name)
    if window is None:
        known = " ".join((*NAMED_WINDOWS, LIVE_WINDOW))
        raise WindowError(f"unknown window {name[:40]!r}; known windows: {known}")
    to_ms = -(-now_ms // window.border_ms) * window.border_ms
    return to_ms - window.length_ms, to_ms


def live_range(live_start_ms: int, now_ms: int) -> tuple[int, int]:
    """[from_ms, to_ms) of a live: its start rounded down to a minute, now rounded up to one."""
    from_ms = live_start_ms - live_start_ms % MINUTE_MS
    return from_ms, max(-(-now_ms // MINUTE_MS) * MINUTE_MS, from_ms + MINUTE_MS)


def compose(from_ms: int, to_ms: int, sizes: tuple[PaneSize, ...], high_ms: int) -> list[Pane]:
    """The fewest panes that make up [from_ms, to_ms).

    `high_ms` is the highest accepted event time of all partitions: it decides what is still kept.
    Raises WindowError if the range is empty or too long, if an end lies on no border that is kept at
    its place, or if what lies between is not kept.
    """
    if from_ms < 0 or to_ms <= from_ms:
        raise WindowError("from_ms must be at least 0 and below to_ms")
    _check_border("from_ms", from_ms, sizes, high_ms)
    _check_border("to_ms", to_ms, sizes, high_ms)
    panes: list[Pane] = []
    at_ms = from_ms
    while at_ms < to_ms:
        size = _largest_fit(at_ms, to_ms, sizes, high_ms)
        if size is None:
            raise WindowError(
                f"no kept panes make up the range from {at_ms} to {to_ms}; choose wider borders"
            )
        panes.append(Pane(size, at_ms))
        at_ms += size.size_ms
        if len(panes) > PANES_MAX:
            raise WindowError(f"the range needs more than {PANES_MAX} panes; ask for a shorter one")
    return panes


def _check_border(name: str, time_ms: int, sizes: tuple[PaneSize, ...], high_ms: int) -> None:
    finest = next((size for size in sizes if size.is_answerable(time_ms, high_ms)), None)
    if finest is None:
        raise WindowError(f"{name} {time_ms} lies before everything that is kept")
    if time_ms % finest.size_ms:
        raise WindowError(
            f"{name} {time_ms} is not on a border: at this place panes of {finest.name} are the finest kept, "
            f"so it must be a multiple of {finest.size_ms}"
        )


def _largest_fit(at_ms: int, to_ms: int, sizes: tuple[PaneSize, ...], high_ms: int) -> PaneSize | None:
    for size in reversed(sizes):
        fits = at_ms % size.size_ms == 0 and at_ms + size.size_ms <= to_ms
        if fits and size.is_answerable(at_ms, high_ms):
            return size
    return None

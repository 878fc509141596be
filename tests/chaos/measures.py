"""How far behind the figures are, how long faults were felt, and whether memory grows: arithmetic, pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# By topic-partition: an offset.
Offsets = Mapping[tuple[str, int], int]
CAUGHT_UP_S = 5.0


class Ends(NamedTuple):
    """How far the log went at a moment, in seconds of any clock that only runs forward."""

    at_s: float
    offsets: Offsets


@dataclass
class LogTimes:
    """When the log grew: by this, offsets that were counted say how old the oldest record is that was not."""

    _seen: list[Ends] = field(default_factory=list)

    def saw(self, ends: Ends) -> None:
        """One look at the log; the log only grows."""
        self._seen.append(ends)

    def lag_s(self, counted: Offsets, now_s: float) -> float:
        """Age of the oldest record that was in the log at a look and is not counted; 0 if there is none."""
        at = bisect_left(self._seen, True, key=lambda ends: is_behind(counted, ends.offsets))
        return now_s - self._seen[at].at_s if at < len(self._seen) else 0.0


def is_behind(counted: Offsets, ends: Offsets) -> bool:
    """Whether the log holds anything that is not counted."""
    return any(counted.get(place, 0) < end for place, end in ends.items())


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values is not above (nearest rank); ValueError if there is none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Least squares: by how much y grows with one x. None of fewer than two different x."""
    if not points:
        return None
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return None
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


class Life(NamedTuple):
    """The longest life of a process under one name, after its warm-up.

    Attributes:
        minutes: how long it was looked at.
        first_mib, last_mib: resident memory at both ends.
        mib_per_h: least squares.
    """

    minutes: float
    first_mib: float
    last_mib: float
    mib_per_h: float


def longest_life(points: Sequence[tuple[float, int, float]], warm_up_s: float) -> Life | None:
    """Of (second, process id, MiB); None if no process lived longer than its warm-up."""
    lives: dict[int, list[tuple[float, float]]] = {}
    for at_s, pid, mib in points:
        lives.setdefault(pid, []).append((at_s, mib))
    warm = [[point for point in life if point[0] >= life[0][0] + warm_up_s] for life in lives.values()]
    longest = max(warm, key=lambda life: life[-1][0] - life[0][0] if life else 0.0, default=[])
    rise = slope(longest)
    if rise is None:
        return None
    (first_s, first_mib), (last_s, last_mib) = longest[0], longest[-1]
    return Life((last_s - first_s) / 60, first_mib, last_mib, rise * 3_600)

"""Over which whole panes distinct users are counted for a range. Pure arithmetic.

It stands between the asked range and the sketches: a sketch holds all users of its pane, so the range of
users is wider than the asked one, and is told in the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streams.figures import DISTINCT
from streams.requests import SKETCHES_MAX
from streams.users import SKETCH_SIZES
from streams.window import DAY_MS, Pane, PaneSize


@dataclass(frozen=True, slots=True)
class UsersRange:
    """[from_ms, to_ms) in whole panes of one size."""

    from_ms: int
    to_ms: int
    panes: tuple[Pane, ...]


def sizes_of(kind: str) -> tuple[PaneSize, ...]:
    """The sizes of panes that have sketches for the kind of scope, finest first."""
    named = frozenset[str]().union(*(each.sizes for each in DISTINCT if kind in each.measure.kinds))
    return tuple(size for size in SKETCH_SIZES if not named or size.name in named)


def users_range(
    from_ms: int, to_ms: int, newest_ms: int, sizes: Sequence[PaneSize] = SKETCH_SIZES
) -> UsersRange | None:
    """The whole minutes, hours or days that [from_ms, to_ms) touches: the finest that are kept where it
    begins and of which not too many are counted. None where not even days are.

    `newest_ms` is the later of the server's clock and the highest event time: what it has left behind may
    be gone.
    """
    for size in sizes:
        if from_ms >= newest_ms - size.retention_ms:
            first_ms = size.start_of(from_ms)
            end_ms = size.start_of(to_ms - 1) + size.size_ms
            starts_ms = range(first_ms, end_ms, size.size_ms)
            # Judged before any is made: a range that ends years ahead has millions of minutes.
            if len(starts_ms) <= SKETCHES_MAX:
                return UsersRange(first_ms, end_ms, tuple(Pane(size, start_ms) for start_ms in starts_ms))
    return None


def complete_days(days: int, end_ms: int, newest_ms: int) -> UsersRange | None:
    """The last so many whole UTC days that are over at `end_ms`; None where not all are kept.

    `newest_ms` as for `users_range`.
    """
    size = SKETCH_SIZES[-1]
    until_ms = size.start_of(end_ms)
    from_ms = until_ms - days * DAY_MS
    if from_ms < max(newest_ms - size.retention_ms, 0):
        return None
    starts_ms = range(from_ms, until_ms, DAY_MS)
    return UsersRange(from_ms, until_ms, tuple(Pane(size, start_ms) for start_ms in starts_ms))

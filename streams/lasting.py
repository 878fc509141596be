"""Drops that go on for longer than minutes are kept: since when, and what they have cost by now. No I/O.

It stands in the watch, behind the judgement, which knows the last hours only: there a drop of a day would
seem to have begun when they did, anew every minute, and its losses would stop growing. What it remembers
lives as long as the service. One that starts while a drop goes on has not seen its beginning, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from streams.answer import Scope
from streams.cohorts import DROP_TO, Minutes, Step
from streams.judgement import Fall, Judged

Key: TypeAlias = tuple[Scope, Step]

# Minutes are remembered so long before they are kept no more: for so long nobody may look, and nothing is
# missing. Those that are still kept are reckoned anew, because what is left out of them can change.
RESERVE_MIN: Final = 120
# Chance may end a shortfall for a moment: what seems to begin so soon after the first minute that was ever
# seen may have begun before it.
UNSEEN_MIN: Final = 30


@dataclass(slots=True)
class _Sum:
    """The shortfall (as `cohorts.since`) before the minute `upto`, since when it rose, and what it cost.

    Attributes:
        seen_from: a drop that began before was perhaps there before anybody looked.
        counted: minutes since, without those that are left out.
    """

    upto: int
    began: int
    seen_from: int
    shortfall: float = 0.0
    lost: float = 0.0
    lost_orders: float = 0.0
    counted: int = 0

    def advance(self, minutes: Minutes, until: int, fall: Fall, usual_ratio: float) -> None:
        """Adds the minutes before `until`."""
        orders_each = fall.lost_orders / fall.lost if fall.lost else 0.0
        for minute in range(self.upto, until):
            n, k = minutes.before(minute + 1, 1)
            self.shortfall += n * fall.reading.ratio * (1 + DROP_TO) / 2 - k
            self.lost += n * usual_ratio - k
            self.lost_orders += (n * usual_ratio - k) * orders_each
            self.counted += minutes.counted(minute + 1, 1)
            if self.shortfall <= 0:
                self.begin(minute + 1)
        self.upto = max(self.upto, until)

    def begin(self, minute: int) -> None:
        """What came before is none of it."""
        self.upto = self.began = minute
        self.shortfall = self.lost = self.lost_orders = 0.0
        self.counted = 0


class Lasting:
    """What drops were before the minutes that are kept."""

    def __init__(self) -> None:
        self._sums: dict[Key, _Sum] = {}

    @property
    def known(self) -> int:
        """How many steps something is remembered of."""
        return len(self._sums)

    def forget(self) -> None:
        """What was remembered does not hold."""
        self._sums.clear()

    def told(
        self, judged: Sequence[Judged], kept: Callable[[Scope, Step], Minutes], end_of: Callable[[Step], int]
    ) -> tuple[list[Judged], frozenset[Key]]:
        """What was judged, its drops since they began; and the drops that may have begun before that.

        `kept` gives the minutes of a step that are kept, `end_of` where its windows end.
        """
        told: list[Judged] = []
        unseen: set[Key] = set()
        sums: dict[Key, _Sum] = {}
        for each in judged:
            key = each.scope, each.step
            if each.fall is None and key not in self._sums:
                told.append(each)
                continue
            minutes = kept(*key)
            first, known = minutes.first_minute, self._sums.get(key)
            if known is not None and known.upto >= first:
                sums[key] = known
            if each.fall is None:
                told.append(each)
                continue
            known = sums.setdefault(key, _Sum(first, first, first + UNSEEN_MIN))
            fall = _whole(known, minutes, end_of(each.step), each.fall)
            if fall.since_minute < known.seen_from:
                unseen.add(key)
            told.append(replace(each, fall=fall))
        self._sums = sums
        return told, frozenset(unseen)


def _whole(known: _Sum, minutes: Minutes, end: int, fall: Fall) -> Fall:
    """All of a drop; what will soon be kept no more is remembered in `known`."""
    n, k = minutes.before(end, end - fall.since_minute)
    usual_ratio = (fall.lost + k) / n if fall.lost else fall.reading.ratio
    soon_gone = min(minutes.first_minute + RESERVE_MIN, end)
    known.advance(minutes, soon_gone, fall, usual_ratio)
    whole = replace(known)
    whole.advance(minutes, end, fall, usual_ratio)
    if whole.began < minutes.first_minute:
        return fall if fall.is_cut else _since(fall, whole)
    if fall.since_minute < soon_gone:
        # What was left off as chance must not come back once its minutes can be judged no more.
        known.begin(fall.since_minute)
        known.advance(minutes, soon_gone, fall, usual_ratio)
    return fall


def _since(fall: Fall, whole: _Sum) -> Fall:
    lost, orders = max(whole.lost, 0.0), max(whole.lost_orders, 0.0)
    return replace(
        fall,
        since_minute=whole.began,
        lost=lost,
        lost_orders=orders,
        lost_orders_per_minute=orders / max(whole.counted, 1),
    )

"""What is usual for a step of the funnel: the same hours of the four weeks before. Pure arithmetic.

It stands beside `cohorts`, which compares. A median over weeks forgets one bad week by itself; hours that
were flagged (an incident, a silent source) are left out, so that an outage is nobody's baseline. How much
evidence a baseline needs was measured: docs/alerting.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from streams.cohorts import Tally, Usual

WEEKS: Final = 4
WEEK_H: Final = 7 * 24
# The same hours are widened to both sides, hour by hour and at most so far, until enough reached the step.
REACHED_MIN: Final = 200
WIDENED_MAX_H: Final = 12
# A shop without such weeks is compared with the day before, where that holds enough.
DAY_H: Final = 24
REACHED_IN_DAY_MIN: Final = 50
# Strata with a smaller part than this may be without a baseline.
STRATUM_MIN: Final = 0.05


class Hours:
    """Tallies of one step in one scope by hour; hours are counted since 1970."""

    def __init__(self, tallies: Mapping[int, Tally], flagged: Collection[int] = frozenset()) -> None:
        self._tallies = {hour: tally for hour, tally in tallies.items() if hour not in flagged}
        # A window moves on by a minute, the hours that it touches stay the same.
        self._known: dict[tuple[int, int], Usual | None] = {}

    def usual(self, from_minute: int, to_minute: int) -> Usual | None:
        """What is usual in [from, to), minutes since 1970; None where too little is known."""
        span = from_minute // 60, (to_minute - 1) // 60
        if span not in self._known:
            self._known[span] = self._usual(*span)
        return self._known[span]

    def took_part(self, from_minute: int, to_minute: int) -> int:
        """How many took part in the hours that `usual` compares with, not widened."""
        first, last = from_minute // 60, (to_minute - 1) // 60
        weeks = self._weeks(first, last)
        if not weeks:
            weeks = self._present([range(first - DAY_H, first)])
        return sum(tally.n for week in weeks for tally in week)

    def _usual(self, first: int, last: int) -> Usual | None:
        weeks = self._weeks(first, last)
        per_minute = [sum(tally.k for tally in week) / len(week) / 60 for week in weeks]
        reached_per_minute = median(per_minute) if per_minute else None
        for widened in range(WIDENED_MAX_H + 1):
            ratio = _ratio(self._weeks(first - widened, last + widened), REACHED_MIN)
            if ratio is not None:
                return Usual(ratio, reached_per_minute)
        whole_weeks = [range(first - WEEK_H * (week + 1), first - WEEK_H * week) for week in range(WEEKS)]
        ratio = _ratio(self._present(whole_weeks), REACHED_MIN)
        if ratio is None:
            ratio = _ratio(self._present([range(first - DAY_H, first)]), REACHED_IN_DAY_MIN)
        return None if ratio is None else Usual(ratio, reached_per_minute)

    def _weeks(self, first: int, last: int) -> list[list[Tally]]:
        back = (WEEK_H * (week + 1) for week in range(WEEKS))
        return self._present([range(first - hours, last - hours + 1) for hours in back])

    def _present(self, spans: Iterable[range]) -> list[list[Tally]]:
        """The tallies of the hours that are known, by span; spans without any are left out."""
        found = ([self._tallies[hour] for hour in span if hour in self._tallies] for span in spans)
        return [tallies for tallies in found if tallies]


def _ratio(weeks: Sequence[Sequence[Tally]], reached_min: int) -> float | None:
    """The median of the weeks' ratios; None where too few reached the step in all of them."""
    sums = [Tally(sum(each.n for each in week), sum(each.k for each in week)) for week in weeks]
    if sum(tally.k for tally in sums) < reached_min:
        return None
    return median(tally.k / tally.n for tally in sums if tally.n)


class Stratum(NamedTuple):
    """A part of a scope: who took part in the window, who in the hours of the baseline, the usual ratio."""

    now_n: int
    then_n: int
    ratio: float | None


def mixed(usual: Usual, strata: Sequence[Stratum]) -> Usual:
    """What is usual for the mix that the window has.

    Viewers of a live buy less often than those who search: when a live brings fifty times the traffic, the
    ratio of the whole falls although nothing is broken. Where a stratum of some size has no ratio of its own
    nothing is known of the mix, and the usual ratio stays.
    """
    now_n, then_n = sum(each.now_n for each in strata), sum(each.then_n for each in strata)
    if not now_n or not then_n:
        return usual
    large = [each for each in strata if max(each.now_n / now_n, each.then_n / then_n) >= STRATUM_MIN]
    known = [(each.now_n, each.then_n, each.ratio) for each in large if each.ratio is not None]
    now = sum(n for n, _, _ in known)
    then = sum(n for _, n, _ in known)
    if len(known) < len(large) or not now or not then:
        return usual
    expected_now = sum(n * ratio for n, _, ratio in known) / now
    expected_then = sum(n * ratio for _, n, ratio in known) / then
    if not expected_then:
        return usual
    return usual._replace(ratio=min(usual.ratio * expected_now / expected_then, 1.0))

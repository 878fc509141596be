"""What is usual for a step of the funnel: the same hours of the four weeks before. Pure arithmetic.

It stands beside `cohorts`, which compares. A median over weeks forgets one bad week by itself; hours that
were flagged (an incident, a silent source) are left out, so that an outage is nobody's baseline. How much
evidence a baseline needs was measured: docs/alerting.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from streams.cohorts import DROP_TO, Tally, Usual, upper_bound

WEEKS: Final = 4
WEEK_H: Final = 7 * 24
# The same hours are widened to both sides, hour by hour and at most so far, until enough reached the step.
REACHED_MIN: Final = 200
WIDENED_MAX_H: Final = 12
# A shop without such weeks is compared with the day before, where that holds enough.
DAY_H: Final = 24
REACHED_IN_DAY_MIN: Final = 50
# How much more or less than usual goes on today is taken from the hours before the window: at least two, more
# until so many usually reach the step in them.
LEVEL_H: Final = 2
LEVEL_REACHED_MIN: Final = 100
# Strata with a smaller part than this may be without a baseline.
STRATUM_MIN: Final = 0.05
# So far the strata's numbers of the weeks before may be from those of the whole.
STRATA_OFF_MAX: Final = 0.05


class Hours:
    """Tallies of one step in one scope by hour; hours are counted since 1970."""

    def __init__(self, tallies: Mapping[int, Tally], flagged: Collection[int] = frozenset()) -> None:
        self._tallies = {hour: tally for hour, tally in tallies.items() if hour not in flagged}
        # A window moves on by a minute, the hours that it touches stay the same.
        self._known: dict[tuple[int, int], Usual | None] = {}
        self._known_before: dict[tuple[int, int], Tally] = {}

    def usual(self, from_minute: int, to_minute: int) -> Usual | None:
        """What is usual in [from, to), minutes since 1970; None where too little is known."""
        span = from_minute // 60, (to_minute - 1) // 60
        if span not in self._known:
            self._known[span] = self._usual(*span)
        return self._known[span]

    def before(self, from_minute: int, to_minute: int) -> Tally:
        """All hours together that `usual` compares with, not widened; of a young shop those of the day."""
        span = from_minute // 60, (to_minute - 1) // 60
        if span not in self._known_before:
            self._known_before[span] = self._before(*span)
        return self._known_before[span]

    def _before(self, first: int, last: int) -> Tally:
        weeks = self._weeks(first, last) or self._present([range(first - DAY_H, first)])
        return _pooled(tally for week in weeks for tally in week)

    def _usual(self, first: int, last: int) -> Usual | None:
        weeks = self._weeks(first, last)
        per_minute = [sum(tally.k for tally in week) / len(week) / 60 for week in weeks]
        reached_per_minute = median(per_minute) * self._level(first) if per_minute else None
        for widened in range(WIDENED_MAX_H + 1):
            ratio = _ratio(self._weeks(first - widened, last + widened), REACHED_MIN)
            if ratio is not None:
                return Usual(ratio, reached_per_minute)
        whole_weeks = [range(first - WEEK_H * (week + 1), first - WEEK_H * week) for week in range(WEEKS)]
        ratio = _ratio(self._present(whole_weeks), REACHED_MIN)
        if ratio is None:
            ratio = _ratio(self._present([range(first - DAY_H, first)]), REACHED_IN_DAY_MIN)
        return None if ratio is None else Usual(ratio, reached_per_minute)

    def _level(self, first: int) -> float:
        """How many reached the step in the hours before, against what is usual then.

        Of a slow day fewer are expected, after a campaign began more; bots that only view change nothing of
        it. Hours in which the step itself fell are passed over, or a drop would soon be its own measure.
        """
        now, usual = 0.0, 0.0
        for hour in range(first - 1, first - DAY_H - 1, -1):
            weeks = self._weeks(hour, hour)
            if weeks and hour in self._tallies and not _fell(self._tallies[hour], weeks):
                now += self._tallies[hour].k
                usual += median(week[0].k for week in weeks)
            if hour <= first - LEVEL_H and usual >= LEVEL_REACHED_MIN:
                break
        return now / usual if usual else 1.0

    def _weeks(self, first: int, last: int) -> list[list[Tally]]:
        back = (WEEK_H * (week + 1) for week in range(WEEKS))
        return self._present([range(first - hours, last - hours + 1) for hours in back])

    def _present(self, spans: Iterable[range]) -> list[list[Tally]]:
        """The tallies of the hours that are known, by span; spans without any are left out."""
        found = ([self._tallies[hour] for hour in span if hour in self._tallies] for span in spans)
        return [tallies for tallies in found if tallies]


def _fell(tally: Tally, weeks: Sequence[Sequence[Tally]]) -> bool:
    """Whether the step is reached less than usual in an hour, for sure."""
    ratio = _ratio(weeks, 1)
    return ratio is not None and tally.n > 0 and upper_bound(*tally) < DROP_TO * ratio


def _pooled(tallies: Iterable[Tally]) -> Tally:
    n = k = 0
    for tally in tallies:
        n += tally.n
        k += tally.k
    return Tally(n, k)


def _ratio(weeks: Sequence[Sequence[Tally]], reached_min: int) -> float | None:
    """The median of the weeks' ratios; None where too few reached the step in all of them."""
    sums = [_pooled(week) for week in weeks]
    if sum(tally.k for tally in sums) < reached_min:
        return None
    return median(tally.k / tally.n for tally in sums if tally.n)


class Stratum(NamedTuple):
    """A part of a scope: how many of the window's took part there, its tally of the weeks before (see
    `Hours.before`), and the usual ratio."""

    n: int
    before: Tally
    ratio: float | None


def mixed(usual: Usual, before: Tally, strata: Sequence[Stratum]) -> Usual:
    """What is usual for the mix that the window has: the strata's usual ratios, weighed by who takes part
    now.

    Viewers of a live buy less often than those who search: when a live brings fifty times the traffic, the
    ratio of the whole falls although nothing is broken. The mix of the weeks before does not enter: one live
    then would outweigh all the rest. The usual ratio stays where a stratum of some size has no ratio of its
    own, and where the strata never made up the whole (`before`: its tally): sessions may pass through several
    surfaces, and a purchase need not name any.
    """
    if not _adds_up(before, [each.before for each in strata]):
        return usual
    took_part = sum(each.n for each in strata)
    known = [(each.n, each.ratio) for each in strata if each.ratio is not None]
    weight = sum(n for n, _ in known)
    if not weight or any(each.ratio is None and each.n >= STRATUM_MIN * took_part for each in strata):
        return usual
    return usual._replace(ratio=sum(n * ratio for n, ratio in known) / weight)


def _adds_up(whole: Tally, parts: Sequence[Tally]) -> bool:
    n, k = _pooled(parts)
    return abs(n - whole.n) <= STRATA_OFF_MAX * whole.n and abs(k - whole.k) <= STRATA_OFF_MAX * whole.k

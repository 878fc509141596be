"""What is usual for a step of the funnel: the same hours of the four weeks before. Pure arithmetic.

It stands beside `cohorts`, which compares. A median over weeks forgets one bad week by itself; hours that
were flagged (an incident, a silent source) are left out, so that an outage is nobody's baseline. How much
evidence a baseline needs was measured: docs/alerting.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median, median_low
from typing import Final, NamedTuple

from streams.cohorts import DROP_TO, Tally, Usual, upper_bound

HOUR_MIN: Final = 60
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
# A live with at least this part of its surface's sessions is a stratum of its own.
LARGE_LIVE_MIN: Final = 0.2
# Lives sell unlike each other: what others usually do says this much of one that has no measure of its own.
LIVES_DIFFER: Final = 2 / 3
# So far the strata's numbers of the weeks before may be from those of the whole.
STRATA_OFF_MAX: Final = 0.05


class Hours:
    """Tallies of one step in one scope by hour; hours are counted since 1970."""

    def __init__(self, tallies: Mapping[int, Tally], flagged: Collection[int] = frozenset()) -> None:
        self._tallies = {hour: tally for hour, tally in tallies.items() if hour not in flagged}
        # A window moves on by a minute, the hours that it touches stay the same.
        self._ratios: dict[tuple[int, int], float | None] = {}
        self._befores: dict[tuple[int, int], Tally] = {}
        self._reached: dict[int, float | None] = {}
        self._levels: dict[int, float] = {}

    def usual(self, from_minute: int, to_minute: int) -> Usual | None:
        """What is usual in [from, to), minutes since 1970; None where too little is known."""
        span = _span(from_minute, to_minute)
        if span not in self._ratios:
            self._ratios[span] = self._ratio(*span)
        ratio = self._ratios[span]
        return None if ratio is None else Usual(ratio, self._reached_per_minute(from_minute, to_minute))

    def before(self, from_minute: int, to_minute: int) -> Tally:
        """All hours together that `usual` compares with, not widened; of a young shop those of the day."""
        span = _span(from_minute, to_minute)
        if span not in self._befores:
            first, last = span
            weeks = self._weeks(first, last) or self._present([range(first - DAY_H, first)])
            self._befores[span] = _pooled(tally for week in weeks for tally in week)
        return self._befores[span]

    def _ratio(self, first: int, last: int) -> float | None:
        for widened in range(WIDENED_MAX_H + 1):
            ratio = _ratio(self._weeks(first - widened, last + widened), REACHED_MIN)
            if ratio is not None:
                return ratio
        whole_weeks = [range(first - WEEK_H * (week + 1), first - WEEK_H * week) for week in range(WEEKS)]
        ratio = _ratio(self._present(whole_weeks), REACHED_MIN)
        if ratio is None:
            ratio = _ratio(self._present([range(first - DAY_H, first)]), REACHED_IN_DAY_MIN)
        return ratio

    def _reached_per_minute(self, from_minute: int, to_minute: int) -> float | None:
        """How many reach the step in a minute of [from, to) at today's level.

        Straight lines lead from the middle of an hour to that of the next: of an evening that empties by a
        third within the hour its mean would ask too much of the last minutes.
        """
        total, at = 0.0, from_minute
        while at < to_minute:
            middle = (at - HOUR_MIN // 2) // HOUR_MIN * HOUR_MIN + HOUR_MIN // 2
            until = min(middle + HOUR_MIN, to_minute)
            ends = [self._usually_reached(middle // HOUR_MIN + hour) for hour in (0, 1)]
            known = [each for each in ends if each is not None]
            if not known:
                return None
            into = ((at + until) / 2 - middle) / HOUR_MIN
            total += (known[0] + (known[-1] - known[0]) * into) / HOUR_MIN * (until - at)
            at = until
        return total / (to_minute - from_minute) * self._level(from_minute // HOUR_MIN)

    def _usually_reached(self, hour: int) -> float | None:
        """How many reached the step in that hour of the weeks before: the second lowest of four, since two
        weeks with a crowd in them lift the median far above a usual one."""
        if hour not in self._reached:
            weeks = self._weeks(hour, hour)
            self._reached[hour] = median_low(week[0].k for week in weeks) if weeks else None
        return self._reached[hour]

    def _level(self, first: int) -> float:
        """How many reached the step in the hours before, against what is usual then.

        Of a slow day fewer are expected, after a campaign began more, if both of the last two hours had
        more: a large live ends as it came. Bots that only view change nothing of it. Hours in which the step
        itself fell are passed over, or a drop would soon be its own measure.
        """
        if first not in self._levels:
            self._levels[first] = self._level_before(first)
        return self._levels[first]

    def _level_before(self, first: int) -> float:
        now, usual = 0.0, 0.0
        latest: list[float] = []
        for hour in range(first - 1, first - DAY_H - 1, -1):
            usually, tally = self._usually_reached(hour), self._tallies.get(hour)
            if usually is not None and tally is not None and not _fell(tally, self._weeks(hour, hour)):
                now += tally.k
                usual += usually
                if usually and len(latest) < LEVEL_H:
                    latest.append(tally.k / usually)
            if hour <= first - LEVEL_H and usual >= LEVEL_REACHED_MIN:
                break
        level = now / usual if usual else 1.0
        return level if level <= 1 else max(1.0, min(level, *latest))

    def _weeks(self, first: int, last: int) -> list[list[Tally]]:
        back = (WEEK_H * (week + 1) for week in range(WEEKS))
        return self._present([range(first - hours, last - hours + 1) for hours in back])

    def _present(self, spans: Iterable[range]) -> list[list[Tally]]:
        """The tallies of the hours that are known, by span; spans without any are left out."""
        found = ([self._tallies[hour] for hour in span if hour in self._tallies] for span in spans)
        return [tallies for tallies in found if tallies]


def _span(from_minute: int, to_minute: int) -> tuple[int, int]:
    """The first and the last hour that [from, to) touches."""
    return from_minute // HOUR_MIN, (to_minute - 1) // HOUR_MIN


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


def apart(stratum: Stratum, lives: Sequence[tuple[int, float | None]]) -> list[Stratum]:
    """A live surface's stratum, its large lives apart: of each how many took part in the window, and its own
    ratio before it (None: not known yet). What was before stays with the stratum."""
    rest = max(stratum.n - sum(n for n, _ in lives), 0)
    unlike = None if stratum.ratio is None else stratum.ratio * LIVES_DIFFER
    large = [Stratum(n, Tally(0, 0), unlike if own is None else own) for n, own in lives]
    return [stratum._replace(n=rest), *large]


def _adds_up(whole: Tally, parts: Sequence[Tally]) -> bool:
    n, k = _pooled(parts)
    return abs(n - whole.n) <= STRATA_OFF_MAX * whole.n and abs(k - whole.k) <= STRATA_OFF_MAX * whole.k

"""Whether a step of the funnel fell: sessions of equal horizon against what is usual. Pure arithmetic.

It stands beside the figures, not on their way: the watch brings counts by minute, and what comes out is
exported for the alert rules, which do the comparison anew (`dashboards` derives them from the same numbers).
The backtest runs this very code. Only sessions that had the whole horizon take part, on both sides: events
counted against events of the same minutes would fall with every rise of traffic. Why several windows, and
what little traffic can show at all: docs/alerting.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from itertools import accumulate
from math import log, sqrt
from typing import Final, NamedTuple

from streams.catalogue import ATTEMPTS, PAY_AUTHORISED, PROMPT_STEPS, SESSION_STEPS

# Lengths of the windows, in minutes. A drop has to show in two of them, so neighbours are close: the second
# is a third longer than the first. The shortest is how soon the largest shops can know.
RUNGS_MIN: Final = (2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 85, 114, 152, 202, 270, 360)
# One-sided error of a bound: 1 in 10 000.
Z: Final = 3.719
# A drop is a rate that lies below this part of the usual one, for sure.
DROP_TO: Final = 0.75
# One-sided error of "fewer than usual reached the step", 1 in 100: asked on top of the above, of steps from a
# view.
REACHED_Z: Final = 2.326
# In a short and a long window: one alone may be a blip, or over already.
RUNGS_AGREEING: Final = 2
# With less than this a window says nothing.
TOOK_PART_MIN: Final = 20
EXPECTED_MIN: Final = 5
# With less than this in the longest window not even a total stop would be significant.
EXPECTED_TO_WATCH: Final = 25
# A payment attempt without an outcome after this has failed (CONTRACT: payments).
ATTEMPT_HORIZON_MIN: Final = 2


class Step(NamedTuple):
    """From one step to the next: a name as readers see it, and the stored measures of both."""

    name: str
    whole: str
    part: str


_VIEWS = SESSION_STEPS[0].name
_TAPS, _CARTS, _PURCHASES = (measure.name for measure in PROMPT_STEPS)
STEPS: Final = (
    Step("tag_tap_per_view", _VIEWS, _TAPS),
    Step("add_to_cart_per_tag_tap", _TAPS, _CARTS),
    Step("purchase_per_add_to_cart", _CARTS, _PURCHASES),
    Step("purchase_per_view", _VIEWS, _PURCHASES),
)
# Of a platform's gateway; its horizon is ATTEMPT_HORIZON_MIN.
ATTEMPT: Final = Step("authorised_per_attempt", ATTEMPTS.name, PAY_AUTHORISED.name)


class Tally(NamedTuple):
    """How many took part, and how many of them reached the step."""

    n: int
    k: int


class Usual(NamedTuple):
    """What is usual for a window: the part that reaches the step, and how many do in a minute; None where
    no week before tells."""

    ratio: float
    reached_per_minute: float | None


class Reading(NamedTuple):
    """One window: its length in minutes, its tally, the usual ratio and the usual number that reached."""

    window_min: int
    n: int
    k: int
    ratio: float
    usual_reached: float | None


class State(StrEnum):
    """What can be said of a step in a scope."""

    WATCHED = "watched"
    NOT_ENOUGH_TRAFFIC = "not_enough_traffic"
    NO_BASELINE = "no_baseline"
    NOT_CURRENT = "not_current"


class Minutes:
    """Tallies of one step in one scope by minute; minutes are counted since 1970.

    Minutes that are left out (a source was silent, an incident was told of) count as nothing. Any window is
    two look-ups: sums are kept from the first minute on.
    """

    def __init__(
        self, first_minute: int, tallies: Sequence[Tally], left_out: Collection[int] = frozenset()
    ) -> None:
        self.first_minute = first_minute
        kept = [Tally(0, 0) if first_minute + at in left_out else tally for at, tally in enumerate(tallies)]
        self._n = [0, *accumulate(tally.n for tally in kept)]
        self._k = [0, *accumulate(tally.k for tally in kept)]
        self._counted = [0, *accumulate(first_minute + at not in left_out for at in range(len(kept)))]

    def before(self, end_minute: int, length_min: int) -> Tally:
        """The tally of the `length_min` minutes before `end_minute`; what is not kept counts as nothing."""
        low, high = self._places(end_minute, length_min)
        return Tally(self._n[high] - self._n[low], self._k[high] - self._k[low])

    def counted(self, end_minute: int, length_min: int) -> int:
        """How many of these minutes are kept and not left out."""
        low, high = self._places(end_minute, length_min)
        return self._counted[high] - self._counted[low]

    def weighed(self, weights: Sequence[float]) -> Minutes:
        """The same minutes, of each so many times those who took part; no fewer than reached the step."""
        tallies: list[Tally] = []
        over = 0.0
        for at, weight in enumerate(weights, self.first_minute):
            n, k = self.before(at + 1, 1)
            over += n * weight
            whole = max(int(over), k)
            over = max(over - whole, 0.0)
            tallies.append(Tally(whole, k))
        left_out = {
            at
            for at in range(self.first_minute, self.first_minute + len(weights))
            if not self.counted(at + 1, 1)
        }
        return Minutes(self.first_minute, tallies, left_out)

    def _places(self, end_minute: int, length_min: int) -> tuple[int, int]:
        high = min(max(end_minute - self.first_minute, 0), len(self._n) - 1)
        return min(max(end_minute - length_min - self.first_minute, 0), high), high


def judge(
    minutes: Minutes, end_minute: int, usual_of: Callable[[int], Usual | None]
) -> tuple[State, list[Reading]]:
    """Every window before `end_minute` that holds enough to say something, shortest first.

    `usual_of` tells what is usual for the window of so many minutes.
    """
    readings: list[Reading] = []
    state = State.NO_BASELINE
    for window_min in RUNGS_MIN:
        usual = usual_of(window_min)
        if usual is None:
            continue
        n, k = minutes.before(end_minute, window_min)
        expected = n * usual.ratio
        if n >= TOOK_PART_MIN and expected >= EXPECTED_MIN:
            per_minute = usual.reached_per_minute
            reached = None if per_minute is None else per_minute * minutes.counted(end_minute, window_min)
            readings.append(Reading(window_min, n, k, usual.ratio, reached))
        state = State.WATCHED if expected >= EXPECTED_TO_WATCH else State.NOT_ENOUGH_TRAFFIC
    return state, readings


def upper_bound(n: int, k: int) -> float:
    """The one-sided upper bound of the rate behind `k` of `n` (Wilson's score interval)."""
    return _bound(n, k, Z)


def lower_bound(n: float, k: float) -> float:
    """The one-sided lower bound of the rate behind `k` of `n` (Wilson's score interval)."""
    return _bound(n, k, -Z)


def _bound(n: float, k: float, z: float) -> float:
    p = k / n
    return (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def is_low(reading: Reading) -> bool:
    """Whether the rate fell below DROP_TO of the usual one, for sure."""
    return upper_bound(reading.n, reading.k) < DROP_TO * reading.ratio


def is_reached(reading: Reading) -> bool:
    """Whether as many as usual may have reached the step: then it is the whole that is too large (bots)."""
    if reading.usual_reached is None:
        return False
    k_at_most = reading.k + REACHED_Z**2 / 2 + REACHED_Z * sqrt(reading.k + REACHED_Z**2 / 4)
    return k_at_most >= DROP_TO * reading.usual_reached


def is_drop(readings: Sequence[Reading]) -> bool:
    """Whether enough windows agree."""
    return sum(map(is_low, readings)) >= RUNGS_AGREEING


def since(minutes: Minutes, end_minute: int, ratio: float) -> int:
    """The minute in which the shortfall began that holds before `end_minute`.

    That is where the shortfall against the middle between a drop and the usual last began to rise.
    """
    return _rises_from(minutes, minutes.first_minute, end_minute, ratio * (1 + DROP_TO) / 2)


def after_chance(minutes: Minutes, began: int, end_minute: int, ratio: float) -> int:
    """The minute in which the drop began, within a shortfall that `began` with less.

    Where little happens, chance makes a shortfall that lasts for hours, or few tell of the usual and it seems
    too high; the drop then begins in the middle of it. So what came before the sharpest fall is left off,
    unless it is a drop by itself.
    """
    while (fell := _sharpest_fall(minutes, began, end_minute)) is not None:
        if _is_low_between(minutes, began, fell, ratio):
            break
        began = fell
    return began


def as_low_as_now(minutes: Minutes, began: int, end_minute: int, reading: Reading) -> int:
    """The minute since which the rate is rather as low as in `reading` than usual, within a shortfall that
    `began`.

    The shortfall against the smallest drop rises easily by chance, and so seems to begin before a deep one
    did: often half an hour where an order a minute comes. What came before is left off, unless it is a drop
    by itself.
    """
    fell = _rises_from(minutes, began, end_minute, (reading.ratio + reading.k / reading.n) / 2)
    return began if _is_low_between(minutes, began, fell, reading.ratio) else fell


def _rises_from(minutes: Minutes, first_minute: int, end_minute: int, limit: float) -> int:
    """Where the shortfall against the ratio `limit`, summed up minute by minute and never below nothing, last
    began to rise (Page's CUSUM)."""
    shortfall, began = 0.0, first_minute
    for minute in range(first_minute, end_minute):
        n, k = minutes.before(minute + 1, 1)
        shortfall += n * limit - k
        if shortfall <= 0:
            shortfall, began = 0.0, minute + 1
    return min(began, end_minute - 1)


def _is_low_between(minutes: Minutes, first_minute: int, end_minute: int, ratio: float) -> bool:
    """Whether these minutes are a drop by themselves."""
    n, k = minutes.before(end_minute, end_minute - first_minute)
    return n > 0 and is_low(Reading(end_minute - first_minute, n, k, ratio, None))


def _sharpest_fall(minutes: Minutes, began: int, end_minute: int) -> int | None:
    """The minute that best parts a higher rate from a lower one after it (ratio of likelihoods); None if
    chance explains the difference."""
    whole = _likelihood(minutes.before(end_minute, end_minute - began))
    sharpest, most = None, Z**2 / 2
    for minute in range(began + 1, end_minute):
        before = minutes.before(minute, minute - began)
        after = minutes.before(end_minute, end_minute - minute)
        if before.k * after.n > after.k * before.n:
            gain = _likelihood(before) + _likelihood(after) - whole
            if gain > most:
                sharpest, most = minute, gain
    return sharpest


def _likelihood(tally: Tally) -> float:
    """The logarithm of the likelihood of a tally at its own rate."""
    parts = (tally.k, tally.n - tally.k)
    return sum(part * log(part / tally.n) for part in parts if part > 0)

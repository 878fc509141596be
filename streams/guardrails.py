"""Whether a redirection harms what it leads to: refunds, ratings and earnings, before against since. Pure.

It stands behind the reading of the target's figures. Each test is one-sided and asks for evidence first: the
signal says "worse beyond chance", never "worse today".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

# One-sided, 99.9 %: it is asked every day, and of several figures.
Z_WORSE = 3.090
ORDERS_MIN = 30
REVIEWS_MIN = 20
DAYS_BEFORE_MIN = 14
DAYS_SINCE_MIN = 7
# Orders differ in value, and one buyer may send back several: two count as one.
ORDERS_PER_TRIAL = 2


class Verdict(StrEnum):
    """What the evidence says of one figure."""

    WORSE = "worse"
    NOT_WORSE = "not_worse"
    NOT_ENOUGH = "not_enough"


@dataclass(frozen=True, slots=True)
class Sold:
    """Orders, their GMV paid, and what of it was refunded; amounts in minor units of one currency."""

    orders: int
    gmv_minor: int
    refunded_minor: int

    @property
    def refunded_share(self) -> float | None:
        """Refunded over GMV; None over nothing."""
        return self.refunded_minor / self.gmv_minor if self.gmv_minor > 0 else None


def of_refunds(before: Sold, since: Sold) -> Verdict:
    """Whether a larger share of what was sold since is refunded: two proportions, orders as trials.

    Refunds of late purchases are still to come, which can only make it worse.
    """
    old, new = before.refunded_share, since.refunded_share
    if old is None or new is None or min(before.orders, since.orders) < ORDERS_MIN:
        return Verdict.NOT_ENOUGH
    trials = [side.orders / ORDERS_PER_TRIAL for side in (before, since)]
    pooled = (before.refunded_minor + since.refunded_minor) / (before.gmv_minor + since.gmv_minor)
    return _judge(new - old, pooled * (1 - pooled) * sum(1 / n for n in trials))


def mean_of(stars: Mapping[int, int]) -> float | None:
    """Mean of ratings counted by their stars; None of none."""
    count = sum(stars.values())
    return sum(of * n for of, n in stars.items()) / count if count else None


def of_ratings(before: Mapping[int, int], since: Mapping[int, int]) -> Verdict:
    """Whether the mean rating fell (two means, each with its own variance)."""
    old, new = mean_of(before), mean_of(since)
    counts = [sum(stars.values()) for stars in (before, since)]
    if old is None or new is None or min(counts) < REVIEWS_MIN:
        return Verdict.NOT_ENOUGH
    variance = 0.0
    for stars, mean, n in ((before, old, counts[0]), (since, new, counts[1])):
        variance += sum(times * (of - mean) ** 2 for of, times in stars.items()) / (n - 1) / n
    return _judge(old - new, variance)


def of_earnings(before: Sequence[int], since: Sequence[int]) -> Verdict:
    """Whether daily earnings fell: by ranks (Mann-Whitney, with ties), so that no single day decides."""
    n, m = len(before), len(since)
    if n < DAYS_BEFORE_MIN or m < DAYS_SINCE_MIN or not any(before):
        return Verdict.NOT_ENOUGH
    wins = sum((old > new) + (old == new) / 2 for old in before for new in since)
    days = [*before, *since]
    ties = sum(times**3 - times for times in (days.count(amount) for amount in set(days)))
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    return _judge(wins - n * m / 2, variance)


def _judge(worse_by: float, variance: float) -> Verdict:
    return Verdict.WORSE if worse_by > Z_WORSE * sqrt(max(variance, 0.0)) else Verdict.NOT_WORSE

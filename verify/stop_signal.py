"""The stop signal of a redirection rule: what an answer must say of its target, before against since.

Between the target's days, recomputed, and the answer about the rule. In fractions: no verdict hangs on
rounding.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from verify.rules import DAY_MS
from verify.totals import Totals

COMPARED_DAYS = 30
Z = Fraction("3.09")
ORDERS_LEAST = 30
REVIEWS_LEAST = 20
DAYS_BEFORE_LEAST, DAYS_SINCE_LEAST = 14, 7
ORDERS_OF_A_TRIAL = 2
WORSE, NOT_WORSE, NOT_ENOUGH = "worse", "not_worse", "not_enough"

Side = Counter[str]


class Figure(NamedTuple):
    """One comparison of one target."""

    scope: str
    name: str
    before: float | None
    since: float | None
    verdict: str

    @property
    def label(self) -> str:
        """What is told as a reason."""
        return f"{self.name} of {self.scope}"


def expected(totals: Totals, said: Mapping[str, str], day_ms: int, until_ms: int | None) -> dict[str, Any]:
    """Flat names and what they must be.

    `day_ms` begins the day of the first redirect, `until_ms` ends the last complete one, if that is known.
    """
    before = range(day_ms - COMPARED_DAYS * DAY_MS, day_ms, DAY_MS)
    since = range(0)
    if until_ms is not None:
        since = range(max(day_ms + DAY_MS, until_ms - COMPARED_DAYS * DAY_MS), until_ms, DAY_MS)
    figures: list[Figure] = []
    if since and before.start >= 0 and totals.has_day(before.start):
        for kind, field in (("product", "to_product_id"), ("creator", "creator_id")):
            if field in said:
                figures += _figures(totals, kind, said[field], before, since)
    worse = [each.label for each in figures if each.verdict == WORSE]
    told: dict[str, Any] = {
        "stop": bool(worse),
        "stop_reasons": str(worse),
        "guardrails.order": str([each.label for each in figures]),
        "guardrails_before_from_ms": before.start,
        "guardrails_before_to_ms": before.stop,
        "guardrails_since_from_ms": since.start if since else None,
        "guardrails_since_to_ms": since.stop if since else None,
    }
    for each in figures:
        told |= {
            f"guardrails.{each.label}.before": each.before,
            f"guardrails.{each.label}.since": each.since,
            f"guardrails.{each.label}.verdict": each.verdict,
        }
    return told


def with_names(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer with its comparisons by name, and the order of lists as text."""
    reasons, listed = answer.get("stop_reasons"), answer.get("guardrails")
    figures = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    labels = [f"{each.get('figure')} of {each.get('scope')}" for each in figures]
    named: dict[str, Any] = dict(zip(labels, figures, strict=True))
    return {**answer, "stop_reasons": str(reasons), "guardrails": named | {"order": str(labels)}}


def _figures(totals: Totals, kind: str, value: str, before: range, since: range) -> Iterator[Figure]:
    scope = f"{kind}:{value}"
    old, new = (totals.by_day.of(kind, value, days) for days in (before, since))
    for currency in _currencies([old, new], "orders"):
        verdict = refunds_verdict(old, new, currency)
        yield Figure(
            scope, f"refunds_per_gmv {currency}", _share(old, currency), _share(new, currency), verdict
        )
    ratings = _stars(old), _stars(new)
    yield Figure(scope, "mean_rating", _mean(ratings[0]), _mean(ratings[1]), ratings_verdict(*ratings))
    if kind == "creator":
        by_day = [[totals.by_day.of(kind, value, [day]) for day in days] for days in (before, since)]
        # A day's commission may be taken back by another's: each day is looked at by itself.
        for currency in _currencies([*by_day[0], *by_day[1]], "commission"):
            was, has = ([day[f"commission:{currency}"] for day in side] for side in by_day)
            verdict = earnings_verdict(was, has)
            yield Figure(scope, f"commission_minor_per_day {currency}", _mean(was), _mean(has), verdict)


def _currencies(sums: Sequence[Side], measure: str) -> list[str]:
    """Those in which any of the sums has something, sorted."""
    heads = (name.partition(":") for each in sums for name, amount in each.items() if amount)
    return sorted({currency for head, _, currency in heads if head == measure})


def _share(side: Side, currency: str) -> float | None:
    gmv = side[f"gmv_paid:{currency}"]
    return float(Fraction(side[f"refunds_of_purchases:{currency}"], gmv)) if gmv > 0 else None


def refunds_verdict(before: Side, since: Side, currency: str) -> str:
    """Two proportions of money; half the orders as trials, the variance of both sides together."""
    orders = [side[f"orders:{currency}"] for side in (before, since)]
    gmv = [side[f"gmv_paid:{currency}"] for side in (before, since)]
    refunded = [side[f"refunds_of_purchases:{currency}"] for side in (before, since)]
    if min(orders) < ORDERS_LEAST or min(gmv) <= 0:
        return NOT_ENOUGH
    of_both = Fraction(sum(refunded), sum(gmv))
    trials = sum(Fraction(ORDERS_OF_A_TRIAL, n) for n in orders)
    return _judged(
        Fraction(refunded[1], gmv[1]) - Fraction(refunded[0], gmv[0]), of_both * (1 - of_both) * trials
    )


def _stars(side: Side) -> list[int]:
    """Every rating by itself, one to five."""
    return [stars for stars in range(1, 6) for _ in range(side[f"reviews.{stars}"])]


def _mean(numbers: Sequence[int]) -> float | None:
    return float(Fraction(sum(numbers), len(numbers))) if numbers else None


def ratings_verdict(before: Sequence[int], since: Sequence[int]) -> str:
    """Two means, each with the variance of its own ratings."""
    if min(len(before), len(since)) < REVIEWS_LEAST:
        return NOT_ENOUGH
    fall, variance = Fraction(0), Fraction(0)
    for sign, ratings in ((1, before), (-1, since)):
        n, total = len(ratings), sum(ratings)
        squares = sum(each * each for each in ratings)
        fall += sign * Fraction(total, n)
        variance += (squares - Fraction(total * total, n)) / (n - 1) / n
    return _judged(fall, variance)


def earnings_verdict(before: Sequence[int], since: Sequence[int]) -> str:
    """Mann-Whitney by the sum of ranks; equal days share their ranks."""
    n, m = len(before), len(since)
    if n < DAYS_BEFORE_LEAST or m < DAYS_SINCE_LEAST or not any(before):
        return NOT_ENOUGH
    ascending = sorted([*before, *since])
    rank = {
        each: Fraction(bisect_left(ascending, each) + bisect_right(ascending, each) + 1, 2)
        for each in ascending
    }
    middle = Fraction(n + m + 1, 2)
    spread = sum((rank[each] - middle) ** 2 for each in ascending)
    variance = Fraction(n * m, (n + m) * (n + m - 1)) * spread
    return _judged(sum(rank[each] for each in before) - n * middle, variance)


def _judged(worse_by: Fraction, variance: Fraction) -> str:
    beyond = worse_by > 0 and worse_by**2 > Z**2 * max(variance, Fraction(0))
    return WORSE if beyond else NOT_WORSE

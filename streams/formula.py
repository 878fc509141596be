"""What a formula is worth: made once into a function of totals, then asked thousands of times a second. Pure.

It stands beside the declarations (`kpi`), which say what a figure is, and before answers and gauges, which
show it. Totals are by stored measure, as Redis holds them; what is absent is 0. Sums are divided last, and of
two integers Python's quotient is the double that lies nearest, however large they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeAlias

from streams.kpi import Formula, Mean, Measure, Product, Quantile, Ratio, Sum, Whole, is_kept

Totals: TypeAlias = Mapping[str, int]
# None: nothing can be said, as over nothing.
Worth: TypeAlias = Callable[[Totals], int | float | None]
# Dividend and divisor.
_Parts: TypeAlias = Callable[[Totals], tuple[int, int] | None]


def worth(formula: Formula, kind: str, currency: str | None) -> Worth:
    """The formula as a function of totals, for a kind of scope; measures of money in this currency.

    A ratio with a measure that the kind of scope lacks is None, as is x/0.
    """
    match formula:
        case Measure() | Sum():
            return _count(formula, currency)
        case Ratio():
            parts = _parts(formula, kind, currency)
            return _rounded(parts) if formula.whole_units else _divided(parts)
        case Product(factors):
            return _divided(_multiplied([_parts(factor, kind, currency) for factor in factors]))
        case Whole(measure, divisor):
            whole = measure.stored_as(currency)
            return lambda totals: totals.get(whole, 0) // divisor
        case Mean(counts):
            return _mean([(of, measure.stored_as(currency)) for of, measure in counts])
        case Quantile(buckets, q):
            return _quantile([(upper, measure.stored_as(currency)) for upper, measure in buckets], q)


def _count(formula: Measure | Sum, currency: str | None) -> Callable[[Totals], int]:
    if isinstance(formula, Measure):
        name = formula.stored_as(currency)
        return lambda totals: totals.get(name, 0)
    plus = [measure.stored_as(currency) for measure in formula.plus]
    minus = [measure.stored_as(currency) for measure in formula.minus]

    def added(totals: Totals) -> int:
        of = totals.get
        return sum([of(name, 0) for name in plus]) - sum([of(name, 0) for name in minus])

    return added


def _parts(ratio: Ratio, kind: str, currency: str | None) -> _Parts:
    if not is_kept(ratio, kind):
        return lambda totals: None
    part, whole = _count(ratio.part, currency), _count(ratio.whole, currency)
    scale = ratio.scale
    measure, least = ratio.least or (None, 0)
    counted = None if measure is None else measure.stored_as(currency)

    def found(totals: Totals) -> tuple[int, int] | None:
        if counted is not None and totals.get(counted, 0) < least:
            return None
        divisor = whole(totals)
        return (part(totals) * scale, divisor) if divisor else None

    return found


def _multiplied(factors: Sequence[_Parts]) -> _Parts:
    def found(totals: Totals) -> tuple[int, int] | None:
        dividend = divisor = 1
        for factor in factors:
            parts = factor(totals)
            if parts is None:
                return None
            dividend, divisor = dividend * parts[0], divisor * parts[1]
        return dividend, divisor

    return found


def _divided(parts: _Parts) -> Callable[[Totals], float | None]:
    def quotient(totals: Totals) -> float | None:
        found = parts(totals)
        return None if found is None else found[0] / found[1]

    return quotient


def _rounded(parts: _Parts) -> Callable[[Totals], int | None]:
    def quotient(totals: Totals) -> int | None:
        found = parts(totals)
        return None if found is None else round(Fraction(*found))

    return quotient


def _mean(counts: Sequence[tuple[int, str]]) -> Callable[[Totals], float | None]:
    def averaged(totals: Totals) -> float | None:
        count = sum([totals.get(name, 0) for _, name in counts])
        return sum([of * totals.get(name, 0) for of, name in counts]) / count if count else None

    return averaged


def _quantile(buckets: Sequence[tuple[int, str]], q: float) -> Callable[[Totals], float | None]:
    """Linear between the ends of the bucket that holds the rank q x total; None over nothing."""

    def ranked(totals: Totals) -> float | None:
        counts = [(upper, totals.get(name, 0)) for upper, name in buckets]
        rank = q * sum([count for _, count in counts])
        below, lower = 0, 0
        for upper, count in counts:
            if count and below + count >= rank:
                return lower + (upper - lower) * (rank - below) / count
            below, lower = below + count, upper
        return None

    return ranked

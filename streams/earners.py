"""Creators over some whole days: who sold, who went live, what they earned, and who stopped. Pure.

It stands between the reading of creators' days and whoever shows them. Two spans of equal length are set
against each other: a creator who was active in the one before and not in this one has stopped.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from streams.catalogue import COMMISSION, GMV_PAID, LIVE_STARTS, ORDERS_IN_CURRENCY

TOP = 10
STOPPED_SHOWN = 100

# What a creator has in a span, by stored measure.
Work = Mapping[str, int]
# By (platform, creator).
Span = Mapping[tuple[str, str], Work]
Answer = dict[str, object]
Who = TypeVar("Who")


def together(spans: Iterable[Span]) -> dict[tuple[str, str], dict[str, int]]:
    """Several spans as one."""
    return _added((who, work) for span in spans for who, work in span.items())


def creators_answer(now: Span, before: Span, platform: str | None, currencies: Sequence[str]) -> Answer:
    """What there is to say of a platform's creators, or (None) of all: one who works on two counts once."""
    of_now, of_before = _by_creator(now, platform), _by_creator(before, platform)
    selling, live = _with_sale(of_now, currencies), _with_live(of_now)
    sold_before, live_before = _with_sale(of_before, currencies), _with_live(of_before)
    stopped_selling, stopped_live = sold_before - selling, live_before - live
    return {
        "with_a_sale": len(selling),
        "with_a_live": len(live),
        "with_a_sale_before": len(sold_before),
        "with_a_live_before": len(live_before),
        "earnings": {currency: _earnings(of_now, currency) for currency in currencies},
        "stopped_selling": {
            "count": len(stopped_selling),
            "per_creator_with_a_sale_before": _share(stopped_selling, sold_before),
            "creators": [
                {
                    "creator_id": of,
                    "orders_before": _orders(of_before[of], currencies),
                    "gmv_paid_before_minor": {
                        currency: of_before[of].get(GMV_PAID.stored_as(currency), 0)
                        for currency in currencies
                    },
                }
                for of in _first(stopped_selling, lambda of: _orders(of_before[of], currencies))
            ],
        },
        "stopped_going_live": {
            "count": len(stopped_live),
            "per_creator_with_a_live_before": _share(stopped_live, live_before),
            "creators": [
                {"creator_id": of, "lives_before": _lives(of_before[of])}
                for of in _first(stopped_live, lambda of: _lives(of_before[of]))
            ],
        },
    }


def quantile(ascending: Sequence[int], q: Fraction) -> int | None:
    """Linear between the two nearest ranks, halves to even; None of nothing."""
    if not ascending:
        return None
    rank = q * (len(ascending) - 1)
    low = int(rank)
    high = min(low + 1, len(ascending) - 1)
    return round(ascending[low] + (rank - low) * (ascending[high] - ascending[low]))


def _by_creator(span: Span, platform: str | None) -> dict[str, dict[str, int]]:
    return _added((creator, work) for (on, creator), work in span.items() if platform in (None, on))


def _added(parts: Iterable[tuple[Who, Work]]) -> dict[Who, dict[str, int]]:
    total: dict[Who, dict[str, int]] = {}
    for who, work in parts:
        into = total.setdefault(who, {})
        for measure, amount in work.items():
            into[measure] = into.get(measure, 0) + amount
    return total


def _with_sale(span: Mapping[str, Work], currencies: Collection[str]) -> set[str]:
    return {creator for creator, work in span.items() if _orders(work, currencies) > 0}


def _with_live(span: Mapping[str, Work]) -> set[str]:
    return {creator for creator, work in span.items() if _lives(work) > 0}


def _orders(work: Work, currencies: Collection[str]) -> int:
    return sum(work.get(ORDERS_IN_CURRENCY.stored_as(currency), 0) for currency in currencies)


def _lives(work: Work) -> int:
    return work.get(LIVE_STARTS.name, 0)


def _earnings(span: Mapping[str, Work], currency: str) -> Answer:
    """The commission of creators with a sale in the currency; one without a commission earned 0."""
    orders, gmv, commission = (
        each.stored_as(currency) for each in (ORDERS_IN_CURRENCY, GMV_PAID, COMMISSION)
    )
    earned = {of: work.get(commission, 0) for of, work in span.items() if work.get(orders, 0) > 0}
    ascending = sorted(earned.values())
    best = heapq.nsmallest(TOP, earned, key=lambda of: (-earned[of], -span[of].get(gmv, 0), of))
    return {
        "creators": len(earned),
        "total_minor": sum(ascending),
        "p25_minor": quantile(ascending, Fraction(1, 4)),
        "median_minor": quantile(ascending, Fraction(1, 2)),
        "p75_minor": quantile(ascending, Fraction(3, 4)),
        "top": [
            {
                "creator_id": of,
                "commission_minor": earned[of],
                "gmv_paid_minor": span[of].get(gmv, 0),
                "orders": span[of][orders],
            }
            for of in best
        ],
    }


def _share(part: Collection[str], whole: Collection[str]) -> float | None:
    return len(part) / len(whole) if whole else None


def _first(creators: Iterable[str], size_of: Callable[[str], int]) -> list[str]:
    """Those who did most before, ties by name."""
    return heapq.nsmallest(STOPPED_SHOWN, creators, key=lambda of: (-size_of(of), of))

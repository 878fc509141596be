"""The stop signal of a redirection rule: what of its target is compared, and over which days. No I/O.

It stands between a rule and `guardrails`, which judge. The target is the product that redirects lead to, and
the creator they name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from streams import guardrails
from streams.catalogue import COMMISSION, GMV_PAID, ORDERS_IN_CURRENCY, REFUNDS_OF_PURCHASES
from streams.figures.reviews import BY_RATING
from streams.guardrails import Sold, Verdict
from streams.reading import Moment, Reader, View
from streams.requests import CellsRequest, cells
from streams.scopes import CREATOR, PRODUCT
from streams.window import DAY_MS, Pane, WindowError

COMPARED_DAYS = 30


class Target(Protocol):
    """What is needed of a rule."""

    @property
    def first_day_ms(self) -> int:
        """Start of the UTC day of the first redirect."""

    @property
    def said(self) -> Mapping[str, str]:
        """What its redirects say."""


class Stops:
    """The figures of a rule's target on both sides of its first redirect."""

    def __init__(self, reader: Reader, rule: Target, end_ms: int | None, moment: Moment) -> None:
        """`end_ms`: the end of the last complete day; None where none is known."""
        first_ms = rule.first_day_ms
        self.before_ms = (first_ms - COMPARED_DAYS * DAY_MS, first_ms)
        self.since_ms: tuple[int, int] | None = None
        if end_ms is not None and end_ms > first_ms + DAY_MS:
            self.since_ms = (max(first_ms + DAY_MS, end_ms - COMPARED_DAYS * DAY_MS), end_ms)
        fields = ((PRODUCT.name, "to_product_id"), (CREATOR.name, "creator_id"))
        self._targets = [(kind, rule.said[field]) for kind, field in fields if field in rule.said]
        self._currencies = moment.currencies
        # By side, a request for each day of each target.
        self._days: dict[tuple[str, str], list[list[CellsRequest]]] = {}
        if self.since_ms is None or self.before_ms[0] < 0:
            return
        try:
            reader.range(self.before_ms, moment)
        except WindowError:
            return  # What was before is kept no longer.
        size = reader.sizes[-1]
        names = [
            measure.stored_as(currency)
            for measure in (ORDERS_IN_CURRENCY, GMV_PAID, REFUNDS_OF_PURCHASES, COMMISSION)
            for currency in moment.currencies
        ]
        names += [measure.name for measure in BY_RATING.values()]
        for kind, of in self._targets:
            self._days[kind, of] = [
                [
                    cells(kind, [Pane(size, start_ms)], [f"{name}|{of}" for name in names])
                    for start_ms in range(from_ms, to_ms, DAY_MS)
                ]
                for from_ms, to_ms in (self.before_ms, self.since_ms)
            ]

    @property
    def requests(self) -> list[CellsRequest]:
        """What has to be read."""
        return [request for sides in self._days.values() for side in sides for request in side]

    def answer(self, view: View) -> dict[str, object]:
        """Whether to stop, why, and everything that was compared."""
        compared = [
            {"scope": f"{kind}:{of}", **figure}
            for (kind, of), sides in self._days.items()
            for figure in self._compare(
                kind, [[view.values(day).get(of, {}) for day in side] for side in sides]
            )
        ]
        worse = [each for each in compared if each["verdict"] == Verdict.WORSE]
        since = self.since_ms or (None, None)
        return {
            "stop": bool(worse),
            "stop_reasons": [f"{each['figure']} of {each['scope']}" for each in worse],
            "guardrails": compared,
            "guardrails_before_from_ms": self.before_ms[0],
            "guardrails_before_to_ms": self.before_ms[1],
            "guardrails_since_from_ms": since[0],
            "guardrails_since_to_ms": since[1],
        }

    def _compare(self, kind: str, sides: list[list[Mapping[str, int]]]) -> Iterator[dict[str, object]]:
        before, since = sides
        for currency in self._currencies:
            sold = [_sold(side, currency) for side in sides]
            if any(side.orders for side in sold):
                shares = [side.refunded_share for side in sold]
                verdict = guardrails.of_refunds(*sold)
                yield _figure(f"refunds_per_gmv {currency}", shares, verdict)
        stars = [
            {of: sum(day.get(measure.name, 0) for day in side) for of, measure in BY_RATING.items()}
            for side in sides
        ]
        yield _figure("mean_rating", [*map(guardrails.mean_of, stars)], guardrails.of_ratings(*stars))
        if kind != CREATOR.name:
            return
        for currency in self._currencies:
            name = COMMISSION.stored_as(currency)
            earned = [[day.get(name, 0) for day in side] for side in (before, since)]
            if any(map(any, earned)):
                means = [sum(side) / len(side) for side in earned]
                verdict = guardrails.of_earnings(*earned)
                yield _figure(f"commission_minor_per_day {currency}", means, verdict)


def _sold(days: list[Mapping[str, int]], currency: str) -> Sold:
    measures = (ORDERS_IN_CURRENCY, GMV_PAID, REFUNDS_OF_PURCHASES)
    return Sold(*(sum(day.get(measure.stored_as(currency), 0) for day in days) for measure in measures))


def _figure(name: str, sides: Sequence[float | None], verdict: Verdict) -> dict[str, object]:
    before, since = sides
    return {"figure": name, "before": before, "since": since, "verdict": verdict.value}

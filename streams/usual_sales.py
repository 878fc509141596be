"""GMV, orders, refunds and failing payments now and as usual, from the tables of the watch. Pure arithmetic.

It stands beside the judgement of conversion: what these figures may be is for the alert rules to say. Money
is in minor units, by currency; hours that were flagged are no baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, median_low
from typing import Final

from streams.answer import Scope
from streams.baselines import DAY_H, WEEK_H, WEEKS, Hours
from streams.catalogue import ATTEMPTS, GMV_PAID, ORDERS_IN_CURRENCY, PAY_ERRORS, PAY_PENDING, REFUNDS
from streams.cohorts import Minutes, Tally
from streams.gateways import Attempts, part, windows
from streams.judgement import Judgement
from streams.scopes import ALL, LIVE, PLATFORM, PLATFORM_GATEWAY, split_pair
from streams.watch_tables import Table

HOUR_MIN: Final = 60
REFUND_DAYS: Final = 28
# With less than this of the hour not left out nothing is usual.
PART_MIN: Final = 0.5
# A median of fewer days is none. Of a day with fewer orders the usual ratio is 0, or that of one return.
REFUND_DAYS_MIN: Final = 3
REFUND_ORDERS_MIN: Final = 20
# A live that sold less than this has no order value of its own.
LIVE_ORDERS_MIN: Final = 10
_ALL: Final = Scope(ALL.name, "")


@dataclass(frozen=True, slots=True)
class Sales:
    """A scope's last hour, and the same hour of the weeks before (None: nothing is known of them)."""

    scope: Scope
    orders: int
    usual_orders: float | None
    gmv_minor: Mapping[str, int]
    usual_gmv_minor: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Refunds:
    """A scope's refunds ÷ GMV of the last day, and the median of the days before, by currency."""

    scope: Scope
    ratio: Mapping[str, float]
    usual: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Failing:
    """A gateway of a platform (`pair` as stored): its attempts by window, shortest first."""

    pair: str
    windows: Sequence[Attempts]


class UsualSales:
    """Computes them from the tables as they are."""

    def __init__(self, judgement: Judgement, currencies: Sequence[str]) -> None:
        """From the tables of a judgement, as of when it last judged."""
        self._minutes, self._hours = judgement.tables
        self._watched, self._ends = judgement.watched, judgement.ends
        self._first_hour = judgement.first_hour()
        self._flagged = judgement.flagged_hours
        self._left_out = judgement.left_out
        self._currencies = currencies

    def _whole_scopes(self) -> list[Scope]:
        return [_ALL, *(Scope(PLATFORM.name, of) for of in self._watched.platforms)]

    def sales(self) -> list[Sales]:
        """Of the shop and of each platform."""
        made: list[Sales] = []
        hour = range(self._ends.sales - HOUR_MIN, self._ends.sales)
        last = [minute for minute in hour if minute not in self._left_out]
        part = len(last) / HOUR_MIN
        orders = [ORDERS_IN_CURRENCY.stored_as(cur) for cur in self._currencies]
        for scope in self._whole_scopes():
            gmv: dict[str, int] = {}
            usual: dict[str, float] = {}
            for cur in self._currencies:
                name = GMV_PAID.stored_as(cur)
                gmv[cur] = _total([self._column(self._minutes, scope, name)], last)
                amount = self._same_hour([self._column(self._hours, scope, name)], part)
                if amount is not None:
                    usual[cur] = amount
            made.append(
                Sales(
                    scope,
                    _total([self._column(self._minutes, scope, name) for name in orders], last),
                    self._same_hour([self._column(self._hours, scope, name) for name in orders], part),
                    gmv,
                    usual,
                )
            )
        return made

    def _same_hour(self, columns: Sequence[Mapping[int, int]], counted: float) -> float | None:
        """What is usual for the same 60 minutes, of that the part that is counted; None where too little is.

        The second lowest of four weeks, and no more than the median of the seven days before: two weeks with
        a campaign or a large live in them lift the median of weeks far above a usual one, three the second
        lowest, too.
        """
        if counted < PART_MIN:
            return None
        weeks = self._amounts(columns, [WEEK_H * week for week in range(1, WEEKS + 1)])
        if not weeks:
            return None
        days = self._amounts(columns, [DAY_H * day for day in range(1, WEEK_H // DAY_H + 1)])
        return min(median_low(weeks), median(days or weeks)) * counted

    def _amounts(self, columns: Sequence[Mapping[int, int]], backs_h: Iterable[int]) -> list[float]:
        """The same 60 minutes so many hours before, of two hours each by its part, where they are known."""
        hour, minute = divmod(self._ends.sales, HOUR_MIN)
        parts = [(hour, minute / HOUR_MIN), (hour - 1, 1 - minute / HOUR_MIN)]
        amounts: list[float] = []
        for back_h in backs_h:
            then = [(at - back_h, part) for at, part in parts if part]
            # The shop's first hour began somewhere in it.
            if all(at > self._first_hour and at not in self._flagged for at, _ in then):
                amounts.append(sum(_total(columns, [at]) * part for at, part in then))
        return amounts

    def refunds(self) -> list[Refunds]:
        """Of the shop and of each platform."""
        made: list[Refunds] = []
        end = self._ends.sales // HOUR_MIN + 1
        for scope in self._whole_scopes():
            now: dict[str, float] = {}
            usual: dict[str, float] = {}
            for cur in self._currencies:
                refunded, sold = (
                    self._column(self._hours, scope, measure.stored_as(cur))
                    for measure in (REFUNDS, GMV_PAID)
                )
                days = [range(end - DAY_H * (day + 1), end - DAY_H * day) for day in range(REFUND_DAYS + 1)]
                ratios = [
                    _total([refunded], day) / gmv if (gmv := _total([sold], day)) > 0 else None
                    for day in days
                ]
                if ratios[0] is not None:
                    now[cur] = ratios[0]
                orders = self._column(self._hours, scope, ORDERS_IN_CURRENCY.stored_as(cur))
                before = [
                    ratio
                    for ratio, day in zip(ratios[1:], days[1:], strict=True)
                    if ratio is not None and _total([orders], day) >= REFUND_ORDERS_MIN
                ]
                if len(before) >= REFUND_DAYS_MIN:
                    usual[cur] = median(before)
            made.append(Refunds(scope, now, usual))
        return made

    def failing(self) -> list[Failing]:
        """Of each gateway: attempts that ended in an error or a time-out, or have not ended."""
        end = self._ends.attempts
        by_hour = {pair: self._failures_by_hour(pair) for pair in self._watched.gateways}
        of_all = part(tally for hours in by_hour.values() for tally in hours.values())
        made: list[Failing] = []
        for pair, tallies in by_hour.items():
            own = part(tallies.values())
            usual_of = self._usual_failures(Hours(tallies, self._flagged), of_all if own is None else own)
            units = range(self._minutes.first, end)
            now = Minutes(units.start, self._payments(self._minutes, pair, units), self._left_out)
            made.append(Failing(pair, windows(now, end, usual_of)))
        return made

    def _usual_failures(self, hours: Hours, otherwise: float | None) -> Callable[[int], float | None]:
        """The part that usually fails in the window of so many minutes that ends now."""
        end = self._ends.attempts

        def usual_of(window_min: int) -> float | None:
            usual = hours.usual(end - window_min, end)
            return otherwise if usual is None else usual.ratio

        return usual_of

    def _failures_by_hour(self, pair: str) -> dict[int, Tally]:
        """The hours in which nothing can change any more."""
        units = range(self._first_hour, self._hours.settled)
        return dict(zip(units, self._payments(self._hours, pair, units), strict=True))

    def _payments(self, table: Table, pair: str, units: range) -> list[Tally]:
        """Attempts, and those that failed, by unit."""
        scope = Scope(PLATFORM_GATEWAY.name, pair)
        attempts, errors, pending = (
            self._column(table, scope, measure.name) for measure in (ATTEMPTS, PAY_ERRORS, PAY_PENDING)
        )
        return [Tally(attempts.get(at, 0), errors.get(at, 0) + pending.get(at, 0)) for at in units]

    def order_worth(self, scope: Scope) -> dict[str, float]:
        """What an order of the scope brought in the last day, by currency, over orders of all currencies; for
        a gateway one of its platform, for a live one of its own."""
        if scope.kind == PLATFORM_GATEWAY.name:
            scope = Scope(PLATFORM.name, split_pair(scope.value)[0])
        if scope.kind == LIVE.name:
            own = self._worth(
                self._minutes, scope, range(self._minutes.first, self._minutes.end), LIVE_ORDERS_MIN
            )
            if own:
                return own
            scope = _ALL
        end = self._ends.sales // HOUR_MIN + 1
        return self._worth(self._hours, scope, range(end - DAY_H, end), 1)

    def _worth(self, table: Table, scope: Scope, units: range, orders_min: int) -> dict[str, float]:
        sold = {
            measure.name: {
                cur: _total([self._column(table, scope, measure.stored_as(cur))], units)
                for cur in self._currencies
            }
            for measure in (GMV_PAID, ORDERS_IN_CURRENCY)
        }
        orders = sum(sold[ORDERS_IN_CURRENCY.name].values())
        if orders < orders_min:
            return {}
        return {cur: gmv / orders for cur, gmv in sold[GMV_PAID.name].items() if gmv}

    @staticmethod
    def _column(table: Table, scope: Scope, measure: str) -> Mapping[int, int]:
        return table.amounts(scope.kind, scope.value, measure)


def _total(columns: Sequence[Mapping[int, int]], units: Sequence[int]) -> int:
    """The sum of all columns over the units."""
    return sum(column.get(unit, 0) for column in columns for unit in units)

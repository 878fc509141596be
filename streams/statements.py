"""An affiliate's statement: what was sold, earned, reversed, became final and was clawed back, day by day.

It stands behind the reading of the store, beside the answers to single questions. A row is a day of
purchases; whenever an order of that day is refunded, or becomes final, the row changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from streams.answer import VALUE_CODE_POINTS_MAX, QuestionError, Scope
from streams.catalogue import COMMISSION, GMV_PAID, ORDERS_IN_CURRENCY
from streams.days import day_at, day_of_text, start_ms_of
from streams.figures.commission import CLAW_BACKS, CLAWED_BACK, FINAL, REVERSED
from streams.finals import Finals
from streams.formula import worth
from streams.kpi import Formula, Sum
from streams.reading import Moment, Reader, View
from streams.requests import CellsRequest, Request, cells
from streams.trust import Trust
from streams.window import DAY_MS, WindowError

KIND = "affiliate"
DAYS_MAX = 366
_KEPT = Sum((COMMISSION, CLAWED_BACK))
# Amounts of a row, in their order. Earned = reversed + estimated + final; payable = final - clawed back.
ROWS: Mapping[str, Formula] = {
    "orders": ORDERS_IN_CURRENCY,
    "gmv_paid_minor": GMV_PAID,
    "earned_minor": Sum((*_KEPT.plus, REVERSED)),
    "reversed_minor": REVERSED,
    "estimated_minor": Sum(_KEPT.plus, (FINAL,)),
    "final_minor": FINAL,
    "clawed_back_minor": CLAWED_BACK,
    "payable_minor": Sum((FINAL,), (CLAWED_BACK,)),
    # By the day of the refund, whatever day its purchase was: for who books payments by their date.
    "claw_backs_of_the_day_minor": CLAW_BACKS,
}
_IN_CELLS = (COMMISSION, GMV_PAID, ORDERS_IN_CURRENCY, REVERSED, CLAWED_BACK, CLAW_BACKS)

Row = dict[str, int]


@dataclass(frozen=True, slots=True)
class Account:
    """One currency: a row for each day on which something is other than 0, and their sum."""

    days: Mapping[date, Row]
    total: Row


@dataclass(frozen=True, slots=True)
class Statement:
    """What an affiliate has from purchases of the days [first, end), UTC; accounts by currency."""

    affiliate: str
    first: date
    end: date
    trust: Trust
    accounts: Mapping[str, Account]


async def read_statement(reader: Reader, affiliate: str, first: str | None, end: str | None) -> Statement:
    """Of the days from `first` to before `end`, as YYYY-MM-DD; by default of the month that is going on.

    Raises QuestionError, WindowError and StoreUnavailableError.
    """
    if KIND not in reader.kinds:
        raise QuestionError("this worker keeps no figures of affiliates")
    if not 1 <= len(affiliate) <= VALUE_CODE_POINTS_MAX:
        raise QuestionError(f"an affiliate has 1 to {VALUE_CODE_POINTS_MAX} characters")
    today = day_at(reader.clock())
    first_day = today.replace(day=1) if first is None else day_of_text("from", first)
    if first_day > today:
        raise WindowError("from lies in the future")
    end_day = _next_month(first_day) if end is None else day_of_text("to", end)
    if not 0 < (end_day - first_day).days <= DAYS_MAX:
        raise QuestionError(
            f"to must be 1 to {DAYS_MAX} days after from; a statement ends before the day `to`"
        )
    # Of days to come nothing is kept, and nothing known.
    span = (start_ms_of(first_day), start_ms_of(min(end_day, today + timedelta(days=1))))
    view, plan = await reader.view(lambda moment: _Plan.at(reader, Scope(KIND, affiliate), span, moment))
    trusted = await reader.trust(view, span, KIND)
    accounts = {currency: plan.account(view, currency) for currency in view.moment.currencies}
    return Statement(affiliate, first_day, end_day, trusted, accounts)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is read for each day: cells, and what of its commission is final."""

    scope: Scope
    days: Sequence[tuple[date, CellsRequest | None, Finals]]

    @classmethod
    def at(cls, reader: Reader, scope: Scope, span: tuple[int, int], moment: Moment) -> _Plan:
        """Raises WindowError for days that are not kept any more."""
        names = [measure.stored_as(currency) for currency in moment.currencies for measure in _IN_CELLS]
        fields = [f"{name}|{scope.value}" for name in names]
        days = []
        for start_ms in range(*span, DAY_MS):
            panes = reader.range((start_ms, start_ms + DAY_MS), moment).panes
            # An empty list of fields would mean all of them.
            request = cells(scope.kind, panes, fields) if fields else None
            days.append((day_at(start_ms), request, Finals(reader, scope, panes, moment)))
        return cls(scope, days)

    @property
    def requests(self) -> list[Request]:
        """All of it."""
        found: list[Request] = []
        for _, request, finals in self.days:
            if request is not None:
                found.append(request)
            found += finals.requests
        return found

    def account(self, view: View, currency: str) -> Account:
        """One currency."""
        days: dict[date, Row] = {}
        worths = {name: worth(formula, KIND, currency) for name, formula in ROWS.items()}
        for day, request, finals in self.days:
            own = {} if request is None else view.values(request).get(self.scope.value, {})
            totals = {**own, **finals.totals(view)}
            row = {name: int(of(totals) or 0) for name, of in worths.items()}
            if any(row.values()):
                days[day] = row
        return Account(days, _added(days.values()))


def _added(rows: Iterable[Row]) -> Row:
    total = dict.fromkeys(ROWS, 0)
    for row in rows:
        for name, amount in row.items():
            total[name] += amount
    return total


def as_json(statement: Statement) -> dict[str, object]:
    """The statement as an answer."""
    return {
        "affiliate": statement.affiliate,
        "from": statement.first.isoformat(),
        "to": statement.end.isoformat(),
        "as_of_ms": statement.trust.as_of_ms,
        "completeness": statement.trust.completeness,
        "state": statement.trust.state.value,
        "accounts": {
            currency: {
                "days": [{"day": day.isoformat(), **row} for day, row in account.days.items()],
                "total": account.total,
            }
            for currency, account in statement.accounts.items()
        },
    }


def as_csv(statement: Statement) -> str:
    """The statement as a table: a line for each currency and day, and `total` below each currency's days.

    No field needs quotes, and none comes from a client: a spreadsheet runs what begins with ``=``.
    """
    as_of_ms = statement.trust.as_of_ms
    lines = [",".join(("currency", "day", *ROWS, "as_of_ms"))]
    for currency, account in statement.accounts.items():
        rows = [(day.isoformat(), row) for day, row in account.days.items()]
        for day, row in (*rows, ("total", account.total)):
            amounts = [str(row[name]) for name in ROWS]
            lines.append(",".join((currency, day, *amounts, "" if as_of_ms is None else str(as_of_ms))))
    return "\r\n".join(lines) + "\r\n"


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)

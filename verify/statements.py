"""Statements of affiliates against the recomputation: each account day by day, and what the days come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from verify.api import PAUSE_SECONDS, TOP, check_flat, compare_until_agreed, is_path_part
from verify.commission import amounts
from verify.compare import Report
from verify.rules import DAY_MS
from verify.totals import Range, Totals
from verify.windows import day_text

DAYS_MOST = 366
ROW = (
    *("orders", "gmv_paid_minor", "earned_minor", "reversed_minor", "estimated_minor", "final_minor"),
    *("clawed_back_minor", "payable_minor", "claw_backs_of_the_day_minor"),
)

Ask = Callable[[str, Mapping[str, str]], Any]


def compare_statements(report: Report, totals: Totals, ask: Ask, pause: float = PAUSE_SECONDS) -> None:
    """Asks for the affiliates with most events, over all days of the log: a statement for each DAYS_MOST."""
    affiliates = [of for kind, of in totals.scopes(TOP) if kind == "affiliate" and is_path_part(of)]
    asked = [(affiliate, span) for affiliate in affiliates for span in spans(totals)]

    def compare(single: Report, of: tuple[str, Range]) -> None:
        affiliate, span = of
        query = {"from": day_text(span.from_ms), "to": day_text(span.to_ms)}
        answer = ask(f"/api/v1/statements/{quote(affiliate, safe='')}", query)
        where = f"statement of {affiliate} from {query['from']}"
        if not isinstance(answer, dict):
            single.check("answer", where, "a statement", answer)
            return
        check_flat(single, where, expected_statement(totals, affiliate, span, answer), _by_day(answer))

    compare_until_agreed(report, asked, compare, pause)


def spans(totals: Totals) -> list[Range]:
    """All days of the log, in parts that a statement may have."""
    whole, most_ms = totals.whole(), DAYS_MOST * DAY_MS
    starts = () if whole is None else range(whole.from_ms, whole.to_ms, most_ms)
    return [Range(at, min(at + most_ms, whole.to_ms), "1d") for at in starts if whole is not None]


def expected_statement(
    totals: Totals, affiliate: str, span: Range, answer: Mapping[str, Any]
) -> dict[str, Any]:
    """Flat names of the days that each account must have, of their rows and of the total."""
    days = range(span.from_ms, span.to_ms, DAY_MS)
    sums = [totals.by_day.of("affiliate", affiliate, [day]) for day in days]
    booked = {measure.partition(":")[2] for of_day in sums for measure, n in of_day.items() if n}
    accounts = answer.get("accounts")
    named = set(accounts) if isinstance(accounts, dict) else set()
    expected: dict[str, Any] = {
        "affiliate": affiliate,
        "from": day_text(span.from_ms),
        "to": day_text(span.to_ms),
    }
    for currency in booked | named:
        head = f"accounts.{currency}"
        told: list[str] = []
        total: Counter[str] = Counter()
        for day in days:
            row = _row(totals, affiliate, day, currency, answer.get("as_of_ms"))
            if any(row.values()):
                told.append(day_text(day))
                total.update(row)
                expected |= {f"{head}.days.{day_text(day)}.{name}": amount for name, amount in row.items()}
        expected |= {f"{head}.total.{name}": total[name] for name in ROW}
        expected[f"{head}.listed"] = str(told)
    return expected


def _row(totals: Totals, affiliate: str, day_ms: int, currency: str, as_of_ms: int | None) -> dict[str, int]:
    """What purchases of one day come to, as of when the answer was given."""
    sums = totals.by_day.of("affiliate", affiliate, [day_ms])
    final = totals.final(("affiliate", affiliate), Range(day_ms, day_ms + DAY_MS, "1d"), as_of_ms)
    of = amounts(sums, final, currency)
    row = (
        *(sums[f"orders:{currency}"], sums[f"gmv_paid:{currency}"]),
        *(of["earned"], of["reversed"], of["estimated"], of["final"]),
        *(of["clawed_back"], of["final"] - of["clawed_back"], of["claw_backs"]),
    )
    return dict(zip(ROW, row, strict=True))


def _by_day(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer with the rows of each account by their day, and which days stand there in which order."""
    accounts = answer.get("accounts")
    named = {}
    for currency, account in accounts.items() if isinstance(accounts, dict) else ():
        rows = account.get("days")
        days = [each.get("day") for each in rows] if isinstance(rows, list) else rows
        by_day = dict(zip(days, rows, strict=True)) if isinstance(rows, list) and days else {}
        named[currency] = {**account, "days": by_day, "listed": str(days)}
    return {**answer, "accounts": named}

"""Statements of affiliates against the recomputation: what each account comes to over all days of the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from verify.api import PAUSE_SECONDS, TOP, check_flat, compare_until_agreed, is_path_part
from verify.commission import amounts
from verify.compare import Report
from verify.rules import DAY_MS
from verify.totals import Totals

DAYS_MOST = 366

Ask = Callable[[str, Mapping[str, str]], Any]


def compare_statements(report: Report, totals: Totals, ask: Ask, pause: float = PAUSE_SECONDS) -> bool:
    """Asks for the affiliates with most events; False where the log is too long for one statement.

    An affiliate whose id an address cannot hold is passed over.
    """
    span = totals.whole()
    if span is None:
        return True
    if span.to_ms - span.from_ms > DAYS_MOST * DAY_MS:
        return False
    query = {"from": _day(span.from_ms), "to": _day(span.to_ms)}

    def compare(single: Report, affiliate: str) -> None:
        _compare(single, totals, affiliate, ask(f"/api/v1/statements/{quote(affiliate, safe='')}", query))

    affiliates = [of for kind, of in totals.scopes(TOP) if kind == "affiliate" and is_path_part(of)]
    compare_until_agreed(report, affiliates, compare, pause)
    return True


def _compare(report: Report, totals: Totals, affiliate: str, answer: Any) -> None:
    where = f"statement of {affiliate}"
    if not isinstance(answer, dict):
        report.check("answer", where, "a statement", answer)
        return
    check_flat(report, where, expected_statement(totals, affiliate, answer), answer)


def expected_statement(totals: Totals, affiliate: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Flat names of the totals of each account, over all days, and what they must be."""
    span, scope = totals.whole(), ("affiliate", affiliate)
    if span is None:
        return {}
    sums, final = totals.of(scope, span), totals.final(scope, span, answer.get("as_of_ms"))
    booked = {measure.partition(":")[2] for measure, n in sums.items() if ":" in measure and n}
    expected: dict[str, Any] = {"affiliate": affiliate}
    for currency in booked.union(answer.get("accounts", {})):
        of = amounts(sums, final, currency)
        rows = {
            "orders": sums[f"orders:{currency}"],
            "gmv_paid_minor": sums[f"gmv_paid:{currency}"],
            **{f"{name}_minor": of[name] for name in ("earned", "reversed", "estimated", "final")},
            "clawed_back_minor": of["clawed_back"],
            "payable_minor": of["final"] - of["clawed_back"],
            "claw_backs_of_the_day_minor": of["claw_backs"],
        }
        expected |= {f"accounts.{currency}.total.{name}": amount for name, amount in rows.items()}
    return expected


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).date().isoformat()

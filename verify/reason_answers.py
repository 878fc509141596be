"""What the read service must say of reasons: the most frequent ones of a scope over a range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from verify.compare import Report, scope_text
from verify.model import Scope
from verify.scopes import PAYMENT_REASON, REFUND_REASON, pair_value, two_values
from verify.totals import Range, Totals

SHOWN = 20
PAYMENT_SCOPES = frozenset({"all", "platform", "gateway", "platform,gateway"})
REFUND_SCOPES = frozenset({"all", "platform"})


def questions(totals: Totals, of: str) -> Iterator[tuple[Scope, Range]]:
    """Every scope that can be asked for, over all days together and the last hours, minutes, seconds."""
    whole = totals.whole()
    for scope in totals.scopes(0):
        if scope[0] in (PAYMENT_SCOPES if of == "payments" else REFUND_SCOPES):
            for span in ([] if whole is None else [whole]) + totals.recent():
                yield scope, span


def expected(totals: Totals, of: str, scope: Scope, span: Range) -> dict[str, Any]:
    """`reasons` and `others` as they must be told."""
    kind, columns = (
        (PAYMENT_REASON, ("declined", "errors")) if of == "payments" else (REFUND_REASON, ("refunds",))
    )
    rows: dict[tuple[str, str], Counter[str]] = {}
    for value, sums in totals.values(kind, span).items():
        at, reason = two_values(value)
        platform, second = two_values(at)
        scopes = {("all", ""), ("platform", platform)}
        if of == "payments":
            scopes |= {("gateway", second), ("platform,gateway", pair_value(platform, second))}
        if scope in scopes:
            row = rows.setdefault(("" if of == "payments" else second, reason), Counter())
            row.update({column: sums[f"reasons.{column}"] for column in columns})
    ranked = sorted((-row.total(), name) for name, row in rows.items() if row.total())
    shown = []
    for _, (second, reason) in ranked[:SHOWN]:
        told: dict[str, Any] = {} if of == "payments" else {"kind": second or None}
        shown.append(told | {"reason": reason or None} | _columns(rows[second, reason], columns))
    rest: Counter[str] = Counter()
    for _, name in ranked[SHOWN:]:
        rest.update(rows[name])
    return {"reasons": shown, "others": {"reasons": len(ranked[SHOWN:])} | _columns(rest, columns)}


def _columns(row: Counter[str], columns: tuple[str, ...]) -> dict[str, int]:
    return {column: row[column] for column in columns}


def compare_reasons(
    report: Report, totals: Totals, scope: Scope, span: Range, answer: Any, *, of: str
) -> None:
    """One answer: which reasons it tells, in which order, with which numbers."""
    where = f"api {of} reasons {scope_text(*scope)} [{span.from_ms}, {span.to_ms})"
    told = answer if isinstance(answer, dict) else {"reasons": answer}
    for name, want in expected(totals, of, scope, span).items():
        report.check(name, where, want, told.get(name))

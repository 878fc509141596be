"""Why payments fail and money goes back: the most frequent reasons of a scope over a range.

It stands behind the read model, beside the answers about figures. Reasons are kept by platform and gateway
(of refunds: by platform and kind), so one reading answers for the whole shop and for each of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.answer import QuestionError, Scope
from streams.details import Details
from streams.figures.payments_more import DECLINED_FOR, ERRORS_FOR, REFUNDS_FOR
from streams.kpi import Measure, ScopeKind
from streams.read_model import Answer, Question, ReadModel
from streams.reading import Range, View
from streams.requests import cells
from streams.scopes import (
    ALL,
    GATEWAY,
    PAYMENT_REASON,
    PLATFORM,
    PLATFORM_GATEWAY,
    REFUND_REASON,
    split_pair,
)

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Subject:
    """What reasons are told of.

    Attributes:
        kind: under which they are kept.
        second: what a row names beside its reason; None where it names nothing else.
        counts: the measures, by the name of their column.
        scopes: kinds of scope that can be asked for.
    """

    kind: ScopeKind
    second: str | None
    counts: Mapping[str, Measure]
    scopes: tuple[ScopeKind, ...]


PAYMENTS = Subject(
    PAYMENT_REASON,
    None,
    {"declined": DECLINED_FOR, "errors": ERRORS_FOR},
    (ALL, PLATFORM, GATEWAY, PLATFORM_GATEWAY),
)
REFUNDS = Subject(REFUND_REASON, "kind", {"refunds": REFUNDS_FOR}, (ALL, PLATFORM))

Row = tuple[str, str]  # (second, empty where a row names none; reason, empty where none was given)


async def read_reasons(model: ReadModel, subject: Subject, question: Question) -> Answer:
    """The answer of ``/api/v1/payments/reasons`` or ``/api/v1/refunds/reasons``.

    Raises QuestionError, WindowError and StoreUnavailableError.
    """
    scope, view, asked = await _read(model, subject, question)
    trusted = await model.trust(view, (asked.from_ms, asked.to_ms), scope.kind)
    shown, rest = largest(_tally(subject, scope, view, asked))
    return {
        "scope": str(scope),
        "from_ms": asked.from_ms,
        "to_ms": asked.to_ms,
        "as_of_ms": trusted.as_of_ms,
        "completeness": trusted.completeness,
        "state": trusted.state.value,
        "reasons": [_told(subject, row, counts) for row, counts in shown],
        "others": {"reasons": len(rest), **_added(subject, [counts for _, counts in rest])},
    }


async def read_rows(model: ReadModel, subject: Subject, window: str) -> Mapping[Row, Counter[str]]:
    """All rows of the whole shop. Raises WindowError and StoreUnavailableError."""
    return _tally(subject, *await _read(model, subject, Question(ALL.name, window)))


async def _read(model: ReadModel, subject: Subject, question: Question) -> tuple[Scope, View, Range]:
    scope = model.check(question)
    known = [kind.name for kind in subject.scopes]
    if subject.kind not in model.figures.kinds or scope.kind not in known:
        raise QuestionError(f"reasons are kept by {' '.join(known)}, not by {scope.kind}")
    range_at = model.range_at(question, scope, Details())
    return scope, *await model.over(range_at, lambda asked, _: [cells(subject.kind.name, asked.panes)])


def _tally(subject: Subject, scope: Scope, view: View, asked: Range) -> Mapping[Row, Counter[str]]:
    """What the scope has of each row, by column."""
    rows: defaultdict[Row, Counter[str]] = defaultdict(Counter)
    for stored, totals in view.values(cells(subject.kind.name, asked.panes)).items():
        at, reason = split_pair(stored)
        platform, second = split_pair(at)
        own = {ALL.name: "", PLATFORM.name: platform, GATEWAY.name: second, PLATFORM_GATEWAY.name: at}
        if own[scope.kind] == scope.value:
            row = rows[second if subject.second else "", reason]
            for column, measure in subject.counts.items():
                row[column] += totals.get(measure.name, 0)
    return rows


def largest(
    rows: Mapping[Row, Counter[str]],
) -> tuple[list[tuple[Row, Counter[str]]], list[tuple[Row, Counter[str]]]]:
    """The most frequent rows, those of equal numbers by name, and the others."""
    found = [(row, counts) for row, counts in rows.items() if any(counts.values())]
    found.sort(key=lambda each: (-each[1].total(), each[0]))
    return found[:SHOWN], found[SHOWN:]


def _told(subject: Subject, row: Row, counts: Mapping[str, int]) -> Answer:
    second, reason = row
    named = {subject.second: second or None} if subject.second else {}
    return {**named, "reason": reason or None, **_added(subject, [counts])}


def _added(subject: Subject, parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {column: sum(part[column] for part in parts) for column in subject.counts}

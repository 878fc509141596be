"""From a reader's scope to stored fields, and from totals to the figures of an answer. Pure.

It stands between the catalogue, which declares figures, and the read model, which brings totals. Which
figures an answer has, in which order, under which names: all of it follows from the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from streams.catalogue import ALL, KPIS, MEASURES, PIPELINE, QUALITY, SCOPES
from streams.kpi import FigureSet, Kpi, Measure, measures_of, nest, value

VALUE_CODE_POINTS_MAX = 64
# JSON numbers are written as 64-bit integers; a sum beyond that is an error, never another number.
INTEGER_MAX = 2**63 - 1

Figure = int | float | None

# Users and sessions are not kept yet: null, because a zero would say that there were none.
STEPS = ("view", "tag_tap", "add_to_cart", "purchase")

_PAIR = re.compile(rf",(?:{'|'.join(SCOPES)}):")


class QuestionError(ValueError):
    """A question that cannot be answered; the text says why and what to ask instead."""


class FigureTooLarge(ArithmeticError):
    """A figure that does not fit into an answer's integers."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A kind of scope and its value; the value of `all` is empty, as in Redis."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind


def parse_scope(text: str, kinds: Collection[str]) -> Scope:
    """``all`` or ``kind:value``, split at the first colon. Raises QuestionError.

    `kinds` are the kinds that are kept; a value that never came is no error, its figures are zero.
    """
    if text == ALL.name and ALL.name in kinds:
        return Scope(ALL.name, "")
    kind, colon, scope_value = text.partition(":")
    if kind not in kinds or kind == ALL.name or not colon:
        known = " ".join(name if name == ALL.name else f"{name}:VALUE" for name in SCOPES if name in kinds)
        raise QuestionError(f"unknown scope {text[:80]!r}; known scopes: {known}")
    if _PAIR.search(scope_value):
        raise QuestionError(f"pairs are not kept yet; ask for one scope, for example scope={kind}:VALUE")
    if not 1 <= len(scope_value) <= VALUE_CODE_POINTS_MAX:
        raise QuestionError(f"the value after {kind}: has 1 to {VALUE_CODE_POINTS_MAX} characters")
    return Scope(kind, scope_value)


def stored_measures(
    kind: str, figures: FigureSet, currencies: Iterable[str], kpis: Iterable[Kpi] = KPIS
) -> tuple[str, ...]:
    """Names in Redis of every measure that the KPIs of this kind of scope read."""
    read = {measure.name for kpi in kpis if kind in kpi.kinds for measure in measures_of(kpi.formula)}
    currencies = tuple(currencies)
    return tuple(
        measure.stored_as(currency)
        for measure in MEASURES
        if measure.name in read & figures.measures and kind in measure.kinds
        for currency in (currencies if measure.per_currency else (None,))
    )


def evaluate(
    kpi: Kpi, kind: str, totals: Mapping[str, int], currency: str | None, figures: FigureSet
) -> Figure:
    """One KPI from totals by stored name; None over nothing or if not kept. Raises FigureTooLarge."""

    def total(measure: Measure) -> int:
        return totals.get(measure.stored_as(currency), 0)

    if not all(measure.name in figures.measures for measure in measures_of(kpi.formula)):
        return None
    figure = value(kpi.formula, kind, total)
    if isinstance(figure, int) and abs(figure) > INTEGER_MAX:
        raise FigureTooLarge(f"{kpi.path} is {figure}: more than 64 bits; ask for a shorter window")
    return figure


def flat_figures(
    kind: str, totals: Mapping[str, int], currencies: Iterable[str], figures: FigureSet
) -> dict[str, Figure]:
    """Every KPI of the kind by its path, ``*`` replaced by each currency, in the catalogue's order."""
    currencies = tuple(currencies)
    return {
        kpi.path.replace("*", currency) if currency else kpi.path: evaluate(
            kpi, kind, totals, currency, figures
        )
        for kpi in KPIS
        if kind in kpi.kinds
        for currency in (currencies if kpi.per_currency else (None,))
    }


def body(
    kind: str,
    totals: Mapping[str, int],
    quality: Mapping[str, int],
    currencies: Iterable[str],
    figures: FigureSet,
) -> dict[str, object]:
    """The figures of an answer in the contract's order; `quality` are totals over all topics."""
    kept = nest(flat_figures(kind, totals, currencies, figures))
    nothing_kept: dict[str, object] = dict.fromkeys(STEPS)
    ratios = kept.pop("ratios")
    if not isinstance(ratios, dict):
        raise TypeError("the catalogue declares no ratios")
    quality_figures = {kpi.path: evaluate(kpi, PIPELINE.name, quality, None, figures) for kpi in QUALITY}
    return {
        "events": kept.pop("events"),
        "users": nothing_kept,
        "sessions": dict(nothing_kept),
        "orders": kept.pop("orders"),
        "items": kept.pop("items"),
        "money": kept.pop("money", {}),
        "ratios": {**ratios, "purchases_per_view_sessions": None},
        "users_from_ms": None,
        "users_to_ms": None,
        **nest(quality_figures),
        **kept,
    }


def by_measure(sums: Mapping[str, int], scope_value: str | None = None) -> dict[str, int]:
    """Totals by stored measure from cells ``measure|value``: of one value, or (None) added over all."""
    totals: dict[str, int] = {}
    for cell, amount in sums.items():
        measure, _, of = cell.partition("|")
        if scope_value is None or of == scope_value:
            totals[measure] = totals.get(measure, 0) + amount
    return totals


def by_value(sums: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Totals by scope value, then by stored measure, from cells ``measure|value``."""
    found: dict[str, dict[str, int]] = {}
    for cell, amount in sums.items():
        measure, _, of = cell.partition("|")
        found.setdefault(of, {})[measure] = amount
    return found


def added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Mappings of integers added up key by key: the partitions of one request."""
    totals: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            totals[name] = totals.get(name, 0) + amount
    return totals

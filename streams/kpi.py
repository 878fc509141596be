"""The language in which figures are declared: scope kinds, measures, formulas over them, KPIs.

A *measure* is an integer that only ever adds up, per pane and scope; it is what Redis stores. A *KPI* is
a formula over measures; it is what people read. One formula has several readers (the API's answer, the
gauges, the reference), so two outputs can never disagree about a definition. Sums are exported and
divided last; a ratio over nothing is None, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Level(StrEnum):
    """Whether an order counts in a scope whole, or only with the lines that carry the scope's value."""

    ORDER = "order"
    LINE = "line"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class ScopeKind:
    """A dimension by which figures are kept, for example ``live``.

    Attributes:
        name: as written before the colon in ``scope=live:L1`` and in Redis keys.
        field: the event's attribute that holds the value; None for the whole shop.
        level: how an order counts in it.
    """

    name: str
    field: str | None
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A sum kept per pane and scope.

    Attributes:
        name: as stored; a measure per currency is stored as ``name:CUR``.
        help: one sentence.
        kinds: names of the scope kinds it is kept for.
        per_currency: amounts of different currencies are never added.
    """

    name: str
    help: str
    kinds: frozenset[str]
    per_currency: bool = False

    def stored_as(self, currency: str | None) -> str:
        """The name in Redis; `currency` is ignored where the measure is not per currency."""
        return f"{self.name}:{currency}" if self.per_currency else self.name


@dataclass(frozen=True, slots=True)
class Sum:
    """What its terms add up to; `minus` is taken away."""

    plus: tuple[Measure, ...]
    minus: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Ratio:
    """`scale` × part ÷ whole; None over nothing. `whole_units` rounds half to even (money)."""

    part: Measure | Sum
    whole: Measure | Sum
    scale: int = 1
    whole_units: bool = False


Formula = Measure | Sum | Ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """A figure as people read it.

    Attributes:
        path: place in the answer, for example ``events.view``; ``money.*.x`` stands once per currency.
        formula: what it is, over measures.
        unit: ``count``, ``minor`` (minor units of the currency) or ``ratio``.
        help: one sentence for the reference, the gauge and the panel.
        source: where the definition comes from.
        kinds: scope kinds whose answers carry it; elsewhere the key is absent.
    """

    path: str
    formula: Formula
    unit: str
    help: str
    source: str
    kinds: frozenset[str]

    @property
    def per_currency(self) -> bool:
        """Whether the figure stands once per currency."""
        return any(measure.per_currency for measure in measures_of(self.formula))


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSet:
    """What a worker keeps: kinds of scope, sizes of pane (by name) and measures (by name)."""

    name: str
    kinds: tuple[ScopeKind, ...]
    sizes: frozenset[str]
    measures: frozenset[str]


def measures_of(formula: Formula) -> tuple[Measure, ...]:
    """Every measure that a formula reads, in order, with repetitions."""
    match formula:
        case Measure():
            return (formula,)
        case Sum(plus, minus):
            return plus + minus
        case Ratio(part, whole):
            return measures_of(part) + measures_of(whole)


def is_kept(formula: Formula, kind: str) -> bool:
    """Whether every measure of the formula is kept for the kind of scope."""
    return all(kind in measure.kinds for measure in measures_of(formula))


def value(formula: Formula, kind: str, total: Callable[[Measure], int]) -> int | float | None:
    """The figure, from totals. A ratio with a measure that the kind of scope lacks is None, as is x/0."""
    match formula:
        case Measure():
            return total(formula)
        case Sum(plus, minus):
            return sum(map(total, plus)) - sum(map(total, minus))
        case Ratio(part, whole, scale, whole_units):
            if not is_kept(formula, kind):
                return None
            divisor = value(whole, kind, total)
            dividend = value(part, kind, total)
            if not divisor or dividend is None:
                return None
            exact = Fraction(dividend) * scale / Fraction(divisor)
            return round(exact) if whole_units else float(exact)


def nest(flat: Mapping[str, object]) -> dict[str, object]:
    """``{"a.b": 1}`` as ``{"a": {"b": 1}}``: dotted paths to the shape of an answer."""
    answer: dict[str, object] = {}
    for path, leaf in flat.items():
        *parents, name = path.split(".")
        at = answer
        for parent in parents:
            below = at.setdefault(parent, {})
            if not isinstance(below, dict):
                raise TypeError(f"{path}: {parent} is a figure and a group at once")
            at = below
        at[name] = leaf
    return answer

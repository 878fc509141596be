"""From a reader's scope to stored fields, and from totals to the figures of an answer. Pure.

It stands between the catalogue, which declares figures, and the read model, which brings totals. Which
figures an answer has, in which order, under which names: all of it follows from the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from schemas.events import INPUT_TOPICS
from streams.admission import TOPIC_OF
from streams.catalogue import (
    CAPPED,
    CHECKOUT_STEPS,
    COVERED_MS,
    ORDERS_IN_CURRENCY,
    SESSION_STEPS,
    TIME_TO_CONVERT,
)
from streams.figures import MEASURES, OF_TRAFFIC, SKETCHES
from streams.formula import worth
from streams.kpi import (
    FigureSet,
    Keeping,
    Kpi,
    Mean,
    Measure,
    Product,
    Quantile,
    Ratio,
    measures_of,
)
from streams.kpis import KPIS, QUALITY
from streams.scopes import ALL, OTHER, SCOPES, pair_value, split_pair

VALUE_CODE_POINTS_MAX = 64
# JSON numbers are written as 64-bit integers; a sum beyond that is an error, never another number.
INTEGER_MAX = 2**63 - 1

Figure = int | float | None

_PAIR = re.compile(rf",({'|'.join(re.escape(kind) for kind in SCOPES if ',' not in kind)}):")


class QuestionError(ValueError):
    """A question that cannot be answered; the text says why and what to ask instead."""


class UnknownLiveError(QuestionError):
    """A question about a live that no event has told of."""


class FigureTooLarge(ArithmeticError):
    """A figure that does not fit into an answer's integers."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A kind of scope and its value as stored: empty for `all`, of a pair both (`scopes.pair_value`)."""

    kind: str
    value: str

    def __str__(self) -> str:
        """As a reader writes it; of a pair above the cap ``kind,kind:other``."""
        if "," not in self.kind or self.value == OTHER:
            return f"{self.kind}:{self.value}" if self.value else self.kind
        named = zip(self.kind.split(","), split_pair(self.value), strict=True)
        return ",".join(f"{kind}:{of}" for kind, of in named)


def parse_scope(text: str, kinds: Collection[str]) -> Scope:
    """``all``, ``kind:value`` split at the first colon, or a pair ``kind:value,kind:value`` split at the
    first kind that follows a comma. Raises QuestionError.

    `kinds` are the kinds that are kept; a value that never came is no error, its figures are zero.
    """
    if text == ALL.name and ALL.name in kinds:
        return Scope(ALL.name, "")
    kind, colon, rest = text.partition(":")
    is_rest = "," in kind and rest == OTHER and kind in kinds
    if kind not in SCOPES or kind == ALL.name or not colon or ("," in kind and not is_rest):
        raise QuestionError(f"unknown scope {text[:80]!r}; known scopes: {_known(kinds)}")
    if is_rest:
        return Scope(kind, OTHER)
    values = [rest]
    if (second := _PAIR.search(rest)) is not None:
        values = [rest[: second.start()], rest[second.end() :]]
        kind = f"{kind},{second[1]}"
        if kind not in SCOPES or _PAIR.search(values[1]):
            pairs = " ".join(name for name in _known(kinds).split() if "," in name) or "none"
            raise QuestionError(f"{text[:80]!r} is no pair that is kept; known pairs: {pairs}")
    if kind not in kinds:
        raise QuestionError(f"unknown scope {text[:80]!r}; known scopes: {_known(kinds)}")
    for name, of in zip(kind.split(","), values, strict=True):
        if not 1 <= len(of) <= VALUE_CODE_POINTS_MAX:
            raise QuestionError(f"the value after {name}: has 1 to {VALUE_CODE_POINTS_MAX} characters")
    return Scope(kind, pair_value(*values) if len(values) > 1 else values[0])


def is_named(scope: Scope, kinds: Collection[str]) -> bool:
    """Whether the scope is the very one that is read where it is written."""
    try:
        return parse_scope(str(scope), kinds) == scope
    except ValueError:  # No scope, or no pair.
        return False


def _known(kinds: Collection[str]) -> str:
    """The scopes that can be asked for, as a reader writes them."""
    return " ".join(
        name if name == ALL.name else ",".join(f"{each}:VALUE" for each in name.split(","))
        for name in SCOPES
        if name in kinds
    )


class Group(StrEnum):
    """Figures that a cap on values may have left incomplete, each by panes of its own."""

    EVENTS = "events"
    SESSIONS = "sessions"
    USERS = "users"


_GROUP_OF: Mapping[str, Group] = MappingProxyType(
    {
        # What the order service tells is never capped.
        **dict.fromkeys(TOPIC_OF, Group.EVENTS),
        **{
            measure.name: Group.SESSIONS
            for measure in (*SESSION_STEPS, *CHECKOUT_STEPS, *TIME_TO_CONVERT.values())
        },
        **{measure.name: Group.USERS for measure in SKETCHES.values()},
        **{measure.name: Group.EVENTS for measure in OF_TRAFFIC},
    }
)
# What each figure reads, by its path: evaluated thousands of times a second.
_READS: Mapping[str, tuple[Measure, ...]] = MappingProxyType(
    {kpi.path: measures_of(kpi.formula) for kpi in (*KPIS, *QUALITY)}
)
_KPI_AT: Mapping[str, Kpi] = MappingProxyType({kpi.path: kpi for kpi in (*KPIS, *QUALITY)})
# Where a part of what they read is counted elsewhere, all but counts say something wrong.
_SPOILT_BY: Mapping[str, frozenset[Group]] = MappingProxyType(
    {
        kpi.path: frozenset(_GROUP_OF[each.name] for each in _READS[kpi.path] if each.name in _GROUP_OF)
        if isinstance(kpi.formula, Ratio | Product | Mean | Quantile)
        else frozenset()
        for kpi in (*KPIS, *QUALITY)
    }
)
# Steps whose users are told of complete days alone.
_OF_DAYS = frozenset(
    measure.name.removeprefix("users.")
    for kpi in KPIS
    if kpi.complete_days
    for measure in measures_of(kpi.formula)
)
# What is set against users: of these KPIs, the measures in cells.
_BESIDE_USERS: Mapping[str, tuple[Measure, ...]] = MappingProxyType(
    {
        kpi.path: beside
        for kpi in KPIS
        if kpi.over_users_range
        and (beside := tuple(each for each in _READS[kpi.path] if each.keeping is not Keeping.SKETCH))
    }
)
_NEVER_ZERO = frozenset(
    measure.name for measure in MEASURES if measure.keeping in {Keeping.MAX, Keeping.AGED}
)
# The highest of nothing, time that no heartbeat covers, and what is old where "as of" is too far behind, are
# not 0: null unless the measure is there.
_UNKNOWN_WITHOUT: Mapping[str, str] = MappingProxyType(
    {path: each.name for path, read in _READS.items() for each in read if each.name in _NEVER_ZERO}
    | {"viewers.watch_seconds": COVERED_MS.name}
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the figures of one scope are made of, by stored measure.

    Attributes:
        own: over the asked range.
        users: over the users' range: estimates of distinct users, and what is set against them; None where
            nothing is known about users.
        capped: figures of which a part is counted under ``other`` because a cap was met.
        days: by the number of complete days, distinct users over them; without those of which nothing is
            known.
        has_beside: whether `users` holds what is set against users: no, where it is not kept in that range.
        days_to_ms: the end of the asked range where it is made of panes of whole days, else None.
        as_of_ms: up to when nothing is missing any more; None where that is not known.
    """

    own: Mapping[str, int]
    users: Mapping[str, int] | None = None
    capped: frozenset[Group] = frozenset()
    days: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    has_beside: bool = True
    days_to_ms: int | None = None
    as_of_ms: int | None = None

    def is_ripe(self, kpi: Kpi) -> bool:
        """Whether the range is one that a KPI of whole days can be told of, and old enough for it."""
        if self.days_to_ms is None or not kpi.ripe_after_ms:
            return self.days_to_ms is not None
        return self.as_of_ms is not None and self.as_of_ms >= self.days_to_ms + kpi.ripe_after_ms


def stored_measures(
    kind: str, figures: FigureSet, currencies: Iterable[str], kpis: Iterable[Kpi] = KPIS
) -> tuple[str, ...]:
    """Names in Redis of every measure in cells that the KPIs of this kind of scope read."""
    read = {measure.name for kpi in kpis if kind in kpi.kinds for measure in _READS[kpi.path]}
    currencies = tuple(currencies)
    return tuple(
        measure.stored_as(currency)
        for measure in MEASURES
        if measure.name in read & figures.measures
        and kind in measure.kinds
        and measure.keeping in {Keeping.SUM, Keeping.MAX}
        for currency in (currencies if measure.per_currency else (None,))
    )


@lru_cache(maxsize=256)
def sketches_of(kind: str, figures: FigureSet) -> Mapping[str, Measure]:
    """The sketches of users that are told of the kind of scope over the users' range, by step."""
    return {
        step: measure
        for step, measure in SKETCHES.items()
        if kind in measure.kinds and measure.name in figures.measures and step not in _OF_DAYS
    }


@lru_cache(maxsize=256)
def sketches_of_days(kind: str, figures: FigureSet) -> Mapping[int, tuple[str, ...]]:
    """By the number of complete days over which KPIs of the kind of scope are taken, the steps they read."""
    found: dict[int, tuple[str, ...]] = {}
    for kpi in KPIS:
        if kpi.complete_days and kind in kpi.kinds and _is_in_set(kpi.path, figures):
            steps = [measure.name.removeprefix("users.") for measure in _READS[kpi.path]]
            found[kpi.complete_days] = tuple(dict.fromkeys((*found.get(kpi.complete_days, ()), *steps)))
    return found


@lru_cache(maxsize=256)
def beside_users(kind: str, figures: FigureSet, currencies: tuple[str, ...]) -> tuple[str, ...]:
    """Names in Redis of the measures that are set against users of the kind of scope, over their range."""
    read = {each for kpi in KPIS if kind in kpi.kinds for each in _BESIDE_USERS.get(kpi.path, ())}
    kept = {measure.name for measure in (*read, ORDERS_IN_CURRENCY) if kind in measure.kinds}
    return tuple(
        measure.stored_as(currency)
        for measure in MEASURES
        if measure.name in kept & figures.measures
        for currency in (currencies if measure.per_currency else (None,))
    )


def capped_cells(kind: str, figures: FigureSet) -> tuple[str, ...]:
    """The cells that are above 0 where a cap was met for the kind of scope."""
    if kind not in CAPPED.kinds or CAPPED.name not in figures.measures:
        return ()
    return tuple(f"{CAPPED.name}|{topic}" for topic in INPUT_TOPICS if topic != "purchases")


@lru_cache(maxsize=1 << 14)
def _figure_of(path: str, kind: str, currency: str | None) -> Callable[[Totals], Figure]:
    """One KPI as a function of totals, for a figure set that has every measure of it."""
    kpi = _KPI_AT[path]
    worth_of = worth(kpi.formula, kind, currency)
    spoilt_by, needs_beside = _SPOILT_BY[path], path in _BESIDE_USERS
    unknown_without = _UNKNOWN_WITHOUT.get(path)

    def figure(totals: Totals) -> Figure:
        of = totals.users if kpi.over_users_range else totals.own
        if kpi.complete_days:
            of = totals.days.get(kpi.complete_days)
        if of is None or (totals.capped and not totals.capped.isdisjoint(spoilt_by)):
            return None
        if (needs_beside and not totals.has_beside) or (kpi.of_whole_days and not totals.is_ripe(kpi)):
            return None
        if unknown_without is not None and unknown_without not in of:
            return None
        if kpi.over_users_range and currency and _currencies_with_orders(of) != {currency}:
            return None  # Whose buyers paid in which currency is not known.
        found = worth_of(of)
        if isinstance(found, int) and abs(found) > INTEGER_MAX:
            raise FigureTooLarge(f"{path} is {found}: more than 64 bits; ask for a shorter window")
        return found

    return figure


def evaluate(kpi: Kpi, kind: str, totals: Totals, currency: str | None, figures: FigureSet) -> Figure:
    """One KPI; None over nothing or if it is not kept or not known. Raises FigureTooLarge."""
    return _figure_of(kpi.path, kind, currency)(totals) if _is_in_set(kpi.path, figures) else None


@lru_cache(maxsize=1 << 12)
def _is_in_set(path: str, figures: FigureSet) -> bool:
    return all(measure.name in figures.measures for measure in _READS[path])


def _currencies_with_orders(totals: Mapping[str, int]) -> set[str]:
    orders = f"{ORDERS_IN_CURRENCY.name}:"
    return {name.removeprefix(orders) for name, n in totals.items() if n and name.startswith(orders)}


@lru_cache(maxsize=256)
def _figures_of(
    kind: str, currencies: tuple[str, ...], figures: FigureSet
) -> tuple[tuple[str, str, Callable[[Totals], Figure] | None], ...]:
    """Every figure of the kind: its path, the KPI's path, and what tells it (None: not in the figure set)."""
    return tuple(
        (
            kpi.path.replace("*", currency) if currency else kpi.path,
            kpi.path,
            _figure_of(kpi.path, kind, currency) if _is_in_set(kpi.path, figures) else None,
        )
        for kpi in KPIS
        if kind in kpi.kinds
        for currency in (currencies if kpi.per_currency else (None,))
    )


def flat_figures(
    kind: str,
    totals: Totals,
    currencies: Iterable[str],
    figures: FigureSet,
    paths: Collection[str] | None = None,
) -> dict[str, Figure]:
    """Every KPI of the kind (None) or those at `paths`, by path, ``*`` replaced by each currency, in the
    catalogue's order."""
    return {
        path: None if figure is None else figure(totals)
        for path, kpi_path, figure in _figures_of(kind, tuple(currencies), figures)
        if paths is None or kpi_path in paths
    }


def by_measure(sums: Mapping[str, int], scope_value: str | None = None) -> dict[str, int]:
    """Totals by stored measure from cells ``measure|value``: of one value, or (None) over all of them."""
    if scope_value is None:
        return added({cell.partition("|")[0]: amount} for cell, amount in sums.items())
    ending = f"|{scope_value}"
    return {
        cell.partition("|")[0]: amount
        for cell, amount in sums.items()
        if cell.endswith(ending) and cell.partition("|")[2] == scope_value
    }


def by_value(sums: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Totals by scope value, then by stored measure, from cells ``measure|value``."""
    found: dict[str, dict[str, int]] = {}
    for cell, amount in sums.items():
        measure, _, of = cell.partition("|")
        found.setdefault(of, {})[measure] = amount
    return found


def is_highest(cell: str) -> bool:
    """Whether a cell, or a measure, holds a highest value: never added to another. Names say so."""
    return cell.startswith("max.")


def added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Cells or measures put together name by name, sums added up."""
    totals: dict[str, int] = {}
    for part in parts:
        put_together(totals, part.items())
    return totals


def put_together(
    into: dict[Any, int],
    found: Iterable[tuple[Any, int]],
    holds_highest: Callable[[Any], bool] = is_highest,
) -> None:
    """Adds amounts to those of the same key; of highest values the highest stays."""
    for key, amount in found:
        if key not in into:
            into[key] = amount
        elif holds_highest(key):
            into[key] = max(into[key], amount)
        else:
            into[key] += amount

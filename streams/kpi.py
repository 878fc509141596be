"""The language in which figures are declared: scope kinds, measures, formulas over them, KPIs.

A *measure* is an integer that only ever adds up, per pane and scope; it is what Redis stores. A *KPI* is
a formula over measures; it is what people read. One formula has several readers (the API's answer, the
gauges, the reference), so two outputs can never disagree about a definition. Sums are exported and
divided last; a ratio over nothing is None, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.events import Event


class Level(StrEnum):
    """Whether an order counts in a scope whole, or only with the lines that carry the scope's value; of a
    kind of its own only the events count that have its field, and no order."""

    ORDER = "order"
    LINE = "line"
    EVENT = "event"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class ScopeKind:
    """A dimension by which figures are kept, for example ``live``.

    Attributes:
        name: as written before the colon in ``scope=live:L1`` and in Redis keys; of a pair both names with a
            comma between.
        fields: the event's attributes that hold the value: none for the whole shop, two for a pair.
        level: how an order counts in it.
        sizes: names of the pane sizes kept for it; empty for all that the figure set keeps.
    """

    name: str
    fields: tuple[str, ...]
    level: Level
    sizes: frozenset[str] = frozenset()


class Keeping(StrEnum):
    """How a measure is kept, and so how panes and partitions are put together.

    `DUE` is a sum by the hour from which on it counts: an answer has what counted by its `as_of_ms`.
    """

    SUM = "sum"
    MAX = "max"
    SKETCH = "sketch"
    DUE = "due"
    AGED = "aged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A number kept per pane and scope: a sum, a highest value, a sketch of users, or what became due.

    Attributes:
        name: as stored; a measure per currency is stored as ``name:CUR``.
        help: one sentence.
        kinds: names of the scope kinds it is kept for.
        per_currency: amounts of different currencies are never added.
        keeping: sketches stand in keys of their own, what becomes due in cells of the kind `due`, what is
            aged (`Aged`) nowhere, all else in cells of its scope.
    """

    name: str
    help: str
    kinds: frozenset[str]
    per_currency: bool = False
    keeping: Keeping = Keeping.SUM

    def stored_as(self, currency: str | None) -> str:
        """The name in Redis; `currency` is ignored where the measure is not per currency."""
        return f"{self.name}:{currency}" if self.per_currency else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Aged(Measure):
    """The part of a sum that lies so far back that it has changed, or will; taken from its panes on reading.

    Attributes:
        of: the sum.
        age_ms: how long before "as of" a pane must have ended.
        border_ms: what is old ends on a multiple of this: the panes kept that far back.
    """

    of: Measure
    age_ms: int
    border_ms: int
    keeping: Keeping = Keeping.AGED


@dataclass(frozen=True, slots=True)
class Part:
    """Events of one type by a field with a closed list of values, each counted beside the whole.

    Attributes:
        event: the type.
        field: its attribute.
        measures: what counts the events that have the value there; other values count in none.
    """

    event: type[Event]
    field: str
    measures: Mapping[Any, Measure]


@dataclass(frozen=True, slots=True)
class OrderPart:
    """What paid orders with one value of an order-level scope add, counted beside what all of them add.

    Attributes:
        scope: name of the kind of scope, for example ``surface``.
        value: the value that the order's envelope carries.
        measures: by the name of a measure of all orders, the one that takes the same amount of these.
    """

    scope: str
    value: str
    measures: Mapping[str, Measure]


@dataclass(frozen=True, slots=True)
class Distinct:
    """The distinct users with an event of certain types of traffic, sketched.

    Attributes:
        step: what they did, as sketches are named in Redis.
        events: the types.
        measure: the number of them; its name is ``users.STEP``.
        sizes: names of the sizes of panes that have sketches; empty for all. Of one kind of scope all steps
            have the same.
    """

    step: str
    events: frozenset[type[Event]]
    measure: Measure
    sizes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sum:
    """What its terms add up to; `minus` is taken away."""

    plus: tuple[Measure, ...]
    minus: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Ratio:
    """`scale` × part ÷ whole; None over nothing. `whole_units` rounds half to even (money).

    `least`: None over less than so much of a measure, too.
    """

    part: Measure | Sum
    whole: Measure | Sum
    scale: int = 1
    whole_units: bool = False
    least: tuple[Measure, int] | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """Ratios multiplied by each other; None where one of them is."""

    factors: tuple[Ratio, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """How many whole times `divisor` goes into a measure: milliseconds as seconds, for example."""

    measure: Measure
    divisor: int


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of values that are counted one by one, as (value, how often); None over nothing."""

    counts: tuple[tuple[int, Measure], ...]


@dataclass(frozen=True, slots=True)
class Quantile:
    """The value below which the share `q` of the counted lies, interpolated within its bucket.

    Attributes:
        buckets: (upper end, count above the end before and up to this one), ascending; the first bucket
            begins at 0.
        q: between 0 and 1.
    """

    buckets: tuple[tuple[int, Measure], ...]
    q: float


Formula = Measure | Sum | Ratio | Product | Whole | Mean | Quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """A figure as people read it.

    Attributes:
        path: place in the answer, for example ``events.view``; ``group.*.x`` stands once per currency.
        formula: what it is, over measures.
        unit: ``count``, ``minor`` (minor units of the currency), ``seconds`` or ``ratio``.
        help: one sentence for the reference, the gauge and the panel.
        source: where the definition comes from.
        kinds: scope kinds whose answers carry it; elsewhere the key is absent.
        over_users_range: taken over ``users_from_ms`` to ``users_to_ms``, the whole panes of sketches that
            the asked range touches.
        complete_days: taken over so many whole UTC days, the last that are over by the end of the asked
            range; 0: over the range.
        of_whole_days: its measures are kept by UTC days only: None over any other range.
        ripe_after_ms: None until the range ended so long before as-of: what it counts comes so much later.
        takes_days: days pass before it can be other than 0. A gauge of it would be a trap: always 0.
    """

    path: str
    formula: Formula
    unit: str
    help: str
    source: str
    kinds: frozenset[str]
    over_users_range: bool = False
    complete_days: int = 0
    of_whole_days: bool = False
    ripe_after_ms: int = 0
    takes_days: bool = False

    @property
    def has_gauge(self) -> bool:
        """Whether a gauge can tell it: gauges are of windows of a day at most."""
        return not (self.takes_days or self.of_whole_days)

    @property
    def gauge(self) -> str:
        """The name of its gauge, without the prefix: the path, without the words that say nothing there."""
        bare = self.path.removeprefix("money.*.").removeprefix("ratios.").removesuffix(".count")
        bare = bare.replace(".*.", ".")
        return bare.replace(".", "_")

    @property
    def per_currency(self) -> bool:
        """Whether the figure stands once per currency."""
        return any(measure.per_currency for measure in measures_of(self.formula))


# Each is one of a kind: compared, and remembered things by, as the object that it is.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
        case Ratio(part, whole, least=least):
            return measures_of(part) + measures_of(whole) + (least[:1] if least else ())
        case Product(factors):
            return tuple(measure for factor in factors for measure in measures_of(factor))
        case Whole(measure):
            return (measure,)
        case Mean(counts) | Quantile(counts):
            return tuple(measure for _, measure in counts)


def is_kept(formula: Formula, kind: str) -> bool:
    """Whether every measure of the formula is kept for the kind of scope."""
    return all(kind in measure.kinds for measure in measures_of(formula))


def nest(flat: Mapping[str, object]) -> dict[str, object]:
    """``{"a.b": 1}`` as ``{"a": {"b": 1}}``: dotted paths to the shape of an answer."""
    answer: dict[str, object] = {}
    groups = {"": answer}
    for path, leaf in flat.items():
        group, _, name = path.rpartition(".")
        at = groups.get(group)
        if at is None:
            at = groups[group] = _group(answer, group)
        at[name] = leaf
    return answer


def _group(answer: dict[str, object], path: str) -> dict[str, object]:
    """The group at a dotted path, made if it is not there."""
    at = answer
    for name in path.split("."):
        below = at.setdefault(name, {})
        if not isinstance(below, dict):
            raise TypeError(f"{path}: {name} is a figure and a group at once")
        at = below
    return at

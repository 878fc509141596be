"""Expressions of Prometheus as values that can be put together, narrowed and written.

It stands before the files of rules: an expression is built once and written several times, for a rule, for
a sentence about one alert (narrowed to its labels) and for Grafana. Strings with holes would hide a missing
bracket until Prometheus reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Where a narrowed selector takes the matchers of one alert: Go's printf fills it in.
NARROWED = "%[1]s"
_NONE: Mapping[str, str] = MappingProxyType({})


class Expr:
    """An expression; arithmetic and comparisons give expressions."""

    def text(self, narrowed: bool = False) -> str:
        """As Prometheus reads it; `narrowed` leaves a place for further matchers in each selector."""
        raise NotImplementedError

    def nested(self, narrowed: bool) -> str:
        """The same where it stands within another expression."""
        return self.text(narrowed)

    def laid_out(self) -> str:
        """The same for people: each side of `and`, `or`, `unless` on a line of its own."""
        return self.text()

    def __add__(self, other: Expr | float) -> Expr:
        return Binary(self, "+", other)

    def __sub__(self, other: Expr | float) -> Expr:
        return Binary(self, "-", other)

    def __mul__(self, other: Expr | float) -> Expr:
        return Binary(self, "*", other)

    def __truediv__(self, other: Expr | float) -> Expr:
        return Binary(self, "/", other)

    def __rsub__(self, other: float) -> Expr:
        return Binary(Number(other), "-", self)

    def above(self, other: Expr | float) -> Expr:
        """What is above `other`."""
        return Binary(self, ">", other)

    def at_least(self, other: Expr | float) -> Expr:
        """What is `other` or above."""
        return Binary(self, ">=", other)

    def below(self, other: Expr | float) -> Expr:
        """What is below `other`."""
        return Binary(self, "<", other)

    def equal(self, other: Expr | float) -> Expr:
        """What is equal to `other`."""
        return Binary(self, "==", other)

    def is_above(self, other: Expr | float) -> Expr:
        """1 where it is above `other`, else 0."""
        return Binary(self, "> bool", other)

    def is_at_least(self, other: Expr | float) -> Expr:
        """1 where it is `other` or above, else 0."""
        return Binary(self, ">= bool", other)

    def is_below(self, other: Expr | float) -> Expr:
        """1 where it is below `other`, else 0."""
        return Binary(self, "< bool", other)

    def is_at_most(self, other: Expr | float) -> Expr:
        """1 where it is `other` or below, else 0."""
        return Binary(self, "<= bool", other)

    def is_equal(self, other: Expr | float) -> Expr:
        """1 where it is equal to `other`, else 0."""
        return Binary(self, "== bool", other)

    def where(self, other: Expr, *on: str) -> Expr:
        """Only where `other` has a series with the same values of the labels `on`."""
        return Binary(self, f"and on ({', '.join(on)})", other)

    def unless(self, other: Expr, *on: str) -> Expr:
        """Only where `other` has none."""
        return Binary(self, f"unless on ({', '.join(on)})", other)

    def otherwise(self, other: Expr) -> Expr:
        """`other` where this has no series of the same labels."""
        return Binary(self, "or", other)

    def over(self, function: str, window: str) -> Expr:
        """A function over the samples of a selector's last `window`."""
        raise TypeError("only a selector has samples of a time")


@dataclass(frozen=True, slots=True)
class Metric(Expr):
    """The series of a name, with matchers by label: a value, or a regular expression after `~` or `!~`."""

    name: str
    labels: Mapping[str, str] = field(default_factory=lambda: _NONE)

    def text(self, narrowed: bool = False) -> str:
        """The selector."""
        matchers = [*(_matcher(label, value) for label, value in self.labels.items())]
        matchers += [NARROWED] * narrowed
        return f"{self.name}{{{','.join(matchers)}}}" if matchers else self.name

    def over(self, function: str, window: str) -> Expr:
        """A function over the samples of the last `window`."""
        return _Over(function, self, window)


def _matcher(label: str, value: str) -> str:
    for sign in ("!~", "~"):
        if value.startswith(sign):
            return f"{label}{'=' if sign == '~' else ''}{sign}{json.dumps(value.removeprefix(sign))}"
    return f"{label}={json.dumps(value)}"


@dataclass(frozen=True, slots=True)
class _Over(Expr):
    function: str
    of: Metric
    window: str

    def text(self, narrowed: bool = False) -> str:
        return f"{self.function}({self.of.text(narrowed)}[{self.window}])"


@dataclass(frozen=True, slots=True)
class Number(Expr):
    """A number on the left of a sign."""

    value: float

    def text(self, narrowed: bool = False) -> str:
        """The number, exactly enough."""
        return f"{self.value:.12g}"


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """Two expressions and what stands between them."""

    left: Expr
    sign: str
    right: Expr | float

    def text(self, narrowed: bool = False) -> str:
        """Both sides in brackets where they are binary themselves: nobody needs to know precedences."""
        right = self.right.nested(narrowed) if isinstance(self.right, Expr) else f"{self.right:.12g}"
        return f"{self.left.nested(narrowed)} {self.sign} {right}"

    def nested(self, narrowed: bool) -> str:
        """In brackets."""
        return f"({self.text(narrowed)})"

    def laid_out(self) -> str:
        """Broken at the outermost sign if that is one of sets."""
        if isinstance(self.right, Expr) and self.sign.split()[0] in ("and", "or", "unless"):
            return f"{self.left.nested(False)}\n{self.sign}\n{self.right.nested(False)}"
        return self.text()


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function of expressions; other arguments are written as they are."""

    function: str
    arguments: tuple[Expr | str, ...] = ()

    def text(self, narrowed: bool = False) -> str:
        """The call."""
        written = (each.text(narrowed) if isinstance(each, Expr) else each for each in self.arguments)
        return f"{self.function}({', '.join(written)})"


@dataclass(frozen=True, slots=True)
class Aggregation(Expr):
    """An aggregation that keeps the labels `by`; `parameter` is that of topk and bottomk."""

    operator: str
    by: tuple[str, ...]
    of: Expr
    parameter: int | None = None

    def text(self, narrowed: bool = False) -> str:
        """The aggregation."""
        arguments = "" if self.parameter is None else f"{self.parameter}, "
        return f"{self.operator} by ({', '.join(self.by)}) ({arguments}{self.of.text(narrowed)})"


TIME = Call("time")


def highest(of: Expr, *by: str) -> Expr:
    """The highest by the labels: also what several read services tell alike, told once."""
    return Aggregation("max", by, of)


def total(of: Expr, *by: str) -> Expr:
    """The sum by the labels."""
    return Aggregation("sum", by, of)


def constant(value: float) -> Expr:
    """One series without labels."""
    return Call("vector", (f"{value:.12g}",))

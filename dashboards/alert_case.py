"""What an alert's test is: series while all is well and while it is not, and the page that follows.

It stands between the declarations of alerts and the file of promtool's tests. The clock of a test begins at
1970: ten minutes are well, forty are not, then all is well again. From one case follow that the alert fires
with exactly its labels and text, that it waits first, that it resolves, that shops with each of the named
variants are quiet, and, for business rules, that nothing is said while figures can't be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice

from dashboards.promql import Metric

WELL_MIN, BAD_MIN, AGAIN_MIN = 10, 40, 50
ENV, SHOP = "test", "main"

# A number; None where there is no sample; "a+b": a at first and b more each minute; several: in turn.
Value = float | str | tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Series:
    """A series of samples, one a minute: while all is well, while it is not, and afterwards."""

    name: str
    labels: Mapping[str, str]
    well: Value
    bad: Value
    again: Value

    def selector(self, shop: str) -> str:
        """The series of a shop as promtool reads it."""
        return Metric(self.name, {"env": ENV, "shop": shop, **self.labels}).text()

    def samples(self) -> str:
        """All its samples in promtool's notation."""
        phases = ((self.well, WELL_MIN), (self.bad, BAD_MIN), (self.again, AGAIN_MIN))
        return " ".join(_notation(value, minutes) for value, minutes in phases)

    def changed(self, bad: Value) -> Series:
        """The same with other samples while it is not well."""
        return Series(self.name, self.labels, self.well, bad, self.again)


def _notation(value: Value, minutes: int) -> str:
    if value is None:
        return f"_x{minutes}"
    if isinstance(value, tuple):
        return " ".join(f"{each:g}" for each in islice(cycle(value), minutes))
    return f"{value}x{minutes - 1}" if isinstance(value, str) else f"{value:g}+0x{minutes - 1}"


def series(name: str, well: Value, bad: Value, **labels: str) -> Series:
    """A gauge (its name without the prefix) that is well again as before."""
    return Series(f"shop_pulse_{name}", labels, well, bad, well)


def moving(name: str, bad: Value, **labels: str) -> Series:
    """A gauge of a time (seconds since 1970) that moves on with the clock while all is well."""
    return Series(f"shop_pulse_{name}", labels, "0+60", bad, f"{60 * (WELL_MIN + BAD_MIN)}+60")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One alert's case.

    Attributes:
        alert: its name.
        series: what it looks at, besides a pipeline that is well; none: it fires all the time.
        labels: the alert's labels but for env, shop and those that the rule adds.
        summary, description: the page, word for word.
        quiet: by name, series that replace those of the same selector: with them it does not fire.
        of_a_shop: whether it has env and shop.
    """

    alert: str
    series: tuple[Series, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: str
    description: str
    quiet: Mapping[str, tuple[Series, ...]] = field(default_factory=dict)
    of_a_shop: bool = True

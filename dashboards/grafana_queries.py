"""What the dashboards ask Prometheus: gauges of the chosen shop, told once, and amounts in whole units.

It stands at the far end of an event's way. No panel writes a selector by hand: every one names `env` and
`shop`, which the scrape configuration adds, and takes the highest of what several read services tell alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.promql import TIME, Aggregation, Expr, Metric, highest, total
from dashboards.recorded import DIGITS, HUNDREDTHS, Recorded, gauge
from streams.kpi import Kpi
from streams.kpis import KPIS

_KPI_OF_PATH = {kpi.path: kpi for kpi in KPIS if kpi.has_gauge}


@dataclass(frozen=True, slots=True)
class _Amounts(Expr):
    """The selector of amounts in the chosen currency, if `kind` matches it."""

    of: Metric
    kind: str

    def text(self, narrowed: bool = False) -> str:
        return f'{self.of.text(narrowed)[:-1]},currency="$currency",currency{self.kind}}}'


def kpi(path: str) -> Kpi:
    """The KPI of the catalogue by its path. Raises KeyError, also for one that no gauge tells."""
    return _KPI_OF_PATH[path]


def asked(name: str, **labels: str) -> Metric:
    """The series of a gauge (its name without the prefix) in the chosen shop."""
    return gauge(name, env="$env", shop="$shop", **labels)


def ruled(rule: Recorded, **labels: str) -> Metric:
    """The series of a recording rule in the chosen shop."""
    return Metric(rule.name, {"env": "$env", "shop": "$shop", **labels})


def each(name: str, *by: str, **labels: str) -> Expr:
    """A gauge's series, told once, by the labels `by`."""
    return highest(asked(name, **labels), *by)


def summed(name: str, by: tuple[str, ...], over: tuple[str, ...], **labels: str) -> Expr:
    """The sum by the labels `by` of a gauge whose series differ in `over`, each told once."""
    return total(each(name, *by, *over, **labels), *by)


def lowest(of: Expr, *by: str) -> Expr:
    """The lowest by the labels."""
    return Aggregation("min", by, of)


def age(timestamp: Expr) -> Expr:
    """How long ago a timestamp is, in seconds."""
    return TIME - timestamp


def money(name: str, *by: str, **labels: str) -> Expr:
    """Amounts of the chosen currency in its units, by the labels `by`, from a gauge in minor units."""
    odd = {digits: "|".join(names) for digits, names in DIGITS.items()}
    kinds = {digits: f'=~"{names}"' for digits, names in odd.items()}
    kinds[HUNDREDTHS] = f'!~"{"|".join(odd.values())}"'
    series = asked(name, **labels)
    amounts: Expr = highest(_Amounts(series, kinds.pop(0)), *by)
    for digits, kind in sorted(kinds.items()):
        amounts = amounts.otherwise(highest(_Amounts(series, kind), *by) / 10**digits)
    return amounts


def figure(path: str, *by: str, **labels: str) -> Expr:
    """A KPI by the labels `by`; amounts in units of the chosen currency."""
    read = kpi(path)
    if read.per_currency and read.unit == "minor":
        return money(read.gauge, *by, **labels)
    chosen = {"currency": "$currency"} if read.per_currency else {}
    return each(read.gauge, *by, **labels, **chosen)

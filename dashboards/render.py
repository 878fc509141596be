"""`shop-pulse render`: writes every generated file anew from the declarations it is derived from.

A test compares each with what this would write, so none can be stale or edited by hand.
"""

from __future__ import annotations

from pathlib import Path

import click

from dashboards import grafana_files, prometheus_rules, promtool_tests, provisioned_alerts
from dashboards.alerts import ALERTS
from dashboards.pitfalls import PITFALLS
from schemas import documents
from streams import settings
from streams.errors import PulseError
from streams.kpi import Formula, Kpi, Mean, Measure, Product, Quantile, Ratio, Sum, Whole
from streams.kpis import KPIS, QUALITY
from streams.scopes import EVENT_SCOPES, EVERYWHERE


def files() -> dict[str, str]:
    """Every generated file: path below the repository's root, and content."""
    return {
        **documents.files(),
        "docs/settings.md": settings.reference(),
        "dashboards/KPIS.md": kpi_reference(),
        **prometheus_rules.files(),
        **promtool_tests.files(),
        **provisioned_alerts.files(),
        **grafana_files.files(),
    }


_NO_GAUGE = "It takes days, and windows of gauges a day at most: of answers only, without a gauge."


def kpi_reference() -> str:
    """The page of all figures: what each is made of, what misleads in it, and what watches it."""
    lines = [
        "# Figures",
        "",
        "Written by `shop-pulse render` from `streams/kpis.py`, `dashboards/pitfalls.py` and",
        "`dashboards/alerts*.py`; do not edit. `*` stands for a currency; a ratio over nothing is `null`.",
        "What the measures mean: [docs/contract.md](../docs/contract.md). Every scope: all but those that",
        f"only some events carry (`{' '.join(kind.name for kind in EVENT_SCOPES)}`).",
        "",
        "| figure | formula | denominator | unit | kept for | meaning | pitfalls | alerts | source |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(kpi) for kpi in (*KPIS, *QUALITY)]
    return "\n".join(lines) + "\n"


def _row(kpi: Kpi) -> str:
    of_their_own = sorted(kpi.kinds - EVERYWHERE)
    every = kpi.kinds.issuperset(EVERYWHERE)
    kinds = " and ".join(["every scope", *of_their_own]) if every else " ".join(sorted(kpi.kinds))
    denominator = f"`{formula_text(kpi.formula.whole)}`" if isinstance(kpi.formula, Ratio) else ""
    alerts = ", ".join(
        f"[{alert.name.removeprefix('ShopPulse')}](../docs/runbook.md#{alert.anchor})"
        for alert in ALERTS
        if kpi.path in alert.watches
    )
    cells = (
        f"`{kpi.path}`",
        f"`{formula_text(kpi.formula)}`",
        denominator,
        kpi.unit,
        kinds,
        kpi.help,
        " ".join(filter(None, (PITFALLS.get(kpi.path, ""), "" if kpi.has_gauge else _NO_GAUGE))),
        alerts,
        kpi.source,
    )
    return f"| {' | '.join(cells)} |"


def formula_text(formula: Formula) -> str:
    """A formula as people write it, over the names of measures."""
    match formula:
        case Measure(name=name):
            return name
        case Sum(plus, minus):
            added = " + ".join(measure.name for measure in plus)
            return added + "".join(f" - {measure.name}" for measure in minus)
        case Ratio(part, whole, scale, least=least):
            scaled = "" if scale == 1 else f"{scale} × "
            enough = "" if least is None else f", from {least[1]} {least[0].name} on"
            return f"{scaled}{_in_brackets(part)} / {_in_brackets(whole)}{enough}"
        case Product(factors):
            return " × ".join(f"({formula_text(factor)})" for factor in factors)
        case Whole(measure, divisor):
            return f"{measure.name} / {divisor}, rounded down"
        case Mean(counts):
            group = counts[0][1].name.partition(".")[0]
            return f"mean over {group}"
        case Quantile(buckets, q):
            group = buckets[0][1].name.partition(".")[0]
            return f"quantile {q:g} of {group}, interpolated within buckets"


def _in_brackets(formula: Measure | Sum) -> str:
    text = formula_text(formula)
    return f"({text})" if " " in text else text


@click.command()
def command() -> None:
    """Write every generated file anew (in a checkout of the repository)."""
    root = Path(__file__).parents[1]
    if not (root / "pyproject.toml").is_file():
        raise PulseError("generated files belong to a checkout of the repository; run this in one")
    for name, content in files().items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            click.echo(f"wrote {name}")

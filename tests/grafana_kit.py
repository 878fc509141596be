"""A shop's series as promtool reads them, and panels' expressions as it can judge them.

Each gauge of `/metrics` stands with every label that it has; a KPI only for kinds of scope that keep it. So
an expression that asks for a wrong name or label finds nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from dashboards.prometheus_rules import RECORDING_FILE
from dashboards.recorded import RECORDED
from streams.cohorts import ATTEMPT, STEPS, State
from streams.exporter import PREFIX, families
from streams.figures.refund_rate import AGES, RATE_BY_AGE, age_of
from streams.kpi import is_kept
from streams.kpis import FIGURE_SETS, KPIS
from streams.redirect_gauges import INTERVAL, TOLD
from streams.requests import Meta
from streams.survey import Survey, WindowSurvey
from streams.trust import State as Trusted
from streams.trust import Trust
from streams.watch import Findings
from streams.watch_figures import figures

ROOT = Path(__file__).parents[1]
# What a reader has chosen on a dashboard.
CHOSEN = {
    "env": "dev",
    "shop": "main",
    "currency": "USD",
    "step": "purchase_per_view",
    "window": "30m",
    "live": "L1",
    "gateway_scope": "tiktok,gateway:adyen",
}
SCOPES = {
    "all": "",
    "platform": "tiktok",
    "surface": "search",
    "live": "L1",
    "gateway": "adyen",
    "platform,gateway": "tiktok,gateway:adyen",
    "app": "resso",
    "brand": "b1",
    "merchant": "m1",
}
# Gauges that are added to the exporter by others, beside those of the watch: name and labels.
CREATORS = ("with_a_sale", "with_a_live", "who_stopped_selling", "who_stopped_going_live")
ADDED: dict[str, tuple[str, ...]] = {
    "live_heartbeat_timestamp_seconds": ("live",),
    "pinned_stock_units": ("live", "product"),
    "oversold_units": ("product",),
    "payment_failures": ("window", "outcome", "reason"),
    "refunds_by_reason": ("window", "refund_kind", "reason"),
    **{f"redirection_{name}": ("rule",) for name in (*TOLD, *INTERVAL)},
    **{f"creators_{name}": ("platform", "days") for name in CREATORS},
    "creator_earnings_median_minor": ("platform", "days", "currency"),
    RATE_BY_AGE: ("scope_kind", "scope", "age", "currency"),
    "products_running_short": ("state", "window"),
    "sold_out_tag_taps": ("window",),
    "canary_timestamp_seconds": ("topic", "partition"),
    "change_timestamp_seconds": ("kind", "title"),
    "flagged_until_timestamp_seconds": ("kind", "title"),
    "stream_clients": (),
    "stream_questions": (),
    "stream_messages_total": (),
    "stream_dropped_total": (),
    "stream_refused_total": (),
}
_VALUES: dict[str, Sequence[str]] = {
    "age": tuple(age_of(*each) for each in AGES),
    "currency": ("USD", "JPY", "KWD"),
    "days": ("7d",),
    "gateway": ("adyen",),
    "kind": ("deploy",),
    "live": ("L1",),
    "outcome": ("declined", "errors"),
    "partition": ("0", "1"),
    "platform": ("tiktok", "all"),
    "product": ("p1",),
    "rank": ("1",),
    "step": (*(step.name for step in STEPS), ATTEMPT.name),
    "topic": ("views", "purchases"),
    "verdict": ("accepted", "dead_letter", "late"),
    "window": ("5m", "15m", "30m", "24h"),
}
_STATES: dict[str, Iterable[str]] = {
    "cohort_state": State,
    "state": Trusted,
    "products_running_short": ("out", "low", "oversold"),
}
MINUTES = 10
_AMOUNT = 1_000
_NOT_NAMES = re.compile(r'"[^"]*"')
_ONE_OF = re.compile(r'__name__=~"([^"]*)"')
_NAMES = re.compile(r"\b(?:shop_pulse_\w+|\w+:shop_pulse\w*:\w+|shop_pulse:\w+|ALERTS)\b")


def gauges() -> dict[str, tuple[str, ...]]:
    """Every gauge of `/metrics` by its whole name, with its labels."""
    trust = Trust(0, 1.0, Trusted.OPEN, frozenset())
    survey = Survey((Meta({"owner": "w1"}),), (WindowSurvey("5m", (), trust, (), {}),), {}, {})
    told = {
        # The client library keeps no public list of a family's labels.
        family.name: tuple(family._labelnames)  # type: ignore[attr-defined]
        for family in families(survey, FIGURE_SETS["all"])
    }
    watched = {each.name: each.labels for each in figures(Findings(None, 0, ()))}
    return told | {f"{PREFIX}{name}": labels for name, labels in (ADDED | watched).items()}


def names_in(expr: str) -> set[str]:
    """Names of series that an expression reads."""
    several = {name for names in _ONE_OF.findall(expr) for name in names.split("|")}
    return several | set(_NAMES.findall(_NOT_NAMES.sub('""', expr)))


def known_names() -> set[str]:
    """Names that an expression may read."""
    return {*gauges(), *(rule.name for rule in RECORDED), "ALERTS"}


def chosen(expr: str, choice: Mapping[str, str] = CHOSEN) -> str:
    """An expression as Grafana asks it once every variable is chosen."""
    for name, value in choice.items():
        expr = expr.replace(f"${name}", value)
    return expr


def series() -> list[dict[str, str]]:
    """Every gauge, told for MINUTES and longer."""
    kinds = {PREFIX + kpi.gauge: kpi for kpi in KPIS}
    found = []
    for name, labels in gauges().items():
        kpi = kinds.get(name)
        value = MINUTES * 60 - 10 if name.endswith("timestamp_seconds") else _AMOUNT
        for values in _labelled(name, labels):
            if kpi is None or (
                values["scope_kind"] in kpi.kinds and is_kept(kpi.formula, values["scope_kind"])
            ):
                text = ",".join(f'{label}="{each}"' for label, each in values.items())
                amount = 1 if name.endswith("state") else value
                found.append({"series": f"{name}{{{text}}}", "values": f"{amount}x{2 * MINUTES}"})
    return found


def _labelled(name: str, labels: tuple[str, ...]) -> Iterable[dict[str, str]]:
    """The combinations of labels' values that a gauge has; a scope only with its own kind."""
    given = {"env": CHOSEN["env"], "shop": CHOSEN["shop"], "instance": "read:8080"}
    free = [label for label in labels if label != "scope"]
    choices: list[Iterable[str]] = []
    for label in free:
        if label == "state":
            choices.append(_STATES[name.removeprefix(PREFIX)])
        else:
            choices.append(SCOPES if label == "scope_kind" else _VALUES.get(label, ("x",)))
    for values in product(*choices):
        told = given | dict(zip(free, map(str, values), strict=True))
        yield told | ({"scope": SCOPES[told["scope_kind"]]} if "scope" in labels else {})


def marks(boards: Iterable[Mapping[str, Any]]) -> list[str]:
    """Expressions of the events that the boards mark, each once, in order."""
    return list(dict.fromkeys(each["expr"] for board in boards for each in board["annotations"]["list"]))


def judge(
    expectations: Mapping[str, float], folder: Path, told: list[dict[str, str]] | None = None
) -> subprocess.CompletedProcess[str]:
    """Whether each expression is the number given for it, with the committed recording rules at work.

    `told`: series to judge by, without these rules; otherwise those of `series`.
    """
    cases: list[dict[str, Any]] = [
        {"expr": expr, "eval_time": f"{MINUTES}m", "exp_samples": [{"labels": "{}", "value": value}]}
        for expr, value in expectations.items()
    ]
    test = {
        "rule_files": [] if told else [str(ROOT / RECORDING_FILE)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": told or series(), "promql_expr_test": cases}],
    }
    return _promtool("test", test, folder)


def check(exprs: Iterable[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Whether Prometheus understands each expression."""
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(exprs)]
    return _promtool("check", {"groups": [{"name": "panels", "rules": rules}]}, folder)


def _promtool(command: str, content: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / f"{command}.yml"
    path.write_text(json.dumps(content))  # JSON is YAML
    return subprocess.run(
        ["promtool", command, "rules", str(path)], capture_output=True, text=True, check=False, timeout=60
    )

"""The same alerts as rules that Grafana manages, and what makes Grafana drop them where it is not to alert.

It stands behind the declarations, beside `prometheus_rules`. A rule is three steps: A asks Prometheus, B
takes its last value, C is true above 0. Further queries are the facts of the text: Grafana can't ask while it
writes one, but hands over what queries with the same labels, fewer or more have found. A rule whose condition
finds nothing is well, so no data is no alarm in any of them: absence is what ShopPulseMetricsAbsent itself
asks about. If any query finds nothing Grafana takes the whole rule for one without data, so every fact finds
something always. If Prometheus does not answer, each rule becomes an error, which Grafana tells by itself.
"""

from __future__ import annotations

from dashboards.alert import About, Alert, Fact, grafana_annotations
from dashboards.alerts import ALERTS
from dashboards.grafana_files import panel_ids
from dashboards.prometheus_rules import HEADING
from dashboards.promql import Aggregation, Call, Expr, constant
from dashboards.yaml_text import Data, dump

FOLDER = "Shop Pulse"
# From the environment of Grafana, as in dashboards/grafana/provisioning/datasources.
DATASOURCE_UID = "${PROMETHEUS_UID}"
_EXPRESSION_UID = "__expr__"
# A series of labels that no alert has: it makes a query find something, and no text shows it.
_NOTHING = Call("label_replace", (constant(0), '"absent"', '"yes"', '""', '""'))
_INTERVAL = "1m"
_ORG = 1


def alerts_file(mode: str) -> str:
    """Where Grafana's alerting provisioning of a mode lies."""
    return f"dashboards/alerts/{mode}/grafana/alerts.yaml"


def files() -> dict[str, str]:
    """Path below the repository's root, and content."""
    heading = HEADING.format("dashboards/alerts*.py")
    dropped = dump(without_rules(), f"{heading}\nGrafana alerts on nothing in this mode: it drops our rules.")
    return {
        alerts_file("grafana"): dump(with_rules(), heading),
        alerts_file("prometheus"): dropped,
        alerts_file("none"): dropped,
    }


def with_rules() -> Data:
    """The provisioning file with every rule."""
    groups: list[Data] = [
        {
            "orgId": _ORG,
            "name": f"shop_pulse_{about.value}",
            "folder": FOLDER,
            "interval": _INTERVAL,
            "rules": [_rule(alert) for alert in ALERTS if alert.about is about],
        }
        for about in About
    ]
    return {"apiVersion": 1, "groups": groups}


def without_rules() -> Data:
    """The provisioning file that takes them away: leaving them out would leave them there."""
    return {"apiVersion": 1, "deleteRules": [{"orgId": _ORG, "uid": _uid(alert)} for alert in ALERTS]}


def _uid(alert: Alert) -> str:
    return alert.anchor


def _rule(alert: Alert) -> Data:
    fact_ids = [f"F{place}" for place in range(len(alert.facts))]
    rule: dict[str, Data] = {
        "uid": _uid(alert),
        "title": alert.name,
        "condition": "C",
        "data": [
            _query("A", alert.rule),
            _step("B", {"type": "reduce", "expression": "A", "reducer": "last"}),
            _step(
                "C",
                {
                    "type": "threshold",
                    "expression": "B",
                    "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
                },
            ),
            *(_query(name, _one(alert, fact)) for name, fact in zip(fact_ids, alert.facts, strict=True)),
        ],
        "dashboardUid": alert.dashboard,
        "panelId": panel_ids(alert.dashboard)[alert.panel],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": alert.hold,
    }
    if alert.keep:
        rule["keepFiringFor"] = alert.keep
    return {**rule, "labels": alert.rule_labels(), "annotations": grafana_annotations(alert, fact_ids)}


def _one(alert: Alert, fact: Fact) -> Expr:
    """One series at most for each alert, and never none at all."""
    one = Aggregation("topk", alert.labels, fact.expr, 1) if fact.many else fact.expr
    return one.otherwise(_NOTHING)


def _query(name: str, expr: Expr) -> Data:
    return {
        "refId": name,
        # An instant query asks at the end of its range; five minutes are how far Prometheus looks back.
        "relativeTimeRange": {"from": 300, "to": 0},
        "datasourceUid": DATASOURCE_UID,
        "model": {
            "refId": name,
            "expr": expr.laid_out(),
            "instant": True,
            "range": False,
            "editorMode": "code",
            "intervalMs": 1_000,
            "maxDataPoints": 43_200,
        },
    }


def _step(name: str, model: dict[str, Data]) -> Data:
    return {
        "refId": name,
        "datasourceUid": _EXPRESSION_UID,
        "model": {
            "refId": name,
            "datasource": {"type": _EXPRESSION_UID, "uid": _EXPRESSION_UID},
            **model,
        },
    }

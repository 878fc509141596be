"""The files that Prometheus loads: what it works out always, and what it alerts on where it is to.

They stand behind the declarations (`recorded`, `alerts`). Only one set of alert rules is active: the folder
of the mode that `SHOP_PULSE_ALERTS` names is what Prometheus and Grafana load, and in the other modes
Prometheus' file has no rules.
"""

from __future__ import annotations

from dashboards.alert import About, Alert, prometheus_annotations
from dashboards.alerts import ALERTS
from dashboards.recorded import RECORDED
from dashboards.yaml_text import Data, dump

RECORDING_FILE = "dashboards/prometheus/recording.yml"
_RECORDED = "shop_pulse_recorded"
_ALERTING = {about: f"shop_pulse_{about.value}" for about in About}
# Names of the groups of rules, in the order in which they read each other.
GROUPS = (_RECORDED, *_ALERTING.values())
HEADING = "Written by `shop-pulse render` from {}; do not edit."


def alerts_file(mode: str) -> str:
    """Where Prometheus' alert rules of a mode lie."""
    return f"dashboards/alerts/{mode}/prometheus/alerts.yml"


def files() -> dict[str, str]:
    """Path below the repository's root, and content."""
    recording: Data = {
        "groups": [
            {
                "name": _RECORDED,
                "rules": [{"record": each.name, "expr": each.expr.laid_out()} for each in RECORDED],
            }
        ]
    }
    groups: list[Data] = [
        {
            "name": name,
            "rules": [_rule(alert) for alert in ALERTS if alert.about is about],
        }
        for about, name in _ALERTING.items()
    ]
    heading = HEADING.format("dashboards/alerts*.py")
    return {
        RECORDING_FILE: dump(recording, HEADING.format("dashboards/recorded.py")),
        alerts_file("prometheus"): dump({"groups": groups}, heading),
        **{
            alerts_file(mode): dump({"groups": []}, f"{heading}\nPrometheus alerts on nothing in this mode.")
            for mode in ("grafana", "none")
        },
    }


def _rule(alert: Alert) -> dict[str, Data]:
    rule: dict[str, Data] = {"alert": alert.name, "expr": alert.rule.laid_out(), "for": alert.hold}
    if alert.keep:
        rule["keep_firing_for"] = alert.keep
    return {**rule, "labels": alert.rule_labels(), "annotations": prometheus_annotations(alert)}

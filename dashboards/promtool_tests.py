"""promtool's tests: every alert fires with its text, waits, resolves, and is quiet where it has to be.

It stands behind the declarations and their cases; `promtool test rules` runs it against the very files that
Prometheus loads.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from dashboards.alert import About, Alert
from dashboards.alert_case import BAD_MIN, ENV, SHOP, WELL_MIN, Case, Series, moving, series
from dashboards.alert_cases import BUSINESS_CASES
from dashboards.alert_cases_pipeline import PIPELINE_CASES
from dashboards.alerts import ALERTS
from dashboards.prometheus_rules import GROUPS, HEADING, RECORDING_FILE, alerts_file
from dashboards.recorded import SHOP as OF_SHOP
from dashboards.yaml_text import Data, dump

TESTS_FILE = "dashboards/prometheus/tests.yml"
CASES = (*BUSINESS_CASES, *PIPELINE_CASES)
_LINKS = {
    "grafana_url": "https://grafana.example",
    "pulse_url": "https://pulse.example",
    "runbook_url": "https://docs.example/runbook",
}
# All holds are over, and what was well before has not come back yet.
_FIRING_MIN = WELL_MIN + BAD_MIN - 5
_RESOLVED_MIN = WELL_MIN + BAD_MIN + 20


def files() -> dict[str, str]:
    """The file and its content."""
    alerts = {alert.name: alert for alert in ALERTS}
    tests: list[Data] = [_test(alerts[case.alert], case) for case in CASES]
    rules = RECORDING_FILE, alerts_file("prometheus")
    document: Data = {
        "rule_files": [f"../{path.removeprefix('dashboards/')}" for path in rules],
        "evaluation_interval": "1m",
        # Without an order, an alert would sometimes read what was recorded a minute before.
        "group_eval_order": list(GROUPS),
        "tests": tests,
    }
    return {TESTS_FILE: dump(document, HEADING.format("dashboards/alert_cases*.py"))}


def _pipeline() -> tuple[Series, ...]:
    """A pipeline that is well."""
    silent = (series("source_silent", 0, 0, topic=topic) for topic in ("views", "purchases"))
    return (series("redis_up", 1, 1), moving("as_of_timestamp_seconds", "600+60", window="5m"), *silent)


# What makes figures untrusted: no business rule may speak.
_UNTRUSTED = {
    "figures are old": moving("as_of_timestamp_seconds", 300, window="5m"),
    "nobody knows how old figures are": series("as_of_timestamp_seconds", None, None, window="5m"),
    "a source is silent": series("source_silent", 0, 1, topic="purchases"),
    "Redis is down": series("redis_up", 1, 0),
}


def _test(alert: Alert, case: Case) -> Data:
    """One group of promtool: the case in one shop, and what must be quiet each in a shop of that name."""
    shops = {SHOP: case.series}
    shops |= {reason: (*case.series, *changed) for reason, changed in case.quiet.items()}
    if alert.about is About.BUSINESS:
        shops |= {reason: (*case.series, broken) for reason, broken in _UNTRUSTED.items()}
    told = {
        each.selector(shop): each.samples()
        for shop, changed in shops.items()
        for each in _last_counts((*_pipeline(), *changed))
    }
    fires: Data = {"exp_labels": _labels(alert, case), "exp_annotations": _annotations(alert, case)}
    always = not case.series
    moments = {WELL_MIN - 1: always, _FIRING_MIN: True, _RESOLVED_MIN: always}
    if not always and alert.hold != "1m":
        moments[WELL_MIN + 1] = False
    return {
        "name": f"{alert.name} fires, waits, resolves, and is quiet where it has to be",
        "interval": "1m",
        "external_labels": _LINKS,
        "input_series": [{"series": selector, "values": samples} for selector, samples in told.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert.name, "exp_alerts": [fires] if firing else []}
            for minute, firing in sorted(moments.items())
        ],
    }


def _last_counts(told: Iterable[Series]) -> Iterable[Series]:
    """Of series with one selector the last: a variant replaces what it changes."""
    return {each.selector(SHOP): each for each in told}.values()


def _labels(alert: Alert, case: Case) -> dict[str, str]:
    shop = {"env": ENV, "shop": SHOP} if case.of_a_shop else {}
    told = {label: value for label, value in case.labels.items() if value}
    return {**alert.rule_labels(), **shop, **told}


def _annotations(alert: Alert, case: Case) -> dict[str, str]:
    told = {"env": ENV, "shop": SHOP} if case.of_a_shop else {}
    chosen = "&".join(f"var-{label}={told.get(label, '')}" for label in alert.labels if label in OF_SHOP)
    shop = f"?{chosen}" if chosen else ""
    annotations = {
        "summary": case.summary,
        "description": case.description,
        "runbook_url": f"{_LINKS['runbook_url']}#{alert.name.lower()}",
        "dashboard_url": f"{_LINKS['grafana_url']}/d/{alert.dashboard}{shop}",
    }
    if alert.live:
        annotations["live_url"] = f"{_LINKS['pulse_url']}/live/{quote(case.labels[alert.live], safe='')}"
    return annotations

"""Alerts: declared once, whole in the files of Prometheus and of Grafana; every reference leads somewhere."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from ruamel.yaml import YAML

from dashboards import prometheus_rules, provisioned_alerts
from dashboards.alert import About, Alert, Severity
from dashboards.alerts import ALERTS
from dashboards.grafana_files import BOARDS, panel_ids
from dashboards.pitfalls import PITFALLS
from dashboards.promtool_tests import CASES
from dashboards.recorded import RECORDED, SHOP
from dashboards.yaml_text import Data, dump
from streams.__main__ import COMMANDS, cli
from streams.kpis import KPIS, QUALITY
from tests.grafana_kit import known_names, names_in

ROOT = Path(__file__).parents[1]
MODES = ("prometheus", "grafana", "none")
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^#|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
EACH = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def _read(path: str) -> Any:
    """A file as any reader of YAML sees it."""
    return YAML(typ="safe", pure=True).load((ROOT / path).read_text(encoding="utf-8"))


# --- declarations ---


def test_names_are_unique_and_ours() -> None:
    """An alert's name says whose it is; anchors and Grafana's ids follow from it."""
    assert len({alert.anchor for alert in ALERTS}) == len(ALERTS)
    assert all(alert.name.startswith("ShopPulse") and len(alert.anchor) <= 40 for alert in ALERTS)


@EACH
def test_business_rules_are_guarded(alert: Alert) -> None:
    """Business rules ask for trust, in the same shop; rules about the pipeline must speak without it."""
    guarded = "and on (env, shop) (min_over_time(shop_pulse:trusted[5m]) == 1)" in alert.rule.text()
    assert guarded is (alert.about is About.BUSINESS)


@EACH
def test_rules_read_what_is_told(alert: Alert) -> None:
    """Each series that a rule or a sentence reads is a gauge of `/metrics` or a recording rule."""
    texts = [alert.rule.text(), *(fact.expr.text(narrowed=True) for fact in alert.facts)]
    assert set().union(*map(names_in, texts)) <= known_names()


@EACH
def test_texts_use_labels_that_the_alert_has(alert: Alert) -> None:
    """No text of an alert shows an empty place where a label is missing."""
    shown = set(re.findall(r"\{(\w+)\}", alert.summary))
    assert shown - {"the_scope"} <= set(alert.labels) and "$" not in alert.summary
    assert "the_scope" not in shown or {"scope_kind", "scope"} <= set(alert.labels)
    assert all(set(fact.by) <= set(alert.labels) for fact in alert.facts)
    assert not alert.live or alert.live in alert.labels


def test_only_the_watchdog_tells_nobody() -> None:
    """Every other alert wakes somebody or waits for the morning, and belongs to a shop."""
    silent = [alert.name for alert in ALERTS if alert.severity is Severity.NONE]
    assert silent == ["ShopPulseWatchdog"]
    assert [alert.name for alert in ALERTS if not set(SHOP) <= set(alert.labels)] == silent


def test_recording_rules_are_read_in_order() -> None:
    """A recording rule reads only those before it: all are of one moment."""
    known: set[str] = set()
    for rule in RECORDED:
        assert {name for name in names_in(rule.expr.text()) if ":" in name} <= known
        known.add(rule.name)
    assert names_in(" ".join(rule.expr.text() for rule in RECORDED)) <= known_names()


def test_every_alert_has_a_case() -> None:
    """promtool tries each alert."""
    assert {case.alert for case in CASES} == {alert.name for alert in ALERTS}


def test_figures_named_are_figures() -> None:
    """What an alert watches and what has a pitfall is a figure of the catalogue."""
    paths = {kpi.path for kpi in (*KPIS, *QUALITY)}
    assert {path for alert in ALERTS for path in alert.watches} <= paths
    assert set(PITFALLS) <= paths


# --- the runbook ---


def test_the_runbook_knows_every_alert_and_no_other() -> None:
    """A link of a page leads to a heading, and each heading is of an alert."""
    assert sorted(SECTIONS) == sorted(alert.name for alert in ALERTS)


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_runbook_entry_is_whole(name: str) -> None:
    """What it means, the first five minutes, what not to do."""
    assert all(part in SECTIONS[name] for part in ("**Means.**", "**First five minutes", "**Don't.**"))


def _commands() -> set[str]:
    return {each.strip("` .,;:") for each in re.findall(r"shop-pulse [a-z][^`;\n]*", RUNBOOK)}


@pytest.mark.parametrize("line", sorted(_commands()))
def test_commands_of_the_runbook_exist(line: str) -> None:
    """Whoever types them at night finds command and options."""
    name, *arguments = line.split()[1:]
    assert name in COMMANDS
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    assert {each for each in arguments if each.startswith("--")} <= options


def test_panels_of_the_runbook_exist() -> None:
    """Whoever looks for a panel at night finds it."""
    named = set(re.findall(r'[Pp]anel "([^"]+)"', RUNBOOK))
    assert named and named <= {title for board in BOARDS for title in panel_ids(board.uid)}


# --- the files ---


class Model(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The step of a rule as Grafana stores it: a query of Prometheus, or an expression."""

    ref_id: str
    expr: str = ""
    instant: bool = False
    range: bool = False
    editor_mode: str = ""
    interval_ms: int = 0
    max_data_points: int = 0
    type: str = ""
    expression: str = ""
    reducer: str = ""
    datasource: dict[str, str] | None = None
    conditions: list[dict[str, dict[str, str | list[float]]]] | None = None


class Query(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """QueryV1 of Grafana's pkg/services/provisioning/alerting."""

    ref_id: str
    datasource_uid: str
    model: Model
    relative_time_range: dict[str, int] | None = None


class Rule(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """AlertRuleV1 of the same."""

    uid: str
    title: str
    condition: str
    data: list[Query]
    dashboard_uid: str
    panel_id: int
    no_data_state: str
    exec_err_state: str
    labels: dict[str, str]
    annotations: dict[str, str]
    hold: str = msgspec.field(name="for")
    keep_firing_for: str = ""


class Group(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """AlertRuleGroupV1 of the same."""

    org_id: int
    name: str
    folder: str
    interval: str
    rules: list[Rule]


class File(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """AlertingFileV1 of the same, as far as we use it."""

    api_version: int
    groups: list[Group] = []
    delete_rules: list[dict[str, int | str]] = []


def _grafana(mode: str) -> File:
    return msgspec.convert(_read(provisioned_alerts.alerts_file(mode)), File)


def _prometheus(mode: str) -> dict[str, dict[str, Any]]:
    groups = _read(prometheus_rules.alerts_file(mode))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


GRAFANA = {rule.title: rule for group in _grafana("grafana").groups for rule in group.rules}


@pytest.mark.parametrize("mode", MODES)
def test_one_set_of_rules_is_active(mode: str) -> None:
    """In each mode exactly one of Prometheus and Grafana has the rules, or none; Grafana drops ours else."""
    file = _grafana(mode)
    names = {alert.name for alert in ALERTS}
    assert set(_prometheus(mode)) == (names if mode == "prometheus" else set())
    assert {rule.title for group in file.groups for rule in group.rules} == (
        names if mode == "grafana" else set()
    )
    dropped = {each["uid"] for each in file.delete_rules}
    assert dropped == (set() if mode == "grafana" else {alert.anchor for alert in ALERTS})


@EACH
def test_grafana_asks_what_prometheus_asks(alert: Alert) -> None:
    """Both sets have the same expression, hold and labels, and say the same beside the facts."""
    ours, theirs = _prometheus("prometheus")[alert.name], GRAFANA[alert.name]
    assert theirs.data[0].model.expr == ours["expr"] == alert.rule.laid_out()
    assert (theirs.hold, theirs.keep_firing_for) == (ours["for"], ours.get("keep_firing_for", ""))
    assert theirs.labels == ours["labels"] == alert.rule_labels()
    assert theirs.annotations.keys() == ours["annotations"].keys()
    assert theirs.annotations["summary"] == ours["annotations"]["summary"]
    assert theirs.annotations["description"].startswith(alert.text)


@EACH
def test_a_rule_of_grafana_is_sound(alert: Alert) -> None:
    """Its steps refer to each other, its ids fit, its panel exists; what is absent is no alarm."""
    rule = GRAFANA[alert.name]
    steps = {query.ref_id: query for query in rule.data}
    assert len(steps) == len(rule.data) == 3 + len(alert.facts)
    assert all(name == query.model.ref_id for name, query in steps.items())
    assert rule.condition == "C" and steps["C"].model.type == "threshold"
    assert steps["C"].model.expression == "B" and steps["B"].model.expression == "A"
    assert (rule.no_data_state, rule.exec_err_state) == ("OK", "Error")
    assert rule.panel_id == panel_ids(rule.dashboard_uid)[alert.panel]
    for name, query in steps.items():
        asks = name not in "BC"
        assert query.datasource_uid == ("${PROMETHEUS_UID}" if asks else "__expr__")
        assert query.model.instant is asks and bool(query.model.expr) is asks
        assert (query.relative_time_range == {"from": 300, "to": 0}) is asks
    asked = set(re.findall(r'index \$values "(\w+)"', rule.annotations["description"]))
    assert asked == set(steps) - set("ABC")


@EACH
def test_grafana_replaces_only_what_it_should(alert: Alert) -> None:
    """Of the environment a rule takes base addresses and the data source; all else with a dollar is Go's."""
    rule = GRAFANA[alert.name]
    assert "$" not in "".join((*rule.labels.values(), rule.title, rule.uid))
    text = "".join(rule.annotations.values())
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= {"RUNBOOK_URL", "PULSE_URL"}
    assert set(re.findall(r"\$(\w+)", text)) <= {"labels", "values"}


def test_gos_templates_parse(tmp_path: Path) -> None:
    """promtool, which knows the same language, takes the texts of Grafana's rules; `$values` is Grafana's."""
    rules = [
        {
            "alert": f"{rule.title}_{name}",
            "expr": "vector(1)",
            "annotations": {name: "{{ $values := 0 }}" + text},
        }
        for rule in GRAFANA.values()
        for name, text in rule.annotations.items()
    ]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "texts", "rules": rules}]}))  # JSON is YAML
    checked = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("environment", "runbook", "page"),
    [
        (
            {"RUNBOOK_URL": "https://docs.example/r", "PULSE_URL": "https://pulse.example"},
            "https://docs.example/r",
            "https://pulse.example",
        ),
        ({"RUNBOOK_URL": "", "PULSE_URL": ""}, "docs/runbook.md", ""),
        ({}, "docs/runbook.md", ""),
    ],
    ids=["replaced", "not set", "left as written"],
)
def test_links_of_grafana_are_links(
    environment: dict[str, str], runbook: str, page: str, tmp_path: Path
) -> None:
    """Whether Grafana puts an address, nothing at all, or leaves `${…}`: no page shows a dollar."""
    rule = GRAFANA["ShopPulsePinnedProductOut"]
    texts = {name: rule.annotations[name] for name in ("runbook_url", "live_url")}
    for name, value in environment.items():
        texts = {key: text.replace(f"${{{name}}}", value) for key, text in texts.items()}
    links = {"runbook_url": f"{runbook}#{rule.uid}", "live_url": f"{page}/live/L%201"}
    fires = {"alert": "A", "expr": "up", "annotations": texts}
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "texts", "rules": [fires]}]}))
    told = {"exp_labels": {"live": "L 1"}, "exp_annotations": links}
    test = {
        "input_series": [{"series": 'up{live="L 1"}', "values": "1"}],
        "alert_rule_test": [{"eval_time": "0m", "alertname": "A", "exp_alerts": [told]}],
    }
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    tested = subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


@EACH
def test_links_lead_somewhere(alert: Alert) -> None:
    """A page links to its place in the runbook, to its dashboard in this shop, and to its live's page."""
    for told in (_prometheus("prometheus")[alert.name]["annotations"], GRAFANA[alert.name].annotations):
        assert told["runbook_url"].endswith(f"#{alert.anchor}")
        assert f"/d/{alert.dashboard}" in told["dashboard_url"]
        assert ("live_url" in told) is bool(alert.live)


# --- the writer of YAML ---


@pytest.mark.parametrize(
    "value",
    [
        "plain", "two words", "1", "1.5", "true", "No", "null", "", " ", "a: b", "a:", "#a", "- a", "{a}",
        "[a]", "it's", 'a "b"', "it's \"both\"", "{{ $labels.x }}", "~", "*a", "&a", "!a", "%a", "@a", "`a`",
        "5m", "0x1", "1e3", "a\nb", "a\n  b\n\nc", "ä – ≥", "back\\slash", "2026-01-01", "a #b",
        "=", "0o7", "+1", "y",
    ],
)  # fmt: skip
def test_text_is_read_as_it_was_written(value: str) -> None:
    """No text becomes a number, a truth value or a structure, wherever it stands."""
    data: Data = {"key": value, "list": [value, {"in": value, "and": [value]}]}
    assert YAML(typ="safe", pure=True).load(dump(data, "a heading\nof two lines")) == data


def test_structures_are_read_as_they_were_written() -> None:
    """Numbers, truth, empty lists and mappings, lists of lists."""
    data: Data = {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": [],
        "e": {},
        "f": [1, [2, [3]], {}],
        "g": {"h": {"i": ["j"]}},
    }
    assert YAML(typ="safe", pure=True).load(dump(data)) == data

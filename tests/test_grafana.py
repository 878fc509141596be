"""The dashboards: valid for Grafana, every expression finds data, nothing refers to what is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from dashboards import grafana_files, render
from dashboards.alerts import ALERTS
from dashboards.grafana_build import ANNOTATION_EXTRAS
from dashboards.grafana_panels import NONE_NOW, NOT_YET, STALE
from dashboards.grafana_queries import money
from dashboards.recorded import DIGITS
from tests.grafana_kit import CHOSEN, ROOT, check, chosen, judge, known_names, marks, names_in
from tests.grafana_schema import UNTYPED, of_dashboard

FILES = grafana_files.files()
BOARDS = {
    board.uid: json.loads(FILES[f"{grafana_files.FOLDER}/{board.uid}.json"]) for board in grafana_files.BOARDS
}
VALIDATOR = jsonschema.Draft7Validator(of_dashboard())
PANELS = {
    f"{uid}: {panel['title']}": panel
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
}
# Of Grafana's list of units (packages/grafana-data, valueFormats/categories.ts) those that we use.
UNITS = {"none", "percentunit", "s", "locale", "cps", "bool_yes_no"}
# What stands where nothing comes, besides the usual words.
EMPTY = {
    STALE,
    NOT_YET,
    NONE_NOW,
    "no canary runs",
    "no read service answers",
    "not enough traffic in this window, or no data yet",
}
BUILT_IN_VARIABLES = {"__data", "__url_time_range"}


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every object within."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def _panel_exprs() -> list[str]:
    return [query["expr"] for panel in PANELS.values() for query in panel.get("targets", [])]


def _without_extras(board: dict[str, Any]) -> dict[str, Any]:
    """The board without what Grafana reads of an annotation, but the SDK has no field for."""
    copy: dict[str, Any] = json.loads(json.dumps(board))
    for annotation in copy["annotations"]["list"]:
        for name in ANNOTATION_EXTRAS:
            del annotation[name]
    return copy


def test_render_writes_the_files() -> None:
    """`shop-pulse render` writes them, and so tests/test_render.py finds one that is stale."""
    assert FILES.items() <= render.files().items()


def test_no_other_file_lies_there() -> None:
    """A dashboard that is not declared any more does not stay."""
    found = {str(path.relative_to(ROOT)) for path in (ROOT / grafana_files.FOLDER).rglob("*.*")}
    assert found == set(FILES)


@pytest.mark.parametrize("uid", list(BOARDS))
def test_a_dashboard_is_what_grafanas_sdk_knows(uid: str) -> None:
    """Every key and type is one of Grafana 11.6, panels' options and queries included."""
    errors = VALIDATOR.iter_errors(_without_extras(BOARDS[uid]))
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("panels", 1, "targets", 0, "expression"), "up"),
        (("panels", 1, "targets", 0, "expr"), 1),
        (("panels", 1, "type"), "graph"),
        (("panels", 1, "options", "graphMode"), "big"),
        (("panels", 1, "fieldConfig", "defaults", "thresholds", "mode"), "relative"),
        (("templating", "list", 0, "refresh"), "often"),
        (("times",), {}),
    ],
)
def test_the_schema_sees_what_grafana_would_ignore(place: tuple[str | int, ...], value: object) -> None:
    """A wrong key, type or word is found: the check above is not empty."""
    board: Any = _without_extras(BOARDS["shop-pulse-overview"])
    at = board
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    assert not VALIDATOR.is_valid(board)


@pytest.mark.parametrize("panel", PANELS.values(), ids=list(PANELS))
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """Title, meaning with a place that says more, unit, and words for when nothing comes: never a zero."""
    defaults = panel["fieldConfig"]["defaults"]
    meaning, _, more = panel["description"].partition("\n\nMore: ")
    assert panel["title"] and len(meaning) > 60
    assert defaults["unit"] in UNITS
    assert defaults["noValue"] in EMPTY
    page, _, anchor = more.strip("`").partition("#")
    anchors = _anchors((ROOT / page).read_text(encoding="utf-8"))
    assert not anchor or anchor in anchors


def _anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("panel", PANELS.values(), ids=list(PANELS))
def test_a_panel_shows_only_what_is_known(panel: dict[str, Any]) -> None:
    """Nothing is piled up, no gap is bridged, a number is that of now, and no zero is made up."""
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    assert custom.get("stacking", {"mode": "none"}) == {"mode": "none"}
    assert custom.get("spanNulls", False) is False
    for query in panel.get("targets", []):
        assert "vector(" not in query["expr"]
        assert query["instant"] is (panel["type"] not in ("timeseries", "state-timeline"))
    assert panel.get("targets") or panel["type"] in UNTYPED


@pytest.mark.parametrize("uid", list(BOARDS))
def test_nothing_names_a_data_source_of_one_grafana(uid: str) -> None:
    """Data sources are the variable, everywhere."""
    named = [each["datasource"] for each in _walk(BOARDS[uid]) if isinstance(each.get("datasource"), dict)]
    assert named
    assert [each for each in named if each != {"type": "prometheus", "uid": "${datasource}"}] == []


@pytest.mark.parametrize("uid", list(BOARDS))
def test_variables_are_declared_and_used(uid: str) -> None:
    """Every `$name` is a variable of the board, each variable is used, and each takes one value."""
    board = BOARDS[uid]
    declared = {variable["name"]: variable for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board)))
    assert used - BUILT_IN_VARIABLES == set(declared)
    assert [name for name, each in declared.items() if each.get("multi") or each.get("includeAll")] == []
    assert {"datasource", "env", "shop"} <= set(declared)


@pytest.mark.parametrize("uid", list(BOARDS))
def test_panels_have_places_of_their_own(uid: str) -> None:
    """Panels lie side by side within the grid, with numbers and titles of their own."""
    panels = BOARDS[uid]["panels"]
    for panel in panels:
        assert panel["gridPos"]["x"] >= 0 and panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y, (one["title"], other["title"])
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


def test_every_name_is_one_that_is_told() -> None:
    """Panels, marks and variables read gauges of `/metrics`, recording rules and Prometheus' own alerts."""
    asked = [*_panel_exprs(), *marks(BOARDS.values())]
    for board in BOARDS.values():
        asked += [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    named = [names_in(expr) for expr in asked]
    assert all(named)
    assert set().union(*named) - known_names() == set()


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    """promtool takes each expression, of panels, marks and variables, as a rule."""
    asked = [*_panel_exprs(), *marks(BOARDS.values())]
    for board in BOARDS.values():
        queries = [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
        asked += [query.removeprefix("label_values(").rpartition(",")[0] for query in queries]
    checked = check(map(chosen, asked), tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_panel_finds_data(tmp_path: Path) -> None:
    """Where a shop tells every gauge, no expression of a panel comes back empty: labels exist, too."""
    judged = judge({f"count({chosen(expr)}) > bool 0": 1 for expr in _panel_exprs()}, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_a_panel_that_asks_for_what_is_not_there_is_found(tmp_path: Path) -> None:
    """The check above can fail: a wrong label's value finds nothing."""
    assert judge({'count(shop_pulse_orders{window="6m"}) > bool 0': 1}, tmp_path).returncode == 1


@pytest.mark.parametrize(("currency", "units"), [("USD", 10), ("JPY", 1_000), ("KWD", 1)])
def test_amounts_are_in_units_of_their_currency(currency: str, units: int, tmp_path: Path) -> None:
    """1 000 minor units are 10 dollars, 1 000 yen, 1 dinar; several read services count once."""
    asked = chosen(money("gmv_last_hour_minor", scope_kind="all").text(), CHOSEN | {"currency": currency})
    judged = judge({f"sum({asked})": units}, tmp_path)
    assert judged.returncode == 0, judged.stdout


def test_currencies_are_listed_once() -> None:
    """A currency has one number of decimals."""
    listed = [currency for currencies in DIGITS.values() for currency in currencies]
    assert len(listed) == len(set(listed)) and all(re.fullmatch("[A-Z]{3}", each) for each in listed)


def test_a_live_that_is_only_watched_can_be_chosen(tmp_path: Path) -> None:
    """Lives with most views are watched, and can page; lives with most GMV have figures: both are offered."""
    variables = {each["name"]: each for each in BOARDS["shop-pulse-lives"]["templating"]["list"]}
    selector = variables["live"]["query"].removeprefix("label_values(").rpartition(",")[0]
    of_live = 'env="dev",shop="main",scope_kind="live"'
    told = [
        {"series": f'shop_pulse_orders{{{of_live},scope="sells"}}', "values": "1x20"},
        {"series": f'shop_pulse_orders{{{of_live},scope="other"}}', "values": "1x20"},
        {"series": f'shop_pulse_cohort_state{{{of_live},scope="seen",state="watched"}}', "values": "1x20"},
    ]
    judged = judge({f"count(count by (scope) ({chosen(selector)}))": 2}, tmp_path, told)
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alerts_lead_to_a_panel(alert: Any) -> None:
    """The dashboard and the panel that an alert names exist."""
    assert alert.panel in grafana_files.panel_ids(alert.dashboard)


@pytest.mark.parametrize("uid", list(BOARDS))
def test_dashboards_lead_to_each_other(uid: str) -> None:
    """Each links to the others, with what was chosen; a link to a dashboard names one that exists."""
    text = json.dumps(BOARDS[uid])
    assert {link["url"] for link in BOARDS[uid]["links"]} == {
        f"/d/{other}" for other in BOARDS if other != uid
    }
    assert all(link["includeVars"] and link["keepTime"] for link in BOARDS[uid]["links"])
    assert set(re.findall(r"/d/([\w-]+)", text)) <= set(BOARDS)


class _DataSource(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """As Grafana reads a data source from a file (pkg/services/provisioning/datasources)."""

    name: str
    type: str
    access: str
    url: str
    uid: str
    is_default: bool
    editable: bool
    json_data: dict[str, str | bool]


class _DataSources(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    api_version: int
    datasources: list[_DataSource]


class _Folder(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    path: str
    folders_from_files_structure: bool


class _Provider(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """As Grafana reads a provider of dashboards from a file (pkg/services/provisioning/dashboards)."""

    name: str
    org_id: int
    folder: str
    type: str
    disable_deletion: bool
    allow_ui_updates: bool
    update_interval_seconds: int
    options: _Folder


class _Providers(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    api_version: int
    providers: list[_Provider]


def test_the_data_source_is_what_grafana_reads() -> None:
    """One Prometheus, whose address and uid come from the environment."""
    read = msgspec.convert(grafana_files.data_sources(), _DataSources)
    (source,) = read.datasources
    assert (read.api_version, source.type, source.access) == (1, "prometheus", "proxy")
    assert (source.url, source.uid) == ("${PROMETHEUS_URL}", "${PROMETHEUS_UID}")
    deployed = (ROOT / "deploy/prometheus.yml").read_text(encoding="utf-8")
    assert f"scrape_interval: {source.json_data['timeInterval']}" in deployed


def test_the_provider_is_what_grafana_reads() -> None:
    """Dashboards are read from the folder that docker-compose.yml mounts."""
    read = msgspec.convert(grafana_files.providers(), _Providers)
    (provider,) = read.providers
    assert (read.api_version, provider.type) == (1, "file")
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert f"./{grafana_files.FOLDER}:{provider.options.path}:ro" in compose
    assert "PROMETHEUS_URL:" in compose and "PROMETHEUS_UID:" in compose


def test_lives_are_marked_where_they_begin_and_end(tmp_path: Path) -> None:
    """A live that appears or goes is marked, but not where figures could not be trusted just before."""
    begun, ended = marks(BOARDS.values())[2:4]
    live = 'shop_pulse_live_heartbeat_timestamp_seconds{env="dev",shop="main",live="L9"}'
    trusted = 'shop_pulse:trusted{env="dev",shop="main"}'
    for expr, values in ((begun, "_x9 600 600"), (ended, "600x8 stale")):
        for trust, count in (("1x10", 1), ("0x10", 0), ("0x8 1 1", 0)):
            told = [{"series": live, "values": values}, {"series": trusted, "values": trust}]
            found = f"count({chosen(expr)})"
            judged = judge({found: 1} if count else {f"absent({found})": 1}, tmp_path, told)
            assert judged.returncode == 0, (expr, trust, judged.stdout)

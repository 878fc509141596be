"""Turns the declarations of dashboards into Grafana's JSON, with what every panel has to have.

It stands between the declarations and the generated files, and is the only module that knows the SDK of
Grafana (a development dependency: `shop-pulse render` runs in a checkout). What the SDK's types have no
field for, but Grafana's Prometheus source reads, is added to the JSON at the end: see ANNOTATION_EXTRAS.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dashboards.grafana_panels import Board, Choice, Kind, Mark, Options, Panel, Text
from streams.errors import PulseError

try:
    from grafana_foundation_sdk.builders import (
        bargauge,
        common,
        dashboard,
        prometheus,
        stat,
        statetimeline,
        timeseries,
    )
    from grafana_foundation_sdk.builders import table as tables
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common as common_models
    from grafana_foundation_sdk.models import dashboard as models
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat
except ModuleNotFoundError as error:
    raise PulseError("dashboards are made with Grafana's SDK, which is missing; run `make setup`") from error

# A variable: a file that names a data source by its uid works in one Grafana only.
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# Beside what the SDK's type has. `target` is where newer versions of Grafana look for the expression.
ANNOTATION_EXTRAS = ("target", "titleFormat", "textFormat", "useValueForTime", "step")
STEP_OF_MARKS = "60s"
REFRESH = "10s"
LINE_WIDTH = 2
BAND_OPACITY = 12
GRID_WIDTH = 24


def board_json(board: Board, boards: Sequence[Board]) -> str:
    """The file of a board, which links to the other `boards`."""
    built = dashboard.Dashboard(board.title).uid(board.uid).description(board.means)
    built.tags(["shop-pulse"]).readonly().refresh(REFRESH).time(board.since, "now").timezone("browser")
    built.tooltip(models.DashboardCursorSync.CROSSHAIR)
    built.variables([_datasource(), *map(_variable, board.variables)])
    built.annotations([_annotation(mark) for mark in board.marks])
    built.links([_link(other) for other in boards if other.uid != board.uid])
    number, top = 0, 0
    for row in board.rows:
        number += 1
        heading = dashboard.Row(row.title).id(number)
        built.with_row(heading.grid_pos(models.GridPos(x=0, y=top, w=GRID_WIDTH, h=1)))
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            number += 1
            if left + panel.width > GRID_WIDTH:
                top, left, height = top + height, 0, 0
            place = models.GridPos(x=left, y=top, w=panel.width, h=panel.height)
            built.with_panel(_panel(panel).id(number).grid_pos(place))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    written: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    for mark, annotation in zip(board.marks, written["annotations"]["list"], strict=True):
        annotation.update(_extras(mark))
    return json.dumps(written, indent=2, ensure_ascii=False) + "\n"


def _datasource() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def _variable(variable: Choice | Options | Text) -> Any:
    match variable:
        case Choice():
            asked = dashboard.QueryVariable(variable.name).label(variable.label).query(variable.query)
            asked.datasource(DATASOURCE).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            by_name, by_number = models.VariableSort.ALPHABETICAL_ASC, models.VariableSort.NUMERICAL_ASC
            return asked.sort(by_number if variable.by_number else by_name).multi(False).include_all(False)
        case Options():
            closed = dashboard.CustomVariable(variable.name).label(variable.label)
            chosen = models.VariableOption(selected=True, text=variable.chosen, value=variable.chosen)
            return closed.values(",".join(variable.values)).current(chosen).multi(False).include_all(False)
        case Text():
            free = dashboard.TextBoxVariable(variable.name).label(variable.label)
            return free.description(variable.means).default_value(variable.value)


def _annotation(mark: Mark) -> dashboard.AnnotationQuery:
    asked = dashboard.AnnotationQuery().name(mark.name).datasource(DATASOURCE).enable(True)
    return asked.icon_color(mark.colour).expr(mark.expr.text())


def _extras(mark: Mark) -> dict[str, Any]:
    target = {"refId": "Anno", "expr": mark.expr.text(), "interval": STEP_OF_MARKS}
    values = (target, mark.title, mark.text, mark.at_value, STEP_OF_MARKS)
    return dict(zip(ANNOTATION_EXTRAS, values, strict=True))


def _link(other: Board) -> dashboard.DashboardLink:
    link = dashboard.DashboardLink(other.title).type(models.DashboardLinkType.LINK).url(f"/d/{other.uid}")
    return link.tooltip(other.means).include_vars(True).keep_time(True).icon("dashboard")


def _panel(panel: Panel) -> Any:
    match panel.kind:
        case Kind.STAT:
            number = _common(stat.Panel(), panel).targets(_instant(panel)).reduce_options(_reduced())
            number.graph_mode(common_models.BigValueGraphMode.NONE)
            return number.color_mode(common_models.BigValueColorMode.BACKGROUND)
        case Kind.BARS:
            bars = _common(bargauge.Panel(), panel).targets(_instant(panel)).reduce_options(_reduced())
            return bars.orientation(common_models.VizOrientation.HORIZONTAL)
        case Kind.STATES:
            return _common(statetimeline.Panel(), panel).targets(_range(panel))
        case Kind.LINES:
            return _lines(panel)
        case Kind.TABLE:
            return _table(panel)
        case Kind.ALERTS:
            return _alerts(panel)


def _common(built: Any, panel: Panel) -> Any:
    """What every panel has. Builders of the SDK have these methods alike, but no type in common."""
    base, *steps = panel.steps
    colours = [
        models.Threshold(value=None, color=base),
        *(models.Threshold(at, named) for at, named in steps),
    ]
    built.title(panel.title).description(f"{panel.means}\n\nMore: `{panel.more}`")
    built.datasource(DATASOURCE).unit(panel.unit).no_value(panel.empty)
    built.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(colours))
    if panel.words:
        words = {
            f"{value:g}": models.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(panel.words.items())
        }
        built.mappings([models.ValueMap(options=words)])
    if panel.low is not None:
        built.min(panel.low)
    if panel.high is not None:
        built.max(panel.high)
    return built


def _queries(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .expr(query.expr.text())
        .legend_format(query.name)
        .datasource(DATASOURCE)
        .ref_id(_letter(at))
        for at, query in enumerate(panel.queries)
    ]


def _range(panel: Panel) -> list[prometheus.Dataquery]:
    return [query.range() for query in _queries(panel)]


def _instant(panel: Panel) -> list[prometheus.Dataquery]:
    # A number is that of now: over a range an old one would stay on when nothing comes any more.
    return [query.instant() for query in _queries(panel)]


def _reduced() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _lines(panel: Panel) -> timeseries.Panel:
    built: timeseries.Panel = _common(timeseries.Panel(), panel)
    built.targets([*_range(panel)])
    built.line_width(LINE_WIDTH).fill_opacity(0).show_points(common_models.VisibilityMode.NEVER)
    # Lines that are piled up can't be compared, and a gap that is bridged hides that nothing was known.
    built.stacking(common.StackingConfig().mode(common_models.StackingMode.NONE)).span_nulls(False)
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    built.tooltip(tooltip.sort(common_models.SortOrder.DESCENDING))
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
    built.legend(legend.placement(common_models.LegendPlacement.BOTTOM).show_legend(True).calcs([]))
    if len(panel.steps) > 1:
        dashed = common_models.GraphThresholdsStyleMode.DASHED
        built.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    for name, look in panel.looks.items():
        drawn: dict[str, object] = {"color": {"mode": "fixed", "fixedColor": look.colour}}
        if look.dashed:
            drawn["custom.lineStyle"] = {"fill": "dash", "dash": [8, 6]}
        if look.down_to:
            drawn |= {"custom.fillBelowTo": look.down_to, "custom.fillOpacity": BAND_OPACITY}
        built.override_by_name(name, _properties(drawn))
    return built


def _table(panel: Panel) -> tables.Panel:
    built: tables.Panel = _common(tables.Panel(), panel)
    built.targets([query.format(PromQueryFormat.TABLE) for query in _instant(panel)])
    # Grafana calls the values of a lone query "Value", those of several "Value #A", "Value #B" …
    alone = len(panel.queries) == 1
    values = {
        "Value" if alone else f"Value #{_letter(at)}": query.name for at, query in enumerate(panel.queries)
    }
    order = {name: at for at, name in enumerate([*panel.columns, *values])}
    arranged: dict[str, object] = {
        "excludeByName": {"Time": True},
        "indexByName": order,
        "renameByName": {**panel.columns, **values},
    }
    built.transformations(
        [
            models.DataTransformerConfig(id_val="merge", options={}),
            models.DataTransformerConfig(id_val="organize", options=arranged),
        ]
    )
    for query in panel.queries:
        if query.unit:
            built.override_by_name(query.name, _properties({"unit": query.unit}))
    if panel.links:
        links = [{"title": title, "url": url, "targetBlank": True} for title, url in panel.links]
        built.override_by_name(next(iter(panel.columns.values())), _properties({"links": links}))
    return built


def _alerts(panel: Panel) -> dashboard.Panel:
    """Both kinds of rules, Grafana's and Prometheus'. The SDK has no type for the list, so it is untyped."""
    built: dashboard.Panel = _common(dashboard.Panel().type(panel.kind.value), panel)
    return built.options(
        {
            "viewMode": "list",
            "groupMode": "default",
            "groupBy": [],
            "maxItems": 30,
            "sortOrder": 3,
            "dashboardAlerts": False,
            "alertName": "ShopPulse",
            "alertInstanceLabelFilter": '{env="$env", shop="$shop", severity!="none"}',
            "stateFilter": {"firing": True, "pending": True, "noData": True, "normal": False, "error": True},
        }
    )


def _letter(at: int) -> str:
    return chr(ord("A") + at)


def _properties(values: dict[str, object]) -> list[models.DynamicConfigValue]:
    return [models.DynamicConfigValue(id_val=name, value=value) for name, value in values.items()]

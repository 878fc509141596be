"""What a dashboard consists of, in the few words that ours need: boards, rows, panels, queries.

The declarations (`grafana_overview` and its neighbours) are written in these words; `grafana_build` turns
them into Grafana's JSON and adds what every panel has to have, so that no panel can forget it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from dashboards.grafana_queries import figure, kpi
from dashboards.promql import Expr

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"

# What a panel says when nothing comes. Never a zero: a dead pipeline is not a shop without sales.
STALE = "pipeline stale"
NOT_YET = "no data yet"
NONE_NOW = "none, if trusted"

COUNT, RATIO, SECONDS, AMOUNT, NUMBER = "locale", "percentunit", "s", "locale", "none"
UNIT_OF_KPI = {"count": COUNT, "ratio": RATIO, "seconds": SECONDS, "minor": AMOUNT}

# Where more is said: files of this repository, each with an anchor where there is one.
CONTRACT = "docs/contract.md"
FIGURES = "dashboards/KPIS.md"
RUNBOOK = "docs/runbook.md"


class Kind(StrEnum):
    """How a panel shows its queries, as Grafana calls it."""

    STAT = "stat"
    LINES = "timeseries"
    TABLE = "table"
    BARS = "bargauge"
    STATES = "state-timeline"
    ALERTS = "alertlist"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and what its series are called.

    Attributes:
        expr: over variables of the board.
        name: of a line, with labels as ``{{label}}``; of a column in a table, where no variable may stand.
        unit: of a table's column, where it is not the panel's.
    """

    expr: Expr
    name: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How the line of that name is drawn, where it is not like the others.

    Attributes:
        dashed: for what is usual or a limit, as against what is.
        colour: of the line.
        down_to: fills the band between this line and the line of that name.
    """

    colour: str
    dashed: bool = False
    down_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel.

    Attributes:
        kind: how it shows its queries.
        title: unique on its board; alerts link to it by this name.
        means: what is seen and what misleads, for somebody who sees it at night for the first time.
        more: page and anchor in this repository that say more.
        unit: Grafana's name of the unit.
        queries: at least one, but for a list of alerts.
        width, height: in units of the grid, 24 to a line.
        empty: what stands there when nothing comes.
        steps: colours by value: the base colour, then (from, colour) ascending.
        words: what a value is called, and its colour.
        looks: lines that are drawn in a way of their own, by name.
        columns: of a table: labels that stay, and what they are called.
        links: (title, URL) at each value.
        low, high: ends of the axis, where they are fixed.
    """

    kind: Kind
    title: str
    means: str
    more: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 12
    height: int = 8
    empty: str = NOT_YET
    steps: tuple[str, *tuple[tuple[float, str], ...]] = (BLUE,)
    words: dict[float, tuple[str, str]] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of panels below a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable of a board whose values Prometheus tells: `query` is ``label_values(…)``."""

    name: str
    label: str
    query: str
    by_number: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """A variable of a board with a closed list of values."""

    name: str
    label: str
    values: tuple[str, ...]
    chosen: str


@dataclass(frozen=True, slots=True)
class Text:
    """A variable of a board that a reader may write."""

    name: str
    label: str
    value: str
    means: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Events that are marked in every panel: where the expression is above 0.

    `at_value`: the expression tells the time itself, in milliseconds.
    """

    name: str
    expr: Expr
    title: str
    text: str
    colour: str
    at_value: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. `since` is the range that it opens with."""

    uid: str
    title: str
    means: str
    since: str
    variables: tuple[Choice | Options | Text, ...]
    rows: tuple[Row, ...]
    marks: tuple[Mark, ...] = ()


def title_of(path: str) -> str:
    """A KPI's name as people say it."""
    words = path.removeprefix("money.*.").removeprefix("ratios.").removesuffix("_minor")
    words = words.replace(".", " ").replace("_", " ").replace("gmv", "GMV").replace("aov", "AOV")
    return words[0].upper() + words[1:]


def kpi_lines(path: str, where: str, pitfall: str, *by: str, **labels: str) -> Panel:
    """A panel of one KPI, a line for each value of `by`: title, unit and meaning from the catalogue.

    `where` says in the title of which scopes it is.
    """
    read = kpi(path)
    amount = " in $currency" if read.per_currency else ""
    return Panel(
        kind=Kind.LINES,
        title=f"{title_of(path)}{amount}, {where}",
        means=f"{read.help} {pitfall}",
        more=FIGURES,
        unit=UNIT_OF_KPI[read.unit],
        queries=(Query(figure(path, *by, **labels), " ".join(f"{{{{{label}}}}}" for label in by)),),
        low=0,
    )


def kpi_column(path: str, by: str, **labels: str) -> Query:
    """A KPI as a column of a table."""
    return Query(figure(path, by, **labels), title_of(path), UNIT_OF_KPI[kpi(path).unit])

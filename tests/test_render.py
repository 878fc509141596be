"""Generated files are what their declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboards import render
from streams.kpi import Measure, Ratio, Sum
from streams.kpis import KPIS, QUALITY

ROOT = Path(__file__).parents[1]
A = Measure(name="a", help="", kinds=frozenset({"all"}))
B = Measure(name="b", help="", kinds=frozenset({"all"}))


@pytest.mark.parametrize("name", sorted(render.files()))
def test_generated_files_are_current(name: str) -> None:
    """No generated file is stale or edited by hand; `shop-pulse render` writes them anew."""
    assert (ROOT / name).read_text(encoding="utf-8") == render.files()[name]


def test_every_figure_is_in_the_reference() -> None:
    """The reference has one row for each KPI of the catalogue."""
    rows = [line for line in render.kpi_reference().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [kpi.path for kpi in (*KPIS, *QUALITY)]


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (A, "a"),
        (Sum((A, B)), "a + b"),
        (Sum((A,), (B,)), "a - b"),
        (Ratio(A, Sum((A, B))), "a / (a + b)"),
        (Ratio(A, B, scale=1000), "1000 × a / b"),
        (Ratio(A, B, least=(A, 50)), "a / b, from 50 a on"),
    ],
)
def test_formulas_read_as_people_write_them(formula: Measure | Sum | Ratio, text: str) -> None:
    """A formula's text names its measures, with brackets where they are needed."""
    assert render.formula_text(formula) == text

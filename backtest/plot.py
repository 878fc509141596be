"""The plot of docs/alerting.md: how much is found, by size of the drop, and how soon against the bound.

It stands behind the score. Files are the same for the same figures: no date, no random ids.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from backtest.drops import DURATIONS
from backtest.runs import TIMES_BOUND_MAX
from backtest.score import Cell, Score

_COLOURS = ("#999999", "#56b4e9", "#0072b2", "#d55e00")


def draw(score: Score, path: Path) -> None:
    """Recall by size, one panel for each duration; below, time to detect over the bound (p50, bar to p95)."""
    mpl.rcParams.update({"svg.hashsalt": "shop-pulse", "svg.fonttype": "none", "font.size": 9})
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, len(DURATIONS), sharey="row")
    traffics = sorted({cell.traffic for cell in score.cells})
    for column, duration in enumerate(DURATIONS):
        top, bottom = panels[0][column], panels[1][column]
        for traffic, colour in zip(traffics, _COLOURS, strict=False):
            cells = _of(score.cells, traffic, duration.name)
            label = f"{traffic:,g} sessions a minute"
            sizes = [cell.size * 100 for cell in cells]
            top.plot(sizes, [cell.recall * 100 for cell in cells], marker="o", color=colour, label=label)
            timed = [cell for cell in cells if cell.times_bound]
            for cell in timed:
                low, high = cell.times_bound or (0.0, 0.0)
                at = cell.size * 100 + traffics.index(traffic) * 1.5
                bottom.plot([at, at], [low, high], color=colour, linewidth=1)
                bottom.plot([at], [low], marker="o", color=colour)
        top.set_title(duration.name)
        bottom.axhline(TIMES_BOUND_MAX, color="black", linewidth=0.8, linestyle="--")
        bottom.set_xlabel("drop, %")
        bottom.set_ylim(0, 3)
    panels[0][0].set_ylabel("found, % of all drops")
    panels[1][0].set_ylabel("time to detect ÷ bound (p50, p95)")
    panels[0][-1].legend(loc="lower right", fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def _of(cells: list[Cell], traffic: float, duration: str) -> list[Cell]:
    found = [cell for cell in cells if cell.traffic == traffic and cell.duration == duration]
    return sorted(found, key=lambda cell: cell.size)

"""Everything that `/metrics` shows, read in one go: figures of the bounded scopes, and the pipeline's own.

It stands between the read model and the exporter, which only gives names. Scopes whose values come from
clients are cut to the largest ones by GMV, the others are summed as ``other``: a gauge per id would be
unbounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.answer import by_value, stored_measures
from streams.catalogue import ALL, KPIS, PIPELINE, PLATFORM, SURFACE
from streams.kpi import Kpi
from streams.ranking import Ranking, Tally, remaining
from streams.read_model import Plan, ReadModel, View
from streams.read_store import HashRequest, Meta, cells
from streams.trust import Trust
from streams.window import WindowError

WINDOWS = ("5m", "30m")
RANKING_WINDOW = "30m"
VERDICTS_WINDOW = "1h"
# Kinds whose values are a closed list, and kinds of which the largest values are named.
CLOSED_KINDS = (ALL.name, PLATFORM.name, SURFACE.name)
RANKED_KINDS = ("gateway", "live", "product")
OTHER = "other"

# One gauge per event type and named id would be the bulk of all series; those are asked of the API.
RANKED_KPIS = tuple(kpi for kpi in KPIS if not kpi.path.startswith("events_by_type."))


@dataclass(frozen=True, slots=True)
class ScopeTotals:
    """Totals by stored measure of one scope, and the KPIs that are shown of it."""

    kind: str
    value: str
    totals: Mapping[str, int]
    kpis: tuple[Kpi, ...]


@dataclass(frozen=True, slots=True)
class WindowSurvey:
    """One window: its trust, and the totals of each scope."""

    window: str
    currencies: tuple[str, ...]
    trust: Trust
    scopes: tuple[ScopeTotals, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """A moment's survey; `verdicts` are cells ``measure|topic`` of the last hour."""

    metas: tuple[Meta, ...]
    windows: tuple[WindowSurvey, ...]
    verdicts: Mapping[str, int]


async def read_survey(model: ReadModel, ranking: Ranking, top_k: int) -> Survey:
    """Reads it. Raises StoreUnavailableError. A window that the settings don't keep is left out."""
    top: dict[str, list[str]] = {}
    view = await _view(model, RANKING_WINDOW, lambda _plan: [])
    if view is not None:
        for kind in RANKED_KINDS:
            if kind in model.kinds:
                tally = await _tally(ranking, kind, view)
                # A value of the very name "other" can't be told from the rest, so it is part of the rest.
                top[kind] = [of for of in tally.order(top_k + 1) if of != OTHER][:top_k]
    windows = [await _window(model, ranking, window, top) for window in WINDOWS]
    last = await _view(model, VERDICTS_WINDOW, lambda plan: [cells(PIPELINE.name, plan.ranges[0].panes)])
    metas = last.metas if last else tuple(read.meta for read in await model.store.read())
    return Survey(metas, tuple(each for each in windows if each), last.sums(0) if last else {})


async def _view(model: ReadModel, window: str, requests: Callable[[Plan], list[HashRequest]]) -> View | None:
    try:
        return await model.view((model.named(window),), requests)
    except WindowError:
        return None


async def _tally(ranking: Ranking, kind: str, view: View) -> Tally:
    return await ranking.tally(kind, view.plan.ranges[0].panes, view.metas)


async def _window(
    model: ReadModel, ranking: Ranking, window: str, top: Mapping[str, list[str]]
) -> WindowSurvey | None:
    closed = [kind for kind in CLOSED_KINDS if kind in model.kinds]

    def requests(plan: Plan) -> list[HashRequest]:
        panes = plan.ranges[0].panes
        named = [_named_cells(model, plan, kind, values) for kind, values in top.items()]
        return [*(cells(kind, panes) for kind in closed), *named]

    view = await _view(model, window, requests)
    if view is None:
        return None
    scopes: list[ScopeTotals] = []
    for index, kind in enumerate(closed):
        for of, totals in sorted(by_value(view.sums(index)).items()):
            scopes.append(ScopeTotals(kind, of, totals, KPIS))
    for index, (kind, values) in enumerate(top.items(), start=len(closed)):
        found = by_value(view.sums(index))
        rest = remaining((await _tally(ranking, kind, view)).totals, found.values())
        for of in values:
            scopes.append(ScopeTotals(kind, of, found.get(of, {}), RANKED_KPIS))
        scopes.append(ScopeTotals(kind, OTHER, rest, RANKED_KPIS))
    trusted = await model.trust(view, view.plan.ranges[0], ALL.name if closed else model.kinds[0])
    return WindowSurvey(window, view.plan.currencies, trusted, tuple(scopes))


def _named_cells(model: ReadModel, plan: Plan, kind: str, values: list[str]) -> HashRequest:
    measures = stored_measures(kind, model.figures, plan.currencies, RANKED_KPIS)
    # Without a value there is nothing to ask; an empty list of fields would mean all of them.
    panes = plan.ranges[0].panes if values else ()
    return cells(kind, panes, [f"{measure}|{of}" for of in values for measure in measures])

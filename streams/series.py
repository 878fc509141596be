"""A scope's figures step by step, for sparklines and charts.

It stands behind the read model, beside the answers to single questions. A step that nothing has been read
of yet is null: a line that falls to zero would say that nothing was sold.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.answer import Figure, QuestionError, Scope, Totals, flat_figures, parse_scope, stored_measures
from streams.kpi import is_kept
from streams.kpis import KPIS
from streams.read_model import ReadModel
from streams.read_store import HashRequest, cells
from streams.reading import Moment, View
from streams.window import HOUR_MS, MINUTE_MS, NAMED_WINDOWS, named_range

STEP_MS = {"30m": MINUTE_MS, "1h": MINUTE_MS, "24h": HOUR_MS}
WINDOWS = tuple(STEP_MS)
FIGURES = (
    "events.view",
    "events.tag_tap",
    "events.add_to_cart",
    "orders",
    "items",
    "sessions.view",
    "sessions.purchase",
    "payments.attempts",
    "payments.authorised",
    "viewers.peak",
    "money.*.gmv_paid_minor",
)


async def read_series(model: ReadModel, scope_text: str, window: str) -> dict[str, object]:
    """The answer of ``/api/v1/series``: figures that the kind of scope keeps, each with a value per step.

    Raises QuestionError, WindowError, FigureTooLarge and StoreUnavailableError.
    """
    scope = parse_scope(scope_text, model.kinds)
    if window not in WINDOWS:
        raise QuestionError(f"window is one of {' '.join(WINDOWS)} here")
    view, steps = await model.view(lambda moment: _Steps.at(model, scope, window, moment))
    trusted = await model.trust(view, steps.range_ms, scope.kind)
    return {
        "scope": str(scope),
        "from_ms": steps.range_ms[0],
        "to_ms": steps.range_ms[1],
        "step_ms": STEP_MS[window],
        "start_ms": list(steps.starts_ms),
        "figures": steps.figures(view, model, trusted.as_of_ms),
        "as_of_ms": trusted.as_of_ms,
        "state": trusted.state.value,
    }


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps at a moment, and one request for each."""

    scope: Scope
    range_ms: tuple[int, int]
    starts_ms: tuple[int, ...]
    requests: tuple[HashRequest, ...]
    paths: frozenset[str]

    @classmethod
    def at(cls, model: ReadModel, scope: Scope, window: str, moment: Moment) -> _Steps:
        """Aligned steps; the last one may still be going on. Raises WindowError."""
        step_ms = STEP_MS[window]
        _, to_ms = named_range(window, moment.now_ms)
        end_ms = -(-to_ms // step_ms) * step_ms
        starts_ms = tuple(range(end_ms - NAMED_WINDOWS[window].length_ms, end_ms, step_ms))
        kpis = tuple(
            kpi
            for kpi in KPIS
            if kpi.path in FIGURES and scope.kind in kpi.kinds and is_kept(kpi.formula, scope.kind)
        )
        measures = stored_measures(scope.kind, model.figures, moment.currencies, kpis)
        fields = [f"{measure}|{scope.value}" for measure in measures]
        requests = tuple(
            cells(scope.kind, model.range((start_ms, start_ms + step_ms), moment).panes, fields)
            for start_ms in starts_ms
        )
        paths = frozenset(kpi.path for kpi in kpis)
        return cls(scope, (starts_ms[0], to_ms), starts_ms, requests, paths)

    def figures(self, view: View, model: ReadModel, as_of_ms: int | None) -> dict[str, list[Figure]]:
        """By figure a value per step; null from the step on that nothing has been read of yet."""
        series: dict[str, list[Figure]] = {}
        for start_ms, request in zip(self.starts_ms, self.requests, strict=True):
            totals = Totals(view.values(request).get(self.scope.value, {}))
            found = flat_figures(self.scope.kind, totals, view.moment.currencies, model.figures, self.paths)
            is_read = as_of_ms is not None and start_ms < as_of_ms
            for path, figure in found.items():
                series.setdefault(path, []).append(figure if is_read else None)
        return series

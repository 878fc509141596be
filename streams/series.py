"""A scope's figures step by step, for sparklines and charts.

It stands behind the read model, beside the answers to single questions. A step that nothing has been read
of yet is null: a line that falls to zero would say that nothing was sold. So is a step that ended before
the first record came: then the shop was not watched.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.events import INPUT_TOPICS
from streams.answer import Figure, QuestionError, Scope, Totals, flat_figures, parse_scope, stored_measures
from streams.catalogue import ACCEPTED
from streams.kpi import is_kept
from streams.kpis import KPIS
from streams.read_model import ReadModel
from streams.reading import Moment, View
from streams.requests import CellsRequest, cells
from streams.scopes import PIPELINE
from streams.window import HOUR_MS, MINUTE_MS, NAMED_WINDOWS, Pane, WindowError, named_range

STEP_MS = {"30m": MINUTE_MS, "1h": MINUTE_MS, "24h": HOUR_MS}
WINDOWS = tuple(STEP_MS)
_RECORDS = tuple(f"{ACCEPTED.name}|{topic}" for topic in INPUT_TOPICS)
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
    "ads.*.charged_minor",
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
    """The steps at a moment, and one request for each.

    Attributes:
        of_scope: the scope's cells, by step.
        of_pipeline: the records that came in, by step.
        before: the records that came in before the first step.
    """

    scope: Scope
    range_ms: tuple[int, int]
    starts_ms: tuple[int, ...]
    of_scope: tuple[CellsRequest, ...]
    of_pipeline: tuple[CellsRequest, ...]
    before: CellsRequest
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
        panes = [model.range((start_ms, start_ms + step_ms), moment).panes for start_ms in starts_ms]
        return cls(
            scope,
            (starts_ms[0], to_ms),
            starts_ms,
            # Of kinds without such figures nothing is asked: an empty list of fields would mean all of them.
            tuple(cells(scope.kind, each if fields else (), fields) for each in panes),
            tuple(cells(PIPELINE.name, each, _RECORDS) for each in panes),
            cells(PIPELINE.name, _kept_before(model, starts_ms[0], moment), _RECORDS),
            frozenset(kpi.path for kpi in kpis),
        )

    @property
    def requests(self) -> tuple[CellsRequest, ...]:
        """All of it."""
        return (*self.of_scope, *self.of_pipeline, self.before)

    def _first(self, view: View) -> int:
        """The first step that is known of: with a record, or a figure, or after any record."""
        if any(view.sums(self.before).values()):
            return 0
        steps = zip(self.of_scope, self.of_pipeline, strict=True)
        known = (at for at, step in enumerate(steps) if any(any(view.sums(of).values()) for of in step))
        return next(known, len(self.starts_ms))

    def figures(self, view: View, model: ReadModel, as_of_ms: int | None) -> dict[str, list[Figure]]:
        """By figure a value per step; null up to the first record that ever came, and from the step on that
        nothing has been read of yet."""
        series: dict[str, list[Figure]] = {}
        first = self._first(view)
        for at, (start_ms, request) in enumerate(zip(self.starts_ms, self.of_scope, strict=True)):
            totals = Totals(view.values(request).get(self.scope.value, {}))
            found = flat_figures(self.scope.kind, totals, view.moment.currencies, model.figures, self.paths)
            is_read = at >= first and as_of_ms is not None and start_ms < as_of_ms
            for path, figure in found.items():
                series.setdefault(path, []).append(figure if is_read else None)
        return series


def _kept_before(model: ReadModel, to_ms: int, moment: Moment) -> list[Pane]:
    """The panes of all that is kept before a time; what no pane tells of counts as nothing."""
    size = model.sizes[-1]
    oldest_ms = max(moment.now_ms, moment.high_ms) - size.retention_ms
    from_ms = size.start_of(oldest_ms) + size.size_ms
    try:
        return list(model.range((from_ms, to_ms), moment).panes)
    except WindowError:
        return []

"""Everything that `/metrics` shows, read in one go: figures of the bounded scopes, and the pipeline's own.

It stands between the read model and the exporter, which only gives names. Scopes whose values come from
clients are cut to the largest ones by GMV, the others are summed as ``other``: a gauge per id would be
unbounded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.aged import AgedParts
from streams.answer import Group, Scope, Totals, capped_cells, stored_measures
from streams.details import DetailsPlan
from streams.figures.apps import MONTH_DAYS
from streams.kpi import Kpi
from streams.kpis import KPIS
from streams.ranking import Ranking, remaining
from streams.read_model import ReadModel
from streams.reading import Moment, RangeAt, View
from streams.requests import CellsRequest, Meta, Request, cells
from streams.rooms import viewers_now
from streams.scopes import (
    ALL,
    APP,
    BOUGHT_FROM,
    LIVE,
    OTHER,
    PIPELINE,
    PLATFORM,
    SELLERS,
    SURFACE,
    UNATTRIBUTED,
)
from streams.sheet import Sheet
from streams.trust import Trust
from streams.window import DAY_MS, WindowError, named_range

WINDOWS = ("5m", "30m")
RANKING_WINDOW = "30m"
VERDICTS_WINDOW = "1h"
# A day's figures move slowly and are made of many panes: of few scopes, and to be read seldom.
DAY_WINDOW = "24h"
# Kinds whose values are a closed list, and kinds of which the largest values are named.
CLOSED_KINDS = (ALL.name, PLATFORM.name, SURFACE.name)
DAY_KINDS = (ALL.name, PLATFORM.name)
RANKED_KINDS = ("gateway", LIVE.name, "product")
DAY_RANKED_KINDS = (APP.name, *SELLERS)

# One gauge per event type and named id would be the bulk of all series; and what becomes of orders within
# half an hour says nothing of a live or a product. Those are asked of the API.
_OF_FEW_SCOPES = ("events_by_type.", "after_purchase.", "refunds.by_kind.")
RANKED_KPIS = tuple(kpi for kpi in KPIS if not kpi.path.startswith(_OF_FEW_SCOPES))
# Sellers see by the day whom they reach, who taps and what they sell; the rest is asked of the API.
_OF_SELLERS = frozenset(
    """reach.users events.product_impression events_by_type.product_view events.tag_tap orders items
    money.*.gmv_paid_minor money.*.gmv_net_minor""".split()
)
SELLER_KPIS = tuple(kpi for kpi in KPIS if kpi.path in _OF_SELLERS)


def kpis_of(kind: str) -> tuple[Kpi, ...]:
    """What is shown of the largest values of a kind."""
    return SELLER_KPIS if kind in SELLERS else RANKED_KPIS


@dataclass(frozen=True, slots=True)
class ScopeTotals:
    """What one scope's figures are made of, and the KPIs that are shown of it."""

    kind: str
    value: str
    totals: Totals
    kpis: tuple[Kpi, ...]


@dataclass(frozen=True, slots=True)
class WindowSurvey:
    """One window: its trust, the totals of each scope, and by kind whether a cap on values was met."""

    window: str
    currencies: tuple[str, ...]
    trust: Trust
    scopes: tuple[ScopeTotals, ...]
    capped: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Survey:
    """A moment's survey; `verdicts` are cells ``measure|topic`` of the last hour, `viewers_now` by live."""

    metas: tuple[Meta, ...]
    windows: tuple[WindowSurvey, ...]
    verdicts: Mapping[str, int]
    viewers_now: Mapping[str, int]


async def read_survey(model: ReadModel, ranking: Ranking, top_k: int) -> Survey:
    """Reads it. Raises StoreUnavailableError. A window that the settings don't keep is left out."""
    top: dict[str, list[str]] = {}
    try:
        _, asked = await model.over(RANKING_WINDOW)
        for kind in RANKED_KINDS:
            if kind in model.kinds:
                tally = await ranking.tally(kind, asked.panes)
                top[kind] = tally.named(top_k)
                # What belongs to no live is told as that, not among the rest of them.
                if kind in BOUGHT_FROM and any(UNATTRIBUTED in of_values for of_values in tally.gmv.values()):
                    top[kind].append(UNATTRIBUTED)
    except WindowError:
        top = {}
    kinds = _Kinds(CLOSED_KINDS, model.kinds)
    windows = [await _window(model, ranking, window, top, kinds) for window in WINDOWS]
    verdicts, viewers, metas = await _pipeline(model, _rooms(top))
    return Survey(metas, tuple(each for each in windows if each), verdicts, viewers)


async def read_day(model: ReadModel, ranking: Ranking, top_k: int) -> WindowSurvey | None:
    """The last day of the whole shop, platforms, the most used apps, best-selling brands and merchants; None
    if it is not kept.

    Raises StoreUnavailableError.
    """
    # Apps by the days of their monthly users.
    top = {
        kind: await _largest(model, ranking, kind, _last_month if kind == APP.name else DAY_WINDOW, top_k)
        for kind in DAY_RANKED_KINDS
        if kind in model.kinds
    }
    return await _window(model, ranking, DAY_WINDOW, top, _Kinds(DAY_KINDS, (*DAY_KINDS, *top)))


async def _largest(
    model: ReadModel, ranking: Ranking, kind: str, over: str | RangeAt, top_k: int
) -> list[str]:
    """The largest values of a kind in a window; none if that is not kept."""
    try:
        _, asked = await model.over(over)
    except WindowError:
        return []
    return (await ranking.tally(kind, asked.panes)).named(top_k)


def _last_month(moment: Moment) -> tuple[int, int]:
    """The days of which an app's monthly users are."""
    to_ms = moment.now_ms - moment.now_ms % DAY_MS
    return to_ms - MONTH_DAYS * DAY_MS, to_ms


def _rooms(top: Mapping[str, Sequence[str]]) -> list[str]:
    """The named lives that are lives of somebody."""
    return [of for of in top.get(LIVE.name, ()) if of != UNATTRIBUTED]


async def _pipeline(
    model: ReadModel, lives: Sequence[str]
) -> tuple[Mapping[str, int], Mapping[str, int], tuple[Meta, ...]]:
    """Verdicts of the last hour, viewers now by live, and the metas."""
    details = DetailsPlan(lives=tuple(lives))
    try:
        view, asked = await model.over(
            VERDICTS_WINDOW, lambda asked, _moment: [cells(PIPELINE.name, asked.panes), *details.requests]
        )
    except WindowError:
        return {}, {}, await model.metas()
    rooms = details.read(view).rooms
    viewers = {live: viewers_now(room, view.moment.now_ms) for live, room in rooms.items()}
    known = {live: n for live, n in viewers.items() if n is not None}
    return view.sums(cells(PIPELINE.name, asked.panes)), known, view.metas


class _Kinds(NamedTuple):
    """Kinds of scope: whose values are all told (`closed`), and whose cap is told (`capped`)."""

    closed: Collection[str]
    capped: Collection[str]


class _WindowPlan:
    """What is read of one window. Raises WindowError if it is not kept."""

    def __init__(
        self,
        model: ReadModel,
        window: str,
        top: Mapping[str, list[str]],
        kinds: _Kinds,
        moment: Moment,
    ) -> None:
        self.range = model.range(named_range(window, moment.now_ms), moment)
        self.currencies = moment.currencies
        panes = self.range.panes
        self.closed = {kind: cells(kind, panes) for kind in kinds.closed if kind in model.kinds}
        # Users are counted where few scopes are shown: the shop, platforms, the largest lives, apps, sellers.
        with_users = [(ALL.name, ""), *((PLATFORM.name, of) for of in (*model.settings.platforms, OTHER))]
        with_users += [(LIVE.name, of) for of in _rooms(top)]
        with_users += [(kind, of) for kind in DAY_RANKED_KINDS for of in top.get(kind, ())]
        range_ms = self.range.from_ms, self.range.to_ms
        self.sheets = {
            (kind, of): Sheet(model, Scope(kind, of), range_ms, moment)
            for kind, of in dict.fromkeys(with_users)
            if kind in model.kinds
        }
        # The others are read together; a sheet reads the cells of its own.
        self.named: dict[str, CellsRequest] = {}
        self.aged: dict[tuple[str, str], AgedParts] = {}
        for kind, values in top.items():
            others = [of for of in values if (kind, of) not in self.sheets]
            measures = stored_measures(kind, model.figures, moment.currencies, kpis_of(kind))
            # Without a field there is nothing to ask; an empty list of fields would mean all of them.
            fields = [f"{measure}|{of}" for of in others for measure in measures]
            self.named[kind] = cells(kind, panes if fields else (), fields)
            for of in others:
                self.aged[kind, of] = AgedParts(model, Scope(kind, of), range_ms, moment)
        self.caps = {
            kind: cells(kind, panes, capped)
            for kind in kinds.capped
            if (capped := capped_cells(kind, model.figures))
        }

    @property
    def requests(self) -> list[Request]:
        """All of it."""
        sheets = [request for sheet in self.sheets.values() for request in sheet.requests]
        aged = [request for parts in self.aged.values() for request in parts.requests]
        return [*self.closed.values(), *self.named.values(), *self.caps.values(), *sheets, *aged]

    def found(self, view: View, kind: str, values: Iterable[str]) -> dict[str, Mapping[str, int]]:
        """What these values of a ranked kind have in cells."""
        together = view.values(self.named[kind])
        sheets = {of: self.sheets.get((kind, of)) for of in values}
        return {
            of: together.get(of, {}) if sheet is None else sheet.sums(view) for of, sheet in sheets.items()
        }

    def totals(self, view: View, kind: str, value: str, own: Mapping[str, int]) -> Totals:
        """Of one scope; `own` is what it has in cells."""
        sheet = self.sheets.get((kind, value))
        if sheet is not None:
            return sheet.totals(view)
        if (kind, value) in self.aged:
            own = self.aged[kind, value].added_to(own, view)
        return Totals(own, capped=frozenset(Group) if self.is_capped(view, kind) else frozenset())

    def is_capped(self, view: View, kind: str) -> bool:
        """Whether the cap on values was met for the kind."""
        return kind in self.caps and any(view.sums(self.caps[kind]).values())


async def _window(
    model: ReadModel,
    ranking: Ranking,
    window: str,
    top: Mapping[str, list[str]],
    kinds: _Kinds,
) -> WindowSurvey | None:
    try:
        view, plan = await model.view(lambda moment: _WindowPlan(model, window, top, kinds, moment))
    except WindowError:
        return None
    scopes: list[ScopeTotals] = []
    for kind, request in plan.closed.items():
        for of, own in sorted(view.values(request).items()):
            scopes.append(ScopeTotals(kind, of, plan.totals(view, kind, of, own), KPIS))
    for kind, values in top.items():
        found = plan.found(view, kind, values)
        tally = await ranking.tally(kind, plan.range.panes)
        for of, sums in found.items():
            totals = plan.totals(view, kind, of, sums)
            scopes.append(ScopeTotals(kind, of, totals, kpis_of(kind)))
        rest = plan.totals(view, kind, OTHER, remaining(tally.totals, found.values()))
        scopes.append(ScopeTotals(kind, OTHER, rest, kpis_of(kind)))
    trusted = await model.trust(
        view, (plan.range.from_ms, plan.range.to_ms), ALL.name if plan.closed else model.kinds[0]
    )
    capped = {kind: plan.is_capped(view, kind) for kind in plan.caps}
    return WindowSurvey(window, plan.currencies, trusted, tuple(scopes), capped)

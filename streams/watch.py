"""The watch over conversion: reads what is new, judges it, and keeps what it found until it looks again.

It stands between the store and whoever shows or pages: gauges, ``/api/v1/drops``, ``/api/v1/causes``. It is a
task of the read service. Where figures can't be trusted (Redis away, the pipeline behind, a source silent)
it says so and judges nothing: those are troubles with names of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from streams.answer import QuestionError, Scope, parse_scope
from streams.cause_slices import CauseSlices
from streams.causes import Cause, everywhere, ranked
from streams.changes import Change, Kind
from streams.cohorts import ATTEMPT_HORIZON_MIN, RUNGS_MIN, State
from streams.funnel import SESSION_TOPICS
from streams.judgement import Ends, Judged, Judgement, Watched
from streams.lasting import Key, Lasting
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.reading import View
from streams.requests import Meta
from streams.scopes import ALL
from streams.store import StoreCorruptError, StoreUnavailableError
from streams.survey import RANKING_WINDOW
from streams.usual_sales import Failing, Refunds, Sales, UsualSales
from streams.watch_scopes import COHORT, WatchedScopes, hour_cells, minute_cells
from streams.watch_tables import Table
from streams.window import HOUR_MS, MINUTE_MS, WindowError

EVERY_S: Final = 10.0
# What was found is told for so long, if nothing newer comes.
FRESH_MS: Final = MINUTE_MS
# As the rules' own guard: what is older says nothing about now.
CURRENT_WITHIN_MS: Final = 2 * MINUTE_MS
# Sessions change until they are past the horizon, by events that are up to 5 min late; and some reserve.
SETTLED_AFTER_MIN: Final = 10
# Four weeks before the longest window, widened; and four weeks of days before today.
HOURS: Final = 30 * 24
# So many drops are explained at a time, first those of the whole shop.
EXPLAINED_MAX: Final = 12
CAUSES_OF_DROP: Final = 5
CAUSES_ASKED: Final = 20
# The time that is looked at where nothing fell.
CAUSES_MIN: Final = 60

_log = logging.getLogger(__name__)


class Flags(Protocol):
    """Spans of time of which figures say nothing."""

    async def flagged(self, from_ms: int, to_ms: int) -> Collection[tuple[int, int]]:
        """Spans [from, to) within [from_ms, to_ms)."""

    async def standing(self, now_ms: int) -> Sequence[Change]:
        """What flags the time that goes on."""

    async def note(self, kind: Kind, title: str, from_ms: int, to_ms: int) -> None:
        """Keeps a span that was seen here."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Causes of a drop, looked for in [from_ms, to_ms)."""

    from_ms: int
    to_ms: int
    causes: Sequence[Cause]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the watch found when it looked last.

    Attributes:
        as_of_ms: up to when it looked; None before it could.
        horizon_ms: how long a session had for its steps.
        judged: every scope and step.
        unseen: those that fell, perhaps before anybody looked: then they began at their `since` or earlier.
        explained: causes, of those that fell.
        worth: minor units that an order brings, by currency, for the scopes that fell.
        left_out: flags that stand: nothing that happens now is judged.
        sales, refunds, failing: figures that are compared with what is usual.
    """

    as_of_ms: int | None
    horizon_ms: int
    judged: Sequence[Judged]
    unseen: Collection[Key] = frozenset()
    explained: Mapping[Key, Explained] = field(default_factory=dict)
    worth: Mapping[Scope, Mapping[str, float]] = field(default_factory=dict)
    left_out: Sequence[Change] = ()
    sales: Sequence[Sales] = ()
    refunds: Sequence[Refunds] = ()
    failing: Sequence[Failing] = ()


def is_watchable(model: ReadModel) -> bool:
    """Whether what the watch looks at is kept, with these settings."""
    lengths_ms = {size.size_ms for size in model.sizes}
    return model.figures.measures.issuperset(COHORT) and lengths_ms.issuperset((MINUTE_MS, HOUR_MS))


class Watch:
    """Looks again and again; `found` is what it knows."""

    def __init__(self, model: ReadModel, ranking: Ranking, flags: Flags) -> None:
        """Of a model that `is_watchable`."""
        sizes = {size.size_ms: size for size in model.sizes}
        self._model = model
        self._flags = flags
        self._horizon_ms = model.settings.cohort_horizon_ms
        horizon_min = -(-self._horizon_ms // MINUTE_MS)
        self._minutes = Table(sizes[MINUTE_MS], RUNGS_MIN[-1] + horizon_min + 3 * SETTLED_AFTER_MIN)
        self._hours = Table(sizes[HOUR_MS], HOURS)
        self._scopes = WatchedScopes(model, ranking, sizes[HOUR_MS])
        self._slices = CauseSlices(model, ranking)
        self._judgement = Judgement(self._minutes, self._hours)
        self._lasting = Lasting()
        self._watched = Watched(platforms=self._scopes.platforms)
        # Of each partition the number of its last write and its highest event time; the lowest watermark.
        self._seen: tuple[Sequence[tuple[int, int]], int] = ((), 0)
        self._looked_at: tuple[Ends, Collection[tuple[int, int]]] | None = None
        self._trouble = ""
        self._found = self._unknown()
        self._found_ms = 0

    @property
    def found(self) -> Findings:
        """What is known now; what is older than a minute is known no more."""
        is_fresh = self._model.clock() - self._found_ms <= FRESH_MS
        return self._found if is_fresh else self._unknown()

    async def run(self) -> None:
        """Looks every EVERY_S until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Looks once. Whatever goes wrong is logged once, and told as a state."""
        trouble = ""
        try:
            await self._look()
        except (StoreUnavailableError, StoreCorruptError, WindowError) as error:
            trouble = type(error).__name__
            if trouble != self._trouble:
                _log.warning("conversion is not watched: %s", error)
        except Exception as error:  # A watch that ends by one fault would be silent for good.
            trouble = type(error).__name__
            if trouble != self._trouble:
                _log.exception("conversion is not watched")
        self._trouble = trouble
        if trouble:
            self._found, self._looked_at = self._unknown(), None
        self._found_ms = self._model.clock()

    async def causes(self, scope_text: str, step_name: str) -> tuple[Judged, Explained]:
        """What explains the fall of a step in a scope, or its last hour where nothing fell.

        Raises QuestionError, StoreUnavailableError.
        """
        scope = parse_scope(scope_text, self._model.kinds)
        judged = [each for each in self.found.judged if each.scope == scope]
        if not judged:
            raise QuestionError(f"{str(scope)[:80]!r} is not watched; /api/v1/drops names what is")
        steps = {each.step.name: each for each in judged}
        if step_name not in steps:
            raise QuestionError(f"unknown step {step_name[:40]!r}; known here: {' '.join(steps)}")
        if self._looked_at is None:
            raise StoreUnavailableError("conversion is not watched now, figures are not current; ask later")
        ends, _ = self._looked_at
        return steps[step_name], await self._explained(steps[step_name], ends, CAUSES_ASKED)

    async def _look(self) -> None:
        view, asked = await self._model.over(RANKING_WINDOW)
        trusted = await self._model.trust(view, (asked.from_ms, asked.to_ms), ALL.name)
        now_ms, as_of_ms = view.moment.now_ms, trusted.as_of_ms
        self._forget_if_rolled_back(view.metas, as_of_ms or 0)
        silent = sorted(trusted.silent_topics & SESSION_TOPICS)
        for topic in silent:
            await self._flags.note(Kind.OUTAGE, f"no source of {topic}", _last_sign_ms(view, topic), now_ms)
        standing = await self._flags.standing(now_ms)
        if as_of_ms is None or now_ms - as_of_ms > CURRENT_WITHIN_MS or silent:
            self._found, self._looked_at = replace(self._unknown(as_of_ms), left_out=standing), None
            return
        until_ms = min(as_of_ms, now_ms)
        sales = until_ms // MINUTE_MS
        ends = Ends((until_ms - self._horizon_ms) // MINUTE_MS, sales - ATTEMPT_HORIZON_MIN, sales)
        flagged = await self._flags.flagged(now_ms - HOURS * HOUR_MS, now_ms)
        if (ends, flagged) == self._looked_at:
            self._found = replace(self._found, as_of_ms=as_of_ms, left_out=standing)
            return
        self._watched = await self._scopes.read(until_ms)
        await self._read(view, ends)
        found = await asyncio.to_thread(self._judge, ends, flagged, view.moment.currencies)
        self._looked_at = ends, flagged
        self._slices.forget()
        # A drop is told before it is explained: explanations take readings, and one that fails hides no drop.
        # Until then what explained it a minute ago stands: a page that is sent meanwhile names its cause.
        fallen = {(each.scope, each.step) for each in found.judged if each.fall is not None}
        kept = {key: known for key, known in self._found.explained.items() if key in fallen}
        self._found = replace(found, as_of_ms=as_of_ms, left_out=standing, explained=kept)
        self._found_ms = self._model.clock()
        self._found = replace(self._found, explained=await self._causes_of(found.judged, ends))

    async def _read(self, view: View, ends: Ends) -> None:
        """What is new in the tables."""
        store, currencies, high_ms = self._model.store, view.moment.currencies, view.moment.high_ms
        settled = ends.sessions - SETTLED_AFTER_MIN
        of_minutes, of_hours = minute_cells(self._watched, currencies), hour_cells(self._watched, currencies)
        await self._minutes.refresh(store, of_minutes, settled, ends.sales, high_ms)
        await self._hours.refresh(store, of_hours, settled // 60, ends.sales // 60 + 1, high_ms)

    def _judge(self, ends: Ends, flagged: Collection[tuple[int, int]], currencies: Sequence[str]) -> Findings:
        """Everything that needs no reading; takes a while, so in a thread of its own."""
        spans = [
            ((from_ms - self._horizon_ms) // MINUTE_MS, -(-to_ms // MINUTE_MS)) for from_ms, to_ms in flagged
        ]
        judged = self._judgement.judge(self._watched, ends, spans)
        judged, unseen = self._lasting.told(judged, self._judgement.evened, ends.of)
        usual = UsualSales(self._judgement, currencies)
        return Findings(
            as_of_ms=None,
            horizon_ms=self._horizon_ms,
            judged=judged,
            unseen=unseen,
            worth={each.scope: usual.order_worth(each.scope) for each in judged if each.fall is not None},
            sales=usual.sales(),
            refunds=usual.refunds(),
            failing=usual.failing(),
        )

    async def _causes_of(self, judged: Sequence[Judged], ends: Ends) -> Mapping[Key, Explained]:
        explained: dict[Key, Explained] = {}
        for each in [each for each in judged if each.fall is not None][:EXPLAINED_MAX]:
            try:
                explained[each.scope, each.step] = await self._explained(each, ends, CAUSES_OF_DROP)
            except (StoreUnavailableError, WindowError) as error:
                _log.warning("causes of a drop are not known: %s", error)
                break
        return explained

    async def _explained(self, judged: Judged, ends: Ends, limit: int) -> Explained:
        end = ends.of(judged.step)
        fall = judged.fall
        began = end - CAUSES_MIN if fall is None else min(fall.since_minute, end - fall.reading.window_min)
        # Of a drop that lasts longer the hours that are kept say why.
        began = max(began, self._minutes.first)
        parts = await self._slices.read(judged.scope, judged.step, self._watched, ends, began)
        causes = ranked(parts, limit)
        if fall is not None and not causes:
            causes = [everywhere(fall.reading.n, fall.reading.k, fall.reading.ratio)]
        return Explained(began * MINUTE_MS, end * MINUTE_MS, causes)

    def _unknown(self, as_of_ms: int | None = None) -> Findings:
        """That nothing can be said of what is watched."""
        judged = [Judged(*each, State.NOT_CURRENT, ()) for each in self._watched.steps()]
        return Findings(as_of_ms, self._horizon_ms, judged)

    def _forget_if_rolled_back(self, metas: Collection[Meta], as_of_ms: int) -> None:
        """Redis may have lost its last second, or everything: then nothing that was read holds."""
        seen = [(meta.number("seq") or 0, meta.number("h") or 0) for meta in metas]
        before, as_of_before_ms = self._seen
        fell = [now for now, then in zip(seen, before, strict=False) if now[0] < then[0] or now[1] < then[1]]
        if fell or as_of_ms < as_of_before_ms:
            for part in (self._minutes, self._hours, self._scopes, self._judgement, self._lasting):
                part.forget()
            self._looked_at = None
        self._seen = seen, as_of_ms


def _last_sign_ms(view: View, topic: str) -> int:
    """When the source of a topic was last heard of: by its heartbeat, or where it sends none by a record."""
    for fact in ("hb", "src"):
        known = [at_ms for meta in view.metas if (at_ms := meta.number(f"{fact}:{topic}")) is not None]
        if known:
            return max(known)
    return view.moment.now_ms

"""The slices among which the cause of a drop is looked for, read from Redis only when they are asked for.

It stands between the store and `causes`. Where a kind of scope keeps sessions, sessions are compared, of the
gateways payment attempts; of products, app versions and the like the events of both steps: these up to
now, because events wait for no horizon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from streams.answer import Scope
from streams.catalogue import ATTEMPTS, PAY_AUTHORISED
from streams.causes import Part, Slice, plain
from streams.cohorts import ATTEMPT, STEPS, Step, Tally
from streams.judgement import Ends, Watched
from streams.ranking import VIEWS, Ranking
from streams.read_model import ReadModel
from streams.reading import Moment, View
from streams.requests import CellsRequest, Request, cells
from streams.scopes import (
    ALL,
    CREATOR,
    LIVE,
    LIVE_PRODUCT,
    NO_NAMES,
    PLATFORM,
    PLATFORM_GATEWAY,
    PLATFORM_SURFACE,
    PRODUCT,
    split_pair,
)
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS, Pane

# Values of a kind whose values come from clients: the first ones by GMV, then by views.
VALUES_MAX: Final = 50
_RANKED_MAX: Final = 1_000
_ALL: Final = Scope(ALL.name, "")
_VIEWED: Final = tuple(sorted(VIEWS))
_TAPPED: Final = ("events.tag_tap",)
_CARTED: Final = ("events.add_to_cart", "events.begin_checkout")
_BOUGHT: Final = ("events.purchase",)
_EVENTS: Final = dict(
    zip(
        (step.name for step in STEPS),
        ((_VIEWED, _TAPPED), (_TAPPED, _CARTED), (_CARTED, _BOUGHT), (_VIEWED, _BOUGHT)),
        strict=True,
    )
)
# A product is shown, not viewed: views seldom name one.
_OF_PRODUCTS: Final = _EVENTS | {
    STEPS[0].name: (("events.product_impression",), _TAPPED),
    STEPS[3].name: (_TAPPED, _BOUGHT),
}
_OF_CLIENTS: Final = ("app_version", "client_os", "country")


@dataclass(frozen=True, slots=True)
class Cut:
    """One way of cutting a scope: the scope, the kind and values of its slices as stored, the measures that
    took part and that reached the step, and where its time ends (a minute since 1970)."""

    whole: Scope
    kind: str
    values: tuple[str, ...]
    took_part: tuple[str, ...]
    reached: tuple[str, ...]
    end_minute: int

    def fields(self, values: Iterable[str]) -> list[str]:
        """The cells of these values."""
        return [f"{measure}|{of}" for of in values for measure in (*self.took_part, *self.reached)]

    def tally(self, found: Mapping[str, int], value: str) -> Tally:
        """The tally of one value, from the cells that were found."""
        n, k = (
            sum(found.get(f"{measure}|{value}", 0) for measure in measures)
            for measures in (self.took_part, self.reached)
        )
        return Tally(n, k)


class CauseSlices:
    """Reads slices; which values are looked at follows from the ranking."""

    def __init__(self, model: ReadModel, ranking: Ranking) -> None:
        self._model = model
        self._ranking = ranking
        self._known: dict[tuple[str, range, str | None], tuple[str, ...]] = {}

    def forget(self) -> None:
        """Which values are the largest: they are looked for again."""
        self._known.clear()

    async def read(
        self, scope: Scope, step: Step, watched: Watched, ends: Ends, from_minute: int
    ) -> list[Part]:
        """The parts of the scope, and of the shop where no slice of the scope is kept, from `from_minute`
        (since 1970) on and over the day before. Raises StoreUnavailableError and WindowError."""
        # Without a value there is nothing to ask; an empty list of fields would mean all of them.
        cuts = [cut for cut in await self._cuts(scope, step, watched, ends, from_minute) if cut.values]
        view, plan = await self._model.view(lambda moment: _Plan(self._model, cuts, from_minute, moment))
        return plan.parts(view)

    async def _cuts(
        self, scope: Scope, step: Step, watched: Watched, ends: Ends, from_minute: int
    ) -> list[Cut]:
        hours_ms = (from_minute * MINUTE_MS - HOUR_MS, ends.sales * MINUTE_MS)
        of_sessions = ((step.whole,), (step.part,), ends.sessions)
        of_payments = ((ATTEMPTS.name,), (PAY_AUTHORISED.name,), ends.attempts)
        cuts: list[Cut] = []
        if scope.kind == ALL.name:
            cuts.append(Cut(scope, PLATFORM.name, tuple(watched.platforms), *of_sessions))
        if scope.kind in (ALL.name, PLATFORM.name):
            cuts.append(
                Cut(scope, PLATFORM_SURFACE.name, _of_platform(scope, watched.surfaces), *of_sessions)
            )
            cuts.append(Cut(_ALL, CREATOR.name, await self._largest(CREATOR.name, hours_ms), *of_sessions))
        if step.part in (STEPS[-1].part, ATTEMPT.part):
            of = scope if scope.kind == PLATFORM.name else _ALL
            cuts.append(Cut(of, PLATFORM_GATEWAY.name, _of_platform(of, watched.gateways), *of_payments))
        if scope.kind == LIVE.name:
            products = await self._largest(LIVE_PRODUCT.name, hours_ms, scope.value)
            cuts.append(Cut(scope, LIVE_PRODUCT.name, products, *_OF_PRODUCTS[step.name], ends.sales))
        elif step != ATTEMPT:
            products = await self._largest(PRODUCT.name, hours_ms)
            cuts.append(Cut(_ALL, PRODUCT.name, products, *_OF_PRODUCTS[step.name], ends.sales))
        for kind in _OF_CLIENTS:
            measured = of_payments if step == ATTEMPT else (*_EVENTS[step.name], ends.sales)
            cuts.append(Cut(_ALL, kind, await self._largest(kind, hours_ms), *measured))
        return cuts

    async def _largest(
        self, kind: str, hours_ms: tuple[int, int], live: str | None = None
    ) -> tuple[str, ...]:
        """The largest values in the hours that [from, to) touches; of pairs those of the live."""
        size = next(size for size in self._model.sizes if size.size_ms == HOUR_MS)
        starts = range(size.start_of(hours_ms[0]), hours_ms[1], HOUR_MS)
        key = (kind, starts, live)
        if key not in self._known:
            panes = [Pane(size, start_ms) for start_ms in starts]
            tally = await self._ranking.tally(kind, panes)
            values = (of for of in tally.order(_RANKED_MAX) if of not in NO_NAMES)
            of_live = (of for of in values if live is None or split_pair(of)[0] == live)
            self._known[key] = tuple(islice(of_live, VALUES_MAX))
        return self._known[key]


def _of_platform(scope: Scope, pairs: Iterable[str]) -> tuple[str, ...]:
    """The pairs of the platform; of the whole shop all of them."""
    return tuple(pair for pair in pairs if scope.kind != PLATFORM.name or split_pair(pair)[0] == scope.value)


class _Plan:
    """What is read of all cuts."""

    def __init__(self, model: ReadModel, cuts: Sequence[Cut], from_minute: int, moment: Moment) -> None:
        self._cuts = cuts
        self._asked: list[tuple[CellsRequest, ...]] = []
        for cut in cuts:
            from_ms, to_ms = from_minute * MINUTE_MS, cut.end_minute * MINUTE_MS
            before_ms = from_ms - DAY_MS - from_ms % HOUR_MS
            ranges = [model.range(of, moment).panes for of in ((from_ms, to_ms), (before_ms, from_ms))]
            scopes = ((cut.whole.kind, [cut.whole.value]), (cut.kind, cut.values))
            self._asked.append(
                tuple(cells(kind, panes, cut.fields(values)) for kind, values in scopes for panes in ranges)
            )

    @property
    def requests(self) -> list[Request]:
        """All of it."""
        return [request for asked in self._asked for request in asked]

    def parts(self, view: View) -> list[Part]:
        """The parts as they were read."""
        made: list[Part] = []
        for cut, asked in zip(self._cuts, self._asked, strict=True):
            now_of_whole, whole_before, now, before = (view.sums(request) for request in asked)
            of = cut.whole.value
            whole = Slice(str(cut.whole), cut.tally(now_of_whole, of), cut.tally(whole_before, of))
            slices = [
                Slice(_text(cut, of), cut.tally(now, of), cut.tally(before, of), _product(cut, of))
                for of in cut.values
            ]
            made.append(Part(whole, slices))
        return made


def _text(cut: Cut, value: str) -> str:
    """How a slice is called: ``gateway adyen on tiktok``, ``product p1``."""
    if "," not in cut.kind:
        return plain(f"{cut.kind} {value}")
    first, second = split_pair(value)
    name = cut.kind.partition(",")[2]
    return plain(f"{name} {second}" if cut.kind == LIVE_PRODUCT.name else f"{name} {second} on {first}")


def _product(cut: Cut, value: str) -> str | None:
    if cut.kind == LIVE_PRODUCT.name:
        return split_pair(value)[1]
    return value if cut.kind == PRODUCT.name else None

"""Which scopes are watched, and which cells that takes: closed lists, gateways in use, the largest lives.

It stands between the store and the tables of the watch. What comes from clients is bounded: of lives the
first ones by views, with their creators.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from schemas.fields import SURFACES
from streams.catalogue import (
    ATTEMPTS,
    GMV_PAID,
    ORDERS_IN_CURRENCY,
    PAY_AUTHORISED,
    PAY_ERRORS,
    PAY_PENDING,
    REFUNDS,
)
from streams.cohorts import STEPS
from streams.details import DetailsPlan
from streams.judgement import LIVE_SURFACE, Live, Watched
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.requests import cells
from streams.rooms import STEP_MAX_MS, Room
from streams.scopes import (
    ALL,
    CREATOR,
    LIVE,
    NO_NAMES,
    OTHER,
    PLATFORM,
    PLATFORM_GATEWAY,
    PLATFORM_SURFACE,
    pair_value,
)
from streams.survey import RANKING_WINDOW
from streams.watch_tables import Cell
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS, Pane, PaneSize

COHORT: Final = tuple(dict.fromkeys(name for step in STEPS for name in (step.whole, step.part)))
PAYMENTS: Final = (ATTEMPTS.name, PAY_AUTHORISED.name, PAY_ERRORS.name, PAY_PENDING.name)
SOLD: Final = (GMV_PAID, ORDERS_IN_CURRENCY)
# The order service names its gateways; more than this is no list of gateways any more.
GATEWAYS_MAX: Final = 100


class WatchedScopes:
    """Finds out what is watched; remembers the gateways' attempts of the last day.

    Attributes:
        platforms: those that are told apart, and ``other``.
    """

    def __init__(self, model: ReadModel, ranking: Ranking, hour: PaneSize) -> None:
        self._model = model
        self._ranking = ranking
        self._hour = hour
        self.platforms = tuple(dict.fromkeys((*model.settings.platforms, OTHER)))
        # By platform and gateway: attempts by the start of the hour in ms.
        self._gateways: dict[str, dict[int, int]] = {}
        self._read_to_ms = 0

    def forget(self) -> None:
        """Everything that is remembered."""
        self._gateways.clear()
        self._read_to_ms = 0

    async def read(self, to_ms: int) -> Watched:
        """What is watched at `to_ms`. Raises StoreUnavailableError, and WindowError of a short retention."""
        lives = await self._lives()
        return Watched(
            platforms=self.platforms,
            surfaces=await self._surfaces(to_ms),
            gateways=await self._gateways_in_use(to_ms),
            lives=lives,
        )

    def _hours(self, from_ms: int, to_ms: int) -> list[Pane]:
        return [Pane(self._hour, at) for at in range(self._hour.start_of(from_ms), to_ms, HOUR_MS)]

    async def _surfaces(self, to_ms: int) -> list[str]:
        """The surfaces of platforms on which anybody was in the last day."""
        views = COHORT[0]
        pairs = [pair_value(platform, of) for platform in self.platforms for of in sorted(SURFACES)]
        fields = [f"{views}|{pair}" for pair in pairs]
        reading = await self._model.store.read(
            [cells(PLATFORM_SURFACE.name, self._hours(to_ms - DAY_MS, to_ms), fields)]
        )
        return [pair for pair, name in zip(pairs, fields, strict=True) if reading.sums[0].get(name)]

    async def _gateways_in_use(self, to_ms: int) -> list[str]:
        """The gateways of platforms with most attempts in the last day, of equally many the first by name.

        All hours are read the first time, then those that still go on.
        """
        for pane in self._hours(max(self._read_to_ms - HOUR_MS, to_ms - DAY_MS), to_ms):
            attempts: Counter[str] = Counter()
            reading = await self._model.store.read([cells(PLATFORM_GATEWAY.name, [pane])])
            for cell, n in reading.sums[0].items():
                measure, _, pair = cell.partition("|")
                if measure == ATTEMPTS.name:
                    attempts[pair] += n
            for pair, n in attempts.items():
                self._gateways.setdefault(pair, {})[pane.start_ms] = n
        self._read_to_ms = to_ms
        of_day: dict[str, int] = {}
        for pair, by_hour in list(self._gateways.items()):
            kept = {at: n for at, n in by_hour.items() if at > to_ms - DAY_MS and n}
            if kept:
                self._gateways[pair], of_day[pair] = kept, sum(kept.values())
            else:
                del self._gateways[pair]
        return sorted(heapq.nsmallest(GATEWAYS_MAX, of_day, key=lambda pair: (-of_day[pair], pair)))

    async def _lives(self) -> dict[str, Live]:
        """The lives with most views of late, and what is known of their rooms."""
        view, asked = await self._model.over(RANKING_WINDOW)
        tally = await self._ranking.tally(LIVE.name, asked.panes)
        largest = heapq.nsmallest(
            self._model.settings.top_k,
            (live for live in tally.views if live not in NO_NAMES),
            key=lambda live: (-tally.views[live], live),
        )
        if not largest:
            return {}
        plan = DetailsPlan(lives=tuple(largest))
        view, _ = await self._model.view(lambda _moment: plan)
        rooms = plan.read(view).rooms
        return {live: self._live(rooms.get(live), view.moment.now_ms) for live in largest}

    def _live(self, room: Room | None, now_ms: int) -> Live:
        """A live is over with its end, or with its last heartbeat if no other came."""
        if room is None:
            return Live()
        over_ms = room.ended_ms
        if over_ms is None and room.heartbeats and now_ms - room.heartbeats[-1].time_ms > STEP_MAX_MS:
            over_ms = room.heartbeats[-1].time_ms
        if over_ms is None:
            return Live(room.creator_id, room.platform)
        over_minute = (over_ms - self._model.settings.cohort_horizon_ms) // MINUTE_MS
        return Live(room.creator_id, room.platform, over_minute)


def minute_cells(watched: Watched, currencies: Sequence[str]) -> set[Cell]:
    """What is needed of each minute."""
    sold = [measure.stored_as(currency) for measure in SOLD for currency in currencies]
    return {
        *_cells(ALL.name, [""], (*COHORT, *sold)),
        *_cells(PLATFORM.name, watched.platforms, (*COHORT, *sold)),
        *_cells(LIVE.name, watched.lives, (*COHORT, *sold)),
        *_cells(PLATFORM_SURFACE.name, watched.surfaces, COHORT),
        *_cells(PLATFORM_GATEWAY.name, watched.gateways, PAYMENTS),
    }


def hour_cells(watched: Watched, currencies: Sequence[str]) -> set[Cell]:
    """What is needed of each hour."""
    money = [measure.stored_as(currency) for measure in (*SOLD, REFUNDS) for currency in currencies]
    return {
        *_cells(ALL.name, [""], (*COHORT, *money)),
        *_cells(PLATFORM.name, watched.platforms, (*COHORT, *money)),
        *_cells(PLATFORM_SURFACE.name, watched.surfaces, COHORT),
        *_cells(PLATFORM_GATEWAY.name, watched.gateways, PAYMENTS),
        *_cells(LIVE_SURFACE.kind, [LIVE_SURFACE.value], COHORT),
        *_cells(CREATOR.name, [of.creator_id for of in watched.lives.values() if of.creator_id], COHORT),
    }


def _cells(kind: str, values: Iterable[str], measures: Collection[str]) -> set[Cell]:
    return {Cell(kind, of, measure) for of in values for measure in measures}

"""Which values of a kind of scope are the largest: top lives and products, and the sum over all values.

It stands beside the read model. Cells are kept per value and there is no index by size, so panes are walked
in small steps that hold up no writer; a pane is walked again only after it changed, and of each pane only
the largest values are remembered. Which value ranks where is therefore near enough; its figures are not
taken from here where they must be exact.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from schemas.events import Active, Share, ShareOpen, TagTap
from streams.answer import is_highest
from streams.catalogue import CAPPED, EVENT_COUNTS, GMV_PAID, ORDERS_IN_CURRENCY
from streams.kpi import measures_of
from streams.kpis import KPIS
from streams.marks import Standing
from streams.read_store import ReadStore
from streams.requests import Meta
from streams.scopes import APP, CHANNEL, MINI_PROGRAM_CHANNEL, NO_NAMES
from streams.window import Pane

# Who is not among so many in any pane of any partition is not among the first 100 of them all.
VALUES_A_PANE = 1_000
# Some 100 bytes each.
VALUES_REMEMBERED = 1_000_000
# So many walked panes, most of them of few values or none.
PANES_REMEMBERED = 20_000
# A pane is held whole while it is walked: under an attack on the number of values tens of MB.
WALKS_AT_ONCE = 4

VIEWS = frozenset(
    measure.name for kpi in KPIS if kpi.path == "events.view" for measure in measures_of(kpi.formula)
)
_TAPS = EVENT_COUNTS[TagTap].name
# Nobody views a channel or an app: shares and their opens rank it, and who is active.
_SHARED = frozenset({EVENT_COUNTS[Share].name, EVENT_COUNTS[ShareOpen].name})
_VIEWS_OF = MappingProxyType(
    {
        CHANNEL.name: _SHARED,
        MINI_PROGRAM_CHANNEL.name: _SHARED,
        APP.name: frozenset({EVENT_COUNTS[Active].name}),
    }
)
_COUNTS = MappingProxyType({measure.name: measure for measure in EVENT_COUNTS.values()})
_GMV = f"{GMV_PAID.name}:"
_ORDERS = f"{ORDERS_IN_CURRENCY.name}:"


def is_ranked(kind: str) -> bool:
    """Whether the values of a kind of scope have anything to be ordered by: GMV, or what counts as views."""
    views = _VIEWS_OF.get(kind, VIEWS)
    return kind in GMV_PAID.kinds or any(kind in _COUNTS[name].kinds for name in views)


@dataclass(slots=True)
class Tally:
    """What is remembered of a pane, or of several added up.

    Attributes:
        totals: per stored measure, over all values; highest values have no total.
        gmv: per currency, the largest values' GMV paid.
        views: the largest values' view events.
        taps: the largest values' tag taps.
    """

    totals: dict[str, int] = field(default_factory=dict)
    gmv: dict[str, dict[str, int]] = field(default_factory=dict)
    views: dict[str, int] = field(default_factory=dict)
    taps: dict[str, int] = field(default_factory=dict)

    def add_cell(self, cell: str, amount: int, views: Collection[str] = VIEWS) -> None:
        """Adds one cell ``measure|value``; `views` are the measures that count as views."""
        measure, _, of = cell.partition("|")
        if measure == CAPPED.name or is_highest(measure):
            return
        _add(self.totals, measure, amount)
        if measure.startswith(_GMV):
            _add(self.gmv.setdefault(measure.removeprefix(_GMV), {}), of, amount)
        elif measure in views:
            _add(self.views, of, amount)
        elif measure == _TAPS:
            _add(self.taps, of, amount)

    def add(self, other: Tally) -> None:
        """Adds another tally."""
        _add_all(self.totals, other.totals)
        for currency, values in other.gmv.items():
            _add_all(self.gmv.setdefault(currency, {}), values)
        _add_all(self.views, other.views)
        _add_all(self.taps, other.taps)

    def cut(self) -> None:
        """Forgets all but the largest values."""
        self.gmv = {currency: _largest(values) for currency, values in self.gmv.items()}
        self.views = _largest(self.views)
        self.taps = _largest(self.taps)

    @property
    def size(self) -> int:
        """Values that it holds."""
        return len(self.totals) + len(self.views) + len(self.taps) + sum(map(len, self.gmv.values()))

    def order(self, limit: int) -> list[str]:
        """The first values by GMV paid, then by views, then by name.

        Amounts of different currencies are never added: the currency with most orders goes first, the
        others break ties.
        """
        currencies = sorted(
            self.gmv, key=lambda currency: (-self.totals.get(_ORDERS + currency, 0), currency)
        )

        def rank(of: str) -> tuple[object, ...]:
            return (*(-self.gmv[currency].get(of, 0) for currency in currencies), -self.views.get(of, 0), of)

        values = {*self.views, *(of for by_value in self.gmv.values() for of in by_value)}
        return heapq.nsmallest(limit, values, key=rank)

    def most_tapped(self, limit: int) -> list[str]:
        """The first values by tag taps, then by name; without those that are nobody's, as `named`."""
        most = limit + len(NO_NAMES)
        first = heapq.nsmallest(most, self.taps, key=lambda of: (-self.taps[of], of))
        return [of for of in first if of not in NO_NAMES][:limit]

    def named(self, limit: int) -> list[str]:
        """The same without `other` and `unattributed`: what is counted under these is nobody's."""
        return [of for of in self.order(limit + len(NO_NAMES)) if of not in NO_NAMES][:limit]


class Ranking:
    """Tallies over panes, walking only what changed since the last time."""

    def __init__(self, store: ReadStore) -> None:
        self._store = store
        # (p, kind, pane) -> (mark when its walk began, tally); the least recently used goes first.
        self._known: OrderedDict[tuple[int, str, Pane], tuple[float, Tally]] = OrderedDict()
        self._values = 0
        self._standings: dict[int, Standing] = {}
        self._walks = asyncio.Semaphore(WALKS_AT_ONCE)

    async def tally(self, kind: str, panes: Sequence[Pane], metas: Sequence[Meta]) -> Tally:
        """The kind's tally over the panes of all partitions, whose metas were just read."""
        for p, meta in enumerate(metas):
            self._forget_if_rolled_back(p, meta)
        parts = await asyncio.gather(*(self._of_partition(p, kind, panes) for p in range(len(metas))))
        total = Tally()
        for part in parts:
            total.add(part)
        return total

    async def _of_partition(self, p: int, kind: str, panes: Sequence[Pane]) -> Tally:
        total = Tally()
        for pane, mark in zip(panes, await self._store.marks(p, panes), strict=True):
            if mark is not None:
                total.add(await self._of_pane(p, kind, pane, mark))
        return total

    async def _of_pane(self, p: int, kind: str, pane: Pane, mark: float) -> Tally:
        key = (p, kind, pane)
        known = self._known.get(key)
        if known is None or known[0] != mark:
            # A change during the walk raises the mark, so the pane is walked again next time.
            async with self._walks:
                known = (mark, await self._walk(p, kind, pane))
        self._forget(key)
        self._known[key] = known
        self._values += known[1].size
        while self._values > VALUES_REMEMBERED or len(self._known) > PANES_REMEMBERED:
            self._forget(next(iter(self._known)))
        return known[1]

    def _forget(self, key: tuple[int, str, Pane]) -> None:
        known = self._known.pop(key, None)
        self._values -= known[1].size if known else 0

    async def _walk(self, p: int, kind: str, pane: Pane) -> Tally:
        cells: dict[str, int] = {}
        async for cell, amount in self._store.walk(p, kind, pane):
            cells[cell] = amount
        tally = Tally()
        for cell, amount in cells.items():
            tally.add_cell(cell, amount, _VIEWS_OF.get(kind, VIEWS))
        tally.cut()
        return tally

    def _forget_if_rolled_back(self, p: int, meta: Meta) -> None:
        """Marks of a Redis that lost its last second may stand for other changes: see `marks`."""
        standing = Standing.of(meta.fields)
        if not self._standings.get(p, standing).leads_to(standing):
            for key in [key for key in self._known if key[0] == p]:
                self._forget(key)
        self._standings[p] = standing


def remaining(totals: Mapping[str, int], parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What is left of totals without the parts, at least 0: the parts may have been read a moment later."""
    left = dict(totals)
    for part in parts:
        for measure, amount in part.items():
            if measure in left:
                left[measure] -= amount
    return {measure: max(amount, 0) for measure, amount in left.items()}


def _add(into: dict[str, int], name: str, amount: int) -> None:
    into[name] = into.get(name, 0) + amount


def _add_all(into: dict[str, int], amounts: Mapping[str, int]) -> None:
    # As `_add` does, without a call for each: a scrape adds up hundreds of thousands.
    before = into.get
    for name, amount in amounts.items():
        into[name] = before(name, 0) + amount


def _largest(values: Mapping[str, int]) -> dict[str, int]:
    if len(values) <= VALUES_A_PANE:
        return dict(values)
    least = heapq.nlargest(VALUES_A_PANE, values.values())[-1]
    kept = {of: n for of, n in values.items() if n > least}
    # By name among equals: which ones are kept must not hang on the order in which Redis tells them.
    tied = (of for of, n in values.items() if n == least)
    return kept | dict.fromkeys(heapq.nsmallest(VALUES_A_PANE - len(kept), tied), least)

"""Which values of a kind of scope are the largest: top lives and products, and the sum over all values.

It stands beside the read model. Cells are kept per value and there is no index by size, so panes are walked
in small steps that hold up no writer; a pane is walked again only after its cells of the kind changed, and
of each pane only the largest values are remembered. Which value ranks where is therefore near enough; its
figures are not taken from here where they must be exact.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from schemas.events import Active, Share, ShareOpen, TagTap
from streams.answer import is_highest
from streams.catalogue import CAPPED, EVENT_COUNTS, GMV_PAID, ORDERS_IN_CURRENCY
from streams.kpi import measures_of
from streams.kpis import KPIS
from streams.marks import Change, Standing
from streams.read_store import ReadStore
from streams.scopes import APP, CHANNEL, MINI_PROGRAM_CHANNEL, NO_NAMES
from streams.window import Pane
from streams.write_plan import pane_member

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
_Key: TypeAlias = tuple[int, str, str]
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
        # By partition number, kind and pane as the index of panes names it, the least recently used first.
        self._known: OrderedDict[_Key, Tally] = OrderedDict()
        self._values = 0
        # Walks on their way, of which nothing is known to have changed since they began.
        self._walking: dict[_Key, object] = {}
        self._standings: dict[int, Standing] = {}
        self._walks = asyncio.Semaphore(WALKS_AT_ONCE)

    async def tally(self, kind: str, panes: Sequence[Pane]) -> Tally:
        """The kind's tally over the panes of all partitions."""
        partitions = range(self._store.partitions)
        parts = await asyncio.gather(*(self._of_partition(p, kind, panes) for p in partitions))
        total = Tally()
        for part in parts:
            total.add(part)
        return total

    async def _of_partition(self, p: int, kind: str, panes: Sequence[Pane]) -> Tally:
        standing, changed = await self._store.changes(p, self._standings.get(p))
        self._follow(p, changed)
        # Somebody else may have been told of a later moment meanwhile.
        if changed is None or not standing.leads_to(self._standings[p]):
            self._standings[p] = standing
        total = Tally()
        for pane in panes:
            total.add(await self._of_pane((p, kind, pane_member(pane)), pane))
        return total

    def _follow(self, p: int, changed: Sequence[Sequence[Change]] | None) -> None:
        """Forgets what changed; everything of the partition number if that is not known."""
        spots = {(change.kind, pane) for write in changed or () for change in write for pane in change.panes}
        wholes = {pane for kind, pane in spots if kind is None}
        keys = [(p, kind, pane) for kind, pane in spots if kind is not None]
        if wholes or changed is None:
            every = [*self._known, *self._walking]
            keys += [key for key in every if key[0] == p and (changed is None or key[2] in wholes)]
        for key in keys:
            self._forget(key)
            self._walking.pop(key, None)

    async def _of_pane(self, key: _Key, pane: Pane) -> Tally:
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        walk = object()
        async with self._walks:
            self._walking[key] = walk
            tally = await self._walk(key[0], key[1], pane)
        if self._walking.get(key) is walk:
            del self._walking[key]
            self._forget(key)
            self._known[key] = tally
            self._values += tally.size
        while self._values > VALUES_REMEMBERED or len(self._known) > PANES_REMEMBERED:
            self._forget(next(iter(self._known)))
        return tally

    def _forget(self, key: _Key) -> None:
        known = self._known.pop(key, None)
        self._values -= known.size if known else 0

    async def _walk(self, p: int, kind: str, pane: Pane) -> Tally:
        cells: dict[str, int] = {}
        async for cell, amount in self._store.walk(p, kind, pane):
            cells[cell] = amount
        tally = Tally()
        for cell, amount in cells.items():
            tally.add_cell(cell, amount, _VIEWS_OF.get(kind, VIEWS))
        tally.cut()
        return tally


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

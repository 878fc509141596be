"""Sums on their way to Redis: added at the finest pane, rolled up into coarser ones, written once a flush.

A cell that this worker created or has read under the current token is written as its absolute value
(cheap, and a repeated write changes nothing); any other cell is written as a delta, and Redis's answer
makes its value known. So no cell has to be read before it is added to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from streams.admission import SCOPE_VALUES_MAX, Admission, CellKey
from streams.kpi import FigureSet
from streams.memory_bounds import ALONE, MemoryBounds
from streams.window import HOUR_MS, MINUTE_MS, Pane, PaneSize

# Values of panes that ended so long before the highest event time are forgotten: few events still come, and
# otherwise they would take the room of values that are needed with every write.
KNOWN_BEHIND_MS = MINUTE_MS // 2
# Panes deleted with one write, at most: bounds how long Redis is held; the rest go with the next.
EXPIRED_PANES_MAX = 500
# Panes that hold a finest one, by what kinds have in common and its start: nearly all kinds have the same.
PanesAround: TypeAlias = dict[tuple[str, int], tuple[Pane, ...]]


@dataclass(slots=True)
class CellWrite:
    """What one guarded write does to one hash of cells."""

    kind: str
    pane: Pane
    absolute: dict[str, int] = field(default_factory=dict)
    deltas: dict[str, int] = field(default_factory=dict)
    # Raised to this where it is lower: writing one twice changes nothing, so none needs to be known.
    highest: dict[str, int] = field(default_factory=dict)
    # What `absolute` and `deltas` add, part by part; other panes may hold the very same parts.
    added: list[Mapping[str, int]] = field(default_factory=list)


def field_name(measure: str, value: str) -> str:
    """Field of a cell in its hash. A measure's name holds no ``|``, a scope's value may."""
    return f"{measure}|{value}"


def _named(amounts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    # As `field_name` does, without a call for each.
    return {f"{measure}|{value}": amount for (measure, value), amount in amounts.items() if amount}


def _age(pane: Pane) -> tuple[int, int]:
    """Sorts panes, the oldest first: a set of them has another order in every process."""
    return pane.start_ms, pane.size.size_ms


def has_outlived(pane: Pane, kept_ms: int, high_ms: int) -> bool:
    """Whether cells that are kept so long after their pane are gone."""
    return pane.start_ms + pane.size.size_ms + kept_ms <= high_ms


class Sums:
    """The sums of one partition number: what is new since the last write, and what Redis is known to hold.

    `scope_values_max` is how many values of a kind of scope have traffic cells of their own: see `admission`.
    `kept_ms` names kinds whose cells go before their panes do: so long after the pane's end.
    """

    def __init__(
        self,
        figures: FigureSet,
        sizes: tuple[PaneSize, ...],
        scope_values_max: int = SCOPE_VALUES_MAX,
        kept_ms: Mapping[str, int] = MappingProxyType({}),
        bounds: MemoryBounds = ALONE,
    ) -> None:
        self.sizes = tuple(size for size in sizes if size.name in figures.sizes)
        self.finest = self.sizes[0]
        self.admission = Admission(figures, self.sizes, scope_values_max, bounds)
        self._bounds = bounds
        # Kinds that are not kept at every size, by the part of the stored kind before a colon.
        self._sizes_of = {
            kind.name: tuple(size for size in self.sizes if size.name in kind.sizes)
            for kind in figures.kinds
            if kind.sizes
        }
        kinds = {kind.name for kind in figures.kinds}
        self._kept_ms = {kind: each for kind, each in kept_ms.items() if kind in kinds}
        # Cells that are deleted already although their pane is there, and when it was last looked for more.
        self._deleted: set[CellKey] = set()
        self._looked_at_hour = -1
        self._highest: defaultdict[tuple[str, int], dict[tuple[str, str], int]] = defaultdict(dict)
        # What is kept at one size of pane only, by kind and pane of that size.
        self._of_one_size: defaultdict[CellKey, defaultdict[tuple[str, str], int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self.stored: set[Pane] = set()
        # The border of the finest panes after which nothing of `stored` was past its retention: so thousands
        # of panes need not be looked at with every write.
        self._none_expired_at_ms: int | None = None
        # The one after which old values were forgotten.
        self._forgotten_at_ms: int | None = None
        self._new: defaultdict[tuple[str, int], defaultdict[tuple[str, str], int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self._known: dict[CellKey, dict[str, int]] = {}
        # Keys of `_known` whose absent fields are known to be 0: created by this memory, never forgotten.
        self._complete: set[CellKey] = set()
        # Panes of which Redis may hold cells that `_known` does not.
        self._uncertain: set[Pane] = set()

    def load_stored(self, panes: Iterable[Pane]) -> None:
        """The panes that Redis holds already: a pane not among them is known to be empty."""
        self.stored.update(panes)
        self._uncertain.update(self.stored)
        self.admission.load_stored(self.stored)

    def add(self, kind: str, time_ms: int, measure: str, value: str, amount: int) -> None:
        """Adds to one cell. `time_ms` is the time whose pane it falls into."""
        self._new[kind, self.finest.start_of(time_ms)][measure, value] += amount

    def add_to_longest(self, kind: str, time_ms: int, measure: str, value: str, amount: int) -> None:
        """Adds to one cell of the longest pane around `time_ms` and of no other: figures of whole days."""
        longest = self.sizes[-1]
        self._of_one_size[kind, Pane(longest, longest.start_of(time_ms))][measure, value] += amount

    def cells_of(self, kind: str, start_ms: int) -> defaultdict[tuple[str, str], int]:
        """The new sums of a kind in the finest pane that starts at `start_ms`, to be added to in bulk."""
        return self._new[kind, start_ms]

    def raise_to(self, kind: str, time_ms: int, measure: str, value: str, amount: int) -> None:
        """Makes one cell at least `amount`. `time_ms` is the time whose pane it falls into."""
        cells = self._highest[kind, self.finest.start_of(time_ms)]
        cells[measure, value] = max(amount, cells.get((measure, value), amount))

    @property
    def dirty(self) -> int:
        """Cells that the next write touches, at most."""
        new = sum(map(len, self._new.values())) + sum(map(len, self._highest.values()))
        return new * len(self.sizes) + sum(map(len, self._of_one_size.values()))

    def take(self, high_ms: int) -> tuple[list[CellWrite], list[Pane]]:
        """(writes, panes to delete) for everything added since the last call; nothing waits behind.

        `high_ms` is the partition's highest accepted event time: panes past their retention go, and
        sums that fall into them are dropped.
        """
        expired = self._take_expired(high_ms)
        writes: dict[CellKey, CellWrite] = {}
        around: PanesAround = {}
        for (kind, start_ms), added in self._new.items():
            self._roll_up(writes, kind, self._panes(around, kind, start_ms, high_ms), added)
        for key, added in self._of_one_size.items():
            if (named := _named(added)) and key[1].size.is_written(key[1].start_ms, high_ms):
                self._add_to(key, writes.setdefault(key, CellWrite(*key)), named)
        for (kind, start_ms), found in self._highest.items():
            for pane in self._panes(around, kind, start_ms, high_ms):
                highest = writes.setdefault((kind, pane), CellWrite(kind, pane)).highest
                for name, amount in found.items():
                    highest[field_name(*name)] = max(amount, highest.get(field_name(*name), amount))
        self.stored.update(pane for _, pane in writes)
        self._forget_old(high_ms)
        self.admission.end_turn(self.stored, expired)
        self._new.clear()
        self._of_one_size.clear()
        self._highest.clear()
        return list(writes.values()), expired

    def _take_expired(self, high_ms: int) -> list[Pane]:
        """Panes past their retention, the oldest first; looked for once in the time of a finest pane."""
        border_ms = self.finest.border_before(high_ms)
        if border_ms == self._none_expired_at_ms:
            return []
        gone = (pane for pane in self.stored if not pane.size.is_written(pane.start_ms, high_ms))
        expired = sorted(gone, key=_age)[:EXPIRED_PANES_MAX]
        if len(expired) < EXPIRED_PANES_MAX:
            self._none_expired_at_ms = border_ms
        for pane in expired:
            self.stored.discard(pane)
            self._uncertain.discard(pane)
        return expired

    def _panes(self, around: PanesAround, kind: str, start_ms: int, high_ms: int) -> tuple[Pane, ...]:
        """The panes, kept at `high_ms`, into which the finest pane at `start_ms` is rolled up.

        `around` holds those that were found with the same `high_ms`.
        """
        base = kind.partition(":")[0]
        alike = base if base in self._sizes_of or base in self._kept_ms else ""
        panes = around.get((alike, start_ms))
        if panes is None:
            sizes, kept_ms = self._sizes_of.get(alike, self.sizes), self._kept_ms.get(alike)
            panes = around[alike, start_ms] = tuple(
                pane
                for pane in (Pane(size, size.start_of(start_ms)) for size in sizes)
                if pane.size.is_written(pane.start_ms, high_ms)
                and (kept_ms is None or not has_outlived(pane, kept_ms, high_ms))
            )
        return panes

    def take_outlived(self, high_ms: int) -> list[CellKey]:
        """Hashes of cells that go now although their pane stays; the youngest first, as others may be gone.

        Panes and times that they are kept for are of whole hours: more go only with another hour.
        """
        hour = high_ms // HOUR_MS
        if not self._kept_ms or hour == self._looked_at_hour:
            return []
        outlived = [
            (kind, pane)
            for kind, kept_ms in self._kept_ms.items()
            for pane in self.stored
            if pane.size in self._sizes_of.get(kind, self.sizes)
            and has_outlived(pane, kept_ms, high_ms)
            and (kind, pane) not in self._deleted
        ]
        outlived.sort(key=lambda key: _age(key[1]), reverse=True)
        del outlived[EXPIRED_PANES_MAX:]
        if len(outlived) < EXPIRED_PANES_MAX:
            self._looked_at_hour = hour
        self._deleted = {key for key in self._deleted if key[1] in self.stored}.union(outlived)
        return outlived

    def _roll_up(
        self,
        writes: dict[CellKey, CellWrite],
        kind: str,
        panes: Sequence[Pane],
        added: Mapping[tuple[str, str], int],
    ) -> None:
        """Adds the sums of a finest pane to the writes of the panes of each size around it."""
        named = _named(added)
        for pane in panes if named else ():
            kept = self.admission.resolved(kind, pane, added)
            key = kind, pane
            write = writes.get(key)
            if write is None:
                write = writes[key] = CellWrite(kind, pane)
            self._add_to(key, write, named if kept is added else _named(kept))

    def _add_to(self, key: CellKey, write: CellWrite, amounts: Mapping[str, int]) -> None:
        write.added.append(amounts)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = {}
            if write.pane not in self._uncertain:
                self._complete.add(key)
        absolute, deltas = write.absolute, write.deltas
        if key in self._complete:
            for name, amount in amounts.items():
                absolute[name] = known[name] = known.get(name, 0) + amount
        else:
            for name, amount in amounts.items():
                if name in known:
                    absolute[name] = known[name] = known[name] + amount
                else:
                    deltas[name] = deltas.get(name, 0) + amount

    def expire_again(self, panes: Iterable[Pane]) -> None:
        """Panes past their retention of which Redis still holds something: the next write deletes more."""
        self.stored.update(panes)
        self._none_expired_at_ms = None

    def learn(self, writes: Iterable[CellWrite], results: Iterator[int]) -> None:
        """Values that Redis answered for the deltas of `writes`, in their order."""
        for write in writes:
            known = self._known.get((write.kind, write.pane))
            for name in write.deltas:
                value = next(results)
                if known is not None:
                    known[name] = value

    def _forget_old(self, high_ms: int) -> None:
        border_ms = self.finest.border_before(high_ms)
        if border_ms != self._forgotten_at_ms:
            self._forgotten_at_ms = border_ms
            for key in list(self._known):
                if key[1].start_ms + key[1].size.size_ms < high_ms - KNOWN_BEHIND_MS:
                    self._forget(key)
        left = sum(map(len, self._known.values()))
        if left <= self._bounds.known_cells:
            return
        # The largest hashes first: their cells are those that are written most seldom. The next writes to
        # them are deltas, and teach them again; down to a half, so that there is peace for a while.
        for key in sorted(self._known, key=lambda key: len(self._known[key]), reverse=True):
            left -= len(self._known[key])
            self._forget(key)
            if left <= self._bounds.known_cells // 2:
                return

    def _forget(self, key: CellKey) -> None:
        del self._known[key]
        self._complete.discard(key)
        if key[1] in self.stored:
            self._uncertain.add(key[1])

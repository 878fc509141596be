"""Sums on their way to Redis: added at the finest pane, rolled up into coarser ones, written once a flush.

A cell that this worker created or has read under the current token is written as its absolute value
(cheap, and a repeated write changes nothing); any other cell is written as a delta, and Redis's answer
makes its value known. So no cell has to be read before it is added to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from streams.kpi import FigureSet
from streams.window import MINUTE_MS, Pane, PaneSize

# Values of panes that end this far behind the highest event time are forgotten: few events still come.
KNOWN_BEHIND_MS = 2 * MINUTE_MS
# Panes deleted with one write, at most: bounds how long Redis is held; the rest go with the next.
EXPIRED_PANES_MAX = 500
# More known values than this are forgotten all at once: the next writes are deltas, and teach them again.
KNOWN_CELLS_MAX = 1_000_000

CellKey = tuple[str, Pane]  # (kind of scope, pane)


@dataclass(slots=True)
class CellWrite:
    """What one guarded write does to one hash of cells."""

    kind: str
    pane: Pane
    absolute: dict[str, int] = field(default_factory=dict)
    deltas: dict[str, int] = field(default_factory=dict)


def field_name(measure: str, value: str) -> str:
    """Field of a cell in its hash. A measure's name holds no ``|``, a scope's value may."""
    return f"{measure}|{value}"


class Sums:
    """The sums of one partition number: what is new since the last write, and what Redis is known to hold."""

    def __init__(self, figures: FigureSet, sizes: tuple[PaneSize, ...]) -> None:
        self.sizes = tuple(size for size in sizes if size.name in figures.sizes)
        self.finest = self.sizes[0]
        self.stored: set[Pane] = set()
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

    def add(self, kind: str, time_ms: int, measure: str, value: str, amount: int) -> None:
        """Adds to one cell. `time_ms` is the time whose pane it falls into."""
        self._new[kind, self.finest.start_of(time_ms)][measure, value] += amount

    def cells_of(self, kind: str, start_ms: int) -> defaultdict[tuple[str, str], int]:
        """The new sums of a kind in the finest pane that starts at `start_ms`, to be added to in bulk."""
        return self._new[kind, start_ms]

    @property
    def dirty(self) -> int:
        """Cells that the next write touches, at most."""
        return sum(map(len, self._new.values())) * len(self.sizes)

    def take(self, high_ms: int) -> tuple[list[CellWrite], list[Pane]]:
        """(writes, panes to delete) for everything added since the last call; nothing waits behind.

        `high_ms` is the partition's highest accepted event time: panes past their retention go, and
        sums that fall into them are dropped.
        """
        gone = (pane for pane in self.stored if not pane.size.is_written(pane.start_ms, high_ms))
        expired = list(islice(gone, EXPIRED_PANES_MAX))
        for pane in expired:
            self.stored.discard(pane)
            self._uncertain.discard(pane)
        writes = [self._write_of(key, cells) for key, cells in self._rolled_up(high_ms)]
        self.stored.update(write.pane for write in writes)
        self._forget_old(high_ms)
        self._new.clear()
        return writes, expired

    def _rolled_up(self, high_ms: int) -> Iterator[tuple[CellKey, dict[str, int]]]:
        cells: defaultdict[CellKey, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for (kind, start_ms), added in self._new.items():
            named = {field_name(*name): amount for name, amount in added.items() if amount}
            for size in self.sizes:
                pane = Pane(size, size.start_of(start_ms))
                if not named or not size.is_written(pane.start_ms, high_ms):
                    continue
                into = cells[kind, pane]
                for name, amount in named.items():
                    into[name] += amount
        yield from cells.items()

    def _write_of(self, key: CellKey, added: dict[str, int]) -> CellWrite:
        kind, pane = key
        write = CellWrite(kind, pane)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = {}
            if pane not in self._uncertain:
                self._complete.add(key)
        complete = key in self._complete
        for name, amount in added.items():
            before = known.get(name, 0 if complete else None)
            if before is None:
                write.deltas[name] = amount
            else:
                write.absolute[name] = known[name] = before + amount
        return write

    def learn(self, writes: Iterable[CellWrite], results: Iterator[int]) -> None:
        """Values that Redis answered for the deltas of `writes`, in their order."""
        for write in writes:
            known = self._known.get((write.kind, write.pane))
            for name in write.deltas:
                value = next(results)
                if known is not None:
                    known[name] = value

    def _forget_old(self, high_ms: int) -> None:
        too_many = sum(map(len, self._known.values())) > KNOWN_CELLS_MAX
        for key in list(self._known):
            pane = key[1]
            if too_many or pane.start_ms + pane.size.size_ms < high_ms - KNOWN_BEHIND_MS:
                del self._known[key]
                self._complete.discard(key)
                if pane in self.stored:
                    self._uncertain.add(pane)

"""Cells by minute and by hour that are kept in memory, so that each is read from Redis once.

It stands between the store and the watch over conversion, which looks back four weeks every minute. A unit
(a minute, an hour) is read again until nothing of it can change any more. What is not asked for any longer
is forgotten, so memory is bounded by the scopes that are watched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from streams.read_store import ReadStore
from streams.requests import CellsRequest, cells
from streams.window import Pane, PaneSize

# Fields of one call: it holds Redis for some milliseconds, and others come in between.
FIELDS_A_READ = 4_000
_NOTHING: Mapping[int, int] = MappingProxyType({})


class Cell(NamedTuple):
    """What is kept of one scope: its kind, its value and a stored measure."""

    kind: str
    value: str
    measure: str

    @property
    def field(self) -> str:
        """As it stands in a hash of the kind."""
        return f"{self.measure}|{self.value}"


@dataclass(slots=True)
class _Column:
    """Amounts other than 0 by unit; those before `settled` will not be read again."""

    amounts: dict[int, int] = field(default_factory=dict)
    settled: int = 0


class Table:
    """The latest units of one size of pane; a unit is numbered by its time since 1970 ÷ its length.

    Attributes:
        size: the panes' size.
        length: how many units are kept.
        first, end: the units that are kept, [first, end).
        settled: units before are never read again.
    """

    def __init__(self, size: PaneSize, length: int) -> None:
        self.size = size
        self.length = length
        self.first = 0
        self.end = 0
        self.settled = 0
        self._columns: dict[Cell, _Column] = {}

    def forget(self) -> None:
        """All of it: everything is read again."""
        self._columns.clear()
        self.settled = 0

    def amounts(self, kind: str, value: str, measure: str) -> Mapping[int, int]:
        """Amounts by unit; a unit that is missing is 0."""
        column = self._columns.get(Cell(kind, value, measure))
        return _NOTHING if column is None else column.amounts

    async def refresh(
        self, store: ReadStore, wanted: Collection[Cell], settled: int, end: int, high_ms: int
    ) -> None:
        """Reads what is missing of `wanted` up to unit `end`, and forgets all else.

        Units before `settled` cannot change any more; `high_ms` is the highest event time, which decides
        what Redis keeps. Raises StoreUnavailableError: then what was read stays, and is read again.
        """
        first = max(end - self.length, -(-(high_ms - self.size.retention_ms) // self.size.size_ms), 0)
        self._columns = {cell: self._columns.get(cell) or _Column() for cell in dict.fromkeys(wanted)}
        for requests in self._missing(first, end):
            reading = await store.read([request for request, _, _ in requests])
            for at, (_, unit, columns) in enumerate(requests):
                for name, column in columns.items():
                    amount = reading.sums[at].get(name, 0)
                    column.amounts.pop(unit, None)
                    if amount:
                        column.amounts[unit] = amount
        for column in self._columns.values():
            column.settled = settled
            for unit in range(self.first, min(first, self.end)):
                column.amounts.pop(unit, None)
        self.first, self.end, self.settled = first, end, settled

    def _missing(self, first: int, end: int) -> Iterator[list[_Unit]]:
        """What has to be read, in portions."""
        groups: dict[tuple[str, int], dict[str, _Column]] = {}
        for cell, column in self._columns.items():
            groups.setdefault((cell.kind, max(column.settled, first)), {})[cell.field] = column
        portion: list[_Unit] = []
        fields = 0
        for (kind, start), columns in groups.items():
            for unit in range(start, end):
                pane = Pane(self.size, unit * self.size.size_ms)
                portion.append(_Unit(cells(kind, [pane], columns), unit, columns))
                fields += len(columns)
                if fields >= FIELDS_A_READ:
                    yield portion
                    portion, fields = [], 0
        if portion:
            yield portion


class _Unit(NamedTuple):
    request: CellsRequest
    unit: int
    columns: Mapping[str, _Column]

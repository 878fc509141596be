"""The calls that one reading makes of each partition number, and their answers put together. No I/O.

It stands between the requests and the store: what is remembered of panes is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeAlias, TypeVar

from msgspec.msgpack import encode

from streams.errors import REBUILD
from streams.marks import Change
from streams.pane_memory import PaneMemory
from streams.requests import SKETCHES_MAX, CellsRequest, Meta, Reading, RecordRequest, Request
from streams.store import StoreCorruptError
from streams.subjects import Found, Subject

# One HMGET of more fields than Lua can unpack fails as a whole.
FIELDS_MAX = 2_000

T = TypeVar("T")
# What is done with an answer of a partition number.
Take: TypeAlias = Callable[[int, Any], None]
# What is done with what was read of a pane.
Keep: TypeAlias = Callable[[str, Subject, Found], None]


@dataclass
class Call:
    """One call of the script for any partition number.

    Attributes:
        names: what follows the partition's tag in the keys.
        args: the groups as the script takes them.
        takes: per group, who takes its answers.
    """

    names: list[str] = field(default_factory=lambda: ["meta", "marks"])
    args: list[str | int] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)
    sketches: int = 0

    @cached_property
    def packed(self) -> bytes:
        """`args`, packed once for all partition numbers: see decision 0016."""
        return encode(self.args)

    def add(self, code: str, names: Sequence[str], fields: Sequence[str], take: Take) -> None:
        """Adds a group."""
        self.names += names
        self.args += [code, len(names), len(fields), *fields]
        self.takes.append(take)


class ReadingPlan:
    """What one reading asks, and what becomes of the answers.

    Attributes:
        calls: the first one for all but sketches that are too many for it.
    """

    def __init__(
        self, requests: Sequence[Request], partitions: int, memory: PaneMemory, *, remembers: bool
    ) -> None:
        """Raises ValueError for a union of more than SKETCHES_MAX sketches."""
        self._cells: dict[tuple[str, tuple[str, ...]], _Cells] = {}
        # Of each request for cells: those, and the panes to be put together.
        self._panes: list[tuple[_Cells, tuple[str, ...]] | None] = [None for _ in requests]
        self._records: list[list[dict[str, bytes | None]]] = [[] for _ in requests]
        self._counts: list[list[int]] = [[] for _ in requests]
        calls = self.calls = [Call()]
        for index, request in enumerate(requests):
            if isinstance(request, CellsRequest):
                cells = request.kind, request.fields
                asked = self._cells.get(cells)
                if asked is None:
                    asked = self._cells[cells] = _Cells(Subject(*cells))
                asked.want(request.panes, memory if remembers else None)
                self._panes[index] = asked, request.panes
            elif isinstance(request, RecordRequest):
                self._records[index] = [{} for _ in range(partitions)]
                for fields in _chunks(request.fields):
                    calls[0].add("R", (request.name,), fields, partial(self._take_records, index, fields))
            else:
                self._counts[index] = [0 for _ in request.unions]
                for number, union in enumerate(request.unions):
                    _room_for(union, calls).add("C", union, (), partial(self._take_count, index, number))
        # By kind, those that rest on what is remembered.
        self._remembered: dict[str, list[_Cells]] = {}
        for asked in self._cells.values():
            asked.ask(calls[0])
            if asked.rests_on_memory:
                self._remembered.setdefault(asked.subject.kind, []).append(asked)

    def follows(self, changed: Sequence[Sequence[Change]] | None) -> bool:
        """Brings what was remembered to the moment of a partition number's answer, which tells what writes
        did since; None where that is not known. False if it cannot be: all of it is to be asked for again."""
        if changed is None:
            return not self._remembered
        return all(
            asked.follows(change)
            for write in changed
            for change in write
            for kind in ((change.kind,) if change.kind is not None else tuple(self._remembered))
            for asked in self._remembered.get(kind, ())
        )

    def take(self, p: int, answers: Sequence[Sequence[Any]]) -> None:
        """What a partition number answers to each of the calls: its meta, what changed, and the groups'."""
        for call, (_meta, _changed, *groups) in zip(self.calls, answers, strict=True):
            for take, answer in zip(call.takes, groups, strict=True):
                take(p, answer)

    def _take_records(self, index: int, fields: Sequence[str], p: int, answer: Sequence[Any]) -> None:
        self._records[index][p].update(zip(fields, answer, strict=True))

    def _take_count(self, index: int, number: int, _p: int, answer: int) -> None:
        self._counts[index][number] += answer

    def reading(self, metas: Sequence[Meta], keep: Keep) -> Reading:
        """Everything put together, once every partition number's answers were taken.

        What was read of a pane is handed to `keep`, which may change it.
        """
        for asked in self._cells.values():
            asked.settle()
        reading = Reading(
            tuple(metas),
            tuple({} if each is None else each[0].total(each[1]) for each in self._panes),
            tuple(self._records),
            tuple(self._counts),
        )
        for asked in self._cells.values():
            asked.keep(keep)
        return reading


class _Cells:
    """The same cells of some panes: what is remembered, and what is read."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._known: dict[str, Found] = {}
        # Over all partition numbers; of panes of which something is known, by the places that are not.
        self._found: dict[str, Found] = {}
        self._missing: dict[tuple[int, ...], dict[str, Found]] = {}

    def want(self, panes: Iterable[str], memory: PaneMemory | None) -> None:
        """Adds panes."""
        for pane in panes:
            if pane in self._known or pane in self._found:
                continue
            known = None if memory is None else memory.get(pane, self.subject)
            if known is None:
                self._found[pane] = {}
                continue
            self._known[pane], missing = known
            if missing:
                self._missing.setdefault(missing, {})[pane] = {}

    def ask(self, call: Call) -> None:
        """Adds the groups of what is not known."""
        if self._found:
            self._ask(call, tuple(range(len(self.subject.fields))), self._found)
        for places, found in self._missing.items():
            self._ask(call, places, found)

    def _ask(self, call: Call, places: tuple[int, ...], found: Mapping[str, Found]) -> None:
        names = [f"cells:{self.subject.kind}:{pane}" for pane in found]
        for part in _chunks(places) or ((),):
            fields = [self.subject.fields[at] for at in part]
            call.add("H", names, fields, partial(self._take, found, part))

    def _take(
        self, into: Mapping[str, Found], places: Sequence[int], _p: int, answer: Sequence[Sequence[Any]]
    ) -> None:
        put = self.subject.columns.put
        for (pane, found), flat in zip(into.items(), answer, strict=True):
            keys = [places[at] for at in flat[::2]] if places else map(bytes.decode, flat[::2])
            try:
                put(found, zip(keys, map(int, flat[1::2]), strict=True))
            except ValueError as error:
                raise StoreCorruptError(
                    f"Redis holds what Shop Pulse did not write: a cell of {self.subject.kind}:{pane} is no "
                    f"amount; {REBUILD}"
                ) from error

    @property
    def rests_on_memory(self) -> bool:
        """Whether anything of it was remembered."""
        return bool(self._known)

    def follows(self, change: Change) -> bool:
        """Adds what a write did to the kind to what was remembered; False if that cannot be said."""
        for pane in change.panes:
            known = self._known.get(pane)
            if known is None:
                continue
            if change.amounts is None:
                return False
            if (part := self.subject.columns.part(change.amounts)) is not None:
                self.subject.columns.add(known, part)
        return True

    def settle(self) -> None:
        """Everything was taken: puts what was missing in its places. What writes did to it is in there."""
        for places, by_pane in self._missing.items():
            for pane, found in by_pane.items():
                known = self._found[pane] = self._known.pop(pane)
                for place in places:
                    known.pop(place, None)
                known |= found

    def keep(self, keep: Keep) -> None:
        """Hands over what was read."""
        for pane, found in self._found.items():
            keep(pane, self.subject, found)

    def total(self, panes: Iterable[str]) -> dict[str, int]:
        """Put together over the panes."""
        totals: Found = {}
        for pane in panes:
            known = self._known.get(pane)
            self.subject.columns.put(totals, (self._found[pane] if known is None else known).items())
        return self.subject.named(totals)


def _room_for(union: Sequence[str], calls: list[Call]) -> Call:
    """The call that takes one more union of sketches: a further one where they get too many."""
    if len(union) > SKETCHES_MAX:
        raise ValueError(f"a union of {len(union)} sketches; ask for at most {SKETCHES_MAX}")
    if calls[-1].sketches + len(union) > SKETCHES_MAX:
        calls.append(Call())
    calls[-1].sketches += len(union)
    return calls[-1]


def _chunks(each: tuple[T, ...]) -> list[tuple[T, ...]]:
    return [each[at : at + FIELDS_MAX] for at in range(0, len(each), FIELDS_MAX)]

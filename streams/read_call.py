"""The calls that one reading makes of each partition number, and their answers put together. No I/O.

It stands between the requests and the store: what is remembered of quiet panes is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from typing import Any, TypeAlias

from msgspec.msgpack import Decoder, encode

from streams.answer import is_highest, put_together
from streams.errors import REBUILD
from streams.marks import Place
from streams.pane_memory import PaneMemory, Subject
from streams.requests import SKETCHES_MAX, CellsRequest, Meta, Reading, RecordRequest, Request
from streams.store import StoreCorruptError
from streams.write_plan import AMOUNT_MAX

# One HMGET of more fields than Lua can unpack fails as a whole.
FIELDS_MAX = 2_000

# What is done with an answer of a partition number.
Take: TypeAlias = Callable[[int, Any], None]
# What is done with what was read of a pane: (pane, subject, packed).
Keep: TypeAlias = Callable[[str, Subject, bytes], None]

_BY_PLACE = Decoder(dict[int, int])
_BY_NAME = Decoder(dict[str, int])


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
        used: by pane the places of which something remembered is used.
    """

    def __init__(
        self, requests: Sequence[Request], partitions: int, memory: PaneMemory, *, remembers: bool
    ) -> None:
        """Raises ValueError for a union of more than SKETCHES_MAX sketches."""
        self.used: dict[str, set[Place]] = {}
        self._cells: dict[tuple[str, tuple[str, ...]], _Cells] = {}
        # Of each request for cells: those, and the panes to be put together.
        self._panes: list[tuple[_Cells, tuple[str, ...]] | None] = [None for _ in requests]
        self._records: list[list[dict[str, bytes | None]]] = [[] for _ in requests]
        self._counts: list[list[int]] = [[] for _ in requests]
        calls = self.calls = [Call()]
        for index, request in enumerate(requests):
            if isinstance(request, CellsRequest):
                subject = request.kind, request.fields
                asked = self._cells.get(subject)
                if asked is None:
                    asked = self._cells[subject] = _Cells(*subject)
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
        for asked in self._cells.values():
            for pane in asked.known:
                self.used.setdefault(pane, set()).add(asked.place)
            asked.ask(calls[0])

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

        What was read of a pane is handed to `keep`.
        """
        for asked in self._cells.values():
            asked.keep(keep)
        return Reading(
            tuple(metas),
            tuple({} if each is None else each[0].total(each[1]) for each in self._panes),
            tuple(self._records),
            tuple(self._counts),
        )


class _Cells:
    """The same cells of some panes: what is remembered, and what is read."""

    def __init__(self, kind: str, fields: tuple[str, ...]) -> None:
        self._kind = kind
        self._fields = fields
        self.place = Place.of(kind, fields)
        # Hundreds of names, hashed once for all panes.
        self._subject = Subject(self.place, blake2b(encode((kind, fields)), digest_size=16).digest())
        self.known: dict[str, dict[Any, int]] = {}
        # By the places of fields, or by name where every cell is asked for; over all partition numbers.
        self._found: dict[str, dict[Any, int]] = {}
        self._holds_highest: Callable[[Any], bool] = is_highest
        if fields:
            places = frozenset(at for at, cell in enumerate(fields) if is_highest(cell))
            self._holds_highest = places.__contains__

    def want(self, panes: Iterable[str], memory: PaneMemory | None) -> None:
        """Adds panes."""
        decode = _BY_PLACE.decode if self._fields else _BY_NAME.decode
        for pane in panes:
            if pane in self.known or pane in self._found:
                continue
            packed = None if memory is None else memory.get(pane, self._subject)
            if packed is None:
                self._found[pane] = {}
            else:
                self.known[pane] = decode(packed)

    def ask(self, call: Call) -> None:
        """Adds the groups of what is not known."""
        names = [f"cells:{self._kind}:{pane}" for pane in self._found]
        first = 0
        for fields in _chunks(self._fields) or ((),) if names else ():
            call.add("H", names, fields, partial(self._take, first))
            first += len(fields)

    def _take(self, first: int, _p: int, answer: Sequence[Sequence[Any]]) -> None:
        for (pane, found), flat in zip(self._found.items(), answer, strict=True):
            keys = [first + at for at in flat[::2]] if self._fields else map(bytes.decode, flat[::2])
            try:
                put_together(found, zip(keys, map(int, flat[1::2]), strict=True), self._holds_highest)
            except ValueError as error:
                raise StoreCorruptError(
                    f"Redis holds what Shop Pulse did not write: a cell of {self._kind}:{pane} is no amount; "
                    f"{REBUILD}"
                ) from error

    def keep(self, keep: Keep) -> None:
        """Hands over what was read."""
        for pane, found in self._found.items():
            # What needs more than 64 bits is not packed, and read again.
            if all(abs(amount) <= AMOUNT_MAX for amount in found.values()):
                keep(pane, self._subject, encode(found))

    def total(self, panes: Iterable[str]) -> dict[str, int]:
        """Put together over the panes."""
        totals: dict[Any, int] = {}
        for pane in panes:
            found = self.known.get(pane)
            put_together(totals, (self._found[pane] if found is None else found).items(), self._holds_highest)
        return {self._fields[at]: amount for at, amount in totals.items()} if self._fields else totals


def _room_for(union: Sequence[str], calls: list[Call]) -> Call:
    """The call that takes one more union of sketches: a further one where they get too many."""
    if len(union) > SKETCHES_MAX:
        raise ValueError(f"a union of {len(union)} sketches; ask for at most {SKETCHES_MAX}")
    if calls[-1].sketches + len(union) > SKETCHES_MAX:
        calls.append(Call())
    calls[-1].sketches += len(union)
    return calls[-1]


def _chunks(fields: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [fields[at : at + FIELDS_MAX] for at in range(0, len(fields), FIELDS_MAX)]

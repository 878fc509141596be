"""Cells asked for of panes: where each stands in what was read, and what later writes add to it. Pure.

It stands between a request for cells and what is remembered of it: what was read of a pane is held by the
places of the fields, which need less room than their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any, TypeAlias

from msgspec.msgpack import Decoder, encode

from streams.answer import is_highest, put_together
from streams.marks import joined, split

# Pages of all lives ask for the same measures: so many lists of them are held once for all.
LISTS_SHARED = 256

_BY_PLACE = Decoder(dict[int, int])
_BY_NAME = Decoder(dict[str, int])
# What was read of a pane, over all partition numbers: by the places of fields, or by name where every cell is
# asked for.
Found: TypeAlias = dict[Any, int]
# By the parts of `marks.split`.
Amounts: TypeAlias = Mapping[str, Mapping[str, int]]
Packed: TypeAlias = bytes | Found


class Subject:
    """The same cells, asked for of any panes.

    Attributes:
        kind: of scope.
        fields: the cells (``measure|value``); empty for every cell of the kind.
        value: the one value (as `marks.split` has it) of all the fields; None for many of them.
        digest: of all of it, much smaller than the fields.
    """

    def __init__(self, kind: str, fields: tuple[str, ...]) -> None:
        self.kind = kind
        self.fields = fields = tuple(dict.fromkeys(fields))
        self._parts = [split(kind, cell) for cell in fields]
        values = {value for value, _ in self._parts}
        self.value = values.pop() if len(values) == 1 else None
        self.digest = blake2b(encode((kind, fields)), digest_size=16).digest()

    @cached_property
    def columns(self) -> Columns:
        """How writes are added to what was read."""
        if not self.fields:
            return Columns(None, None, is_highest)
        highest = frozenset(at for at, cell in enumerate(self.fields) if is_highest(cell))
        return Columns(self.value, _places(tuple(self._parts), self.value), highest.__contains__)

    def named(self, found: Mapping[Any, int]) -> dict[str, int]:
        """What was found, by cell."""
        return {self.fields[at]: amount for at, amount in found.items()} if self.fields else dict(found)


def _places(parts: Sequence[tuple[str, str]], value: str | None) -> Mapping[str, Mapping[str, int]]:
    if value is not None:
        return {value: _shared_places(tuple(rest for _, rest in parts))}
    places: dict[str, dict[str, int]] = {}
    for at, (each, rest) in enumerate(parts):
        places.setdefault(each, {})[rest] = at
    return places


@lru_cache(LISTS_SHARED)
def _shared_places(rests: tuple[str, ...]) -> Mapping[str, int]:
    return {rest: at for at, rest in enumerate(rests)}


class Columns:
    """What is needed to go on with what was read of a pane: all of a subject but the names of its fields.

    Attributes:
        places: of the fields, by value and the rest of the cell; None for every cell.
        holds_highest: whether what is at a place, or has a name, is a highest value.
    """

    __slots__ = ("_value", "holds_highest", "places")

    def __init__(
        self,
        value: str | None,
        places: Mapping[str, Mapping[str, int]] | None,
        holds_highest: Callable[[Any], bool],
    ) -> None:
        self._value = value
        self.places = places
        self.holds_highest = holds_highest

    def places_of(self, value: str) -> Mapping[str, int]:
        """The places of a value's cells, by the rest of their names."""
        return {} if self.places is None else self.places.get(value, {})

    def part(self, amounts: Amounts) -> Amounts | None:
        """Of what a write tells of the kind (`Change.amounts`) what concerns these cells, for `add`."""
        if self._value is None:
            return amounts
        cells = amounts.get(self._value)
        return None if cells is None else {self._value: cells}

    def add(self, found: Found, amounts: Amounts) -> None:
        """Adds what a write tells of the kind to what was found."""
        if self.places is None:
            named = ((value, rest, each) for value, cells in amounts.items() for rest, each in cells.items())
            self.put(found, [(joined(value, rest), amount) for value, rest, amount in named])
            return
        fewer, more = sorted((self.places, amounts), key=len)
        for value in fewer:
            if value in more:
                at, cells = self.places[value], amounts[value]
                self.put(found, [(at[rest], amount) for rest, amount in cells.items() if rest in at])

    def put(self, found: Found, amounts: Iterable[tuple[Any, int]]) -> None:
        """Adds amounts by place, or by name."""
        put_together(found, amounts, self.holds_highest)

    def unpack(self, packed: Packed) -> Found:
        """What `pack` made of it."""
        if isinstance(packed, dict):
            return dict(packed)
        return (_BY_NAME if self.places is None else _BY_PLACE).decode(packed)


def pack(found: Found) -> Packed:
    """What was read of a pane in little room; what needs more than 64 bits as it is."""
    try:
        return encode(found)
    except OverflowError:
        return dict(found)

"""What each write changed, and whether that is all that changed. Pure.

It stands between the writer, which leaves a mark with each write, and whoever remembers what Redis held: who
knows up to which number Redis was read can ask for the marks since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from msgspec import DecodeError
from msgspec.msgpack import Decoder, encode

from streams.scopes import CREATOR, LIVE, LIVE_PRODUCT, split_pair

# How many marks are kept: of half a minute, where writes come five times a second.
MARKS_KEPT = 160
# One larger than this tells of whole panes only, and so does that of a write of many cells: who catches up
# has no time to spare, and nobody reads what it counts meanwhile for long.
MARK_BYTES_MAX = 32_768
CELLS_MARKED_MAX = 4_000
# Cells of one kind that are more than so many change it as a whole.
CELLS_TOLD_MAX = 128
# Of other kinds readers ask for all the values that matter at once.
TOLD_BY_VALUE = frozenset((LIVE.name, LIVE_PRODUCT.name, CREATOR.name))

# By pane (as the index of panes names it) and kind of scope the leading values whose cells changed (of pairs
# the first part); None stands for all of the kind, or all of the pane.
Touched: TypeAlias = Mapping[str, Mapping[str, Collection[str] | None] | None]

_TOUCHED = Decoder(dict[str, dict[str, list[str] | None] | None])


class Standing(NamedTuple):
    """How far one partition number was written at a moment.

    A Redis that lost its last second counts up again, and may reach the same numbers otherwise. Its owner
    notices at the next write and loads the partition anew: so only within one load do numbers tell it all.

    Attributes:
        seq: number of the last write.
        loaded: which memory wrote: a word that no other has (of older workers: who, which of its loads).
    """

    seq: int
    loaded: tuple[str | None, ...]

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> Standing:
        """By the fields of a partition's meta."""
        loaded = meta.get("owner"), meta.get("takeovers"), meta.get("load")
        return cls(int(meta.get("seq", 0)), loaded)

    def leads_to(self, later: Standing) -> bool:
        """Whether what was marked between this one and a later one is all that changed."""
        return later.loaded == self.loaded and later.seq >= self.seq


def values_of(kind: str, *cells: Collection[str]) -> list[str] | None:
    """The leading values of changed cells of a kind; None where they are not told, or too many."""
    if kind not in TOLD_BY_VALUE or sum(map(len, cells)) > CELLS_TOLD_MAX:
        return None
    return sorted(set().union(*(_leading(kind, some) for some in cells)))


def _leading(kind: str, cells: Iterable[str]) -> set[str]:
    """The values of cells (``measure|value``), of pairs their first part."""
    values = {cell.partition("|")[2] for cell in cells}
    return set(map(_first, values)) if kind == LIVE_PRODUCT.name else values


def _first(value: str) -> str:
    try:
        return split_pair(value)[0]
    except ValueError:  # What has no name, or a cell of the pane itself.
        return value


def pack(changes: Touched) -> bytes:
    """The mark of one write."""
    mark = encode(changes)
    return mark if len(mark) <= MARK_BYTES_MAX else encode(dict.fromkeys(changes))


def told_since(seq: int, entries: Sequence[bytes], later: int) -> list[Touched] | None:
    """What the marks tell of the writes after number `seq` up to `later`: `entries` are these marks, the last
    one first, each behind its number and a space. None if one of them is missing, or cannot be read."""
    if len(entries) != max(later - seq, 0):
        return None
    changes: list[Touched] = []
    for number, entry in zip(range(later, seq, -1), entries, strict=True):
        told, _, mark = entry.partition(b" ")
        if told != b"%d" % number:
            return None
        try:
            changes.append(_TOUCHED.decode(mark))
        except DecodeError:
            return None
    return changes


class Place(NamedTuple):
    """Where something was read: the kind of scope, and its one leading value; None for many of them."""

    kind: str
    value: str | None

    @classmethod
    def of(cls, kind: str, cells: Collection[str]) -> Place:
        """Of these cells of a kind; of all its cells if none is named."""
        values = _leading(kind, cells) if kind in TOLD_BY_VALUE else ()
        return cls(kind, next(iter(values)) if len(values) == 1 else None)


def are_touched(used: Mapping[str, Collection[Place]], changes: Iterable[Touched]) -> bool:
    """Whether any of the places that are `used`, by pane, is among what changed."""
    return any(
        _is_touched(place, kinds)
        for changed in changes
        for pane, kinds in changed.items()
        for place in used.get(pane, ())
    )


def _is_touched(place: Place, kinds: Mapping[str, Collection[str] | None] | None) -> bool:
    if kinds is None:
        return True
    if place.kind not in kinds:
        return False
    values = kinds[place.kind]
    return values is None or place.value is None or place.value in values

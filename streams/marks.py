"""What each write changed, as whoever remembers what Redis held is told of it. Pure.

It stands between the writer, which leaves a mark with each write, and the readers: who knows up to which
number Redis was read asks for the marks since, and adds what they tell to what was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec.msgpack import Decoder, encode

from streams.scopes import LIVE_PRODUCT, pair_value, split_pair

# How many marks are kept: of half a minute, where writes come five times a second.
MARKS_KEPT = 160
# One larger than this names its panes only, and so does that of a write of more cells, each counted once for
# all panes around it: who catches up has no time to spare, and nobody reads for long what it counts then.
MARK_BYTES_MAX = 131_072
CELLS_MARKED_MAX = 4_000
# Readings that overtake each other are told of the same writes: each mark is unpacked once for them.
MARKS_SHARED = 64


class Change(msgspec.Struct, array_like=True, frozen=True):
    """What one write did to some panes, the same to each of them.

    Attributes:
        panes: as the index of panes names them.
        kind: of scope; None for all cells of the panes.
        amounts: what is added (of highest values: what they are raised to), by the parts of `split`; None
            where that is not told, or cells are deleted.
    """

    panes: list[str]
    kind: str | None = None
    amounts: dict[str, dict[str, int]] | None = None


_CHANGES = Decoder(list[Change])


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


def split(kind: str, cell: str) -> tuple[str, str]:
    """A cell (``measure|value``) as the value by which readers ask, and the rest: of pairs of a live and a
    product the live, since nobody asks for a product alone."""
    measure, _, value = cell.partition("|")
    if kind == LIVE_PRODUCT.name:
        try:
            live, product = split_pair(value)
        except ValueError:  # What has no name, or a cell of the pane itself.
            return value, measure
        return live, f"{measure}|{product}"
    return value, measure


def joined(value: str, rest: str) -> str:
    """The cell that `split` made these parts of."""
    measure, is_pair, second = rest.partition("|")
    return f"{measure}|{pair_value(value, second) if is_pair else value}"


def amounts_of(kind: str, cells: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Amounts by cell, as marks hold them."""
    amounts: dict[str, dict[str, int]] = {}
    for cell, amount in cells.items():
        value, rest = split(kind, cell)
        amounts.setdefault(value, {})[rest] = amount
    return amounts


def pack(changes: Sequence[Change]) -> bytes:
    """The mark of one write."""
    try:
        mark = encode(changes)
    except OverflowError:  # A sum that fits, by an amount that does not.
        mark = b""
    return mark if 0 < len(mark) <= MARK_BYTES_MAX else encode([untold(changes)])


def untold(changes: Iterable[Change]) -> Change:
    """That the same panes changed, and nothing more."""
    return Change(list(dict.fromkeys(pane for change in changes for pane in change.panes)))


def told_since(seq: int, entries: Sequence[bytes], later: int) -> list[Sequence[Change]] | None:
    """What the marks tell of the writes after number `seq` up to `later`: `entries` are these marks, the last
    one first, each behind its number and a space. None if one of them is missing, or cannot be read."""
    if len(entries) != max(later - seq, 0):
        return None
    told: list[Sequence[Change]] = []
    for number, entry in zip(range(later, seq, -1), entries, strict=True):
        found, _, mark = entry.partition(b" ")
        if found != b"%d" % number:
            return None
        try:
            told.append(_unpack(mark))
        except msgspec.DecodeError:
            return None
    return told


@lru_cache(MARKS_SHARED)
def _unpack(mark: bytes) -> Sequence[Change]:
    return _CHANGES.decode(mark)

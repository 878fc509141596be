"""What can be asked of the store, and what a reading answers. No I/O.

It stands between those who ask for figures and the store that reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streams.window import PANES_MAX, Pane
from streams.write_plan import pane_member

# Sketches counted in one call, and in one union: Redis is held for up to 25 us by each of them.
SKETCHES_MAX = PANES_MAX


@dataclass(frozen=True, slots=True)
class CellsRequest:
    """Sums of cells (``measure|value``) over panes; highest values (``max.…``) are not added. See `cells`.

    Attributes:
        kind: of scope.
        panes: as the index of panes names them.
        fields: the cells wanted; empty for every cell.
    """

    kind: str
    panes: tuple[str, ...]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """Fields of one hash as they are stored: records of a ledger, see `packed`.

    Attributes:
        name: what follows the partition's tag in the key, for example ``rooms``.
        fields: the fields wanted.
    """

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SketchRequest:
    """Estimated numbers of distinct users, each over the union of some sketches; see `distinct`.

    Attributes:
        unions: per number the sketches' names, what follows the partition's tag in the keys. At most
            `SKETCHES_MAX` a union; a sketch that does not exist is empty.
    """

    unions: tuple[tuple[str, ...], ...]


Request = CellsRequest | RecordRequest | SketchRequest


def cells(kind: str, panes: Iterable[Pane], fields: Iterable[str] = ()) -> CellsRequest:
    """The request for cells (``measure|value``) of a kind of scope, put together over the panes.

    A live's own hashes are asked for with `kind` = ``room_kind(live)``.
    """
    return CellsRequest(kind, tuple(map(pane_member, panes)), tuple(fields))


def distinct(steps: Iterable[str], kind: str, value: str, panes: Iterable[Pane]) -> SketchRequest:
    """The request for distinct users of one scope over the panes: a number per step, in order.

    A user lives in one partition number: the numbers of all partitions are added.
    """
    kept = tuple(panes)
    return SketchRequest(
        tuple(
            tuple(f"users:{pane.size.name}:{pane.start_ms}:{step}:{kind}:{value}" for pane in kept)
            for step in steps
        )
    )


def packed(record: bytes) -> bytes:
    """The msgpack of a ledger's record as it is stored, without the day by which it is filed."""
    return record[record.index(b":") + 1 :]


@dataclass(frozen=True, slots=True)
class Meta:
    """The meta hash of a partition number; empty where no worker has written yet."""

    fields: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """An integer field, or None while it is not known."""
        text = self.fields.get(name)
        return None if text is None else int(text)

    @property
    def currencies(self) -> frozenset[str]:
        """Currencies in which an amount was ever booked."""
        return frozenset(self.fields.get("currencies", "").split())


@dataclass(frozen=True, slots=True)
class Reading:
    """All partition numbers, each at one moment: their metas, and an answer per request.

    Each of the other tuples is as long as the requests, and empty at the place of a request of another kind.

    Attributes:
        metas: the meta hashes, by partition number.
        sums: of a CellsRequest, the sum (or highest value) of each cell found.
        records: of a RecordRequest, by partition number each field asked for with its value as stored, None
            where absent.
        counts: of a SketchRequest, an estimate per union, 0 over nothing.
    """

    metas: tuple[Meta, ...]
    sums: tuple[Mapping[str, int], ...] = ()
    records: tuple[Sequence[Mapping[str, bytes | None]], ...] = ()
    counts: tuple[Sequence[int], ...] = ()

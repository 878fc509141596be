"""One guarded write as keys and arguments of `apply.lua`: the shape of the state in Redis, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Raw
from msgspec.msgpack import encode

from streams.errors import REBUILD, PulseError
from streams.kpi import FigureSet
from streams.ledger import LedgerWrite
from streams.marks import CELLS_MARKED_MAX, MARKS_KEPT, Change, amounts_of, pack, untold
from streams.progress import NEVER_MS, Progress
from streams.rooms import LIVES_KEPT_DAYS
from streams.scopes import ROOM
from streams.state import Rules, StateWrite
from streams.sums import CellWrite
from streams.window import DAY_MS, Pane

SCHEMA = "4"
# Lua's `unpack` fails near 8 000 values; a slice is even, so that pairs stay together.
SLICE_MAX = 4_000
# Records of one past day deleted with one write, or twice as many as it files: bounds how long Redis is held.
TRIM_MAX = 1_000
# Keys of past panes that have an index (sketches, rooms) deleted with one write, of either kind; the rest go
# with the next ones. Of sketches as many as the write touches, if these are more: what is left cannot grow.
SWEEP_MAX = 1_000
# What Redis can add up: see apply.lua.
AMOUNT_MAX = 2**63 - 1

# Bytes as `as_text` makes them. A number must be one that a double holds; amounts and times are strings.
Arg = str | Raw | int


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of one partition's keys; the hash tag keeps them in one slot of a cluster."""

    prefix: str
    partition: int

    @property
    def _tagged(self) -> str:
        return f"{self.prefix}:{{{self.partition}}}"

    def __call__(self, *parts: object) -> str:
        return ":".join((self._tagged, *map(str, parts)))

    def cells(self, kind: str, pane: Pane) -> str:
        """Hash of a pane's cells for one kind of scope."""
        # As a call does; thousands of names are made for each write.
        return f"{self._tagged}:cells:{kind}:{pane.size.name}:{pane.start_ms}"

    def sketch(self, pane: Pane, name: str) -> str:
        """Sketch of a pane's users; `name` is ``step:kind:value``."""
        return f"{self._tagged}:users:{pane.size.name}:{pane.start_ms}:{name}"


def as_text(data: bytes) -> Raw:
    """Bytes as a MessagePack string of any content: Redis's own decoder knows no other kind of bytes."""
    size = len(data)
    return Raw((b"\xda" + size.to_bytes(2) if size < 1 << 16 else b"\xdb" + size.to_bytes(4)) + data)


def pane_member(pane: Pane) -> str:
    """A pane in the index of panes."""
    return f"{pane.size.name}:{pane.start_ms}"


def too_large(cell: str) -> PulseError:
    """What a sum beyond 64 bits comes to: a wrong figure is never written in its place."""
    return PulseError(
        f"a sum no longer fits into 64 bits ({cell}): look for absurd amounts in the log (they are in minor "
        f"units); with a log that has none of them, {REBUILD}"
    )


@dataclass(slots=True)
class Operations:
    """Operations of one write, and the keys that they name.

    The script answers what is left of each sweep: of sketches' panes first, then of panes of cells.
    """

    keys: dict[str, int] = field(default_factory=dict)
    args: list[Arg] = field(default_factory=list)
    swept_sketches: list[Pane] = field(default_factory=list)
    swept_rooms: list[Pane] = field(default_factory=list)

    def position(self, key: str) -> int:
        """The key's place in KEYS, from 1."""
        return self.keys.setdefault(key, len(self.keys) + 1)

    def add(self, code: str, key: str, args: Sequence[Arg] = ()) -> None:
        """Adds an operation, in slices where its arguments are many."""
        position = self.position(key)
        for at in range(0, max(len(args), 1), SLICE_MAX):
            part = args[at : at + SLICE_MAX]
            self.args += [code, position, len(part)]
            self.args += part

    def sweep(self, index: str, panes: str, pane: Pane, ends: tuple[str, str], limit: int) -> None:
        """Deletes keys by the names in an index: up to `limit`, of those named `ends` around a name.

        With the last name the pane leaves the sorted set `panes`.
        """
        limit = min(max(limit, 1), SLICE_MAX)
        self.add("E", index, [self.position(panes), pane_member(pane), *ends, limit])


def plan(keys: Keys, figures: FigureSet, write: StateWrite) -> Operations:
    """All operations of a write; `keys("meta")` stands first among the keys."""
    operations = Operations()
    operations.position(keys("meta"))
    _plan_sketches(operations, keys, write)
    _plan_cells(operations, keys, write.cells)
    _plan_expired(operations, keys, figures, write.expired_panes)
    for kind, outlived in write.outlived:
        operations.add("U", keys.cells(kind, outlived))
    _plan_mark(operations, keys, write)
    for topic, by_minute in write.new_ids.items():
        for minute, packed in by_minute.items():
            operations.add("A", keys("ids", topic, minute), [as_text(packed)])
    for topic, minutes in write.expired_ids.items():
        for minute in minutes:
            operations.add("U", keys("ids", topic, minute))
    for ledger in write.ledgers:
        _plan_ledger(operations, keys, ledger)
    _plan_waiting(operations, keys, write)
    for live, start_ms in write.lives.items():
        day = operations.position(keys("lives", "day", start_ms // DAY_MS))
        operations.add("N", keys("lives"), [live, str(start_ms), day, LIVES_KEPT_DAYS])
    filed_by_name = {ledger.name: ledger.filed for ledger in write.ledgers}
    for name, day in write.trims.items():
        # A record starts with the day it is filed under; a live has no record but its start.
        prefix = "" if name == "lives" else f"{day}:"
        # At least as many as are filed, or a busy shop would file faster than is deleted.
        filed = sum(map(len, filed_by_name.get(name, {}).values()))
        args: list[Arg] = [operations.position(keys(name)), prefix, max(TRIM_MAX, 2 * filed)]
        operations.add("T", keys(name, "day", day), args)
    return operations


def _plan_sketches(operations: Operations, keys: Keys, write: StateWrite) -> None:
    names: dict[Pane, list[Arg]] = {}
    # First of all operations: see `check_sketch` in apply.lua.
    for (pane, name), users in write.sketches.members.items():
        operations.add("P", keys.sketch(pane, name), users)
        names.setdefault(pane, []).append(name)
    for pane, sketches in names.items():
        operations.add("S", keys("usersindex", pane_member(pane)), sketches)
    if names:
        operations.add("Z", keys("userpanes"), [pane_member(pane) for pane in names])
    operations.swept_sketches = write.sketches.expired
    for pane in operations.swept_sketches:
        operations.sweep(
            keys("usersindex", pane_member(pane)),
            keys("userpanes"),
            pane,
            (keys.sketch(pane, ""), ""),
            max(SWEEP_MAX, len(write.sketches.members)) // len(operations.swept_sketches),
        )


def _plan_cells(operations: Operations, keys: Keys, cells: Iterable[CellWrite]) -> None:
    panes: dict[str, None] = {}
    rooms: dict[str, list[Arg]] = {}
    for cell in cells:
        key = keys.cells(cell.kind, cell.pane)
        for code, amounts in (("H", cell.absolute), ("I", cell.deltas), ("M", cell.highest)):
            if amounts:
                operations.add(code, key, _amounts(key, amounts))
        panes[pane_member(cell.pane)] = None
        if ":" in cell.kind:
            rooms.setdefault(pane_member(cell.pane), []).append(cell.kind)
    for pane, kinds in rooms.items():
        operations.add("S", keys("index", pane), kinds)
    if panes:
        operations.add("Z", keys("panes"), list(panes))


def _plan_mark(operations: Operations, keys: Keys, write: StateWrite) -> None:
    """Every write leaves one, also of nothing: a number without one could have changed anything."""
    changes = _added(write.cells)
    if sum(len(amounts) for _, _, amounts in changes) > CELLS_MARKED_MAX:
        told = [untold(Change(panes) for panes, _, _ in changes)]
    else:
        told = [Change(panes, kind, amounts_of(kind, amounts)) for panes, kind, amounts in changes]
    told += (Change([pane_member(pane)], kind) for kind, pane in write.outlived)
    if write.expired_panes:
        told.append(Change(list(map(pane_member, write.expired_panes))))
    operations.add("L", keys("marks"), [as_text(pack(told)), MARKS_KEPT])


def _added(cells: Iterable[CellWrite]) -> list[tuple[list[str], str, Mapping[str, int]]]:
    """(panes, kind, amounts by cell) of what writes add: one for all panes that were added the same part."""
    parts: dict[int, tuple[list[str], str, Mapping[str, int]]] = {}
    for cell in cells:
        for part in (*cell.added, cell.highest) if cell.highest else cell.added:
            parts.setdefault(id(part), ([], cell.kind, part))[0].append(pane_member(cell.pane))
    return list(parts.values())


def _amounts(key: str, amounts: Mapping[str, int]) -> list[Arg]:
    args: list[Arg] = []
    for name, amount in amounts.items():
        if abs(amount) > AMOUNT_MAX:
            raise too_large(f"{name} of {key}: {amount}")
        # Decimal strings: a Lua number is a double, and amounts must stay exact.
        args += [name, str(amount)]
    return args


def _plan_expired(operations: Operations, keys: Keys, figures: FigureSet, panes: Sequence[Pane]) -> None:
    gone: list[Arg] = []
    for pane in panes:
        for kind in figures.kinds:
            if kind is not ROOM and (not kind.sizes or pane.size.name in kind.sizes):
                operations.add("U", keys.cells(kind.name, pane))
        if ROOM in figures.kinds and pane.size.name in ROOM.sizes:
            operations.swept_rooms.append(pane)
        else:
            gone.append(pane_member(pane))
    if gone:
        operations.add("X", keys("panes"), gone)
    for pane in operations.swept_rooms:
        operations.sweep(
            keys("index", pane_member(pane)),
            keys("panes"),
            pane,
            (keys("cells", ""), f":{pane_member(pane)}"),
            SWEEP_MAX // len(operations.swept_rooms),
        )


def _plan_ledger(operations: Operations, keys: Keys, ledger: LedgerWrite) -> None:
    if ledger.records:
        pairs: list[Arg] = []
        for record_id, record in ledger.records.items():
            pairs += record_id, as_text(record)
        operations.add("H", keys(ledger.name), pairs)
    for day, ids in ledger.filed.items():
        operations.add("R", keys(ledger.name, "day", day), ids)


def _plan_waiting(operations: Operations, keys: Keys, write: StateWrite) -> None:
    kept: list[Arg] = []
    gone: list[Arg] = []
    for refund_id, waiting in write.waiting.items():
        if waiting is None:
            gone.append(refund_id)
        else:
            kept += [refund_id, as_text(encode(waiting))]
    if kept:
        operations.add("H", keys("waiting"), kept)
    if gone:
        operations.add("D", keys("waiting"), gone)


def meta_fields(
    write: StateWrite, rules: Rules, trimmed: Mapping[str, int], published: Mapping[str, str]
) -> dict[str, str]:
    """The meta hash after the write; the vector of next offsets is part of it."""
    fields = {"schema": SCHEMA, "partitions": str(rules.partitions), "rules": rules.text, **published}
    if write.high_ms != NEVER_MS:
        fields["h"] = str(write.high_ms)
    if write.currencies:
        fields["currencies"] = " ".join(sorted(write.currencies))
    for name, day in trimmed.items():
        fields[f"trim:{name}"] = str(day)
    for topic, progress in write.progress.items():
        fields |= _topic_fields(topic, progress)
    return fields


def _topic_fields(topic: str, progress: Progress) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in (
        ("ing", progress.ingest_ms),
        ("hi", progress.high_ms),
        ("src", progress.source_ms),
        ("hb", progress.heartbeat_ms),
        ("canary", progress.canary_ms),
        ("wm", progress.watermark_ms),
    ):
        if value != NEVER_MS:
            fields[f"{name}:{topic}"] = str(value)
    if progress.next_offset is not None:
        fields[f"off:{topic}"] = str(progress.next_offset)
    if progress.last is not None:
        fields[f"last:{topic}"] = ":".join(map(str, progress.last))
    return fields

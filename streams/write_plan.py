"""One guarded write as keys and arguments of `apply.lua`: the shape of the state in Redis, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.msgpack import encode

from streams.kpi import FigureSet
from streams.ledger import LedgerWrite
from streams.state import NEVER_MS, Progress, Rules, StateWrite
from streams.sums import CellWrite
from streams.window import DAY_MS, Pane

SCHEMA = "1"
# Lua's `unpack` fails near 8 000 values; a slice is even, so that pairs stay together.
SLICE_MAX = 4_000
# Records of one past day deleted with one write: bounds how long Redis is held.
TRIM_MAX = 1_000

Arg = str | bytes | int


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of one partition's keys; the hash tag keeps them in one slot of a cluster."""

    prefix: str
    partition: int

    def __call__(self, *parts: object) -> str:
        return ":".join((f"{self.prefix}:{{{self.partition}}}", *map(str, parts)))

    def cells(self, kind: str, pane: Pane) -> str:
        """Hash of a pane's cells for one kind of scope."""
        return self("cells", kind, pane.size.name, pane.start_ms)


def pane_member(pane: Pane) -> str:
    """A pane in the index of panes."""
    return f"{pane.size.name}:{pane.start_ms}"


@dataclass(slots=True)
class Operations:
    """Operations of one write, and the keys that they name."""

    keys: dict[str, int] = field(default_factory=dict)
    args: list[Arg] = field(default_factory=list)

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


def plan(keys: Keys, figures: FigureSet, write: StateWrite) -> Operations:
    """All operations of a write; `keys("meta")` stands first among the keys."""
    operations = Operations()
    operations.position(keys("meta"))
    _plan_cells(operations, keys, write.cells)
    _plan_expired(operations, keys, figures, write.expired_panes)
    for topic, by_minute in write.new_ids.items():
        for minute, packed in by_minute.items():
            operations.add("A", keys("ids", topic, minute), [packed])
    for topic, minutes in write.expired_ids.items():
        for minute in minutes:
            operations.add("U", keys("ids", topic, minute))
    for ledger in write.ledgers:
        _plan_ledger(operations, keys, ledger)
    _plan_waiting(operations, keys, write)
    for live, start_ms in write.lives.items():
        day = operations.position(keys("lives", "day", start_ms // DAY_MS))
        operations.add("N", keys("lives"), [live, start_ms, day])
    for name, day in write.trims.items():
        # A record starts with the day it is filed under; a live has no record but its start.
        prefix = "" if name == "lives" else f"{day}:"
        args: list[Arg] = [operations.position(keys(name)), prefix, TRIM_MAX]
        operations.add("T", keys(name, "day", day), args)
    return operations


def _plan_cells(operations: Operations, keys: Keys, cells: Iterable[CellWrite]) -> None:
    panes: dict[str, None] = {}
    for cell in cells:
        key = keys.cells(cell.kind, cell.pane)
        for code, amounts in (("H", cell.absolute), ("I", cell.deltas)):
            if amounts:
                # Decimal strings: a Lua number is a double, and amounts must stay exact.
                operations.add(code, key, [arg for name, n in amounts.items() for arg in (name, str(n))])
        panes[pane_member(cell.pane)] = None
    if panes:
        operations.add("Z", keys("panes"), list(panes))


def _plan_expired(operations: Operations, keys: Keys, figures: FigureSet, panes: Sequence[Pane]) -> None:
    for pane in panes:
        for kind in figures.kinds:
            operations.add("U", keys.cells(kind.name, pane))
    if panes:
        operations.add("X", keys("panes"), [pane_member(pane) for pane in panes])


def _plan_ledger(operations: Operations, keys: Keys, ledger: LedgerWrite) -> None:
    if ledger.records:
        pairs: list[Arg] = [arg for pair in ledger.records.items() for arg in pair]
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
            kept += [refund_id, encode(waiting)]
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
        ("hb", progress.heartbeat_ms),
        ("wm", progress.watermark_ms),
    ):
        if value != NEVER_MS:
            fields[f"{name}:{topic}"] = str(value)
    if progress.next_offset is not None:
        fields[f"off:{topic}"] = str(progress.next_offset)
    if progress.last is not None:
        fields[f"last:{topic}"] = ":".join(map(str, progress.last))
    return fields

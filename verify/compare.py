"""Expected against found: one line per difference.

Where part of the log is gone, what could depend on it is left out and counted (`panes_not_compared`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from verify.model import DeadLetter, PaneKey, PartitionExpected, RecordId
from verify.origins import Gone, origin_of
from verify.panes import is_kept
from verify.redis_cells import Snapshot
from verify.rules import Rules
from verify.scopes import ROOM_HEAD, two_values
from verify.users import slack
from verify.verdicts import CONFLICT


class Difference(NamedTuple):
    """What differs, where, and both values as text."""

    what: str
    where: str
    expected: str
    found: str


@dataclass
class Report:
    """What was compared so far."""

    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    panes_not_compared: int = 0

    def check(self, what: str, where: str, expected: object, found: object) -> None:
        """One comparison."""
        self.compared += 1
        if expected != found:
            self.differences.append(Difference(what, where, str(expected), str(found)))

    def check_near(self, what: str, where: str, exact: int, estimate: object) -> None:
        """One comparison of an estimated number of users; an estimate of none is never near."""
        allowed = slack(exact)
        near = (
            isinstance(estimate, int) and abs(estimate - exact) <= allowed and (estimate > 0) is (exact > 0)
        )
        wanted = f"{exact} ± {allowed}"
        self.check(what, where, wanted, wanted if near else estimate)


def compare_cells(
    report: Report, expected: PartitionExpected, found: Snapshot, rules: Rules, gone: Gone
) -> None:
    """Every cell of one partition, panes that should not be there, and the state's own times."""
    p = expected.partition
    not_compared: set[tuple[str, int]] = set()
    for key in expected.panes.keys() | found.panes.keys():
        kind, size, start_ms = key
        if kind.startswith(ROOM_HEAD) and not _is_kept(key[1:], expected, rules):
            # Rooms are deleted a few with each write: what is left of them stands in a pane that is gone.
            continue
        want, have = expected.panes.get(key, {}), found.panes.get(key, {})
        for name in want.keys() | have.keys():
            measure, _, value = name.partition("|")
            if gone.hides(origin_of(kind, measure, value), start_ms):
                not_compared.add((size, start_ms))
            elif want.get(name, 0) or have.get(name, 0):
                where = f"p={p} {scope_text(kind, value)} {size}:{start_ms}"
                report.check(measure, where, want.get(name, 0), have.get(name, 0))
    report.panes_not_compared += len(not_compared)
    _compare_panes(report, expected, found, rules, gone)
    _compare_meta(report, expected, found, gone)


def _compare_panes(
    report: Report, expected: PartitionExpected, found: Snapshot, rules: Rules, gone: Gone
) -> None:
    p = expected.partition
    for size, start_ms in sorted(found.listed):
        being_swept = found.rooms.get((size, start_ms))
        if not _is_kept((size, start_ms), expected, rules) and not being_swept:
            report.check("pane", f"p={p} {size}:{start_ms}", "gone (past its retention)", "listed")
    for size, start_ms in sorted({(size, start) for _, size, start in expected.panes} - found.listed):
        if not gone.hides_pane(start_ms):
            report.check("pane", f"p={p} {size}:{start_ms}", "listed", "not listed")
    _compare_rooms(report, expected, found, rules, gone)
    for kind, size, start_ms in sorted(found.unlisted):
        report.check(
            "cells", f"p={p} {kind} {size}:{start_ms}", "gone with their pane", "a hash without pane"
        )
    for key in sorted(found.unknown):
        report.check("key", f"p={p} {key}", "none", "a key that belongs to nothing")


def _compare_rooms(
    report: Report, expected: PartitionExpected, found: Snapshot, rules: Rules, gone: Gone
) -> None:
    """The index of each pane names the lives that have hashes of their own in it, and no others.

    What was booked in a live and taken back (an order whose tap was read later) leaves zeros in its hash,
    which is named until it goes with its pane.
    """
    want: dict[tuple[str, int], set[str]] = {}
    for kind, size, start_ms in expected.panes:
        if kind.startswith(ROOM_HEAD):
            want.setdefault((size, start_ms), set()).add(kind)
    have = {
        pane: {kind for kind in kinds if kind in want.get(pane, ()) or not _holds_zeros(found, (kind, *pane))}
        for pane, kinds in found.rooms.items()
        if _is_kept(pane, expected, rules)
    }
    for size, start_ms in sorted(want.keys() | have.keys()):
        if not gone.hides_pane(start_ms):
            where = f"p={expected.partition} index:{size}:{start_ms}"
            report.check(
                "rooms", where, sorted(want.get((size, start_ms), ())), sorted(have.get((size, start_ms), ()))
            )


def _holds_zeros(found: Snapshot, key: PaneKey) -> bool:
    cells = found.panes.get(key)
    return cells is not None and not any(cells.values())


def _is_kept(pane: tuple[str, int], expected: PartitionExpected, rules: Rules) -> bool:
    size, start_ms = pane
    return is_kept(start_ms, size, expected.h, rules.retention_ms(size))


def _compare_meta(report: Report, expected: PartitionExpected, found: Snapshot, gone: Gone) -> None:
    where = f"p={expected.partition} meta"
    times: dict[str, int | None] = {}
    for topic in found.offsets:
        if topic not in gone.until_ms:
            times[f"ing:{topic}"] = expected.ingest.get(topic)
            times[f"hi:{topic}"] = expected.highest.get(topic)
    if not gone.until_ms:
        times["h"] = expected.h
    for name, want in times.items():
        have = found.meta.get(name)
        if want is not None or have is not None:
            report.check(name, where, "absent" if want is None else str(want), have or "absent")


def compare_dead_letters(
    report: Report,
    expected: Collection[PartitionExpected],
    found: Iterable[DeadLetter],
    read: Mapping[tuple[str, int], range],
) -> None:
    """Distinct dead letters; `read` are the offsets that can be compared per (topic, partition).

    A dead letter beyond them, or of a refund that still waits for its order, may belong to a write that is
    not done yet.
    """
    want = {letter for part in expected for letter in part.dead_letters if _is_read(letter[:3], read)}
    waiting = {record for part in expected for record in part.waiting}
    have = {letter for letter in found if _is_read(letter[:3], read)}
    have -= {
        letter for letter in have if letter[3] == CONFLICT and letter[:3] in waiting and letter not in want
    }
    for topic, partition, offset, reason in sorted(want | have):
        letter = (topic, partition, offset, reason)
        where = f"{topic}/{partition}@{offset}"
        report.check("dead letter", where, presence(letter in want, reason), presence(letter in have, reason))


def compare_late(
    report: Report,
    expected: Collection[PartitionExpected],
    found: Iterable[RecordId],
    read: Mapping[tuple[str, int], range],
) -> None:
    """Distinct late rows."""
    want = {row for part in expected for row in part.late if _is_read(row, read)}
    have = {row for row in found if _is_read(row, read)}
    for row in sorted(want | have):
        topic, partition, offset = row
        where = f"{topic}/{partition}@{offset}"
        report.check("late row", where, presence(row in want, "late"), presence(row in have, "late"))


def _is_read(row: RecordId, read: Mapping[tuple[str, int], range]) -> bool:
    topic, partition, offset = row
    return offset in read.get((topic, partition), range(0))


def presence(there: bool, text: str) -> str:
    """`text` for what is there, else "none"."""
    return text if there else "none"


def scope_text(kind: str, value: str) -> str:
    """all, kind:value, or a pair as a reader writes it; `other` of pairs stands for many."""
    if "," in kind and ":" in value:
        first, second = kind.split(",")
        one, two = two_values(value)
        return f"{first}:{one},{second}:{two}"
    return kind if kind == "all" else f"{kind}:{value}"

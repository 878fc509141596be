"""Expected against found: one line per difference.

Where part of the log is gone, what could depend on it is left out and counted (`panes_not_compared`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from verify.model import DeadLetter, PartitionExpected, RecordId
from verify.panes import is_kept
from verify.redis_cells import Snapshot
from verify.rules import DAY_MS, FUTURE_MS, MINUTE_MS, PURCHASES, Rules
from verify.verdicts import CONFLICT

EVENTS_OF_TOPIC: Mapping[str, tuple[str, ...]] = {
    "views": ("view", "product_impression", "product_view", "mini_program_open", "mini_program_action"),
    "tag-taps": ("tag_tap",),
    "carts": ("add_to_cart", "remove_from_cart", "begin_checkout"),
    "livestreams": (
        "live_join", "live_leave", "live_like", "live_comment", "live_start", "live_end", "live_heartbeat",
        "product_pin", "product_unpin",
    ),
    "engagement": ("share", "share_open", "share_convert", "review", "follow"),
    "catalogue": ("product_listed", "stock_set"),
    "redirects": ("redirect", "active"),
    "ads": ("ad_charge",),
}  # fmt: skip
TOPIC_OF_EVENT = {event: topic for topic, events in EVENTS_OF_TOPIC.items() for event in events}


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


@dataclass(frozen=True)
class Gone:
    """Per topic whose log start is above 0: until which pane start a figure may depend on what is gone."""

    until_ms: Mapping[str, int] = field(default_factory=dict)

    def hides(self, topic: str, start_ms: int) -> bool:
        """Whether a figure from this topic in the pane at `start_ms` can't be compared."""
        return start_ms <= self.until_ms.get(topic, -1)

    def hides_pane(self, start_ms: int) -> bool:
        """Whether anything in the pane can't be compared."""
        return any(start_ms <= until for until in self.until_ms.values())


def gone_until_ms(topic: str, remaining_ms: int, rules: Rules) -> int:
    """The last event time that records before the log's start may have had a part in.

    `remaining_ms`: a Kafka timestamp not below theirs. An event may lie 5 min ahead of it; it may have been
    a first copy for lateness + 1 min more; and an order is remembered for its horizon.
    """
    duplicates = 2 * FUTURE_MS + rules.lateness_ms(topic) + 2 * MINUTE_MS
    orders = (rules.order_horizon_days + 1) * DAY_MS if topic == PURCHASES else 0
    return remaining_ms + duplicates + orders


def topic_of(measure: str) -> str:
    """The topic that a measure of business figures comes from."""
    return TOPIC_OF_EVENT.get(measure.removeprefix("events."), PURCHASES)


def compare_cells(
    report: Report, expected: PartitionExpected, found: Snapshot, rules: Rules, gone: Gone
) -> None:
    """Every cell of one partition, panes that should not be there, and the state's own times."""
    p = expected.partition
    not_compared: set[tuple[str, int]] = set()
    for key in expected.panes.keys() | found.panes.keys():
        kind, size, start_ms = key
        want, have = expected.panes.get(key, {}), found.panes.get(key, {})
        for name in want.keys() | have.keys():
            measure, _, value = name.partition("|")
            if gone.hides(value if kind == "pipeline" else topic_of(measure), start_ms):
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
        if not is_kept(start_ms, size, expected.h, rules):
            report.check("pane", f"p={p} {size}:{start_ms}", "gone (past its retention)", "listed")
    for size, start_ms in sorted({(size, start) for _, size, start in expected.panes} - found.listed):
        if not gone.hides_pane(start_ms):
            report.check("pane", f"p={p} {size}:{start_ms}", "listed", "not listed")
    for kind, size, start_ms in sorted(found.unlisted):
        report.check(
            "cells", f"p={p} {kind} {size}:{start_ms}", "gone with their pane", "a hash without pane"
        )


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
        report.check("dead letter", where, _present(letter in want, reason), _present(letter in have, reason))


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
        report.check("late row", where, _present(row in want, "late"), _present(row in have, "late"))


def _is_read(row: RecordId, read: Mapping[tuple[str, int], range]) -> bool:
    topic, partition, offset = row
    return offset in read.get((topic, partition), range(0))


def _present(there: bool, text: str) -> str:
    return text if there else "none"


def scope_text(kind: str, value: str) -> str:
    """all, or kind:value."""
    return kind if kind == "all" else f"{kind}:{value}"

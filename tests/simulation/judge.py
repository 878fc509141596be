"""Whether what Redis and Kafka hold is right, by `verify`: figures, sets of users, dead letters, late rows.

What no figure shows is compared by `peace`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.events import INPUT_TOPICS
from tests.simulation.kafka_model import KafkaModel
from tests.simulation.redis_model import Sketch
from verify import rules as verify_rules
from verify.model import LogRecord, PartitionExpected
from verify.panes import is_kept
from verify.recompute import PartitionReplay
from verify.scopes import DUE
from verify.users import number
from verify.verdicts import CONFLICT

HEAD = "sp:{0}:"
SHOWN_MAX = 12


class Written(NamedTuple):
    """A guarded write that was applied: the vector after it, and how many refused records Kafka had then."""

    vector: Mapping[str, int]
    refused: int


def judged_by(scope_values_max: int) -> verify_rules.Rules:
    """The rules as the recomputation knows them."""
    return verify_rules.Rules(partitions=1, scope_values_max=scope_values_max)


def expected(records: Iterable[LogRecord], scope_values_max: int) -> PartitionExpected:
    """What these records amount to."""
    replay = PartitionReplay(0, judged_by(scope_values_max))
    for record in records:
        replay.add(record)
    return replay.finish()


def differences(data: Mapping[str, Any], want: PartitionExpected, scope_values_max: int) -> list[str]:
    """What Redis holds otherwise than the recomputation: cells, users, highest and ingest times."""
    rules = judged_by(scope_values_max)
    panes: dict[tuple[str, str, int], dict[str, int]] = {}
    users: dict[tuple[str, int], dict[str, list[int]]] = {}
    for key, value in data.items():
        if key.startswith("sp:{0}:cells:"):
            kind, size, start = key[13:].rsplit(":", 2)
            if not _is_past(kind, size, int(start), want.h, rules):
                cells = {name.decode(): int(amount) for name, amount in value.items()}
                panes[kind, size, int(start)] = cells
        elif value.__class__ is Sketch:
            size, start, name = key[13:].split(":", 2)
            if is_kept(int(start), size, want.h, verify_rules.SKETCH_KEPT_MS[size]):
                members = sorted(number(user.decode()) for user in value)
                users.setdefault((size, int(start)), {})[name] = members
    found = [
        f"{kind} {size}:{start} {name}: {have} instead of {wanted}"
        for kind, size, start in panes.keys() | want.panes.keys()
        for name, wanted, have in _unequal(
            want.panes.get((kind, size, start), {}), panes.get((kind, size, start), {})
        )
    ]
    for pane in users.keys() | want.users.keys():
        ours, theirs = users.get(pane, {}), want.users.get(pane, {})
        found += [
            f"users of {pane} {name}: {len(ours.get(name, ()))} instead of {len(theirs.get(name, ()))}"
            for name in ours.keys() | theirs.keys()
            if ours.get(name, []) != list(theirs.get(name, []))
        ]
    return shortened(found + _wrong_times(data, want))


def _is_past(kind: str, size: str, start_ms: int, h: int | None, rules: verify_rules.Rules) -> bool:
    """Whether such cells are to be deleted: that is done in slices, so that they may stand a while."""
    if not is_kept(start_ms, size, h, rules.retention_ms(size)):
        return True
    return kind == DUE and h is not None and start_ms + verify_rules.SIZE_MS[size] + rules.due_kept_ms <= h


def overdue(data: Mapping[str, Any], scope_values_max: int) -> list[str]:
    """Panes that are still listed past their time, and hashes of cells that go before their pane does."""
    rules, stored = judged_by(scope_values_max), data.get(HEAD + "meta", {}).get(b"h")
    h = None if stored is None else int(stored)
    hashes = [key[13:] for key in data if key.startswith(HEAD + f"cells:{DUE}:")]
    hashes += [f"panes:{pane.decode()}" for pane in data.get(HEAD + "panes", ())]
    parts = [(name, *name.rsplit(":", 2)) for name in hashes]
    return shortened(
        [
            f"{name} is not deleted"
            for name, kind, size, start in parts
            if _is_past(kind, size, int(start), h, rules)
        ]
    )


def _unequal(want: Mapping[str, int], have: Mapping[str, int]) -> list[tuple[str, int, int]]:
    if want == have:
        return []
    names = want.keys() | have.keys()
    return [(n, want.get(n, 0), have.get(n, 0)) for n in names if want.get(n, 0) != have.get(n, 0)]


def _wrong_times(data: Mapping[str, Any], want: PartitionExpected) -> list[str]:
    meta = {name.decode(): value.decode() for name, value in data.get(HEAD + "meta", {}).items()}
    times = {"h": want.h}
    for topic in INPUT_TOPICS:
        times |= {f"ing:{topic}": want.ingest.get(topic), f"hi:{topic}": want.highest.get(topic)}
    return [
        f"meta {name}: {meta.get(name)} instead of {wanted}"
        for name, wanted in times.items()
        if meta.get(name) != (None if wanted is None else str(wanted))
    ]


def shortened(found: Sequence[str]) -> list[str]:
    """The first few, in an order that no hash decides."""
    return [
        *sorted(found)[:SHOWN_MAX],
        *([f"… and {len(found) - SHOWN_MAX} more"] if len(found) > SHOWN_MAX else []),
    ]


def letters(kafka: KafkaModel, want: PartitionExpected) -> list[str]:
    """Dead letters and late rows that are missing or too many, each place once."""
    return shortened(
        [f"dead letter {each} is missing" for each in want.dead_letters - kafka.dead_letters]
        + [f"dead letter {each} should not be" for each in kafka.dead_letters - want.dead_letters]
        + [f"late row {each} is missing" for each in want.late - kafka.late]
        + [f"late row {each} should not be" for each in kafka.late - want.late]
    )


def missing_letters(kafka: KafkaModel, want: PartitionExpected) -> list[str]:
    """Records that were read and refused, but that Kafka does not have."""
    return shortened(
        [f"dead letter {each} is missing" for each in want.dead_letters - kafka.dead_letters]
        + [f"late row {each} is missing" for each in want.late - kafka.late]
    )


def letters_first(kafka: KafkaModel, want: PartitionExpected, writes: Sequence[Written]) -> list[str]:
    """Writes that passed by a refused record before Kafka had acknowledged it.

    A refund that waited is refused when its order comes: at which write that was, its offset does not say.
    """
    first: dict[tuple[str, int], int] = {}
    for at, place in enumerate(kafka.refused):
        first.setdefault(place, at)
    places = {(topic, offset) for topic, _, offset, reason in want.dead_letters if reason != CONFLICT}
    places |= {(topic, offset) for topic, _, offset in want.late}
    return shortened(
        [
            f"a write passed {topic} {offset} by before Kafka had it as a dead letter"
            for topic, offset in places
            for write in writes
            if write.vector[topic] > offset and first.get((topic, offset), write.refused) >= write.refused
        ]
    )

"""The pipeline without a broker, a Redis or a clock: bytes in, figures out, synchronously.

It drives the production core (`streams.state` and all below it) the way an owner does: screen a chunk,
read what the ledgers need, apply, and now and then save. What is saved lies in plain dicts; a crash drops
the memory, and the next owner is built from the dicts and reads each topic again from its saved offset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from schemas.codec import Reason, decode
from schemas.events import INPUT_TOPICS, Refund
from streams.batch import PlainRecord
from streams.ledger import WaitingRefund
from streams.progress import Progress
from streams.settings import Settings
from streams.state import PartitionState, Rules, StateWrite
from streams.stored_ids import stored_minutes
from streams.verdict import Refusal
from streams.window import Pane
from streams.worker import rules_of
from verify.model import CellKey, DeadLetter, LogRecord, RecordId, put_together

CHUNK = 7


@dataclass(slots=True)
class Saved:
    """What Redis would hold of one partition."""

    cells: defaultdict[tuple[str, Pane], dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    panes: set[Pane] = field(default_factory=set)
    # Whole sets in place of sketches, by pane and name.
    users: defaultdict[Pane, defaultdict[str, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    ids: defaultdict[tuple[str, int], bytes] = field(default_factory=lambda: defaultdict(bytes))
    ledgers: defaultdict[str, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    # Ids by ledger and the day under which they are filed.
    filed: defaultdict[tuple[str, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[str, bytes] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    currencies: frozenset[str] = frozenset()
    high_ms: int = -1
    progress: dict[str, Progress] = field(default_factory=dict)
    trimmed: dict[str, int] = field(default_factory=dict)

    def apply(self, state: PartitionState, write: StateWrite) -> None:
        """What the guarded write does, and what the owner learns from its answer."""
        answers: list[int] = []
        for cell in write.cells:
            stored = self.cells[cell.kind, cell.pane]
            stored.update(cell.absolute)
            for name, amount in cell.highest.items():
                stored[name] = max(amount, stored.get(name, amount))
            for name, amount in cell.deltas.items():
                stored[name] = stored.get(name, 0) + amount
                answers.append(stored[name])
            self.panes.add(cell.pane)
        for pane in write.expired_panes:
            self.panes.discard(pane)
            for key in [key for key in self.cells if key[1] == pane]:
                del self.cells[key]
        for key in write.outlived:
            self.cells.pop(key, None)
        self._save_identities(write)
        self._trim(state, write)
        self._save_sketches(state, write)
        self.lives |= {live: min(start, self.lives.get(live, start)) for live, start in write.lives.items()}
        self.currencies, self.high_ms, self.progress = write.currencies, write.high_ms, write.progress
        self.trimmed = dict(state.trimmed)
        state.sums.learn(write.cells, iter(answers))

    def _trim(self, state: PartitionState, write: StateWrite) -> None:
        for name, day in write.trims.items():
            for record_id in self.filed.pop((name, day), []):
                if self.ledgers[name].get(record_id, b"").startswith(b"%d:" % day):
                    del self.ledgers[name][record_id]
            state.trimmed[name] = day

    def _save_sketches(self, state: PartitionState, write: StateWrite) -> None:
        for (pane, name), users in write.sketches.members.items():
            self.users[pane][name] |= set(users)
        for pane in write.sketches.expired:
            self.users.pop(pane, None)
            state.users.forget(pane)

    def _save_identities(self, write: StateWrite) -> None:
        for topic, by_minute in write.new_ids.items():
            for minute, packed in by_minute.items():
                self.ids[topic, minute] += packed
        for topic, minutes in write.expired_ids.items():
            for minute in minutes:
                self.ids.pop((topic, minute), None)
        for ledger in write.ledgers:
            self.ledgers[ledger.name].update(ledger.records)
            for day, ids in ledger.filed.items():
                self.filed[ledger.name, day] += ids
        for refund_id, waiting in write.waiting.items():
            if waiting is None:
                self.waiting.pop(refund_id, None)
            else:
                self.waiting[refund_id] = msgspec.msgpack.encode(waiting)

    def load(self, partition: int, rules: Rules) -> PartitionState:
        """The memory that a new owner builds from what is saved."""
        state = PartitionState(partition, rules)
        state.high_ms = self.high_ms
        state.service.currencies.update(self.currencies)
        state.topics.update({topic: replace(progress) for topic, progress in self.progress.items()})
        state.trimmed = dict(self.trimmed)
        state.sums.load_stored(self.panes)
        state.users.load_stored(self.users)
        for encoded in self.waiting.values():
            kept = msgspec.msgpack.decode(encoded, type=WaitingRefund)
            refund = decode(kept.value, "purchases", rules.platforms)
            assert isinstance(refund, Refund)
            state.service.orders.let_wait(refund, kept)
        for topic, ids in state.ids.items():
            for minute in stored_minutes(ids, state.topics[topic].ingest_ms):
                if (topic, minute) in self.ids:
                    ids.load(minute, self.ids[topic, minute])
        return state


class PipelineDriver:
    """Feeds records of all topics and partitions through the core.

    `settings` are fields of the settings that differ from their defaults. Each topic-partition's log must
    be handed over in offset order; topics may come in any order.
    """

    def __init__(self, partitions: int = 1, **settings: Any) -> None:
        self.rules = rules_of(Settings(partitions=partitions, **settings))
        self.log: dict[tuple[str, int], list[LogRecord]] = {
            (topic, p): [] for topic in INPUT_TOPICS for p in range(partitions)
        }
        self.saved = {p: Saved() for p in range(partitions)}
        self.states = {p: self.saved[p].load(p, self.rules) for p in range(partitions)}
        self.dead_letters: set[DeadLetter] = set()
        self.late: set[RecordId] = set()
        self._refusals: dict[int, list[tuple[str, Refusal]]] = {p: [] for p in range(partitions)}

    def append(self, records: Iterable[LogRecord]) -> None:
        """Puts records at the end of their logs; nothing is read yet."""
        for record in records:
            self.log[record.topic, record.partition].append(record)

    def read(self, topic: str, partition: int, count: int | None = None) -> None:
        """The owner reads the next `count` records of a topic-partition (all that are left by default)."""
        state = self.states[partition]
        log = self.log[topic, partition]
        at = state.topics[topic].next_offset or 0
        end = len(log) if count is None else min(len(log), at + count)
        while at < end:
            chunk = [
                PlainRecord(r.offset, r.timestamp_ms, r.key, r.value, r.headers)
                for r in log[at : min(at + CHUNK, end)]
            ]
            at += len(chunk)
            self._apply(state, topic, partition, chunk, at)

    def _apply(
        self, state: PartitionState, topic: str, partition: int, chunk: list[PlainRecord], next_offset: int
    ) -> None:
        screened = state.screen(topic, chunk)
        ledgers = self.saved[partition].ledgers
        while missing := state.missing(topic, screened):
            state.load_records(
                {name: {i: ledgers[name].get(i) for i in ids} for name, ids in missing.records.items()}
            )
            state.sums.admission.load({place: self.saved[partition].cells[place] for place in missing.cells})
        refusals = state.apply(topic, chunk, screened, next_offset)
        self._refusals[partition] += [(topic, refusal) for refusal in refusals]

    def save(self, partition: int) -> None:
        """A flush: refused records are acknowledged first, then everything unsaved is written."""
        for topic, refusal in self._refusals[partition]:
            place = (topic, partition, refusal.record.offset)
            if refusal.reason is Reason.LATE:
                self.late.add(place)
            else:
                self.dead_letters.add((*place, refusal.reason.value))
        self._refusals[partition] = []
        state = self.states[partition]
        self.saved[partition].apply(state, state.take())

    def crash(self, partition: int) -> None:
        """The owner dies; another one starts from what is saved."""
        self._refusals[partition] = []
        self.states[partition] = self.saved[partition].load(partition, self.rules)

    def finish(self) -> None:
        """Reads every log to its end and saves."""
        for topic, partition in self.log:
            self.read(topic, partition)
        for partition in self.saved:
            self.save(partition)

    def cells(self) -> dict[CellKey, int]:
        """Every cell that is not zero, added up over the partitions."""
        total: dict[CellKey, int] = {}
        for saved in self.saved.values():
            for (kind, pane), fields in saved.cells.items():
                for name, amount in fields.items():
                    measure, _, value = name.partition("|")
                    key = (kind, value, pane.size.name, pane.start_ms, measure)
                    put_together(total, key, measure, amount)
        return {key: amount for key, amount in total.items() if amount}

    def user_counts(self) -> dict[CellKey, int]:
        """How many users each sketch holds, by (kind, value, size, start, step), over the partitions."""
        total: defaultdict[CellKey, int] = defaultdict(int)
        for saved in self.saved.values():
            for pane, by_name in saved.users.items():
                for name, users in by_name.items():
                    step, kind, value = name.split(":", 2)
                    total[kind, value, pane.size.name, pane.start_ms, step] += len(users)
        return dict(total)


def run(
    records: Iterable[LogRecord], partitions: int = 1, settings: Mapping[str, Any] | None = None
) -> PipelineDriver:
    """A driver that has read and saved everything."""
    driver = PipelineDriver(partitions, **(settings or {}))
    driver.append(records)
    driver.finish()
    return driver

"""The atomic write against a model of a few lines, over a real Redis: whatever is sent, lost, repeated, late
or rolled back, Redis holds exactly what one prefix of the log gives.

The model of the guard is one name: each accepted write makes a version that is called by its token, and a
write is accepted only if Redis holds the version that its memory was built on. The model of the figures is
`verify`'s recomputation of the log up to the version's offsets.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from streams.batch import PlainRecord
from streams.local.redis import RedisServer
from streams.state import StateWrite
from streams.store import Applied, AppliedBefore, Guard, Refused, WriteAnswer, connect
from tests.store_kit import AnotherOwnersRecordsError, Memory, Shelf, rules
from tests.test_verify_against_pipeline import APART, logs
from verify.model import CellKey, Expected, LogRecord, flat_cells
from verify.recompute import recompute
from verify.redis_cells import RedisCells, Snapshot
from verify.rules import TOPICS, Rules

SHORT, LONG = 40, 5_000
STEPS = 30
T = TypeVar("T")


@dataclass(frozen=True)
class Version:
    """What an accepted write left. Two of one token are the same: it was the same write on the same version,
    sent again after Redis had lost what it did the first time."""

    offsets: Mapping[str, int]
    token: str = ""


EMPTY = Version(dict.fromkeys(TOPICS, 0))


@dataclass(frozen=True, eq=False)
class Backup:
    """A version with every key's bytes."""

    version: Version
    dumped: Mapping[str, bytes]


@dataclass(frozen=True)
class OnItsWay:
    """A write that was sent, or not yet, and has no answer."""

    write: StateWrite
    token: str
    offsets: Mapping[str, int]


@dataclass(eq=False)
class Owner:
    """A memory, the version that it was built on, and its one write on its way."""

    memory: Memory
    base: Version
    pending: OnItsWay | None = None
    next_guard: Guard = field(default_factory=lambda: Guard("", {}))
    read_to: dict[str, int] = field(default_factory=dict)


class AtomicWrite(RuleBasedStateMachine):
    """Owners of one partition who know nothing of each other, over one Redis that may fall back."""

    owners = Bundle("owners")
    backups = Bundle("backups")

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.shelf = self.run(self._shelf())
        self.reader = RedisCells(self.server.url, self.shelf.prefix)
        self.log: dict[str, list[LogRecord]] = {}
        self.stored = EMPTY
        self.tokens = map(str, itertools.count(1))
        self.is_seen = True

    async def _shelf(self) -> Shelf:
        return Shelf(self.server.url, connect(self.server.url), rules())

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Awaits in the machine's own loop."""
        return self.runner.run(what)

    @initialize(log=logs())
    def write_log(self, log: list[LogRecord]) -> None:
        """What producers sent: duplicates, disorder and late records among it."""
        self.log = {topic: [record for record in log if record.topic == topic] for topic in TOPICS}

    def expected(self, offsets: Mapping[str, int]) -> Expected:
        """What the log up to there gives."""
        read = [record for topic in TOPICS for record in self.log[topic][: offsets[topic]]]
        return recompute(read, Rules(partitions=1))

    @rule(target=owners)
    def take_over(self) -> Owner:
        """Another owner begins, beside those that there are: it builds on what Redis holds."""
        memory = self.run(self.shelf.owner())
        return Owner(memory, self.stored, read_to=dict(self.stored.offsets))

    @rule(owner=owners, topic=st.sampled_from(TOPICS), count=st.integers(1, 12))
    def read(self, owner: Owner, topic: str, count: int) -> None:
        """An owner folds the next records of a topic: topics come in any order, 10 min apart at most."""
        left = {name: self.log[name][owner.read_to[name] :] for name in TOPICS}
        until_ms = min((ahead[0].timestamp_ms for ahead in left.values() if ahead), default=0) + APART
        batch = [record for record in left[topic][:count] if record.timestamp_ms <= until_ms]
        if batch:
            chunk = [PlainRecord(r.offset, r.timestamp_ms, r.key, r.value) for r in batch]
            try:
                self.run(owner.memory.fold_chunk(topic, chunk))
            except AnotherOwnersRecordsError:
                self._begin_anew(owner)
            else:
                owner.read_to[topic] += len(batch)

    @rule(owner=owners)
    def read_everything(self, owner: Owner) -> None:
        """An owner folds all that is left."""
        while any(owner.read_to[topic] < len(self.log[topic]) for topic in TOPICS):
            for topic in TOPICS:
                self.read(owner, topic, 100)

    @rule(owner=owners)
    def save(self, owner: Owner) -> None:
        """A write, or the one that is on its way once more, and its answer."""
        self._begin(owner)
        self._answered(owner, self._send(owner))

    @rule(owner=owners)
    def save_unanswered(self, owner: Owner) -> None:
        """A write arrives, its answer does not: the owner will send it again."""
        self._begin(owner)
        self._send(owner)

    @rule(owner=owners)
    def hold_back(self, owner: Owner) -> None:
        """A write leaves its owner and is held up on its way: others overtake it."""
        self._begin(owner)

    @rule(target=backups)
    def back_up(self) -> Backup:
        """A replica, a snapshot, the part of a log that is on disk."""
        return Backup(self.stored, self.run(self.shelf.snapshot()))

    @rule(backup=backups)
    def fall_back(self, backup: Backup) -> None:
        """Redis loses its last writes: another was promoted, or the last second was not on disk."""
        self.run(self.shelf.roll_back(backup.dumped))
        self.stored = backup.version
        self.is_seen = False

    @rule()
    def lose_everything(self) -> None:
        """FLUSHALL."""
        self.run(self.shelf.roll_back({}))
        self.stored = EMPTY
        self.is_seen = False

    def _begin(self, owner: Owner) -> None:
        if owner.pending is None:
            write = owner.memory.state.take()
            owner.pending = OnItsWay(write, next(self.tokens), dict(owner.read_to))
            owner.memory.sent = owner.pending.token

    def _send(self, owner: Owner) -> WriteAnswer:
        """Sends the write on its way; the answer is the one that the model of one name gives."""
        memory, sent = owner.memory, owner.pending
        assert sent is not None
        answer, owner.next_guard = self.run(
            self.shelf.store.write(memory.state, sent.write, memory.guard, sent.token, {"owner": "model"})
        )
        if self.stored.token == sent.token:
            assert answer == AppliedBefore()
        elif self.stored == owner.base:
            assert isinstance(answer, Applied)
            self.stored = Version(sent.offsets, sent.token)
        else:
            assert isinstance(answer, Refused)
        self.is_seen = False
        return answer

    def _answered(self, owner: Owner, answer: WriteAnswer) -> None:
        """What an owner does with an answer: it goes on, or drops its memory and loads it again."""
        sent, owner.pending = owner.pending, None
        assert sent is not None
        if isinstance(answer, Refused):
            self._begin_anew(owner)
            return
        owner.memory.learn(sent.write, answer, owner.next_guard)
        owner.base = self.stored

    def _begin_anew(self, owner: Owner) -> None:
        """All memory is dropped, with what is on its way, and built again from what Redis holds."""
        owner.memory, owner.base, owner.pending = self.run(self.shelf.owner()), self.stored, None
        owner.read_to = dict(self.stored.offsets)

    @invariant()
    def redis_holds_one_prefix_of_the_log(self) -> None:
        """Cells, distinct users and offsets are those of the version, to the unit."""
        if self.is_seen:
            return
        self.is_seen = True
        found = self.reader.snapshot(0, sketches_most=100_000)
        expected = self.expected(self.stored.offsets)
        assert found.meta.get("token", "") == self.stored.token
        assert found.offsets == self.stored.offsets
        assert flat_cells(found.panes) == expected.cells
        assert _users(found) == expected.user_counts
        assert not (found.unlisted or found.unlisted_users or found.unlisted_indexes or found.unknown)

    def teardown(self) -> None:
        """A last owner goes on from whatever is there, to the end of the log."""
        try:
            if self.log:
                last = self.take_over()
                self.read_everything(last)
                self.save(last)
                self.redis_holds_one_prefix_of_the_log()
                assert self.stored.offsets == {topic: len(self.log[topic]) for topic in TOPICS}
        finally:
            self.run(self._leave())
            self.runner.close()
            self.reader.close()

    async def _leave(self) -> None:
        await self.shelf.roll_back({})
        await self.shelf.client.aclose()


def _users(found: Snapshot) -> dict[CellKey, int]:
    counts = {}
    for (size, start_ms, name), estimate in found.estimates.items():
        step, kind, value = name.split(":", 2)
        counts[kind, value, size, start_ms, step] = estimate
    return counts


def _play(server: RedisServer, stories: int) -> None:
    machine = type("OnThisServer", (AtomicWrite,), {"server": server})
    run_state_machine_as_test(machine, settings=settings(max_examples=stories, stateful_step_count=STEPS))


def test_redis_always_holds_one_prefix_of_the_log(redis_server: RedisServer) -> None:
    """Some stories of batches, resent writes, stale owners, lost answers and rollbacks, each to its end."""
    _play(redis_server, SHORT)


def test_a_write_that_is_sent_again_after_a_loss_makes_the_same_version(redis_server: RedisServer) -> None:
    """Who had read that version before the loss goes on from it: nothing differs, and nothing is lost."""
    story = type("OnThisServer", (AtomicWrite,), {"server": redis_server})()
    story.write_log([])
    first = story.take_over()
    story.save_unanswered(first)
    second = story.take_over()
    story.lose_everything()
    story.save_unanswered(first)
    story.save(second)
    assert second.base == story.stored and second.base.token == "2"
    story.redis_holds_one_prefix_of_the_log()
    story.teardown()


@pytest.mark.long
def test_redis_always_holds_one_prefix_of_the_log_in_5000_stories(redis_server: RedisServer) -> None:
    """The same, 5 000 times."""
    _play(redis_server, LONG)

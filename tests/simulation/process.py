"""One worker process: the real fleet and owner, on a consumer made by hand."""

from __future__ import annotations

from asyncio import get_running_loop, sleep
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from schemas.events import INPUT_TOPICS
from streams.batch import Batch
from streams.errors import PulseError
from streams.fleet import Fleet
from streams.log_check import CountCheck
from streams.owner import Owner
from streams.state import Rules
from streams.store import Store
from streams.work import Work
from tests.simulation.kafka_model import Brokers, KafkaModel
from tests.simulation.loop import LIFE, Life
from tests.simulation.wire import Client, RedisServer

PREFIX = "sp"
BATCHES_AHEAD_MAX = 2
RECENT_BATCHES = 8


@dataclass(frozen=True)
class Surroundings:
    """What all processes of a world share."""

    kafka: KafkaModel
    redis: RedisServer
    rng: Random
    rules: Rules
    now_ms: Callable[[], int]
    happened: Callable[[str], None]
    tell: Callable[[str], None]
    # Told why a worker ended by itself.
    ended: Callable[[str], None]
    max_dirty_cells: int
    watchdog_ms: int


class Process:
    """A worker from its start to its end; `die` is a kill -9."""

    def __init__(self, name: str, around: Surroundings) -> None:
        self.life = Life(name)
        self.context = copy_context()
        self.context.run(LIFE.set, self.life)
        self.skew_ms = 0
        self.knows_lag = True
        # Batches that were handed over, to be handed over again by a fault.
        self.recent: deque[Batch] = deque(maxlen=RECENT_BATCHES)
        self._around = around
        self._is_assigned = self._is_revoking = False
        self._given: int | None = None
        self._epoch: int | None = None
        self._positions: dict[str, int] = {}
        self._held: frozenset[tuple[str, int]] = frozenset()
        self._ahead = dict.fromkeys(INPUT_TOPICS, 0)
        self.client = Client(around.redis, self._die_of)
        self.brokers = Brokers(around.kafka, around.redis.delay_s, around.happened)
        work = Work(
            rules=around.rules,
            store=Store(cast(Any, self.client), PREFIX, around.rules.figures),
            outlet=self.brokers,
            reader=self,
            log=self.brokers,
            counts=CountCheck(self.brokers, INPUT_TOPICS, 1, lambda: get_running_loop().time()),
            may_begin_late=False,
            now_ms=lambda: around.now_ms() + self.skew_ms,
            on_fatal=self._on_fatal,
            flush_interval_ms=200,
            max_dirty_cells=around.max_dirty_cells,
            name=name,
        )
        self.fleet = Fleet(work, around.watchdog_ms, self._hold, self._hint)

    def start(self) -> None:
        """Starts its timers and its consumer. Needs a running loop."""
        self.context.run(self.fleet.start)
        self._later(self._fetch)

    @property
    def name(self) -> str:
        """What the story calls it."""
        return self.life.name

    @property
    def owner(self) -> Owner | None:
        """The owner of the partition, while it thinks that it owns it."""
        return self.fleet.owners.get(0)

    def _later(self, callback: Callable[[], None]) -> None:
        delay_s = 0.005 + 0.05 * self._around.rng.random()
        get_running_loop().call_later(delay_s, callback, context=self.context)

    # What the group does to it.

    def assign(self, generation: int) -> None:
        """The group gives it the partition; not before it is done with the rebalance before."""
        self._given = generation
        if not self._is_revoking:
            self._take()

    def _take(self) -> None:
        if self._given is not None:
            self._is_assigned = True
            self.context.copy().run(self.fleet.on_assigned, frozenset({0}), self._given)
            self._given = None

    def revoke(self) -> None:
        """It learns that a rebalance began."""
        self._given = None
        if not self._is_revoking:
            self._is_revoking = True
            self.context.copy().run(lambda: get_running_loop().create_task(self._revoke()))

    async def _revoke(self) -> None:
        await self.fleet.on_revoked()
        # In this order in the driver, too: it reads until its last flush is done.
        self._is_assigned = self._is_revoking = False
        self._epoch = None
        self._take()

    def lose_position(self) -> None:
        """The consumer says that the log does not hold what it was to read."""
        self.context.run(self.fleet.on_lost_position, 0, "out of range")

    def die(self) -> None:
        """kill -9."""
        self.life.dead = True
        self.life.held = []

    def _die_of(self, when: str) -> None:
        if not self.life.dead:
            self._around.tell(f"{self.name} is killed {when}")
            self.die()

    def _on_fatal(self, error: PulseError) -> None:
        self._around.ended(f"{self.name} ends: {error}")
        self.stop()

    def stop(self) -> None:
        """SIGTERM, or an error that ends it."""
        self.context.copy().run(lambda: get_running_loop().create_task(self._end()))

    async def _end(self) -> None:
        await self.fleet.on_revoked()
        self.die()

    # The consumer.

    async def open(self, partition: int, offsets: Mapping[str, int], epoch: int) -> None:
        """See `work.Reader`: in another thread, some time later."""
        await sleep(self._around.redis.delay_s())
        if not self._is_assigned:
            self._epoch = None
            return
        if self.is_overtaken(epoch):
            return
        self._positions, self._epoch = dict(offsets), epoch
        self._ahead = dict.fromkeys(INPUT_TOPICS, 0)

    def is_overtaken(self, epoch: int) -> bool:
        """Whether a later take-over's opening was done already."""
        return self._epoch is not None and epoch < self._epoch

    def know_lag(self) -> None:
        """Lags are known again."""
        self.knows_lag = True

    def lag(self, topic: str, partition: int, next_offset: int) -> int | None:
        """See `work.Reader`."""
        return self._around.kafka.ends[topic] - next_offset if self.knows_lag else None

    def _hold(self, held: frozenset[tuple[str, int]]) -> None:
        self._held = held

    async def _hint(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Nobody reads Kafka's group offsets."""

    def folded(self, batch: Batch) -> None:
        """See `work.Reader`."""
        if batch.epoch == self._epoch:
            self._ahead[batch.topic] -= 1

    def _fetch(self) -> None:
        around, epoch = self._around, self._epoch
        self._later(self._fetch)
        if epoch is None or around.kafka.away:
            return
        for topic, before in self._positions.items():
            unread = before < around.kafka.ends[topic] and (topic, 0) not in self._held
            if not unread or self._ahead[topic] >= BATCHES_AHEAD_MAX or around.rng.random() < 0.4:
                continue
            count = 1 + int(8 * around.rng.random() ** 2)
            after, records = around.kafka.fetch(topic, before, count, around.rng)
            self._positions[topic] = after
            self.hand_over(Batch(topic, 0, epoch, before, after, records))

    def hand_over(self, batch: Batch) -> None:
        """Gives a batch to the agent of its topic, which hands it on."""
        self.recent.append(batch)
        # One that is handed over again may be of an older opening, and takes no room: see `folded`.
        if batch.epoch == self._epoch:
            self._ahead[batch.topic] += 1
        self.context.copy().run(self.fleet.hand_over, batch)

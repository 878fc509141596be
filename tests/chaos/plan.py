"""Which faults come when: drawn from a seed, so that a run that failed can be drawn again.

Pure. A plan is a list of steps; the faults of a step overlap, and touch different things. After a quiet step
the pipeline may catch up before the next one; after the others it may not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What goes wrong."""

    WORKER_KILL = "worker-kill"
    WORKER_STOP = "worker-stop"
    WORKER_LEAVE = "worker-leave"
    WORKER_JOIN = "worker-join"
    KAFKA_RESTART = "kafka-restart"
    KAFKA_KILL = "kafka-kill"
    KAFKA_CUT = "kafka-cut"
    KAFKA_STALL = "kafka-stall"
    KAFKA_HALF_OPEN = "kafka-half-open"
    REDIS_KILL = "redis-kill"
    REDIS_POWER_LOSS = "redis-power-loss"
    REDIS_FAILOVER = "redis-failover"
    REDIS_FLUSH = "redis-flush"
    REDIS_DISK_FULL = "redis-disk-full"
    REDIS_MEMORY_FULL = "redis-memory-full"
    REDIS_CUT = "redis-cut"
    REDIS_STALL = "redis-stall"
    REDIS_HALF_OPEN = "redis-half-open"
    CLOCK_AHEAD = "clock-ahead"
    CLOCK_REFUSED = "clock-refused"
    CLOCK_BEHIND = "clock-behind"
    EVENTS_AHEAD = "events-ahead"


class Spec(NamedTuple):
    """How a kind is drawn.

    Attributes:
        touches: two faults that touch the same do not overlap.
        shortest_s, longest_s: until it heals.
        weight: how often, beside the others.
        told: what it is, for the report.
    """

    touches: str
    shortest_s: float
    longest_s: float
    weight: int
    told: str


# Sessions of workers last 6 s: a stop is always longer than that.
SPECS: Final = {
    Kind.WORKER_KILL: Spec("workers", 0.0, 2.0, 12, "kill -9 of one to three workers"),
    Kind.WORKER_STOP: Spec("workers", 7.5, 12.0, 6, "SIGSTOP past the session timeout, SIGCONT: a zombie"),
    Kind.WORKER_LEAVE: Spec("workers", 2.0, 6.0, 5, "SIGTERM to a worker, started again later"),
    Kind.WORKER_JOIN: Spec("workers", 5.0, 12.0, 5, "a fourth worker joins and leaves"),
    Kind.KAFKA_RESTART: Spec("kafka", 0.0, 2.0, 3, "the broker ends in order and starts again"),
    Kind.KAFKA_KILL: Spec("kafka", 0.0, 3.0, 3, "kill -9 of the broker"),
    Kind.KAFKA_CUT: Spec("kafka-net", 0.0, 8.0, 4, "connections to Kafka reset, new ones refused"),
    Kind.KAFKA_STALL: Spec("kafka-net", 2.0, 10.0, 4, "nothing passes to and from Kafka, then all of it"),
    Kind.KAFKA_HALF_OPEN: Spec("kafka-net", 0.0, 0.0, 2, "connections to Kafka dead, and nobody told"),
    Kind.REDIS_KILL: Spec("redis", 0.0, 3.0, 5, "kill -9 of Redis (AOF everysec), started again"),
    Kind.REDIS_POWER_LOSS: Spec("redis", 1.0, 2.0, 5, "kill -9 of Redis, the end of its AOF cut off"),
    Kind.REDIS_FAILOVER: Spec("redis", 1.0, 2.0, 5, "a replica that lacks the last 1–2 s is promoted"),
    Kind.REDIS_FLUSH: Spec("redis", 0.0, 0.0, 1, "FLUSHALL: everything is rebuilt from the log"),
    Kind.REDIS_DISK_FULL: Spec("redis", 3.0, 8.0, 4, "Redis cannot write its AOF (RLIMIT_FSIZE): MISCONF"),
    Kind.REDIS_MEMORY_FULL: Spec("redis", 3.0, 8.0, 4, "maxmemory below what Redis holds: OOM"),
    Kind.REDIS_CUT: Spec("redis-net", 0.0, 8.0, 4, "connections to Redis reset, new ones refused"),
    Kind.REDIS_STALL: Spec("redis-net", 2.0, 10.0, 4, "nothing passes to and from Redis, then all of it"),
    Kind.REDIS_HALF_OPEN: Spec("redis-net", 0.0, 0.0, 3, "connections to Redis dead, and nobody told"),
    Kind.CLOCK_AHEAD: Spec("kafka", 0.0, 0.0, 2, "a producer 4 min ahead, which Kafka lets pass"),
    Kind.CLOCK_REFUSED: Spec("kafka", 0.0, 0.0, 2, "a producer 1 h ahead, which Kafka refuses"),
    Kind.CLOCK_BEHIND: Spec("kafka", 0.0, 0.0, 2, "a producer 1 h behind: traffic is late"),
    Kind.EVENTS_AHEAD: Spec("kafka", 0.0, 0.0, 2, "events 1 h ahead of Kafka's time: dead letters"),
}  # fmt: skip

# What ends the process of a server: memory is comparable within the life of a process.
SOAK_LEFT_OUT: Final = frozenset({Kind.REDIS_FLUSH, Kind.KAFKA_RESTART, Kind.KAFKA_KILL, Kind.REDIS_KILL,
                                  Kind.REDIS_POWER_LOSS, Kind.REDIS_FAILOVER})  # fmt: skip
# All of the log is read again: late in a run that takes longer than everything else.
EARLY_SHARE: Final = 0.1
SIZES: Final = (1, 2, 2, 3, 3)
QUIET_SHARE: Final = 0.7
STAGGER_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        number: from 1, in the order of the plan.
        after_s: after the beginning of its step.
        lasts_s: until it heals.
        seed: what else is to be drawn for it: which workers, which connections.
    """

    number: int
    kind: Kind
    after_s: float
    lasts_s: float
    seed: int

    def __str__(self) -> str:
        return f"#{self.number} {self.kind}"


@dataclass(frozen=True, slots=True)
class Step:
    """Faults that overlap. `pause_s`: after the step; `quiet`: whether to catch up after it."""

    faults: tuple[Fault, ...]
    pause_s: float
    quiet: bool


def chaos_plan(seed: int, count: int) -> tuple[Step, ...]:
    """`count` faults, at first every kind once, one to three at a time."""
    rng = random.Random(f"chaos {seed}")
    kinds = _kinds(rng, count, tuple(Kind))
    steps: list[Step] = []
    number = 0
    while kinds:
        together = _take(kinds, rng.choice(SIZES))
        faults: list[Fault] = []
        for kind in together:
            number += 1
            after_s = round(rng.uniform(0, STAGGER_S), 2) if faults else 0.0
            faults.append(_fault(rng, number, kind, after_s))
        pause_s = round(rng.uniform(0, 1.5), 2)
        steps.append(Step(tuple(faults), pause_s, rng.random() < QUIET_SHARE))
    return tuple(steps)


def soak_plan(seed: int, count: int) -> tuple[Step, ...]:
    """One fault at a time, of those kinds that leave broker and Redis their processes."""
    rng = random.Random(f"soak {seed}")
    kinds = _kinds(rng, count, tuple(kind for kind in Kind if kind not in SOAK_LEFT_OUT))
    return tuple(Step((_fault(rng, number, kind, 0.0),), 0.0, True) for number, kind in enumerate(kinds, 1))


def _kinds(rng: random.Random, count: int, among: Sequence[Kind]) -> list[Kind]:
    once = list(among)
    rng.shuffle(once)
    weights = [SPECS[kind].weight for kind in among]
    kinds = (once + rng.choices(among, weights, k=max(0, count - len(once))))[:count]
    border = max(1, round(count * EARLY_SHARE))
    for at, kind in enumerate(kinds):
        if kind is Kind.REDIS_FLUSH and at >= border:
            earlier = rng.choice([number for number in range(border) if kinds[number] is not kind])
            kinds[at], kinds[earlier] = kinds[earlier], kind
    return kinds


def _take(kinds: list[Kind], size: int) -> list[Kind]:
    """The first kinds, as many of them as touch different things."""
    together: list[Kind] = []
    touched: set[str] = set()
    for kind in list(kinds):
        if len(together) < size and SPECS[kind].touches not in touched:
            together.append(kind)
            touched.add(SPECS[kind].touches)
            kinds.remove(kind)
    return together


def _fault(rng: random.Random, number: int, kind: Kind, after_s: float) -> Fault:
    lasts_s = round(rng.uniform(SPECS[kind].shortest_s, SPECS[kind].longest_s), 2)
    return Fault(number, kind, after_s, lasts_s, rng.randrange(2**31))


def told(steps: Sequence[Step]) -> str:
    """The plan in one line: how many faults of each kind."""
    counts = Counter(fault.kind for step in steps for fault in step.faults)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))

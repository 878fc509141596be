"""What may go wrong, each fault at a seeded step: what it does to the world, and how often it is chosen.

A fault is three numbers and a word, so that a story can be told again without some of them. It answers with
what it did, in plain words, or with nothing where there was nothing to disturb.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

HOUR_MS = 3_600_000
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` happens so many steps after the one before; `a` and `b`, 0 to 1, say to whom and how much."""

    steps: int
    kind: str
    a: float
    b: float


def _one(world: World, a: float) -> Process | None:
    """Some process that lives."""
    living = [process for process in world.processes if not process.life.dead]
    return living[int(a * len(living))] if living else None


def crash(world: World, a: float, b: float) -> str:
    """kill -9 at any await."""
    process = _one(world, a)
    if process is None:
        return ""
    process.die()
    return f"{process.name} is killed"


def stop(world: World, a: float, b: float) -> str:
    """SIGTERM: saves what it can, and ends."""
    process = _one(world, a)
    if process is None:
        return ""
    process.stop()
    return f"{process.name} is told to end"


def rebalance(world: World, a: float, b: float) -> str:
    """The partition moves; its owner is told first and saves what it can."""
    return world.rebalance(is_told=True, is_new=a < 0.5)


def zombie(world: World, a: float, b: float) -> str:
    """The partition moves, and its owner, who is not told, goes on."""
    return world.rebalance(is_told=False, is_new=a < 0.6)


def told_at_last(world: World, a: float, b: float) -> str:
    """A zombie learns that it has lost the partition."""
    zombies = [each for each in world.processes if each is not world.holder and not each.life.dead]
    if not zombies:
        return ""
    process = zombies[int(a * len(zombies))]
    process.revoke()
    return f"{process.name} is told that the partition is no longer its own"


def take_over_again(world: World, a: float, b: float) -> str:
    """The same process has to take the partition over once more."""
    process = _one(world, a)
    if process is None or process.owner is None:
        return ""
    process.lose_position()
    return f"{process.name} loses its position and takes the partition over again"


def pause(world: World, a: float, b: float) -> str:
    """SIGSTOP, and SIGCONT a while later."""
    process = _one(world, a)
    if process is None or process.life.paused:
        return ""
    process.life.paused = True
    seconds = 0.02 + 3 * b * b
    world.later(seconds, lambda: world.resume(process))
    return f"{process.name} stands still for {seconds:.2f} s"


def send_again(world: World, a: float, b: float) -> str:
    """A producer sends a record a second time."""
    return world.send_again(a, b)


def hand_over_again(world: World, a: float, b: float) -> str:
    """A batch, of this epoch or of an older one, comes a second time."""
    process = _one(world, a)
    if process is None or not process.recent:
        return ""
    batch = process.recent[int(b * len(process.recent))]
    process.hand_over(batch)
    return f"{process.name} is handed {batch.topic} {batch.before}-{batch.after} again"


def _armed(name: str, words: str) -> Callable[[World, float, float], str]:
    def arm(world: World, a: float, b: float) -> str:
        process = _one(world, a)
        if process is None or process.owner is None:
            return ""
        process.client.armed += [""] * int(b * 3) + [name]
        return f"of {process.name}'s requests to Redis, one in {int(b * 3) + 1} {words}"

    arm.__doc__ = f"A request of a worker {words}."
    return arm


def _letters(name: str, words: str) -> Callable[[World, float, float], str]:
    def arm(world: World, a: float, b: float) -> str:
        process = _one(world, a)
        if process is None or process.owner is None:
            return ""
        process.brokers.armed.append(name)
        return f"{process.name}'s next dead letters are {words}"

    arm.__doc__ = f"The next dead letters of a worker are {words}."
    return arm


def _trouble(name: str) -> Callable[[World, float, float], str]:
    def begin(world: World, a: float, b: float) -> str:
        if world.redis.trouble:
            return ""
        world.redis.trouble = name
        seconds = 0.02 + 2 * b * b
        world.later(seconds, world.end_trouble)
        return f"Redis is {name} for {seconds:.2f} s"

    begin.__doc__ = f"Redis is {name} for a while."
    return begin


def slow(world: World, a: float, b: float) -> str:
    """Redis and Kafka answer slowly for a while."""
    if world.redis.slow_s:
        return ""
    world.redis.slow_s = 0.01 + b
    world.later(0.3 + 3 * a, world.end_slowness)
    return f"answers take up to {world.redis.slow_s:.2f} s"


def cut(world: World, a: float, b: float) -> str:
    """Every connection to Redis breaks, with all that is on it."""
    world.redis.cut()
    return "all connections to Redis break"


def roll_back(world: World, a: float, b: float) -> str:
    """Redis comes back without its last writes."""
    return world.roll_back(1 + int(a * a * 5))


def empty(world: World, a: float, b: float) -> str:
    """FLUSHALL: everything has to be read again from the start of the log."""
    if not world.redis.model.data:
        return ""
    world.empty()
    return "Redis is emptied"


def clock(world: World, a: float, b: float) -> str:
    """A worker's clock jumps."""
    process = _one(world, a)
    if process is None:
        return ""
    process.skew_ms = int((b - 0.5) * (2 * DAY_MS if int(b * 100) % 3 else HOUR_MS))
    return f"{process.name}'s clock is {process.skew_ms / 1000:+.0f} s off"


def kafka_away(world: World, a: float, b: float) -> str:
    """Kafka takes no dead letters, gives no records and tells no bounds."""
    if world.kafka.away:
        return ""
    world.kafka.away = True
    seconds = 0.02 + 2 * b * b
    world.later(seconds, world.end_kafka_trouble)
    return f"Kafka is away for {seconds:.2f} s"


def lag_unknown(world: World, a: float, b: float) -> str:
    """A worker does not know how much is left to read."""
    process = _one(world, a)
    if process is None or not process.knows_lag:
        return ""
    process.knows_lag = False
    world.later(0.2 + 2 * b, process.know_lag)
    return f"{process.name} does not know its lag"


def look(world: World, a: float, b: float) -> str:
    """No fault: Redis is compared with the recomputation of what its vector says was read."""
    world.look()
    return ""


KINDS: dict[str, tuple[int, Callable[[World, float, float], str]]] = {
    "crash": (10, crash),
    "crash when a request was sent": (5, _armed("crash_sent", "kills its worker when it is sent")),
    "crash when a request was done": (5, _armed("crash_done", "kills its worker when it is done")),
    "stopped": (4, stop),
    "rebalance": (8, rebalance),
    "zombie": (10, zombie),
    "zombie told": (4, told_at_last),
    "taken over again": (6, take_over_again),
    "paused": (6, pause),
    "sent twice by the producer": (6, send_again),
    "batch handed over again": (8, hand_over_again),
    "request lost": (5, _armed("lost_request", "is lost")),
    "answer lost": (8, _armed("lost_reply", "loses its answer")),
    "request done late": (6, _armed("late", "is done half a second after its worker gave up")),
    "Redis full": (3, _trouble("full")),
    "Redis read-only": (2, _trouble("read-only")),
    "Redis loading": (2, _trouble("loading")),
    "Redis away": (4, _trouble("away")),
    "slow answers": (4, slow),
    "connections cut": (4, cut),
    "Redis rolled back": (12, roll_back),
    "Redis emptied": (2, empty),
    "dead letters refused": (4, _letters("refused", "refused")),
    "dead letters unacknowledged": (4, _letters("unacknowledged", "taken without an acknowledgement")),
    "Kafka away": (3, kafka_away),
    "lag unknown": (2, lag_unknown),
    "clock jumps": (5, clock),
    "looked at": (3, look),
}
WEIGHTS = [weight for weight, _ in KINDS.values()]
# Faults of requests count when they happen, by the words that the wire has for them.
WIRE_KINDS = {
    "crash_sent": "crash when a request was sent",
    "crash_done": "crash when a request was done",
    "lost_request": "request lost",
    "lost_reply": "answer lost",
    "late": "request done late",
    "refused": "dead letters refused",
    "unacknowledged": "dead letters unacknowledged",
}
ARMED = frozenset(WIRE_KINDS.values())


def draw_faults(rng: Random, count: int) -> list[Fault]:
    """Faults in the order in which they come."""
    kinds = rng.choices(list(KINDS), WEIGHTS, k=count)
    spread = rng.choice((20, 40, 80, 120))
    return [Fault(1 + int(spread * rng.random()), kind, rng.random(), rng.random()) for kind in kinds]

"""The faults: each is broken before its first `yield`, and healed when it ends.

A fault yields for how many seconds it has nothing to do; meanwhile others go on. What it keeps down stands in
`Place.down`. Every fault leaves the place whole.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from streams.errors import PulseError
from streams.local.commands import Command
from streams.local.processes import Program
from tests.chaos.place import Place
from tests.chaos.plan import Fault, Kind
from tests.chaos.proxy import Proxy

Run = Generator[float, None, None]
POLL_S = 0.1
# A server that has not come back by then will not.
SERVER_S = 300.0


def run(place: Place, fault: Fault) -> Run:
    """The fault, from breaking to healing."""
    return _RUNS[fault.kind](place, fault)


def _drawn(place: Place, fault: Fault, most: int) -> list[Command]:
    rng = random.Random(fault.seed)
    return rng.sample(place.victims, rng.randint(1, min(most, len(place.victims))))


def _share(fault: Fault) -> float:
    """Of the connections: all, or about half of them."""
    return random.Random(fault.seed).choice((1.0, 0.5))


# --- workers ---


def worker_kill(place: Place, fault: Fault) -> Run:
    """kill -9 of one, two or all."""
    victims = _drawn(place, fault, len(place.victims))
    place.down.update(each.name for each in victims)
    for each in victims:
        each.kill()
    yield fault.lasts_s
    for each in victims:
        each.launch()
    place.down.difference_update(each.name for each in victims)


def worker_stop(place: Place, fault: Fault) -> Run:
    """One or two are stopped for longer than their session, and go on as zombies."""
    victims = _drawn(place, fault, 2)
    for each in victims:
        each.send(signal.SIGSTOP)
    yield fault.lasts_s
    for each in victims:
        each.send(signal.SIGCONT)


def worker_leave(place: Place, fault: Fault) -> Run:
    """One ends in order and comes back later."""
    (victim,) = _drawn(place, fault, 1)
    place.down.add(victim.name)
    victim.send(signal.SIGTERM)
    yield fault.lasts_s
    yield from _until_ended(victim)
    victim.launch()
    place.down.discard(victim.name)


def worker_join(place: Place, fault: Fault) -> Run:
    """A fourth one joins, and leaves in order or by kill -9."""
    place.guest.launch()
    yield fault.lasts_s
    if fault.seed % 2:
        place.guest.send(signal.SIGTERM)
        yield from _until_ended(place.guest)
    else:
        place.guest.kill()


def _until_ended(program: Program) -> Run:
    """Until it has ended; killed when its grace is over."""
    left_s = program.grace_s + 5
    while program.running:
        yield POLL_S
        left_s -= POLL_S
        if left_s < 0:
            program.kill()


# --- servers ---


def _until_ready(server: Program) -> Run:
    left_s = SERVER_S
    while not server.ready():
        if not server.running:
            raise PulseError(f"{server.name} ended while starting: {server.last_line()}")
        yield POLL_S
        left_s -= POLL_S
        if left_s < 0:
            raise PulseError(f"{server.name} did not come back within {SERVER_S:.0f} s; see {server.log}")


def kafka_restart(place: Place, fault: Fault) -> Run:
    """Ended in order, started again."""
    place.kafka.send(signal.SIGTERM)
    while place.kafka.running:
        yield POLL_S
    yield fault.lasts_s
    place.kafka.launch()
    yield from _until_ready(place.kafka)


def kafka_kill(place: Place, fault: Fault) -> Run:
    """Killed, started again."""
    place.kafka.kill()
    yield fault.lasts_s
    place.kafka.launch()
    yield from _until_ready(place.kafka)


def redis_kill(place: Place, fault: Fault) -> Run:
    """Killed, started again with its AOF."""
    server = place.redis.primary
    server.kill()
    yield fault.lasts_s
    server.launch()
    yield from _until_ready(server)


def redis_power_loss(place: Place, fault: Fault) -> Run:
    """Killed, and what it wrote in the last seconds is not on the disk: as everysec may lose it."""
    server = place.redis.primary
    aof = server.aof
    size = aof.stat().st_size if aof is not None else 0
    yield fault.lasts_s
    server.kill()
    # Rewritten meanwhile, the file has another name, and nothing is cut off.
    if aof is not None and aof == server.aof:
        os.truncate(aof, size)
    server.launch()
    yield from _until_ready(server)


def redis_failover(place: Place, fault: Fault) -> Run:
    """The replica stops getting anything, the primary dies, the replica takes its place."""
    pair = place.redis
    while not _in_step(place):
        yield POLL_S
    pair.link.stall()
    yield fault.lasts_s
    pair.primary.kill()
    # What was on its way never arrives.
    pair.link.cut(fault.seed, 1.0, refuse=True)
    pair.promote()
    pair.replica.launch()
    yield from _until_ready(pair.replica)
    pair.link.heal()
    pair.follow()


def _in_step(place: Place) -> bool:
    """Whether the replica has everything but the last moments: right after a restart it is still filled."""
    try:
        with place.redis.replica.client() as client:
            info = client.info("replication")
    except RedisError:
        return False
    return bool(info.get("master_link_status") == "up" and not info.get("master_sync_in_progress"))


def redis_flush(place: Place, _fault: Fault) -> Run:
    """Everything is gone."""
    with place.redis.primary.client() as client:
        client.flushall()
    yield 0.0


def redis_disk_full(place: Place, fault: Fault) -> Run:
    """The AOF cannot grow: writes are refused with MISCONF."""
    server = place.redis.primary
    server.limit_files()
    yield fault.lasts_s
    server.free_files()


def redis_memory_full(place: Place, fault: Fault) -> Run:
    """Writes are refused with OOM."""
    with place.redis.primary.client() as client:
        client.config_set("maxmemory", "1mb")
    yield fault.lasts_s
    with place.redis.primary.client() as client:
        client.config_set("maxmemory", "0")


# --- network ---


def _cut(proxy: Proxy, fault: Fault) -> Run:
    share = _share(fault)
    proxy.cut(fault.seed, share, refuse=share == 1.0)
    yield fault.lasts_s
    proxy.heal()


def _stall(proxy: Proxy, fault: Fault) -> Run:
    proxy.stall()
    yield fault.lasts_s
    proxy.heal()


def _half_open(proxy: Proxy, fault: Fault) -> Run:
    proxy.forget(fault.seed, _share(fault))
    yield 0.0


# --- producers ---


class Clocks(Program):
    """A producer with a wrong clock."""

    def __init__(self, place: Place, fault: Fault) -> None:
        name = f"{fault.kind}-{fault.number}"
        super().__init__(name, place.folder / f"{name}.log")
        self._fault = fault
        self._environment = place.environment()

    def command(self) -> list[str]:
        """A process of its own: Kafka may be away, and it may wait."""
        return [sys.executable, "-m", "tests.chaos.clocks", self._fault.kind, str(self._fault.seed)]

    def environment(self) -> dict[str, str]:
        """Straight to the servers."""
        root = str(Path(__file__).parents[2])
        return self._environment | {"PYTHONPATH": root}


def wrong_clock(place: Place, fault: Fault) -> Run:
    """A producer sends for a moment. PulseError if Kafka did not do with it what it must."""
    clocks = Clocks(place, fault)
    place.adopt(clocks)
    clocks.launch()
    while clocks.running:
        yield POLL_S
    if clocks.exit_code != 0:
        raise PulseError(f"{fault}: {clocks.last_line()}")


_RUNS: Final[dict[Kind, Callable[[Place, Fault], Run]]] = {
    Kind.WORKER_KILL: worker_kill,
    Kind.WORKER_STOP: worker_stop,
    Kind.WORKER_LEAVE: worker_leave,
    Kind.WORKER_JOIN: worker_join,
    Kind.KAFKA_RESTART: kafka_restart,
    Kind.KAFKA_KILL: kafka_kill,
    Kind.KAFKA_CUT: lambda place, fault: _cut(place.kafka.proxy, fault),
    Kind.KAFKA_STALL: lambda place, fault: _stall(place.kafka.proxy, fault),
    Kind.KAFKA_HALF_OPEN: lambda place, fault: _half_open(place.kafka.proxy, fault),
    Kind.REDIS_KILL: redis_kill,
    Kind.REDIS_POWER_LOSS: redis_power_loss,
    Kind.REDIS_FAILOVER: redis_failover,
    Kind.REDIS_FLUSH: redis_flush,
    Kind.REDIS_DISK_FULL: redis_disk_full,
    Kind.REDIS_MEMORY_FULL: redis_memory_full,
    Kind.REDIS_CUT: lambda place, fault: _cut(place.redis.proxy, fault),
    Kind.REDIS_STALL: lambda place, fault: _stall(place.redis.proxy, fault),
    Kind.REDIS_HALF_OPEN: lambda place, fault: _half_open(place.redis.proxy, fault),
    Kind.CLOCK_AHEAD: wrong_clock,
    Kind.CLOCK_REFUSED: wrong_clock,
    Kind.CLOCK_BEHIND: wrong_clock,
    Kind.EVENTS_AHEAD: wrong_clock,
}

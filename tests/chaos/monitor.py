"""Looks from outside, several times a second: what the log holds, what Redis has counted, who uses how much.

It runs in the background loop, straight to the servers, and asks nothing of the workers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from schemas.events import DEAD_LETTERS, INPUT_TOPICS, LATE
from streams.errors import PulseError
from tests.chaos.measures import CAUGHT_UP_S, Ends, LogTimes, Offsets, is_behind
from tests.chaos.proxy import Background

EVERY_S = 0.25
MEMORY_EVERY_S = 5.0
STOP_S = 20.0
ANSWER_S = 3.0
_PAGE_MIB = 4_096 / 2**20


class Monitor:
    """One log and one Redis prefix.

    `redis_url` tells where the primary is at the moment, `processes` which process ids to look at, by name.

    Attributes:
        ends, counted: the latest known offsets.
        outputs: how many dead letters and late rows there are, those sent again included.
        fresh: whether both servers answered the latest look; looks: how many there were.
        lags: (second since the monitor began, lag in seconds) of each look.
        loads: load averages of the machine.
        memory: by name (second, process id, MiB).
        lost_records: how many counted records Redis has forgotten, in all.
    """

    def __init__(
        self,
        background: Background,
        bootstrap: str,
        settings: dict[str, str],
        redis_url: Callable[[], str],
        processes: Callable[[], dict[str, int]],
    ) -> None:
        self.ends: Offsets = {}
        self.outputs: dict[str, int] = {}
        self.counted: Offsets = {}
        self.fresh = False
        self.looks = 0
        self.lags: list[tuple[float, float]] = []
        self.loads: list[float] = []
        self.memory: dict[str, list[tuple[float, int, float]]] = {}
        self.lost_records = 0
        self._background = background
        self._bootstrap = bootstrap
        self._topic_prefix = settings["SHOP_PULSE_TOPIC_PREFIX"]
        self._redis_prefix = settings["SHOP_PULSE_REDIS_PREFIX"]
        self._partitions = int(settings["SHOP_PULSE_PARTITIONS"])
        self._redis_url = redis_url
        self._processes = processes
        self._times = LogTimes()
        self._began_s = time.monotonic()
        self._over = False
        self._task: Future[None] | None = None

    def start(self) -> None:
        """Begins to look."""
        self._task = self._background.spawn(self._watch())

    def stop(self) -> None:
        """Ends it. Raises what it died of."""
        self._over = True
        if self._task is not None:
            self._task.result(timeout=STOP_S)

    def give_up(self) -> None:
        """Ends it, whatever it died of: for a run that has failed already, or is over."""
        self._over = True
        if self._task is not None:
            wait([self._task], timeout=STOP_S)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began_s

    @property
    def lag_s(self) -> float:
        """By what is known now."""
        return self._times.lag_s(self.counted, time.monotonic())

    @property
    def is_current(self) -> bool:
        """Whether both servers answered, something is counted, and the lag is small."""
        return self.fresh and any(self.counted.values()) and self.lag_s < CAUGHT_UP_S

    def has_counted(self, ends: Offsets) -> bool:
        """Whether all of this is counted, and the lag is small."""
        return self.is_current and not is_behind(self.counted, ends)

    @property
    def idle(self) -> bool:
        """Whether everything that is in the log is counted."""
        return self.fresh and bool(self.ends) and not is_behind(self.counted, self.ends)

    def check(self) -> None:
        """Raises PulseError if it has died: a run without it would wait in vain."""
        if self._task is not None and self._task.done():
            raise PulseError(f"the monitor ended: {self._task.exception()!r}")

    async def _watch(self) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, request_timeout_ms=5_000)
        await consumer.start()
        places = [
            TopicPartition(self._topic_prefix + topic, p)
            for topic in (*INPUT_TOPICS, DEAD_LETTERS, LATE)
            for p in range(self._partitions)
        ]
        # Only what is assigned has its leaders looked up; nothing is to be fetched of it.
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
            consumer.pause(place)
        memory_at_s = 0.0
        try:
            while not self._over:
                heard = await self._look_at_log(consumer, places)
                self.fresh = await self._look_at_redis() and heard
                self.lags.append((self.seconds, self.lag_s))
                self.looks += 1
                if self.seconds >= memory_at_s:
                    memory_at_s = self.seconds + MEMORY_EVERY_S
                    self._look_at_memory()
                    self.loads.append(os.getloadavg()[0])
                await asyncio.sleep(EVERY_S)
        finally:
            await consumer.stop()

    async def _look_at_log(self, consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> bool:
        try:
            found = await asyncio.wait_for(consumer.end_offsets(places), ANSWER_S)
        except (KafkaError, TimeoutError):
            return False
        ends = {(tp.topic.removeprefix(self._topic_prefix), tp.partition): end for tp, end in found.items()}
        for topic in (DEAD_LETTERS, LATE):
            self.outputs[topic] = sum(ends.pop((topic, p)) for p in range(self._partitions))
        self.ends = ends
        self._times.saw(Ends(time.monotonic(), ends))
        return True

    async def _look_at_redis(self) -> bool:
        fields = [f"off:{topic}" for topic in INPUT_TOPICS]
        client = Redis.from_url(self._redis_url(), socket_timeout=ANSWER_S, socket_connect_timeout=1)
        try:
            pipe = client.pipeline(transaction=False)
            for p in range(self._partitions):
                pipe.hmget(f"{self._redis_prefix}:{{{p}}}:meta", fields)
            answers = await asyncio.wait_for(pipe.execute(), ANSWER_S)
        except (RedisError, OSError, TimeoutError):
            return False
        finally:
            await cast("Awaitable[None]", client.aclose())
        counted = {
            (topic, p): int(offset or 0)
            for p, offsets in enumerate(answers)
            for topic, offset in zip(INPUT_TOPICS, offsets, strict=True)
        }
        for place, offset in self.counted.items():
            self.lost_records += max(0, offset - counted[place])
        self.counted = counted
        return True

    def _look_at_memory(self) -> None:
        for name, pid in self._processes().items():
            statm = Path(f"/proc/{pid}/statm")
            if statm.exists():
                fields = statm.read_text().split()
                # A process that has ended and was not waited for yet has none.
                if len(fields) > 1 and fields[1] != "0":
                    mib = int(fields[1]) * _PAGE_MIB
                    self.memory.setdefault(name, []).append((self.seconds, pid, mib))

"""The logs of partition 0 of every topic, and where refused records go: what Kafka promises, in memory.

Offsets have gaps, where control records and aborted transactions lie: a fetch moves the position over them,
with records or without.
"""

from __future__ import annotations

from asyncio import sleep
from bisect import bisect_left
from collections.abc import Callable, Mapping
from random import Random

from schemas.codec import Reason
from schemas.events import INPUT_TOPICS
from streams.batch import PlainRecord
from streams.log_check import Bounds, LogUnavailableError
from streams.outlet import OutletUnavailableError
from streams.verdict import Refusal
from verify.model import LogRecord


class KafkaModel:
    """All that the brokers hold."""

    def __init__(self) -> None:
        self.logs: dict[str, list[PlainRecord]] = {topic: [] for topic in INPUT_TOPICS}
        self.ends = dict.fromkeys(INPUT_TOPICS, 0)
        self.dead_letters: set[tuple[str, int, int, str]] = set()
        self.late: set[tuple[str, int, int]] = set()
        # Refused records in the order in which they were acknowledged: (topic, offset).
        self.refused: list[tuple[str, int]] = []
        self.away = False

    def append(self, topic: str, timestamp_ms: int, key: bytes | None, value: bytes | None) -> None:
        """Puts a record at the end of a topic's log."""
        offset = self.ends[topic]
        self.logs[topic].append(PlainRecord(offset, timestamp_ms, key, value))
        self.ends[topic] = offset + 1

    def leave_gap(self, topic: str, offsets: int) -> None:
        """Offsets that hold no record a reader sees."""
        self.ends[topic] += offsets

    def records(self, until: Mapping[str, int] | None = None) -> list[LogRecord]:
        """The logs, or what lies before some offsets, for the recomputation."""
        return [
            LogRecord(topic, 0, each.offset, each.timestamp, each.key, each.value)
            for topic, log in self.logs.items()
            for each in log
            if until is None or each.offset < until[topic]
        ]

    def fetch(self, topic: str, before: int, count: int, rng: Random) -> tuple[int, list[PlainRecord]]:
        """(position after, records) of a fetch from a position; fetches end before or behind a gap."""
        log = self.logs[topic]
        first = bisect_left(log, before, key=lambda record: record.offset)
        records = log[first : first + count]
        following = log[first + count].offset if first + count < len(log) else self.ends[topic]
        if records and rng.random() < 0.5:
            return records[-1].offset + 1, records
        return following, records


class Brokers:
    """One worker's view of Kafka: `log_check.Log` and `work.Outlet`.

    `armed` are faults of the next sendings: `refused`, or `unacknowledged` (taken, but it does not learn so).
    """

    def __init__(self, kafka: KafkaModel, delay_s: Callable[[], float], happened: Callable[[str], None]):
        self._kafka = kafka
        self._delay_s = delay_s
        self._happened = happened
        self.armed: list[str] = []

    async def _answers(self) -> None:
        await sleep(self._delay_s())
        if self._kafka.away:
            raise LogUnavailableError("Kafka does not answer")

    async def partition_counts(self) -> Mapping[str, int]:
        """See `log_check.Log`."""
        # They never change here, and whoever asks goes on with `bounds`, for which the brokers may be away:
        # without a delay of its own, seeds draw what they drew before this was asked.
        return dict.fromkeys(self._kafka.logs, 1)

    async def bounds(self, partition: int) -> Mapping[str, Bounds]:
        """See `log_check.Log`."""
        await self._answers()
        return {topic: Bounds(0, end) for topic, end in self._kafka.ends.items()}

    async def record_at(self, topic: str, partition: int, offset: int) -> PlainRecord | None:
        """See `log_check.Log`."""
        await self._answers()
        return next((each for each in self._kafka.logs[topic] if each.offset == offset), None)

    async def send(self, topic: str, partition: int, refusals: list[Refusal]) -> None:
        """See `work.Outlet`."""
        fault = self.armed.pop(0) if self.armed else ""
        if fault:
            self._happened(fault)
        await sleep(self._delay_s())
        if fault == "refused" or self._kafka.away:
            raise OutletUnavailableError("no broker")
        for refusal in refusals:
            place = (topic, partition, refusal.record.offset)
            if refusal.reason is Reason.LATE:
                self._kafka.late.add(place)
            else:
                self._kafka.dead_letters.add((*place, refusal.reason.value))
            self._kafka.refused.append((topic, refusal.record.offset))
        await sleep(self._delay_s())
        if fault == "unacknowledged":
            raise OutletUnavailableError("no acknowledgement")

"""Verdicts 1 to 9, and whether a record lies where its key belongs: what can be said of a record alone.

Each verdict is a pure function of the topic-partition's own log up to the record: the bytes, Kafka's
timestamps (their running maximum is the *ingest time*) and the lateness limit. Duplicates and conflicts
need what was accepted before: `identity` for traffic, `orders` for purchases and refunds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import cast

from schemas.codec import Reason, Rejected, decode_batch
from schemas.events import Event, SourceHeartbeat
from schemas.partitioning import partition_of
from streams.batch import LogRecord

FUTURE_MS = 5 * 60 * 1000
# Keys known to lie right are remembered; murmur2 in Python costs 20 look-ups. Past this many, start anew.
PLACED_KEYS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that goes to the dead-letter or the late topic, byte for byte."""

    record: LogRecord
    reason: Reason
    detail: str


@dataclass(slots=True)
class Screened:
    """Records of one chunk after verdicts 1 to 9; the four columns run in offset order.

    Attributes:
        events: valid and in time.
        records: the record of each event.
        ingest_ms: ingest time at each event.
        times_ms: event time of each event.
        refused: the others, with the ingest time at each.
        late_events: decoded events of the refusals for lateness, for the money in them.
        misplaced: ingest times of records whose key belongs to another partition.
        end_ingest_ms: ingest time after the chunk.
    """

    events: list[Event] = field(default_factory=list)
    records: Sequence[LogRecord] = ()
    ingest_ms: list[int] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    refused: list[tuple[Refusal, int]] = field(default_factory=list)
    late_events: list[tuple[Event, int]] = field(default_factory=list)
    misplaced: list[int] = field(default_factory=list)
    end_ingest_ms: int = -1


class Placement:
    """Whether keys belong to this partition, by Kafka's murmur2."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._placed: set[bytes | None] = set()

    def misplaced(self, keys: Sequence[bytes | None]) -> set[bytes | None]:
        """Those of the keys that belong elsewhere; a record without a key can't be in its place."""
        wrong: set[bytes | None] = set()
        for key in set(keys) - self._placed:
            if key is not None and partition_of(key, self._partitions) == self._partition:
                self._placed.add(key)
            else:
                wrong.add(key)
        if len(self._placed) > PLACED_KEYS_MAX:
            self._placed.clear()
        return wrong


@dataclass(frozen=True, slots=True)
class Screen:
    """The rules for one topic.

    Attributes:
        topic: base name.
        lateness_ms: how far event time may lie behind ingest time.
        platforms: platforms that are told apart; any other is ``other``.
    """

    topic: str
    lateness_ms: int
    platforms: frozenset[str]

    def screen(self, records: Sequence[LogRecord], ingest_ms: int, placement: Placement) -> Screened:
        """Verdicts of a chunk, given the topic-partition's ingest time before it."""
        decoded = decode_batch([record.value for record in records], self.topic, self.platforms)
        timestamps = [record.timestamp for record in records]
        ingest = list(accumulate(timestamps, max, initial=ingest_ms))[1:]
        out = Screened(end_ingest_ms=ingest[-1] if ingest else ingest_ms)
        rejected = [index for index, event in enumerate(decoded) if event.__class__ is Rejected]
        for index in rejected:
            self._refuse_rejected(out, records[index], decoded[index], ingest[index])
        if rejected:
            gone = set(rejected)
            keep = [index for index in range(len(records)) if index not in gone]
            records = [records[index] for index in keep]
            ingest = [ingest[index] for index in keep]
            timestamps = [timestamps[index] for index in keep]
            decoded = [decoded[index] for index in keep]
        events = cast("list[Event]", decoded)
        self._find_misplaced(out, records, events, ingest, placement)
        self._judge_times(out, records, events, ingest, timestamps)
        return out

    @staticmethod
    def _refuse_rejected(out: Screened, record: LogRecord, verdict: Event | Rejected, ingest_ms: int) -> None:
        if isinstance(verdict, Rejected):
            out.refused.append((Refusal(record, verdict.reason, verdict.detail), ingest_ms))

    @staticmethod
    def _find_misplaced(
        out: Screened,
        records: Sequence[LogRecord],
        events: list[Event],
        ingest: list[int],
        placement: Placement,
    ) -> None:
        wrong = placement.misplaced([record.key for record in records])
        if wrong:
            out.misplaced = [
                at
                for record, event, at in zip(records, events, ingest, strict=True)
                if record.key in wrong and not isinstance(event, SourceHeartbeat)
            ]

    def _judge_times(
        self,
        out: Screened,
        records: Sequence[LogRecord],
        events: list[Event],
        ingest: list[int],
        timestamps: list[int],
    ) -> None:
        times = [event.event_time_ms for event in events]
        in_time = not times or (
            min(times) >= ingest[-1] - self.lateness_ms and max(times) <= min(timestamps) + FUTURE_MS
        )
        if not in_time:
            keep = [
                index
                for index, event in enumerate(events)
                if self._is_in_time(out, records[index], event, ingest[index])
            ]
            records = [records[index] for index in keep]
            events = [events[index] for index in keep]
            ingest = [ingest[index] for index in keep]
            times = [times[index] for index in keep]
        out.records, out.events, out.ingest_ms, out.times_ms = records, events, ingest, times

    def _is_in_time(self, out: Screened, record: LogRecord, event: Event, ingest_ms: int) -> bool:
        if event.event_time_ms > record.timestamp + FUTURE_MS:
            ahead_ms = event.event_time_ms - record.timestamp
            detail = f"event time is {ahead_ms} ms ahead of Kafka's timestamp"
            out.refused.append((Refusal(record, Reason.FUTURE_TIME, detail), ingest_ms))
            return False
        if ingest_ms - event.event_time_ms > self.lateness_ms:
            behind_ms = ingest_ms - event.event_time_ms
            detail = f"event time is {behind_ms} ms behind ingest time"
            out.refused.append((Refusal(record, Reason.LATE, detail), ingest_ms))
            out.late_events.append((event, ingest_ms))
            return False
        return True

"""Faults on request: duplicates, disorder, late and unreadable records.

They stand between the simulation and Kafka. Every fault but disorder is a record *more*: the good records
stay what they are, so a run with faults must lead to the same figures as the same run without them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from schemas.codec import Reason
from streams.sources.record import Record

DUPLICATE: Final = "duplicate"
LATE: Final = "late"
MAX_DUPLICATE_DELAY_MS: Final = 5_000
MAX_DISORDER_MS: Final = 300_000  # above it, disorder would make records late


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Which faults, and how many of each on a good record.

    Attributes:
        duplicates: share of records that are sent twice, the second time up to 5 s later.
        disorder_ms: each record is sent up to so many milliseconds after its event time.
        late: share of records for which an older one is sent, too late for the figures.
        unreadable: share of records for which a damaged copy is sent.
        traffic_lateness_ms, purchase_lateness_ms: from where on the worker calls a record late.
    """

    duplicates: float = 0.0
    disorder_ms: int = 0
    late: float = 0.0
    unreadable: float = 0.0
    traffic_lateness_ms: int = 300_000
    purchase_lateness_ms: int = 604_800_000

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.duplicates or self.disorder_ms or self.late or self.unreadable)


def with_faults(records: Iterator[Record], faults: Faults, seed: int) -> Iterator[Record]:
    """The records and their faults, in the order of their timestamps. Source heartbeats stay as they are."""
    return _mixed(records, faults, random.Random(f"faults {seed}")) if faults.any else records


def _mixed(records: Iterator[Record], faults: Faults, rng: random.Random) -> Iterator[Record]:
    waiting: list[tuple[int, int, Record]] = []
    pushed = 0
    for record in records:
        for sent in _sent_for(record, faults, rng):
            pushed += 1  # two records of the same millisecond stay in the order in which they were made
            heappush(waiting, (sent.timestamp_ms, pushed, sent))
        # All that is still to come has this event time or a later one, and is sent no earlier.
        while waiting[0][0] < record.timestamp_ms:
            yield heappop(waiting)[2]
    while waiting:
        yield heappop(waiting)[2]


def _sent_for(record: Record, faults: Faults, rng: random.Random) -> Iterator[Record]:
    """The record as it is sent, and the faults that come with it."""
    if record.key is None:
        yield record
        return
    draw = rng.random
    sent = record
    if faults.disorder_ms:
        sent = record._replace(timestamp_ms=record.timestamp_ms + int(draw() * (faults.disorder_ms + 1)))
    yield sent
    if draw() < faults.duplicates:
        later_ms = sent.timestamp_ms + 1 + int(draw() * MAX_DUPLICATE_DELAY_MS)
        yield sent._replace(timestamp_ms=later_ms, fault=DUPLICATE)
    if draw() < faults.late:
        limit_ms = faults.purchase_lateness_ms if record.topic == "purchases" else faults.traffic_lateness_ms
        old_ms = sent.timestamp_ms - limit_ms - 1_000 - int(draw() * 60_000)
        value = _moved(record.value, str(old_ms).encode()).replace(b'"event_id":"', b'"event_id":"late-', 1)
        yield sent._replace(value=value, fault=LATE)
    if draw() < faults.unreadable:
        reason, damage = DAMAGES[int(draw() * len(DAMAGES))]
        yield sent._replace(value=damage(sent), fault=f"unreadable.{reason}")


_EVENT_TIME: Final = re.compile(rb'(?<="event_time_ms":)\d+')
_EVENT_TYPE: Final = re.compile(rb'(?<="event_type":")[a-z_]+')


def _moved(value: bytes, time: bytes) -> bytes:
    """The event with another text as its time."""
    return _EVENT_TIME.sub(time, value, count=1)


def _future(record: Record) -> bytes:
    return _moved(record.value, str(record.timestamp_ms + 301_000).encode())


def _foreign(record: Record) -> bytes:
    return _EVENT_TYPE.sub(b"view" if record.topic == "ads" else b"ad_charge", record.value, count=1)


# What the verdict must be, and how a good record is damaged to get it.
DAMAGES: Final[tuple[tuple[Reason, Callable[[Record], bytes]], ...]] = (
    (Reason.TOO_LARGE, lambda record: record.value[:-1] + b',"note":"' + b"x" * 65_536 + b'"}'),
    (Reason.NOT_JSON, lambda record: record.value[: len(record.value) // 2]),
    (Reason.NOT_JSON, lambda record: record.value.replace(b'"platform":"', b'"platform":"\xff', 1)),
    (Reason.NOT_JSON, lambda record: record.value[:-1] + b',"score":NaN}'),
    (Reason.UNKNOWN_TYPE, lambda record: _EVENT_TYPE.sub(b"teleport", record.value, count=1)),
    (Reason.WRONG_TOPIC, _foreign),
    (Reason.MISSING_FIELD, lambda record: record.value.replace(b'"event_id"', b'"event_ld"', 1)),
    (Reason.BAD_FIELD, lambda record: _moved(record.value, b'"soon"')),
    (Reason.OUT_OF_RANGE, lambda record: _moved(record.value, b"1700000000")),  # seconds for milliseconds
    (Reason.FUTURE_TIME, _future),
)

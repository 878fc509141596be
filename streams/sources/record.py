"""One Kafka record as the sources make it, and the calendar that puts records in time order.

This stands before Kafka: the simulation writes records into a `Calendar`, whose seconds are then taken out
one after the other.
"""

from __future__ import annotations

from collections import defaultdict
from operator import itemgetter
from typing import NamedTuple


class Record(NamedTuple):
    """A record to be sent.

    Attributes:
        timestamp_ms: Kafka's CreateTime, milliseconds UTC.
        topic: base name, without the prefix of the Kafka topic.
        key: the subject of the event; None for a source heartbeat.
        value: the event as JSON.
        partition: where it must go; None = where murmur2 puts its key.
        fault: "" or what is wrong with it on purpose: "duplicate", "late", "unreadable.<reason>".
    """

    timestamp_ms: int
    topic: str
    key: bytes | None
    value: bytes
    partition: int | None = None
    fault: str = ""


_time = itemgetter(0)


class Calendar:
    """Records that lie ahead, by the second of their timestamp.

    A session is written down whole when it starts: its common part is then rendered once. A heap over all
    open sessions would cost more per event than the event itself; a list per second is sorted when it is due.
    """

    __slots__ = ("_count", "_run", "_seconds")

    def __init__(self, run: str) -> None:
        """`run` stands in every id, so that two runs never send the same id."""
        self._run = run
        self._count = 0
        self._seconds: defaultdict[int, list[Record]] = defaultdict(list)

    @property
    def count(self) -> int:
        """How many events were put so far."""
        return self._count

    @property
    def run(self) -> str:
        """The part of every id that no other run has."""
        return self._run

    def put(
        self, topic: str, event_type: str, time_ms: int, key: bytes, body: str, *, delay_ms: int = 0
    ) -> None:
        """Write an event down, which is sent `delay_ms` after its time.

        `body` is the rest of its JSON object, beginning with `"platform"`.
        """
        self._count = count = self._count + 1
        head = f'{{"event_id":"{self._run}-{count:x}","event_type":"{event_type}"'
        value = f'{head},"event_time_ms":{time_ms},{body}}}'
        sent_ms = time_ms + delay_ms
        self._seconds[sent_ms // 1000].append(Record(sent_ms, topic, key, value.encode()))

    def put_heartbeat(self, topic: str, partition: int, time_ms: int) -> None:
        """Write down that the source of this topic-partition is alive; no shopping event, so not counted."""
        value = (
            f'{{"event_id":"{self._run}-{topic}-{partition}-{time_ms}","event_type":"source_heartbeat",'
            f'"event_time_ms":{time_ms},"platform":"other","source":"generator"}}'
        )
        self._seconds[time_ms // 1000].append(Record(time_ms, topic, None, value.encode(), partition))

    def take_until(self, second: int) -> list[Record]:
        """The records of all seconds before this one in time order; they are gone from the calendar."""
        return [record for due in sorted(self._seconds) if due < second for record in self.take(due)]

    def take(self, second: int) -> list[Record]:
        """The records of this second in time order; they are gone from the calendar."""
        records = self._seconds.pop(second, [])
        records.sort(key=_time)
        return records

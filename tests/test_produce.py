"""The sender: every record once, in order, in the partition where murmur2 puts its key."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from schemas.partitioning import partition_of
from streams.sources.produce import Sender
from streams.sources.record import Record


class Batch:
    """Stands for aiokafka's BatchBuilder: takes three records."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes | None, bytes | None]] = []

    def append(self, **record: Any) -> object | None:
        """Take a record; None when full."""
        if len(self.records) == 3:
            return None
        self.records.append((record["timestamp"], record["key"], record["value"]))
        return record

    def close(self) -> None:
        """Nothing more comes in."""


class Producer:
    """Stands for AIOKafkaProducer: keeps what it is given."""

    def __init__(self) -> None:
        self.sent: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)

    def create_batch(self) -> Batch:
        """An empty batch."""
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[None]:
        """Take a batch; it is confirmed at once."""
        self.sent[topic, partition] += batch.records
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future


def test_records_arrive_once_in_order_where_their_keys_belong() -> None:
    """Keys by murmur2, fixed partitions as they are, full batches and the rest, and the counts of all."""
    records = [Record(n, "views", f"u{n % 7}".encode(), str(n).encode()) for n in range(100)]
    records += [Record(100, "ads", None, b"beat", 2), Record(101, "ads", b"c", b"x", None, "duplicate")]
    producer = Producer()

    async def run() -> Sender:
        sender = Sender(producer, "p.", 4)
        await sender.send(records)
        await sender.flush(confirmed=True)
        return sender

    sender = asyncio.run(run())
    for partition in range(4):
        expected = [
            (record.timestamp_ms, record.key, record.value)
            for record in records
            if record.topic == "views" and record.key and partition_of(record.key, 4) == partition
        ]
        assert producer.sent["p.views", partition] == expected
    assert (100, None, b"beat") in producer.sent["p.ads", 2]
    assert dict(sender.sent) == {"views": 100, "ads": 2}
    assert dict(sender.faults) == {"duplicate": 1}
    assert sender.latest_ms == 101

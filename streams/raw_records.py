"""Records as they lie in Kafka, without a dataclass each: whole fetches, and one by its offset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException

from streams.batch import LogRecord
from streams.kafka_log import stop
from streams.settings import Settings

# A connection whose other end vanished is told by nothing else: reading stands still for so long.
REQUEST_TIMEOUT_MS = 10_000


class RawPartitionRecords(PartitionRecords):  # type: ignore[misc]
    """A fetch as lists of raw records, one list per Kafka batch.

    aiokafka hands out record by record, each copied into a dataclass: more than all the rest of the way of
    an event costs. What it does with aborted transactions, control batches and CRCs is kept.
    """

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[list[LogRecord]]:
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if self._is_readable(batch):
                records = list(batch)
                if records and records[0].offset < self.next_fetch_offset:
                    # A seek into a batch brings the whole batch.
                    records = [record for record in records if record.offset >= self.next_fetch_offset]
                self.next_fetch_offset = batch.next_offset
                yield records
            else:
                self.next_fetch_offset = batch.next_offset

    def _is_readable(self, batch: Any) -> bool:
        """False for control batches and what belongs to an aborted transaction."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return False
        return not batch.is_control_batch


def use_raw_records() -> None:
    """Makes aiokafka's fetcher hand out raw records in this process."""
    aiokafka.consumer.fetcher.PartitionRecords = RawPartitionRecords


async def record_at(settings: Settings, topic: str, partition: int, offset: int) -> LogRecord | None:
    """Reads one record by a consumer of its own; None if the log holds none at this offset."""
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
    )
    tp = TopicPartition(settings.topic_prefix + topic, partition)
    try:
        await consumer.start()
        consumer.assign([tp])
        consumer.seek(tp, offset)
        # With raw records, what comes is one list of records per batch.
        fetched = await consumer.getmany(tp, timeout_ms=REQUEST_TIMEOUT_MS, max_records=1)
        found = [record for records in fetched.get(tp, []) for record in records]
        if not found and await consumer.position(tp) == offset:
            raise TimeoutError(f"no answer for {tp.topic} within {REQUEST_TIMEOUT_MS} ms")
        return found[0] if found and found[0].offset == offset else None
    finally:
        await stop(consumer)

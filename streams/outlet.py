"""Records that are not counted, on their way to the dead-letter and late topics, byte for byte.

They are acknowledged by Kafka before the guarded write that passes them by, so none can get lost; after a
crash one may be sent again, and (topic, partition, offset) in its headers says that it is the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import Reason
from schemas.events import DEAD_LETTERS, LATE
from streams.settings import Settings
from streams.verdict import Refusal

# Records above the limit for events (64 KiB) are dead letters too, up to what a topic lets through.
REQUEST_BYTES_MAX = 4 * 1024 * 1024
STOP_S = 5.0
# A connection whose other end vanished is told by nothing else, and the guarded write waits behind it.
REQUEST_TIMEOUT_MS = 10_000


class OutletUnavailableError(Exception):
    """Kafka did not take the records; the text says why. Sending them again is safe."""


class Outlet:
    """Producer of the two topics that Shop Pulse writes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connects. Raises KafkaError if no broker answers."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_request_size=REQUEST_BYTES_MAX,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Closes the connection; gives up on a broker that is gone."""
        if self._producer is not None:
            # aiokafka waits without end for answers of a broker that does not come back.
            await asyncio.wait({asyncio.ensure_future(self._producer.stop())}, timeout=STOP_S)

    async def send(self, topic: str, partition: int, refusals: Sequence[Refusal]) -> None:
        """Sends refused records of one topic-partition and waits until all are acknowledged."""
        if self._producer is None:
            raise OutletUnavailableError("the producer is not started")
        late = [refusal for refusal in refusals if refusal.reason is Reason.LATE]
        dead = [refusal for refusal in refusals if refusal.reason is not Reason.LATE]
        try:
            for target, refused in ((LATE, late), (DEAD_LETTERS, dead)):
                batches = self._batches(self._producer, topic, partition, refused)
                name = self._settings.topic_prefix + target
                sent = [await self._producer.send_batch(b, name, partition=partition) for b in batches]
                await asyncio.gather(*sent)
        except KafkaError as error:
            raise OutletUnavailableError(
                "Kafka does not take dead letters: check the broker and `shop-pulse topics --check` "
                f"({error})"
            ) from error

    def _batches(
        self, producer: AIOKafkaProducer, topic: str, partition: int, refusals: Sequence[Refusal]
    ) -> Iterator[Any]:
        """The records as batches: aiokafka's `send` takes no record without key and value, a batch does."""
        now_ms = time.time_ns() // 1_000_000
        batch = None
        for refusal in refusals:
            record = refusal.record
            headers = [*self._place(topic, partition, refusal), *record.headers]
            content = {"timestamp": now_ms, "key": record.key, "value": record.value, "headers": headers}
            if batch is None or batch.append(**content) is None:
                if batch is not None:
                    batch.close()
                    yield batch
                batch = producer.create_batch()
                batch.append(**content)
        if batch is not None:
            batch.close()
            yield batch

    def _place(self, topic: str, partition: int, refusal: Refusal) -> list[tuple[str, bytes]]:
        """Headers that say where the record lay, and why it is here."""
        record = refusal.record
        place = {
            "topic": self._settings.topic_prefix + topic,
            "partition": str(partition),
            "offset": str(record.offset),
            "timestamp": str(record.timestamp),
            "reason": refusal.reason.value,
            "detail": refusal.detail,
        }
        return [(name, value.encode()) for name, value in place.items()]

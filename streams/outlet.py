"""Records that are not counted, on their way to the dead-letter and late topics, byte for byte.

They are acknowledged by Kafka before the guarded write that passes them by, so none can get lost; after a
crash one may be sent again, and (topic, partition, offset) in its headers says that it is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import Reason
from schemas.events import DEAD_LETTERS, LATE
from streams.settings import Settings
from streams.verdict import Refusal

# Records above the limit for events (64 KiB) are dead letters too, up to what a topic lets through.
REQUEST_BYTES_MAX = 4 * 1024 * 1024


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
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Closes the connection."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, topic: str, partition: int, refusals: Sequence[Refusal]) -> None:
        """Sends refused records of one topic-partition and waits until all are acknowledged."""
        if not refusals:
            return
        if self._producer is None:
            raise OutletUnavailableError("the producer is not started")
        try:
            sent = [await self._enqueue(topic, partition, refusal) for refusal in refusals]
            await asyncio.gather(*sent)
        except KafkaError as error:
            raise OutletUnavailableError(
                "Kafka does not take dead letters: check the broker and `shop-pulse topics --check` "
                f"({error})"
            ) from error

    async def _enqueue(self, topic: str, partition: int, refusal: Refusal) -> asyncio.Future[object]:
        assert self._producer is not None
        record = refusal.record
        place = {
            "topic": self._settings.topic_prefix + topic,
            "partition": str(partition),
            "offset": str(record.offset),
            "timestamp": str(record.timestamp),
            "reason": refusal.reason.value,
            "detail": refusal.detail,
        }
        headers = [(name, value.encode()) for name, value in place.items()]
        target = LATE if refusal.reason is Reason.LATE else DEAD_LETTERS
        future: asyncio.Future[object] = await self._producer.send(
            self._settings.topic_prefix + target,
            value=record.value,
            key=record.key,
            partition=partition,
            headers=[*headers, *record.headers],
        )
        return future

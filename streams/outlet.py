"""Records that are not counted, on their way to the dead-letter and late topics, byte for byte.

They are acknowledged by Kafka before the guarded write that passes them by, so none can get lost; after a
crash one may be sent again, and (topic, partition, offset) in its headers says that it is the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import Reason
from schemas.events import DEAD_LETTERS, LATE
from streams.settings import Settings
from streams.verdict import Refusal

logger = logging.getLogger(__name__)

# Records above the limit for events (64 KiB) are dead letters too, up to what a topic lets through.
REQUEST_BYTES_MAX = 4 * 1024 * 1024
STOP_S = 5.0
# A connection whose other end vanished is told by nothing else, and the guarded write waits behind it.
REQUEST_TIMEOUT_MS = 10_000


class OutletUnavailableError(Exception):
    """Kafka did not take the records; the text says why. Sending them again is safe."""


class Outlet:
    """Producer of the two topics that Shop Pulse writes.

    A producer that has failed once is replaced: the task that sends for all partitions may have ended with
    the failure, and aiokafka does not start another.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # One attempt to connect, which all partitions wait for together.
        self._producer: asyncio.Future[AIOKafkaProducer] | None = None
        self._closing: set[asyncio.Future[None]] = set()

    async def start(self) -> None:
        """Connects. Raises KafkaError if no broker answers."""
        connecting = self._connecting()
        try:
            await asyncio.shield(connecting)
        except KafkaError:
            self._replace(connecting)
            raise

    async def stop(self) -> None:
        """Closes the connection; gives up on a broker that is gone."""
        if self._producer is not None:
            self._replace(self._producer)
        if self._closing:
            # aiokafka waits without end for answers of a broker that does not come back.
            await asyncio.wait(self._closing, timeout=STOP_S)

    async def send(self, topic: str, partition: int, refusals: Sequence[Refusal]) -> None:
        """Sends refused records of one topic-partition and waits until all are acknowledged.

        Raises OutletUnavailableError.
        """
        late = [refusal for refusal in refusals if refusal.reason is Reason.LATE]
        dead = [refusal for refusal in refusals if refusal.reason is not Reason.LATE]
        connecting = self._connecting()
        try:
            producer = await asyncio.shield(connecting)
            for target, refused in ((LATE, late), (DEAD_LETTERS, dead)):
                batches = self._batches(producer, topic, partition, refused)
                name = self._settings.topic_prefix + target
                sent = [await producer.send_batch(b, name, partition=partition) for b in batches]
                await asyncio.gather(*sent)
        # uvloop tells by a RuntimeError that a connection was closed a moment before.
        except (KafkaError, RuntimeError) as error:
            self._replace(connecting)
            raise OutletUnavailableError(
                "Kafka does not take dead letters: check the broker and `shop-pulse topics --check` "
                f"({error})"
            ) from error

    def _connecting(self) -> asyncio.Future[AIOKafkaProducer]:
        if self._producer is None:
            self._producer = asyncio.ensure_future(self._connect())
        return self._producer

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_request_size=REQUEST_BYTES_MAX,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await producer.start()
        # Also where it is cancelled: nobody else knows of its connections.
        except BaseException:
            await producer.stop()
            raise
        return producer

    def _replace(self, failed: asyncio.Future[AIOKafkaProducer]) -> None:
        """The next to send connects anew. What others sent by this one fails, or comes to its end."""
        if failed is self._producer:
            self._producer = None
            closing = asyncio.ensure_future(_close(failed))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

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


async def _close(connecting: asyncio.Future[AIOKafkaProducer]) -> None:
    try:
        await (await connecting).stop()
    except (KafkaError, RuntimeError) as error:
        # Told already, with the records that were not taken.
        logger.debug("a producer ended with %r", error)

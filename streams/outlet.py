"""Records that are not counted, on their way to the dead-letter and late topics, byte for byte.

They are acknowledged by Kafka before the guarded write that passes them by, so none can get lost; after a
crash one may be sent again, and (topic, partition, offset) in its headers says that it is the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
# Longer than one request: aiokafka's producer tries again by itself, without end and without a word.
PATIENCE_S = 15.0
NOT_TAKEN = "Kafka does not take dead letters: check the broker and `shop-pulse topics --check`"


class OutletUnavailableError(Exception):
    """Kafka did not take the records; the text says why. Sending them again is safe."""


@dataclass(frozen=True, slots=True)
class _Sending:
    """Records on their way, by which producer: asking again for the same ones does not send them twice."""

    refusals: Sequence[Refusal]
    by: asyncio.Future[AIOKafkaProducer]
    task: asyncio.Future[None]


class Outlet:
    """Producer of the two topics that Shop Pulse writes.

    A producer that has failed once is replaced: the task that sends for all partitions may have ended with
    the failure, and aiokafka does not start another. One that is silent is replaced where a second one finds
    the broker.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # One attempt to connect, which all partitions wait for together.
        self._producer: asyncio.Future[AIOKafkaProducer] | None = None
        self._closing: set[asyncio.Future[None]] = set()
        self._sending: dict[tuple[str, int], _Sending] = {}
        self._doubting = False

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

        Raises OutletUnavailableError, also where nothing is heard: the records stay on their way then, and
        whoever asks for the same ones again waits for them.
        """
        connecting = self._connecting()
        place = topic, partition
        sending = self._sending.get(place)
        if sending is None or sending.refusals is not refusals or sending.by is not connecting:
            task = asyncio.ensure_future(self._send(connecting, topic, partition, refusals))
            # Nobody may ask for it again: its failure is told here or not at all.
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            sending = self._sending[place] = _Sending(refusals, connecting, task)
        done, _ = await asyncio.wait({sending.task}, timeout=PATIENCE_S)
        if not done:
            await self._doubt(connecting)
            raise OutletUnavailableError(f"{NOT_TAKEN} (no answer for {PATIENCE_S:.0f} s)")
        if self._sending.get(place) is sending:
            del self._sending[place]
        # uvloop tells by a RuntimeError that a connection was closed a moment before.
        try:
            sending.task.result()
        except (KafkaError, RuntimeError) as error:
            self._replace(connecting)
            raise OutletUnavailableError(f"{NOT_TAKEN} ({error})") from error

    async def _send(
        self,
        connecting: asyncio.Future[AIOKafkaProducer],
        topic: str,
        partition: int,
        refusals: Sequence[Refusal],
    ) -> None:
        late = [refusal for refusal in refusals if refusal.reason is Reason.LATE]
        dead = [refusal for refusal in refusals if refusal.reason is not Reason.LATE]
        producer = await asyncio.shield(connecting)
        for target, refused in ((LATE, late), (DEAD_LETTERS, dead)):
            batches = self._batches(producer, topic, partition, refused)
            name = self._settings.topic_prefix + target
            sent = [await producer.send_batch(b, name, partition=partition) for b in batches]
            await asyncio.gather(*sent)

    async def _doubt(self, silent: asyncio.Future[AIOKafkaProducer]) -> None:
        """Replaces a silent producer if another one can connect: a broker that is away answers neither."""
        if self._doubting or silent is not self._producer:
            return
        self._doubting = True
        other = asyncio.ensure_future(self._connect())
        try:
            await asyncio.wait({other}, timeout=PATIENCE_S)
        finally:
            self._doubting = False
            if other.done() and other.exception() is None and silent is self._producer:
                self._replace(silent)
                self._producer = other
            else:
                other.cancel()
                self._close_later(other)

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
            self._close_later(failed)

    def _close_later(self, connecting: asyncio.Future[AIOKafkaProducer]) -> None:
        closing = asyncio.ensure_future(_close(connecting))
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
    except asyncio.CancelledError:
        # One that never connected; where this very task is cancelled, it ends all the same.
        logger.debug("a producer was given up while it connected")
    except (KafkaError, RuntimeError) as error:
        # Told already, with the records that were not taken.
        logger.debug("a producer ended with %r", error)

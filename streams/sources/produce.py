"""Records into Kafka, in batches that are built here.

The last station of a source. `AIOKafkaProducer.send` makes a future per record, which alone costs more than
a simulated event; a batch per topic-partition costs a tenth of it. Batches of one topic-partition are sent
one after the other, so its records keep their order.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
)

from schemas.partitioning import partition_of
from streams.errors import PulseError
from streams.kafka_log import existing_partitions, refused, unreachable
from streams.settings import Settings
from streams.sources.record import Record

MAX_BATCH_BYTES: Final = 262_144  # before compression
MAX_UNCONFIRMED: Final = 64
STOP_S: Final = 5


class Sender:
    """Sends records and counts them.

    Attributes:
        sent: records handed over, by topic.
        faults: those of them that are wrong on purpose, by kind.
        latest_ms: timestamp of the last record handed over.
    """

    def __init__(self, producer: Any, prefix: str, partitions: int) -> None:
        self.sent: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.latest_ms = 0
        self._producer = producer
        self._prefix = prefix
        self._partitions = partitions
        self._open: dict[tuple[str, int], Any] = {}
        self._unconfirmed: deque[asyncio.Future[Any]] = deque()

    async def send(self, records: Iterable[Record]) -> None:
        """Put the records into batches; a full batch goes out at once, the others with `flush`."""
        partitions, batches, sent = self._partitions, self._open, self.sent
        timestamp_ms = self.latest_ms
        for timestamp_ms, topic, key, value, fixed, fault in records:
            place = topic, fixed if fixed is not None else partition_of(key or b"", partitions)
            batch = batches.get(place)
            # The usual case stays in this loop: a call of `add` would cost a third more.
            if batch is None or batch.append(timestamp=timestamp_ms, key=key, value=value) is None:
                await self.add(place, timestamp_ms, key, value)
            sent[topic] += 1
            if fault:
                self.faults[fault] += 1
        self.latest_ms = timestamp_ms

    async def add(
        self,
        place: tuple[str, int],
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Put one record into the batch of its topic (base name) and partition, or into a new one."""
        batch = self._open.get(place)
        if batch is not None:
            if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers)) is not None:
                return
            await self._submit(place)
        batch = self._open[place] = self._producer.create_batch()
        batch.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers))

    async def flush(self, *, confirmed: bool = False) -> None:
        """Send every open batch; with `confirmed` also wait until Kafka has them all."""
        for place in list(self._open):
            await self._submit(place)
        while confirmed and self._unconfirmed:
            await self._unconfirmed.popleft()

    async def _submit(self, place: tuple[str, int]) -> None:
        topic, partition = place
        batch = self._open.pop(place)
        batch.close()
        future = await self._producer.send_batch(batch, self._prefix + topic, partition=partition)
        # When one batch fails, the others fail with it: their errors have been told with the first.
        future.add_done_callback(_seen)
        self._unconfirmed.append(future)
        # The simulation never waits by itself: without this the client would not get to its socket.
        await asyncio.sleep(0)
        while self._unconfirmed and (len(self._unconfirmed) > MAX_UNCONFIRMED or self._unconfirmed[0].done()):
            await self._unconfirmed.popleft()


def _seen(future: asyncio.Future[Any]) -> None:
    """Take note of how a batch ended, so that asyncio does not report it once more."""
    if not future.cancelled():
        future.exception()


@asynccontextmanager
async def open_sender(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Sender]:
    """A sender to these topics (base names), which must exist with the partitions that the settings say.

    Raises PulseError when Kafka is away, lacks a topic or refuses a batch.
    """
    await _expect_partitions(settings, topics)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        enable_idempotence=True,  # a batch sent again after a lost answer must not become duplicates
        compression_type="lz4",
        max_batch_size=MAX_BATCH_BYTES,
    )
    try:
        await producer.start()
        yield Sender(producer, settings.topic_prefix, settings.partitions)
    except (KafkaConnectionError, KafkaTimeoutError) as error:
        raise unreachable(settings) from error
    except InvalidTimestampError as error:
        raise PulseError(
            "Kafka refused a batch because its time lies more than 5 min ahead of the broker's clock: "
            "start earlier with --start-ms, or set the clock right"
        ) from error
    except KafkaError as error:
        raise refused(error) from error
    finally:
        # Whoever got here without an error has had everything confirmed. Otherwise aiokafka would wait for a
        # broker that is gone, without end.
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), STOP_S)


async def _expect_partitions(settings: Settings, topics: Sequence[str]) -> None:
    for topic, found in (await existing_partitions(settings, topics)).items():
        if found != settings.partitions:
            raise PulseError(
                f"topic {settings.topic_prefix}{topic} has {found} partitions, not {settings.partitions}: "
                f"set SHOP_PULSE_PARTITIONS={found}"
            )

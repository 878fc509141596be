"""One worker: reads the topics and keeps the figures in Redis, until it is told to end.

It goes on with the generation of figures that is served, also when a rebuild switches to another one; the
same worker, told which generation to fill, is the engine of a rebuild.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import tempfile
import time
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.events import INPUT_TOPICS
from streams.agents import create_app
from streams.allocator import give_back_freed
from streams.batch import Batch, LogRecord
from streams.collector import OF_RECORDS, collect_seldom
from streams.commission import Settlement
from streams.errors import PulseError
from streams.fleet import Fleet
from streams.generations import POLL_S, Generations
from streams.kafka_log import partition_counts
from streams.kpis import FIGURE_SETS
from streams.log_check import Bounds, CountCheck, LogUnavailableError, check_counts
from streams.outlet import Outlet
from streams.raw_records import REQUEST_TIMEOUT_MS, record_at, use_raw_records
from streams.settings import Settings
from streams.state import Rules
from streams.store import Store, StoreUnavailableError, connect
from streams.transport import Consumer, ConsumerThread
from streams.window import DAY_MS, pane_sizes
from streams.work import Work

logger = logging.getLogger(__name__)
T = TypeVar("T")

WAIT_S = 1.0
STOP_S = 10.0
# Longer than any answer that still comes.
ANSWER_S = 30.0
# Kafka's client looks for added partitions every five minutes only: till then moved keys are counted apart.
COUNTS_EVERY_S = 10.0


def rules_of(settings: Settings) -> Rules:
    """The rules that figures depend on, from the settings. Raises PulseError if two contradict each other."""
    if settings.unknown_order_wait_ms > settings.purchase_lateness_ms:
        raise PulseError(
            "SHOP_PULSE_UNKNOWN_ORDER_WAIT_MS is above SHOP_PULSE_PURCHASE_LATENESS_MS: a refund's id would "
            "be free again while the refund still waits; lower the first"
        )
    least_days = 2 * -(-settings.purchase_lateness_ms // DAY_MS) + 2
    if settings.order_horizon_days < least_days:
        raise PulseError(
            f"SHOP_PULSE_ORDER_HORIZON_DAYS is {settings.order_horizon_days}: an order would be forgotten "
            f"while it can still be repeated; give at least {least_days}"
        )
    return Rules(
        partitions=settings.partitions,
        figures=FIGURE_SETS[settings.figures],
        sizes=pane_sizes(
            settings.retention_10s_ms,
            settings.retention_1m_ms,
            settings.retention_1h_ms,
            settings.retention_1d_ms,
        ),
        platforms=frozenset(settings.platforms),
        traffic_lateness_ms=settings.traffic_lateness_ms,
        purchase_lateness_ms=settings.purchase_lateness_ms,
        order_horizon_days=settings.order_horizon_days,
        unknown_order_wait_ms=settings.unknown_order_wait_ms,
        scope_values_max=settings.scope_values_max,
        cohort_horizon_ms=settings.cohort_horizon_ms,
        settlement=Settlement.of_days(
            settings.commission_final_after_delivery_days, settings.commission_final_after_purchase_days
        ),
        on_time_days=settings.on_time_days,
    )


@contextmanager
def _kafka_answers() -> Iterator[None]:
    """Raises LogUnavailableError in place of whatever Kafka's client raises."""
    try:
        yield
    except (KafkaError, TimeoutError) as error:
        raise LogUnavailableError(
            f"Kafka does not answer: check that it runs and SHOP_PULSE_KAFKA ({error})"
        ) from error


async def answered(asked: Awaitable[T]) -> T:
    """What Kafka's client answers. Raises LogUnavailableError for its errors, and if nothing comes at all.

    Connections that are cut while it connects can make it wait for ever, and no take-over may wait with it;
    or cancel the very question, as if the one who asks had been told to end.
    """
    task = asyncio.ensure_future(asked)
    try:
        done, _ = await asyncio.wait({task}, timeout=ANSWER_S)
    finally:
        # Not waited for: the client may lose it. A retry asks by connections of its own.
        task.cancel()
    with _kafka_answers():
        if not done:
            raise TimeoutError(f"nothing for {ANSWER_S:.0f} s")
        if task.cancelled():
            raise TimeoutError("its client gave the question up")
        return task.result()


class Worker:
    """One worker process: its connections, its owners, and its way to end."""

    def __init__(self, settings: Settings, generation: str | None = None) -> None:
        """`generation` is filled whether it is served or not; None: the served one, whichever it is."""
        self._settings = settings
        self._name = settings.instance_id or f"worker-{secrets.token_hex(4)}"
        self._ended = asyncio.Event()
        self._error: PulseError | None = None
        self._client = connect(settings.redis)
        self._outlet = Outlet(settings)
        rules = rules_of(settings)
        self._generations = Generations(self._client, settings.redis_prefix)
        self._follows = generation is None
        self._counts = CountCheck(self, INPUT_TOPICS, settings.partitions, time.monotonic)
        work = Work(
            rules=rules,
            store=Store(
                self._client,
                generation or settings.redis_prefix,
                rules.figures,
                self._generations.served if self._follows else None,
            ),
            outlet=self._outlet,
            reader=self,
            log=self,
            counts=self._counts,
            may_begin_late=not self._follows,
            now_ms=lambda: time.time_ns() // 1_000_000,
            on_fatal=self._fail,
            flush_interval_ms=settings.flush_interval_ms,
            max_dirty_cells=settings.max_dirty_cells,
            name=self._name,
        )
        self._store = work.store
        self._fleet = Fleet(work, settings.watchdog_ms, self._hold, self._hint)
        self._folder = tempfile.TemporaryDirectory(prefix="shop-pulse-faust-")
        self._app = create_app(settings, self._name, Path(self._folder.name), lambda: self._fleet)

    @property
    def _thread(self) -> ConsumerThread:
        return cast(Consumer, self._app.consumer).thread

    def _fail(self, error: PulseError) -> None:
        if self._error is None:
            self._error = error
        self._ended.set()

    async def run(self) -> None:
        """Works until a signal; raises PulseError if it had to end by itself."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        try:
            if await self._wait_for_servers():
                self._fleet.start(self._watch_log, *([self._follow] if self._follows else []))
                await self._app.start()
                logger.info("worker %s reads %d topics", self._name, len(INPUT_TOPICS))
                await self._ended.wait()
                await asyncio.wait({asyncio.ensure_future(self._stop())}, timeout=STOP_S)
        finally:
            await self._client.aclose()
            self._folder.cleanup()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Has `run` save what is in memory and return."""
        self._ended.set()

    @property
    def name(self) -> str:
        """What stands as `owner` in the meta of each partition number that it writes."""
        return self._name

    def let_go(self, partition: int) -> None:
        """Leaves a partition to another worker that has taken it over."""
        self._fleet.let_go(partition)

    async def _follow(self) -> None:
        """Moves on with the figures: to the generation that is served, as soon as that is another one."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                served = await self._generations.served()
            except StoreUnavailableError as error:
                logger.debug("which figures are served is not known now: %s", error)
                continue
            except PulseError as error:
                return self._fail(error)
            if served != self._store.generation:
                logger.warning("figures are kept under %s now, no longer %s", served, self._store.generation)
                # In one step: no memory of one generation ever meets the keys of another.
                self._store.generation = served
                self._fleet.take_over_again()

    async def _watch_log(self) -> None:
        """Ends the worker when a topic was deleted, or got more partitions."""
        while True:
            await asyncio.sleep(COUNTS_EVERY_S)
            try:
                await self._counts.check()
            except LogUnavailableError as error:
                logger.debug("whether all topics are there is not known now: %s", error)
            except PulseError as error:
                return self._fail(error)

    async def _stop(self) -> None:
        await self._fleet.stop()
        await self._app.stop()
        await self._outlet.stop()

    async def _wait_for_servers(self) -> bool:
        """Waits until Redis and Kafka answer; False if the worker was told to end meanwhile."""
        said = ""
        while not self._ended.is_set():
            try:
                await self._store.check_server()
                if self._follows:
                    self._store.generation = await self._generations.served()
                await check_counts(self, INPUT_TOPICS, self._settings.partitions)
                with _kafka_answers():
                    await self._outlet.start()
                return True
            except (StoreUnavailableError, LogUnavailableError) as error:
                trouble = str(error)
            if trouble != said:
                logger.error("%s", trouble)
                said = trouble
            await asyncio.wait({asyncio.ensure_future(self._ended.wait())}, timeout=WAIT_S)
        return False

    # What owners ask of the consumer and the log (`work.Reader`, `log_check.Log`).

    async def open(self, partition: int, offsets: Mapping[str, int], epoch: int) -> None:
        """See `work.Reader`."""
        await self._thread.open(partition, offsets, epoch)

    def folded(self, batch: Batch) -> None:
        """See `work.Reader`."""
        self._thread.folded(batch)

    def lag(self, topic: str, partition: int, next_offset: int) -> int | None:
        """See `work.Reader`."""
        return self._thread.lag(topic, partition, next_offset)

    async def partition_counts(self) -> Mapping[str, int]:
        """See `log_check.Log`."""
        return await answered(self._partition_counts())

    async def _partition_counts(self) -> Mapping[str, int]:
        # Take-overs wait for it: a broker that hangs is given up as soon as by the consumer.
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._settings.kafka, request_timeout_ms=REQUEST_TIMEOUT_MS
        )
        try:
            await admin.start()
            counts = await partition_counts(admin, self._settings, INPUT_TOPICS)
        finally:
            await admin.close()
        return {topic: count for topic, count in counts.items() if count}

    async def bounds(self, partition: int) -> Mapping[str, Bounds]:
        """See `log_check.Log`."""
        return await answered(self._thread.bounds(partition))

    async def record_at(self, topic: str, partition: int, offset: int) -> LogRecord | None:
        """See `log_check.Log`."""
        return await answered(record_at(self._settings, topic, partition, offset))

    def _hold(self, held: frozenset[tuple[str, int]]) -> None:
        self._thread.held = held

    async def _hint(self, offsets: Mapping[tuple[str, int], int]) -> None:
        if not self._follows:
            # A rebuild's group is gone with it: offsets would stand there as a lag that only grows.
            return
        prefix = self._settings.topic_prefix
        places = {TopicPartition(prefix + topic, p): offset for (topic, p), offset in offsets.items()}
        try:
            await self._thread.hint_offsets(places)
        except KafkaError as error:
            logger.info("Kafka did not take the offsets meant for lag tools: %s", error)


def prepare_process(level: int) -> None:
    """What a process needs before a worker runs in it; `level` is that of its log."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in ("faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # What aiokafka says once a second while a broker is away, the worker says once, and what to do.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    use_raw_records()
    collect_seldom(OF_RECORDS)
    give_back_freed()

"""Everything that one owner knows of one partition number, and what it has not saved yet.

Pure: bytes and timestamps come in, cells and refusals come out; the owner does the reading, writing and
sending around it. All topics of a partition number share one state, because a session is made of several
topics' events; what each contributes does not depend on the order in which topics are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from zlib import crc32

from schemas.codec import Reason
from schemas.events import INPUT_TOPICS, Event, LiveStart, Purchase, SourceHeartbeat
from streams import catalogue
from streams.admission import CellKey
from streams.ads import AdBook
from streams.after_purchase import AfterPurchaseBook
from streams.arrivals import ArrivalBook
from streams.attribution import AttributionBook
from streams.batch import LogRecord
from streams.booking import Books
from streams.commission import Settlement
from streams.figures.attribution import keeps_attribution
from streams.fold import EventCounter
from streams.funnel import SESSION_TOPICS, SessionBook, last_needless_day
from streams.identity import IdWindow
from streams.kpi import FigureSet, Measure
from streams.ledger import Ledger, LedgerWrite, Order, WaitingRefund, day_of
from streams.live_starts import LiveStarts
from streams.memory_bounds import MemoryBounds
from streams.order_service import OrderService
from streams.products import ProductBook
from streams.progress import NEVER_MS, Progress
from streams.redirects import RedirectBook
from streams.returns import ReturnBook
from streams.rooms import LIVES_KEPT_DAYS, RoomBook
from streams.scopes import DUE
from streams.signs import is_canary, source_ms
from streams.story import Chunk, Story
from streams.sums import CellWrite, Sums
from streams.trimming import due_trims, read_to
from streams.users import BUYERS_KEPT_DAYS, SketchWrite, UserSketches
from streams.verdict import Placement, Refusal, Screen, Screened
from streams.window import DAY_MS, MINUTE_MS, Pane, PaneSize

PURCHASES = "purchases"
TAPS = "tag-taps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the figures depend on; the worker takes it from the settings."""

    partitions: int
    figures: FigureSet
    sizes: tuple[PaneSize, ...]
    platforms: frozenset[str]
    traffic_lateness_ms: int
    purchase_lateness_ms: int
    order_horizon_days: int
    unknown_order_wait_ms: int
    scope_values_max: int
    cohort_horizon_ms: int
    on_time_days: int
    settlement: Settlement = field(default_factory=Settlement)

    @property
    def text(self) -> str:
        """The rules in one line: figures counted under others must not be gone on with."""
        kept = " ".join(f"{size.name}={size.retention_ms}" for size in self.sizes)
        return (
            f"figures={self.figures.name} late={self.traffic_lateness_ms}/{self.purchase_lateness_ms} "
            f"orders={self.order_horizon_days}d wait={self.unknown_order_wait_ms} {kept} "
            f"values={self.scope_values_max} cohorts={self.cohort_horizon_ms} on_time={self.on_time_days}d "
            f"final={self.settlement.delivered_ms}/{self.settlement.purchase_ms} "
            f"platforms={','.join(sorted(self.platforms))}"
        )

    def lateness_ms(self, topic: str) -> int:
        """How far event time may lie behind ingest time."""
        return self.purchase_lateness_ms if topic == PURCHASES else self.traffic_lateness_ms

    def horizon_minutes(self, topic: str) -> int:
        """For how many minutes past acceptance an identity is remembered."""
        return self.lateness_ms(topic) // MINUTE_MS + 1


@dataclass(frozen=True, slots=True)
class Missing:
    """What has to be read from Redis before a chunk can be counted.

    Attributes:
        records: ids by ledger.
        cells: hashes of cells whose fields' names are wanted: what their panes admitted before.
    """

    records: Mapping[str, list[str]]
    cells: Sequence[CellKey]

    def __bool__(self) -> bool:
        return bool(self.records or self.cells)


@dataclass(slots=True)
class StateWrite:
    """Everything unsaved of one partition: the content of one guarded write."""

    cells: list[CellWrite]
    expired_panes: list[Pane]
    sketches: SketchWrite
    new_ids: dict[str, dict[int, bytes]]
    expired_ids: dict[str, list[int]]
    ledgers: list[LedgerWrite]
    trims: dict[str, int]
    waiting: dict[str, WaitingRefund | None]
    lives: dict[str, int]
    currencies: frozenset[str]
    high_ms: int
    progress: dict[str, Progress]
    # Hashes of cells that go although their pane stays.
    outlived: list[CellKey] = field(default_factory=list)


class PartitionState:
    """The memory of one partition number. Built anew from Redis after every assignment and refusal."""

    def __init__(self, partition: int, rules: Rules) -> None:
        figures = rules.figures
        self.partition = partition
        self.rules = rules
        self.high_ms = NEVER_MS
        topics = self.topics = {topic: Progress() for topic in INPUT_TOPICS}
        self.ids = {each: IdWindow(rules.horizon_minutes(each)) for each in INPUT_TOPICS if each != PURCHASES}
        self.bounds = MemoryBounds()
        kept_ms = {DUE.name: rules.settlement.table_kept_ms}
        self.sums = Sums(figures, rules.sizes, rules.scope_values_max, kept_ms, self.bounds)
        self.trimmed: dict[str, int] = {}
        self._screens = {
            topic: Screen(topic, rules.lateness_ms(topic), rules.platforms) for topic in INPUT_TOPICS
        }
        self._placement = Placement(partition, rules.partitions)
        self._books = Books(figures, self.sums, rules.settlement)
        self._counter = EventCounter(figures, self.sums)
        self.sessions = SessionBook(figures, self.sums, rules.traffic_lateness_ms, rules.cohort_horizon_ms)
        self.users = UserSketches(figures, self.sums.admission, self.bounds)
        orders = Ledger("orders", Order)
        self._attribution = AttributionBook(
            self._books,
            orders,
            enabled=keeps_attribution(figures),
            lateness_ms=rules.traffic_lateness_ms,
            purchase_lateness_ms=rules.purchase_lateness_ms,
            # Not by way of `self`: in a circle, a dropped memory would wait for the garbage collector.
            taps_read_ms=lambda: topics[TAPS].ingest_ms,
        )
        self.service = OrderService(
            self._books,
            self.sessions,
            self.users,
            orders=orders,
            attribution=self._attribution,
            horizon_minutes=rules.horizon_minutes(PURCHASES),
            horizon_days=rules.order_horizon_days,
            wait_ms=rules.unknown_order_wait_ms,
        )
        self.stories = self._all_stories()
        self._stories_of = {
            topic: [story for story in self.stories if topic in story.topics] for topic in INPUT_TOPICS
        }
        self.ledgers: tuple[Ledger[Any], ...] = (
            *self.service.ledgers,
            self.sessions.records,
            *(shelf.ledger for story in self.stories for shelf in story.shelves),
        )
        self._lives: dict[str, int] = {}

    def _all_stories(self) -> tuple[Story, ...]:
        rules, figures = self.rules, self.rules.figures
        return (
            RoomBook(figures, self.sums, rules.traffic_lateness_ms),
            ProductBook(figures),
            self._attribution,
            AfterPurchaseBook(self._books, figures, rules.on_time_days, rules.purchase_lateness_ms),
            AdBook(figures, self.sums, self.service.currencies),
            LiveStarts(figures, self.sums),
            ReturnBook(figures, self.sums, rules.traffic_lateness_ms),
            ArrivalBook(figures, self.sums, rules.traffic_lateness_ms),
            RedirectBook(figures, self.sums, self.users),
        )

    @property
    def dirty(self) -> int:
        """How much the next write would save, in cells: a record is worth one, a sketch's user a third."""
        return self.sums.dirty + self.users.dirty // 3 + sum(ledger.dirty for ledger in self.ledgers)

    def screen(self, topic: str, records: Sequence[LogRecord]) -> Screened:
        """Verdicts 1 to 9 of a chunk; changes nothing."""
        return self._screens[topic].screen(records, self.topics[topic].ingest_ms, self._placement)

    def missing(self, topic: str, screened: Screened) -> Missing:
        """What must be loaded before `apply`; empty if all is in memory.

        To be asked again after loading: which records are wanted may depend on records.
        """
        events = screened.events
        wanted = {self.sessions.records.name: self.sessions.ids(topic, events, screened.ingest_ms)}
        cells: list[CellKey] = []
        if topic == PURCHASES:
            wanted |= self.service.wanted(events)
        else:
            cells = self.sums.admission.unknown(screened.times_ms)
        chunk = Chunk(topic, events, screened.records, screened.ingest_ms)
        for story in self._stories_of[topic]:
            wanted |= story.ids(chunk)
        records = {
            ledger.name: absent
            for ledger in self.ledgers
            if (ids := wanted.get(ledger.name)) and (absent := ledger.missing(ids))
        }
        return Missing(records, cells)

    def load_records(self, found: Mapping[str, Mapping[str, bytes | None]]) -> None:
        """What the store answered for the records of `missing`."""
        for ledger in self.ledgers:
            ledger.load(found.get(ledger.name, {}))

    def apply(
        self, topic: str, records: Sequence[LogRecord], screened: Screened, next_offset: int
    ) -> list[Refusal]:
        """Counts a screened chunk; returns the records that go to the dead-letter and late topics."""
        progress = self.topics[topic]
        refusals = [refusal for refusal, _ in screened.refused]
        for refusal, ingest_ms in screened.refused:
            late = refusal.reason is Reason.LATE
            measure = catalogue.LATE if late else catalogue.DEAD_LETTERS[refusal.reason]
            self._books.on_pipeline(ingest_ms, topic, measure, 1)
        self._count_late_money(topic, screened)
        self._count_by_ingest(topic, catalogue.MISPLACED, screened.misplaced)
        if topic == PURCHASES:
            judged = self.service.apply(screened)
            refusals += judged.refusals
            for event, record in judged.taken:
                self._rise(PURCHASES, event.event_time_ms)
                self._note(PURCHASES, event, record.timestamp)
            for story in self._stories_of[topic]:
                story.accept(judged.counted)
        else:
            self._apply_traffic(topic, screened)
            self.ids[topic].expire(screened.end_ingest_ms)
        progress.ingest_ms = screened.end_ingest_ms
        progress.source_ms = source_ms(progress.source_ms, records, screened)
        progress.next_offset = next_offset
        if records:
            last = records[-1]
            progress.last = (last.offset, last.timestamp, crc32(last.value or b""))
        return refusals

    def _count_late_money(self, topic: str, screened: Screened) -> None:
        for event, ingest_ms in screened.late_events:
            if isinstance(event, Purchase):
                self.service.currencies.add(event.currency)
                value = sum(
                    item.quantity * item.unit_price_minor - item.seller_discount_minor for item in event.items
                )
                self._books.on_pipeline(ingest_ms, topic, catalogue.LATE_GMV, value, event.currency)

    def _count_by_ingest(self, topic: str, measure: Measure, ingest_ms: Sequence[int]) -> None:
        size = self.sums.finest
        if not ingest_ms:
            return
        if size.start_of(ingest_ms[0]) == size.start_of(ingest_ms[-1]):
            self._books.on_pipeline(ingest_ms[0], topic, measure, len(ingest_ms))
            return
        for start_ms, count in Counter(map(size.start_of, ingest_ms)).items():
            self._books.on_pipeline(start_ms, topic, measure, count)

    def _apply_traffic(self, topic: str, screened: Screened) -> None:
        events, ingest_ms, times_ms = screened.events, screened.ingest_ms, screened.times_ms
        if not events:
            return
        fresh = self.ids[topic].admit([event.event_id for event in events], ingest_ms, times_ms)
        if len(fresh) < len(events):
            repeated = set(range(len(events))).difference(fresh)
            self._count_by_ingest(
                topic, catalogue.DUPLICATES, [ingest_ms[index] for index in sorted(repeated)]
            )
            events = [events[index] for index in fresh]
            ingest_ms = [ingest_ms[index] for index in fresh]
            times_ms = [times_ms[index] for index in fresh]
            if not events:
                return
        self._rise(topic, max(times_ms))
        stories = self._stories_of[topic]
        log_records = [screened.records[index] for index in fresh] if stories else []
        if topic == "livestreams" or SourceHeartbeat in {event.__class__ for event in events}:
            for index, event in enumerate(events):
                self._note(topic, event, screened.records[fresh[index]].timestamp)
        if {event.traffic for event in events} != {"real"}:
            real = [index for index, event in enumerate(events) if event.traffic == "real"]
            excluded = sorted(set(range(len(events))).difference(real))
            self._count_by_ingest(topic, catalogue.EXCLUDED, [ingest_ms[index] for index in excluded])
            events = [events[index] for index in real]
            ingest_ms = [ingest_ms[index] for index in real]
            times_ms = [times_ms[index] for index in real]
            log_records = [log_records[index] for index in real] if stories else []
        self._count_by_ingest(topic, catalogue.ACCEPTED, ingest_ms)
        self._counter.count(events, times_ms)
        # After the counting: it decides which values have a place of their own.
        self.users.add(topic, events)
        self.sessions.accept(topic, events, ingest_ms, partial(self.sums.admission.allows, topic))
        for story in stories:
            story.accept(Chunk(topic, events, log_records, ingest_ms))

    def _note(self, topic: str, event: Event, timestamp: int) -> None:
        """What is kept of an accepted event besides counts."""
        if isinstance(event, SourceHeartbeat):
            progress = self.topics[topic]
            if is_canary(event):
                progress.canary_ms = max(progress.canary_ms, timestamp)
            else:
                progress.heartbeat_ms = max(progress.heartbeat_ms, timestamp)
        elif isinstance(event, LiveStart) and event.traffic == "real":
            start_ms = event.event_time_ms
            known_ms = self._lives.get(event.live_id, start_ms)
            is_another = day_of(start_ms) - day_of(known_ms) >= LIVES_KEPT_DAYS
            self._lives[event.live_id] = start_ms if is_another else min(known_ms, start_ms)

    def _rise(self, topic: str, time_ms: int) -> None:
        progress = self.topics[topic]
        progress.high_ms = max(progress.high_ms, time_ms)
        self.high_ms = max(self.high_ms, time_ms)

    def take(self) -> StateWrite:
        """Everything unsaved, in one step; what is counted after this call belongs to the next write."""
        cells, expired_panes = self.sums.take(self.high_ms)
        unsaved = {topic: ids.take_unsaved() for topic, ids in self.ids.items()}
        lives, self._lives = self._lives, {}
        orders = self.service.orders
        waiting, orders.changed_waiting = orders.changed_waiting, {}
        ledgers = [ledger.take() for ledger in self.ledgers]
        filed = {ledger.name: min(ledger.filed) for ledger in ledgers if ledger.filed}
        if lives:
            filed["lives"] = day_of(min(lives.values()))
        trims = due_trims(self.trimmed, filed, self._needless(), self._lateness_days)
        for ledger in self.ledgers:
            if ledger.name in trims:
                ledger.delete_day(trims[ledger.name])
        return StateWrite(
            cells=cells,
            expired_panes=expired_panes,
            sketches=self.users.take(self.high_ms),
            new_ids={topic: ids for topic, (ids, _) in unsaved.items() if ids},
            expired_ids={topic: minutes for topic, (_, minutes) in unsaved.items() if minutes},
            ledgers=ledgers,
            trims=trims,
            waiting=waiting,
            lives=lives,
            currencies=frozenset(self.service.currencies),
            high_ms=self.high_ms,
            progress={topic: replace(progress) for topic, progress in self.topics.items()},
            outlived=self.sums.take_outlived(self.high_ms),
        )

    def _needless(self) -> Iterator[tuple[str, int, int]]:
        """Ledgers, the ingest time that decides about each, and the last day that is needless by that."""
        purchases, rooms = self.topics[PURCHASES].ingest_ms, self.topics["livestreams"].ingest_ms
        past_orders = day_of(purchases) - self.rules.order_horizon_days - 1
        yield "identities", purchases, day_of(purchases) - self._lateness_days - 2
        yield "orders", *self._needless_orders(purchases, past_orders)
        yield "deliveries", purchases, past_orders
        yield "attempts", purchases, past_orders
        yield "paying", purchases, past_orders
        # A refund is accepted up to the lateness after its day, and may wait as long before it is refused.
        yield "reasons", purchases, day_of(purchases) - 2 * self._lateness_days - 2
        yield "buyers", purchases, day_of(purchases) - self._lateness_days - BUYERS_KEPT_DAYS - 1
        behind = read_to(self.topics, SESSION_TOPICS)
        yield "sessions", behind, last_needless_day(behind)
        yield "lives", rooms, day_of(rooms) - LIVES_KEPT_DAYS - 1
        for story in self.stories:
            for shelf in story.shelves:
                if shelf.days is not None:
                    behind = read_to(self.topics, shelf.topics)
                    yield shelf.ledger.name, behind, day_of(behind) - shelf.days - 1

    def _needless_orders(self, purchases_ms: int, past_orders: int) -> tuple[int, int]:
        """An order is kept beyond its horizon while taps that are not read yet may change it."""
        if not self._attribution.enabled:
            return purchases_ms, past_orders
        behind = read_to(self.topics, self._attribution.topics)
        return behind, min(past_orders, day_of(behind - self.rules.traffic_lateness_ms) - 1)

    @property
    def _lateness_days(self) -> int:
        return -(-self.rules.purchase_lateness_ms // DAY_MS)

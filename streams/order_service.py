"""The order service's records of one partition number: judged against what came before, and counted.

It stands between the screen (verdicts 1 to 9) and the books: verdicts 10 and 11, then money, payment
attempts, buyers, and the purchases' part in sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from schemas.codec import Reason
from schemas.events import Event, Payment, Purchase, Refund, SourceHeartbeat
from streams import catalogue
from streams.attribution import AttributionBook
from streams.batch import LogRecord
from streams.booking import Books
from streams.deliveries import Delivery
from streams.funnel import SessionBook
from streams.kpi import Measure
from streams.ledger import Attempt, Identity, Ledger, Order, day_of
from streams.orders import (
    TOPIC,
    OrderBook,
    event_identity,
    is_repeated,
    lines_of,
    money_hash,
    refund_identity,
)
from streams.payments import PaymentBook, attempt_id_of
from streams.story import Chunk
from streams.users import Buyer, BuyerBook, UserSketches
from streams.verdict import Refusal, Screened
from streams.window import MINUTE_MS

# An identity that is free again: no ingest minute is within any horizon of it.
_FREE_MINUTE = -(1 << 40)


@dataclass(slots=True)
class Judged:
    """What became of a chunk: refusals, the accepted and excluded events with their records, and those that
    are counted in figures."""

    counted: Chunk
    refusals: list[Refusal] = field(default_factory=list)
    taken: list[tuple[Event, LogRecord]] = field(default_factory=list)


class OrderService:
    """Orders, refunds, payments and what else the order service tells, in the order of its log."""

    def __init__(
        self,
        books: Books,
        sessions: SessionBook,
        users: UserSketches,
        *,
        orders: Ledger[Order],
        attribution: AttributionBook,
        horizon_minutes: int,
        horizon_days: int,
        wait_ms: int,
    ) -> None:
        self.identities = Ledger("identities", Identity)
        self.orders = OrderBook(books, orders, attribution, horizon_days, wait_ms)
        self.payments = PaymentBook(books, Ledger("attempts", Attempt), horizon_days)
        self.buyers = BuyerBook()
        self.currencies: set[str] = set()
        self._books = books
        self._sessions = sessions
        self._users = users
        self._horizon_minutes = horizon_minutes

    @property
    def ledgers(
        self,
    ) -> tuple[Ledger[Identity], Ledger[Order], Ledger[Delivery], Ledger[Attempt], Ledger[Buyer]]:
        """The ledgers whose records are read before the fold."""
        orders = self.orders
        return (
            *(self.identities, orders.orders, orders.deliveries.records),
            *(self.payments.attempts, self.buyers.records),
        )

    def wanted(self, events: Sequence[Event]) -> Iterator[tuple[str, list[str]]]:
        """(ledger, ids) that must be loaded before `apply`."""
        identities: list[str] = []
        orders: list[str] = []
        attempts: list[str] = []
        for event in events:
            match event:
                case Purchase():
                    orders.append(event.order_id)
                    # It may refuse refunds that waited for it, whose ids are then free again.
                    identities += map(refund_identity, self.orders.waiting.get(event.order_id, ()))
                case Refund():
                    identities.append(refund_identity(event.refund_id))
                    orders.append(event.order_id)
                case _:
                    identities.append(event_identity(event.event_id))
                    if isinstance(event, Payment):
                        attempts.append(attempt_id_of(event))
                    elif self.orders.deliveries.told(event):
                        orders.append(event.order_id)
        yield self.identities.name, identities
        yield self.orders.orders.name, orders
        yield self.orders.deliveries.records.name, self.orders.deliveries.ids(events)
        yield self.payments.attempts.name, attempts
        if self._users.enabled:
            yield self.buyers.records.name, self.buyers.ids(events)

    def apply(self, screened: Screened) -> Judged:
        """Judges and counts a screened chunk."""
        real: list[Event] = []
        real_records: list[LogRecord] = []
        real_ingest_ms: list[int] = []
        judged = Judged(Chunk(TOPIC, real, real_records, real_ingest_ms))
        columns = zip(screened.events, screened.records, screened.ingest_ms, strict=True)
        for event, record, ingest_ms in columns:
            self.orders.expire_waiting(ingest_ms)
            refused, measure = self._judge(event, record, ingest_ms)
            judged.refusals += refused
            self._books.on_pipeline(ingest_ms, TOPIC, measure, 1)
            if measure is catalogue.ACCEPTED or measure is catalogue.EXCLUDED:
                judged.taken.append((event, record))
            if measure is catalogue.ACCEPTED:
                real.append(event)
                real_records.append(record)
                real_ingest_ms.append(ingest_ms)
                if isinstance(event, Purchase) and self._users.enabled:
                    repeat = self.buyers.accept(event)
                    self._users.add_purchase(event, lines_of(event), repeat)
        self._sessions.accept(TOPIC, real, real_ingest_ms, lambda *_: True)
        self.orders.expire_waiting(screened.end_ingest_ms)
        return judged

    def _judge(self, event: Event, record: LogRecord, ingest_ms: int) -> tuple[list[Refusal], Measure]:
        """Verdicts 10 and 11 of a record, and its bookings if it is new."""
        excluded = event.traffic != "real"
        counted = catalogue.EXCLUDED if excluded else catalogue.ACCEPTED
        conflict = catalogue.DEAD_LETTERS[Reason.CONFLICTING_DUPLICATE]
        match event:
            case Purchase():
                known_order = self.orders.orders.get(event.order_id)
                if known_order and is_repeated(known_order, ingest_ms, self._horizon_minutes):
                    return self._repeated(event, record, known_order.money_hash)
                self.currencies.add(event.currency)
                refusals = list(self.orders.accept_purchase(event, ingest_ms, excluded))
                for refund_id in self.orders.take_refused():
                    self._forget_identity(refund_id)
                return refusals, counted
            case Refund():
                identity = refund_identity(event.refund_id)
                known = self.identities.get(identity)
                if known and is_repeated(known, ingest_ms, self._horizon_minutes):
                    return self._repeated(event, record, known.money_hash)
                refusal = self.orders.accept_refund(event, record, ingest_ms, excluded)
                if refusal:
                    return [refusal], conflict
                self.currencies.add(event.currency)
                self._take_identity(identity, event, ingest_ms, money_hash(event))
            case _:
                identity = event_identity(event.event_id)
                known = self.identities.get(identity)
                if known and is_repeated(known, ingest_ms, self._horizon_minutes):
                    return [], catalogue.DUPLICATES
                self._take_identity(identity, event, ingest_ms, 0)
                if isinstance(event, Payment) and not excluded:
                    self.payments.accept(event, record.offset, ingest_ms)
                elif self.orders.deliveries.told(event) and not excluded:
                    self.orders.accept_delivery(event, ingest_ms)
        if not excluded and not isinstance(event, SourceHeartbeat):
            self._books.on_event(event, 1)
        return [], counted

    @staticmethod
    def _repeated(
        event: Purchase | Refund, record: LogRecord, known_hash: int
    ) -> tuple[list[Refusal], Measure]:
        if money_hash(event) == known_hash:
            return [], catalogue.DUPLICATES
        detail = "the same id was accepted before with other amounts"
        refusal = Refusal(record, Reason.CONFLICTING_DUPLICATE, detail)
        return [refusal], catalogue.DEAD_LETTERS[Reason.CONFLICTING_DUPLICATE]

    def _take_identity(self, identity: str, event: Event, ingest_ms: int, money: int) -> None:
        accepted_ms = max(ingest_ms, event.event_time_ms)
        self.identities.put(identity, Identity(day_of(accepted_ms), accepted_ms // MINUTE_MS, money))

    def _forget_identity(self, refund_id: str) -> None:
        """A waiting refund that its order refuses was never accepted: the id is free again."""
        identity = refund_identity(refund_id)
        known = self.identities.get(identity)
        if known:
            self.identities.put(identity, Identity(known.filed_day, _FREE_MINUTE, 0))

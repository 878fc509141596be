"""Payment attempts: each counted once, where its earliest event lies, under what its latest event said.

So are the orders that they belong to: once, where the order's earliest payment event lies, as authorised if
one of its attempts is. Behind the verdicts, with the order service's other records.
"""

from __future__ import annotations

import msgspec

from schemas.events import Payment
from streams import catalogue
from streams.booking import Books, Entry
from streams.figures.payments_more import DECLINED_FOR, ERRORS_FOR, PAY_ORDERS, PAY_ORDERS_AUTHORISED
from streams.kpi import Measure
from streams.ledger import Attempt, Ledger, day_of
from streams.orders import order_scopes
from streams.reasons import UNSAID
from streams.scopes import ALL, GATEWAY, PAYMENT_REASON, PLATFORM, SINGLE_ORDER_SCOPES, pair_value

_STATE_OF_OUTCOME: dict[str, Measure] = {
    "started": catalogue.PAY_PENDING,
    "authorised": catalogue.PAY_AUTHORISED,
    "declined": catalogue.PAY_DECLINED,
    "error": catalogue.PAY_ERRORS,
    "timeout": catalogue.PAY_ERRORS,
    "cancelled_by_user": catalogue.PAY_CANCELLED,
}

_FOR_A_REASON = {catalogue.PAY_DECLINED: DECLINED_FOR, catalogue.PAY_ERRORS: ERRORS_FOR}
_PLATFORM, _GATEWAY = map(SINGLE_ORDER_SCOPES.index, (PLATFORM, GATEWAY))


class PayingOrder(msgspec.Struct, array_like=True):
    """An order that somebody tried to pay for.

    Attributes:
        filed_day: day of its latest payment event.
        earliest_ms, earliest_offset, scopes: its earliest payment event, where it is counted.
        authorised: how many of its attempts are authorised.
    """

    filed_day: int
    earliest_ms: int
    earliest_offset: int
    scopes: tuple[str | None, ...]
    authorised: int = 0


def attempt_id_of(event: Payment) -> str:
    """Name of the attempt among the attempts; the length keeps two pairs of ids apart."""
    return f"{len(event.order_id)}:{event.order_id}{event.attempt_id or ''}"


class PaymentBook:
    """Payment attempts, and the orders that they are of, of one partition number."""

    def __init__(self, books: Books, horizon_days: int) -> None:
        self.attempts = Ledger("attempts", Attempt)
        self.orders = Ledger("paying", PayingOrder)
        self.keeps_orders = books.keeps(ALL)
        self._books = books
        self._horizon_days = horizon_days

    def accept(self, event: Payment, offset: int, ingest_ms: int) -> None:
        """Counts the event's attempt, or moves it: to an earlier pane, or to its newest outcome."""
        attempt_id = attempt_id_of(event)
        before = self.attempts.get(attempt_id)
        if before and day_of(ingest_ms) - day_of(before.earliest_ms) > self._horizon_days:
            before = None
        after = self._joined(before, event, offset)
        if before:
            self._book(before, -1)
        self._book(after, 1)
        self.attempts.put(attempt_id, after)
        if not self.keeps_orders:
            return
        more = (after.outcome == "authorised") - (before is not None and before.outcome == "authorised")
        self._accept_order(event, offset, ingest_ms, more)

    def _joined(self, before: Attempt | None, event: Payment, offset: int) -> Attempt:
        at = (event.event_time_ms, offset)
        first = before is None or at < (before.earliest_ms, before.earliest_offset)
        last = before is None or at >= (before.latest_ms, before.latest_offset)
        earliest = at if before is None or first else (before.earliest_ms, before.earliest_offset)
        latest = at if before is None or last else (before.latest_ms, before.latest_offset)
        reason = self._books.reasons.name(event) if self._books.keeps(PAYMENT_REASON) else UNSAID
        return Attempt(
            filed_day=before.filed_day if before else day_of(event.event_time_ms),
            earliest_ms=earliest[0],
            earliest_offset=earliest[1],
            scopes=order_scopes(event) if before is None or first else before.scopes,
            latest_ms=latest[0],
            latest_offset=latest[1],
            outcome=event.outcome if before is None or last else before.outcome,
            reason=reason if before is None or last else before.reason,
        )

    def _book(self, attempt: Attempt, sign: int) -> None:
        state = _STATE_OF_OUTCOME[attempt.outcome]
        entries = (Entry(catalogue.ATTEMPTS, sign), Entry(state, sign))
        self._books.book(attempt.earliest_ms, attempt.scopes, entries)
        if state in _FOR_A_REASON:
            at = pair_value(attempt.scopes[_PLATFORM] or "", attempt.scopes[_GATEWAY] or "")
            value = pair_value(at, attempt.reason)
            self._books.book_one(attempt.earliest_ms, PAYMENT_REASON, value, _FOR_A_REASON[state], sign)

    def _accept_order(self, event: Payment, offset: int, ingest_ms: int, more: int) -> None:
        """`more`: authorised attempts that came with the event (less, where one is no longer)."""
        day = day_of(event.event_time_ms)
        before = self.orders.get(event.order_id)
        # Forgotten by its latest event, so never before one of its attempts.
        if before and day_of(ingest_ms) - before.filed_day > self._horizon_days:
            before = None
        earliest = event.event_time_ms, offset, order_scopes(event)
        if before is not None:
            self._book_order(before, -1)
            known = before.earliest_ms, before.earliest_offset, before.scopes
            earliest = min(earliest, known, key=lambda each: each[:2])
            day, more = max(day, before.filed_day), more + before.authorised
        after = PayingOrder(day, *earliest, authorised=more)
        self._book_order(after, 1)
        self.orders.put(event.order_id, after)

    def _book_order(self, order: PayingOrder, sign: int) -> None:
        authorised = sign if order.authorised else 0
        entries = (Entry(PAY_ORDERS, sign), Entry(PAY_ORDERS_AUTHORISED, authorised))
        self._books.book(order.earliest_ms, order.scopes, entries)

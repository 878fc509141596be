"""Payment attempts: each counted once, where its earliest event lies, under what its latest event said."""

from __future__ import annotations

from schemas.events import Payment
from streams import catalogue
from streams.booking import Books, Entry
from streams.kpi import Measure
from streams.ledger import Attempt, Ledger, day_of
from streams.orders import order_scopes

_STATE_OF_OUTCOME: dict[str, Measure] = {
    "started": catalogue.PAY_PENDING,
    "authorised": catalogue.PAY_AUTHORISED,
    "declined": catalogue.PAY_DECLINED,
    "error": catalogue.PAY_ERRORS,
    "timeout": catalogue.PAY_ERRORS,
    "cancelled_by_user": catalogue.PAY_CANCELLED,
}


def attempt_id_of(event: Payment) -> str:
    """Name of the attempt among the attempts; the length keeps two pairs of ids apart."""
    return f"{len(event.order_id)}:{event.order_id}{event.attempt_id or ''}"


class PaymentBook:
    """Payment attempts of one partition number."""

    def __init__(self, books: Books, attempts: Ledger[Attempt], horizon_days: int) -> None:
        self.attempts = attempts
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

    @staticmethod
    def _joined(before: Attempt | None, event: Payment, offset: int) -> Attempt:
        at = (event.event_time_ms, offset)
        first = before is None or at < (before.earliest_ms, before.earliest_offset)
        last = before is None or at >= (before.latest_ms, before.latest_offset)
        earliest = at if before is None or first else (before.earliest_ms, before.earliest_offset)
        latest = at if before is None or last else (before.latest_ms, before.latest_offset)
        return Attempt(
            filed_day=before.filed_day if before else day_of(event.event_time_ms),
            earliest_ms=earliest[0],
            earliest_offset=earliest[1],
            scopes=order_scopes(event) if before is None or first else before.scopes,
            latest_ms=latest[0],
            latest_offset=latest[1],
            outcome=event.outcome if before is None or last else before.outcome,
        )

    def _book(self, attempt: Attempt, sign: int) -> None:
        state = _STATE_OF_OUTCOME[attempt.outcome]
        entries = (Entry(catalogue.ATTEMPTS, sign), Entry(state, sign))
        self._books.book(attempt.earliest_ms, attempt.scopes, entries)

"""Payment attempts: all payments of one partition, grouped when the log has been read.

An attempt is counted where its earliest payment event lies, in the state that its latest one says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from verify.model import Booking
from verify.rules import DAY_MS, Rules
from verify.scopes import order_level

STATE_OF_OUTCOME: Mapping[str, str] = {
    "started": "pending",
    "authorised": "authorised",
    "declined": "declined",
    "error": "errors",
    "timeout": "errors",
    "cancelled_by_user": "cancelled",
}


class AcceptedPayment(NamedTuple):
    """A payment that is neither excluded nor rejected, and the ingest time at which it came."""

    event: Mapping[str, Any]
    offset: int
    ingest_ms: int


def attempt_bookings(payments: Iterable[AcceptedPayment], rules: Rules) -> list[Booking]:
    """One booking per attempt. `payments` come in log order."""
    bookings = []
    for attempt in _attempts(payments, rules):
        earliest = min(attempt, key=_moment).event
        latest = max(attempt, key=_moment).event
        state = STATE_OF_OUTCOME[latest["outcome"]]
        amounts = (("pay.attempts", 1), (f"pay.{state}", 1))
        bookings.append(Booking(earliest["event_time_ms"], order_level(earliest), amounts))
    return bookings


def _attempts(payments: Iterable[AcceptedPayment], rules: Rules) -> list[list[AcceptedPayment]]:
    """Payments by (order_id, attempt_id or empty); one that comes after the horizon starts anew."""
    finished: list[list[AcceptedPayment]] = []
    current: dict[tuple[str, str], list[AcceptedPayment]] = {}
    for payment in payments:
        key = (payment.event["order_id"], payment.event.get("attempt_id") or "")
        attempt = current.get(key, [])
        if attempt and _is_gone(attempt, payment.ingest_ms, rules):
            finished.append(attempt)
            attempt = []
        current[key] = [*attempt, payment]
    return finished + list(current.values())


def _is_gone(attempt: list[AcceptedPayment], ingest_ms: int, rules: Rules) -> bool:
    earliest_ms = min(payment.event["event_time_ms"] for payment in attempt)
    return bool(ingest_ms // DAY_MS - earliest_ms // DAY_MS > rules.order_horizon_days)


def _moment(payment: AcceptedPayment) -> tuple[int, int]:
    """Event time, then offset."""
    return payment.event["event_time_ms"], payment.offset

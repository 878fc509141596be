"""Payment attempts: all payments of one partition, grouped when the log has been read.

An attempt is counted where its earliest payment event lies, in the state that its latest one says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from verify import aged
from verify.asked import Asked, OneOf, ratio
from verify.model import Booking
from verify.reasons import Reasons
from verify.rules import DAY_MS, SECOND_MS, Rules
from verify.scopes import LINE_KINDS, order_level

STATE_OF_OUTCOME: Mapping[str, str] = {
    "started": "pending",
    "authorised": "authorised",
    "declined": "declined",
    "error": "errors",
    "timeout": "errors",
    "cancelled_by_user": "cancelled",
}

PENDING_PAST_MS = 120 * SECOND_MS


class AcceptedPayment(NamedTuple):
    """A payment that is neither excluded nor rejected, and the ingest time at which it came."""

    event: Mapping[str, Any]
    offset: int
    ingest_ms: int


def attempt_bookings(
    payments: Iterable[AcceptedPayment], reasons: Reasons, rules: Rules
) -> Iterator[Booking]:
    """One booking per attempt, and one by its reason if it failed. `payments` come in log order."""
    for attempt in _attempts(payments, rules):
        earliest = min(attempt, key=_moment).event
        latest = max(attempt, key=_moment).event
        state = STATE_OF_OUTCOME[latest["outcome"]]
        amounts = (("pay.attempts", 1), (f"pay.{state}", 1))
        yield Booking(earliest["event_time_ms"], order_level(earliest), amounts)
        yield from reasons.failure(earliest, latest)


def paying_bookings(payments: Iterable[AcceptedPayment], rules: Rules) -> Iterator[Booking]:
    """One booking per order, where its earliest payment lies; its attempts say whether it was authorised.

    A payment that comes when the order's latest event lies past the horizon begins the order anew.
    """
    orders: dict[str, list[list[AcceptedPayment]]] = {}
    for payment in payments:
        lives = orders.setdefault(payment.event["order_id"], [[]])
        latest_ms = max((known.event["event_time_ms"] for known in lives[-1]), default=None)
        if (
            latest_ms is not None
            and payment.ingest_ms // DAY_MS - latest_ms // DAY_MS > rules.order_horizon_days
        ):
            lives.append([])
        lives[-1].append(payment)
    for order in (life for lives in orders.values() for life in lives):
        earliest = min(order, key=_moment).event
        outcomes = [max(attempt, key=_moment).event["outcome"] for attempt in _attempts(order, rules)]
        amounts = (("paying.orders", 1), ("paying.authorised", int("authorised" in outcomes)))
        yield Booking(earliest["event_time_ms"], order_level(earliest), amounts)


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


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names beside those of attempts, and what they must be."""
    sums = asked.sums
    if asked.kind in LINE_KINDS or not (sums["pay.attempts"] or "payments" in asked.answer):
        return {}
    orders, authorised = sums["paying.orders"], sums["paying.authorised"]
    expected: dict[str, Any] = {
        "payments.cancelled": sums["pay.cancelled"],
        "payments.orders": orders,
        "payments.orders_authorised": authorised,
        "payments.success_rate_per_order": ratio(authorised, orders),
    }
    pending = aged.older_than(asked, "pay.pending", PENDING_PAST_MS, "10s")
    if pending is not None:
        expected["payments.pending_past_120s"] = OneOf(pending)
    failed = aged.expected("payments.failure_rate", pending, sums["pay.attempts"], sums["pay.errors"])
    return expected | failed

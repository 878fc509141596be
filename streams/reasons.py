"""Why payments fail and money goes back: which reasons are counted by name.

Reasons are words of the order service without a closed list. Of each gateway (and kind of refund) the first
ones of a UTC day, in the order of the log, are counted by name, the others as `other`: a gateway that puts a
number into each of them fills one day, not Redis. Money is never touched.
"""

from __future__ import annotations

import msgspec

from schemas.events import Event, Payment, Refund
from streams.ledger import Ledger, day_of
from streams.scopes import OTHER

REASONS_MAX = 50
# Stored for an event that names no reason.
UNSAID = ""
FAILURES = frozenset({"declined", "error", "timeout"})


class ReasonList(msgspec.Struct, array_like=True):
    """The reasons of one gateway or kind of refund on one day that are counted by name."""

    filed_day: int
    names: list[str] = []


def list_of(event: Event) -> str | None:
    """Name of the list that decides about the event's reason; None where it names none that counts."""
    match event:
        case Payment(reason=str(), outcome=outcome) if outcome in FAILURES:
            return f"{day_of(event.event_time_ms)}:payment:{event.gateway}"
        case Refund(reason=str()):
            return f"{day_of(event.event_time_ms)}:refund:{event.kind}"
    return None


class Reasons:
    """The lists of one partition number."""

    def __init__(self) -> None:
        self.lists = Ledger("reasons", ReasonList)

    def name(self, event: Payment | Refund) -> str:
        """The event's reason as it is counted; asked again, the same. Its list must have been loaded."""
        told, reason = list_of(event), event.reason
        if told is None or reason is None:
            return UNSAID
        known = self.lists.get(told) or ReasonList(day_of(event.event_time_ms))
        if reason == OTHER or reason in known.names:
            return reason
        if len(known.names) >= REASONS_MAX:
            return OTHER
        known.names.append(reason)
        self.lists.put(told, known)
        return reason

"""Why payments fail and money goes back: the reasons that count by name, and refunds by theirs.

Of each gateway (and kind of refund) the first reasons of a day in the order of the log count by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from verify.model import Booking
from verify.rules import DAY_MS
from verify.scopes import OTHER, PAYMENT_REASON, REFUND_REASON, pair_value

NAMED_A_DAY = 50
FAILED = {"declined": "declined", "error": "errors", "timeout": "errors"}
"""Outcomes of which the reason counts, and as what."""


class Reasons:
    """All events of one partition that may name a reason."""

    def __init__(self) -> None:
        # By what names a list, the reasons in the order of the log, each once.
        self._named: dict[tuple[str, str, int], dict[str, None]] = {}
        self._refunds: dict[int, Mapping[str, Any]] = {}

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """Any accepted, real event."""
        kind = event["event_type"]
        if kind == "refund":
            self._refunds[offset] = event
        if kind == "refund" or (kind == "payment" and event["outcome"] in FAILED):
            reason = event.get("reason")
            if reason is not None and reason != OTHER:
                self._named.setdefault(_list(event), {})[reason] = None

    def take_back(self, offset: int) -> None:
        """A refund that waited and was refused; its reason keeps its place."""
        del self._refunds[offset]

    def name(self, event: Mapping[str, Any]) -> str:
        """The reason of an event as it counts, once the whole log was read; empty if it names none."""
        reason = event.get("reason")
        if reason is None:
            return ""
        return reason if reason in list(self._named.get(_list(event), ()))[:NAMED_A_DAY] else OTHER

    def bookings(self) -> Iterator[Booking]:
        """Refunds by platform, kind and reason."""
        for event in self._refunds.values():
            at = pair_value(event["platform"], event.get("kind") or "")
            scope = REFUND_REASON, pair_value(at, self.name(event))
            yield Booking(event["event_time_ms"], (scope,), (("reasons.refunds", 1),))

    def failure(self, earliest: Mapping[str, Any], latest: Mapping[str, Any]) -> list[Booking]:
        """What an attempt that failed adds: where its earliest event lies, by what its latest one says."""
        state = FAILED.get(latest["outcome"])
        if state is None:
            return []
        at = pair_value(earliest["platform"], earliest["gateway"])
        scope = PAYMENT_REASON, pair_value(at, self.name(latest))
        return [Booking(earliest["event_time_ms"], (scope,), ((f"reasons.{state}", 1),))]


def _list(event: Mapping[str, Any]) -> tuple[str, str, int]:
    kind = event["event_type"]
    of = event["gateway"] if kind == "payment" else str(event.get("kind"))
    return kind, of, event["event_time_ms"] // DAY_MS

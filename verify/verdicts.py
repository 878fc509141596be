"""What becomes of each record: the verdicts of one topic-partition, in the contract's order.

First step of a recomputation. It knows nothing of orders: whether a refund fits its order is asked of the
ledger by whoever replays the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.partitioning import partition_of
from schemas.plain import decode_plain
from schemas.verdicts import Reason, Rejected
from verify.model import LogRecord
from verify.rules import FUTURE_MS, MINUTE_MS, Rules

FRESH = "fresh"
DUPLICATE = "duplicates"
LATE = "late"
DEAD_LETTER = "dead_letter"

CONFLICT = str(Reason.CONFLICTING_DUPLICATE)


class Verdict(NamedTuple):
    """`outcome` is fresh, duplicates, late or dead_letter; `reason` belongs to a dead letter.

    `event` is None when the record could not be read.
    """

    outcome: str
    reason: str = ""
    event: Mapping[str, Any] | None = None
    misplaced: bool = False


class Seen(NamedTuple):
    """An identity that was accepted: when (m), by which record, with which money fields."""

    m_ms: int
    offset: int
    money: tuple[Any, ...]


class TopicJudge:
    """Judges the records of one topic-partition, given in offset order."""

    def __init__(self, topic: str, partition: int, rules: Rules) -> None:
        self.topic = topic
        self.partition = partition
        self.rules = rules
        self.ingest_ms: int | None = None
        self.highest_ms: int | None = None
        self._seen: dict[tuple[str, str], Seen] = {}

    def advance(self, timestamp_ms: int) -> int:
        """Ingest time including this record: the running maximum of the Kafka timestamps."""
        if self.ingest_ms is None or timestamp_ms > self.ingest_ms:
            self.ingest_ms = timestamp_ms
        return self.ingest_ms

    def judge(self, record: LogRecord, ingest_ms: int) -> Verdict:
        """Everything but the comparison of a refund with its order. Takes no identity yet."""
        event = decode_plain(record.value, self.topic, platforms=self.rules.platforms)
        if isinstance(event, Rejected):
            return Verdict(DEAD_LETTER, str(event.reason))
        misplaced = self._is_misplaced(record, event)
        time_ms = event["event_time_ms"]
        if time_ms > record.timestamp_ms + FUTURE_MS:
            return Verdict(DEAD_LETTER, str(Reason.FUTURE_TIME), event, misplaced)
        if ingest_ms - time_ms > self.rules.lateness_ms(self.topic):
            return Verdict(LATE, "", event, misplaced)
        before = self._seen.get(identity(event))
        if before is None or not self._within_horizon(before, ingest_ms):
            return Verdict(FRESH, "", event, misplaced)
        if before.money != money_fields(event):
            return Verdict(DEAD_LETTER, CONFLICT, event, misplaced)
        return Verdict(DUPLICATE, "", event, misplaced)

    def accept(self, event: Mapping[str, Any], offset: int, ingest_ms: int) -> None:
        """Takes the identity of an accepted (or excluded) event."""
        time_ms = event["event_time_ms"]
        if self.highest_ms is None or time_ms > self.highest_ms:
            self.highest_ms = time_ms
        self._seen[identity(event)] = Seen(max(ingest_ms, time_ms), offset, money_fields(event))

    def give_back(self, event: Mapping[str, Any], offset: int) -> None:
        """Frees the identity of a waiting refund that its order refused after all."""
        seen = self._seen.get(identity(event))
        if seen is not None and seen.offset == offset:
            del self._seen[identity(event)]

    def _is_misplaced(self, record: LogRecord, event: Mapping[str, Any]) -> bool:
        if event["event_type"] == "source_heartbeat":
            return False
        return record.key is None or partition_of(record.key, self.rules.partitions) != self.partition

    def _within_horizon(self, before: Seen, ingest_ms: int) -> bool:
        minutes = ingest_ms // MINUTE_MS - before.m_ms // MINUTE_MS
        return minutes * MINUTE_MS <= self.rules.lateness_ms(self.topic) + MINUTE_MS


def identity(event: Mapping[str, Any]) -> tuple[str, str]:
    """(name space, id): orders, refunds and all other events are three name spaces."""
    if event["event_type"] == "purchase":
        return "order", event["order_id"]
    if event["event_type"] == "refund":
        return "refund", event["refund_id"]
    return "event", event["event_id"]


def money_fields(event: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must be equal in two purchases or refunds of one id; empty for other events."""
    if event["event_type"] == "purchase":
        lines = tuple(_line_money(item) for item in event["items"])
        return event["currency"], event.get("shipping_minor", 0), lines
    if event["event_type"] == "refund":
        parts = tuple((i["product_id"], i["quantity"], i["amount_minor"]) for i in event.get("items", ()))
        return event["order_id"], event["currency"], event["amount_minor"], parts
    return ()


def _line_money(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        item["product_id"],
        item["quantity"],
        item["unit_price_minor"],
        item.get("seller_discount_minor", 0),
        item.get("platform_discount_minor", 0),
        item.get("tax_minor", 0),
        item.get("commission_bps", 0),
        item.get("platform_fee_bps", 0),
    )

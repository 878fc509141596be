"""What scenarios are made of: sent records, cells, and short ways to write both down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from verify.model import CellKey, DeadLetter, LogRecord, RecordId

SECOND = 1_000
MINUTE = 60_000
HOUR = 3_600_000
DAY = 86_400_000

MONDAY = 1_767_571_200_000
"""2026-01-05 00:00 UTC"""
NOON = MONDAY + 12 * HOUR

Sum = tuple[CellKey, int]

OF_SESSIONS = ("sessions.", "prompt.", "checkouts.", "time_to_convert.")
WHERE_NAMED = (
    *(*OF_SESSIONS, "attribution."),
    *("after.", "delivery_time.", "refund_kind.", "reasons.", "paying."),
    *("showcase.", "recommended.", "in_stream."),
)
"""Every view begins a session, every order has an attribution and more: only scenarios that name these
measures speak of them."""


TOPIC_OF = {
    "view": "views",
    "mini_program_open": "views",
    "product_impression": "views",
    "product_view": "views",
    "tag_tap": "tag-taps",
    "add_to_cart": "carts",
    "begin_checkout": "carts",
    "live_join": "livestreams",
    "live_like": "livestreams",
}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One record as a producer sends it; offsets count up per topic-partition in the order of the scenario.

    The default key `u1` belongs to partition 0 of 1, 2 and 4.
    """

    topic: str
    value: Mapping[str, Any] | bytes | None
    at: int
    key: bytes | None = b"u1"
    partition: int = 0

    @property
    def data(self) -> bytes | None:
        """The record's value as bytes."""
        if self.value is None or isinstance(self.value, bytes):
            return self.value
        return json.dumps(self.value).encode()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Records and what comes of them.

    `cells` are all cells that are not zero among those of `kinds`, `sizes` and measures that begin with one
    of `measures`, added up over the partitions; no word of `measures` means all but WHERE_NAMED.
    `users` are numbers of distinct users, likewise, with a step as measure; None says nothing of users.
    `settings` are fields of the settings that differ from their defaults.
    """

    name: str
    fact: str
    records: tuple[Sent, ...]
    cells: Mapping[CellKey, int]
    kinds: tuple[str, ...] = ("all",)
    sizes: tuple[str, ...] = ("1d",)
    measures: tuple[str, ...] = ()
    users: Mapping[CellKey, int] | None = None
    dead_letters: frozenset[DeadLetter] = frozenset()
    late: frozenset[RecordId] = frozenset()
    partitions: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)

    def log(self) -> list[LogRecord]:
        """The records with their offsets."""
        ends: dict[tuple[str, int], int] = {}
        records = []
        for sent in self.records:
            place = (sent.topic, sent.partition)
            offset = ends.get(place, 0)
            ends[place] = offset + 1
            records.append(LogRecord(sent.topic, sent.partition, offset, sent.at, sent.key, sent.data))
        return records

    def selected(self, cells: Mapping[CellKey, int]) -> dict[CellKey, int]:
        """Those of `cells` that the scenario speaks of."""
        return {
            key: amount
            for key, amount in cells.items()
            if key[0] in self.kinds and key[2] in self.sizes and self._speaks_of(key[4]) and amount
        }

    def selected_users(self, users: Mapping[CellKey, int]) -> dict[CellKey, int] | None:
        """Those of `users` that the scenario speaks of; None where it says nothing of users."""
        if self.users is None:
            return None
        return {key: n for key, n in users.items() if key[0] in self.kinds and key[2] in self.sizes}

    def _speaks_of(self, measure: str) -> bool:
        return measure.startswith(self.measures) if self.measures else not measure.startswith(WHERE_NAMED)


def pair(kinds: str, first: str, second: str) -> str:
    """A pair's scope for `cell`: kind:value as it is stored, the first value's length in front."""
    return f"{kinds}:{len(first)}:{first}{second}"


def cell(measure: str, amount: int, scope: str = "all", size: str = "1d", start: int = MONDAY) -> Sum:
    """One cell; `scope` is a kind, or kind:value."""
    kind, _, value = scope.partition(":")
    return (kind, value, size, start, measure), amount


def counted(topic: str, *, start: int = MONDAY, size: str = "1d", **measures: int) -> list[Sum]:
    """Quality cells of a topic; `dead_letters__bad_field` stands for dead_letters.bad_field."""
    return [
        cell(measure.replace("__", "."), amount, f"pipeline:{topic}", size, start)
        for measure, amount in measures.items()
    ]


def event(kind: str, event_id: str, at: int, /, **more: Any) -> dict[str, Any]:
    """A shopper's event of user u1."""
    head = {"event_id": event_id, "event_type": kind, "event_time_ms": at, "platform": "tiktok"}
    return head | {"user_id": "u1", "session_id": "s1"} | more


def view(event_id: str, at: int, *, ts: int | None = None, partition: int = 0, **more: Any) -> Sent:
    """A view; `ts` is its Kafka timestamp where that is not the event time."""
    value = event("view", event_id, at, **more)
    return Sent(topic="views", value=value, at=at if ts is None else ts, partition=partition)


def step(kind: str, event_id: str, at: int, /, *, ts: int | None = None, **more: Any) -> Sent:
    """A shopper's event in the topic that its type belongs to; tag taps and carts are of p1."""
    own: dict[str, Any] = {"product_id": "p1"} if kind in ("tag_tap", "add_to_cart") else {}
    if kind == "add_to_cart":
        own |= {"quantity": 1, "unit_price_minor": 100, "currency": "USD"}
    value = event(kind, event_id, at, **(own | more))
    return Sent(topic=TOPIC_OF[kind], value=value, at=at if ts is None else ts)


def in_room(kind: str, event_id: str, at: int, /, *, ts: int | None = None, **more: Any) -> Sent:
    """An event of live L1 itself, keyed by it; partition 0 of 1."""
    head = {"event_id": event_id, "event_type": kind, "event_time_ms": at, "platform": "tiktok"}
    value = head | {"live_id": "L1"} | more
    key = str(value["live_id"]).encode()
    return Sent(topic="livestreams", value=value, at=at if ts is None else ts, key=key)


def line(product_id: str, quantity: int, unit_price_minor: int, **more: Any) -> dict[str, Any]:
    """One line of a purchase."""
    return {"product_id": product_id, "quantity": quantity, "unit_price_minor": unit_price_minor} | more


def purchase(order_id: str, at: int, *lines: Mapping[str, Any], ts: int | None = None, **more: Any) -> Sent:
    """A purchase in USD through adyen, unless `more` says otherwise."""
    own = {"order_id": order_id, "gateway": "adyen", "currency": "USD", "items": list(lines)}
    value = event("purchase", f"purchase-{order_id}", at, **(own | more))
    return Sent(topic="purchases", value=value, at=at if ts is None else ts)


def refund(
    refund_id: str, order_id: str, at: int, amount_minor: int, *, ts: int | None = None, **more: Any
) -> Sent:
    """A refund in USD, unless `more` says otherwise."""
    own = {"refund_id": refund_id, "order_id": order_id, "currency": "USD", "amount_minor": amount_minor}
    value = event("refund", f"refund-{refund_id}", at, **(own | more))
    return Sent(topic="purchases", value=value, at=at if ts is None else ts)


def refunded(product_id: str, amount_minor: int) -> dict[str, Any]:
    """One item of a refund."""
    return {"product_id": product_id, "quantity": 1, "amount_minor": amount_minor}


def payment(
    event_id: str, order_id: str, at: int, outcome: str, *, ts: int | None = None, **more: Any
) -> Sent:
    """A payment event through adyen, unless `more` says otherwise."""
    own = {"order_id": order_id, "gateway": "adyen", "outcome": outcome}
    value = event("payment", event_id, at, **(own | more))
    return Sent(topic="purchases", value=value, at=at if ts is None else ts)


def taps_read(event_id: str, at: int) -> Sent:
    """A heartbeat whose only use is to move the ingest time of the tag taps: orders wait for these."""
    return Sent(topic="tag-taps", value=event("source_heartbeat", event_id, at, source="app"), at=at)


def tick(event_id: str, at: int) -> Sent:
    """An order status whose only use is to move the ingest time of the purchases topic."""
    value = event("order_status", event_id, at, order_id="another", status="placed")
    return Sent(topic="purchases", value=value, at=at)

"""Records that are not sums: orders, payment attempts, identities of the order service's records.

They live in Redis, one hash per ledger, and are read before the fold by the ids that a batch names; a
copy stays in memory while it is unsaved. Each is filed under a day, by which it is deleted once no rule
can ask for it again; the rules themselves judge by the record's own times, so that a verdict never
depends on when the deletion ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from streams.window import DAY_MS


class OrderLine(msgspec.Struct, array_like=True, gc=False):
    """What of an order line later events can change or need; amounts in minor units."""

    product: str
    creator: str | None
    live: str | None
    brand: str | None
    merchant: str | None
    affiliate: str | None
    left_minor: int
    commission_bps: int


class Order(msgspec.Struct, array_like=True):
    """A paid order.

    `accepted_minute` is the minute of m = max(ingest, event time), by which repetitions are known.
    `scopes` holds its order-level values: platform, surface, gateway, mini_program, country, client_os,
    app_version, in the catalogue's order.
    """

    filed_day: int
    accepted_minute: int
    money_hash: int
    time_ms: int
    currency: str
    excluded: bool
    scopes: tuple[str | None, ...]
    lines: list[OrderLine]


class Attempt(msgspec.Struct, array_like=True):
    """A payment attempt: where its earliest event was counted, and what its latest event said."""

    filed_day: int
    earliest_ms: int
    earliest_offset: int
    scopes: tuple[str | None, ...]
    latest_ms: int
    latest_offset: int
    outcome: str


class Identity(msgspec.Struct, array_like=True):
    """A record of the order service that was accepted: when, and the hash of its money (refunds; else 0)."""

    filed_day: int
    accepted_minute: int
    money_hash: int


class WaitingRefund(msgspec.Struct, array_like=True):
    """A refund whose order is not known yet, as it lay in the log: it may still become a dead letter.

    `counted_ms` is the ingest time at which it was counted as accepted.
    """

    offset: int
    timestamp: int
    counted_ms: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes | None]]


R = TypeVar("R", Order, Attempt, Identity)


@dataclass(frozen=True, slots=True)
class LedgerWrite:
    """What one guarded write does to a ledger.

    Attributes:
        name: name of the ledger's hash.
        records: encoded records by id; each starts with its day and a colon, so that Redis can tell a
            record that was filed anew from the one that a day's list names.
        filed: ids by the day under which they are filed, those that are new.
    """

    name: str
    records: dict[str, bytes]
    filed: dict[int, list[str]]


class Ledger(Generic[R]):
    """One kind of record of one partition: copies of what is in Redis, and what is not yet saved."""

    def __init__(self, name: str, record_type: type[R]) -> None:
        self.name = name
        self._decoder: msgspec.msgpack.Decoder[R] = msgspec.msgpack.Decoder(record_type)
        self._encoder = msgspec.msgpack.Encoder()
        self._known: dict[str, R | None] = {}
        self._unsaved: dict[str, R] = {}
        self._on_the_way: dict[str, R] = {}
        self._filed: dict[int, list[str]] = {}

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Ids that must be read from Redis before the fold asks for them."""
        return [record_id for record_id in dict.fromkeys(ids) if record_id not in self._known]

    def load(self, found: Mapping[str, bytes | None]) -> None:
        """What Redis answered for `missing` ids; None where it holds nothing."""
        for record_id, encoded in found.items():
            if encoded is None:
                self._known[record_id] = None
            else:
                self._known[record_id] = self._decoder.decode(encoded[encoded.index(b":") + 1 :])

    def get(self, record_id: str) -> R | None:
        """The record, if there is one. Raises KeyError if it was not loaded before."""
        return self._known[record_id]

    def put(self, record_id: str, record: R) -> None:
        """Creates or changes a record; the next guarded write saves it."""
        before = self._known.get(record_id)
        if before is None or before.filed_day != record.filed_day:
            self._filed.setdefault(record.filed_day, []).append(record_id)
        self._known[record_id] = self._unsaved[record_id] = record

    @property
    def dirty(self) -> int:
        """Records that the next write saves."""
        return len(self._unsaved)

    def take(self) -> LedgerWrite:
        """Everything unsaved; nothing waits behind."""
        encode = self._encoder.encode
        records = {
            record_id: b"%d:%b" % (record.filed_day, encode(record))
            for record_id, record in self._unsaved.items()
        }
        write = LedgerWrite(self.name, records, self._filed)
        self._on_the_way = self._unsaved
        self._unsaved = {}
        self._filed = {}
        return write

    def trim(self, copies_max: int) -> None:
        """Forgets copies once there are too many, but those that Redis may not hold yet."""
        if len(self._known) > copies_max:
            self._known = {**self._on_the_way, **self._unsaved}


def day_of(time_ms: int) -> int:
    """Days since 1970, UTC."""
    return time_ms // DAY_MS

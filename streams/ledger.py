"""Records that are not sums: orders, payment attempts, identities of the order service's records.

They live in Redis, one hash per ledger, and are read before the fold by the ids that a batch names; a
copy stays in memory while it is unsaved, or was asked for lately. Each is filed under a day, by which it
is deleted once no rule can ask for it again, or is kept for good; the rules themselves judge by the
record's own times, so that a verdict never depends on when the deletion ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from streams.window import DAY_MS


class OrderLine(msgspec.Struct, array_like=True, gc=False):
    """A line as it was booked, so that it can be booked anew; amounts in minor units.

    `value_minor` is the line value, `left_minor` what refunds left of it, `paid_minor` what the buyer paid.
    `tap` is (event time in ms, offset) of the tap that says to whom the line belongs, `attribution.NO_TAP`
    while there was none, and None where no tap can say it.
    """

    product: str
    sku: str | None
    creator: str | None
    live: str | None
    brand: str | None
    merchant: str | None
    affiliate: str | None
    quantity: int
    value_minor: int
    paid_minor: int
    left_minor: int
    commission_bps: int
    fee_bps: int
    tap: tuple[int, int] | None = None


class Taken(msgspec.Struct, array_like=True, gc=False):
    """What a refund took of an order: when, and how much of each line."""

    time_ms: int
    by_line_minor: list[int]


class Order(msgspec.Struct, array_like=True):
    """A paid order.

    `accepted_minute` is the minute of m = max(ingest, event time), by which repetitions are known.
    `scopes` holds its order-level values: platform, surface, gateway, mini_program, country, client_os,
    app_version, in the catalogue's order. `delivered_ms` is the earliest that a `delivered` said.
    """

    filed_day: int
    accepted_minute: int
    money_hash: int
    time_ms: int
    currency: str
    excluded: bool
    scopes: tuple[str | None, ...]
    lines: list[OrderLine]
    user: str
    shipping_minor: int
    refunds: list[Taken]
    delivered_ms: int | None = None


class Attempt(msgspec.Struct, array_like=True):
    """A payment attempt: where its earliest event was counted, and what its latest event said.

    `reason` is the latest event's, as it is counted.
    """

    filed_day: int
    earliest_ms: int
    earliest_offset: int
    scopes: tuple[str | None, ...]
    latest_ms: int
    latest_offset: int
    outcome: str
    reason: str


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


class Filed(Protocol):
    """What a ledger needs of its records, which are msgspec structs (`array_like`: small).

    `filed_day` is the day, since 1970, under which the record is filed; below 0 it is kept for good.
    """

    @property
    def filed_day(self) -> int: ...


R = TypeVar("R", bound=Filed)


@dataclass(frozen=True, slots=True)
class LedgerWrite:
    """What one guarded write does to a ledger.

    Attributes:
        name: name of the ledger's hash.
        records: encoded records by id; each starts with its day and a colon, so that Redis can tell a
            record that was filed anew from the one that a day's list names.
        filed: ids by the day under which they are filed, those that are new; not what is kept for good.
    """

    name: str
    records: dict[str, bytes]
    filed: dict[int, list[str]]


class Ledger(Generic[R]):
    """One kind of record of one partition: copies of what is in Redis, and what is not yet saved.

    Copies stand in two generations, so that those in use outlive those that are not, at no cost for
    keeping them in order.
    """

    def __init__(self, name: str, record_type: type[R]) -> None:
        self.name = name
        self._decoder: msgspec.msgpack.Decoder[R] = msgspec.msgpack.Decoder(record_type)
        self._encoder = msgspec.msgpack.Encoder()
        # What was asked for since the older generation was the young one; None: Redis holds nothing.
        self._young: dict[str, R | None] = {}
        self._old: dict[str, R | None] = {}
        self._unsaved: dict[str, R] = {}
        # What the last write took: until it is answered, Redis may hold something older.
        self._on_the_way: dict[str, R] = {}
        self._filed: dict[int, list[str]] = {}
        # Of the days up to this one Redis may have deleted what copies here still show.
        self._deleted_day = -1

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Ids that must be read from Redis before the fold asks for them."""
        young = self._young
        return [
            record_id
            for record_id in dict.fromkeys(ids)
            if record_id not in young and not self._rejuvenate(record_id)
        ]

    def _rejuvenate(self, record_id: str) -> bool:
        if record_id not in self._old:
            return False
        self._young[record_id] = self._old.pop(record_id)
        return True

    def load(self, found: Mapping[str, bytes | None]) -> None:
        """What Redis answered for `missing` ids; None where it holds nothing."""
        for record_id, encoded in found.items():
            if encoded is None:
                self._young[record_id] = None
            else:
                self._young[record_id] = self._decoder.decode(encoded[encoded.index(b":") + 1 :])

    def get(self, record_id: str) -> R | None:
        """The record, if there is one. Raises KeyError if it was not loaded before."""
        if record_id not in self._young:
            self._rejuvenate(record_id)
        return self._young[record_id]

    def peek(self, record_id: str) -> R | None:
        """The record as far as memory knows; None also where it was not loaded."""
        return self._young.get(record_id) or self._old.get(record_id)

    def put(self, record_id: str, record: R) -> None:
        """Creates or changes a record; the next guarded write saves it.

        A record that was got may be changed in place, but for its day: that takes a new one.
        """
        before, day = self.peek(record_id), record.filed_day
        # Of a deleted record a copy may be left: put again, it would be in no day's list, and stay for ever.
        may_be_deleted = day <= self._deleted_day and record_id not in self._unsaved
        if day >= 0 and (before is None or before.filed_day != day or may_be_deleted):
            self._filed.setdefault(day, []).append(record_id)
        self._young[record_id] = self._unsaved[record_id] = record

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

    def delete_day(self, day: int) -> None:
        """The write just taken deletes what is filed under this day; of the days before nothing is left."""
        self._deleted_day = max(self._deleted_day, day)

    @property
    def young(self) -> int:
        """Copies that were asked for since the last `age`."""
        return len(self._young)

    def age(self) -> None:
        """Forgets copies that were not asked for since the last call, but those that Redis may not hold yet.

        Must not run between `missing` and the `get` that relies on it.
        """
        # In this order: where a record was changed since it was taken, the young copy is the newest.
        self._old = {**self._on_the_way, **self._unsaved, **self._young}
        self._young = {}


def trim(ledgers: Iterable[Ledger[Any]], copies_max: int) -> None:
    """Forgets copies of all ledgers, those not asked for lately, where there are too many together.

    Once the young ones are more than half of `copies_max`, they become the old ones, and the old ones go.
    """
    ledgers = tuple(ledgers)
    if sum(ledger.young for ledger in ledgers) > copies_max // 2:
        for ledger in ledgers:
            ledger.age()


def day_of(time_ms: int) -> int:
    """Days since 1970, UTC."""
    return time_ms // DAY_MS

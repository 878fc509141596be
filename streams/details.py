"""What is known of lives and products beside their sums: starts, rooms, titles and stock.

It stands between the records in the store and whoever answers about a live or a product. A record lies in
the partition of its key; of misplaced events another partition may hold a second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.msgpack import Decoder

from streams.products import ProductRecord
from streams.reading import Reader, View
from streams.requests import RecordRequest, Request, packed
from streams.rooms import Room
from streams.stock import merged

_ROOM = Decoder(Room)
_PRODUCT = Decoder(ProductRecord)


@dataclass(frozen=True, slots=True)
class Details:
    """Of the lives and products that were asked for, those that are known.

    Attributes:
        started_ms: earliest live_start by live.
        rooms: rooms by live.
        products: records by product.
    """

    started_ms: Mapping[str, int] = field(default_factory=dict)
    rooms: Mapping[str, Room] = field(default_factory=dict)
    products: Mapping[str, ProductRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DetailsPlan:
    """Which lives and products are asked for."""

    lives: tuple[str, ...] = ()
    products: tuple[str, ...] = ()

    @property
    def requests(self) -> tuple[Request, ...]:
        """What has to be read."""
        asked: list[Request] = []
        if self.lives:
            asked += [RecordRequest("lives", self.lives), RecordRequest("rooms", self.lives)]
        if self.products:
            asked.append(RecordRequest("products", self.products))
        return tuple(asked)

    def read(self, view: View) -> Details:
        """What was found."""
        starts = {live: self._records(view, "lives", self.lives, live) for live in self.lives}
        rooms = {live: _latest(self._records(view, "rooms", self.lives, live)) for live in self.lives}
        products = {of: self._product(view, of) for of in self.products}
        return Details(
            {live: min(map(int, found)) for live, found in starts.items() if found},
            {live: room for live, room in rooms.items() if room is not None},
            {of: record for of, record in products.items() if record is not None},
        )

    def _product(self, view: View, product: str) -> ProductRecord | None:
        records = self._records(view, "products", self.products, product)
        return merged(_PRODUCT.decode(packed(record)) for record in records)

    @staticmethod
    def _records(view: View, name: str, ids: tuple[str, ...], record_id: str) -> list[bytes]:
        return view.records(RecordRequest(name, ids), record_id)


def listing(record: ProductRecord | None) -> dict[str, object]:
    """A product as it was listed last: `title`, `unit_price_minor` and its `currency`; null while it was not.

    Everything that names a product carries these: an id alone says nothing to people.
    """
    if record is None or not record.title:
        return {"title": None, "unit_price_minor": None, "currency": None}
    return {
        "title": record.title,
        "unit_price_minor": record.unit_price_minor,
        "currency": record.currency,
    }


async def read_details(reader: Reader, plan: DetailsPlan) -> Details:
    """What is known of them, in one reading; none if nothing is asked for. Raises StoreUnavailableError."""
    if not plan.requests:
        return Details()
    view, _ = await reader.view(lambda _moment: plan)
    return plan.read(view)


def _latest(records: Iterable[bytes]) -> Room | None:
    """The room that was heard of last."""
    return max((_ROOM.decode(packed(record)) for record in records), key=_heard_of_ms, default=None)


def _heard_of_ms(room: Room) -> int:
    moments = [room.latest_start[0], room.latest_end[0], room.creator_from[1]]
    moments += [beat.time_ms for beat in room.heartbeats[-1:]]
    return max(*moments, *(pin.time_ms for pin in room.pins.values()))

"""What decides what is asked about a live room: its start, its creator, what it sells, what is known of that.

It stands before the room's answer. Each of these is found by way of another, so a first look takes a few
readings; whoever knows the room from before needs one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from msgspec.msgpack import Decoder

from streams.answer import UnknownLiveError
from streams.catalogue import ITEMS
from streams.details import Details, DetailsPlan
from streams.past_lives import hours
from streams.products import ProductRecord
from streams.reading import READ_TRIES, Moment, Reader, View
from streams.requests import CellsRequest, RecordRequest, Request, cells, packed
from streams.rooms import Creator, Room, pinned
from streams.scopes import room_kind
from streams.shared_reading import SharedReadings
from streams.since import PINS_SHOWN

# A room knows how many of each product it sold; the GMV is read of those that sold most.
CANDIDATES = 100

_CREATOR = Decoder(Creator)


@dataclass(frozen=True, slots=True)
class Hints:
    """What leads to the facts about a room.

    Attributes:
        started_ms: earliest live_start, None while there is none.
        creator_id: whose live it is.
        products: those that are shown or pinned, sorted.
    """

    started_ms: int | None = None
    creator_id: str | None = None
    products: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a room; `candidates` are the products that sold most, `products` the records of those
    that the hints name, `creators` the creator's lives as the partitions know them."""

    live_id: str
    hints: Hints
    room: Room | None
    candidates: tuple[str, ...]
    products: Mapping[str, ProductRecord]
    creators: tuple[Creator, ...]

    @property
    def details(self) -> Details:
        """What an answer about the live rests on."""
        started_ms = self.hints.started_ms
        return Details(
            {} if started_ms is None else {self.live_id: started_ms},
            {} if self.room is None else {self.live_id: self.room},
        )


async def read_facts(
    reader: Reader, readings: SharedReadings, live_id: str, hints: Hints, shown: Collection[str]
) -> Facts:
    """The facts about a live, in one reading if the hints hold; `shown` are products that an answer tells of.

    Raises UnknownLiveError for a live that no event has told of, and StoreUnavailableError.
    """
    for _ in range(READ_TRIES):
        view, plan = await readings.view(partial(_Plan, reader, live_id, hints, shown))
        facts = plan.read(view)
        if facts.room is None and facts.hints.started_ms is None:
            raise UnknownLiveError(f"no event of live {live_id!r} is known; ask for another, or wait for one")
        if facts.hints == hints:
            break
        hints = facts.hints
    return facts


class _Plan:
    """What is read for the facts, at a moment."""

    def __init__(
        self, reader: Reader, live_id: str, hints: Hints, shown: Collection[str], moment: Moment
    ) -> None:
        self._live_id = live_id
        self._shown = shown
        self._details = DetailsPlan((live_id,), hints.products)
        self._creator: RecordRequest | None = None
        if hints.creator_id is not None:
            self._creator = RecordRequest("creators", (hints.creator_id,))
        started_ms = moment.now_ms if hints.started_ms is None else hints.started_ms
        sold_in = hours(reader, started_ms, max(moment.now_ms, moment.high_ms) + 1, moment)
        self._sold: CellsRequest = cells(room_kind(live_id), sold_in)

    @property
    def requests(self) -> tuple[Request, ...]:
        """What has to be read."""
        creator = () if self._creator is None else (self._creator,)
        return (*self._details.requests, self._sold, *creator)

    def read(self, view: View) -> Facts:
        """What was found."""
        found = self._details.read(view)
        room = found.rooms.get(self._live_id)
        started_ms = found.started_ms.get(self._live_id)
        candidates = _most_sold(view.sums(self._sold))
        pins = [product for product, _ in pinned(room)[:PINS_SHOWN]] if room is not None else []
        hints = Hints(
            started_ms,
            None if room is None else room.creator_id,
            tuple(sorted({*self._shown, *pins})),
        )
        return Facts(
            self._live_id,
            hints,
            room,
            tuple(candidates),
            found.products,
            self._creators(view, hints.creator_id),
        )

    def _creators(self, view: View, creator_id: str | None) -> tuple[Creator, ...]:
        if self._creator is None or creator_id is None:
            return ()
        return tuple(_CREATOR.decode(packed(each)) for each in view.records(self._creator, creator_id))


def _most_sold(sums: Mapping[str, int]) -> Collection[str]:
    """Products by items sold, then by name, from a room's cells."""
    sold = {cell.partition("|p")[2]: n for cell, n in sums.items() if cell.startswith(f"{ITEMS.name}|p")}
    return sorted(sold, key=lambda product: (-sold[product], product))[:CANDIDATES]

"""New users who came through a share: by which channel, and how soon they share themselves.

Behind the counting of events. All events of a user lie in one partition number, and those that are needed
here in one topic; what the sharer did before lies elsewhere, and is not asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from schemas.events import Share, ShareConvert, ShareOpen
from streams.figures.virality import CYCLE_BUCKETS_S, CYCLES, NEW_USERS
from streams.kpi import FigureSet
from streams.ledger import Ledger, day_of
from streams.scopes import CHANNEL, EVENT_SCOPES, UNKNOWN, pair_value
from streams.story import Chunk, Shelf
from streams.story_books import Place, StoryBooks
from streams.sums import Sums
from streams.window import DAY_MS, SECOND_MS

# From the day of a record's first event on; what comes later begins a record anew.
KEPT_DAYS = 7
# Of a user and share, the converts that take a channel: bounds the record. The others have none.
CONVERTS_MAX = 8
_BUCKETS_MS = [upper_s * SECOND_MS for upper_s in CYCLE_BUCKETS_S]
_TOPIC = "engagement"
_TOPICS = frozenset({_TOPIC})
_UNKNOWN = (Place(CHANNEL.name, UNKNOWN, False),)


class Opened(msgspec.Struct, array_like=True, gc=False):
    """The earliest open of a share that names a channel, and the scopes that it lends to new users."""

    time_ms: int
    offset: int
    places: list[Place]


class Shared(msgspec.Struct, array_like=True):
    """A share as one user saw it.

    Attributes:
        filed_day: of the first event, in the order of the log.
        opened: None while none with a channel came.
        converts_ms: event times of the first CONVERTS_MAX converts, in the order of the log.
    """

    filed_day: int
    opened: Opened | None = None
    converts_ms: list[int] = []

    def places(self, convert_ms: int) -> Sequence[Place]:
        """Where a convert counts: by the channel of the open before it, at the same time included."""
        if self.opened is None or self.opened.time_ms > convert_ms:
            return _UNKNOWN
        return self.opened.places


class Arrival(msgspec.Struct, array_like=True, gc=False):
    """When a user came through a share, and whether the user has shared since."""

    filed_day: int
    time_ms: int
    has_shared: bool = False


class ArrivalBook:
    """The new users of one partition number."""

    def __init__(self, figures: FigureSet, sums: Sums, lateness_ms: int) -> None:
        """`lateness_ms`: how far behind ingest time an event may be."""
        self.shared = Ledger("shared", Shared)
        self.arrivals = Ledger("arrivals", Arrival)
        self.enabled = NEW_USERS.name in figures.measures
        self._books = StoryBooks(figures, sums)
        kept = self._books.kept(NEW_USERS)
        self._own_kinds = [kind for kind in kept if kind not in EVENT_SCOPES]
        self._lent_kinds = [kind for kind in kept if kind in EVENT_SCOPES]
        self._cycle_kinds = self._books.kept(CYCLES[CYCLE_BUCKETS_S[0]])
        self._days = KEPT_DAYS + lateness_ms // DAY_MS + 1

    @property
    def topics(self) -> frozenset[str]:
        """The topic of shares."""
        return _TOPICS if self.enabled else frozenset()

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """Shares as users saw them, and users who came by one."""
        return Shelf(self.shared, _TOPICS, self._days), Shelf(self.arrivals, _TOPICS, self._days)

    def ids(self, chunk: Chunk) -> dict[str, list[str]]:
        """Ids by ledger that must be loaded before `accept`."""
        seen = [_id(event) for event in chunk.events if isinstance(event, ShareOpen | ShareConvert)]
        users = [event.user_id for event in chunk.events if isinstance(event, Share | ShareConvert)]
        return {self.shared.name: seen, self.arrivals.name: users}

    def accept(self, chunk: Chunk) -> None:
        """Takes up accepted, real events of the topic; those of other stories are passed over."""
        for event, record in zip(chunk.events, chunk.records, strict=True):
            match event:
                case ShareOpen():
                    self._open(event, record.offset)
                case ShareConvert():
                    self._convert(event)
                    self._arrive(event)
                case Share():
                    self._share(event)

    def _record(self, event: ShareOpen | ShareConvert) -> Shared:
        known, day = self.shared.get(_id(event)), day_of(event.event_time_ms)
        return Shared(day) if known is None or day - known.filed_day > KEPT_DAYS else known

    def _open(self, event: ShareOpen, offset: int) -> None:
        if event.channel is None:
            return
        record = self._record(event)
        known = record.opened
        if known is not None and (known.time_ms, known.offset) < (event.event_time_ms, offset):
            return
        self._book_channels(record, -1)
        places = self._books.places(_TOPIC, event, self._lent_kinds)
        record.opened = Opened(event.event_time_ms, offset, places)
        self._book_channels(record, 1)
        self.shared.put(_id(event), record)

    def _book_channels(self, record: Shared, sign: int) -> None:
        for time_ms in record.converts_ms:
            self._books.book(_TOPIC, time_ms, NEW_USERS, record.places(time_ms), sign)

    def _convert(self, event: ShareConvert) -> None:
        time_ms = event.event_time_ms
        own = self._books.places(_TOPIC, event, self._own_kinds)
        record = self._record(event)
        if len(record.converts_ms) < CONVERTS_MAX:
            record.converts_ms = [*record.converts_ms, time_ms]
            lent = record.places(time_ms)
        else:
            lent = _UNKNOWN
        self._books.book(_TOPIC, time_ms, NEW_USERS, (*own, *lent))
        self.shared.put(_id(event), record)

    def _arrive(self, event: ShareConvert) -> None:
        known, day = self.arrivals.get(event.user_id), day_of(event.event_time_ms)
        if known is None or day - known.filed_day > KEPT_DAYS:
            self.arrivals.put(event.user_id, Arrival(day, event.event_time_ms))

    def _share(self, event: Share) -> None:
        """Whether a new user's first share behind the arrival, in the order of the log."""
        arrival = self.arrivals.get(event.user_id)
        if arrival is None or arrival.has_shared:
            return
        passed_ms = event.event_time_ms - arrival.time_ms
        if 0 <= passed_ms <= KEPT_DAYS * DAY_MS:
            bucket = CYCLES[CYCLE_BUCKETS_S[bisect_left(_BUCKETS_MS, passed_ms)]]
            places = self._books.places(_TOPIC, event, self._cycle_kinds)
            self._books.book(_TOPIC, event.event_time_ms, bucket, places)
            arrival.has_shared = True
            self.arrivals.put(event.user_id, arrival)


def _id(event: ShareOpen | ShareConvert) -> str:
    return pair_value(event.user_id, event.share_id)

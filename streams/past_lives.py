"""A live against its creator's lives before it, at the same minute since the start. No I/O.

It stands between the creators' records and a reading. Panes of a minute are gone by the next live, so each
live keeps what it sold minute by minute in hashes of its own (`scopes.ROOM`), as long as panes of an hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from streams.answer import added, by_measure
from streams.catalogue import GMV_PAID, ORDERS_IN_CURRENCY
from streams.reading import Moment, Reader, View
from streams.requests import CellsRequest, cells
from streams.rooms import Creator
from streams.scopes import room_kind
from streams.since import money
from streams.window import HOUR_MS, MINUTE_MS, Pane

PAST_LIVES = 5
# Of fewer lives a percentile says nothing.
PERCENTILE_LIVES = 3
# A live that has gone on for longer is compared with none: minutes since the start say little then.
MINUTES_MAX = 24 * 60
# What an answer says of a live that is compared with none.
NO_COMPARISON: Mapping[str, object] = MappingProxyType(
    {
        "compared_minutes": None,
        "at_minute": None,
        "past_lives": [],
        "past_median": None,
        "past_percentile": None,
    }
)


def hours(reader: Reader, from_ms: int, to_ms: int, moment: Moment) -> list[Pane]:
    """The kept hours that [from_ms, to_ms) touches."""
    return [
        Pane(size, start_ms)
        for size in reader.sizes
        if size.size_ms == HOUR_MS
        for start_ms in range(size.start_of(from_ms), to_ms, HOUR_MS)
        if size.is_answerable(start_ms, moment.high_ms)
    ]


@dataclass(frozen=True, slots=True)
class _Past:
    live_id: str
    started_ms: int
    requests: tuple[CellsRequest, ...]


@dataclass(frozen=True, slots=True)
class _Sold:
    gmv: Mapping[str, int]
    orders: int

    def answer(self) -> dict[str, object]:
        return {"gmv_paid_minor": self.gmv, "orders": self.orders}


class PastLives:
    """A live and its creator's latest lives before it, all in as many of their first minutes.

    What a live sold is kept by whole minutes of the clock, so all are counted from the minute of their start
    on, as many minutes as are over for this one: never its seconds since against their minutes.
    """

    def __init__(
        self,
        reader: Reader,
        creators: Iterable[Creator],
        live_id: str,
        on_air_ms: tuple[int, int],
        moment: Moment,
    ) -> None:
        """`on_air_ms` is from this live's start to now, or to its end."""
        self._currencies = moment.currencies
        start_ms, until_ms = on_air_ms
        minutes = until_ms // MINUTE_MS - start_ms // MINUTE_MS
        self._minutes = minutes
        self._own: tuple[CellsRequest, ...] | None = None
        self._past: list[_Past] = []
        self.requests: tuple[CellsRequest, ...] = ()
        if not 1 <= minutes <= MINUTES_MAX or not hours(reader, start_ms, start_ms + 1, moment):
            return
        self._own = _minutes_of(reader, live_id, start_ms, minutes, moment)
        starts = {live: at for creator in creators for live, at in creator.lives if live != live_id}
        earlier = sorted(((at, live) for live, at in starts.items() if at < start_ms), reverse=True)
        for at, live in earlier[:PAST_LIVES]:
            if hours(reader, at, at + 1, moment):
                self._past.append(_Past(live, at, _minutes_of(reader, live, at, minutes, moment)))
        self.requests = (*self._own, *(request for past in self._past for request in past.requests))

    def answer(self, view: View) -> Mapping[str, object]:
        """Over the first `compared_minutes`: `at_minute` of this live, `past_lives`, the latest first,
        `past_median` of the amounts, halves to even, and `past_percentile`: how many per cent of the past
        lives sold less by then."""
        if self._own is None:
            return NO_COMPARISON
        own = self._sold(view, self._own)
        found = [self._sold(view, past.requests) for past in self._past]
        return {
            "compared_minutes": self._minutes,
            "at_minute": own.answer(),
            "past_lives": [
                {"live_id": past.live_id, "started_ms": past.started_ms, **sold.answer()}
                for past, sold in zip(self._past, found, strict=True)
            ],
            "past_median": self._middle(found).answer() if found else None,
            "past_percentile": self._rank(own, found) if len(found) >= PERCENTILE_LIVES else None,
        }

    def _rank(self, own: _Sold, found: Sequence[_Sold]) -> dict[str, object]:
        gmv: dict[str, float | None] = {}
        for currency in self._currencies:
            others = [each.gmv[currency] for each in found]
            # Of a currency in which none of them sold there is no rank, and no word to a host.
            is_sold_in = own.gmv[currency] or any(others)
            gmv[currency] = percentile(own.gmv[currency], others) if is_sold_in else None
        return {"gmv_paid_minor": gmv, "orders": percentile(own.orders, [each.orders for each in found])}

    def _middle(self, found: Sequence[_Sold]) -> _Sold:
        gmv = {currency: _median([each.gmv[currency] for each in found]) for currency in self._currencies}
        return _Sold(gmv, _median([each.orders for each in found]))

    def _sold(self, view: View, requests: Iterable[CellsRequest]) -> _Sold:
        totals = by_measure(added(view.sums(each) for each in requests))
        orders = sum(totals.get(ORDERS_IN_CURRENCY.stored_as(currency), 0) for currency in self._currencies)
        return _Sold(money(totals, self._currencies), orders)


def percentile(own: int, others: Sequence[int]) -> float:
    """How many per cent of the others (at least one) lie below; one that is equal counts half."""
    below = sum(2 if other < own else other == own for other in others)
    return 100 * below / (2 * len(others))


def _median(amounts: Sequence[int]) -> int:
    return round(median(amounts))


def _minutes_of(
    reader: Reader, live_id: str, started_ms: int, minutes: int, moment: Moment
) -> tuple[CellsRequest, ...]:
    """The requests for the first minutes of a live, the one of its start included."""
    from_ms = started_ms - started_ms % MINUTE_MS
    to_ms = from_ms + minutes * MINUTE_MS
    panes_of: dict[tuple[str, ...], list[Pane]] = {}
    for pane in hours(reader, from_ms, to_ms, moment):
        first = max(from_ms - pane.start_ms, 0) // MINUTE_MS
        end = min(to_ms - pane.start_ms, HOUR_MS) // MINUTE_MS
        names = [
            measure.stored_as(currency)
            for currency in moment.currencies
            for measure in (GMV_PAID, ORDERS_IN_CURRENCY)
        ]
        fields = tuple(f"{name}|m{minute}" for minute in range(first, end) for name in names)
        if fields:
            panes_of.setdefault(fields, []).append(pane)
    return tuple(cells(room_kind(live_id), panes, fields) for fields, panes in panes_of.items())

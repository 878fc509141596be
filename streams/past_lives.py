"""A live against its creator's lives before it, at the same minute since the start. No I/O.

It stands between the creators' records and a reading. Panes of a minute are gone by the next live, so each
live keeps what it sold minute by minute in hashes of its own (`scopes.ROOM`), as long as panes of an hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from streams.answer import added, beside_users, by_measure
from streams.catalogue import ORDERS_IN_CURRENCY
from streams.read_store import HashRequest, cells
from streams.reading import Moment, Reader, View
from streams.rooms import Creator
from streams.scopes import room_kind
from streams.since import money
from streams.window import HOUR_MS, MINUTE_MS, Pane

PAST_LIVES = 5
# A live that has gone on for longer is compared with none: minutes since the start say little then.
MINUTES_MAX = 24 * 60


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
    requests: tuple[HashRequest, ...]


class PastLives:
    """The creator's latest lives before this one, in their first minutes."""

    def __init__(
        self,
        reader: Reader,
        creators: Iterable[Creator],
        before: tuple[str, int],
        minutes: int,
        moment: Moment,
    ) -> None:
        """`before` is this live and its start in ms, `minutes` the whole minutes since then."""
        self._currencies = moment.currencies
        live_id, start_ms = before
        starts = {live: at for creator in creators for live, at in creator.lives if live != live_id}
        earlier = sorted(((at, live) for live, at in starts.items() if at < start_ms), reverse=True)
        self._past: list[_Past] = []
        for at, live in earlier[:PAST_LIVES] if minutes <= MINUTES_MAX else ():
            if hours(reader, at, at + 1, moment):
                self._past.append(_Past(live, at, _minutes_of(reader, live, at, minutes, moment)))
        self.requests = tuple(request for past in self._past for request in past.requests)

    def answer(self, view: View) -> tuple[list[dict[str, object]], dict[str, object] | None]:
        """`past_lives`, the latest first, and `past_median`: of the amounts, halves to even."""
        found = [by_measure(added(view.sums(each) for each in past.requests)) for past in self._past]
        orders = [self._orders(totals) for totals in found]
        amounts = [money(totals, self._currencies) for totals in found]
        past_lives: list[dict[str, object]] = [
            {
                "live_id": past.live_id,
                "started_ms": past.started_ms,
                "gmv_paid_minor": amount,
                "orders": n,
            }
            for past, amount, n in zip(self._past, amounts, orders, strict=True)
        ]
        if not past_lives:
            return [], None
        middle = {
            currency: _median([amount[currency] for amount in amounts]) for currency in self._currencies
        }
        return past_lives, {"gmv_paid_minor": middle, "orders": _median(orders)}

    def _orders(self, totals: dict[str, int]) -> int:
        return sum(totals.get(ORDERS_IN_CURRENCY.stored_as(currency), 0) for currency in self._currencies)


def _median(amounts: Sequence[int]) -> int:
    return round(median(amounts))


def _minutes_of(
    reader: Reader, live_id: str, started_ms: int, minutes: int, moment: Moment
) -> tuple[HashRequest, ...]:
    """The requests for the first minutes of a live, the one of its start included."""
    from_ms = started_ms - started_ms % MINUTE_MS
    to_ms = from_ms + minutes * MINUTE_MS
    panes_of: dict[tuple[str, ...], list[Pane]] = {}
    for pane in hours(reader, from_ms, to_ms, moment):
        first = max(from_ms - pane.start_ms, 0) // MINUTE_MS
        end = min(to_ms - pane.start_ms, HOUR_MS) // MINUTE_MS
        names = beside_users(moment.currencies)
        fields = tuple(f"{name}|m{minute}" for minute in range(first, end) for name in names)
        if fields:
            panes_of.setdefault(fields, []).append(pane)
    return tuple(cells(room_kind(live_id), panes, fields) for fields, panes in panes_of.items())

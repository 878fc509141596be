"""Everything that an order's record is worth in figures, as a pure function of the record.

Whatever changes an order (a refund, a status, a tap that comes late) takes back what the record was worth
before and books what it is worth after: so no figure can forget one of the ways by which an order changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.events import Purchase
from streams import catalogue
from streams.booking import Books, Entry
from streams.figures import ORDER_PARTS
from streams.ledger import Order, OrderLine
from streams.scopes import SINGLE_ORDER_SCOPES

BPS = 10_000
_PLACES = {kind.name: place for place, kind in enumerate(SINGLE_ORDER_SCOPES)}
# With the place of the scope's value in `Order.scopes`.
_PARTS = tuple((_PLACES[part.scope], part) for part in ORDER_PARTS)


class Booking(NamedTuple):
    """Entries of an order in the panes of one moment, in the scopes of the order and of its lines."""

    time_ms: int
    entries: tuple[Entry, ...]


def book(books: Books, order: Order, sign: int) -> None:
    """Books everything that the order is worth (1), or takes it back (-1); nothing of an excluded one."""
    if order.excluded:
        return
    for time_ms, entries in bookings(order):
        books.book(time_ms, order.scopes, entries, order.lines, sign)
    books.book_rooms(order, sign)


def bookings(order: Order) -> Iterator[Booking]:
    """Everything that the order is worth: at its own time, and at those of its refunds."""
    lines, currency = order.lines, order.currency
    values = [line.value_minor for line in lines]
    paid = [line.paid_minor for line in lines]
    quantities = [line.quantity for line in lines]
    commissions = [commission_minor(line) for line in lines]
    refunded = [line.value_minor - line.left_minor for line in lines]
    entries = (
        Entry(catalogue.EVENT_COUNTS[Purchase], 1),
        Entry(catalogue.ORDERS_IN_CURRENCY, 1, currency),
        Entry(catalogue.ITEMS, sum(quantities), by_line=quantities),
        Entry(catalogue.GMV_PAID, sum(values), currency, values),
        Entry(catalogue.BUYER_PAID, sum(paid) + order.shipping_minor, currency, paid),
        Entry(catalogue.COMMISSION, sum(commissions), currency, commissions),
        Entry(catalogue.REFUNDS_OF_PURCHASES, sum(refunded), currency, refunded),
    )
    yield Booking(order.time_ms, (*entries, *_of_parts(order, entries)))
    for taken in order.refunds:
        by_line = taken.by_line_minor
        yield Booking(taken.time_ms, (Entry(catalogue.REFUNDS, sum(by_line), currency, by_line),))


def _of_parts(order: Order, entries: Iterable[Entry]) -> Iterator[Entry]:
    """What the order adds a second time because of a value that its envelope carries."""
    for place, part in _PARTS:
        if order.scopes[place] == part.value:
            for entry in entries:
                measure = part.measures.get(entry.measure.name)
                if measure is not None:
                    yield entry._replace(measure=measure)


def commission_minor(line: OrderLine) -> int:
    """Commission on what is left of a line."""
    return line.left_minor * line.commission_bps // BPS

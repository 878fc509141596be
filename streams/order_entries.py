"""Everything that an order's record is worth in figures, as a pure function of the record.

Whatever changes an order (a refund, a status, a tap that comes late) takes back what the record was worth
before and books what it is worth after: so no figure can forget one of the ways by which an order changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.events import Purchase
from streams import catalogue
from streams.booking import Books, Entry
from streams.figures.attribution import GMV, ORDERS, Attribution
from streams.ledger import Order, OrderLine

BPS = 10_000


class Booking(NamedTuple):
    """Entries of an order in the panes of one moment, in the scopes of the order and of its lines, or of
    those `lines` that the entries are of."""

    time_ms: int
    entries: tuple[Entry, ...]
    lines: Sequence[OrderLine] | None = None


def book(books: Books, order: Order, sign: int) -> None:
    """Books everything that the order is worth (1), or takes it back (-1); nothing of an excluded one."""
    if order.excluded:
        return
    for time_ms, entries, lines in bookings(order):
        books.book(time_ms, order.scopes, entries, order.lines if lines is None else lines, sign)
    books.book_rooms(order, sign)


def bookings(order: Order) -> Iterator[Booking]:
    """Everything that the order is worth: at its own time, and at those of its refunds."""
    lines, currency = order.lines, order.currency
    values = [line.value_minor for line in lines]
    paid = [line.paid_minor for line in lines]
    quantities = [line.quantity for line in lines]
    commissions = [commission_minor(line) for line in lines]
    refunded = [line.value_minor - line.left_minor for line in lines]
    yield Booking(
        order.time_ms,
        (
            Entry(catalogue.EVENT_COUNTS[Purchase], 1),
            Entry(catalogue.ORDERS_IN_CURRENCY, 1, currency),
            Entry(catalogue.ITEMS, sum(quantities), by_line=quantities),
            Entry(catalogue.GMV_PAID, sum(values), currency, values),
            Entry(catalogue.BUYER_PAID, sum(paid) + order.shipping_minor, currency, paid),
            Entry(catalogue.COMMISSION, sum(commissions), currency, commissions),
            Entry(catalogue.REFUNDS_OF_PURCHASES, sum(refunded), currency, refunded),
        ),
    )
    for taken in order.refunds:
        by_line = taken.by_line_minor
        yield Booking(taken.time_ms, (Entry(catalogue.REFUNDS, sum(by_line), currency, by_line),))
    yield from _by_attribution(order)


def _by_attribution(order: Order) -> Iterator[Booking]:
    """What the order is worth by whose word its lines belong to somebody."""
    lines_of: dict[Attribution, list[OrderLine]] = {}
    for line in order.lines:
        lines_of.setdefault(attribution_of(line), []).append(line)
    for attribution, lines in lines_of.items():
        values = [line.value_minor for line in lines]
        entries = (
            Entry(ORDERS[attribution], 1),
            Entry(GMV[attribution], sum(values), order.currency, values),
        )
        yield Booking(order.time_ms, entries, lines)


def attribution_of(line: OrderLine) -> Attribution:
    """By whose word the line belongs to a live or creator."""
    if line.live is None and line.creator is None:
        return Attribution.UNATTRIBUTED
    return Attribution.OWN if line.tap is None else Attribution.DIRECT


def commission_minor(line: OrderLine) -> int:
    """Commission on what is left of a line."""
    return line.left_minor * line.commission_bps // BPS

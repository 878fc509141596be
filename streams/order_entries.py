"""Everything that an order's record is worth in figures, as a pure function of the record.

Whatever changes an order (a refund, a status, a tap that comes late) takes back what the record was worth
before and books what it is worth after: so no figure can forget one of the ways by which an order changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, zip_longest
from typing import NamedTuple

from schemas.events import Purchase
from streams import catalogue
from streams.booking import Books, Entry
from streams.commission import Commission, commission_of, share_minor
from streams.figures import ORDER_PARTS, take
from streams.figures import commission as figures
from streams.figures.attribution import GMV, ORDERS, Attribution
from streams.ledger import Order, OrderLine
from streams.scopes import SINGLE_ORDER_SCOPES

_PLACES = {kind.name: place for place, kind in enumerate(SINGLE_ORDER_SCOPES)}
# With the place of the scope's value in `Order.scopes`.
_PARTS = tuple((_PLACES[part.scope], part) for part in ORDER_PARTS)


class Booking(NamedTuple):
    """Entries of an order in the panes of one moment, in the scopes of the order and of its lines, or of
    those `lines` that the entries are of."""

    time_ms: int
    entries: tuple[Entry, ...]
    lines: Sequence[OrderLine] | None = None


class _Worth(NamedTuple):
    """What an order comes to at the time of its purchase and at those of claw-backs."""

    purchase: Booking
    claw_backs: Sequence[Booking]
    commission: Commission | None


def book(books: Books, order: Order, sign: int) -> None:
    """Books everything that the order is worth (1), or takes it back (-1); nothing of an excluded one."""
    if order.excluded:
        return
    worth = _worth(books, order)
    for booking in (worth.purchase, *_of_refunds(order), *worth.claw_backs, *_by_attribution(order)):
        _book(books, order, booking, sign)
    if worth.commission is not None:
        books.book_due(order, worth.commission, sign)
    books.book_rooms(order, sign)


@contextmanager
def rebooked(books: Books, order: Order) -> Iterator[None]:
    """Around any change of the record: takes back what it was worth, and books what it is worth then."""
    book(books, order, -1)
    yield
    book(books, order, 1)


@contextmanager
def amended(books: Books, order: Order) -> Iterator[None]:
    """Around a change that moves no line and takes no refund back: books only what differs.

    Most of an order stays as it is, and one with thousands of refunds must not be booked anew with each.
    """
    if order.excluded:
        yield
        return
    before, refunds = _worth(books, order), len(order.refunds)
    yield
    after = _worth(books, order)
    for old, new in zip_longest(
        (before.purchase, *before.claw_backs), (after.purchase, *after.claw_backs), fillvalue=None
    ):
        if old == new:
            continue
        if old is not None:
            _book(books, order, old, -1)
        if new is not None:
            _book(books, order, new, 1)
    for booking in _of_refunds(order, refunds):
        _book(books, order, booking, 1)
    if before.commission is not None and after.commission is not None:
        books.book_due(order, before.commission, -1)
        books.book_due(order, after.commission, 1)


def _book(books: Books, order: Order, booking: Booking, sign: int) -> None:
    lines = order.lines if booking.lines is None else booking.lines
    books.book(booking.time_ms, order.scopes, booking.entries, lines, sign)


def _worth(books: Books, order: Order) -> _Worth:
    lines, currency = order.lines, order.currency
    commission = commission_of(order, books.settlement) if books.keeps_commission else None
    values = [line.value_minor for line in lines]
    paid = [line.paid_minor for line in lines]
    quantities = [line.quantity for line in lines]
    refunded = [line.value_minor - line.left_minor for line in lines]
    fees = sum(share_minor(line.left_minor, line.fee_bps) for line in lines)
    entries = (
        Entry(catalogue.EVENT_COUNTS[Purchase], 1),
        Entry(catalogue.ORDERS_IN_CURRENCY, 1, currency),
        Entry(catalogue.ITEMS, sum(quantities), by_line=quantities),
        Entry(catalogue.GMV_PAID, sum(values), currency, values),
        Entry(catalogue.BUYER_PAID, sum(paid) + order.shipping_minor, currency, paid),
        Entry(catalogue.REFUNDS_OF_PURCHASES, sum(refunded), currency, refunded),
        Entry(take.FEES, fees, currency),
        *(_of_commission(commission, currency) if commission is not None else ()),
    )
    purchase = Booking(order.time_ms, (*entries, *_of_parts(order, entries)))
    claw_backs = [
        Booking(time_ms, (Entry(figures.CLAW_BACKS, sum(clawed), currency, clawed),))
        for time_ms, clawed in (commission.claw_backs if commission is not None else ())
    ]
    return _Worth(purchase, claw_backs, commission)


def _of_refunds(order: Order, first: int = 0) -> Iterator[Booking]:
    """Of the refunds from the one numbered `first` on, each at its own time."""
    for taken in islice(order.refunds, first, None):
        by_line = taken.by_line_minor
        entry = Entry(catalogue.REFUNDS, sum(by_line), order.currency, by_line)
        yield Booking(taken.time_ms, (entry,))


def _by_attribution(order: Order) -> Iterator[Booking]:
    """What the order is worth by whose word its lines belong to somebody."""
    lines_of: dict[Attribution, list[OrderLine]] = {}
    for line in order.lines:
        lines_of.setdefault(_attribution_of(line), []).append(line)
    for attribution, lines in lines_of.items():
        values = [line.value_minor for line in lines]
        entries = (
            Entry(ORDERS[attribution], 1),
            Entry(GMV[attribution], sum(values), order.currency, values),
        )
        yield Booking(order.time_ms, entries, lines)


def _attribution_of(line: OrderLine) -> Attribution:
    """By whose word the line belongs to a live or creator."""
    if line.live is None and line.creator is None:
        return Attribution.UNATTRIBUTED
    return Attribution.OWN if line.tap is None else Attribution.DIRECT


def _of_commission(commission: Commission, currency: str) -> Iterator[Entry]:
    left = [kept - gone for kept, gone in zip(commission.kept, commission.clawed_back, strict=True)]
    for measure, by_line in (
        (catalogue.COMMISSION, left),
        (figures.REVERSED, commission.reversed),
        (figures.CLAWED_BACK, commission.clawed_back),
    ):
        if any(by_line):
            yield Entry(measure, sum(by_line), currency, by_line)


def _of_parts(order: Order, entries: Iterable[Entry]) -> Iterator[Entry]:
    """What the order adds a second time because of a value that its envelope carries."""
    for place, part in _PARTS:
        if order.scopes[place] == part.value:
            for entry in entries:
                measure = part.measures.get(entry.measure.name)
                if measure is not None:
                    yield entry._replace(measure=measure)

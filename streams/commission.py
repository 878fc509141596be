"""Commission of an order: what was earned, what refunds took of it, and from when on it is final. Pure.

It stands behind the ledger of orders: everything here is a function of an order's record alone, so that
taking back what it was worth, and booking what it is worth after a change, is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.ledger import Order, OrderLine, Taken
from streams.scopes import CREATOR, PLATFORM, UNATTRIBUTED
from streams.window import DAY_MS, HOUR_MS

BPS = 10_000
# So far as-of may trail the newest event until what was final before is not known hour by hour.
TABLE_MARGIN_MS = 30 * DAY_MS


@dataclass(frozen=True, slots=True)
class Settlement:
    """When commission is final: F.

    Attributes:
        delivered_ms: from delivery to F.
        purchase_ms: from purchase to F where no delivery comes by then.
    """

    delivered_ms: int = 15 * DAY_MS
    purchase_ms: int = 45 * DAY_MS

    @classmethod
    def of_days(cls, delivered_days: int, purchase_days: int) -> Settlement:
        """As settings have it."""
        return cls(delivered_days * DAY_MS, purchase_days * DAY_MS)

    def final_ms(self, order: Order) -> int:
        """F of an order."""
        until_ms = order.time_ms + self.purchase_ms
        if order.delivered_ms is None or order.delivered_ms >= until_ms:
            return until_ms
        # A delivery before its purchase is a clock's fault: F never comes earlier than it may.
        return max(order.delivered_ms, order.time_ms) + self.delivered_ms

    @property
    def least_ms(self) -> int:
        """F is at least this long after the purchase."""
        return min(self.delivered_ms, self.purchase_ms)

    @property
    def most_ms(self) -> int:
        """F is at most this long after the purchase."""
        return self.delivered_ms + self.purchase_ms

    @property
    def table_kept_ms(self) -> int:
        """So long after a pane it is kept by which hour its commission becomes final: then all of it is."""
        return self.most_ms + TABLE_MARGIN_MS


@dataclass(frozen=True, slots=True)
class Commission:
    """Commission of an order in minor units; sequences run parallel to its lines.

    Earned before refunds = `reversed` + `kept`; on what is left of the lines = `kept` - `clawed_back`.

    Attributes:
        due_hour: F, rounded up to a whole hour, in hours since 1970.
        kept: on what refunds before F left: estimated until F, final from F on.
        reversed: what refunds before F took of it.
        clawed_back: what refunds at or after F took of it.
        claw_backs: the same by refund, as (time, by line), in the order of the log.
    """

    due_hour: int
    kept: Sequence[int]
    reversed: Sequence[int]
    clawed_back: Sequence[int]
    claw_backs: Sequence[tuple[int, Sequence[int]]]


def share_minor(amount_minor: int, bps: int) -> int:
    """So many hundredths of a percent of an amount, rounded down."""
    return amount_minor * bps // BPS


def commission_of(order: Order, settlement: Settlement) -> Commission | None:
    """What the order's commission came to; None where no line has one."""
    lines = order.lines
    if not any(line.commission_bps for line in lines):
        return None
    final_ms = settlement.final_ms(order)
    after = [taken for taken in order.refunds if taken.time_ms >= final_ms]
    # What is left once all refunds were taken is in the record: those after F are put back.
    left = [line.left_minor + _sum(after, at) for at, line in enumerate(lines)]
    kept = _shares(lines, left)
    claw_backs: list[tuple[int, list[int]]] = []
    before = kept
    for taken in after:
        left = [amount - part for amount, part in zip(left, taken.by_line_minor, strict=True)]
        now = _shares(lines, left)
        claw_backs.append((taken.time_ms, _less(before, now)))
        before = now
    earned = _shares(lines, [line.value_minor for line in lines])
    return Commission(
        due_hour=-(-final_ms // HOUR_MS),
        kept=kept,
        reversed=_less(earned, kept),
        clawed_back=_less(kept, before),
        claw_backs=claw_backs,
    )


def due_values(order: Order, commission: Commission) -> Iterator[tuple[str, int]]:
    """Where `kept` stands in the table of what becomes final: (stored value, amount) by scope."""
    hour, kept = commission.due_hour, commission.kept
    yield due_value(hour, "all", ""), sum(kept)
    # Of the order's values the platform is the first, and always there.
    yield due_value(hour, PLATFORM.name, order.scopes[0] or ""), sum(kept)
    for line, amount in zip(order.lines, kept, strict=True):
        for kind, value in (
            (CREATOR.name, line.creator or UNATTRIBUTED),
            ("affiliate", line.affiliate),
            ("brand", line.brand),
        ):
            if value is not None:
                yield due_value(hour, kind, value), amount


def due_value(hour: int, kind: str, value: str) -> str:
    """How the table names what becomes final in an hour, of one scope. Kinds have no colon."""
    return f"{hour}:{kind}:{value}"


def _sum(refunds: Sequence[Taken], line: int) -> int:
    return sum(taken.by_line_minor[line] for taken in refunds)


def _shares(lines: Sequence[OrderLine], amounts: Sequence[int]) -> list[int]:
    return [share_minor(amount, line.commission_bps) for line, amount in zip(lines, amounts, strict=True)]


def _less(whole: Sequence[int], part: Sequence[int]) -> list[int]:
    return [one - other for one, other in zip(whole, part, strict=True)]

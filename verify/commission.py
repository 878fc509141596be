"""Commission: what it came to, when it is final, what refunds took; platform fees beside it.

Looked at once the whole log is read: every order with all its refunds and deliveries. Also what an answer,
and an affiliate's statement, must say of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from verify.asked import ABSENT, Asked
from verify.model import Booking, Due, Scope
from verify.money import Order
from verify.rules import DAY_MS, HOUR_MS, Rules
from verify.scopes import DUE, WITH_COMMISSION, WITH_TAKE


def bookings(orders: Iterable[Order], rules: Rules) -> Iterator[Booking]:
    """What the orders, none of them excluded, add to the panes."""
    for order in orders:
        yield from _of_order(order, rules)


def final_at(order: Order, rules: Rules) -> int:
    """F: so long after the earliest delivery; after the purchase where none came by then."""
    given_up = order.time_ms + rules.commission_final_after_purchase_days * DAY_MS
    timely = [time_ms for time_ms in order.deliveries if time_ms < given_up]
    if not timely:
        return given_up
    return max(min(timely), order.time_ms) + rules.commission_final_after_delivery_days * DAY_MS


def _of_order(order: Order, rules: Rules) -> Iterator[Booking]:
    final_ms = final_at(order, rules)
    for scope, numbers in _lines_by_scope(order).items():
        if scope[0] in WITH_COMMISSION:
            yield from _of_scope(order, scope, numbers, final_ms)
        if scope[0] in WITH_TAKE:
            left = zip(order.lines, _left_after(order, order.refunds), strict=True)
            fees = sum(amount * line.fee_bps // 10_000 for line, amount in left)
            yield Booking(order.time_ms, (scope,), ((f"fees:{order.currency}", fees),))


def due(orders: Iterable[Order], rules: Rules) -> Iterator[Due]:
    """Of each scope of each order what becomes final, and when."""
    for order in orders:
        final_ms = final_at(order, rules)
        hour = (final_ms + HOUR_MS - 1) // HOUR_MS
        before = [refund for refund in order.refunds if refund[0] < final_ms]
        for scope, numbers in _lines_by_scope(order).items():
            kept = _commission(order, numbers, before)
            if scope[0] in WITH_COMMISSION and kept:
                yield Due(scope, order.time_ms, hour, order.currency, kept)


def due_bookings(dues: Iterable[Due]) -> Iterator[Booking]:
    """The same as Redis has it."""
    for (kind, value), time_ms, hour, currency, amount in dues:
        yield Booking(time_ms, ((DUE, f"{hour}:{kind}:{value}"),), ((f"final:{currency}", amount),))


def _lines_by_scope(order: Order) -> dict[Scope, list[int]]:
    groups: dict[Scope, list[int]] = {scope: list(range(len(order.lines))) for scope in order.scopes}
    for number, line in enumerate(order.lines):
        for scope in line.scopes:
            groups.setdefault(scope, []).append(number)
    return groups


def _of_scope(order: Order, scope: Scope, numbers: Sequence[int], final_ms: int) -> Iterator[Booking]:
    currency = order.currency
    before = [refund for refund in order.refunds if refund[0] < final_ms]
    after = [refund for refund in order.refunds if refund[0] >= final_ms]
    earned, kept = _commission(order, numbers, []), _commission(order, numbers, before)
    amounts = (
        (f"reversed:{currency}", earned - kept),
        (f"clawed_back:{currency}", kept - _commission(order, numbers, before + after)),
    )
    yield Booking(order.time_ms, (scope,), amounts)
    for count, (time_ms, _) in enumerate(after):
        upto = _commission(order, numbers, before + after[:count])
        gone = upto - _commission(order, numbers, before + after[: count + 1])
        yield Booking(time_ms, (scope,), ((f"claw_backs:{currency}", gone),))


def _commission(order: Order, numbers: Sequence[int], refunds: Sequence[tuple[int, Sequence[int]]]) -> int:
    """Of these lines, once these refunds were taken."""
    left = _left_after(order, refunds)
    return sum(left[number] * order.lines[number].commission_bps // 10_000 for number in numbers)


def _left_after(order: Order, refunds: Sequence[tuple[int, Sequence[int]]]) -> list[int]:
    return [
        line.value_minor - sum(parts[number] for _, parts in refunds)
        for number, line in enumerate(order.lines)
    ]


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    expected: dict[str, Any] = {} if asked.kind in WITH_COMMISSION else {"commission": ABSENT}
    if asked.kind not in WITH_TAKE:
        expected["take"] = ABSENT
    final = asked.totals.final(asked.scope, asked.span, asked.answer.get("as_of_ms"))
    for currency in asked.currencies("commission", "take"):
        of = amounts(asked.sums, final, currency)
        if asked.kind in WITH_COMMISSION:
            expected |= {f"commission.{currency}.{name}_minor": amount for name, amount in of.items()}
        if asked.kind in WITH_TAKE:
            parts = {
                "fees": asked.sums[f"fees:{currency}"],
                "commission": asked.sums[f"commission:{currency}"],
                "ads": asked.sums[f"ads:{currency}"],
            }
            parts["total"] = sum(parts.values())
            expected |= {f"take.{currency}.{name}_minor": amount for name, amount in parts.items()}
    return expected


def amounts(sums: Counter[str], final: Counter[str], currency: str) -> dict[str, int]:
    """The ledger of one currency; `final` is what is final by currency."""
    kept = sums[f"commission:{currency}"] + sums[f"clawed_back:{currency}"]
    return {
        "earned": kept + sums[f"reversed:{currency}"],
        "reversed": sums[f"reversed:{currency}"],
        "estimated": kept - final[currency],
        "final": final[currency],
        "clawed_back": sums[f"clawed_back:{currency}"],
        "claw_backs": sums[f"claw_backs:{currency}"],
    }

"""Which lines of an order a refund takes its amount from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def split(
    amount_minor: int, items: Iterable[tuple[str, int]], products: Sequence[str], left_minor: Sequence[int]
) -> list[int]:
    """Amount taken from each line; adds up to `amount_minor`, never above what is left of a line.

    Items (product, amount) fill the lines of their product in line order. What exceeds them, like a
    refund without items, is split in proportion to what is left of each line: floors first, then one
    minor unit each to the largest fractions, ties in line order.
    `amount_minor` must not exceed the sum of `left_minor`.
    """
    taken = [0] * len(products)
    for product, wanted in items:
        rest = wanted
        for index, name in enumerate(products):
            if name == product:
                part = min(rest, left_minor[index] - taken[index])
                taken[index] += part
                rest -= part
    rest = amount_minor - sum(taken)
    if rest:
        left = [line - part for line, part in zip(left_minor, taken, strict=True)]
        taken = [part + more for part, more in zip(taken, in_proportion(rest, left), strict=True)]
    return taken


def in_proportion(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` split by largest remainder; each part at most its weight as long as amount <= sum."""
    total = sum(weights)
    parts = [amount * weight // total for weight in weights]
    by_fraction = sorted(range(len(weights)), key=lambda index: (-(amount * weights[index] % total), index))
    for index in by_fraction[: amount - sum(parts)]:
        parts[index] += 1
    return parts

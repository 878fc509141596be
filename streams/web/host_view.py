"""What a host is shown of an answer: all about the own live, nothing of the shop around it. Pure.

It stands behind the answers, where they go out to whoever came with a host's link.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A currency as a key, or the path of a figure in one. No other key of an answer has capital letters.
_OF_CURRENCY = re.compile(r"(?:money\.)?([A-Z]{3})(?:\..+)?")


def for_host(answer: object) -> object:
    """The answer (what JSON can say) without what tells of other lives; the given one stays as it is.

    `quality` counts the whole pipeline, it becomes None. Answers name every currency that the shop ever
    booked: those in which no amount of the whole answer is other than 0 or None are left out.
    """
    return _cut(answer, frozenset(_moved(answer)))


def _moved(node: object) -> Iterator[str]:
    """The currencies with an amount, anywhere in the answer."""
    if isinstance(node, dict):
        for key, value in node.items():
            currency = _currency(key)
            if currency is None:
                yield from _moved(value)
            elif _has_amount(value):
                yield currency
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _moved(value)


def _cut(node: object, currencies: frozenset[str]) -> object:
    if isinstance(node, dict):
        return {
            key: None if key == "quality" else _cut(value, currencies)
            for key, value in node.items()
            if (currency := _currency(key)) is None or currency in currencies
        }
    if isinstance(node, list | tuple):
        return [_cut(value, currencies) for value in node]
    return node


def _currency(key: str) -> str | None:
    found = _OF_CURRENCY.fullmatch(key)
    return None if found is None else found[1]


def _has_amount(node: object) -> bool:
    if isinstance(node, dict):
        return any(_has_amount(value) for value in node.values())
    if isinstance(node, list | tuple):
        return any(_has_amount(value) for value in node)
    return bool(node)

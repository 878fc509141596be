"""Which scopes an event or a line of an order is counted in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from verify.model import Scope

ALL: Scope = ("all", "")

ORDER_LEVEL = (
    ("platform", "platform"),
    ("surface", "surface"),
    ("gateway", "gateway"),
    ("mini_program", "mini_program_id"),
    ("country", "country"),
    ("client_os", "client_os"),
    ("app_version", "app_version"),
)
LINE_LEVEL = (
    ("product", "product_id"),
    ("creator", "creator_id"),
    ("live", "live_id"),
    ("brand", "brand_id"),
    ("merchant", "merchant_id"),
    ("affiliate", "affiliate_id"),
)
KINDS = ("all", *(kind for kind, _ in ORDER_LEVEL + LINE_LEVEL), "pipeline")


def order_level(event: Mapping[str, Any]) -> tuple[Scope, ...]:
    """`all` and each order-level kind that the event itself carries (gateway: a field of its own)."""
    return (ALL, *(_scope(kind, event[field]) for kind, field in ORDER_LEVEL if event.get(field) is not None))


def of_event(event: Mapping[str, Any]) -> tuple[Scope, ...]:
    """Every scope that the event carries, of both levels."""
    carried = (_scope(kind, event[field]) for kind, field in LINE_LEVEL if event.get(field) is not None)
    return (*order_level(event), *carried)


def of_line(item: Mapping[str, Any], envelope: Mapping[str, Any]) -> tuple[Scope, ...]:
    """The line-level scopes of one line of an order: the item's value, else the envelope's."""
    found = []
    for kind, field in LINE_LEVEL:
        value = item.get(field)
        if value is None:
            value = envelope.get(field)
        if value is not None:
            found.append(_scope(kind, value))
    return tuple(found)


# Bookings of a whole log are held at once: equal scopes are one object.
@lru_cache(maxsize=1 << 18)
def _scope(kind: str, value: str) -> Scope:
    return kind, value

"""Which scopes an event or a line of an order is counted in, and how their values are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
EVENT_LEVEL = (("qr", "qr_id"), ("channel", "channel"), ("campaign", "campaign_id"), ("app", "app"))
FIELD = dict(ORDER_LEVEL + LINE_LEVEL + EVENT_LEVEL)
ORDER_PAIRS = (("platform", "surface"), ("platform", "gateway"))
LINE_PAIRS = (("live", "product"),)
EVENT_PAIRS = (("mini_program", "channel"),)
_OF_SHARES = ((("channel", "channel"),), EVENT_PAIRS)
OWN_KINDS: Mapping[str, tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]] = {
    "mini_program_open": ((("qr", "qr_id"),), ()),
    "share": _OF_SHARES,
    "share_open": _OF_SHARES,
    "ad_charge": ((("campaign", "campaign_id"),), ()),
    "active": ((("app", "app"),), ()),
}
"""Singles and pairs that events of one type alone carry."""

ORDER_KINDS = ("all", *(kind for kind, _ in ORDER_LEVEL), *map(",".join, ORDER_PAIRS))
LINE_KINDS = (*(kind for kind, _ in LINE_LEVEL), *map(",".join, LINE_PAIRS))
EVENT_KINDS = (*(kind for kind, _ in EVENT_LEVEL), *map(",".join, EVENT_PAIRS))
"""No order has them, and of events only those of OWN_KINDS."""
PRODUCT_SKU = "product,sku"
RULE_ARM = "rule,arm"
APP_RULE_ARM = "app,rule,arm"
"""Of the arms of a redirection rule there are sums by the day, and users of the app it leads to."""
DUE = "due"
"""Commission by the hour in which it becomes final."""
DUE_SIZES = ("1h", "1d")
PAYMENT_REASON = "payment,reason"
REFUND_REASON = "refund,reason"
REASONS = (PAYMENT_REASON, REFUND_REASON)
PLATFORM_CREATOR = "platform,creator"
OF_STORIES = (*REASONS, DUE, RULE_ARM, PLATFORM_CREATOR)
KINDS = (*ORDER_KINDS, *LINE_KINDS, *EVENT_KINDS, PRODUCT_SKU, *OF_STORIES, "pipeline")
"""Every stored kind but the rooms' own, of which there are as many as lives."""
ROOM_HEAD = "room:"
ROOM_SIZE = "1h"

WITH_SESSIONS = frozenset({"all", "platform", "surface", "live", "creator", "platform,surface"})
WITH_USERS = frozenset({"all", "platform", "live", "creator", "product", "mini_program"})
WITH_REACH = frozenset({"brand", "merchant"})
WITH_REPEAT_BUYERS = frozenset({"all", "platform", "mini_program"})
NEVER_CAPPED = frozenset({"all", "platform", "surface", "platform,surface"})
"""Kinds with a closed list of values; of traffic in all others there is a cap on distinct ones."""
WITH_COMMISSION = frozenset({"all", "platform", "creator", "affiliate", "brand"})
WITH_TAKE = frozenset({"all", "platform"})
WITH_ADS = WITH_TAKE | {"campaign"}
WITHOUT_TRAFFIC = frozenset({"gateway", "platform,gateway", *EVENT_KINDS})
"""Kinds that traffic does not carry as a whole."""
OTHER = "other"
WITH_ATTRIBUTION = frozenset({"all", "platform", "surface", "live", "creator", "product", "live,product"})
UNATTRIBUTED = "unattributed"


def pair_value(first: str, second: str) -> str:
    """The stored value of a pair: the first one's length in front keeps any two pairs apart."""
    return f"{len(first)}:{first}{second}"


def two_values(stored: str) -> tuple[str, str]:
    """What `pair_value` was made of."""
    length, _, both = stored.partition(":")
    return both[: int(length)], both[int(length) :]


def order_level(event: Mapping[str, Any]) -> tuple[Scope, ...]:
    """`all` and each order-level kind that the event itself carries (gateway: a field of its own)."""
    return (ALL, *_carried(ORDER_LEVEL, ORDER_PAIRS, lambda kind: event.get(FIELD[kind])))


def of_event(event: Mapping[str, Any]) -> tuple[Scope, ...]:
    """Every scope that the event carries, of both levels."""
    singles, pairs = OWN_KINDS.get(event["event_type"], ((), ()))
    return (
        *order_level(event),
        *_carried((*LINE_LEVEL, *singles), (*LINE_PAIRS, *pairs), lambda kind: event.get(FIELD[kind])),
    )


def of_line(item: Mapping[str, Any], envelope: Mapping[str, Any]) -> tuple[Scope, ...]:
    """The line-level scopes of one line of an order: the item's value, else the envelope's."""

    def value_of(kind: str) -> str | None:
        own: str | None = item.get(FIELD[kind])
        return own if own is not None else envelope.get(FIELD[kind])

    creator = value_of("creator")
    return (
        *_carried(LINE_LEVEL, LINE_PAIRS, value_of),
        *(() if creator is None else (of_creator(envelope["platform"], creator),)),
    )


def of_creator(platform: str, creator: str) -> Scope:
    """What a creator does on a platform, day by day."""
    return _scope(PLATFORM_CREATOR, pair_value(platform, creator))


def of_kinds(scopes: Iterable[Scope], kinds: frozenset[str]) -> tuple[Scope, ...]:
    """Those of the scopes that are of one of the kinds."""
    return tuple(scope for scope in scopes if scope[0] in kinds)


def of_purchase(event: Mapping[str, Any], kinds: frozenset[str]) -> tuple[Scope, ...]:
    """The scopes of a purchase itself and of any of its lines, each once; the product is the lines' alone."""
    found = dict.fromkeys(of_kinds(order_level(event), kinds))
    for item in event["items"]:
        found.update(dict.fromkeys(of_kinds(of_line(item, event), kinds)))
    return tuple(found)


def _carried(
    singles: Iterable[tuple[str, str]],
    pairs: Iterable[tuple[str, str]],
    value_of: Callable[[str], str | None],
) -> Iterable[Scope]:
    for kind, _ in singles:
        value = value_of(kind)
        if value is not None:
            yield _scope(kind, value)
    for first, second in pairs:
        one, two = value_of(first), value_of(second)
        if one is not None and two is not None:
            yield _scope(f"{first},{second}", pair_value(one, two))


# Bookings of a whole log are held at once: equal scopes are one object.
@lru_cache(maxsize=1 << 18)
def _scope(kind: str, value: str) -> Scope:
    return kind, value

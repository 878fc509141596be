"""The contract's table of fields, written down a second time, for `plain`.

Kept apart from `events` on purpose: a slip in one of the two tables makes the decoders disagree, and a test
fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Text:
    """A string; the pattern has to fit all of it."""

    pattern: re.Pattern[str]
    required: bool = True


@dataclass(frozen=True)
class Words:
    """A string out of a closed list."""

    words: frozenset[str]
    required: bool = True


@dataclass(frozen=True)
class Whole:
    """An integer between two bounds, both allowed."""

    least: int
    most: int
    required: bool = True


@dataclass(frozen=True)
class Items:
    """An array of objects."""

    fields: dict[str, Rule]
    least: int
    most: int
    required: bool = True


Rule = Text | Words | Whole | Items
Table = dict[str, Rule]


def _maybe(rule: Rule) -> Rule:
    return replace(rule, required=False)


def _fit(pattern: str) -> Text:
    return Text(re.compile(pattern, re.DOTALL))


def _words(text: str) -> Words:
    return Words(frozenset(text.split()))


_LARGEST: Final = 9_007_199_254_740_991
_ID: Final = _fit(".{1,64}")
_ANY_TEXT: Final = _fit(".*")
_CURRENCY: Final = _fit("[A-Z]{3}")
_PRICE: Final = Whole(0, 100_000_000_000)
_QUANTITY: Final = Whole(1, 10_000)
_FROM_ZERO: Final = Whole(0, _LARGEST)
_BPS: Final = Whole(0, 10_000)
_ARM: Final = _words("treated held_out")

SURFACES: Final = _words(
    "live short_video explore qr_code shared_link search showcase recommendation profile other"
).words

_ENVELOPE: Final[Table] = {
    "event_id": _ID,
    "event_time_ms": Whole(1_262_304_000_000, _LARGEST),
    "platform": _ANY_TEXT,
    "surface": _maybe(_ANY_TEXT),
    "traffic": _maybe(_words("real test sample replacement bot")),
    "live_id": _maybe(_ID),
    "creator_id": _maybe(_ID),
    "brand_id": _maybe(_ID),
    "merchant_id": _maybe(_ID),
    "product_id": _maybe(_ID),
    "sku_id": _maybe(_ID),
    "content_id": _maybe(_ID),
    "affiliate_id": _maybe(_ID),
    "mini_program_id": _maybe(_ID),
    "share_id": _maybe(_ID),
    "country": _maybe(_ID),
    "client_os": _maybe(_ID),
    "app_version": _maybe(_ID),
}
_SHOPPER: Final[Table] = _ENVELOPE | {"user_id": _ID, "session_id": _ID}
_ORDER: Final[Table] = _ENVELOPE | {"user_id": _ID, "session_id": _maybe(_ID), "order_id": _ID}
_ROOM: Final[Table] = _ENVELOPE | {"live_id": _ID}
_CART: Final[Table] = {
    "product_id": _ID,
    "quantity": _QUANTITY,
    "unit_price_minor": _PRICE,
    "currency": _CURRENCY,
}

_LINE: Final[Table] = {
    "product_id": _ID,
    "sku_id": _maybe(_ID),
    "quantity": _QUANTITY,
    "unit_price_minor": _PRICE,
    "seller_discount_minor": _maybe(_FROM_ZERO),
    "platform_discount_minor": _maybe(_FROM_ZERO),
    "tax_minor": _maybe(_FROM_ZERO),
    "creator_id": _maybe(_ID),
    "live_id": _maybe(_ID),
    "brand_id": _maybe(_ID),
    "merchant_id": _maybe(_ID),
    "affiliate_id": _maybe(_ID),
    "commission_bps": _maybe(_BPS),
    "platform_fee_bps": _maybe(_BPS),
}
_REFUNDED: Final[Table] = {"product_id": _ID, "quantity": _QUANTITY, "amount_minor": _FROM_ZERO}
_ASSIGNMENT: Final[Table] = {"rule_id": _ID, "arm": _ARM}

_PURCHASE: Final[Table] = {
    "gateway": _ID,
    "currency": _CURRENCY,
    "items": Items(_LINE, 1, 200),
    "shipping_minor": _maybe(_FROM_ZERO),
}
_REFUND: Final[Table] = {
    "refund_id": _ID,
    "currency": _CURRENCY,
    "amount_minor": Whole(1, _LARGEST),
    "kind": _maybe(_words("cancel return refund_only chargeback")),
    "reason": _maybe(_ID),
    "items": _maybe(Items(_REFUNDED, 1, 200)),
}
_PAYMENT: Final[Table] = {
    "attempt_id": _maybe(_ID),
    "gateway": _ID,
    "outcome": _words("started authorised declined error timeout cancelled_by_user"),
    "reason": _maybe(_ID),
}
_REDIRECT: Final[Table] = {
    "rule_id": _ID,
    "arm": _ARM,
    "from_app": _maybe(_ID),
    "to_app": _maybe(_ID),
    "from_product_id": _maybe(_ID),
    "to_product_id": _maybe(_ID),
}
_SHARE: Final[Table] = {"share_id": _ID, "channel": _maybe(_ID)}
_OPEN: Final[Table] = {
    "mini_program_id": _ID,
    "entry": _words("explore qr_code shared_link search other"),
    "qr_id": _maybe(_ID),
}
_LISTED: Final[Table] = {
    "product_id": _ID,
    "title": _fit(".{1,1024}"),
    "category": _maybe(_ID),
    "unit_price_minor": _PRICE,
    "currency": _CURRENCY,
}

TYPES: Final[dict[str, tuple[str, Table]]] = {
    "view": ("views", _SHOPPER),
    "product_impression": ("views", _SHOPPER | {"product_id": _ID}),
    "product_view": ("views", _SHOPPER | {"product_id": _ID}),
    "mini_program_open": ("views", _SHOPPER | _OPEN),
    "mini_program_action": ("views", _SHOPPER | {"mini_program_id": _ID, "name": _ID}),
    "tag_tap": ("tag-taps", _SHOPPER | {"product_id": _ID}),
    "add_to_cart": ("carts", _SHOPPER | _CART),
    "remove_from_cart": ("carts", _SHOPPER | _CART),
    "begin_checkout": ("carts", _SHOPPER),
    "payment": ("purchases", _ORDER | _PAYMENT),
    "purchase": ("purchases", _ORDER | _PURCHASE),
    "refund": ("purchases", _ORDER | _REFUND),
    "order_status": (
        "purchases",
        _ORDER | {"status": _words("placed cancelled shipped delivered completed")},
    ),
    "live_join": ("livestreams", _SHOPPER | {"live_id": _ID}),
    "live_leave": ("livestreams", _SHOPPER | {"live_id": _ID}),
    "live_like": ("livestreams", _SHOPPER | {"live_id": _ID}),
    "live_comment": ("livestreams", _SHOPPER | {"live_id": _ID}),
    "live_start": ("livestreams", _ROOM),
    "live_end": ("livestreams", _ROOM),
    "live_heartbeat": ("livestreams", _ROOM | {"concurrent_viewers": _FROM_ZERO}),
    "product_pin": ("livestreams", _ROOM | {"product_id": _ID}),
    "product_unpin": ("livestreams", _ROOM | {"product_id": _ID}),
    "share": ("engagement", _SHOPPER | _SHARE),
    "share_open": ("engagement", _SHOPPER | _SHARE),
    "share_convert": ("engagement", _SHOPPER | {"share_id": _ID}),
    "review": (
        "engagement",
        _SHOPPER | {"product_id": _ID, "order_id": _maybe(_ID), "rating": Whole(1, 5)},
    ),
    "follow": ("engagement", _SHOPPER | {"creator_id": _ID}),
    "product_listed": ("catalogue", _ENVELOPE | _LISTED),
    "stock_set": ("catalogue", _ENVELOPE | {"product_id": _ID, "units": _FROM_ZERO}),
    "redirect": ("redirects", _SHOPPER | _REDIRECT),
    "active": (
        "redirects",
        _SHOPPER | {"app": _ID, "assignments": _maybe(Items(_ASSIGNMENT, 0, 8))},
    ),
    "ad_charge": ("ads", _ENVELOPE | {"campaign_id": _ID, "amount_minor": _FROM_ZERO, "currency": _CURRENCY}),
    "source_heartbeat": ("any", _ENVELOPE | {"source": _ID}),
}

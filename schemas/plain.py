"""The second opinion: the same verdicts as `codec`, by the plainest means.

Not on the way of an event: `verify` recomputes figures with it, and tests hold the codec against it. It
shares no rule with the codec: JSON is read by the standard library, and the fields are written down in
`plain_tables`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set as AbstractSet
from typing import Any, Final, NoReturn

from schemas.fields import DEFAULT_PLATFORMS
from schemas.plain_tables import SURFACES, TYPES, Items, Table, Text, Whole, Words
from schemas.verdicts import Reason, Rejected

_LARGEST: Final = 2**53 - 1
_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
# Every escape in turn, pairs of surrogates first; one that is left alone is caught in the group.
_ESCAPES: Final = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u([dD][89a-fA-F])..|.)",
    re.DOTALL,
)


def decode_plain(
    value: bytes | None, topic: str, platforms: AbstractSet[str] = DEFAULT_PLATFORMS
) -> dict[str, Any] | Rejected:
    """The known fields of the event in `value` as plain JSON types, with `event_type`, or why there is none.

    Optional fields that are null are dropped, unknown platforms and surfaces are "other", `traffic` is
    always there.
    """
    if value is not None and len(value) > 65536:
        return Rejected(Reason.TOO_LARGE, "more than 65536 bytes")
    try:
        sent = _read_object(value)
    except ValueError as error:
        return Rejected(Reason.NOT_JSON, str(error))
    kind = sent.get("event_type")
    if not isinstance(kind, str) or kind not in TYPES:
        return Rejected(Reason.UNKNOWN_TYPE, "event_type")
    own_topic, fields = TYPES[kind]
    if own_topic not in (topic, "any"):
        return Rejected(Reason.WRONG_TOPIC, f"{kind} in {topic}")
    for reason, judge in (
        (Reason.MISSING_FIELD, _missing),
        (Reason.BAD_FIELD, _bad),
        (Reason.OUT_OF_RANGE, _outside),
    ):
        if found := judge(sent, fields):
            return Rejected(reason, found)
    event = {"event_type": kind} | _kept(sent, fields)
    if (kind == "purchase" and _purchase_is_off(event)) or (kind == "refund" and _refund_is_off(event)):
        return Rejected(Reason.OUT_OF_RANGE, "the amounts do not go together")
    if event["platform"] not in platforms:
        event["platform"] = "other"
    if "surface" in event and event["surface"] not in SURFACES:
        event["surface"] = "other"
    event.setdefault("traffic", "real")
    return event


def _whole(digits: str) -> int:
    # All that matters about a number of more than 20 digits is its sign: no field allows it.
    return int(digits) if len(digits) <= 20 else int(digits[:1] + "9" * 20)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_JSON: Final = json.JSONDecoder(parse_int=_whole, parse_constant=_refuse)


def _read_object(value: bytes | None) -> dict[str, Any]:
    """The object in `value` as RFC 8259 has it; ValueError for anything else."""
    if value is None:
        raise ValueError("a tombstone")
    text = value.decode("utf-8")
    if text.count("{") + text.count("[") > 64 and _depth(text) > 64:
        raise ValueError("nested too deep")
    if "\\u" in text and any(escape[1] for escape in _ESCAPES.finditer(text)):
        raise ValueError("half of a surrogate pair")
    sent = _JSON.decode(text)
    if not isinstance(sent, dict):
        raise ValueError("not an object")
    return sent


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in _STRINGS.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _missing(sent: dict[str, Any], fields: Table) -> str | None:
    for name, rule in fields.items():
        if rule.required and name not in sent:
            return name
        if isinstance(rule, Items) and isinstance(sent.get(name), list):
            for item in sent[name]:
                if isinstance(item, dict) and (inner := _missing(item, rule.fields)):
                    return f"{name}.{inner}"
    return None


def _known(sent: dict[str, Any], fields: Table) -> dict[str, Any]:
    """The members that the contract knows; a null that may be absent is."""
    return {
        name: value
        for name, value in sent.items()
        if name in fields and (value is not None or fields[name].required)
    }


def _bad(sent: dict[str, Any], fields: Table) -> str | None:
    for name, value in _known(sent, fields).items():
        rule = fields[name]
        if isinstance(rule, Text):
            good = isinstance(value, str) and rule.pattern.fullmatch(value) is not None
        elif isinstance(rule, Words):
            good = isinstance(value, str) and value in rule.words
        elif isinstance(rule, Whole):
            good = isinstance(value, int) and not isinstance(value, bool)
        else:
            good = isinstance(value, list) and all(
                isinstance(item, dict) and _bad(item, rule.fields) is None for item in value
            )
        if not good:
            return name
    return None


def _outside(sent: dict[str, Any], fields: Table) -> str | None:
    for name, value in _known(sent, fields).items():
        rule = fields[name]
        if isinstance(rule, Whole) and not rule.least <= value <= rule.most:
            return name
        if isinstance(rule, Items) and (
            not rule.least <= len(value) <= rule.most or any(_outside(item, rule.fields) for item in value)
        ):
            return name
    return None


def _kept(sent: dict[str, Any], fields: Table) -> dict[str, Any]:
    kept = _known(sent, fields)
    for name, value in kept.items():
        rule = fields[name]
        if isinstance(rule, Items):
            kept[name] = [_kept(item, rule.fields) for item in value]
    return kept


def _purchase_is_off(order: dict[str, Any]) -> bool:
    goods = 0
    paid = order.get("shipping_minor", 0)
    for item in order["items"]:
        full = item["quantity"] * item["unit_price_minor"]
        by_seller = item.get("seller_discount_minor", 0)
        by_platform = item.get("platform_discount_minor", 0)
        if by_seller + by_platform > full:
            return True
        goods += full - by_seller
        paid += full - by_seller - by_platform + item.get("tax_minor", 0)
    return bool(goods > _LARGEST or paid > _LARGEST)


def _refund_is_off(refund: dict[str, Any]) -> bool:
    if "items" not in refund:
        return False
    return bool(sum(item["amount_minor"] for item in refund["items"]) != refund["amount_minor"])

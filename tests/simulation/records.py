"""The records of a small shop: few shoppers, orders, lives and products, so that everything meets.

Every type of event, with repetitions, disorder, late, early and unreadable ones. `Draft` is one record as its
producer sends it; which offset it gets, the log decides.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.scenario_kit import DAY, HOUR, MINUTE, NOON, SECOND

# How story time goes on between records: by seconds, over limits of hours, or through months.
TEMPOS = (
    (0, 0, 1, 200, SECOND, 3 * SECOND, 11 * SECOND, MINUTE),
    (0, 1, SECOND, 11 * SECOND, MINUTE, 6 * MINUTE, 3 * HOUR),
    (0, SECOND, 11 * SECOND, MINUTE, 6 * MINUTE, 3 * HOUR, DAY, 7 * DAY, 8 * DAY),
    (0, 0, SECOND, MINUTE, DAY, 8 * DAY, 40 * DAY, 91 * DAY),
)
TEMPO_WEIGHTS = (10, 5, 3, 2)
# Event time behind Kafka's: at once, out of order, on the limits, too late, ahead, too far ahead.
BEHIND = (0, 0, 0, 0, 1, SECOND, 5 * SECOND, 30 * SECOND, -SECOND, -MINUTE)
BEHIND_TRAFFIC = (5 * MINUTE, 5 * MINUTE + 1, 6 * MINUTE, -5 * MINUTE, -5 * MINUTE - 1, -DAY)
BEHIND_ORDERS = (DAY, 7 * DAY, 7 * DAY + 1, 6 * DAY, -5 * MINUTE, -5 * MINUTE - 1)
GARBAGE = (None, b"", b"{", b"\xff", b"[]", b'{"event_type":"view"}', b'{"event_type":"nothing"}')

TRAFFIC = {
    "views": (
        *("view", "view", "product_view", "product_impression"),
        *("mini_program_open", "mini_program_action"),
    ),
    "tag-taps": ("tag_tap",),
    "carts": ("add_to_cart", "add_to_cart", "remove_from_cart", "begin_checkout"),
    "purchases": (
        *("purchase", "purchase", "purchase", "refund", "refund"),
        *("payment", "payment", "order_status", "order_status"),
    ),
    "livestreams": (
        *("live_join", "live_leave", "live_like", "live_comment", "live_start", "live_end"),
        *("live_heartbeat", "live_heartbeat", "product_pin", "product_unpin"),
    ),
    "engagement": ("share", "share", "share_open", "share_convert", "review", "follow"),
    "catalogue": ("product_listed", "stock_set"),
    "redirects": ("redirect", "redirect", "active", "active"),
    "ads": ("ad_charge",),
}  # fmt: skip
TOPIC_WEIGHTS = (5, 4, 2, 9, 3, 3, 1, 2, 1)
ROOM_EVENTS = frozenset({"live_start", "live_end", "live_heartbeat", "product_pin", "product_unpin"})
NO_SHOPPER = ROOM_EVENTS | {"product_listed", "stock_set", "ad_charge", "source_heartbeat"}


@dataclass(frozen=True, slots=True)
class Draft:
    """One record, sent `wait_s` after the one before; `gap` offsets that hold nothing follow it."""

    topic: str
    at_ms: int
    value: bytes | None
    wait_s: float
    gap: int = 0


def draw_records(rng: Random, drawn: Counter[str]) -> list[Draft]:
    """10 to 40 records in the order of their Kafka timestamps; what is special about them is counted."""
    steps = rng.choices(TEMPOS, TEMPO_WEIGHTS)[0]
    topics = list(TRAFFIC)
    now, sent = NOON, list[Draft]()
    for _ in range(10 + int(31 * rng.random() ** 2)):
        now += rng.choice(steps)
        repeated = rng.random() < 0.08 and sent
        before = rng.choice(sent) if repeated else None
        topic = before.topic if before else rng.choices(topics, TOPIC_WEIGHTS)[0]
        # Producers' clocks differ by seconds.
        at_ms = now - (rng.randrange(5 * SECOND) if rng.random() < 0.1 else 0)
        if before:
            drawn["duplicate"] += 1
            value = before.value
        elif rng.random() < 0.04:
            drawn["unreadable"] += 1
            value = rng.choice(GARBAGE)
        else:
            value = json.dumps(draw_event(rng, topic, at_ms, drawn)).encode()
        gap = rng.randrange(1, 4) if rng.random() < 0.07 else 0
        drawn["gap in the offsets"] += bool(gap)
        sent.append(Draft(topic, at_ms, value, 0.12 * rng.random() ** 2, gap))
    return sent


def draw_event(rng: Random, topic: str, at_ms: int, drawn: Counter[str]) -> dict[str, Any]:
    """One event of a topic, sent at `at_ms`, about few things."""
    one = rng.choice
    kind = "source_heartbeat" if rng.random() < 0.03 else one(TRAFFIC[topic])
    behind_ms = one(BEHIND)
    if rng.random() < 0.12:
        behind_ms = one(BEHIND_ORDERS if topic == "purchases" else BEHIND_TRAFFIC)
        drawn["late, early or on the limit"] += 1
    elif behind_ms:
        drawn["out of order"] += 1
    time_ms = at_ms - behind_ms
    event: dict[str, Any] = {
        "event_type": kind,
        "event_id": f"e{rng.randrange(10**6)}",
        "event_time_ms": time_ms,
        "platform": one(("tiktok", "tiktok", "wechat", "elsewhere")),
    }
    if kind not in NO_SHOPPER:
        event["user_id"] = one(("u1", "u2", "u3"))
        # No session lives longer than half a day: then any reading gives the same.
        event["session_id"] = f"s{rng.randrange(3)}-{event['user_id']}-{at_ms // (DAY // 2)}"
    for name, values in (
        ("surface", ("live", "video")),
        ("live_id", ("L1", "L2")),
        ("creator_id", ("c1", "c2")),
        ("brand_id", ("b1", "b2")),
        ("mini_program_id", ("m1", "m2")),
        ("country", ("US", "DE")),
        ("share_id", ("h1", "h2")),
        ("product_id", ("p1", "p2", "p3")),
    ):
        if rng.random() < 0.25:
            event[name] = one(values)
    if rng.random() < 0.08:
        event["traffic"] = one(("test", "bot"))
    return event | _own_fields(rng, kind)


def _own_fields(rng: Random, kind: str) -> dict[str, Any]:
    """What events of this type must say."""
    one = rng.choice
    product = {"product_id": one(("p1", "p2", "p3"))}
    price = {"unit_price_minor": rng.randrange(100), "currency": one(("USD", "USD", "EUR"))}
    live = {"live_id": one(("L1", "L2"))}
    match kind:
        case "purchase" | "refund" | "payment" | "order_status":
            return {"order_id": one(("o1", "o2", "o3", "o4"))} | _order_fields(rng, kind)
        case "product_view" | "product_impression" | "tag_tap" | "begin_checkout":
            return product
        case "mini_program_open":
            entry = {"entry": one(("explore", "qr_code", "search"))} | (
                {"qr_id": "q1"} if one((0, 1)) else {}
            )
            return {"mini_program_id": one(("m1", "m2"))} | entry
        case "mini_program_action":
            return {"mini_program_id": one(("m1", "m2")), "name": one(("pay", "play"))}
        case "add_to_cart" | "remove_from_cart":
            return product | price | {"quantity": rng.randrange(1, 4)}
        case "live_join" | "live_leave" | "live_like" | "live_comment" | "live_start" | "live_end":
            return live
        case "live_heartbeat":
            return live | {"concurrent_viewers": rng.randrange(100)}
        case "product_pin" | "product_unpin":
            return live | product
        case "share" | "share_open" | "share_convert":
            channel = {} if kind == "share_convert" or one((0, 1)) else {"channel": one(("sms", "feed"))}
            return {"share_id": one(("h1", "h2", "h3"))} | channel
        case "review":
            return product | {"rating": rng.randrange(1, 6), "order_id": one(("o1", "o2"))}
        case "follow":
            return {"creator_id": one(("c1", "c2"))}
        case "product_listed":
            return product | price | {"title": one(("Cup", "Mug"))}
        case "stock_set":
            return product | {"units": rng.randrange(5)}
        case "redirect":
            apps = {"from_app": "one", "to_app": one(("two", "three"))}
            return {"rule_id": one(("r1", "r2")), "arm": one(("treated", "held_out"))} | apps
        case "active":
            assigned = [{"rule_id": one(("r1", "r2")), "arm": one(("treated", "held_out"))}]
            return {"app": one(("one", "two"))} | ({"assignments": assigned} if one((0, 1)) else {})
        case "ad_charge":
            return {"campaign_id": one(("k1", "k2")), "amount_minor": rng.randrange(50), "currency": "USD"}
        case "source_heartbeat":
            return {"source": one(("app", "canary"))}
        case _:
            return {}


def _order_fields(rng: Random, kind: str) -> dict[str, Any]:
    one = rng.choice
    match kind:
        case "purchase":
            lines = [_line(rng) for _ in range(rng.randrange(1, 4))]
            return {"gateway": one(("g", "h")), "currency": one(("USD", "USD", "EUR")), "items": lines}
        case "refund":
            amounts = [rng.randrange(60) for _ in range(rng.randrange(1, 3))]
            of: dict[str, Any] = {"refund_id": one("uvwxyz"), "currency": "USD"}
            if sum(amounts) and one((0, 1)):
                of["items"] = [
                    {"product_id": one(("p1", "p2")), "quantity": 1, "amount_minor": amount}
                    for amount in amounts
                ]
            kinds = ("cancel", "return", "refund_only", "chargeback", None)
            of |= {"kind": one(kinds), "reason": one(("late", "broken", None))}
            return of | {"amount_minor": max(1, sum(amounts))}
        case "payment":
            outcomes = ("started", "authorised", "declined", "error", "timeout", "cancelled_by_user")
            attempt = {"attempt_id": one(("a1", "a2", "a3", None)), "reason": one(("funds", "fraud", None))}
            return {"gateway": one(("g", "h")), "outcome": one(outcomes)} | attempt
        case _:
            return {"status": one(("placed", "cancelled", "shipped", "delivered", "delivered", "completed"))}


def _line(rng: Random) -> dict[str, Any]:
    one = rng.choice
    return {
        "product_id": one(("p1", "p2", "p3")),
        "quantity": rng.randrange(1, 4),
        "unit_price_minor": rng.randrange(60),
        "commission_bps": one((0, 333, 10_000)),
        "platform_fee_bps": one((0, 999)),
        "platform_discount_minor": one((0, 0, 3)),
        "affiliate_id": one((None, "f1", "f2")),
        "live_id": one((None, None, "L1", "L2")),
        "creator_id": one((None, None, "c1")),
        "brand_id": one((None, "b1")),
    }

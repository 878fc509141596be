"""Showcases, product cards, recommendations and sales in streams: what an answer must say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verify.asked import ABSENT, Asked, ratio
from verify.model import Booking
from verify.parts import KINDS_OF_PART
from verify.scopes import WITHOUT_TRAFFIC, of_creator

PER_EVENT = {
    "product_views_per_product_impression": ("product_view", "product_impression"),
    "tag_taps_per_product_impression": ("tag_tap", "product_impression"),
    "add_to_carts_per_product_view": ("add_to_cart", "product_view"),
    "orders_per_product_view": ("purchase", "product_view"),
}


class LiveStarts:
    """How often creators of one partition went live."""

    def __init__(self) -> None:
        self._bookings: list[Booking] = []

    def add(self, event: Mapping[str, Any], _offset: int) -> None:
        """Any accepted, real event; the starts of lives that name a creator count."""
        if event["event_type"] == "live_start" and "creator_id" in event:
            scope = of_creator(event["platform"], event["creator_id"])
            self._bookings.append(Booking(event["event_time_ms"], (scope,), (("live_starts", 1),)))

    def bookings(self) -> list[Booking]:
        """One for each."""
        return self._bookings


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    sums = asked.sums
    told = asked.kind not in WITHOUT_TRAFFIC and not asked.events_capped
    expected: dict[str, Any] = {
        f"ratios.{name}": ratio(sums[f"events.{part}"], sums[f"events.{whole}"]) if told else None
        for name, (part, whole) in PER_EVENT.items()
    }
    return expected | _showcase(asked) | _recommendations(asked) | _in_stream(asked)


def _showcase(asked: Asked) -> dict[str, Any]:
    if asked.kind not in KINDS_OF_PART["showcase"]:
        return {"showcase": ABSENT}
    return {
        "showcase.views": asked.sums["showcase.view"],
        "showcase.impressions": asked.sums["showcase.product_impression"],
        "showcase.product_views": asked.sums["showcase.product_view"],
    }


def _recommendations(asked: Asked) -> dict[str, Any]:
    if asked.kind not in KINDS_OF_PART["recommended"]:
        return {"recommendations": ABSENT}
    sums = asked.sums
    names = ("product_impression", "tag_tap", "purchase")
    shown, taps, orders = (sums[f"recommended.{name}"] for name in (*names[:2], "orders"))
    other_shown, other_taps, other_orders = (
        sums[f"events.{name}"] - own for name, own in zip(names, (shown, taps, orders), strict=True)
    )
    return {
        "recommendations.impressions": shown,
        "recommendations.product_views": sums["recommended.product_view"],
        "recommendations.tag_taps": taps,
        "recommendations.orders": orders,
        "recommendations.tag_taps_per_impression": ratio(taps, shown),
        "recommendations.tag_taps_per_impression_of_the_rest": ratio(other_taps, other_shown),
        "recommendations.orders_per_tag_tap": ratio(orders, taps),
        "recommendations.orders_per_tag_tap_of_the_rest": ratio(other_orders, other_taps),
        **_gmv(asked, "recommended"),
    }


def _in_stream(asked: Asked) -> dict[str, Any]:
    if asked.kind not in KINDS_OF_PART["in_stream"]:
        return {"in_stream": ABSENT}
    orders = asked.sums["in_stream.orders"]
    return {
        "in_stream.orders": orders,
        "in_stream.orders_per_order": ratio(orders, asked.sums["events.purchase"]),
        **_gmv(asked, "in_stream"),
    }


def _gmv(asked: Asked, head: str) -> dict[str, Any]:
    """In every currency that the answer names: which these are is held to the truth elsewhere."""
    expected: dict[str, Any] = {}
    for currency in asked.part("money"):
        gmv = asked.sums[f"{head}.gmv_paid:{currency}"]
        expected[f"money.{currency}.{head}_gmv_paid_minor"] = gmv
        expected[f"money.{currency}.{head}_gmv_per_gmv_paid"] = ratio(gmv, asked.sums[f"gmv_paid:{currency}"])
    return expected

"""What is counted a second time: events by what one of their fields says, orders by their surface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SHOWCASE_EVENTS = ("view", "product_impression", "product_view")
RECOMMENDED_EVENTS = ("product_impression", "product_view", "tag_tap")
KINDS_OF_PART: Mapping[str, frozenset[str]] = {
    "showcase": frozenset({"creator", "brand", "merchant"}),
    "recommended": frozenset({"all", "platform"}),
    "in_stream": frozenset({"all", "platform", "live", "creator"}),
}
"""The kinds of scope that measures are kept for, by how their names begin; those of all others for every."""
SURFACE_OF_ORDERS = {"recommendation": "recommended", "live": "in_stream"}


def parts_of(event: Mapping[str, Any]) -> tuple[str, ...]:
    """The measures that count the event beside ``events.TYPE``."""
    kind = event["event_type"]
    match kind, event.get("surface"):
        case "review", _:
            return (f"reviews.{event['rating']}",)
        case "refund", _:
            return (f"refund_kind.{event.get('kind') or 'none'}",)
        case "mini_program_open", _:
            return (f"entries.{event['entry']}",)
        case _, "showcase" if kind in SHOWCASE_EVENTS:
            return (f"showcase.{kind}",)
        case _, "recommendation" if kind in RECOMMENDED_EVENTS:
            return (f"recommended.{kind}",)
    return ()


def of_order(surface: str | None, amounts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """What an order adds once more because of its surface, of (measure, amount) that it adds anyway."""
    head = SURFACE_OF_ORDERS.get(surface or "")
    if head is None:
        return []
    added = [(f"{head}.orders", n) for measure, n in amounts if measure == "events.purchase"]
    return added + [(f"{head}.{measure}", n) for measure, n in amounts if measure.startswith("gmv_paid:")]


def is_kept(measure: str, kind: str) -> bool:
    """Whether the kind of scope has the measure, as far as this module speaks of it."""
    kinds = KINDS_OF_PART.get(measure.partition(".")[0])
    return kinds is None or kind in kinds

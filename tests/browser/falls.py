"""Answers of `/api/v1/drops` as the service would give them, made up: what fell, and what is watched."""

from __future__ import annotations

from typing import Any

NOON_MS = 1_785_931_200_000
MINUTE_MS = 60_000
CUP = {"product_id": "p1", "title": "Cup", "unit_price_minor": 990, "currency": "EUR"}


def drop(scope: str, step: str, state: str = "drop", **more: Any) -> dict[str, Any]:
    """A drop with four causes, of which one would be markup."""
    causes = [("gateway adyen on tiktok", 0.64), ("<b>x</b>", 0.2), ("product p1", 0.1), ("country DE", 0.06)]
    return {
        "scope": scope,
        "step": step,
        "state": state,
        "since_ms": NOON_MS - 23 * MINUTE_MS,
        "since_or_earlier": False,
        "now_ratio": 0.012,
        "expected_ratio": 0.031,
        "sessions": 1234,
        "reached": 15,
        "window": "12m",
        "lost_orders": 12.3,
        "lost_orders_per_minute": 0.53,
        "lost_minor_per_minute": {"EUR": 310, "USD": 4250},
        "causes": [
            {"cause": cause, "share": share, "now_ratio": 0.1, "expected_ratio": 0.9, "n": 340}
            | (CUP if cause == "product p1" else {})
            for cause, share in causes
        ],
    } | more


def watched(**numbers: int) -> list[dict[str, Any]]:
    """So many steps of each state."""
    return [{"state": state} for state, number in numbers.items() for _ in range(number)]


def answer(*drops: dict[str, Any], **numbers: int) -> dict[str, Any]:
    """An answer with these drops, and so many watched steps of each state."""
    return {
        "as_of_ms": NOON_MS,
        "horizon_ms": 15 * MINUTE_MS,
        "left_out": [],
        "drops": list(drops),
        "watched": watched(**(numbers or {"watched": 5})),
    }

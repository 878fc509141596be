"""Apps: how many used one in a day and in a month."""

from __future__ import annotations

from typing import Any

from verify.asked import ABSENT, Asked, Near
from verify.panes import pane_start
from verify.rules import DAY_MS, SKETCH_KEPT_MS
from verify.totals import Range
from verify.users import STANDARD_ERROR

SPANS = {"day": 1, "month": 30}
"""Whole UTC days, the last that are over by the end of the asked range."""


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    if asked.kind != "app":
        return {"active_users": ABSENT}
    until_ms = pane_start(asked.span.to_ms, "1d")
    expected: dict[str, Any] = {}
    for name, days in SPANS.items():
        span = Range(until_ms - days * DAY_MS, until_ms, "1d")
        kept = {is_kept(span.from_ms, clock_ms, asked.totals.newest_ms) for clock_ms in asked.clock_ms}
        if len(kept) == 1:  # else it is for the reader's clock to say
            users = Near(asked.totals.user_count(asked.scope, "active", span))
            expected[f"active_users.{name}"] = users if True in kept else None
    if isinstance(expected.get("active_users.day"), Near):
        expected["users_standard_error"] = STANDARD_ERROR
    return expected


def is_kept(from_ms: int, clock_ms: int, newest_ms: int) -> bool:
    """Whether the users of all days from this one on are kept."""
    return from_ms >= max(clock_ms, newest_ms) - SKETCH_KEPT_MS["1d"]

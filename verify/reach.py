"""Reach of brands and merchants: what an answer must say of how many people saw something of theirs."""

from __future__ import annotations

from typing import Any

from verify.asked import ABSENT, Asked, Near
from verify.scopes import WITH_REACH
from verify.users import REACH


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be: over the whole days that the range touches."""
    if asked.kind not in WITH_REACH:
        return {"reach.users": ABSENT}
    span = asked.users_range
    return {"reach.users": None if span is None else Near(asked.totals.user_count(asked.scope, REACH, span))}

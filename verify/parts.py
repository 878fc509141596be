"""Events that are counted a second time, by what one of their fields says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def parts_of(event: Mapping[str, Any]) -> tuple[str, ...]:
    """The measures that count the event beside ``events.TYPE``."""
    match event["event_type"]:
        case "review":
            return (f"reviews.{event['rating']}",)
        case "mini_program_open":
            return (f"entries.{event['entry']}",)
    return ()

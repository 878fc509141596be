"""Mini-programs: how they were opened, and by the days of each user's opens who came back.

Opens are collected while the log is read; a user's days are laid side by side at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from verify.asked import ABSENT, Asked, ratio
from verify.model import Booking, Counted, CountedIn, Scope
from verify.rules import DAY_MS
from verify.scopes import ALL, ORDER_KINDS, WITHOUT_TRAFFIC

ENTRIES = ("explore", "qr_code", "shared_link", "search", "other")
RETURNS = {"next_day": 1, "day_7": 7}
WITH_RETURNS = frozenset({"all", "mini_program"})
_OF_OPENS = ("opens", "actions", "actions_per_open")
_OF_ONE = ("product_views_per_open", "orders_per_open", "shares_per_order")
"""Of a mini-program alone: elsewhere most orders are of none."""


class Returns:
    """The days on which users of one partition opened mini-programs."""

    def __init__(self) -> None:
        # By mini-program and user: day -> offset of an open on it.
        self._days: dict[tuple[str, str], dict[int, int]] = {}

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """Any accepted, real event; all but opens say nothing here."""
        if event["event_type"] == "mini_program_open":
            days = self._days.setdefault((event["mini_program_id"], event["user_id"]), {})
            days.setdefault(event["event_time_ms"] // DAY_MS, offset)

    def bookings(self, counted_in: CountedIn) -> Iterable[Booking]:
        """A user's day in its own cohort, and whether it was followed by the days that count."""
        for days in self._days.values():
            for day, offset in days.items():
                came_back = [(f"returns.{name}", 1) for name, after in RETURNS.items() if day + after in days]
                program = _program(counted_in["views", offset])
                yield Booking(day * DAY_MS, (ALL, program), (("returns.opened", 1), *came_back))


def _program(counted: Iterable[Counted]) -> Scope:
    return next(each.scope for each in counted if each.scope[0] == "mini_program")


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    sums = asked.sums
    opens, orders, views = (
        sums[f"events.{name}"] for name in ("mini_program_open", "purchase", "product_view")
    )
    expected: dict[str, Any] = dict.fromkeys((f"entries.{entry}" for entry in ENTRIES), ABSENT)
    expected |= dict.fromkeys((f"mini_program.{name}" for name in (*_OF_OPENS, *_OF_ONE)), ABSENT)
    if asked.kind == "qr":
        expected["mini_program.opens"] = opens
    elif asked.kind in ORDER_KINDS and asked.kind not in WITHOUT_TRAFFIC:
        actions, shares = sums["events.mini_program_action"], sums["events.share"]
        expected |= {f"entries.{entry}": sums[f"entries.{entry}"] for entry in ENTRIES}
        figures = (opens, actions, None if asked.events_capped else ratio(actions, opens))
        expected |= {f"mini_program.{name}": of for name, of in zip(_OF_OPENS, figures, strict=True)}
        if asked.kind == "mini_program":
            ratios = (ratio(views, opens), ratio(orders, opens), ratio(shares, orders))
            told = [None if asked.events_capped else each for each in ratios]
            expected |= {f"mini_program.{name}": of for name, of in zip(_OF_ONE, told, strict=True)}
    return expected | _returns(asked)


def _returns(asked: Asked) -> dict[str, Any]:
    """Null but over whole days, and before the day of the return is over as far as the answer knows."""
    if asked.span.size != "1d" and asked.span.from_ms % DAY_MS == asked.span.to_ms % DAY_MS == 0:
        return {}  # Whole days, of which these shorter panes know nothing.
    opened: Any = ABSENT if asked.kind not in WITH_RETURNS else None
    if asked.kind in WITH_RETURNS and asked.span.size == "1d":
        opened = asked.sums["returns.opened"]
    expected = {"returns.opened": opened}
    as_of_ms = asked.answer.get("as_of_ms")
    for name, after in RETURNS.items():
        count: Any = ABSENT if opened == ABSENT else None
        part: Any = count
        is_over = isinstance(as_of_ms, int) and as_of_ms >= asked.span.to_ms + after * DAY_MS
        if isinstance(opened, int) and is_over:
            count = asked.sums[f"returns.{name}"]
            part = None if asked.events_capped else ratio(count, opened)
        expected |= {f"returns.{name}": count, f"returns.{name}_per_opened": part}
    return expected

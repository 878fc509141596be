"""One question to the read service, with what the recomputation knows of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from verify.model import Scope
from verify.rules import SECOND_MS
from verify.scopes import WITH_REACH, WITH_SESSIONS, WITH_USERS
from verify.totals import Range, Totals, touched, users_range
from verify.users import WITH_SHARERS

VIEW_EVENTS = ("view", "live_join", "mini_program_open")
# The reader's clock may differ from ours by so much, or pass a border while it is asked.
CLOCK_SLACK_MS = 5 * SECOND_MS

ABSENT = "absent"


@dataclass(frozen=True)
class Near:
    """An estimate of so many users."""

    exact: int


@dataclass(frozen=True)
class OneOf:
    """Any of these: which one is for the reader's clock to say."""

    values: Collection[Any]


class Asked:
    """One question: the scope's sums over the range, the answer to it, and the clock when it was asked."""

    def __init__(
        self, totals: Totals, scope: Scope, span: Range, answer: Mapping[str, Any], now_ms: int
    ) -> None:
        self.totals = totals
        self.scope = scope
        self.kind, self.value = scope
        self.span = span
        self.answer = answer
        self.clock_ms = (now_ms - CLOCK_SLACK_MS, now_ms + CLOCK_SLACK_MS)
        self.sums = totals.of(scope, span)
        self.users_ranges = self._users_ranges()
        said = (answer.get("users_from_ms"), answer.get("users_to_ms"))
        fitting = [each for each in self.users_ranges if each is not None and each[:2] == said]
        self.users_range = fitting[0] if fitting else self.users_ranges[0]
        # A cap met in the range spoils everything; one met in the days that admit sessions, or in the panes
        # of users, spoils these.
        self.events_capped = totals.is_capped(self.kind, span)
        self.sessions_capped = self.events_capped or (
            self.kind in WITH_SESSIONS and totals.is_capped(self.kind, touched(span, "1d"))
        )
        self.users_capped = self.events_capped or (
            self.users_range is not None and totals.is_capped(self.kind, self.users_range)
        )

    @property
    def views(self) -> int:
        """View events."""
        return sum(self.sums[f"events.{name}"] for name in VIEW_EVENTS)

    def currencies(self, *groups: str) -> set[str]:
        """Those in which the scope has an amount, and those that the answer names in these groups."""
        booked = {measure.partition(":")[2] for measure, n in self.sums.items() if ":" in measure and n}
        return booked.union(*(self.part(group) for group in groups))

    def part(self, name: str) -> Mapping[str, Any]:
        """An object in the answer; empty when there is none."""
        found = self.answer.get(name)
        return found if isinstance(found, dict) else {}

    def _users_ranges(self) -> list[Range | None]:
        """The range of users, or the two that the reader's clock may choose from; None where none is kept."""
        if self.kind not in WITH_USERS | WITH_REACH | WITH_SHARERS:
            return [None]
        newest_ms = [max(clock_ms, self.totals.newest_ms) for clock_ms in self.clock_ms]
        sizes = ("1d",) if self.kind in WITH_REACH else ("1m", "1h", "1d")
        return [users_range(self.span, each, sizes) for each in newest_ms]


def ratio(part: int | None, whole: int | None) -> float | None:
    """None over nothing."""
    return part / whole if whole and part is not None else None

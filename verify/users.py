"""Distinct users, as exact sets: what the pipeline's sketches estimate.

By step, scope and pane. A user is a number made of the id: as good as the id, and smaller.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from verify.model import Scope, Users
from verify.panes import is_kept, pane_start
from verify.rules import DAY_MS, SKETCH_KEPT_MS
from verify.scopes import APP_RULE_ARM, WITH_REACH, WITH_REPEAT_BUYERS, WITH_USERS, of_kinds, of_purchase

REACH = "reach"
STEP_OF_EVENT: Mapping[str, str] = {
    "view": "view",
    "live_join": "view",
    "mini_program_open": "view",
    "tag_tap": "tag_tap",
    "add_to_cart": "add_to_cart",
    "product_impression": REACH,
    "product_view": REACH,
    "active": "active",
    "share": "share",
}
"""Traffic only; a purchase counts by its lines."""
WITH_SHARERS = frozenset({"all", "platform", "mini_program", "channel"})
OF_DAYS = {REACH: WITH_REACH, "active": frozenset({"app", APP_RULE_ARM})}
"""Steps whose users are kept by the day alone, of kinds of their own."""
KINDS_OF_STEP = {**OF_DAYS, "share": WITH_SHARERS}
REMEMBERED_MS = 400 * DAY_MS

STANDARD_ERROR = 0.0081
ERRORS_ALLOWED = 6
LEAST_SLACK = 2


@lru_cache(maxsize=1 << 16)
def number(*ids: str) -> int:
    """64 bits for a user, or for a user's session; never 0."""
    text = "".join(f"{len(each)}:{each}" for each in ids)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) or 1


def slack(exact: int) -> int:
    """How far an estimate may lie from this number of users.

    The standard error is one of many users. Of few, whoever shares a register with another is missing: of 53
    users three once in 15 000 sketches.
    """
    return round(LEAST_SLACK + ERRORS_ALLOWED * STANDARD_ERROR * exact)


class UserSets:
    """The users of one partition, whose highest accepted event time is `h`."""

    def __init__(self, h: int | None) -> None:
        self._h = h
        self._sets: dict[tuple[str, int], dict[str, set[int]]] = {}

    def keeps(self, size: str, start_ms: int) -> bool:
        """Whether the pane's users are kept."""
        return size in SKETCH_KEPT_MS and is_kept(start_ms, size, self._h, SKETCH_KEPT_MS[size])

    def add(self, step: str, size: str, start_ms: int, scopes: Iterable[Scope], user: int) -> None:
        """In this pane the user did the step in those of the scopes that are kept for it."""
        if not self.keeps(size, start_ms) or (step in OF_DAYS and size != "1d"):
            return
        for kind, value in of_kinds(scopes, KINDS_OF_STEP.get(step, WITH_USERS)):
            sets = self._sets.setdefault((size, start_ms), {})
            sets.setdefault(f"{step}:{kind}:{value}", set()).add(user)

    def users(self) -> Users:
        """All that are kept, in a form that is small and can be compared."""
        return {
            pane: {name: array("Q", sorted(users)) for name, users in sets.items()}
            for pane, sets in self._sets.items()
        }


class Bought(NamedTuple):
    """An accepted, real purchase; `repeated`: not the first one of its user."""

    user: int
    time_ms: int
    scopes: tuple[Scope, ...]
    repeated: bool


class Buyers:
    """Who bought when, in the order of the log."""

    def __init__(self) -> None:
        self.purchases: list[Bought] = []
        self._latest_ms: dict[int, int] = {}

    def add(self, purchase: Mapping[str, Any]) -> None:
        """An accepted, real purchase."""
        user, time_ms = number(purchase["user_id"]), purchase["event_time_ms"]
        latest_ms = self._latest_ms.get(user)
        repeated = latest_ms is not None and time_ms - latest_ms <= REMEMBERED_MS
        self._latest_ms[user] = time_ms if latest_ms is None else max(latest_ms, time_ms)
        self.purchases.append(Bought(user, time_ms, of_purchase(purchase, WITH_USERS), repeated))

    def count(self, sets: UserSets) -> None:
        """Adds every buyer."""
        for user, time_ms, scopes, repeated in self.purchases:
            for size in SKETCH_KEPT_MS:
                start_ms = pane_start(time_ms, size)
                sets.add("purchase", size, start_ms, scopes, user)
                if repeated:
                    whole = [scope for scope in scopes if scope[0] in WITH_REPEAT_BUYERS]
                    sets.add("repeat_purchase", size, start_ms, whole, user)

"""To whom lines belong that name neither live nor creator: found by sorting each user's taps.

It stands between the ledger, which leaves orders, and their bookings; and says what answers must say of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from verify.asked import ABSENT, Asked
from verify.model import Booking, Scope
from verify.money import Line, Order
from verify.rules import DAY_MS, TAP_HOLDS_MS
from verify.scopes import UNATTRIBUTED, WITH_ATTRIBUTION, of_creator, of_kinds, pair_value

TAPS_A_DAY = 200
ORDERS_A_DAY = 200
CLASSES = ("own", "direct", UNATTRIBUTED)

_Tap = tuple[int, int, str | None, str | None]
"""(time in ms, offset, live, creator)"""


class Taps:
    """The taps of one partition number, by user and product."""

    def __init__(self) -> None:
        self._taps: dict[tuple[str, str], list[_Tap]] = {}
        self._tapped: Counter[tuple[str, int]] = Counter()
        self._bookings: list[Booking] = []

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """Any accepted, real event; of taps the first of a user's day are kept."""
        if event["event_type"] != "tag_tap":
            return
        user, time_ms = event["user_id"], event["event_time_ms"]
        self._tapped[user, time_ms // DAY_MS] += 1
        if self._tapped[user, time_ms // DAY_MS] <= TAPS_A_DAY:
            tap = time_ms, offset, event.get("live_id"), event.get("creator_id")
            self._taps.setdefault((user, event["product_id"]), []).append(tap)

    def attribute(self, orders: Iterable[Order]) -> None:
        """Says to whom the lines of these orders (all that count, in log order) belong: once, at the end."""
        for taps in self._taps.values():
            taps.sort(key=lambda tap: tap[:2])
        asked: Counter[tuple[str, int]] = Counter()
        for order in orders:
            silent = [line for line in order.lines if line.live_id is None and line.creator_id is None]
            if silent:
                asked[order.user_id, order.time_ms // DAY_MS] += 1
                if asked[order.user_id, order.time_ms // DAY_MS] > ORDERS_A_DAY:
                    silent = []
            for line in order.lines:
                line.attribution = "own" if line.live_id or line.creator_id else UNATTRIBUTED
            for line in silent:
                tap = self._last(order.user_id, line.product_id, order.time_ms)
                if tap is not None:
                    line.live_id, line.creator_id = tap[2:]
                    line.attribution = "direct" if tap[2] or tap[3] else UNATTRIBUTED
            for line in order.lines:
                line.scopes += tuple(_added(line, dict(order.scopes)["platform"]))
            self._bookings += _bookings(order)

    def bookings(self) -> Iterable[Booking]:
        """Orders and GMV by attribution."""
        return self._bookings

    def _last(self, user: str, product: str, time_ms: int) -> _Tap | None:
        """The last tap at or before a moment, and within the window."""
        taps = self._taps.get((user, product), [])
        number = bisect_right(taps, time_ms, key=lambda tap: tap[0])
        return taps[number - 1] if number and taps[number - 1][0] >= time_ms - TAP_HOLDS_MS else None


def _added(line: Line, platform: str) -> Iterator[Scope]:
    """The scopes that attribution adds to those that the line has by its own fields."""
    direct = line.attribution == "direct"
    for kind, value in (("live", line.live_id), ("creator", line.creator_id)):
        if value is None:
            yield kind, UNATTRIBUTED
        elif direct:
            yield kind, value
    if direct and line.creator_id is not None:
        yield of_creator(platform, line.creator_id)
    if direct and line.live_id is not None:
        yield "live,product", pair_value(line.live_id, line.product_id)


def _bookings(order: Order) -> Iterator[Booking]:
    for of in CLASSES:
        lines = [line for line in order.lines if line.attribution == of]
        by_scope: dict[Scope, int] = {}
        for line in lines:
            for scope in of_kinds(line.scopes, WITH_ATTRIBUTION):
                by_scope[scope] = by_scope.get(scope, 0) + line.value_minor
        if lines:
            whole = sum(line.value_minor for line in lines)
            by_scope |= dict.fromkeys(of_kinds(order.scopes, WITH_ATTRIBUTION), whole)
        for scope, gmv in by_scope.items():
            amounts = (
                (f"attribution.orders_{of}", 1),
                (f"attribution.gmv_{of}:{order.currency}", gmv),
            )
            yield Booking(order.time_ms, (scope,), amounts)


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    if asked.kind not in WITH_ATTRIBUTION:
        return {"attribution": ABSENT}
    expected: dict[str, Any] = {
        f"attribution.{of}_orders": asked.sums[f"attribution.orders_{of}"] for of in CLASSES
    }
    for currency in asked.part("money"):
        for of in CLASSES:
            name = f"money.{currency}.gmv_{of}_minor"
            expected[name] = asked.sums[f"attribution.gmv_{of}:{currency}"]
    return expected

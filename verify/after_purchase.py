"""What became of orders after they were paid: all that was said of an order, looked at as a whole.

Purchases, statuses and reviews of one partition are collected by user and order while the log is read; at the
end each purchase takes what was said of its order within its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from verify import aged
from verify.asked import ABSENT, Asked, ratio
from verify.model import Booking, Scope
from verify.rules import DAY_MS, SECOND_MS, Rules
from verify.scopes import LINE_KINDS, ORDER_KINDS, WITHOUT_TRAFFIC, of_kinds, of_purchase

FOLLOWED_DAYS = 60
STEPS = ("shipped", "delivered", "completed", "cancelled")
BUCKETS_S = (
    *(600, 1_200, 1_800, 2_700, 3_600, 5_400, 7_200, 14_400, 28_800, 43_200),
    *(86_400 * days for days in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 21, 28, 61)),
)
WITH_TIMES = frozenset({"all", "platform", "country", "merchant"})
WITH_JOURNEYS = frozenset(ORDER_KINDS + LINE_KINDS) - {"live", "creator", "live,product"}
REFUND_KINDS = ("cancel", "return", "refund_only", "chargeback", "none")
LEAST_ORDERS = 50
MATURE_MS = 30 * DAY_MS


class AfterPurchase:
    """The orders of one partition."""

    def __init__(self, rules: Rules) -> None:
        self._on_time_ms = rules.on_time_days * DAY_MS
        self._purchases: list[Mapping[str, Any]] = []
        self._said: dict[tuple[str, str], list[tuple[str, int]]] = {}

    def add(self, event: Mapping[str, Any], _offset: int) -> None:
        """Any accepted, real event; what says nothing of an order is passed over."""
        kind = event["event_type"]
        if kind == "purchase":
            self._purchases.append(event)
        elif kind == "order_status" or (kind == "review" and "order_id" in event):
            what = event.get("status", "reviewed")
            order = event["user_id"], event["order_id"]
            self._said.setdefault(order, []).append((what, event["event_time_ms"]))

    def bookings(self) -> Iterator[Booking]:
        """At the time of each purchase what became of it."""
        for purchase in self._purchases:
            bought_ms = purchase["event_time_ms"]
            times: dict[str, list[int]] = {}
            for what, time_ms in self._said.get((purchase["user_id"], purchase["order_id"]), ()):
                if -1 <= time_ms // DAY_MS - bought_ms // DAY_MS <= FOLLOWED_DAYS:
                    times.setdefault(what, []).append(time_ms)
            counted = [f"after.{step}" for step in STEPS if step in times]
            scopes = of_purchase(purchase, WITH_JOURNEYS)
            if "delivered" in times:
                took_ms = min(times["delivered"]) - bought_ms
                if took_ms <= self._on_time_ms:
                    counted.append("after.on_time")
                if "reviewed" in times:
                    counted.append("after.reviewed")
                upper_s = min(each for each in BUCKETS_S if each * SECOND_MS >= took_ms)
                yield _booking(bought_ms, of_kinds(scopes, WITH_TIMES), [f"delivery_time.{upper_s}"])
            yield _booking(bought_ms, scopes, counted)


def _booking(time_ms: int, scopes: tuple[Scope, ...], measures: list[str]) -> Booking:
    return Booking(time_ms, scopes, tuple((measure, 1) for measure in measures))


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    sums = asked.sums
    count = {name: sums[f"after.{name}"] for name in (*STEPS, "on_time", "reviewed")}
    orders = sums["events.purchase"]
    ratios = {
        "on_time_per_delivered_orders": ratio(count["on_time"], count["delivered"]),
        "reviewed_per_delivered_orders": ratio(count["reviewed"], count["delivered"]),
        "delivered_per_orders": ratio(count["delivered"], orders),
        "cancelled_per_orders": ratio(count["cancelled"], orders),
    }
    told = asked.kind in WITH_JOURNEYS
    expected: dict[str, Any] = {f"ratios.{name}": of if told else None for name, of in ratios.items()}
    names = {"on_time": "delivered_on_time", "reviewed": "delivered_and_reviewed"}
    for name, number in count.items():
        expected[f"after_purchase.{names.get(name, name)}"] = number if told else ABSENT
    for percent in (50, 90):
        seconds = _quantile_s(asked, percent) if asked.kind in WITH_TIMES else ABSENT
        expected[f"after_purchase.delivery_p{percent}_seconds"] = seconds
    for kind in REFUND_KINDS:
        counted = sums[f"refund_kind.{kind}"]
        expected[f"refunds.by_kind.{kind}"] = ABSENT if asked.kind in WITHOUT_TRAFFIC else counted
    for currency in asked.part("money"):
        gmv, back = sums[f"gmv_paid:{currency}"], sums[f"refunds_of_purchases:{currency}"]
        enough = sums[f"orders:{currency}"] >= LEAST_ORDERS
        name = f"money.{currency}.refunds_of_purchases_per_gmv_paid"
        expected[name] = ratio(back, gmv) if enough else None
    mature = aged.older_than(asked, "events.purchase", MATURE_MS, "1h")
    return expected | aged.expected("ratios.orders_past_30_days_per_orders", mature, orders)


def _quantile_s(asked: Asked, percent: int) -> float | None:
    """Seconds to the delivery that so many per cent of the orders stayed below; linear within a bucket."""
    counts = [asked.sums[f"delivery_time.{upper}"] for upper in BUCKETS_S]
    wanted = sum(counts) * percent / 100
    passed, lower = 0, 0
    for count, upper in zip(counts, BUCKETS_S, strict=True):
        if count and passed + count >= wanted:
            return lower + (upper - lower) * (wanted - passed) / count
        passed, lower = passed + count, upper
    return None

"""Scenarios: what became of orders after they were paid, and who reviewed them."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    NOON,
    SECOND,
    Scenario,
    Sent,
    cell,
    event,
    line,
    purchase,
    refund,
    step,
)

AFTER = ("after.", "delivery_time.")


def status(event_id: str, order_id: str, at: int, to: str, *, ts: int | None = None, **more: Any) -> Sent:
    """An order of u1 reached a status."""
    value = event("order_status", event_id, at, **{"order_id": order_id, "status": to} | more)
    return Sent(topic="purchases", value=value, at=at if ts is None else ts)


def review(event_id: str, order_id: str | None, at: int, *, ts: int | None = None, **more: Any) -> Sent:
    """A review of p1 by u1; of no order where `order_id` is None."""
    own: dict[str, Any] = {"product_id": "p1", "rating": 5}
    own |= {"order_id": order_id} if order_id else {}
    return Sent(
        topic="engagement",
        value=event("review", event_id, at, **own | more),
        at=at if ts is None else ts,
    )


AFTER_PURCHASE = (
    Scenario(
        name="an_order_until_it_is_completed",
        fact="What became of an order is counted at the time of its purchase, in its scopes and its lines'.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100, merchant_id="m1"), line("p2", 1, 100), country="US"),
            status("e1", "o1", NOON + SECOND, "placed"),
            status("e2", "o1", NOON + DAY, "shipped", country="DE"),
            status("e3", "o1", NOON + 3 * DAY, "delivered"),
            status("e4", "o1", NOON + 9 * DAY, "completed"),
        ),
        kinds=("all", "gateway", "country", "product", "merchant", "live"),
        measures=AFTER,
        cells=dict(
            [
                cell(measure, 1, scope)
                for scope in ("all", "gateway:adyen", "country:US", "product:p1", "product:p2", "merchant:m1")
                for measure in ("after.shipped", "after.delivered", "after.on_time", "after.completed")
            ]
            + [
                cell(f"delivery_time.{3 * 86_400}", 1, scope)
                for scope in ("all", "country:US", "merchant:m1")
            ]
        ),
    ),
    Scenario(
        name="an_order_counts_once_in_each_status",
        fact="The earliest word on each status holds, also if it comes last or before the purchase.",
        records=(
            status("e1", "o1", NOON + 8 * DAY, "delivered", ts=NOON + 8 * DAY),
            purchase("o1", NOON + 2 * DAY, line("p1", 1, 100), ts=NOON + 8 * DAY),
            status("e2", "o1", NOON + 2 * DAY + HOUR, "delivered", ts=NOON + 8 * DAY),
            status("e2", "o1", NOON + 2 * DAY + HOUR, "delivered", ts=NOON + 8 * DAY),
            status("e3", "o1", NOON + 3 * DAY, "cancelled", ts=NOON + 8 * DAY),
        ),
        measures=AFTER,
        cells=dict(
            cell(measure, 1, start=MONDAY + 2 * DAY)
            for measure in ("after.delivered", "after.on_time", "after.cancelled", "delivery_time.3600")
        ),
    ),
    Scenario(
        name="on_time_to_the_millisecond",
        fact="Seven days after its purchase an order is delivered on time, a millisecond later it is not.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            purchase("o2", NOON, line("p1", 1, 100)),
            status("e1", "o1", NOON + 7 * DAY, "delivered"),
            status("e2", "o2", NOON + 7 * DAY + 1, "delivered"),
        ),
        measures=AFTER,
        cells=dict(
            [
                cell("after.delivered", 2),
                cell("after.on_time", 1),
                cell(f"delivery_time.{7 * 86_400}", 1),
                cell(f"delivery_time.{8 * 86_400}", 1),
            ]
        ),
    ),
    Scenario(
        name="on_time_is_a_setting",
        fact="With one day allowed, two days are late.",
        records=(purchase("o1", NOON, line("p1", 1, 100)), status("e1", "o1", NOON + 2 * DAY, "delivered")),
        measures=("after.",),
        cells=dict([cell("after.delivered", 1)]),
        settings={"on_time_days": 1},
    ),
    Scenario(
        name="followed_for_sixty_days",
        fact="What is said 60 days after the day of the purchase counts, on the 61st day nothing does.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            purchase("o2", NOON, line("p1", 1, 100)),
            status("e1", "o1", MONDAY + 61 * DAY - 1, "delivered"),
            status("e2", "o2", MONDAY + 61 * DAY, "delivered"),
            review("e3", "o1", MONDAY + 61 * DAY),
        ),
        measures=AFTER,
        cells=dict([cell("after.delivered", 1), cell(f"delivery_time.{61 * 86_400}", 1)]),
    ),
    Scenario(
        name="reviewed_orders",
        fact="A delivered order counts once as reviewed, by its buyer alone; one not delivered does not.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), line("p2", 1, 100)),
            purchase("o2", NOON, line("p1", 1, 100)),
            purchase("o3", NOON, line("p3", 1, 100)),
            status("e1", "o1", NOON + MINUTE, "delivered"),
            status("e2", "o2", NOON + MINUTE, "delivered"),
            review("e3", "o1", NOON + HOUR),
            review("e4", "o1", NOON + HOUR, product_id="p2"),
            # Of no order, of one that did not arrive, by somebody else, by a bot.
            review("e5", None, NOON + HOUR),
            review("e6", "o3", NOON + HOUR),
            review("e7", "o2", NOON + HOUR, user_id="u2"),
            review("e8", "o2", NOON + HOUR, traffic="bot"),
        ),
        kinds=("all", "product"),
        measures=("after.",),
        cells=dict(
            [
                cell(measure, amount, scope)
                for scope, amount in (("all", 2), ("product:p1", 2), ("product:p2", 1))
                for measure in ("after.delivered", "after.on_time")
            ]
            + [cell("after.reviewed", 1, scope) for scope in ("all", "product:p1", "product:p2")]
        ),
    ),
    Scenario(
        name="a_review_before_its_order",
        fact="A review that is read before its order and its delivery counts when these come.",
        records=(
            review("e1", "o1", NOON + HOUR),
            purchase("o1", NOON, line("p1", 1, 100)),
            status("e2", "o1", NOON + MINUTE, "delivered"),
        ),
        measures=("after.reviewed",),
        cells=dict([cell("after.reviewed", 1)]),
    ),
    Scenario(
        name="an_order_id_used_again",
        fact="Each purchase of an order id takes what was said within its own time.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            status("e1", "o1", NOON + DAY, "delivered"),
            purchase("o1", NOON + 70 * DAY, line("p1", 1, 100)),
            status("e2", "o1", NOON + 80 * DAY, "delivered"),
        ),
        measures=("after.",),
        cells=dict(
            [
                cell("after.delivered", 1),
                cell("after.on_time", 1),
                cell("after.delivered", 1, start=MONDAY + 70 * DAY),
            ]
        ),
    ),
    Scenario(
        name="excluded_orders_have_no_journey",
        fact="A test order is no cohort, and a test status says nothing.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), traffic="test"),
            status("e1", "o1", NOON + DAY, "delivered"),
            purchase("o2", NOON, line("p1", 1, 100)),
            status("e2", "o2", NOON + DAY, "delivered", traffic="sample"),
        ),
        measures=AFTER,
        cells={},
    ),
    Scenario(
        name="reach_of_merchants_and_brands",
        fact="Who was shown a product of theirs, or opened one, counts once a day; who saw a video does not.",
        records=(
            step("product_impression", "e1", NOON, product_id="p1", merchant_id="m1"),
            step("product_view", "e2", NOON + 1, product_id="p1", merchant_id="m1", brand_id="b1"),
            step("product_view", "e3", NOON + HOUR, product_id="p1", merchant_id="m1", user_id="u2"),
            step("view", "e4", NOON + HOUR, merchant_id="m1", user_id="u3"),
        ),
        kinds=("merchant", "brand"),
        sizes=("1m", "1h", "1d"),
        measures=("users.",),
        cells={},
        users=dict([cell("reach", 2, "merchant:m1"), cell("reach", 1, "brand:b1")]),
    ),
    Scenario(
        name="refunds_by_kind",
        fact="A refund counts under its kind, where its envelope says; one that is refused later does not.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), line("p2", 1, 100)),
            refund("r1", "o1", NOON, 10, kind="return", live_id="L1"),
            refund("r2", "o1", NOON, 10),
            refund("r3", "o2", NOON, 500, kind="chargeback"),
            purchase("o2", NOON, line("p1", 1, 100)),
        ),
        kinds=("all", "live"),
        measures=("refund_kind.",),
        cells=dict(
            [
                cell("refund_kind.return", 1),
                cell("refund_kind.return", 1, "live:L1"),
                cell("refund_kind.none", 1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 3, "conflicting_duplicate")}),
    ),
)

"""Scenarios: orders that somebody tried to pay for, and the reasons of failures and refunds."""

from __future__ import annotations

from tests.scenario_kit import (
    DAY,
    MINUTE,
    MONDAY,
    NOON,
    SECOND,
    Scenario,
    cell,
    line,
    pair,
    payment,
    purchase,
    refund,
)

BY_PAYMENT = ("reasons.declined", "reasons.errors")


def why(reason: str, first: str = "tiktok", second: str = "adyen", kind: str = "payment") -> str:
    """The scope of a reason: of a platform's gateway, or of a platform's kind of refund."""
    return pair(f"{kind},reason", pair("", first, second)[1:], reason)


REASONS = (
    Scenario(
        name="orders_with_several_attempts",
        fact="An order counts once, where its first payment lies; one authorised attempt authorises it.",
        records=(
            payment("e1", "o1", NOON + MINUTE, "declined", attempt_id="2"),
            payment("e2", "o1", NOON + 2 * MINUTE, "authorised", attempt_id="3", gateway="stripe"),
            payment("e3", "o1", NOON, "error", attempt_id="1", ts=NOON + 2 * MINUTE),
            payment("e4", "o2", NOON, "declined", ts=NOON + 2 * MINUTE),
        ),
        kinds=("all", "gateway", "platform,gateway"),
        sizes=("1m",),
        measures=("paying.",),
        cells=dict(
            cell(measure, amount, scope, "1m", NOON)
            for scope in ("all", "gateway:adyen", pair("platform,gateway", "tiktok", "adyen"))
            for measure, amount in (("paying.orders", 2), ("paying.authorised", 1))
        ),
    ),
    Scenario(
        name="an_order_loses_its_authorisation",
        fact="When an attempt's latest word is no longer `authorised`, neither is its order.",
        records=(
            payment("e1", "o1", NOON, "authorised"),
            payment("e2", "o1", NOON + SECOND, "declined"),
        ),
        measures=("paying.",),
        cells=dict([cell("paying.orders", 1)]),
    ),
    Scenario(
        name="an_order_is_forgotten_by_its_latest_payment",
        fact="90 days after its latest payment an order still takes another, on the 91st day it begins anew.",
        records=(
            payment("e1", "o1", NOON, "authorised", attempt_id="1"),
            payment("e2", "o1", NOON + 60 * DAY, "declined", attempt_id="2"),
            payment("e3", "o1", NOON + 150 * DAY, "authorised", attempt_id="2"),
            payment("e4", "o1", MONDAY + 241 * DAY, "declined", attempt_id="3"),
        ),
        measures=("paying.",),
        cells=dict(
            [
                cell("paying.orders", 1),
                cell("paying.authorised", 1),
                cell("paying.orders", 1, start=MONDAY + 241 * DAY),
            ]
        ),
    ),
    Scenario(
        name="failures_by_their_latest_reason",
        fact="A failed attempt counts under the reason of its latest event, where its first event lies.",
        records=(
            payment("e1", "o1", NOON, "declined", reason="funds"),
            payment("e2", "o1", NOON + 1, "declined", reason="expired"),
            payment("e3", "o2", NOON, "timeout"),
            payment("e4", "o3", NOON, "error", reason="funds", gateway="stripe"),
            # A reason of what did not fail says nothing.
            payment("e5", "o4", NOON, "authorised", reason="funds"),
            payment("e6", "o5", NOON, "declined", reason="funds"),
            payment("e7", "o5", NOON + 1, "authorised"),
        ),
        kinds=("payment,reason",),
        measures=BY_PAYMENT,
        cells=dict(
            [
                cell("reasons.declined", 1, why("expired")),
                cell("reasons.errors", 1, why("")),
                cell("reasons.errors", 1, why("funds", second="stripe")),
            ]
        ),
    ),
    Scenario(
        name="fifty_reasons_a_day",
        fact="Of a gateway the first 50 reasons of a day count by name, the others as `other`.",
        records=(
            *(payment(f"e{n}", f"o{n}", NOON + n, "declined", reason=f"r{n}") for n in range(52)),
            payment("f1", "p1", NOON + 60, "error", reason="r51", gateway="stripe"),
            payment("f2", "p2", NOON + 61, "declined", reason="r49"),
            payment("f3", "p3", NOON + DAY, "declined", reason="r51"),
        ),
        kinds=("payment,reason",),
        measures=BY_PAYMENT,
        cells=dict(
            [
                *(cell("reasons.declined", 1 + (n == 49), why(f"r{n}")) for n in range(50)),
                cell("reasons.declined", 2, why("other")),
                cell("reasons.errors", 1, why("r51", second="stripe")),
                cell("reasons.declined", 1, why("r51"), start=MONDAY + DAY),
            ]
        ),
    ),
    Scenario(
        name="refunds_by_reason",
        fact="Refunds count by platform, kind and reason; one that waited and is refused is taken back.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            refund("r1", "o1", NOON, 10, kind="return", reason="size"),
            refund("r2", "o1", NOON, 10),
            refund("r3", "o2", NOON, 500, kind="return", reason="size"),
            purchase("o2", NOON, line("p1", 1, 100)),
            refund("r4", "o2", NOON, 10, kind="return", reason="size", platform="douyin"),
            refund("r5", "o1", NOON, 10, kind="return", reason="late", traffic="test"),
        ),
        kinds=("refund,reason",),
        measures=("reasons.",),
        cells=dict(
            [
                cell("reasons.refunds", 1, why("size", second="return", kind="refund")),
                cell("reasons.refunds", 1, why("", second="", kind="refund")),
                cell("reasons.refunds", 1, why("size", "douyin", "return", kind="refund")),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 3, "conflicting_duplicate")}),
    ),
)

"""Scenarios: purchases, what they book in which scope, duplicates of orders, the order's horizon."""

from __future__ import annotations

from tests.scenario_kit import (
    DAY,
    MINUTE,
    MONDAY,
    NOON,
    Scenario,
    cell,
    counted,
    line,
    purchase,
    refund,
    tick,
)

WEEK = 7 * DAY
QUALITY = ("all", "pipeline")
MONEY = ("orders", "items", "gmv_paid", "buyer_paid", "refunds", "unattributed_refunds", "commission")

PURCHASES = (
    Scenario(
        name="order_level_takes_the_whole_order",
        fact="GMV is line values; the buyer pays less platform discount, plus tax and shipping.",
        records=(
            purchase(
                "o1", NOON,
                line("p1", 3, 1_000, seller_discount_minor=500, platform_discount_minor=200, tax_minor=70),
                line("p2", 1, 400, tax_minor=30),
                shipping_minor=299, surface="live", country="US",
            ),
        ),
        kinds=("all", "platform", "surface", "gateway", "mini_program", "country"),
        cells=dict(
            cell(measure, amount, scope)
            for scope in ("all", "platform:tiktok", "surface:live", "gateway:adyen", "country:US")
            for measure, amount in (
                ("events.purchase", 1),
                ("orders:USD", 1),
                ("items", 4),
                ("gmv_paid:USD", 2_900),
                ("buyer_paid:USD", 3_099),
            )
        ),
    ),
    Scenario(
        name="line_level_takes_lines_that_carry_it",
        fact="A line counts under the item's value, else the envelope's; shipping counts under none.",
        records=(
            purchase(
                "o1", NOON,
                line("p1", 1, 1_000, live_id="L2", tax_minor=5),
                line("p2", 2, 300),
                line("p1", 1, 50, brand_id="b1"),
                shipping_minor=299, live_id="L1",
            ),
        ),
        kinds=("product", "live", "brand"),
        cells=dict(
            cell(measure, amount, scope)
            for scope, items, gmv, buyer_paid in (
                ("product:p1", 2, 1_050, 1_055),
                ("product:p2", 2, 600, 600),
                ("live:L2", 1, 1_000, 1_005),
                ("live:L1", 3, 650, 650),
                ("brand:b1", 1, 50, 50),
            )
            for measure, amount in (
                ("events.purchase", 1),
                ("orders:USD", 1),
                ("items", items),
                ("gmv_paid:USD", gmv),
                ("buyer_paid:USD", buyer_paid),
            )
        ),
    ),
    Scenario(
        name="envelope_product_is_not_a_line",
        fact="The product scope of a purchase is its lines', never the envelope's.",
        records=(purchase("o1", NOON, line("p1", 1, 100), product_id="p9"),),
        kinds=("product",),
        measures=("orders",),
        cells=dict([cell("orders:USD", 1, "product:p1")]),
    ),
    Scenario(
        name="commission_floors_per_line",
        fact="Commission is rounded down line by line, not once for the order.",
        records=(
            purchase(
                "o1", NOON,
                line("p1", 1, 199, commission_bps=1_000, affiliate_id="a1"),
                line("p2", 1, 199, commission_bps=1_000, affiliate_id="a1"),
                line("p3", 1, 199),
            ),
        ),
        kinds=("all", "affiliate", "product"),
        measures=("commission",),
        cells=dict(
            cell("commission:USD", amount, scope)
            for scope, amount in (("all", 38), ("affiliate:a1", 38), ("product:p1", 19), ("product:p2", 19))
        ),
    ),
    Scenario(
        name="currencies_are_never_added",
        fact="Amounts and orders are kept per currency; items are not.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            purchase("o2", NOON, line("p1", 2, 70), currency="EUR"),
        ),
        cells=dict(
            [
                cell("events.purchase", 2),
                cell("items", 3),
                *(cell(f"{m}:USD", n) for m, n in (("orders", 1), ("gmv_paid", 100), ("buyer_paid", 100))),
                *(cell(f"{m}:EUR", n) for m, n in (("orders", 1), ("gmv_paid", 140), ("buyer_paid", 140))),
            ]
        ),
    ),
    Scenario(
        name="same_order_other_money",
        fact="An order that comes again with other money is a dead letter and changes nothing.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            purchase("o1", NOON, line("p1", 1, 101)),
            purchase("o1", NOON, line("p1", 1, 100), currency="EUR"),
            purchase("o1", NOON, line("p1", 1, 100), shipping_minor=1),
        ),
        kinds=QUALITY,
        measures=("gmv_paid", "accepted", "dead_letters"),
        cells=dict(
            [
                cell("gmv_paid:USD", 100),
                *counted("purchases", accepted=1, dead_letters__conflicting_duplicate=3),
            ]
        ),
        dead_letters=frozenset(("purchases", 0, n, "conflicting_duplicate") for n in (1, 2, 3)),
    ),
    Scenario(
        name="same_order_same_money",
        fact="Zero and absent money fields are the same; fields that are not money make no conflict.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            purchase("o1", NOON + 1, line("p1", 1, 100, tax_minor=0), shipping_minor=0, gateway="x"),
        ),
        kinds=QUALITY,
        measures=("gmv_paid", "accepted", "duplicates", "dead_letters"),
        cells=dict([cell("gmv_paid:USD", 100), *counted("purchases", accepted=1, duplicates=1)]),
    ),
    Scenario(
        name="order_after_its_horizon",
        fact="Past lateness + 1 minute a known order counts again, and replaces what refunds are taken from.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            purchase("o1", NOON + WEEK + 2 * MINUTE - 1, line("p1", 1, 100)),
            purchase("o1", NOON + WEEK + 2 * MINUTE, line("p1", 1, 40)),
            refund("r1", "o1", NOON + WEEK + 2 * MINUTE, 41),
            refund("r2", "o1", NOON + WEEK + 2 * MINUTE, 40),
        ),
        kinds=QUALITY,
        measures=("gmv_paid", "refunds", "duplicates", "dead_letters"),
        cells=dict(
            [
                cell("gmv_paid:USD", 100),
                cell("gmv_paid:USD", 40, start=MONDAY + WEEK),
                cell("refunds:USD", 40, start=MONDAY + WEEK),
                cell("refunds_of_purchases:USD", 40, start=MONDAY + WEEK),
                *counted(
                    "purchases", start=MONDAY + WEEK, duplicates=1, dead_letters__conflicting_duplicate=1
                ),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 3, "conflicting_duplicate")}),
    ),
    Scenario(
        name="excluded_order",
        fact="A test order counts nowhere, its refunds neither, but they are held against it.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), traffic="test"),
            refund("r1", "o1", NOON, 60),
            refund("r2", "o1", NOON, 60),
        ),
        kinds=QUALITY,
        cells=dict(
            [
                cell("events.refund", 1),
                *counted("purchases", excluded=1, accepted=1, dead_letters__conflicting_duplicate=1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 2, "conflicting_duplicate")}),
    ),
    Scenario(
        name="known_on_the_last_day",
        fact="90 days after the purchase, counted in whole days, a refund still finds its order.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            refund("r1", "o1", MONDAY + 91 * DAY - 1, 60),
        ),
        measures=("refunds", "unattributed"),
        cells=dict(
            [
                cell("refunds_of_purchases:USD", 60),
                cell("refunds:USD", 60, start=MONDAY + 90 * DAY),
            ]
        ),
    ),
    Scenario(
        name="forgotten_a_day_later",
        fact="On the 91st day the order is gone: a refund of any amount waits, and is then unattributed.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            refund("r1", "o1", MONDAY + 91 * DAY, 600),
            tick("e1", MONDAY + 98 * DAY),
        ),
        measures=("refunds", "unattributed"),
        cells=dict(
            [
                cell("refunds:USD", 600, start=MONDAY + 91 * DAY),
                cell("unattributed_refunds:USD", 600, start=MONDAY + 91 * DAY),
            ]
        ),
    ),
)  # fmt: skip

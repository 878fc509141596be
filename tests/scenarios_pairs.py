"""Scenarios: pairs of scopes, and units sold by SKU."""

from __future__ import annotations

from tests.scenario_kit import NOON, Scenario, cell, line, pair, payment, purchase, refund, step

ON_LIVE = pair("platform,surface", "tiktok", "live")
BY_ADYEN = pair("platform,gateway", "tiktok", "adyen")

PAIRS = (
    Scenario(
        name="pairs_of_an_order",
        fact="Order-level pairs take the whole order, from the envelope.",
        records=(
            purchase("o1", NOON, line("p1", 2, 100), line("p2", 1, 50, tax_minor=5), surface="live",
                     shipping_minor=9),
            purchase("o2", NOON, line("p1", 1, 7)),
        ),
        kinds=("platform,surface", "platform,gateway"),
        cells=dict(
            cell(measure, amount, scope)
            for scope, orders, items, gmv, paid in ((ON_LIVE, 1, 3, 250, 264), (BY_ADYEN, 2, 4, 257, 271))
            for measure, amount in (
                ("events.purchase", orders), ("orders:USD", orders), ("items", items), ("gmv_paid:USD", gmv),
                ("buyer_paid:USD", paid),
            )
        ),
    ),
    Scenario(
        name="pairs_of_lines",
        fact="A line counts in the pair of its live, or else the envelope's, with its product.",
        records=(
            purchase(
                "o1", NOON,
                line("p1", 1, 1_000, live_id="L2"), line("p1", 2, 300), line("p1", 1, 50), line("p2", 1, 7),
                live_id="L1", product_id="p9",
            ),
            purchase("o2", NOON, line("p1", 1, 5)),
        ),
        kinds=("live,product",),
        measures=("orders", "items", "gmv_paid"),
        cells=dict(
            cell(measure, amount, pair("live,product", live, p))
            for live, p, items, gmv in (("L2", "p1", 1, 1_000), ("L1", "p1", 3, 650), ("L1", "p2", 1, 7))
            for measure, amount in (("orders:USD", 1), ("items", items), ("gmv_paid:USD", gmv))
        ),
    ),
    Scenario(
        name="pairs_of_traffic",
        fact="An event counts in a pair when it carries both values; no shopper names a gateway.",
        records=(
            step("view", "e1", NOON, surface="live", live_id="L1", product_id="p1"),
            step("view", "e2", NOON, surface="nowhere", live_id="L1"),
            step("tag_tap", "e3", NOON),
            payment("e4", "o1", NOON, "authorised", surface="live"),
            payment("e5", "o1", NOON, "authorised", live_id="L1", product_id="p1"),
        ),
        kinds=("platform,surface", "platform,gateway", "live,product"),
        measures=("events", "pay.attempts"),
        cells=dict(
            [
                cell("events.view", 1, ON_LIVE),
                cell("events.view", 1, pair("platform,surface", "tiktok", "other")),
                cell("events.view", 1, pair("live,product", "L1", "p1")),
                cell("events.payment", 1, ON_LIVE), cell("pay.attempts", 1, ON_LIVE),
                cell("events.payment", 2, BY_ADYEN), cell("pay.attempts", 1, BY_ADYEN),
                cell("events.payment", 1, pair("live,product", "L1", "p1")),
            ]
        ),
    ),
    Scenario(
        name="pairs_of_a_refund",
        fact="A refund is booked on its order's pairs and those of its lines, commission too.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100, commission_bps=1_000), line("p2", 1, 300), surface="live",
                     live_id="L1"),
            refund("r1", "o1", NOON, 40, surface="search", live_id="L2", product_id="p2"),
        ),
        kinds=("platform,surface", "platform,gateway", "live,product"),
        measures=("refunds", "commission", "events.refund"),
        cells=dict(
            [
                *(
                    cell(measure, amount, scope)
                    for scope, amount in (
                        (ON_LIVE, 40), (BY_ADYEN, 40), (pair("live,product", "L1", "p1"), 10),
                        (pair("live,product", "L1", "p2"), 30),
                    )
                    for measure in ("refunds:USD", "refunds_of_purchases:USD")
                ),
                *(
                    cell("commission:USD", 9, scope)
                    for scope in (ON_LIVE, BY_ADYEN, pair("live,product", "L1", "p1"))
                ),
                cell("events.refund", 1, pair("platform,surface", "tiktok", "search")),
                cell("events.refund", 1, pair("live,product", "L2", "p2")),
            ]
        ),
    ),
    Scenario(
        name="pairs_are_told_apart",
        fact="Whatever stands in the two values, two pairs never share a cell.",
        records=(
            step("view", "e1", NOON, live_id="a", product_id="bc"),
            step("view", "e2", NOON, live_id="ab", product_id="c"),
            step("view", "e3", NOON, live_id="1:", product_id="|,product:"),
            step("view", "e4", NOON, live_id="é", product_id="x"),
        ),
        kinds=("live,product",),
        cells=dict(
            cell("events.view", 1, f"live,product:{stored}")
            for stored in ("1:abc", "2:abc", "2:1:|,product:", "1:éx")
        ),
    ),
    Scenario(
        name="units_of_a_sku",
        fact="Units sold are kept by product and SKU, where a line names one; a refund brings none back.",
        records=(
            purchase(
                "o1", NOON, line("p1", 2, 9, sku_id="s1"), line("p1", 3, 90), line("p1", 1, 1, sku_id="s1"),
                sku_id="s9",
            ),
            refund("r1", "o1", NOON, 100),
            purchase("o2", NOON, line("p1", 9, 100), traffic="test"),
        ),
        kinds=("product,sku",),
        cells=dict([cell("items", 3, "product,sku:2:p1s1")]),
    ),
)  # fmt: skip

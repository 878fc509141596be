"""Scenarios: refunds, how they are split over lines, how they wait for their order."""

from __future__ import annotations

from tests.scenario_kit import (
    DAY,
    MONDAY,
    NOON,
    Scenario,
    cell,
    counted,
    line,
    purchase,
    refund,
    refunded,
    tick,
)

WEEK = 7 * DAY
QUALITY = ("all", "pipeline")
CONFLICT = "conflicting_duplicate"

REFUNDS = (
    Scenario(
        name="split_ties_go_in_line_order",
        fact="100 over three equal lines is 34, 33, 33.",
        records=(
            purchase("o1", NOON, line("p1", 1, 500), line("p2", 1, 500), line("p3", 1, 500)),
            refund("r1", "o1", NOON, 100),
        ),
        kinds=("all", "product"),
        measures=("refunds:",),
        cells=dict(
            cell("refunds:USD", amount, scope)
            for scope, amount in (("all", 100), ("product:p1", 34), ("product:p2", 33), ("product:p3", 33))
        ),
    ),
    Scenario(
        name="split_remainder_to_largest_fractions",
        fact="7 over 10, 25, 65 is 0.7, 1.75, 4.55: the two cents left go to the second and the first line.",
        records=(
            purchase("o1", NOON, line("p1", 1, 10), line("p2", 1, 25), line("p3", 1, 65)),
            refund("r1", "o1", NOON, 7),
        ),
        kinds=("product",),
        measures=("refunds:",),
        cells=dict(
            cell("refunds:USD", amount, scope)
            for scope, amount in (("product:p1", 1), ("product:p2", 2), ("product:p3", 4))
        ),
    ),
    Scenario(
        name="split_by_what_is_left",
        fact="The second refund is split by what the first one left: 80 of 20 and 100 is 13, 67.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), line("p2", 1, 100)),
            refund("r1", "o1", NOON, 80, items=[refunded("p1", 80)]),
            refund("r2", "o1", NOON, 80),
        ),
        kinds=("product",),
        measures=("refunds:",),
        cells=dict(
            [cell("refunds:USD", 93, "product:p1"), cell("refunds:USD", 67, "product:p2")]
        ),
    ),
    Scenario(
        name="items_fill_lines_in_order",
        fact="A refund's item fills the lines of its product in line order.",
        records=(
            purchase(
                "o1", NOON,
                line("p1", 1, 100, live_id="L1"),
                line("p2", 1, 100, live_id="L2"),
                line("p1", 1, 100, live_id="L3"),
            ),
            refund("r1", "o1", NOON, 130, items=[refunded("p1", 130)]),
        ),
        kinds=("live", "product"),
        measures=("refunds:",),
        cells=dict(
            cell("refunds:USD", amount, scope)
            for scope, amount in (("live:L1", 100), ("live:L3", 30), ("product:p1", 130))
        ),
    ),
    Scenario(
        name="excess_of_items_is_split",
        fact="What an item has above its product's lines, or of a product not ordered, goes over all lines.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), line("p2", 1, 200), line("p3", 1, 200)),
            refund("r1", "o1", NOON, 150, items=[refunded("p1", 130), refunded("p9", 20)]),
        ),
        kinds=("product",),
        measures=("refunds:",),
        cells=dict(
            cell("refunds:USD", amount, scope)
            for scope, amount in (("product:p1", 100), ("product:p2", 25), ("product:p3", 25))
        ),
    ),
    Scenario(
        name="all_items_fill_before_any_excess",
        fact="An item's excess is split only after the items behind it have filled their lines.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), line("p2", 1, 100), line("p3", 1, 100)),
            refund("r1", "o1", NOON, 250, items=[refunded("p1", 150), refunded("p2", 100)]),
        ),
        kinds=("product",),
        measures=("refunds:",),
        cells=dict(
            cell("refunds:USD", amount, scope)
            for scope, amount in (("product:p1", 100), ("product:p2", 100), ("product:p3", 50))
        ),
    ),
    Scenario(
        name="two_panes_of_a_refund",
        fact="A refund counts at its own time; its cohort and the commission change at the purchase's.",
        records=(
            purchase("o1", NOON, line("p1", 1, 1_000, commission_bps=999), live_id="L1"),
            refund("r1", "o1", NOON + 2 * DAY, 301, live_id="L9", platform="douyin"),
        ),
        kinds=("all", "live", "platform"),
        measures=("refunds", "commission"),
        cells=dict(
            entry
            for scope in ("all", "live:L1", "platform:tiktok")
            for entry in (
                cell("commission:USD", 69, scope),
                cell("refunds_of_purchases:USD", 301, scope),
                cell("refunds:USD", 301, scope, start=MONDAY + 2 * DAY),
            )
        ),
    ),
    Scenario(
        name="refund_event_has_its_own_scopes",
        fact="The event count of a refund follows its own envelope, not the order's.",
        records=(
            purchase("o1", NOON, line("p1", 1, 1_000), live_id="L1"),
            refund("r1", "o1", NOON, 1, live_id="L9", platform="douyin"),
        ),
        kinds=("all", "live", "platform", "gateway"),
        measures=("events.refund",),
        cells=dict(cell("events.refund", 1, scope) for scope in ("all", "live:L9", "platform:douyin")),
    ),
    Scenario(
        name="above_what_is_left",
        fact="A refund above what is left is refused; the rest to the cent is not.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), tax_minor=50),
            refund("r1", "o1", NOON, 60),
            refund("r2", "o1", NOON, 41),
            refund("r3", "o1", NOON, 40),
        ),
        kinds=QUALITY,
        measures=("refunds:", "accepted", "dead_letters", "events.refund"),
        cells=dict(
            [
                cell("refunds:USD", 100),
                cell("events.refund", 2),
                *counted("purchases", accepted=3, dead_letters__conflicting_duplicate=1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 2, CONFLICT)}),
    ),
    Scenario(
        name="refund_twice",
        fact="The same refund again is a duplicate, although it is above what it left itself.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            refund("r1", "o1", NOON, 100),
            refund("r1", "o1", NOON, 100, event_id="again"),
            refund("r1", "o1", NOON, 99),
        ),
        kinds=QUALITY,
        measures=("refunds:", "accepted", "duplicates", "dead_letters"),
        cells=dict(
            [
                cell("refunds:USD", 100),
                *counted("purchases", accepted=2, duplicates=1, dead_letters__conflicting_duplicate=1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 3, CONFLICT)}),
    ),
    Scenario(
        name="refused_refund_takes_no_identity",
        fact="A refund in another currency is refused; put right, it counts under the same id.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            refund("r1", "o1", NOON, 100, currency="EUR"),
            refund("r1", "o1", NOON, 100),
        ),
        kinds=QUALITY,
        measures=("refunds:", "dead_letters", "accepted"),
        cells=dict(
            [
                cell("refunds:USD", 100),
                *counted("purchases", accepted=2, dead_letters__conflicting_duplicate=1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 1, CONFLICT)}),
    ),
    Scenario(
        name="excluded_refund",
        fact="A test refund books nothing and takes nothing from the order, but has to fit it.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100)),
            refund("r1", "o1", NOON, 100, traffic="test"),
            refund("r2", "o1", NOON, 101, traffic="test"),
            refund("r3", "o1", NOON, 100),
        ),
        kinds=QUALITY,
        measures=("refunds:", "events.refund", "excluded", "accepted", "dead_letters"),
        cells=dict(
            [
                cell("refunds:USD", 100),
                cell("events.refund", 1),
                *counted("purchases", accepted=2, excluded=1, dead_letters__conflicting_duplicate=1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 2, CONFLICT)}),
    ),
    Scenario(
        name="waiting_refunds_are_judged_in_order",
        fact="Refunds that came before their order are held against it in log order when it comes.",
        records=(
            refund("r1", "o1", NOON, 60),
            refund("r2", "o1", NOON, 60),
            refund("r3", "o1", NOON, 40),
            purchase("o1", NOON + DAY, line("p1", 1, 100, commission_bps=1_000)),
        ),
        kinds=QUALITY,
        measures=("refunds", "commission", "events.refund", "accepted", "dead_letters"),
        cells=dict(
            [
                cell("refunds:USD", 100),
                cell("refunds_of_purchases:USD", 100, start=MONDAY + DAY),
                cell("events.refund", 2),
                *counted("purchases", accepted=2, dead_letters__conflicting_duplicate=1),
                *counted("purchases", start=MONDAY + DAY, accepted=1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 1, CONFLICT)}),
    ),
    Scenario(
        name="waiting_refund_gives_its_identity_back",
        fact="A refund that was refused when its order came may come again under its id, put right.",
        records=(
            refund("r1", "o1", NOON, 101),
            refund("r1", "o1", NOON, 101),
            purchase("o1", NOON, line("p1", 1, 100)),
            refund("r1", "o1", NOON, 99),
        ),
        kinds=QUALITY,
        measures=("refunds:", "accepted", "duplicates", "dead_letters"),
        cells=dict(
            [
                cell("refunds:USD", 99),
                *counted("purchases", accepted=2, duplicates=1, dead_letters__conflicting_duplicate=1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 0, CONFLICT)}),
    ),
    Scenario(
        name="waits_a_week",
        fact="An order 1 ms before the week is over still takes its refund.",
        records=(refund("r1", "o1", NOON, 60), purchase("o1", NOON + WEEK - 1, line("p1", 1, 100))),
        measures=("refunds", "unattributed"),
        cells=dict(
            [cell("refunds:USD", 60), cell("refunds_of_purchases:USD", 60, start=MONDAY + WEEK)]
        ),
    ),
    Scenario(
        name="unattributed_after_a_week",
        fact="After a week a refund without order counts as unattributed; an order that then comes is whole.",
        records=(
            refund("r1", "o1", NOON, 60, surface="live", country="US"),
            purchase("o1", NOON + WEEK, line("p1", 1, 100)),
            refund("r2", "o1", NOON + WEEK, 100),
        ),
        kinds=("all", "platform", "surface", "country"),
        measures=("refunds", "unattributed"),
        cells=dict(
            entry
            for scope in ("all", "platform:tiktok")
            for entry in (
                cell("refunds:USD", 60, scope),
                cell("unattributed_refunds:USD", 60, scope),
                cell("refunds:USD", 100, scope, start=MONDAY + WEEK),
                cell("refunds_of_purchases:USD", 100, scope, start=MONDAY + WEEK),
            )
        ),
    ),
    Scenario(
        name="still_waiting",
        fact="A waiting refund is accepted and in no sum of money.",
        records=(refund("r1", "o1", NOON, 60), tick("e1", NOON + WEEK - 1)),
        kinds=QUALITY,
        measures=("refunds", "unattributed", "events.refund", "accepted"),
        cells=dict(
            [
                cell("events.refund", 1),
                *counted("purchases", accepted=1),
                *counted("purchases", start=MONDAY + WEEK, accepted=1),
            ]
        ),
    ),
    Scenario(
        name="waiting_excluded_refund",
        fact="A test refund without order does not wait: it can't become a dead letter or unattributed.",
        records=(
            refund("r1", "o1", NOON, 600, traffic="test"),
            purchase("o1", NOON, line("p1", 1, 100)),
            tick("e1", NOON + WEEK),
        ),
        kinds=QUALITY,
        measures=("refunds", "unattributed", "excluded", "dead_letters"),
        cells=dict(counted("purchases", excluded=1)),
    ),
    Scenario(
        name="waiting_for_an_excluded_order",
        fact="A refund that waited for a test order is held against it and books nothing.",
        records=(
            refund("r1", "o1", NOON, 60),
            refund("r2", "o1", NOON, 60),
            purchase("o1", NOON, line("p1", 1, 100), traffic="test"),
            tick("e1", NOON + WEEK),
        ),
        kinds=QUALITY,
        measures=("refunds", "unattributed", "excluded", "accepted", "dead_letters"),
        cells=dict(
            [
                *counted("purchases", accepted=1, excluded=1, dead_letters__conflicting_duplicate=1),
                *counted("purchases", start=MONDAY + WEEK, accepted=1),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 1, CONFLICT)}),
    ),
)  # fmt: skip

"""Scenarios: to whom lines belong that name neither live nor creator."""

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
    Sum,
    cell,
    line,
    pair,
    purchase,
    refund,
    step,
)

GMV = ("gmv_paid",)
WHOSE = ("live", "creator")


def _tap(event_id: str, at: int, **more: Any) -> Sent:
    """A tap on p1 in live L1 of creator C1, unless `more` says otherwise."""
    named = {"live_id": "L1", "creator_id": "C1", "session_id": event_id}
    return step("tag_tap", event_id, at, **named | more)


def _bought(order_id: str, at: int, **more: Any) -> Sent:
    """One p1 for 100, of nobody's live."""
    return purchase(order_id, at, line("p1", 1, 100), **{"session_id": order_id} | more)


def _gmv(**amounts: int) -> dict[Any, int]:
    """GMV by live (L...) and creator (C...); `live` and `creator` are what is unattributed there."""
    cells: list[Sum] = []
    for of, amount in amounts.items():
        kind = {"L": "live", "C": "creator"}.get(of[0])
        cells.append(cell("gmv_paid:USD", amount, f"{kind}:{of}" if kind else f"{of}:unattributed"))
    return dict(cells)


def _attributed(of: str, orders: int, gmv: int, scope: str) -> list[Sum]:
    return [
        cell(f"attribution.orders_{of}", orders, scope),
        cell(f"attribution.gmv_{of}:USD", gmv, scope),
    ]


ATTRIBUTION = (
    Scenario(
        name="last_tap_decides",
        fact="Of two taps on the product the later one by event time decides, in whatever order they came.",
        records=(
            _tap("t1", NOON - SECOND, live_id="L2", creator_id="C2"),
            _tap("t2", NOON - 2 * SECOND, ts=NOON),
            _bought("o1", NOON),
        ),
        kinds=WHOSE,
        measures=GMV,
        cells=_gmv(L2=100, C2=100),
    ),
    Scenario(
        name="of_taps_at_one_time_the_later_in_the_log",
        fact="Two taps at one moment: the one further on in the log.",
        records=(_tap("t1", NOON), _tap("t2", NOON, live_id="L2"), _bought("o1", NOON)),
        kinds=("live",),
        measures=GMV,
        cells=_gmv(L2=100),
    ),
    Scenario(
        name="a_tap_speaks_for_24_hours",
        fact="A tap exactly 24 h before the purchase counts, 1 ms earlier not; one after it never.",
        records=(
            _tap("t1", NOON),
            _tap("t2", NOON + DAY + 1, live_id="L2"),
            _bought("o1", NOON + DAY),
            _bought("o2", NOON + DAY + 1),
            _bought("o3", NOON + 2 * DAY + 2),
            _bought("o4", NOON - 1, ts=NOON + DAY),
        ),
        kinds=("live",),
        measures=GMV,
        sizes=("1d",),
        cells=dict(
            [
                cell("gmv_paid:USD", 100, "live:unattributed", start=MONDAY),
                cell("gmv_paid:USD", 100, "live:L1", start=MONDAY + DAY),
                cell("gmv_paid:USD", 100, "live:L2", start=MONDAY + DAY),
                cell("gmv_paid:USD", 100, "live:unattributed", start=MONDAY + 2 * DAY),
            ]
        ),
    ),
    Scenario(
        name="only_the_buyers_taps_on_the_product",
        fact="Another user's tap, one on another product, one of test traffic and a late one say nothing.",
        records=(
            _tap("t1", NOON, user_id="u2"),
            _tap("t2", NOON, product_id="p2"),
            _tap("t3", NOON, traffic="test"),
            _tap("t4", NOON - 6 * MINUTE, ts=NOON),
            _bought("o1", NOON),
        ),
        kinds=WHOSE,
        measures=GMV,
        cells=_gmv(live=100, creator=100),
        late=frozenset({("tag-taps", 0, 3)}),
    ),
    Scenario(
        name="a_line_that_names_anyone_takes_no_part",
        fact="A live or a creator of the line or of the envelope is its own; what it leaves open stays open.",
        records=(
            _tap("t1", NOON),
            purchase("o1", NOON, line("p1", 1, 10, live_id="L7"), line("p1", 1, 200)),
            _bought("o2", NOON, creator_id="C7"),
        ),
        kinds=WHOSE,
        measures=GMV,
        cells=_gmv(L7=10, L1=200, C1=200, C7=100, live=100, creator=10),
    ),
    Scenario(
        name="a_last_tap_that_names_one_or_none",
        fact="The last tap decides, also where it names only a creator, or nobody: then nothing is direct.",
        records=(
            _tap("t1", NOON - 3),
            _tap("t2", NOON - 2, live_id=None),
            _bought("o1", NOON - 1),
            _tap("t3", NOON, live_id=None, creator_id=None),
            _bought("o2", NOON),
        ),
        kinds=("all", *WHOSE),
        measures=("gmv_paid", "attribution."),
        cells=dict(
            [
                cell("gmv_paid:USD", 200),
                *(
                    cell("gmv_paid:USD", n, of)
                    for n, of in (
                        (200, "live:unattributed"),
                        (100, "creator:C1"),
                        (100, "creator:unattributed"),
                    )
                ),
                *(
                    each
                    for of in ("all", "live:unattributed")
                    for each in (*_attributed("direct", 1, 100, of), *_attributed("unattributed", 1, 100, of))
                ),
                *_attributed("direct", 1, 100, "creator:C1"),
                *_attributed("unattributed", 1, 100, "creator:unattributed"),
            ]
        ),
    ),
    Scenario(
        name="orders_by_attribution",
        fact="An order counts once under each attribution of its lines, its GMV under that of each line.",
        records=(
            _tap("t1", NOON),
            purchase("o1", NOON, line("p1", 1, 100), line("p2", 1, 30), line("p3", 1, 7, live_id="L1")),
            _bought("o2", NOON, currency="EUR"),
            _bought("o3", NOON, traffic="bot"),
        ),
        kinds=("all", "surface", "live", "product"),
        measures=("attribution.", "orders"),
        cells=dict(
            [
                *(cell(f"orders:{of}", 1) for of in ("USD", "EUR")),
                *_attributed("own", 1, 7, "all"),
                *_attributed("unattributed", 1, 30, "all"),
                *_attributed("direct", 2, 100, "all"),
                cell("attribution.gmv_direct:EUR", 100),
                *(cell(f"orders:{of}", 1, "live:L1") for of in ("USD", "EUR")),
                *_attributed("own", 1, 7, "live:L1"),
                *_attributed("direct", 2, 100, "live:L1"),
                cell("attribution.gmv_direct:EUR", 100, "live:L1"),
                cell("orders:USD", 1, "live:unattributed"),
                *_attributed("unattributed", 1, 30, "live:unattributed"),
                *(cell(f"orders:{of}", 1, "product:p1") for of in ("USD", "EUR")),
                *_attributed("direct", 2, 100, "product:p1"),
                cell("attribution.gmv_direct:EUR", 100, "product:p1"),
                cell("orders:USD", 1, "product:p2"),
                *_attributed("unattributed", 1, 30, "product:p2"),
                cell("orders:USD", 1, "product:p3"),
                *_attributed("own", 1, 7, "product:p3"),
            ]
        ),
    ),
    Scenario(
        name="refunds_and_commission_go_with_the_line",
        fact="All that a line is worth goes to the live of the tap: refunds, commission, its pair, its room.",
        records=(
            _tap("t1", NOON),
            purchase("o1", NOON, line("p1", 2, 500, commission_bps=1_000)),
            refund("r1", "o1", NOON + HOUR, 300),
        ),
        kinds=("live", "creator", "live,product", "room:L1"),
        sizes=("1h",),
        measures=("gmv_paid", "refunds", "commission", "items", "orders:", "events.purchase"),
        cells=dict(
            [
                *(
                    each
                    for of in ("live:L1", "creator:C1", pair("live,product", "L1", "p1"))
                    for each in (
                        cell("events.purchase", 1, of, "1h", NOON),
                        cell("orders:USD", 1, of, "1h", NOON),
                        cell("items", 2, of, "1h", NOON),
                        cell("gmv_paid:USD", 1_000, of, "1h", NOON),
                        cell("commission:USD", 70, of, "1h", NOON),
                        cell("refunds_of_purchases:USD", 300, of, "1h", NOON),
                        cell("refunds:USD", 300, of, "1h", NOON + HOUR),
                    )
                ),
                *(
                    (("room:L1", value, "1h", NOON, measure), amount)
                    for value, measure, amount in (
                        ("m0", "orders:USD", 1),
                        ("m0", "gmv_paid:USD", 1_000),
                        ("pp1", "items", 2),
                    )
                ),
            ]
        ),
    ),
    Scenario(
        name="a_purchase_seven_days_late_finds_its_tap",
        fact="Taps are kept for the latest purchase that is accepted: 7 days late, 24 h after the tap.",
        records=(
            _tap("t1", NOON),
            _tap("t2", NOON + 8 * DAY, product_id="p9"),
            _bought("o1", NOON + DAY, ts=NOON + 8 * DAY),
        ),
        kinds=("live",),
        measures=GMV,
        cells=dict([cell("gmv_paid:USD", 100, "live:L1", start=MONDAY + DAY)]),
    ),
    Scenario(
        name="a_cap_on_taps_of_a_day",
        fact="Of a user's day the first 200 taps in the log count, and the first 200 orders that ask.",
        records=(
            *(_tap(f"t{n}", NOON, product_id="p2") for n in range(199)),
            _tap("t199", NOON),
            _tap("t200", NOON, live_id="L2"),
            *(_bought(f"o{n}", NOON) for n in range(201)),
        ),
        kinds=WHOSE,
        measures=GMV,
        cells=_gmv(L1=20_000, C1=20_000, live=100, creator=100),
    ),
    Scenario(
        name="a_capped_live_has_its_money",
        fact="A tap's live above the cap of traffic is `other` there, and itself where money is.",
        records=(
            _tap("t1", NOON - 1, live_id="L0", user_id="u2"),
            _tap("t2", NOON),
            _bought("o1", NOON),
        ),
        kinds=("live",),
        measures=("gmv_paid", "events.tag_tap"),
        cells=dict(
            [
                *(cell("events.tag_tap", 1, of) for of in ("live:L0", "live:other")),
                cell("gmv_paid:USD", 100, "live:L1"),
            ]
        ),
        settings={"scope_values_max": 1},
    ),
    Scenario(
        name="sessions_keep_to_what_is_named",
        fact="A purchase is a step of the live's sessions only if it names the live itself.",
        records=(
            step("view", "v1", NOON, live_id="L1"),
            _tap("t1", NOON + 1, session_id="s1"),
            step("add_to_cart", "c1", NOON + 2, live_id="L1"),
            _bought("o1", NOON + 3, session_id="s1"),
        ),
        kinds=("live",),
        measures=("sessions.purchase", "sessions.add_to_cart", "orders"),
        cells=dict([cell("sessions.add_to_cart", 1, "live:L1"), cell("orders:USD", 1, "live:L1")]),
    ),
)

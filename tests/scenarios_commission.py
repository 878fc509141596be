"""Scenarios: commission until it is final and after, deliveries, fees, and what campaigns were charged."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import (
    DAY,
    HOUR,
    MONDAY,
    NOON,
    Scenario,
    Sent,
    Sum,
    cell,
    event,
    line,
    purchase,
    refund,
    tick,
)

MEASURES = ("commission:", "reversed:", "clawed_back:", "claw_backs:", "final:")
LATER = MONDAY + 45 * DAY
"""The day of F of an order of Monday that nobody delivers."""


def status(event_id: str, order_id: str, at: int, reached: str = "delivered", **more: Any) -> Sent:
    """What became of an order; `ts` is its Kafka timestamp where that is not the event time."""
    ts = more.pop("ts", at)
    value = event("order_status", event_id, at, order_id=order_id, status=reached, **more)
    return Sent(topic="purchases", value=value, at=ts)


def _charge(event_id: str, campaign_id: str, amount_minor: int, **more: Any) -> Sent:
    head = {"event_id": event_id, "event_type": "ad_charge", "event_time_ms": NOON, "platform": "tiktok"}
    value = head | {"campaign_id": campaign_id, "amount_minor": amount_minor, "currency": "USD"} | more
    return Sent(topic="ads", value=value, at=NOON, key=campaign_id.encode())


def _due(final_ms: int, amount: int, scope: str = "all:", size: str = "1d", start: int = MONDAY) -> Sum:
    return cell("final:USD", amount, f"due:{final_ms // HOUR}:{scope}", size, start)


def _order(*, at: int = NOON, **more: Any) -> Sent:
    """1 000 with a commission of a tenth for a1, unless `more` says otherwise."""
    return purchase("o1", at, line("p1", 1, 1_000, commission_bps=1_000, **({"affiliate_id": "a1"} | more)))


TWO_LINES = purchase(
    "o1",
    NOON,
    line("p1", 1, 999, commission_bps=1_500, affiliate_id="a1", creator_id="c1", brand_id="b1"),
    line("p2", 1, 501, commission_bps=333, affiliate_id="a1", brand_id="b2"),
    line("p3", 1, 700),
)
OF_A1 = ("all:", "platform:tiktok", "affiliate:a1", "creator:unattributed")
ALL_AND_AFFILIATE = ("all", "affiliate", "due")


def _due_of_a1(final_ms: int, amount: int) -> list[Sum]:
    return [_due(final_ms, amount, scope) for scope in OF_A1]


FINALITY = (
    Scenario(
        name="commission_in_every_scope",
        fact="149 and 16 of two lines, final 45 days after the purchase, each where the line says.",
        records=(TWO_LINES,),
        kinds=("all", "platform", "affiliate", "creator", "brand", "due"),
        sizes=("1h", "1d"),
        measures=MEASURES,
        cells=dict(
            entry
            for scope, amount in (
                ("all:", 165),
                ("platform:tiktok", 165),
                ("affiliate:a1", 165),
                ("creator:c1", 149),
                ("creator:unattributed", 16),
                ("brand:b1", 149),
                ("brand:b2", 16),
            )
            for size, start in (("1h", NOON), ("1d", MONDAY))
            for entry in (
                cell("commission:USD", amount, scope, size, start),
                _due(LATER + 12 * HOUR, amount, scope, size, start),
            )
        ),
    ),
    Scenario(
        name="due_in_hours_and_days_only",
        fact="When commission is final is not kept for panes of seconds and minutes.",
        records=(_order(),),
        kinds=("due",),
        sizes=("10s", "1m"),
        cells={},
    ),
    *(
        Scenario(
            name=f"due_until_all_of_it_is_final_{'and' if after else 'not'}_gone",
            fact="Thirty days after the last F that a day can have, which hour it was in is forgotten.",
            records=(_order(), tick("e1", MONDAY + DAY + 90 * DAY - 1 + after)),
            kinds=("affiliate", "due"),
            measures=MEASURES,
            cells=dict(
                [
                    cell("commission:USD", 100, "affiliate:a1"),
                    *(_due(LATER + 12 * HOUR, 100, of) for of in OF_A1 if not after),
                ]
            ),
        )
        for after in (0, 1)
    ),
    Scenario(
        name="final_is_rounded_up_to_an_hour",
        fact="Bought 1 ms past noon: F lies in the hour that ends at one o'clock.",
        records=(_order(at=NOON + 1),),
        kinds=("due",),
        measures=MEASURES,
        cells=dict(_due_of_a1(LATER + 13 * HOUR, 100)),
    ),
    Scenario(
        name="delivered",
        fact="Fifteen days after the earliest delivery, whatever comes first in the log.",
        records=(
            _order(),
            status("e1", "o1", NOON + 5 * DAY),
            status("e2", "o1", NOON + 3 * DAY, ts=NOON + 5 * DAY),
            status("e3", "o1", NOON + 4 * DAY, ts=NOON + 5 * DAY),
            status("e4", "o1", NOON + 2 * DAY, "shipped", ts=NOON + 5 * DAY),
            status("e5", "o1", NOON + 1 * DAY, traffic="test", ts=NOON + 5 * DAY),
        ),
        kinds=ALL_AND_AFFILIATE,
        measures=MEASURES,
        cells=dict(
            [
                cell("commission:USD", 100),
                cell("commission:USD", 100, "affiliate:a1"),
                *_due_of_a1(NOON + 18 * DAY, 100),
            ]
        ),
    ),
    Scenario(
        name="delivered_too_late_to_matter",
        fact="What became final 45 days after the purchase stays so, whenever it is then delivered.",
        records=(_order(), status("e1", "o1", NOON + 45 * DAY), status("e2", "o1", NOON + 50 * DAY)),
        kinds=("due",),
        measures=MEASURES,
        cells=dict(_due_of_a1(NOON + 45 * DAY, 100)),
    ),
    Scenario(
        name="delivered_just_in_time",
        fact="A delivery 1 ms before the 45 days are over moves F 15 days past itself.",
        records=(_order(), status("e1", "o1", NOON + 45 * DAY - 1)),
        kinds=("due",),
        measures=MEASURES,
        cells=dict(_due_of_a1(NOON + 60 * DAY, 100)),
    ),
    Scenario(
        name="delivered_before_it_was_bought",
        fact="A delivery that a clock puts before the purchase counts as of the purchase.",
        records=(_order(), status("e1", "o1", NOON - DAY, ts=NOON)),
        kinds=("due",),
        measures=MEASURES,
        cells=dict(_due_of_a1(NOON + 15 * DAY, 100)),
    ),
    Scenario(
        name="delivered_in_the_log_before_its_order",
        fact="Deliveries that came first wait for the order; the earliest counts, also against later ones.",
        records=(
            status("e1", "o1", NOON + 3 * DAY),
            status("e2", "o1", NOON + 2 * DAY, ts=NOON + 3 * DAY),
            status("e3", "o2", NOON + 1 * DAY, ts=NOON + 3 * DAY),
            Sent(topic="purchases", value=_order().value, at=NOON + 4 * DAY),
            status("e4", "o1", NOON + 4 * DAY),
        ),
        kinds=("due",),
        measures=MEASURES,
        cells=dict(_due_of_a1(NOON + 17 * DAY, 100)),
    ),
    Scenario(
        name="a_delivery_waits_ninety_days",
        fact="Told 91 days before the order came, of another one with its id: it is forgotten.",
        records=(status("e1", "o1", NOON), _order(at=NOON + 91 * DAY)),
        kinds=("due",),
        measures=MEASURES,
        cells=dict(_due(NOON + 136 * DAY, 100, of, start=MONDAY + 91 * DAY) for of in OF_A1),
    ),
    Scenario(
        name="excluded_orders_have_no_commission",
        fact="A test order books nothing, also once it is delivered.",
        records=(
            purchase("o1", NOON, line("p1", 1, 1_000, commission_bps=1_000), traffic="test"),
            status("e1", "o1", NOON + DAY),
        ),
        kinds=ALL_AND_AFFILIATE,
        measures=MEASURES,
        cells={},
    ),
    Scenario(
        name="settings_move_what_is_final",
        fact="The days until F are settings.",
        records=(
            _order(),
            status("e1", "o1", NOON + DAY),
            purchase("o2", NOON, line("p1", 1, 10, commission_bps=1_000)),
        ),
        kinds=("due",),
        measures=MEASURES,
        cells=dict(
            [
                *_due_of_a1(NOON + 4 * DAY, 100),
                *(_due(NOON + 9 * DAY, 1, of) for of in ("all:", "platform:tiktok", "creator:unattributed")),
            ]
        ),
        settings={"commission_final_after_delivery_days": 3, "commission_final_after_purchase_days": 9},
    ),
)

REVERSALS = (
    Scenario(
        name="partial_refund_reverses_its_part",
        fact="A refund of 301 of 1 000 leaves ⌊69.9⌋ of 100: 31 are reversed, and never were final.",
        records=(_order(), refund("r1", "o1", NOON + DAY, 301)),
        kinds=ALL_AND_AFFILIATE,
        measures=MEASURES,
        cells=dict(
            entry
            for scope in ("all", "affiliate:a1")
            for entry in (cell("commission:USD", 69, scope), cell("reversed:USD", 31, scope))
        )
        | dict(_due_of_a1(LATER + 12 * HOUR, 69)),
    ),
    Scenario(
        name="full_refund_leaves_nothing",
        fact="A full refund before F: nothing is estimated, nothing becomes final.",
        records=(_order(), refund("r1", "o1", NOON + DAY, 1_000)),
        kinds=ALL_AND_AFFILIATE,
        measures=MEASURES,
        cells=dict(cell("reversed:USD", 100, scope) for scope in ("all", "affiliate:a1")),
    ),
    Scenario(
        name="refund_just_before_it_is_final",
        fact="1 ms before F a refund reverses; F counts to the ms, not by its hour.",
        records=(_order(), status("e1", "o1", NOON + DAY + 1), refund("r1", "o1", NOON + 16 * DAY, 500)),
        kinds=ALL_AND_AFFILIATE,
        measures=MEASURES,
        cells=dict(
            entry
            for scope in ("all", "affiliate:a1")
            for entry in (cell("commission:USD", 50, scope), cell("reversed:USD", 50, scope))
        )
        | dict(_due_of_a1(NOON + 16 * DAY + HOUR, 50)),
    ),
    Scenario(
        name="refund_at_final_is_clawed_back",
        fact="From F on refunds leave what is final and are clawed back, in the purchase's pane and theirs.",
        records=(
            _order(),
            status("e1", "o1", NOON + DAY),
            refund("r1", "o1", NOON + 2 * DAY, 105),
            refund("r2", "o1", NOON + 16 * DAY, 500),
            refund("r3", "o1", NOON + 18 * DAY, 300),
        ),
        kinds=ALL_AND_AFFILIATE,
        measures=MEASURES,
        cells=dict(
            entry
            for scope in ("all", "affiliate:a1")
            for entry in (
                # 1 000 → 895 → 395 → 95: 100, 89, 39, 9.
                cell("commission:USD", 9, scope),
                cell("reversed:USD", 11, scope),
                cell("clawed_back:USD", 80, scope),
                cell("claw_backs:USD", 50, scope, start=MONDAY + 16 * DAY),
                cell("claw_backs:USD", 30, scope, start=MONDAY + 18 * DAY),
            )
        )
        | dict(_due_of_a1(NOON + 16 * DAY, 89)),
    ),
    Scenario(
        name="a_late_delivery_turns_reversals_into_claw_backs",
        fact="A refund that came before the delivery's record is judged again by the F that follows from it.",
        records=(
            _order(),
            refund("r1", "o1", NOON + 5 * DAY, 1_000),
            status("e1", "o1", NOON + DAY, ts=NOON + 6 * DAY),
        ),
        kinds=ALL_AND_AFFILIATE,
        measures=MEASURES,
        cells=dict(
            entry
            for scope in ("all", "affiliate:a1")
            for entry in (
                cell("clawed_back:USD", 100, scope),
                cell("claw_backs:USD", 100, scope, start=MONDAY + 5 * DAY),
            )
        )
        | dict(_due_of_a1(NOON + 4 * DAY, 100)),
        settings={"commission_final_after_delivery_days": 3},
    ),
)

TAKE = (
    Scenario(
        name="fees_follow_what_is_left",
        fact="Fees are floors per line of what is left, for the shop and its platform, at purchase time.",
        records=(
            purchase(
                "o1",
                NOON,
                line("p1", 1, 999, platform_fee_bps=500, creator_id="c1"),
                line("p2", 1, 999, platform_fee_bps=500),
            ),
            refund(
                "r1", "o1", NOON + DAY, 100, items=[{"product_id": "p1", "quantity": 1, "amount_minor": 100}]
            ),
        ),
        kinds=("all", "platform", "creator", "product"),
        measures=("fees:",),
        cells=dict(cell("fees:USD", 44 + 49, scope) for scope in ("all", "platform:tiktok")),
    ),
    Scenario(
        name="charges_of_campaigns",
        fact="A charge counts in the shop, its platform and its campaign, and in no other scope.",
        records=(
            _charge("e1", "c1", 500, creator_id="k1"),
            _charge("e2", "c2", 30),
            _charge("e3", "c1", 7, currency="EUR"),
            _charge("e1", "c1", 500),
            _charge("e4", "c1", 900, traffic="test"),
        ),
        kinds=("all", "platform", "campaign", "creator"),
        measures=("ads:", "events.ad_charge"),
        cells=dict(
            [
                *(cell("ads:USD", 530, scope) for scope in ("all", "platform:tiktok")),
                *(cell("ads:EUR", 7, scope) for scope in ("all", "platform:tiktok", "campaign:c1")),
                *(cell("events.ad_charge", 3, scope) for scope in ("all", "platform:tiktok")),
                cell("events.ad_charge", 1, "creator:k1"),
                cell("ads:USD", 500, "campaign:c1"),
                cell("ads:USD", 30, "campaign:c2"),
                cell("events.ad_charge", 2, "campaign:c1"),
                cell("events.ad_charge", 1, "campaign:c2"),
            ]
        ),
    ),
    Scenario(
        name="charges_of_capped_campaigns",
        fact="Campaigns above the cap are `other` with what they were charged: nothing is lost.",
        records=(_charge("e1", "c1", 500), _charge("e2", "c2", 30), _charge("e3", "c3", 4)),
        kinds=("all", "campaign"),
        measures=("ads:", "capped"),
        cells=dict(
            [
                cell("ads:USD", 534),
                cell("ads:USD", 500, "campaign:c1"),
                cell("ads:USD", 34, "campaign:other"),
                cell("capped", 2, "campaign:ads"),
            ]
        ),
        settings={"scope_values_max": 1},
    ),
)

COMMISSION = (*FINALITY, *REVERSALS, *TAKE)

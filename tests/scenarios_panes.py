"""Scenarios: scopes of events, borders of panes, and which panes are kept."""

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
    counted,
    event,
    line,
    purchase,
    refund,
    view,
)


def sent(topic: str, value: dict[str, Any]) -> Sent:
    """An event whose Kafka timestamp is its event time."""
    return Sent(topic=topic, value=value, at=value["event_time_ms"])


SIZES = ("10s", "1m", "1h", "1d")

PANES = (
    Scenario(
        name="every_scope_of_the_envelope",
        fact="An event counts once in each scope that its envelope carries; unknown surfaces are `other`.",
        records=(
            view(
                "e1", NOON, surface="moon", live_id="L1", creator_id="c1", brand_id="b1", merchant_id="m1",
                product_id="p1", affiliate_id="a1", mini_program_id="mp1", country="BR", client_os="ios",
                app_version="9.1",
            ),
        ),
        kinds=("all", "platform", "surface", "gateway", "mini_program", "country", "client_os", "app_version",
               "product", "creator", "live", "brand", "merchant", "affiliate"),
        cells=dict(
            cell("events.view", 1, scope)
            for scope in ("all", "platform:tiktok", "surface:other", "live:L1", "creator:c1", "brand:b1",
                          "merchant:m1", "product:p1", "affiliate:a1", "mini_program:mp1", "country:BR",
                          "client_os:ios", "app_version:9.1")
        ),
    ),
    Scenario(
        name="all_four_sizes",
        fact="An event is in the pane that holds it of each of the four sizes.",
        records=(view("e1", NOON + HOUR + 2 * MINUTE + 34_567),),
        sizes=SIZES,
        cells=dict(
            [
                cell("events.view", 1, size="10s", start=NOON + HOUR + 2 * MINUTE + 30 * SECOND),
                cell("events.view", 1, size="1m", start=NOON + HOUR + 2 * MINUTE),
                cell("events.view", 1, size="1h", start=NOON + HOUR),
                cell("events.view", 1, size="1d", start=MONDAY),
            ]
        ),
    ),
    Scenario(
        name="borders_of_a_minute",
        fact="A pane holds its start and not its end.",
        records=(
            view("e1", NOON - 1), view("e2", NOON), view("e3", NOON + MINUTE - 1), view("e4", NOON + MINUTE),
        ),
        sizes=("1m",),
        cells=dict(
            [
                cell("events.view", 1, size="1m", start=NOON - MINUTE),
                cell("events.view", 2, size="1m", start=NOON),
                cell("events.view", 1, size="1m", start=NOON + MINUTE),
            ]
        ),
    ),
    Scenario(
        name="kept_at_the_border",
        fact="A 10 s pane stays while its end is not before the highest event time less 1 h.",
        records=(view("e1", NOON), view("e2", NOON + HOUR + 10 * SECOND)),
        sizes=("10s",),
        cells=dict(
            [
                cell("events.view", 1, size="10s", start=NOON),
                cell("events.view", 1, size="10s", start=NOON + HOUR + 10 * SECOND),
            ]
        ),
    ),
    Scenario(
        name="gone_past_the_border",
        fact="One millisecond later it is gone; coarser panes stay; quality panes go by the same rule.",
        records=(view("e1", NOON), view("e2", NOON + HOUR + 10 * SECOND + 1)),
        kinds=("all", "pipeline"),
        sizes=("10s", "1h"),
        cells=dict(
            [
                cell("events.view", 1, size="10s", start=NOON + HOUR + 10 * SECOND),
                cell("events.view", 1, size="1h", start=NOON),
                cell("events.view", 1, size="1h", start=NOON + HOUR),
                *counted("views", size="10s", start=NOON + HOUR + 10 * SECOND, accepted=1),
                *counted("views", size="1h", start=NOON, accepted=1),
                *counted("views", size="1h", start=NOON + HOUR, accepted=1),
            ]
        ),
    ),
    Scenario(
        name="another_topic_moves_h",
        fact="The highest event time is the partition number's over all topics, in any order of reading.",
        records=(
            sent("tag-taps", event("tag_tap", "e1", NOON + 2 * HOUR, product_id="p1")),
            view("e2", NOON),
        ),
        sizes=("10s",),
        cells=dict([cell("events.tag_tap", 1, size="10s", start=NOON + 2 * HOUR)]),
    ),
    Scenario(
        name="excluded_and_heartbeat_move_h",
        fact="Excluded events and heartbeats are accepted: panes go by their times too.",
        records=(
            view("e1", NOON),
            view("e2", NOON + 2 * HOUR, traffic="bot"),
            sent("carts", event("begin_checkout", "e3", NOON + 2 * HOUR)),
            sent("ads", event("source_heartbeat", "e4", NOON + 4 * HOUR, source="app")),
        ),
        sizes=("10s",),
        cells={},
    ),
    Scenario(
        name="late_row_does_not_move_h",
        fact="What is not accepted moves no retention: dead letters and late rows.",
        records=(
            view("e1", NOON),
            view("e2", NOON + 3 * HOUR, ts=NOON),
            Sent(topic="carts", value=event("begin_checkout", "e3", NOON + 2 * HOUR), at=NOON + 5 * HOUR),
        ),
        sizes=("10s",),
        cells=dict([cell("events.view", 1, size="10s", start=NOON)]),
        dead_letters=frozenset({("views", 0, 1, "future_time")}),
        late=frozenset({("carts", 0, 0)}),
    ),
    Scenario(
        name="h_belongs_to_a_partition",
        fact="A partition's panes go by its own highest event time.",
        records=(view("e1", NOON), view("e2", NOON + 2 * HOUR, partition=1)),
        partitions=2,
        sizes=("10s",),
        cells=dict(
            [
                cell("events.view", 1, size="10s", start=NOON),
                cell("events.view", 1, size="10s", start=NOON + 2 * HOUR),
            ]
        ),
    ),
    Scenario(
        name="refund_into_a_gone_pane",
        fact="A refund still counts at its own time when the purchase's hour pane is gone; its day is kept.",
        records=(
            purchase("o1", NOON, line("p1", 1, 1_000)),
            refund("r1", "o1", NOON + 40 * DAY, 300),
        ),
        sizes=("1h", "1d"),
        measures=("gmv_paid", "refunds"),
        cells=dict(
            [
                cell("gmv_paid:USD", 1_000),
                cell("refunds_of_purchases:USD", 300),
                cell("refunds:USD", 300, size="1h", start=NOON + 40 * DAY),
                cell("refunds:USD", 300, start=MONDAY + 40 * DAY),
            ]
        ),
    ),
    Scenario(
        name="figure_set_funnel_gmv",
        fact="The small figure set has events and GMV by live and minute, and quality.",
        records=(
            view("e1", NOON, live_id="L1"),
            purchase("o1", NOON, line("p1", 1, 1_000), line("p2", 1, 50, live_id="L2"), live_id="L1"),
        ),
        settings={"figures": "funnel-gmv"},
        kinds=("all", "platform", "gateway", "product", "live", "pipeline"),
        sizes=("1m", "1d"),
        cells=dict(
            [
                cell("events.view", 1, "live:L1", "1m", NOON),
                cell("events.purchase", 1, "live:L1", "1m", NOON),
                cell("gmv_paid:USD", 1_000, "live:L1", "1m", NOON),
                cell("events.purchase", 1, "live:L2", "1m", NOON),
                cell("gmv_paid:USD", 50, "live:L2", "1m", NOON),
                *counted("views", size="1m", start=NOON, accepted=1),
                *counted("purchases", size="1m", start=NOON, accepted=1),
            ]
        ),
    ),
)  # fmt: skip

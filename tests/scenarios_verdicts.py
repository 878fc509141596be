"""Scenarios: which verdict a record gets, and where it is counted."""

from __future__ import annotations

from tests.scenario_kit import (
    DAY,
    MINUTE,
    MONDAY,
    NOON,
    Scenario,
    Sent,
    cell,
    counted,
    event,
    line,
    payment,
    purchase,
    refund,
    tick,
    view,
)

QUALITY = ("all", "pipeline")
VIEW_AND_QUALITY = ("events.view", "accepted", "excluded", "duplicates", "late", "misplaced", "dead_letters")
WEEK = 7 * DAY


def raw(value: bytes | None, topic: str = "views", at: int = NOON) -> Sent:
    """Bytes that are no event."""
    return Sent(topic=topic, value=value, at=at)


VERDICTS = (
    Scenario(
        name="same_event_twice",
        fact="An event that is delivered twice is counted once, and once as a duplicate.",
        records=(view("e1", NOON), view("e1", NOON)),
        kinds=QUALITY,
        cells=dict([cell("events.view", 1), *counted("views", accepted=1, duplicates=1)]),
    ),
    Scenario(
        name="duplicate_in_last_minute_of_horizon",
        fact="Within 6 minutes (lateness + 1) counted in whole minutes a known id is a duplicate.",
        records=(view("e1", NOON), view("e1", NOON + 7 * MINUTE - 1)),
        kinds=QUALITY,
        cells=dict([cell("events.view", 1), *counted("views", accepted=1, duplicates=1)]),
    ),
    Scenario(
        name="duplicate_after_horizon",
        fact="In the 7th minute after its acceptance an id is new again.",
        records=(view("e1", NOON), view("e1", NOON + 7 * MINUTE)),
        kinds=QUALITY,
        cells=dict([cell("events.view", 2), *counted("views", accepted=2)]),
    ),
    Scenario(
        name="horizon_runs_from_event_time_when_ahead",
        fact="An event ahead of ingest time is remembered from its event time.",
        records=(
            view("e1", NOON + 4 * MINUTE, ts=NOON),
            view("e1", NOON + 11 * MINUTE - 1),
            view("e1", NOON + 11 * MINUTE),
        ),
        kinds=QUALITY,
        cells=dict([cell("events.view", 2), *counted("views", accepted=2, duplicates=1)]),
    ),
    Scenario(
        name="duplicate_does_not_prolong",
        fact="A duplicate is not remembered: the horizon runs from what was accepted.",
        records=(view("e1", NOON), view("e1", NOON + 6 * MINUTE), view("e1", NOON + 7 * MINUTE)),
        kinds=QUALITY,
        cells=dict([cell("events.view", 2), *counted("views", accepted=2, duplicates=1)]),
    ),
    Scenario(
        name="late_at_the_border",
        fact="5 minutes behind ingest time is in time, 1 ms more is late.",
        records=(
            view("e1", NOON),
            view("e2", NOON - 5 * MINUTE, ts=NOON),
            view("e3", NOON - 5 * MINUTE - 1, ts=NOON),
        ),
        kinds=QUALITY,
        cells=dict([cell("events.view", 2), *counted("views", accepted=2, late=1)]),
        late=frozenset({("views", 0, 2)}),
    ),
    Scenario(
        name="late_by_an_earlier_record",
        fact="Ingest time is the highest Kafka timestamp so far, not the record's own.",
        records=(view("e1", NOON + 10 * MINUTE), view("e2", NOON, ts=NOON)),
        kinds=QUALITY,
        cells=dict([cell("events.view", 1), *counted("views", accepted=1, late=1)]),
        late=frozenset({("views", 0, 1)}),
    ),
    Scenario(
        name="rejected_record_moves_ingest_time",
        fact="Ingest time counts the timestamps of records that can't be read.",
        records=(raw(b"{", at=NOON + 10 * MINUTE), view("e1", NOON)),
        kinds=QUALITY,
        cells=dict(counted("views", dead_letters__not_json=1, late=1)),
        dead_letters=frozenset({("views", 0, 0, "not_json")}),
        late=frozenset({("views", 0, 1)}),
    ),
    Scenario(
        name="other_topic_makes_nothing_late",
        fact="Every topic-partition has its own ingest time.",
        records=(tick("e1", NOON + 30 * MINUTE), view("e2", NOON)),
        measures=("events.view", "late"),
        kinds=QUALITY,
        cells=dict([cell("events.view", 1)]),
    ),
    Scenario(
        name="late_purchase",
        fact="A purchase may be 7 days late; 1 ms more is late, and its line values are told apart.",
        records=(
            purchase("o1", NOON - WEEK, line("p1", 1, 100), ts=NOON),
            purchase("o2", NOON - WEEK - 1, line("p1", 2, 500, seller_discount_minor=100), ts=NOON),
        ),
        kinds=QUALITY,
        measures=("gmv_paid", "accepted", "late"),
        cells=dict(
            [
                cell("gmv_paid:USD", 100, start=MONDAY - WEEK),
                *counted("purchases", accepted=1, late=1),
                cell("late_gmv:USD", 900, "pipeline:purchases"),
            ]
        ),
        late=frozenset({("purchases", 0, 1)}),
    ),
    Scenario(
        name="future_at_the_border",
        fact="An event may lie 5 minutes ahead of its own Kafka timestamp, not 1 ms more.",
        records=(
            view("e0", NOON + 10 * MINUTE),
            view("e1", NOON + 15 * MINUTE, ts=NOON + 10 * MINUTE),
            view("e2", NOON + 11 * MINUTE + 1, ts=NOON + 6 * MINUTE),
        ),
        kinds=QUALITY,
        cells=dict([cell("events.view", 2), *counted("views", accepted=2, dead_letters__future_time=1)]),
        dead_letters=frozenset({("views", 0, 2, "future_time")}),
    ),
    Scenario(
        name="unreadable_records",
        fact="Each record that can't be read is counted under the first reason that holds.",
        records=(
            raw(b'"' + b"x" * 65_535 + b'"'),
            raw(None),
            raw(b"[]"),
            raw(b'{"event_type":"teleport"}'),
            raw(b'{"event_type":"tag_tap"}'),
            raw(b'{"event_type":"view"}'),
            Sent(topic="views", value=event("view", "", NOON), at=NOON),
            Sent(topic="views", value=event("view", "e1", 1_262_303_999_999), at=NOON),
        ),
        kinds=QUALITY,
        cells=dict(
            counted(
                "views",
                dead_letters__too_large=1,
                dead_letters__not_json=2,
                dead_letters__unknown_type=1,
                dead_letters__wrong_topic=1,
                dead_letters__missing_field=1,
                dead_letters__bad_field=1,
                dead_letters__out_of_range=1,
            )
        ),
        dead_letters=frozenset(
            {
                ("views", 0, 0, "too_large"),
                ("views", 0, 1, "not_json"),
                ("views", 0, 2, "not_json"),
                ("views", 0, 3, "unknown_type"),
                ("views", 0, 4, "wrong_topic"),
                ("views", 0, 5, "missing_field"),
                ("views", 0, 6, "bad_field"),
                ("views", 0, 7, "out_of_range"),
            }
        ),
    ),
    Scenario(
        name="excluded_traffic",
        fact="An event that is not real traffic is in no business figure, but takes its identity.",
        records=(view("e1", NOON, traffic="test"), view("e1", NOON)),
        kinds=QUALITY,
        cells=dict(counted("views", excluded=1, duplicates=1)),
    ),
    Scenario(
        name="misplaced_key",
        fact="A record whose key belongs elsewhere, or has none, is counted, and counted as misplaced.",
        records=(
            Sent(topic="views", value=event("view", "e1", NOON), at=NOON, key=b"u1", partition=1),
            Sent(topic="views", value=event("view", "e2", NOON), at=NOON, key=b"live-1", partition=1),
            Sent(topic="views", value=event("view", "e3", NOON), at=NOON, key=None, partition=0),
            Sent(topic="views", value=b"{", at=NOON, key=None, partition=0),
            Sent(topic="views", value=event("source_heartbeat", "e4", NOON, source="app"), at=NOON, key=None),
        ),
        partitions=2,
        kinds=QUALITY,
        cells=dict(
            [
                cell("events.view", 3),
                *counted("views", accepted=4, misplaced=2, dead_letters__not_json=1),
            ]
        ),
        dead_letters=frozenset({("views", 0, 1, "not_json")}),
    ),
    Scenario(
        name="misplaced_late_and_duplicate",
        fact="Misplaced is counted beside the verdict, for late rows and duplicates too.",
        records=(
            Sent(topic="views", value=event("view", "e1", NOON), at=NOON, key=None),
            Sent(topic="views", value=event("view", "e1", NOON), at=NOON, key=None),
            Sent(topic="views", value=event("view", "e2", NOON - 6 * MINUTE), at=NOON, key=None),
        ),
        kinds=QUALITY,
        cells=dict(
            [cell("events.view", 1), *counted("views", accepted=1, duplicates=1, late=1, misplaced=3)]
        ),
        late=frozenset({("views", 0, 2)}),
    ),
    Scenario(
        name="heartbeat",
        fact="A source heartbeat is accepted in any topic and is in no pane of events.",
        records=(
            Sent(topic="ads", value=event("source_heartbeat", "e1", NOON, source="app"), at=NOON),
            Sent(topic="carts", value=event("source_heartbeat", "e1", NOON, source="app"), at=NOON),
        ),
        kinds=(*QUALITY, "platform"),
        cells=dict([*counted("ads", accepted=1), *counted("carts", accepted=1)]),
    ),
    Scenario(
        name="three_name_spaces",
        fact="Orders, refunds and other events have ids of their own.",
        records=(
            purchase("x", NOON, line("p1", 1, 100)),
            refund("x", "x", NOON, 10),
            payment("x", "x", NOON, "authorised"),
        ),
        kinds=("pipeline",),
        cells=dict(counted("purchases", accepted=3)),
    ),
    Scenario(
        name="order_id_decides_not_event_id",
        fact="Two purchases with one event_id and two orders are two; with one order they are one.",
        records=(
            purchase("o1", NOON, line("p1", 1, 100), event_id="e1"),
            purchase("o2", NOON, line("p1", 1, 100), event_id="e1"),
            purchase("o2", NOON, line("p1", 1, 100), event_id="e2"),
        ),
        measures=("orders", "accepted", "duplicates"),
        kinds=QUALITY,
        cells=dict([cell("orders:USD", 2), *counted("purchases", accepted=2, duplicates=1)]),
    ),
    Scenario(
        name="ids_belong_to_a_topic_partition",
        fact="The same event_id in another topic or partition is another event.",
        records=(
            view("e1", NOON),
            view("e1", NOON, partition=1),
            Sent(topic="tag-taps", value=event("tag_tap", "e1", NOON, product_id="p1"), at=NOON),
        ),
        partitions=2,
        measures=("events",),
        cells=dict([cell("events.view", 2), cell("events.tag_tap", 1)]),
    ),
    Scenario(
        name="quality_in_pane_of_ingest_time",
        fact="Verdicts are counted in the pane of the ingest time, events in that of their event time.",
        records=(view("e1", NOON + 2 * MINUTE, ts=NOON + 3 * MINUTE), view("e2", NOON, ts=NOON)),
        kinds=QUALITY,
        sizes=("1m",),
        cells=dict(
            [
                cell("events.view", 1, size="1m", start=NOON + 2 * MINUTE),
                cell("events.view", 1, size="1m", start=NOON),
                *counted("views", start=NOON + 3 * MINUTE, size="1m", accepted=2),
            ]
        ),
    ),
)

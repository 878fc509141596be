"""Scenarios: viewers from heartbeats, and what lives sold by minute and product."""

from __future__ import annotations

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
    in_room,
    line,
    purchase,
    refund,
    step,
)

VIEWERS = ("max.viewers", "watch_ms", "covered_ms")


def beat(event_id: str, at: int, viewers: int, *, ts: int | None = None, **more: str) -> Sent:
    """A heartbeat of L1, unless `more` says otherwise."""
    return in_room("live_heartbeat", event_id, at, ts=ts, concurrent_viewers=viewers, **more)


def watched(peak: int, watch_ms: int, covered_ms: int, live: str = "L1") -> list[Sum]:
    """A live's day."""
    amounts = zip(VIEWERS, (peak, watch_ms, covered_ms), strict=True)
    return [cell(measure, amount, f"live:{live}") for measure, amount in amounts]


def sold(live: str, value: str, measure: str, amount: int, start: int = NOON) -> Sum:
    """A field of a live's own hash of an hour."""
    return (f"room:{live}", value, "1h", start, measure), amount


ROOMS = (
    Scenario(
        name="heartbeat_lasts_to_the_next",
        fact="Viewers count from their heartbeat to the next one, the last ones for 60 s.",
        records=(
            beat("e1", NOON, 10), beat("e2", NOON + 4 * SECOND, 30), beat("e3", NOON + 10 * SECOND, 20),
        ),
        kinds=("live", "all"),
        measures=VIEWERS,
        cells=dict(watched(30, 10 * 4_000 + 30 * 6_000 + 20 * 60_000, 70_000)),
    ),
    Scenario(
        name="nobody_has_more_viewers_than_a_billion",
        fact="More than 10⁹ viewers count as 10⁹: a room cannot outgrow what sums hold.",
        records=(beat("e1", NOON, 2**53 - 1),),
        kinds=("live",),
        measures=VIEWERS,
        cells=dict(watched(10**9, 10**9 * 60_000, 60_000)),
    ),
    Scenario(
        name="heartbeat_lasts_a_minute_at_most",
        fact="After 60 s without a heartbeat nobody is counted until the next one.",
        records=(
            beat("e1", NOON, 1), beat("e2", NOON + 60 * SECOND, 10), beat("e3", NOON + 121 * SECOND, 100),
        ),
        kinds=("live",),
        measures=VIEWERS,
        cells=dict(watched(100, 111 * 60_000, 180_000)),
    ),
    Scenario(
        name="heartbeat_is_split_over_panes",
        fact="Each pane gets the part of the step that lies in it; the peak stands in the heartbeat's own.",
        records=(beat("e1", NOON + 7 * SECOND, 3), beat("e2", NOON + 22 * SECOND, 0)),
        kinds=("live",),
        sizes=("10s",),
        measures=VIEWERS,
        cells=dict(
            [
                cell("max.viewers", 3, "live:L1", "10s", NOON),
                *(
                    cell(measure, amount, "live:L1", "10s", NOON + at * SECOND)
                    for measure, at, amount in (
                        ("watch_ms", 0, 9_000), ("watch_ms", 10, 30_000), ("watch_ms", 20, 6_000),
                        ("covered_ms", 0, 3_000), ("covered_ms", 80, 2_000),
                    )
                ),
                *(
                    cell("covered_ms", 10_000, "live:L1", "10s", NOON + at * SECOND)
                    for at in (10, 20, 30, 40, 50, 60, 70)
                ),
            ]
        ),
    ),
    Scenario(
        name="heartbeat_over_midnight",
        fact="A step over a border of every size is split there; a pane's peak is the highest of its own.",
        records=(
            beat("e1", MONDAY + DAY - 2 * SECOND, 50, live_id="L1"), beat("e2", MONDAY + DAY + SECOND, 7),
        ),
        kinds=("live",),
        sizes=("1h", "1d"),
        measures=VIEWERS,
        cells=dict(
            cell(measure, amount, "live:L1", size, start)
            for size, before in (("1h", MONDAY + 23 * HOUR), ("1d", MONDAY))
            for measure, start, amount in (
                ("max.viewers", before, 50), ("watch_ms", before, 100_000), ("covered_ms", before, 2_000),
                ("max.viewers", MONDAY + DAY, 7), ("watch_ms", MONDAY + DAY, 50_000 + 420_000),
                ("covered_ms", MONDAY + DAY, 61_000),
            )
        ),
    ),
    Scenario(
        name="heartbeat_out_of_order",
        fact="A heartbeat that comes late shortens the one before it and lasts to the one after it.",
        records=(
            beat("e1", NOON, 1),
            beat("e2", NOON + 40 * SECOND, 100),
            beat("e3", NOON + 20 * SECOND, 10, ts=NOON + 4 * MINUTE),
            beat("e4", NOON - SECOND, 1_000, ts=NOON + 4 * MINUTE),
        ),
        kinds=("live",),
        measures=VIEWERS,
        cells=dict(watched(1_000, 1_000 * 1_000 + 20_000 + 200_000 + 100 * 60_000, 101_000)),
    ),
    Scenario(
        name="heartbeats_of_one_moment",
        fact="At the same time the later offset lasts; the peak is the higher one.",
        records=(
            beat("e1", NOON, 5), beat("e2", NOON, 9),
            beat("e3", NOON, 9, live_id="L2"), beat("e4", NOON, 5, live_id="L2"),
        ),
        kinds=("live",),
        measures=VIEWERS,
        cells=dict([*watched(9, 540_000, 60_000), *watched(9, 300_000, 60_000, "L2")]),
    ),
    Scenario(
        name="heartbeats_that_do_not_count",
        fact="Test traffic, duplicates, late rows and the end of the live change no step.",
        records=(
            beat("e1", NOON, 5),
            beat("e2", NOON + 10 * SECOND, 9, traffic="test"),
            beat("e1", NOON + 20 * SECOND, 9),
            in_room("live_end", "e3", NOON + 30 * SECOND),
            beat("e4", NOON - 5 * MINUTE - 1, 9, ts=NOON),
            step("live_join", "e5", NOON, live_id="L1"),
        ),
        kinds=("live",),
        measures=VIEWERS,
        cells=dict(watched(5, 300_000, 60_000)),
        late=frozenset({("livestreams", 0, 4)}),
    ),
    Scenario(
        name="rooms_own_hashes",
        fact="What a live sold: orders and GMV by minute of the hour, items by product; no refunds.",
        records=(
            purchase(
                "o1", NOON + 59 * MINUTE, line("p1", 2, 100, live_id="L:2"), line("p2", 1, 30),
                line("p2", 3, 10, seller_discount_minor=5), live_id="L1",
            ),
            refund("r1", "o1", NOON + 59 * MINUTE, 55),
            purchase("o2", NOON + HOUR, line("p1", 1, 7), live_id="L1", currency="EUR"),
            purchase("o3", NOON, line("p1", 1, 100)),
            purchase("o4", NOON, line("p1", 1, 100), live_id="L1", traffic="test"),
        ),
        kinds=("room:L1", "room:L:2"),
        sizes=("10s", "1m", "1h", "1d"),
        cells=dict(
            [
                sold("L1", "m59", "orders:USD", 1), sold("L1", "m59", "gmv_paid:USD", 55),
                sold("L1", "pp2", "items", 4),
                sold("L:2", "m59", "orders:USD", 1), sold("L:2", "m59", "gmv_paid:USD", 200),
                sold("L:2", "pp1", "items", 2),
                sold("L1", "m0", "orders:EUR", 1, NOON + HOUR),
                sold("L1", "m0", "gmv_paid:EUR", 7, NOON + HOUR),
                sold("L1", "pp1", "items", 1, NOON + HOUR),
            ]
        ),
    ),
)  # fmt: skip

"""Scenarios: payment attempts and their states."""

from __future__ import annotations

from tests.scenario_kit import DAY, MINUTE, MONDAY, NOON, SECOND, Scenario, cell, payment

PAYMENTS = (
    Scenario(
        name="attempt_goes_through_its_states",
        fact="An attempt is counted once, in the state of its latest event; events count each.",
        records=(
            payment("e1", "o1", NOON, "started"),
            payment("e2", "o1", NOON + SECOND, "authorised"),
            payment("e3", "o2", NOON, "started"),
        ),
        kinds=("all", "gateway"),
        cells=dict(
            cell(measure, amount, scope)
            for scope in ("all", "gateway:adyen")
            for measure, amount in (
                ("events.payment", 3), ("pay.attempts", 2), ("pay.authorised", 1), ("pay.pending", 1),
            )
        ),
    ),
    Scenario(
        name="attempt_moves_to_its_earliest_event",
        fact="When an earlier event comes later, the attempt moves to its pane and to its gateway.",
        records=(
            payment("e1", "o1", NOON + MINUTE, "authorised", gateway="stripe"),
            payment("e2", "o1", NOON, "started", gateway="adyen", ts=NOON + MINUTE),
        ),
        kinds=("all", "gateway"),
        sizes=("1m",),
        measures=("pay.",),
        cells=dict(
            cell(measure, 1, scope, "1m", NOON)
            for scope in ("all", "gateway:adyen")
            for measure in ("pay.attempts", "pay.authorised")
        ),
    ),
    Scenario(
        name="older_outcome_comes_later",
        fact="The state is the latest by event time, not by arrival.",
        records=(
            payment("e1", "o1", NOON + 2, "declined"),
            payment("e2", "o1", NOON + 1, "authorised", ts=NOON + 3),
        ),
        measures=("pay.",),
        cells=dict([cell("pay.attempts", 1), cell("pay.declined", 1)]),
    ),
    Scenario(
        name="ties_go_by_offset",
        fact="At the same event time the lower offset is the earliest and the higher one the latest.",
        records=(
            payment("e1", "o1", NOON, "started", gateway="adyen"),
            payment("e2", "o1", NOON, "cancelled_by_user", gateway="stripe"),
        ),
        kinds=("gateway",),
        measures=("pay.",),
        cells=dict([cell("pay.attempts", 1, "gateway:adyen"), cell("pay.cancelled", 1, "gateway:adyen")]),
    ),
    Scenario(
        name="errors_and_attempt_ids",
        fact="Error and timeout are errors; an order's attempts are apart, the one without id too.",
        records=(
            payment("e1", "o1", NOON, "error", attempt_id="1"),
            payment("e2", "o1", NOON, "timeout", attempt_id="2"),
            payment("e3", "o1", NOON, "authorised"),
        ),
        measures=("pay.",),
        cells=dict([cell("pay.attempts", 3), cell("pay.errors", 2), cell("pay.authorised", 1)]),
    ),
    Scenario(
        name="excluded_payment",
        fact="A test payment is no part of an attempt.",
        records=(
            payment("e1", "o1", NOON, "authorised"),
            payment("e2", "o1", NOON + 1, "error", traffic="test"),
        ),
        measures=("pay.", "events."),
        cells=dict([cell("pay.attempts", 1), cell("pay.authorised", 1), cell("events.payment", 1)]),
    ),
    Scenario(
        name="no_line_level_attempts",
        fact="Attempts are counted in order-level scopes; the event also where its envelope says.",
        records=(payment("e1", "o1", NOON, "declined", live_id="L1"),),
        kinds=("live",),
        cells=dict([cell("events.payment", 1, "live:L1")]),
    ),
    Scenario(
        name="attempt_horizon",
        fact="90 days on an attempt still takes an outcome, on the 91st day a new attempt begins.",
        records=(
            payment("e1", "o1", NOON, "started"),
            payment("e2", "o1", MONDAY + 91 * DAY - 1, "declined"),
            payment("e3", "o1", MONDAY + 91 * DAY, "authorised"),
        ),
        measures=("pay.",),
        cells=dict(
            [
                cell("pay.attempts", 1),
                cell("pay.declined", 1),
                cell("pay.attempts", 1, start=MONDAY + 91 * DAY),
                cell("pay.authorised", 1, start=MONDAY + 91 * DAY),
            ]
        ),
    ),
)  # fmt: skip

"""Producers with wrong clocks send what their names say."""

from __future__ import annotations

import json

import pytest

from tests.chaos.clocks import EVENTS_S, MINUTE_MS, records
from tests.chaos.plan import Kind

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("kind", "log_ms", "event_ms"),
    [
        (Kind.CLOCK_AHEAD, 4 * MINUTE_MS, 4 * MINUTE_MS),
        (Kind.CLOCK_REFUSED, 60 * MINUTE_MS, 60 * MINUTE_MS),
        (Kind.CLOCK_BEHIND, -60 * MINUTE_MS, -60 * MINUTE_MS),
        (Kind.EVENTS_AHEAD, 0, 60 * MINUTE_MS),
    ],
)
def test_a_wrong_clock_is_wrong_by_so_much(kind: Kind, log_ms: int, event_ms: int) -> None:
    """Kafka's time and the event's own, as far from now as the kind means; the broker refuses above 5 min."""
    sent = list(records(kind, 1, NOW_MS, 4))
    assert len(sent) > 500
    assert {record.topic for record in sent} >= {"views", "purchases", "carts"}
    span_ms = EVENTS_S * 1_000
    for record in sent:
        assert 0 <= record.timestamp_ms - NOW_MS - log_ms <= span_ms
        time_ms = json.loads(record.value)["event_time_ms"]
        # What a shopper did is sent up to some seconds after it happened.
        assert -10_000 <= time_ms - NOW_MS - event_ms <= span_ms

"""Any log, read in any order, in any pieces, with crashes anywhere, gives what `verify` recomputes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.driver import PipelineDriver
from tests.scenario_kit import DAY, MINUTE, NOON, SECOND
from verify.model import LogRecord
from verify.recompute import recompute
from verify.rules import Rules

IDS = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(1, 9)
# Steps in time: mostly small, now and then past a horizon (lateness, dedupe, waiting refunds, retention).
STEPS = st.sampled_from(
    (0, 1, SECOND, 11 * SECOND, MINUTE, 6 * MINUTE, 3 * 60 * MINUTE, DAY, 7 * DAY, 8 * DAY, 40 * DAY)
)
# Event time against Kafka's: at once, a little late, on the limits, too late, ahead, too far ahead.
BEHIND = (0, 0, 0, SECOND, 30 * SECOND, 5 * MINUTE, 5 * MINUTE + 1, DAY, 7 * DAY, 7 * DAY + 1)
OFFSETS = st.sampled_from((*(-late for late in BEHIND), MINUTE, 5 * MINUTE, 5 * MINUTE + 1))
TRAFFIC = st.sampled_from(["real", "real", "real", "test"])


@st.composite
def items(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines of an order, a few of the same product."""
    return [
        {
            "product_id": draw(IDS),
            "quantity": draw(SMALL),
            "unit_price_minor": draw(st.integers(0, 30)),
            "commission_bps": draw(st.sampled_from([0, 333, 10_000])),
            "platform_fee_bps": draw(st.sampled_from([0, 999])),
            "affiliate_id": draw(st.sampled_from([None, "a1", "a2"])),
            "platform_discount_minor": draw(st.integers(0, 3)),
            "live_id": draw(st.sampled_from([None, "L1", "L2"])),
        }
        for _ in range(draw(st.integers(1, 3)))
    ]


@st.composite
def order_events(draw: st.DrawFn) -> dict[str, Any]:
    """One event of the order service, about one of few orders."""
    kinds = ["purchase", "purchase", "refund", "refund", "payment", "order_status", "order_status"]
    kind = draw(st.sampled_from(kinds))
    event: dict[str, Any] = {"event_type": kind, "order_id": draw(IDS)}
    if kind == "purchase":
        event |= {"gateway": "g", "currency": draw(st.sampled_from(["USD", "USD", "EUR"]))}
        event |= {"items": draw(items()), "shipping_minor": draw(st.integers(0, 5)), "live_id": "L0"}
    elif kind == "refund":
        amounts = draw(st.lists(st.integers(0, 40), min_size=1, max_size=2))
        event |= {"refund_id": draw(st.sampled_from("uvwxyz")), "currency": "USD"}
        event |= {"amount_minor": max(1, sum(amounts))}
        if sum(amounts) and draw(st.booleans()):
            parts = [{"product_id": draw(IDS), "quantity": 1, "amount_minor": n} for n in amounts]
            event["items"] = parts
    elif kind == "payment":
        event |= {"gateway": draw(st.sampled_from(["g", "h"])), "attempt_id": draw(IDS)}
        event["outcome"] = draw(
            st.sampled_from(["started", "authorised", "declined", "error", "timeout", "cancelled_by_user"])
        )
    else:
        event["status"] = draw(st.sampled_from(["shipped", "delivered", "delivered"]))
    return event


@st.composite
def traffic_events(draw: st.DrawFn) -> dict[str, Any]:
    """One event of a shopper, with few values for each scope."""
    kind = draw(st.sampled_from(["view", "product_view", "source_heartbeat"]))
    return {
        "event_type": kind,
        "product_id": draw(IDS),
        "source": "s",
        "live_id": draw(st.sampled_from([None, "L1"])),
        "surface": draw(st.sampled_from([None, "live", "unknown"])),
    }


@st.composite
def logs(draw: st.DrawFn) -> list[LogRecord]:
    """Two topics' logs: the order service's and one of shoppers, with duplicates and garbage."""
    records: list[LogRecord] = []
    for topic, events in (("purchases", order_events()), ("views", traffic_events())):
        now = NOON
        for offset in range(draw(st.integers(0, 25))):
            now += draw(STEPS)
            if draw(st.integers(0, 19)) == 0:
                value = b"{"
            else:
                event = draw(events) | {
                    "event_id": draw(st.sampled_from("abcdefghij")),
                    "event_time_ms": now + draw(OFFSETS),
                    "platform": draw(st.sampled_from(["tiktok", "elsewhere"])),
                    "user_id": "u1",
                    # No id lives longer than a day: then any reading gives the same.
                    "session_id": f"s{now // (DAY // 2)}",
                    "traffic": draw(TRAFFIC),
                }
                value = json.dumps(event).encode()
            key = draw(st.sampled_from([b"u1", b"u1", b"u1", None]))
            records.append(LogRecord(topic, 0, offset, now, key, value))
    return records


@settings(max_examples=400)
@given(logs(), st.data())
def test_any_reading_equals_the_recomputation(log: list[LogRecord], data: st.DataObject) -> None:
    """Cells, dead letters and late rows equal the oracle's, whatever the interleaving, pieces and crashes."""
    driver = PipelineDriver()
    driver.append(log)
    for _ in range(data.draw(st.integers(0, 12))):
        driver.read(data.draw(st.sampled_from(["purchases", "views"])), 0, data.draw(st.integers(1, 9)))
        if data.draw(st.booleans()):
            driver.save(0)
        if data.draw(st.integers(0, 3)) == 0:
            driver.crash(0)
    driver.finish()
    expected = recompute(log, Rules(partitions=1))

    assert driver.cells() == expected.cells
    assert driver.dead_letters == expected.dead_letters
    assert driver.late == expected.late

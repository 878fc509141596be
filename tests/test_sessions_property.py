"""Sessions over five topics: any interleaving, any pieces, crashes anywhere give what sorting gives.

The topics of a partition number are read apart from each other, so a purchase may be seen before the view
that it came from. The pipeline must not care; `verify` collects a session's events and sorts them.
"""

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

HOUR = 60 * MINUTE
TYPES = {
    "views": ("view", "view", "mini_program_open", "product_view", "source_heartbeat"),
    "tag-taps": ("tag_tap",),
    "carts": ("add_to_cart", "begin_checkout", "remove_from_cart"),
    "purchases": ("purchase", "purchase", "payment", "refund"),
    "livestreams": ("live_join", "live_join", "live_like", "live_heartbeat", "product_pin", "live_start"),
}
# Most steps in time are small, so that sessions have several events and equal times are common.
STEPS = st.sampled_from((0, 0, 1, 1, SECOND, 10 * SECOND, MINUTE, 11 * MINUTE))
LONG_STEPS = st.sampled_from((0, 1, MINUTE, HOUR, 6 * HOUR, 23 * HOUR, DAY, DAY + 15 * MINUTE, 2 * DAY))
BEHIND = st.sampled_from((0, 0, 0, 1, SECOND, MINUTE, 4 * MINUTE, 5 * MINUTE, 5 * MINUTE + 1, -MINUTE))


@st.composite
def one_event(draw: st.DrawFn, topic: str) -> dict[str, Any]:
    """An event of the topic: two users, two sessions, few values for each scope."""
    kind = draw(st.sampled_from(TYPES[topic]))
    event: dict[str, Any] = {
        "event_type": kind,
        "user_id": draw(st.sampled_from(["u1", "u2"])),
        "session_id": draw(st.sampled_from(["s1", "s1", "s2"])),
        "platform": draw(st.sampled_from(["tiktok", "wechat"])),
        "surface": draw(st.sampled_from([None, "live", "search"])),
        "live_id": draw(st.sampled_from([None, "L1", "L2"])) if topic != "livestreams" else "L1",
        "creator_id": draw(st.sampled_from([None, "c1"])),
        "product_id": draw(st.sampled_from(["p", "q"])),
        "traffic": draw(st.sampled_from(["real"] * 9 + ["bot"])),
        "mini_program_id": "m",
        "entry": "search",
        "source": "s",
        "quantity": 1,
        "unit_price_minor": 5,
        "currency": "USD",
        "gateway": "g",
        "concurrent_viewers": draw(st.integers(0, 9)),
    }
    if topic == "purchases":
        event["order_id"] = draw(st.sampled_from("abcdefgh"))
        event["session_id"] = draw(st.sampled_from([None, event["session_id"], event["session_id"]]))
    if kind == "purchase":
        live = draw(st.sampled_from([None, "L1", "L3"]))
        event["items"] = [{"product_id": "p", "quantity": 1, "unit_price_minor": 5, "live_id": live}]
    elif kind == "payment":
        event["outcome"] = draw(st.sampled_from(["started", "authorised", "declined"]))
    elif kind == "refund":
        event |= {"refund_id": draw(st.sampled_from("xy")), "amount_minor": 1}
    return event


@st.composite
def logs(draw: st.DrawFn, steps: st.SearchStrategy[int]) -> list[LogRecord]:
    """The topics' logs in the order of time; each topic's offsets count by themselves."""
    now = NOON
    offsets = dict.fromkeys(TYPES, 0)
    records = []
    for number in range(draw(st.integers(0, 30))):
        now += draw(steps)
        topic = draw(st.sampled_from(sorted(TYPES)))
        event = draw(one_event(topic)) | {"event_id": f"e{number}", "event_time_ms": now - draw(BEHIND)}
        value = json.dumps({name: value for name, value in event.items() if value is not None}).encode()
        records.append(LogRecord(topic, 0, offsets[topic], now, b"u1", value))
        offsets[topic] += 1
    return records


def _assert_equal(driver: PipelineDriver, log: list[LogRecord], horizon_ms: int = 15 * MINUTE) -> None:
    driver.finish()
    expected = recompute(log, Rules(partitions=1, cohort_horizon_ms=horizon_ms))
    assert driver.cells() == expected.cells
    assert driver.user_counts() == expected.user_counts


@settings(max_examples=400)
@given(logs(STEPS), st.data())
def test_any_interleaving_gives_the_same_funnels(log: list[LogRecord], data: st.DataObject) -> None:
    """Topics in any order, in any pieces, saved and lost anywhere: cells and users equal the oracle's."""
    horizon_ms = data.draw(st.sampled_from([1, 10 * SECOND, MINUTE, 12 * MINUTE]))
    driver = PipelineDriver(cohort_horizon_ms=horizon_ms)
    driver.append(log)
    for _ in range(data.draw(st.integers(0, 14))):
        driver.read(data.draw(st.sampled_from(sorted(TYPES))), 0, data.draw(st.integers(1, 9)))
        if data.draw(st.booleans()):
            driver.save(0)
        if data.draw(st.integers(0, 3)) == 0:
            driver.crash(0)
    _assert_equal(driver, log, horizon_ms)


@settings(max_examples=150)
@given(logs(LONG_STEPS), st.data())
def test_ids_that_live_for_days_end_and_begin_anew(log: list[LogRecord], data: st.DataObject) -> None:
    """With topics read in step, sessions past their end and ids that come back are the oracle's, too."""
    driver = PipelineDriver()
    driver.append(log)
    left = list(log)
    while left:
        record = left.pop(0)
        if record.offset == (driver.states[0].topics[record.topic].next_offset or 0):
            driver.read(record.topic, 0, 1)
        if data.draw(st.integers(0, 4)) == 0:
            driver.save(0)
        if data.draw(st.integers(0, 9)) == 0:
            driver.crash(0)
            left = list(log)
    _assert_equal(driver, log)

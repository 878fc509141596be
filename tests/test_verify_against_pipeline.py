"""Sessions, users, rooms, caps, pairs: the pipeline, however it reads, gives what `verify` finds by sorting.

The topics share one clock here, and are read at most 10 min of it apart, as the owner does.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.driver import PipelineDriver
from tests.scenario_kit import DAY, HOUR, MINUTE, NOON, SECOND
from verify.model import LogRecord
from verify.recompute import recompute
from verify.rules import Rules

APART = 10 * MINUTE
# A shop of minutes, in which sessions run, and one of days, in which they are gone and begin again.
BUSY = (0, 0, 1, SECOND, 7 * SECOND, MINUTE)
SLOW = (0, 0, 1, MINUTE, 14 * MINUTE, HOUR, 23 * HOUR, DAY)
BEHIND = (0, 0, 0, 1, 30 * SECOND, 4 * MINUTE, 5 * MINUTE, 5 * MINUTE + 1, -MINUTE, -5 * MINUTE)
TYPES = {
    "view": "views",
    "mini_program_open": "views",
    "tag_tap": "tag-taps",
    "add_to_cart": "carts",
    "begin_checkout": "carts",
    "payment": "purchases",
    "purchase": "purchases",
    "live_join": "livestreams",
    "live_heartbeat": "livestreams",
    "ad_charge": "ads",
}
# What the types ask for beside the envelope: fields that a type does not know are ignored.
OWN: dict[str, Any] = {
    "mini_program_id": "m1", "entry": "search", "quantity": 1, "unit_price_minor": 3, "currency": "USD",
    "gateway": "g1", "amount_minor": 7,
}  # fmt: skip


def few(letter: str, count: int = 3) -> st.SearchStrategy[str]:
    """One of a few values."""
    return st.sampled_from([f"{letter}{n}" for n in range(count)])


MAYBE = st.sampled_from([None, "v0", "v1", "v2", "other"])
ENVELOPE = st.fixed_dictionaries(
    {
        "platform": st.sampled_from(["tiktok", "elsewhere"]),
        "surface": st.sampled_from([None, "live", "search"]),
        "user_id": few("u", 2),
        "session_id": few("s", 2),
        "creator_id": MAYBE,
        "product_id": few("p"),
        "campaign_id": few("c"),
        "concurrent_viewers": st.integers(0, 9),
        "order_id": few("o"),
        "outcome": st.sampled_from(["started", "authorised"]),
        "traffic": st.sampled_from(["real"] * 7 + ["test"]),
    }
)


@st.composite
def logs(draw: st.DrawFn) -> list[LogRecord]:
    """The logs of six topics, in the order in which they were written."""
    steps = st.sampled_from(draw(st.sampled_from([BUSY, SLOW])))
    moments = st.tuples(steps, st.sampled_from(BEHIND), st.sampled_from(list(TYPES)), MAYBE, ENVELOPE)
    ends = dict.fromkeys(TYPES.values(), 0)
    records = []
    now = NOON
    for number, (passed, behind, kind, live_id, envelope) in enumerate(draw(st.lists(moments, max_size=40))):
        now += passed
        event = OWN | envelope | {"event_id": f"e{number}", "event_type": kind, "event_time_ms": now - behind}
        event["live_id"] = live_id or ("v0" if kind.startswith("live") else None)
        if kind == "purchase":
            line = {"product_id": "p1", "quantity": 2, "unit_price_minor": 5}
            event |= {"order_id": f"o{number}", "items": [line | {"live_id": envelope["creator_id"]}, line]}
        topic = TYPES[kind]
        records.append(LogRecord(topic, 0, ends[topic], now, b"u1", json.dumps(event).encode()))
        ends[topic] += 1
    return records


def read_somehow(driver: PipelineDriver, log: list[LogRecord], rng: Random) -> None:
    """Reads all topics in pieces, none more than 10 min ahead of another, with writes and crashes between."""
    topics = {topic: [r.timestamp_ms for r in log if r.topic == topic] for topic in TYPES.values()}
    while left := {topic: ahead for topic, ahead in _unread(driver, topics).items() if ahead}:
        until_ms = min(ahead[0] for ahead in left.values()) + APART
        topic = rng.choice([topic for topic, ahead in left.items() if ahead[0] <= until_ms])
        readable = sum(timestamp_ms <= until_ms for timestamp_ms in left[topic])
        driver.read(topic, 0, rng.randint(1, readable))
        if rng.random() < 0.3:
            driver.save(0)
        if rng.random() < 0.15:
            driver.crash(0)


def _unread(driver: PipelineDriver, topics: dict[str, list[int]]) -> dict[str, list[int]]:
    progress = driver.states[0].topics
    return {topic: times[progress[topic].next_offset or 0 :] for topic, times in topics.items()}


@settings(max_examples=300)
@given(logs(), st.sampled_from([1, 2, 20_000]), st.integers(0, 2**32))
def test_any_reading_equals_the_sorted_log(log: list[LogRecord], most: int, seed: int) -> None:
    """Cells and distinct users equal the oracle's, whatever the interleaving, the pieces and the crashes."""
    driver = PipelineDriver(scope_values_max=most)
    driver.append(log)
    read_somehow(driver, log, Random(seed))
    driver.finish()
    expected = recompute(log, Rules(partitions=1, scope_values_max=most))

    assert driver.cells() == expected.cells
    assert driver.user_counts() == expected.user_counts

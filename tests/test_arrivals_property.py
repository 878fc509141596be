"""Returns, channels and cycles: the pipeline, however it reads, gives what `verify` finds by sorting."""

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

SHARES = ("share", "share_open", "share_convert")
OPENS = ("mini_program_open",)
TOPICS = {"mini_program_open": "views", "mini_program_action": "views", "review": "engagement"}
# Around midnight, where five minutes late is the day before; and over weeks, in which records end.
BUSY = (0, 0, 1, SECOND, MINUTE, 4 * MINUTE)
SLOW = (0, MINUTE, 11 * HOUR, DAY, DAY, 6 * DAY, 7 * DAY - 1, 7 * DAY, 8 * DAY)
BEHIND = (0, 0, 0, 1, SECOND, MINUTE, 5 * MINUTE, 5 * MINUTE + 1, -SECOND, -5 * MINUTE)
BEGINS = (NOON, NOON + 12 * HOUR - 2 * MINUTE)
MAYBE = st.sampled_from([None, "v0", "v1", "other"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "user_id": st.sampled_from(["u0", "u0", "u0", "u1"]),
    "mini_program_id": st.sampled_from(["v0", "v0", "v1", "v2"]),
    "entry": st.sampled_from(["qr_code", "explore"]),
    "qr_id": MAYBE,
    "share_id": st.sampled_from(["h0", "h0", "h0", "h1"]),
    "channel": MAYBE,
    "traffic": st.sampled_from(["real"] * 9 + ["test"]),
}
OWN = {"session_id": "s", "name": "n", "product_id": "p", "rating": 5, "platform": "tiktok"}


@st.composite
def logs(draw: st.DrawFn) -> list[LogRecord]:
    """The logs of both topics, in the order in which they were written: of shares, of opens, or of all."""
    kinds = st.sampled_from(draw(st.sampled_from([SHARES, SHARES, OPENS, (*SHARES, *OPENS, *TOPICS)])))
    steps = st.sampled_from(draw(st.sampled_from([BUSY, SLOW])))
    moments = st.tuples(steps, st.sampled_from(BEHIND), kinds, st.fixed_dictionaries(FIELDS))
    now = draw(st.sampled_from(BEGINS))
    ends = {"views": 0, "engagement": 0}
    records = []
    for number, (passed, behind, kind, fields) in enumerate(draw(st.lists(moments, max_size=24))):
        now += passed
        event = OWN | fields | {"event_id": f"e{number}", "event_type": kind, "event_time_ms": now - behind}
        topic = TOPICS.get(kind, "engagement")
        records.append(LogRecord(topic, 0, ends[topic], now, b"u1", json.dumps(event).encode()))
        ends[topic] += 1
    return records


def read_somehow(driver: PipelineDriver, log: list[LogRecord], rng: Random) -> None:
    """Reads the topics in any order and in pieces, with writes and crashes between."""
    for _ in range(len(log)):
        topic = rng.choice(log).topic
        driver.read(topic, 0, rng.randint(1, 8))
        if rng.random() < 0.3:
            driver.save(0)
        if rng.random() < 0.15:
            driver.crash(0)


@settings(max_examples=400)
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

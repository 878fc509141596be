"""Faults on request: each is one record more, as often as was asked for, with the verdict it stands for."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from schemas.codec import Rejected, decode
from streams.sources.faults import DAMAGES, Faults
from streams.sources.record import Record
from streams.sources.simulation import SimConfig, simulate

START_MS = 1_700_000_000_000


def first(count: int, **faults: Any) -> list[Record]:
    """The first records of a shop with these faults."""
    return list(itertools.islice(simulate(SimConfig(start_ms=START_MS, faults=Faults(**faults))), count))


def test_the_good_records_stay_what_they_are() -> None:
    """Without disorder, a run with faults is the run without them and some records more."""
    plain = first(20_000)
    good = [record for record in first(20_000, duplicates=0.1, late=0.1, unreadable=0.1) if not record.fault]
    assert len(good) > 14_000
    assert good == plain[: len(good)]


def test_shares_are_kept() -> None:
    """Each fault is as frequent as asked for, relative to the good records, and of every kind."""
    count = Counter(record.fault for record in first(60_000, duplicates=0.2, late=0.05, unreadable=0.1))
    good = count.pop("")
    unreadable = {name: number for name, number in count.items() if name.startswith("unreadable.")}
    assert count["duplicate"] / good == pytest.approx(0.2, rel=0.1)
    assert count["late"] / good == pytest.approx(0.05, rel=0.1)
    assert sum(unreadable.values()) / good == pytest.approx(0.1, rel=0.1)
    assert set(unreadable) == {f"unreadable.{reason}" for reason, _ in DAMAGES}


def test_a_duplicate_is_the_same_record_at_most_five_seconds_later() -> None:
    """Same topic, key and bytes as a good record that was sent before it."""
    seen: dict[tuple[str, bytes], int] = {}
    duplicates = 0
    for record in first(20_000, duplicates=0.2, disorder_ms=2_000):
        if record.fault:
            duplicates += 1
            assert 0 < record.timestamp_ms - seen[record.topic, record.value] <= 5_000
        else:
            seen[record.topic, record.value] = record.timestamp_ms
    assert duplicates > 2_000


def test_a_late_record_is_readable_and_older_than_its_topic_allows() -> None:
    """Five minutes for traffic, seven days for purchases: passed by no more than a minute."""
    topics = set()
    for record in first(40_000, late=0.1):
        if record.fault:
            topics.add(record.topic)
            event = decode(record.value, record.topic)
            assert not isinstance(event, Rejected)
            limit_ms = 604_800_000 if record.topic == "purchases" else 300_000
            assert limit_ms < record.timestamp_ms - event.event_time_ms <= limit_ms + 61_000
            assert event.event_id.startswith("late-")
    assert {"purchases", "views"} <= topics


def test_an_unreadable_record_gets_the_verdict_that_it_stands_for() -> None:
    """The summary of a run names the reasons that the dead letters must show."""
    seen = Counter[str]()
    for record in first(60_000, unreadable=0.05):
        if record.fault:
            seen[record.fault] += 1
            event = decode(record.value, record.topic)
            if record.fault == "unreadable.future_time":
                assert not isinstance(event, Rejected)
                assert event.event_time_ms > record.timestamp_ms + 300_000
            else:
                assert isinstance(event, Rejected)
                assert f"unreadable.{event.reason}" == record.fault
    assert len(seen) == len({reason for reason, _ in DAMAGES})


def test_disorder_is_bounded_and_never_makes_a_record_late() -> None:
    """Each record is sent at most so long after its event time; timestamps still run forward."""
    sent = first(20_000, disorder_ms=3_000)
    times = [record.timestamp_ms for record in sent]
    assert times == sorted(times)
    events = [(record, decode(record.value, record.topic)) for record in sent]
    delays = [record.timestamp_ms - event.event_time_ms for record, event in events]  # type: ignore[union-attr]
    assert min(delays) >= 0
    assert 2_500 < max(delays) <= 3_000
    event_times = [event.event_time_ms for _, event in events]  # type: ignore[union-attr]
    assert event_times != sorted(event_times)


def test_source_heartbeats_are_left_alone() -> None:
    """A heartbeat says that the source is alive: a damaged or late one would say something else."""
    faults = [record for record in first(20_000, duplicates=1, late=1, unreadable=1) if record.fault]
    assert faults
    assert all(record.key is not None for record in faults)

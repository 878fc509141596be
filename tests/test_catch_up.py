"""How far a rebuild is: what is left, its pace, and when it may take over."""

from __future__ import annotations

import pytest

from streams.catch_up import Pace, counted, duration, is_as_complete, is_level, left_of, line

TOPICS = ("views", "carts")
METAS = [{"off:views": "10", "off:carts": "0", "wm:views": "5000"}, {"off:views": "7"}]


def test_offsets_are_those_that_were_written() -> None:
    """A topic-partition that nobody took over yet has none, which is not the same as 0."""
    assert counted(METAS, TOPICS) == {("views", 0): 10, ("carts", 0): 0, ("views", 1): 7}


def test_what_is_left_begins_where_the_log_does() -> None:
    """Deleted records are not waited for, and what came after the look at the end is not counted twice."""
    starts = {("views", 0): 4, ("views", 1): 0}
    assert left_of({("views", 0): 0, ("views", 1): 9}, starts, {("views", 0): 10, ("views", 1): 8}) == 6


def test_level_means_every_topic_partition() -> None:
    """One that is behind, or was never taken over, holds up the switch."""
    ends = {("views", 0): 10, ("carts", 0): 0}
    assert is_level({("views", 0): 11, ("carts", 0): 0}, ends)
    assert not is_level({("views", 0): 9, ("carts", 0): 0}, ends)
    assert not is_level({("views", 0): 11}, ends)


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ([{"wm:views": "8000"}, {}], True),
        ([{"wm:views": "8001"}, {}], False),
        ([{"wm:views": "1", "wm:carts": "3001"}, {}], False),
        ([{}, {}], True),
        ([], True),
    ],
)
def test_as_of_does_not_step_back(served: list[dict[str, str]], expected: bool) -> None:
    """No watermark more than what two clocks may differ behind the served one; a lost state asks nothing."""
    assert is_as_complete(METAS, served) is expected


def test_the_pace_is_that_of_the_last_half_minute() -> None:
    """Neither the slow start nor a Redis that was emptied in the middle counts for ever."""
    pace = Pace()
    pace.see(0.0, 0)
    assert pace.per_s == 0
    pace.see(10.0, 100)
    assert pace.per_s == 10
    pace.see(40.0, 30_100)
    assert pace.per_s == 1_000
    pace.see(41.0, 0)
    assert pace.per_s == 0
    pace.see(43.0, 500)
    assert pace.per_s == 250


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("sp.1", 0, 0, 0.0), "sp.1: 0 of 0 records (100.0%)"),
        (("sp.1", 0, 8_000, 0.0), "sp.1: 0 of 8,000 records (0.0%)"),
        (("sp.1", 2_000, 6_000, 100.0), "sp.1: 2,000 of 8,000 records (25.0%), 100/s, 60 s left"),
        (("sp.1", 8_000, 0, 100.0), "sp.1: 8,000 of 8,000 records (100.0%), 100/s"),
    ],
)
def test_a_line_says_how_far_how_fast_how_long(said: tuple[str, int, int, float], expected: str) -> None:
    """What is not known is left out."""
    assert line(*said) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5_300, "88 min"), (12_000, "3 h 20 min")],
)
def test_times_are_told_as_people_do(seconds: float, expected: str) -> None:
    """Seconds, minutes, hours."""
    assert duration(seconds) == expected

"""Over which whole panes users are counted: the finest that are kept where the asked range begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.requests import SKETCHES_MAX
from streams.users import SKETCH_SIZES
from streams.users_range import complete_days, sizes_of, users_range
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

NOON = 20_000 * DAY_MS + 12 * HOUR_MS


@pytest.mark.parametrize(
    ("back_ms", "size_ms"),
    [
        (10 * SECOND_MS, MINUTE_MS),
        (2 * HOUR_MS, MINUTE_MS),
        (2 * HOUR_MS + 10 * SECOND_MS, HOUR_MS),
        (35 * DAY_MS, HOUR_MS),
        (35 * DAY_MS + HOUR_MS, DAY_MS),
        (400 * DAY_MS, DAY_MS),
    ],
)
def test_older_ranges_have_coarser_panes(back_ms: int, size_ms: int) -> None:
    """Minutes up to 2 hours back, hours up to 35 days, days up to 400 days."""
    found = users_range(NOON - back_ms, NOON, NOON)
    assert found is not None
    assert {pane.size.size_ms for pane in found.panes} == {size_ms}


def test_beyond_400_days_nobody_is_counted() -> None:
    """What is not kept is not known; it is not 0 users."""
    assert users_range(NOON - 400 * DAY_MS - 1, NOON, NOON) is None


def test_an_event_ahead_of_the_clock_may_have_let_panes_go() -> None:
    """Sketches go by event time: what lies more than 2 hours behind the newest event is asked by the hour."""
    found = users_range(NOON - 2 * HOUR_MS, NOON, NOON + 5 * MINUTE_MS)
    assert found is not None
    assert found.panes[0].size.name == "1h"


@pytest.mark.parametrize(
    ("ahead_ms", "size_ms"),
    [
        (33 * HOUR_MS, MINUTE_MS),
        (36 * HOUR_MS, HOUR_MS),
        (80 * DAY_MS, HOUR_MS),
        (90 * DAY_MS, DAY_MS),
        (1_850 * DAY_MS, DAY_MS),
        (10**15, None),
    ],
)
def test_a_range_is_cut_into_no_more_panes_than_are_counted(ahead_ms: int, size_ms: int | None) -> None:
    """From the last minute to some time ahead: the finest size with at most 2 000 panes, else nobody."""
    found = users_range(NOON - MINUTE_MS, NOON + ahead_ms, NOON)
    assert (None if found is None else found.panes[0].size.size_ms) == size_ms
    assert found is None or len(found.panes) <= SKETCHES_MAX


@given(st.integers(0, 500 * DAY_MS // SECOND_MS), st.integers(1, 10 * DAY_MS // SECOND_MS))
def test_whole_panes_cover_the_range_and_no_more(back_s: int, length_s: int) -> None:
    """The panes follow each other without a gap; taking one away would leave a part of the range out."""
    from_ms = NOON - back_s * SECOND_MS
    to_ms = from_ms + length_s * SECOND_MS
    found = users_range(from_ms, to_ms, NOON)
    if found is None:
        assert back_s * SECOND_MS > 400 * DAY_MS
        return
    starts = [pane.start_ms for pane in found.panes]
    size_ms = found.panes[0].size.size_ms
    assert starts == list(range(found.from_ms, found.to_ms, size_ms))
    assert starts[0] % size_ms == 0
    assert starts[0] <= from_ms < starts[0] + size_ms
    assert starts[-1] < to_ms <= found.to_ms == starts[-1] + size_ms


def test_sellers_have_sketches_of_days_only() -> None:
    """Five minutes of a merchant are counted over the day; of a live over minutes."""
    assert sizes_of("live") == SKETCH_SIZES
    [size] = sizes_of("merchant")
    found = users_range(NOON - 5 * MINUTE_MS, NOON, NOON, sizes_of("merchant"))
    assert found is not None
    assert (found.from_ms, found.to_ms - found.from_ms) == (NOON - NOON % DAY_MS, DAY_MS)
    assert found.panes == ((size, found.from_ms),)


@pytest.mark.parametrize(("end_ms", "until_ms"), [(NOON, NOON - 12 * HOUR_MS), (NOON - 12 * HOUR_MS,) * 2])
def test_complete_days_end_with_the_last_that_is_over(end_ms: int, until_ms: int) -> None:
    """At noon that is midnight; at midnight the day that ends there is over."""
    found = complete_days(30, end_ms, NOON)
    assert found is not None
    assert (found.from_ms, found.to_ms) == (until_ms - 30 * DAY_MS, until_ms)
    assert [pane.start_ms for pane in found.panes] == list(range(found.from_ms, until_ms, DAY_MS))
    assert {pane.size.name for pane in found.panes} == {"1d"}


def test_complete_days_are_all_kept_or_none() -> None:
    """Where the first of them is more than 400 days back nothing is said; nor before 1970."""
    midnight = NOON - 12 * HOUR_MS
    assert complete_days(30, midnight - 370 * DAY_MS, midnight) is not None
    assert complete_days(30, midnight - 370 * DAY_MS, midnight + 1) is None
    assert complete_days(30, 29 * DAY_MS, 29 * DAY_MS) is None

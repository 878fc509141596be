"""As of when, how complete, in which state: the arithmetic of CONTRACT §4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import INPUT_TOPICS
from streams import trust
from streams.scopes import SCOPES
from streams.trust import State, completeness, judge
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

NOON = 20_000 * DAY_MS + 12 * HOUR_MS
RANGE = (NOON - 5 * MINUTE_MS, NOON)


def test_as_of_is_the_slowest_watermark() -> None:
    """A figure is as good as the slowest topic-partition that it reads."""
    assert judge([NOON - 2, NOON - 9, NOON], RANGE, NOON, ()).as_of_ms == NOON - 9


def test_a_watermark_that_was_never_published_counts_as_no_progress() -> None:
    """Then there is no as-of, the answer is stale, and its share of completeness is zero."""
    judged = judge([NOON, None], RANGE, NOON + HOUR_MS, ())
    assert (judged.as_of_ms, judged.state, judged.completeness) == (None, State.STALE, 0.5)
    assert judge([None, None], RANGE, NOON, ()).completeness == 0.0


@pytest.mark.parametrize(
    ("watermarks", "now_ms", "expected"),
    [
        ([NOON], NOON + MINUTE_MS, 1.0),
        ([NOON - 150 * SECOND_MS], NOON + MINUTE_MS, 0.5),
        ([NOON, NOON - HOUR_MS], NOON + MINUTE_MS, 0.5),
        ([NOON - 10 * SECOND_MS], NOON, 1.0),
        ([NOON - 155 * SECOND_MS], NOON, 0.5),
        ([NOON], RANGE[0] + 10 * SECOND_MS, None),
        ([NOON], RANGE[0], None),
        ([RANGE[0] + 1], RANGE[0] + 10 * SECOND_MS + 2, 0.5),
    ],
)
def test_completeness_is_the_mean_part_that_watermarks_have_passed(
    watermarks: list[int], now_ms: int, expected: float | None
) -> None:
    """Clamped to [0, 1], measured up to min(to, now - 10 s), null where that lies not behind `from`."""
    assert completeness(watermarks, *RANGE, now_ms) == expected


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 2 * NOON)), min_size=1, max_size=40),
    st.integers(0, 2 * NOON),
)
def test_completeness_lies_between_0_and_1(watermarks: list[int | None], now_ms: int) -> None:
    """Whatever the clocks say; it is 1 only if every watermark has passed the end."""
    result = completeness(watermarks, *RANGE, now_ms)
    if result is not None:
        assert 0.0 <= result <= 1.0
        end_ms = min(RANGE[1], now_ms - 10 * SECOND_MS)
        if all(mark is not None and mark >= end_ms for mark in watermarks):
            assert result == 1.0


@pytest.mark.parametrize(
    ("as_of_ms", "now_ms", "silent", "state"),
    [
        (NOON - 10 * SECOND_MS, NOON, (), State.OPEN),
        (NOON - MINUTE_MS, NOON, (), State.OPEN),
        (NOON - MINUTE_MS - 1, NOON, (), State.STALE),
        (NOON, NOON + DAY_MS, (), State.OPEN),
        (NOON - 1, NOON + DAY_MS, (), State.STALE),
        (NOON + 10 * MINUTE_MS - 1, NOON + DAY_MS, (), State.OPEN),
        (NOON + 10 * MINUTE_MS, NOON + DAY_MS, (), State.FINAL),
        (NOON + 10 * MINUTE_MS, NOON + DAY_MS, ("views",), State.SOURCE_SILENT),
        (NOON - HOUR_MS, NOON, ("views",), State.SOURCE_SILENT),
    ],
)
def test_states_in_their_order(as_of_ms: int, now_ms: int, silent: tuple[str, ...], state: State) -> None:
    """Silence before staleness before final before open, at the contract's borders of 60 s and 10 min."""
    assert judge([as_of_ms], RANGE, now_ms, silent).state is state


@pytest.mark.parametrize(
    ("last_ms", "to_ms", "now_ms", "expected"),
    [
        (None, NOON, NOON, False),
        (NOON - 30 * SECOND_MS, NOON, NOON, False),
        (NOON - 30 * SECOND_MS - 1, NOON, NOON, True),
        (NOON - 1, NOON, NOON + HOUR_MS, True),
        (NOON, NOON, NOON + HOUR_MS, False),
    ],
)
def test_silence_began_before_the_end_and_lasts_30_s(
    last_ms: int | None, to_ms: int, now_ms: int, expected: bool
) -> None:
    """A range that ended before the last sign of a source is not touched by its silence."""
    assert trust.may_be_silent(last_ms, to_ms, now_ms) is expected


@pytest.mark.parametrize(
    ("written_ms", "expected"),
    [
        ([NOON, NOON - 15 * SECOND_MS], True),
        ([NOON, NOON - 15 * SECOND_MS - 1], False),
        ([NOON, None], False),
        ([NOON + SECOND_MS], True),
    ],
)
def test_silence_is_told_only_where_every_worker_looks(written_ms: list[int | None], expected: bool) -> None:
    """One that has not written for over 15 s, or never said when, may have missed what a source sent."""
    assert trust.is_looked_at(written_ms, NOON) is expected


def test_a_source_is_missed_where_20_records_were_expected() -> None:
    """Without heartbeats, one of 10 a minute is silent after 2 minutes, not before; one of nothing never."""
    steady = (600.0,) * 24
    assert not trust.is_silent(steady, NOON, NOON + 2 * MINUTE_MS - 1_000)
    assert trust.is_silent(steady, NOON, NOON + 2 * MINUTE_MS)
    assert not trust.is_silent((0.0,) * 24, NOON, NOON + 100 * DAY_MS)


def test_what_is_expected_goes_by_the_hour() -> None:
    """Of the hour of the last record and each after it its own pace, and days go round."""
    paces = (12.0, 6.0, *(0.0,) * 21, 4.0)
    half_past = NOON + HOUR_MS // 2
    assert not trust.is_silent(paces, half_past, NOON + 2 * HOUR_MS)
    assert not trust.is_silent(paces, half_past, NOON + 24 * HOUR_MS)
    assert not trust.is_silent(paces, half_past, NOON + 24 * HOUR_MS + 19 * MINUTE_MS)
    assert trust.is_silent(paces, half_past, NOON + 24 * HOUR_MS + 20 * MINUTE_MS)


def test_a_young_shop_has_the_pace_that_it_had_so_far() -> None:
    """Counted from its first hour on; without a record nothing is expected."""
    counts = {NOON - 2 * HOUR_MS: 0, NOON - HOUR_MS: 60, NOON: 60}
    assert trust.hourly_paces(counts, NOON + 30 * MINUTE_MS) == (60.0,) * 24
    assert trust.hourly_paces({NOON: 30}, NOON + 30 * MINUTE_MS) == (60.0,) * 24
    assert trust.hourly_paces({NOON: 0}, NOON + 1) == trust.hourly_paces({}, NOON) == (0.0,) * 24


def test_a_burst_is_no_pace() -> None:
    """A span shorter than 5 minutes is taken as 5."""
    assert trust.hourly_paces({NOON: 100}, NOON + 1_000) == (1_200.0,) * 24


def test_a_figure_reads_the_topics_whose_events_it_counts() -> None:
    """By gateway, alone or in a pair, only purchases are counted, by campaign only charges, by app only
    activity, by QR code only opens, by channel only shares; every other kind counts events of all topics."""
    few = {"gateway": ("purchases",), "qr": ("views",), "channel": ("engagement",), "campaign": ("ads",)}
    few["app"] = ("redirects",)
    for kind in SCOPES:
        expected = few.get(kind.rpartition(",")[2], INPUT_TOPICS)
        assert trust.topics_read_by(kind) == expected

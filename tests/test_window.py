"""Panes and windows: borders, retention, named windows, and that a range is composed of exactly its panes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.window import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NAMED_WINDOWS,
    PANES_MAX,
    SECOND_MS,
    WindowError,
    compose,
    live_range,
    named_range,
    pane_sizes,
)

SIZES = pane_sizes(HOUR_MS, 26 * HOUR_MS, 35 * DAY_MS, 800 * DAY_MS)
TEN, MINUTE, HOUR, DAY = SIZES
NOON = 20_000 * DAY_MS + 12 * HOUR_MS


def test_a_pane_starts_at_its_border_and_holds_the_millisecond_before_the_next() -> None:
    """A pane is [start, start + size): its last millisecond is inside, the border is the next pane's."""
    assert MINUTE.start_of(NOON) == NOON
    assert MINUTE.start_of(NOON + MINUTE_MS - 1) == NOON
    assert MINUTE.start_of(NOON + MINUTE_MS) == NOON + MINUTE_MS


def test_a_pane_is_written_until_its_end_lies_before_the_retention() -> None:
    """A partition drops a pane when its end, not its start, lies before its high - retention."""
    assert TEN.is_written(NOON - HOUR_MS - TEN.size_ms, NOON)
    assert not TEN.is_written(NOON - HOUR_MS - TEN.size_ms, NOON + 1)


def test_an_answer_rests_only_on_panes_that_no_partition_has_dropped() -> None:
    """A pane is answerable when it starts at or after H - retention, one size before it may go."""
    assert TEN.is_answerable(NOON - HOUR_MS, NOON)
    assert not TEN.is_answerable(NOON - HOUR_MS - 1, NOON)


@given(st.integers(0, 10**13), st.integers(-(10**10), 10**10), st.sampled_from(SIZES))
def test_what_is_answerable_is_written(high_ms: int, behind_ms: int, size: object) -> None:
    """No answer rests on a pane that a partition behind or at the highest event time has dropped."""
    assert isinstance(size, type(TEN))
    start_ms = size.start_of(max(high_ms - behind_ms, 0))
    if size.is_answerable(start_ms, high_ms):
        assert size.is_written(start_ms, high_ms)


@pytest.mark.parametrize(
    ("name", "now_ms", "expected"),
    [
        ("1m", NOON, (NOON - MINUTE_MS, NOON)),
        ("1m", NOON + 1, (NOON - 50 * SECOND_MS, NOON + 10 * SECOND_MS)),
        ("5m", NOON + 10 * SECOND_MS, (NOON - 290 * SECOND_MS, NOON + 10 * SECOND_MS)),
        ("30m", NOON + 1, (NOON - 29 * MINUTE_MS, NOON + MINUTE_MS)),
        ("1h", NOON - 1, (NOON - HOUR_MS, NOON)),
        ("24h", NOON + MINUTE_MS - 1, (NOON + MINUTE_MS - DAY_MS, NOON + MINUTE_MS)),
    ],
)
def test_named_windows_round_their_end_up(name: str, now_ms: int, expected: tuple[int, int]) -> None:
    """`to` is the clock rounded up to 10 s (1m, 5m) or 1 min, `from` lies a window before."""
    assert named_range(name, now_ms) == expected


def test_an_unknown_window_names_the_known_ones() -> None:
    """The error lists every window, and shows no more than the head of what was asked."""
    with pytest.raises(WindowError, match=r"known windows: 1m 5m 30m 1h 24h live") as caught:
        named_range("x" * 500, NOON)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("start_ms", "now_ms", "expected"),
    [
        (NOON + 59_999, NOON + 5 * MINUTE_MS + 1, (NOON, NOON + 6 * MINUTE_MS)),
        (NOON, NOON, (NOON, NOON + MINUTE_MS)),
        (NOON + 5 * MINUTE_MS, NOON, (NOON + 5 * MINUTE_MS, NOON + 6 * MINUTE_MS)),
    ],
)
def test_a_live_window_has_whole_minutes_and_is_never_empty(
    start_ms: int, now_ms: int, expected: tuple[int, int]
) -> None:
    """From the start rounded down to now rounded up; at least a minute, even if the start lies ahead."""
    assert live_range(start_ms, now_ms) == expected


@pytest.mark.parametrize("name", NAMED_WINDOWS)
@given(now_ms=st.integers(NOON, NOON + DAY_MS))
def test_every_named_window_can_be_composed_at_any_time(name: str, now_ms: int) -> None:
    """With the default retention no named window is ever refused, whatever the clock says."""
    from_ms, to_ms = named_range(name, now_ms)
    assert compose(from_ms, to_ms, SIZES, now_ms)


@st.composite
def _ranges(draw: st.DrawFn) -> tuple[int, int, int]:
    size = draw(st.sampled_from(SIZES))
    high_ms = NOON + draw(st.integers(-HOUR_MS, HOUR_MS))
    from_ms = size.start_of(high_ms) - draw(st.integers(0, 900)) * size.size_ms
    other = draw(st.sampled_from([each for each in SIZES if each.size_ms <= size.size_ms]))
    to_ms = from_ms + draw(st.integers(1, 900)) * other.size_ms
    return from_ms, to_ms, high_ms


@given(_ranges())
def test_panes_cover_the_range_exactly_and_are_kept(asked: tuple[int, int, int]) -> None:
    """Composed panes follow each other without gap or overlap from `from` to `to`, aligned and answerable;
    no pair of neighbours could be one coarser pane that is kept."""
    from_ms, to_ms, high_ms = asked
    try:
        panes = compose(from_ms, to_ms, SIZES, high_ms)
    except WindowError:
        return
    at_ms = from_ms
    for pane in panes:
        assert pane.start_ms == at_ms
        assert pane.start_ms % pane.size.size_ms == 0
        assert pane.size.is_answerable(pane.start_ms, high_ms)
        at_ms += pane.size.size_ms
        for coarser in SIZES:
            if coarser.size_ms > pane.size.size_ms and pane.start_ms % coarser.size_ms == 0:
                fits = pane.start_ms + coarser.size_ms <= to_ms
                assert not fits or not coarser.is_answerable(pane.start_ms, high_ms)
    assert at_ms == to_ms


@given(st.integers(NOON - 800 * DAY_MS, NOON), st.integers(1, 800 * DAY_MS))
def test_a_border_must_be_one_of_the_finest_size_kept_there(from_ms: int, length_ms: int) -> None:
    """A range is refused exactly if an end is off the finest kept border, or what lies between is not
    made up of kept panes."""
    to_ms = from_ms + length_ms
    finest = [next((each for each in SIZES if each.is_answerable(at, NOON)), None) for at in (from_ms, to_ms)]
    on_borders = all(
        size is not None and at % size.size_ms == 0 for size, at in zip(finest, (from_ms, to_ms), strict=True)
    )
    try:
        compose(from_ms, to_ms, SIZES, NOON)
    except WindowError as error:
        assert not on_borders or "no kept panes" in str(error) or str(PANES_MAX) in str(error)
    else:
        assert on_borders


@pytest.mark.parametrize(("from_ms", "to_ms"), [(NOON, NOON), (NOON, NOON - 10_000), (-10_000, NOON)])
def test_an_empty_or_negative_range_is_refused(from_ms: int, to_ms: int) -> None:
    """A range has a beginning at or after 1970 and an end behind it."""
    with pytest.raises(WindowError, match="from_ms must be"):
        compose(from_ms, to_ms, SIZES, NOON)


def test_borders_coarsen_with_age() -> None:
    """10 s within the last hour, minutes to 26 h, hours to 35 d, days to 800 d, nothing before."""
    for back_ms, size_ms in (
        (0, 10_000),
        (2 * HOUR_MS, MINUTE_MS),
        (2 * DAY_MS, HOUR_MS),
        (40 * DAY_MS, DAY_MS),
    ):
        to_ms = NOON - back_ms - (NOON - back_ms) % size_ms
        assert sum(pane.size.size_ms for pane in compose(to_ms - size_ms, to_ms, SIZES, NOON)) == size_ms
    with pytest.raises(WindowError, match=r"not on a border.*1m.*multiple of 60000"):
        compose(NOON - 2 * HOUR_MS + 10_000, NOON, SIZES, NOON)
    with pytest.raises(WindowError, match="before everything that is kept"):
        compose(NOON - 900 * DAY_MS, NOON, SIZES, NOON)


def test_a_range_of_too_many_panes_is_refused() -> None:
    """Work per request is bounded, whatever retention is set."""
    sizes = pane_sizes(HOUR_MS * 1_000, HOUR_MS, HOUR_MS, HOUR_MS)
    with pytest.raises(WindowError, match=f"more than {PANES_MAX} panes"):
        compose(NOON - 600 * HOUR_MS, NOON - 500 * HOUR_MS, sizes, NOON)

"""Lag by what is counted, percentiles, and whether memory grows."""

from __future__ import annotations

import pytest

from tests.chaos.measures import Ends, LogTimes, is_behind, longest_life, percentile, slope

A, B = ("views", 0), ("views", 1)


def _times() -> LogTimes:
    times = LogTimes()
    for at_s, a, b in ((0.0, 0, 0), (1.0, 10, 0), (2.0, 10, 5), (3.0, 20, 5)):
        times.saw(Ends(at_s, {A: a, B: b}))
    return times


@pytest.mark.parametrize(
    ("a", "b", "lag_s"),
    [(20, 5, 0.0), (19, 5, 1.0), (10, 5, 1.0), (10, 4, 2.0), (9, 5, 3.0), (20, 0, 2.0), (0, 0, 3.0)],
)
def test_lag_is_the_age_of_the_oldest_record_that_is_missing(a: int, b: int, lag_s: float) -> None:
    """In whatever partition; nothing is missing where all that was seen is counted."""
    assert _times().lag_s({A: a, B: b}, now_s=4.0) == lag_s


def test_lag_rises_with_the_clock_and_after_a_rollback() -> None:
    """Also while nothing new comes; a Redis that forgot everything is behind by the whole log."""
    times = _times()
    assert times.lag_s({A: 19, B: 5}, now_s=9.0) == 6.0
    assert times.lag_s({}, now_s=9.0) == 8.0
    assert LogTimes().lag_s({}, now_s=9.0) == 0.0


def test_behind_means_any_record() -> None:
    """One record of one partition is enough; a partition that nobody counts is missing too."""
    assert not is_behind({A: 1, B: 1}, {A: 1, B: 0})
    assert is_behind({A: 1, B: 1}, {A: 1, B: 2})
    assert is_behind({}, {A: 1})


@pytest.mark.parametrize(("share", "found"), [(0.5, 2.0), (0.51, 3.0), (0.95, 4.0), (1, 4.0), (0, 1.0)])
def test_percentile_is_one_of_the_values(share: float, found: float) -> None:
    """The nearest rank: of few values none is made up between two of them."""
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == found


def test_no_percentile_of_nothing() -> None:
    """A kind of fault that never came has none."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_slope_is_that_of_the_line_of_least_squares() -> None:
    """Exact on a line, the mean tendency beside one, nothing of one moment."""
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2.0)
    assert slope([(0, 0), (1, 2), (2, 1)]) == pytest.approx(0.5)
    assert slope([(1, 1), (1, 2)]) is None
    assert slope([]) is None


def test_memory_is_judged_within_one_life() -> None:
    """A process that was started again begins small: that is no shrinking; the warm-up is left out."""
    first = [(float(at), 1, 100.0) for at in range(0, 100, 10)]
    second = [(100.0 + at, 2, (50.0 if at < 60 else 70.0 + at / 36)) for at in range(0, 300, 10)]
    life = longest_life(first + second, warm_up_s=60)
    assert life is not None
    assert life.minutes == pytest.approx(230 / 60)
    assert life.mib_per_h == pytest.approx(100)
    assert (life.first_mib, life.last_mib) == pytest.approx((70 + 60 / 36, 70 + 290 / 36))
    assert longest_life(first, warm_up_s=95) is None

"""Facts about `streams.baselines`: what a window is compared with, and what a mix is expected to do."""

from __future__ import annotations

import pytest

from streams.baselines import DAY_H, REACHED_IN_DAY_MIN, REACHED_MIN, WEEK_H, Hours, Stratum, mixed
from streams.cohorts import Tally, Usual

NOW_H = 10_000
# The window: half an hour in the middle of an hour.
SPAN = NOW_H * 60 + 10, NOW_H * 60 + 40


def _weeks(*ratios: float, n: int = 10_000) -> dict[int, Tally]:
    return {NOW_H - WEEK_H * (at + 1): Tally(n, round(n * ratio)) for at, ratio in enumerate(ratios)}


def test_usual_is_the_median_of_the_same_hour_of_four_weeks() -> None:
    """One week of an outage and one of a sale leave the median where it was."""
    usual = Hours(_weeks(0.03, 0.001, 0.03, 0.09)).usual(*SPAN)

    assert usual is not None
    assert usual.ratio == pytest.approx(0.03)


def test_a_fifth_week_before_is_not_asked() -> None:
    """Four weeks back ends it, whatever there is before."""
    hours = {NOW_H - WEEK_H * 5: Tally(10_000, 5_000), **_weeks(0.03)}
    usual = Hours(hours).usual(*SPAN)

    assert usual is not None
    assert usual.ratio == pytest.approx(0.03)


def test_flagged_hours_are_nobodys_baseline() -> None:
    """An hour that an incident was told of is as if it were not known."""
    weeks = _weeks(0.03, 0.01)
    usual = Hours(weeks, flagged={NOW_H - WEEK_H * 2}).usual(*SPAN)

    assert usual is not None
    assert usual.ratio == pytest.approx(0.03)


def test_the_window_is_compared_with_all_hours_that_it_touches() -> None:
    """From ten to to ten past: both hours of the week before, pooled by what they hold."""
    hours = {NOW_H - WEEK_H: Tally(10_000, 100), NOW_H + 1 - WEEK_H: Tally(10_000, 300)}
    usual = Hours(hours).usual(NOW_H * 60 + 50, NOW_H * 60 + 70)

    assert usual is not None
    assert usual.ratio == pytest.approx(0.02)
    assert usual.reached_per_minute == pytest.approx(400 / 120)


def test_a_window_that_ends_on_the_hour_does_not_touch_the_next() -> None:
    """[from, to): the minute at `to` is not in it."""
    hours = {NOW_H - WEEK_H: Tally(10_000, 300), NOW_H + 1 - WEEK_H: Tally(10_000, 0)}
    usual = Hours(hours).usual(NOW_H * 60, NOW_H * 60 + 60)

    assert usual is not None
    assert usual.ratio == pytest.approx(0.03)


def test_thin_hours_are_widened_until_enough_reached_the_step() -> None:
    """40 in the hours themselves are too few; with two more hours on each side there are 200."""
    here = NOW_H - WEEK_H
    hours = {here + off: Tally(1_000, 40) for off in range(-2, 3)}
    # Further away it was different: not to be asked.
    hours |= {here + off: Tally(1_000, 400) for off in (-5, -4, -3, 3, 4, 5)}
    usual = Hours(hours).usual(*SPAN)

    assert usual is not None
    assert usual.ratio == pytest.approx(0.04)
    # How many usually reach it is a matter of the hour itself.
    assert usual.reached_per_minute == pytest.approx(40 / 60)
    assert sum(tally.k for tally in hours.values()) > REACHED_MIN == 5 * 40


def test_a_quiet_shop_is_compared_with_whole_weeks() -> None:
    """One order an hour gives no half day of 200; four weeks of it do."""
    hours = {NOW_H - back: Tally(50, 1) for back in range(1, 4 * WEEK_H + 1)}
    usual = Hours(hours).usual(*SPAN)

    assert usual is not None
    assert usual.ratio == pytest.approx(0.02)


def test_a_young_shop_is_compared_with_the_day_before() -> None:
    """Without any week before, the last 24 hours speak, from 50 on; nobody knows what an hour usually has."""
    day = {NOW_H - back: Tally(100, 5) for back in range(1, DAY_H + 1)}
    usual = Hours(day).usual(*SPAN)

    assert usual is not None
    assert usual == Usual(pytest.approx(0.05), None)  # type: ignore[arg-type]


def test_less_than_fifty_are_no_baseline() -> None:
    """49 in the day before are nothing to compare with."""
    assert Hours({NOW_H - 1: Tally(1_000, REACHED_IN_DAY_MIN - 1)}).usual(*SPAN) is None
    assert Hours({NOW_H - 1: Tally(1_000, REACHED_IN_DAY_MIN)}).usual(*SPAN) is not None
    assert Hours({}).usual(*SPAN) is None


def test_a_burst_of_those_who_buy_less_is_expected_to_buy_less() -> None:
    """Half search (5 %), half live (1 %) usually: 3 %. With nine of ten in the live 1.4 % are expected."""
    strata = [Stratum(100, 500, 0.05), Stratum(900, 500, 0.01)]

    assert mixed(Usual(0.03, 7.0), strata) == Usual(pytest.approx(0.014), 7.0)  # type: ignore[arg-type]


def test_the_same_mix_changes_nothing() -> None:
    """Whatever the strata's ratios: at the usual shares the usual ratio stays."""
    strata = [Stratum(50, 500, 0.05), Stratum(30, 300, 0.01), Stratum(20, 200, 0.2)]

    assert mixed(Usual(0.04, None), strata).ratio == pytest.approx(0.04)


@pytest.mark.parametrize(
    "strata",
    [
        [],
        [Stratum(0, 100, 0.05)],
        [Stratum(100, 0, 0.05)],
        [Stratum(900, 500, 0.05), Stratum(100, 500, None)],
        [Stratum(10, 10, 0.0)],
    ],
    ids=["none", "nobody now", "nobody then", "a large one is not known", "nobody ever reaches it"],
)
def test_without_knowing_the_mix_the_usual_ratio_stays(strata: list[Stratum]) -> None:
    """A guess at a part of the mix would be worse than none."""
    assert mixed(Usual(0.03, None), strata) == Usual(0.03, None)


def test_a_small_stratum_may_be_unknown() -> None:
    """4 % that nobody knows anything of are left out of both sides."""
    known = [Stratum(100, 500, 0.05), Stratum(860, 460, 0.01)]
    unknown = Stratum(40, 40, None)

    assert mixed(Usual(0.03, None), [*known, unknown]) == mixed(Usual(0.03, None), known)


def test_who_took_part_is_of_the_same_hours() -> None:
    """All four weeks' hours together; of a young shop those of the day before."""
    assert Hours(_weeks(0.1, 0.1, 0.1)).took_part(*SPAN) == 30_000
    assert Hours({NOW_H - 3: Tally(70, 1), NOW_H - 30: Tally(5, 1)}).took_part(*SPAN) == 70

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


def _mixed(ratio: float, per_minute: float | None, strata: list[tuple[int, int, float | None]]) -> Usual:
    """Of strata (n now, n before, ratio) that made up the whole."""
    made = [Stratum(n, Tally(before, round(before * (each or 0))), each) for n, before, each in strata]
    whole = Tally(sum(each.before.n for each in made), sum(each.before.k for each in made))
    return mixed(Usual(ratio, per_minute), whole, made)


def test_a_burst_of_those_who_buy_less_is_expected_to_buy_less() -> None:
    """Search 5 %, live 1 %, half and half usually: 3 %. With nine of ten in the live 1.4 % are expected."""
    found = _mixed(0.03, 7.0, [(100, 50_000, 0.05), (900, 50_000, 0.01)])

    assert found == Usual(pytest.approx(0.014), 7.0)  # type: ignore[arg-type]


def test_the_usual_mix_changes_nothing() -> None:
    """Whatever the strata's ratios: at the usual shares the usual ratio comes out."""
    found = _mixed(0.048, None, [(50, 50_000, 0.05), (30, 30_000, 0.01), (20, 20_000, 0.1)])

    assert found.ratio == pytest.approx(0.048)


def test_one_huge_live_in_the_weeks_before_does_not_shift_the_mix() -> None:
    """It stands in the strata's tallies, and not in what is expected of an ordinary window."""
    found = _mixed(0.03, None, [(500, 50_000, 0.05), (500, 5_000_000, 0.01)])

    assert found.ratio == pytest.approx(0.03)


@pytest.mark.parametrize(
    "strata",
    [
        [],
        [(0, 100, 0.05)],
        [(900, 500, 0.05), (100, 500, None)],
    ],
    ids=["none", "nobody now", "a large one is not known"],
)
def test_without_knowing_the_mix_the_usual_ratio_stays(strata: list[tuple[int, int, float | None]]) -> None:
    """A guess at a part of the mix would be worse than none."""
    assert _mixed(0.03, None, strata) == Usual(0.03, None)


@pytest.mark.parametrize(
    ("whole", "stays"),
    [(Tally(1_000, 60), False), (Tally(1_053, 60), True), (Tally(1_000, 64), True), (Tally(940, 60), True)],
    ids=["whole", "some outside", "purchases that name none", "sessions in two"],
)
def test_strata_that_are_not_the_whole_say_nothing(whole: Tally, stays: bool) -> None:
    """Up to 5 % may be missing, or count twice, of those who took part and of those who reached the step."""
    strata = [Stratum(10, Tally(500, 10), 0.02), Stratum(90, Tally(500, 50), 0.10)]

    found = mixed(Usual(0.06, None), whole, strata)
    assert found.ratio == pytest.approx(0.06 if stays else 0.092)


def test_a_small_stratum_may_be_unknown() -> None:
    """4 % that nobody knows anything of are left out."""
    found = _mixed(0.03, None, [(100, 500, 0.05), (860, 460, 0.01), (40, 40, None)])

    assert found == _mixed(0.03, None, [(100, 500, 0.05), (860, 460, 0.01)])


def test_what_was_before_is_of_the_same_hours() -> None:
    """All four weeks' hours together; of a young shop those of the day before."""
    assert Hours(_weeks(0.1, 0.1, 0.1)).before(*SPAN) == Tally(30_000, 3_000)
    assert Hours({NOW_H - 3: Tally(70, 1), NOW_H - 30: Tally(5, 1)}).before(*SPAN) == Tally(70, 1)


def test_on_a_slow_day_fewer_are_usual() -> None:
    """Half as many as usual reached the step in the two hours before: half as many are usual now."""
    hours = _weeks(0.03, 0.03, 0.03, 0.03)
    for back in (1, 2, 3):
        hours |= {NOW_H - back - WEEK_H * (at + 1): Tally(10_000, 300) for at in range(4)}
        # The third hour back was a usual one, and is not asked.
        hours[NOW_H - back] = Tally(10_000, 300) if back == 3 else Tally(5_000, 150)
    usual = Hours(hours).usual(*SPAN)

    assert usual is not None
    assert usual.reached_per_minute == pytest.approx(2.5)


@pytest.mark.parametrize(("two_back", "one_back", "usual"), [(3, 3, 15), (30, 3, 15), (3, 0.5, 5)])
def test_more_are_usual_once_two_hours_had_more(two_back: float, one_back: float, usual: float) -> None:
    """After a campaign began three times as many are usual; the crowd of one hour, which ends as it came,
    lifts nothing above the lower of both hours, or above what is usual on other days."""
    hours = {NOW_H - back - WEEK_H * (at + 1): Tally(10_000, 300) for at in range(4) for back in range(3)}
    hours |= {
        NOW_H - at: Tally(round(10_000 * more), round(300 * more))
        for at, more in ((1, one_back), (2, two_back))
    }
    told = Hours(hours).usual(*SPAN)

    assert told is not None
    assert told.reached_per_minute == pytest.approx(usual)


def test_within_the_hour_what_is_usual_falls_with_the_evening() -> None:
    """Straight lines lead from the middle of an hour to that of the next."""
    evening = {-1: 4_800, 0: 3_600, 1: 1_200, 2: 600}
    hours = {NOW_H + at - WEEK_H: Tally(100_000, k) for at, k in evening.items()}
    at = NOW_H * 60
    per_minute = {}
    for name, span in (
        ("first", (at, at + 2)),
        ("middle", (at + 29, at + 31)),
        ("last", (at + 58, at + 60)),
        ("whole", (at, at + 120)),
    ):
        usual = Hours(hours).usual(*span)
        assert usual is not None
        per_minute[name] = usual.reached_per_minute

    assert per_minute["first"] == pytest.approx((4_800 + 3_600) / 2 / 60, rel=0.02)
    assert per_minute["middle"] == pytest.approx(3_600 / 60, rel=0.02)
    assert per_minute["last"] == pytest.approx((3_600 + 1_200) / 2 / 60, rel=0.02)
    quarters = (4_200 + 3_600) / 2, (3_600 + 2_400) / 2, (2_400 + 1_200) / 2, (1_200 + 900) / 2
    assert per_minute["whole"] == pytest.approx(sum(quarters) / 4 / 60)


def test_a_drop_is_not_its_own_measure() -> None:
    """Hours in which the step itself fell say nothing of the level: what is usual stays, however long a drop
    lasts."""
    hours = {NOW_H - back - WEEK_H * (at + 1): Tally(10_000, 300) for at in range(4) for back in range(30)}
    hours |= {NOW_H - back: Tally(10_000, 0 if back <= 12 else 300) for back in range(1, 30)}
    usual = Hours(hours).usual(*SPAN)

    assert usual is not None
    assert usual.reached_per_minute == pytest.approx(5.0)


def test_the_level_of_a_quiet_shop_is_taken_from_more_hours() -> None:
    """30 an hour are usual: four hours are asked until there are 100, a fifth is not."""
    hours = {NOW_H - back - WEEK_H * (at + 1): Tally(1_000, 30) for at in range(4) for back in range(6)}
    hours |= {NOW_H - back: Tally(1_000, 60 if back <= 4 else 600) for back in range(1, 6)}
    usual = Hours(hours).usual(*SPAN)

    assert usual is not None
    assert usual.reached_per_minute == pytest.approx(1.0)

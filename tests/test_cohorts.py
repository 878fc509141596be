"""Facts about `streams.cohorts`: which windows say something, when a rate fell, and since when."""

from __future__ import annotations

import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cohorts import (
    DROP_TO,
    EXPECTED_MIN,
    EXPECTED_TO_WATCH,
    RUNGS_MIN,
    TOOK_PART_MIN,
    Minutes,
    Reading,
    State,
    Tally,
    Usual,
    after_chance,
    as_low_as_now,
    is_drop,
    is_low,
    is_reached,
    judge,
    lower_bound,
    since,
    upper_bound,
)


def _steady(n: int, k: int, minutes: int = 400) -> Minutes:
    return Minutes(0, [Tally(n, k)] * minutes)


def _usually(ratio: float, per_minute: float | None = None) -> Usual:
    return Usual(ratio, per_minute)


def test_a_window_is_the_sum_of_its_minutes() -> None:
    """The window of 3 minutes before minute 13 is minutes 10, 11 and 12."""
    minutes = Minutes(10, [Tally(5, 1), Tally(7, 2), Tally(9, 0), Tally(11, 3)])

    assert minutes.before(13, 3) == Tally(21, 3)
    assert minutes.before(14, 1) == Tally(11, 3)


def test_what_is_not_kept_counts_as_nothing() -> None:
    """A window that reaches beyond the table holds what the table has."""
    minutes = Minutes(10, [Tally(5, 1), Tally(7, 2)])

    assert minutes.before(11, 100) == Tally(5, 1)
    assert minutes.before(500, 100) == Tally(0, 0)
    assert minutes.before(5, 5) == Tally(0, 0)
    assert minutes.counted(11, 100) == 1


def test_minutes_that_are_left_out_are_in_no_window() -> None:
    """Their tallies don't count, and neither does their time."""
    minutes = Minutes(10, [Tally(5, 1), Tally(700, 2), Tally(9, 0)], left_out={11})

    assert minutes.before(13, 3) == Tally(14, 1)
    assert minutes.counted(13, 3) == 2


@given(st.lists(st.integers(0, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=40))
def test_windows_equal_plain_sums(pairs: list[tuple[int, int]]) -> None:
    """Whatever the table: a window is what adding up its minutes gives."""
    minutes = Minutes(0, [Tally(*pair) for pair in pairs])

    for end in range(len(pairs) + 1):
        for length in (1, 5, 20):
            part = pairs[max(end - length, 0) : end]
            assert minutes.before(end, length) == (sum(n for n, _ in part), sum(k for _, k in part))


def test_readings_are_of_windows_with_enough_evidence() -> None:
    """At 10 sessions a minute and 3 % usual, 5 conversions are expected in 16.7 minutes: windows from 20 on
    say something."""
    _, readings = judge(_steady(10, 0), 400, lambda _: _usually(0.03))

    assert [reading.window_min for reading in readings] == [each for each in RUNGS_MIN if each >= 20]


def test_few_sessions_say_nothing_however_high_the_rate() -> None:
    """With a usual rate of 100 % 19 sessions are still too few, 20 are enough."""
    _, nineteen = judge(Minutes(0, [Tally(19, 0)]), 1, lambda _: _usually(1.0))
    _, twenty = judge(Minutes(0, [Tally(20, 0)]), 1, lambda _: _usually(1.0))

    assert nineteen == []
    assert {reading.n for reading in twenty} == {TOOK_PART_MIN}


@pytest.mark.parametrize(
    ("per_minute", "state"), [(2, State.NOT_ENOUGH_TRAFFIC), (3, State.WATCHED)], ids=["too little", "enough"]
)
def test_too_little_traffic_is_a_state_of_its_own(per_minute: int, state: State) -> None:
    """At 3 %, six hours of 2 sessions a minute expect 21.6 conversions, of 3 a minute 32.4: 25 are needed."""
    assert judge(_steady(per_minute, 0), 400, lambda _: _usually(0.03))[0] is state
    assert 360 * 2 * 0.03 < EXPECTED_TO_WATCH < 360 * 3 * 0.03


def test_without_a_baseline_nothing_is_said() -> None:
    """Where no window has a usual ratio the state says so, and there is no reading."""
    assert judge(_steady(100, 3), 400, lambda _: None) == (State.NO_BASELINE, [])


def test_the_usual_number_follows_the_time_that_counts() -> None:
    """2 a minute usually: 10 in five minutes, 8 when one of these is left out."""
    tallies = [Tally(100, 2)] * 5
    whole = judge(Minutes(0, tallies), 5, lambda _: _usually(0.05, 2.0))[1][-1]
    less = judge(Minutes(0, tallies, left_out={3}), 5, lambda _: _usually(0.05, 2.0))[1][-1]

    assert (whole.usual_reached, less.usual_reached) == (10.0, 8.0)


@pytest.mark.parametrize(("n", "k"), [(300, 0), (1_000, 12), (5_000, 120), (40, 20)])
def test_the_upper_bound_is_hardly_ever_too_low(n: int, k: int) -> None:
    """Were the rate at its upper bound, so few or fewer would come about once in 10 000 (Wilson's
    approximation: between a hundredth and ten times that)."""
    p = upper_bound(n, k)
    chance = sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))

    assert 1e-6 < chance < 1e-3


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_the_bounds_hold_the_rate_between_them(pair: tuple[int, int]) -> None:
    """0 ≤ lower ≤ k/n ≤ upper ≤ 1, but for rounding."""
    n, k = pair

    assert -1e-12 <= lower_bound(n, k) <= k / n + 1e-12
    assert k / n - 1e-12 <= upper_bound(n, k) <= 1 + 1e-12


def test_a_fall_by_less_than_a_quarter_is_never_a_drop() -> None:
    """However large the evidence: the rate itself must lie below three quarters of the usual one."""
    assert not is_low(Reading(5, 10**9, int(10**9 * 0.03 * DROP_TO), 0.03, None))
    assert is_low(Reading(5, 10**9, int(10**9 * 0.03 * 0.749), 0.03, None))


def test_a_total_stop_shows_from_about_600_sessions_on_at_three_percent() -> None:
    """Nothing out of n is low as soon as the bound of n sessions lies below three quarters of 3 %."""
    first = next(n for n in range(1, 2_000) if is_low(Reading(5, n, 0, 0.03, None)))

    assert first == 601


def test_as_many_as_usual_is_no_drop_of_those_who_reach_it() -> None:
    """Of 100 usual ones 60 may be three quarters by chance (1 in 100), 50 may not; unknown is not usual."""
    reading = Reading(5, 100_000, 60, 0.01, 100.0)

    assert is_reached(reading)
    assert not is_reached(reading._replace(k=50))
    assert not is_reached(reading._replace(usual_reached=None))


def test_weighed_minutes_add_up() -> None:
    """So many times those who took part, whole sessions over all of them; never fewer than reached the step,
    and minutes that are left out stay so."""
    minutes = Minutes(100, [*[Tally(3, 1)] * 8, Tally(3, 3), Tally(9, 9)], left_out={109})
    weighed = minutes.weighed([0.5] * 10)

    assert weighed.before(108, 8) == Tally(12, 8)
    assert weighed.before(109, 1) == Tally(3, 3)
    assert weighed.before(110, 1) == Tally(0, 0)
    assert (weighed.first_minute, weighed.counted(110, 10)) == (100, 9)


def test_one_window_alone_is_no_drop() -> None:
    """Two of them have to agree, a short and a long one."""
    low, fine = Reading(5, 10_000, 10, 0.03, None), Reading(8, 10_000, 300, 0.03, None)

    assert not is_drop([low, fine])
    assert is_drop([low, fine, low._replace(window_min=12)])
    assert EXPECTED_MIN <= 10_000 * 0.03


@pytest.mark.parametrize("length", [10, 40, 200])
def test_the_start_of_a_drop_is_found_to_a_minute_or_two(length: int) -> None:
    """30 of 1 000 a minute, then 12: the shortfall began to rise where the drop began."""
    minutes = Minutes(0, [*[Tally(1_000, 30)] * (400 - length), *[Tally(1_000, 12)] * length])

    assert since(minutes, 400, 0.03) == 400 - length


def test_a_drop_that_is_over_is_not_told_as_the_start() -> None:
    """What was made up for since does not count: the start is that of the fall that goes on."""
    fallen, fine = Tally(1_000, 12), Tally(1_000, 30)
    minutes = Minutes(0, [*[fallen] * 20, *[fine] * 300, *[fallen] * 30])

    assert since(minutes, 350, 0.03) == 320


@pytest.mark.parametrize(
    ("slightly", "began"),
    [(Tally(1_000, 25), 350), (Tally(1_000, 20), 100)],
    ids=["no drop", "a drop that grew worse"],
)
def test_a_shortfall_before_a_drop_belongs_to_it_only_if_it_is_one(slightly: Tally, began: int) -> None:
    """25 of 1 000 instead of 30 for hours, then 3: the drop began with the 3. After 20, with those."""
    minutes = Minutes(0, [*[Tally(1_000, 30)] * 100, *[slightly] * 250, *[Tally(1_000, 3)] * 12])

    short_from = since(minutes, 362, 0.03)
    assert short_from == 100
    assert after_chance(minutes, short_from, 362, 0.03) == began


def _small_shop(rng: random.Random) -> tuple[Minutes, int, Reading]:
    """After two hours of 18 views a minute, 90 a minute; then, of 4 in 100 who bought, a third does. With the
    minute that follows the first sign of it, and the window that shows it."""
    tallies: list[Tally] = []
    for n, ratio in [*[(18, 0.04)] * 120, *[(90, 0.04)] * 6, *[(90, 0.04 / 3)] * 120]:
        tallies.append(Tally(n, sum(rng.random() < ratio for _ in range(n))))
        minutes = Minutes(0, tallies)
        _, readings = judge(minutes, len(tallies), lambda _: Usual(0.04, None))
        if len(tallies) > 126 and is_drop(readings):
            return minutes, len(tallies), next(filter(is_low, readings))
    raise AssertionError("so deep a drop is seen")


def test_a_deep_drop_in_a_small_shop_begins_when_it_did() -> None:
    """Of 100 such drops the beginning is told wrong by less than half as much as by the shortfall alone."""
    errors: dict[str, list[int]] = {"shortfall": [], "told": []}
    for seed in range(100):
        minutes, end, reading = _small_shop(random.Random(seed))
        short_from = since(minutes, end, reading.ratio)
        errors["shortfall"].append(abs(short_from - 126))
        errors["told"].append(abs(as_low_as_now(minutes, short_from, end, reading) - 126))

    assert 2 * sum(errors["told"]) < sum(errors["shortfall"])
    assert sorted(errors["told"])[90] <= 5


def test_what_was_a_drop_before_it_became_deep_belongs_to_it() -> None:
    """20 of 1 000 instead of 30 for an hour, then 3: the drop began with the 20."""
    minutes = Minutes(0, [*[Tally(1_000, 30)] * 100, *[Tally(1_000, 20)] * 60, *[Tally(1_000, 3)] * 12])

    assert as_low_as_now(minutes, 100, 172, Reading(2, 2_000, 6, 0.03, None)) == 100


def test_minutes_without_anybody_are_no_drop() -> None:
    """Where nobody came before the fall, it began with the first who came."""
    minutes = Minutes(0, [*[Tally(0, 0)] * 60, *[Tally(1_000, 3)] * 12])

    assert as_low_as_now(minutes, 0, 72, Reading(2, 2_000, 6, 0.03, None)) == 60


@pytest.mark.parametrize("seed", range(20))
def test_chance_parts_no_drop(seed: int) -> None:
    """Of a drop that goes on as it began nothing is left off, however its minutes vary by chance."""
    rng = random.Random(seed)
    minutes = Minutes(0, [Tally(5, sum(rng.random() < 0.03 for _ in range(5))) for _ in range(360)])

    assert after_chance(minutes, 0, 360, 0.06) == 0

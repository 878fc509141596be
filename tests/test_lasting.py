"""Drops that outlast the minutes that are kept: as if all minutes were, where somebody looked on."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from streams.answer import Scope
from streams.cohorts import (
    RUNGS_MIN,
    STEPS,
    Minutes,
    Reading,
    State,
    Tally,
    after_chance,
    as_low_as_now,
    since,
)
from streams.judgement import Fall, Judged
from streams.lasting import RESERVE_MIN, UNSEEN_MIN, Lasting

KEPT_MIN = 390
DAY_MIN = 1_440
ALL, STEP = Scope("all", ""), STEPS[3]
RATIO, ORDERS_EACH = 0.05, 0.5


def _shop(lengths: Sequence[tuple[int, float]], n: int, seed: int = 1) -> list[Tally]:
    """Tallies by minute: for so many minutes, so large a part of what is usual."""
    chance = random.Random(seed)
    return [
        Tally(n, sum(chance.random() < RATIO * part for _ in range(n)))
        for minutes, part in lengths
        for _ in range(minutes)
    ]


def _fall(minutes: Minutes, end: int) -> Fall:
    """As the judgement tells of it from the minutes that it has."""
    short_from = since(minutes, end, RATIO)
    cut = after_chance(minutes, short_from, end, RATIO)
    of_window = minutes.before(end, RUNGS_MIN[-1])
    reading = Reading(RUNGS_MIN[-1], of_window.n, of_window.k, RATIO, None)
    began = as_low_as_now(minutes, cut, end, reading)
    n, k = minutes.before(end, end - began)
    lost = max(n * RATIO - k, 0.0)
    orders = lost * ORDERS_EACH
    lasted = max(minutes.counted(end, end - began), 1)
    return Fall(reading, began, cut > short_from, False, lost, orders, orders / lasted)


def _kept(tallies: Sequence[Tally], end: int) -> Minutes:
    first = max(end - KEPT_MIN, 0)
    return Minutes(first, tallies[first:end])


def _look(
    lasting: Lasting, tallies: Sequence[Tally], end: int, has_fallen: bool = True
) -> tuple[Judged, bool]:
    """What is told at a look, and whether the drop may have begun before."""
    minutes = _kept(tallies, end)
    judged = Judged(ALL, STEP, State.WATCHED, (), _fall(minutes, end) if has_fallen else None)
    [told], unseen = lasting.told([judged], lambda *_: minutes, lambda _: end)
    return told, (ALL, STEP) in unseen


def _told(lasting: Lasting, tallies: Sequence[Tally], end: int) -> Fall:
    told, _ = _look(lasting, tallies, end)
    assert told.fall is not None
    return told.fall


def _looks(first: int, end: int, seed: int) -> list[int]:
    """Ends of windows at which somebody looks: pauses of up to RESERVE_MIN."""
    chance, looks = random.Random(seed), [first]
    while looks[-1] < end:
        looks.append(min(looks[-1] + chance.randint(1, RESERVE_MIN), end))
    return looks


@pytest.mark.parametrize(("n", "found"), [(3, 900), (100, 660)])
def test_a_drop_of_days_keeps_its_beginning_and_its_losses_grow(n: int, found: int) -> None:
    """Since, orders lost and orders lost a minute are those of all its minutes, long after these went."""
    tallies = _shop([(600, 1), (2 * DAY_MIN, 0.4)], n)
    lasting = Lasting()
    gone: set[int] = set()
    for end in _looks(found, len(tallies), seed=n):
        told = _told(lasting, tallies, end)
        lasted = end - told.since_minute
        of_all = Minutes(0, tallies).before(end, lasted)
        assert told.lost == pytest.approx(of_all.n * RATIO - of_all.k)
        assert told.lost_orders == pytest.approx(told.lost * ORDERS_EACH)
        assert told.lost_orders_per_minute == pytest.approx(told.lost_orders / lasted)
        if lasted > KEPT_MIN:
            gone.add(told.since_minute)
    assert len(gone) == 1
    assert told.since_minute == pytest.approx(600, abs=40)
    assert told.lost_orders == pytest.approx(2 * DAY_MIN * n * RATIO * 0.6 * ORDERS_EACH, rel=0.1)


def test_what_lies_in_the_minutes_that_are_kept_is_told_as_it_was_judged() -> None:
    """Also when what is left out of them changes: nothing old is remembered of them."""
    tallies = _shop([(600, 1), (300, 0.4)], 100)
    lasting = Lasting()
    for end in range(620, 900, 20):
        assert _told(lasting, tallies, end) == _fall(_kept(tallies, end), end)
    repaired = [*tallies[:700], *_shop([(200, 1)], 100), *tallies[900:]]
    assert _told(lasting, repaired, 900) == _fall(_kept(repaired, 900), 900)


def test_a_drop_after_a_recovery_is_another_one() -> None:
    """The first one lasted ten hours and was made up for; the second began when it did."""
    tallies = _shop([(600, 1), (600, 0.4), (1_500, 1.3), (600, 0.4)], 100)
    lasting = Lasting()
    for end in _looks(660, len(tallies), seed=2):
        told = _told(lasting, tallies, end)
    assert told.since_minute == _fall(Minutes(0, tallies), len(tallies)).since_minute
    assert told.since_minute == pytest.approx(2_700, abs=5)


@pytest.mark.parametrize("seed", [1, 5, 8, 22])
def test_what_is_left_off_as_chance_does_not_come_back(seed: int) -> None:
    """A drop begins some time after a shortfall by chance did; two days later it still began then."""
    tallies = _shop([(600, 1), (2 * DAY_MIN, 0.1)], 3, seed)
    lasting = Lasting()
    told = [_told(lasting, tallies, end).since_minute for end in range(640, len(tallies), 40)]
    assert told[-1] == told[10] == pytest.approx(600, abs=20)
    assert since(Minutes(0, tallies), len(tallies), RATIO) < told[10]


def test_who_starts_during_a_drop_says_so() -> None:
    """It began then or earlier; that stays so while it lasts, and what is lost since then grows."""
    tallies = _shop([(600, 1), (DAY_MIN, 0.4)], 100)
    lasting = Lasting()
    first, is_unseen = _look(lasting, tallies, 1_500)
    assert is_unseen and first.fall is not None
    assert first.fall.since_minute <= 1_500 - KEPT_MIN + UNSEEN_MIN
    later, is_unseen = _look(lasting, tallies, 1_600)
    assert is_unseen and later.fall is not None
    assert later.fall.since_minute == first.fall.since_minute
    assert later.fall.lost_orders == pytest.approx(first.fall.lost_orders + 100 * 100 * 0.03 * 0.5, rel=0.1)


def test_who_saw_it_begin_knows_when() -> None:
    """Nothing is said of earlier, however long it lasts; also not of one that began within the last hours."""
    tallies = _shop([(600, 1), (DAY_MIN, 0.4)], 100)
    lasting = Lasting()
    assert not any(_look(lasting, tallies, end)[1] for end in _looks(660, len(tallies), seed=3))
    assert not _look(Lasting(), tallies, 800)[1]


def test_a_drop_that_follows_a_shortfall_by_chance_began_when_it_did() -> None:
    """A day of a little less than usual is no drop: since and losses are those of the fall."""
    tallies = _shop([(DAY_MIN, 0.85), (60, 0.2)], 100)
    lasting = Lasting()
    for end in range(1_000, DAY_MIN + 60, 20):
        _look(lasting, tallies, end)
    told, is_unseen = _look(lasting, tallies, DAY_MIN + 60)
    assert told.fall is not None and not is_unseen
    assert told.fall.since_minute == pytest.approx(DAY_MIN, abs=3)
    assert told.fall.lost == pytest.approx(60 * 100 * RATIO * 0.8, rel=0.2)


@pytest.mark.parametrize(("pause", "is_unseen"), [(RESERVE_MIN, False), (RESERVE_MIN + 1, True)])
def test_a_pause_of_two_hours_loses_nothing(pause: int, is_unseen: bool) -> None:
    """Nobody could look, or no window showed the drop: after two hours what was before is not known."""
    tallies = _shop([(600, 1), (DAY_MIN, 0.4)], 100)
    lasting = Lasting()
    for end in range(660, 1_300, 20):
        _look(lasting, tallies, end)
    for end in range(1_300, 1_280 + pause, 40):
        assert _look(lasting, tallies, end, has_fallen=False)[0].fall is None
    told, unseen = _look(lasting, tallies, 1_280 + pause)
    assert unseen is is_unseen and told.fall is not None
    assert (told.fall.since_minute == pytest.approx(600, abs=10)) is not is_unseen


def test_nothing_is_kept_of_what_is_over() -> None:
    """Neither of a drop that ended long ago, nor of what is watched no more, nor of an emptied Redis."""
    tallies = _shop([(600, 1), (300, 0.4), (900, 1)], 100)
    lasting = Lasting()
    _look(lasting, tallies, 700)
    _look(lasting, tallies, 1_100, has_fallen=False)
    assert lasting.known == 0
    _look(lasting, tallies, 700)
    lasting.told([], lambda *_: Minutes(0, []), lambda _: 701)
    assert lasting.known == 0
    _look(lasting, tallies, 700)
    lasting.forget()
    assert lasting.known == 0

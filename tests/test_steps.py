"""Steps of one session and scope: what is kept and counted, against all steps that ever came."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import steps as module
from streams.steps import CART, CHECKOUT, FUNNELS, PURCHASE, SESSION, TAP, VIEW, Effect, grown, reached_by

Steps = tuple[str, list[int]]  # a shape and its times
# (start of the funnel, what is counted there): of a step, of a prompt one with its time, of the purchase.
Counted = Counter[tuple[int, str, int]]

# What an event may add: a checkout stands for a cart, too.
ADDED = st.sampled_from([*"012456", CART + CHECKOUT])
TIMES = st.integers(0, 12)


def _whole(points: list[tuple[int, str]], times_max: int) -> Steps:
    """All distinct steps in their order, of each the earliest `times_max`."""
    each = sorted({(step, time) for time, added in points for step in added})
    counted = [
        (time, step) for step, same in groupby(each, lambda at: at[0]) for _, time in list(same)[:times_max]
    ]
    return "".join([step for _, step in sorted(counted)]), [time for time, _ in sorted(counted)]


def _of(steps: Steps) -> Counted:
    """What the steps amount to."""
    counted: Counted = Counter()
    shape, times = steps
    for funnel, measures in FUNNELS:
        reached = [times[position] for position in reached_by(shape, times, funnel)]
        for place, (time, measure) in enumerate(zip(reached, measures, strict=False)):
            counted[reached[0], measure, -1] += 1
            if funnel == SESSION and place:
                counted[reached[0], measure.replace("sessions", "prompt"), time - reached[0]] += 1
        if funnel == SESSION and len(reached) == len(funnel):
            counted[reached[0], "bought", reached[-1] - reached[0]] += 1
    return counted


def _count(counted: Counted, effect: Effect, times: list[int]) -> None:
    for start, amount, measures, prompt, bought in effect.counts:
        began = times[start]
        counted.update({(began, measure, -1): amount for measure in measures})
        counted.update({(began, measure, times[position] - began): amount for position, measure in prompt})
        if bought >= 0:
            counted[began, "bought", times[bought] - began] += amount


def _grown(steps: Steps, time: int, added: str, counted: Counted) -> Steps:
    """The steps to be kept once these came, too; what that changes is counted."""
    effect, times = grown(*steps, time, added)
    if effect is None:
        return steps
    _count(counted, effect, times)
    return effect.shape, times if effect.kept is None else [times[position] for position in effect.kept]


@given(
    points=st.lists(st.tuples(TIMES, ADDED), min_size=12, max_size=40),
    times_max=st.sampled_from([1, 2, 3, 64]),
    day=st.sampled_from([4, 9, 1_000]),
)
@settings(max_examples=1_000)
def test_what_is_dropped_never_mattered(points: list[tuple[int, str]], times_max: int, day: int) -> None:
    """After each step, in any order, what is kept and counted is what everything that came amounts to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STEP_TIMES_MAX", times_max)
        patch.setattr(module, "DAY_MS", day)
        kept: Steps = "", []
        counted: Counted = Counter()
        for came, (time, added) in enumerate(points, 1):
            kept = _grown(kept, time, added, counted)
            assert kept[1] == sorted(kept[1])
            whole = _whole(points[:came], times_max)
            assert {key: n for key, n in counted.items() if n} == _of(whole) == _of(kept)
    assert len(kept[0]) <= 7 * times_max


def test_what_changes_nothing_has_no_effect() -> None:
    """The same step at the same time, and later steps of a kind that was reached."""
    shape, times = VIEW + TAP + CART, [0, 5, 5]
    for time, added in ((0, VIEW), (5, TAP), (5, CART), (1, VIEW), (6, TAP), (9, CART)):
        assert grown(shape, times, time, added)[0] is None


def test_steps_of_one_moment_stand_in_the_order_of_the_funnel() -> None:
    """Whichever came first."""
    kept: Steps = "", []
    for added in (PURCHASE, CART + CHECKOUT, TAP, VIEW):
        kept = _grown(kept, 7, added, Counter())
    assert kept == (VIEW + TAP + CART + CHECKOUT + PURCHASE, [7] * 5)


def test_an_effect_that_was_worked_out_is_remembered() -> None:
    """The same order of steps at other times is no new work."""
    module.usual_effect.cache_clear()
    for start in (0, 100):
        effect, _ = grown(VIEW, [start], start + 3, TAP)
        assert effect is not None
    assert module.usual_effect.cache_info()[:2] == (1, 1)

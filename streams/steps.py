"""Steps of one session in one scope: how far they lead, and which of them must be kept.

It stands behind `funnel`, which knows sessions and scopes. Steps are written as their *shape*, one character
each in the order of their times, and those times. Within 24 hours the order alone decides, and the same
orders come again and again: what a step does to a shape is worked out once and remembered.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from streams.catalogue import CHECKOUT_STEPS, PROMPT_STEPS, SESSION_STEPS
from streams.window import DAY_MS

# Of each step of a session and scope, the earliest distinct times that count.
STEP_TIMES_MAX: Final = 64
# Effects that are remembered, less than 1 KB each.
EFFECTS_MAX = 10_000

# At one time the steps of a funnel sort in the order of the funnel.
VIEW, TAP, CART, CHECKOUT, STARTED, AUTHORISED, PURCHASE = "0123456"
SESSION = VIEW + TAP + CART + PURCHASE
FUNNELS = (
    (SESSION, tuple([measure.name for measure in SESSION_STEPS])),
    (CHECKOUT + STARTED + AUTHORISED + PURCHASE, tuple([measure.name for measure in CHECKOUT_STEPS])),
)
# Of the steps of a session behind the first one.
_PROMPT = tuple([measure.name for measure in PROMPT_STEPS])


class Count(NamedTuple):
    """What is counted in the pane of a funnel's first step.

    Attributes:
        start: the position of that step.
        amount: what is added to each measure.
        measures: those that the order of the steps decides.
        prompt: positions of further steps, each with the measure that counts if it came within the horizon.
        bought: the position of the purchase, whose time decides on a bucket; -1 for none.
    """

    start: int
    amount: int
    measures: tuple[str, ...]
    prompt: tuple[tuple[int, str], ...]
    bought: int


class Effect(NamedTuple):
    """What new steps do to those kept of a scope. Positions count the old and the new ones, in their order.

    Attributes:
        shape: the steps to be kept then.
        kept: their positions; None for all.
        counts: what is counted, and taken back.
    """

    shape: str
    kept: tuple[int, ...] | None
    counts: tuple[Count, ...]


def grown(shape: str, times: list[int], time: int, added: str) -> tuple[Effect | None, list[int]]:
    """What new steps at `time` do to those kept of a scope, None for nothing; and the times of all.

    `times` ascend, in ms since any one time before; at one time steps ascend, too.
    """
    at = len(times)
    last = times[-1] if times else -1
    if time <= last:
        at, end = bisect_left(times, time), bisect_right(times, time)
        then = shape[at:end]
        added = "".join([step for step in added if step not in then])
        if not added:
            return None, times
        at += sum([step < added for step in then])
    # Nearly always.
    if last <= DAY_MS and time <= DAY_MS and len(shape) + len(added) <= STEP_TIMES_MAX:
        effect = usual_effect(shape, at, added)
        if effect is None:
            return None, times
        return effect, [*times[:at], *[time] * len(added), *times[at:]]
    times = [*times[:at], *[time] * len(added), *times[at:]]
    return _effect(shape, at, added, times), times


@lru_cache(EFFECTS_MAX)
def usual_effect(shape: str, at: int, added: str) -> Effect | None:
    """What `added` does in front of the step at `at`, where all are within 24 hours and few enough."""
    return _effect(shape, at, added, [0] * (len(shape) + len(added)))


def _effect(shape: str, at: int, added: str, times: list[int]) -> Effect | None:
    """What `added` does in front of the step at `at`; `times` are those of all.

    Of each step the 64 earliest times count. Of those a time above the one at which its funnel reached the
    step, or above the end of the funnel's 24 hours, never comes to matter: more events only ever make the
    start and the times of the steps reached earlier, or take a step away together with all later times.
    """
    before = shape[:at] + " " * len(added) + shape[at:]
    after = _earliest(shape[:at] + added + shape[at:])
    counts: list[Count] = []
    last = dict.fromkeys(after + " ", -1)
    for funnel, measures in FUNNELS:
        old, new = reached_by(before, times, funnel), reached_by(after, times, funnel)
        counts += _counts(funnel, measures, old, new)
        end = bisect_right(times, times[new[0]] + DAY_MS) if new else len(times)
        for place, step in enumerate(funnel):
            position = new[place] if place < len(new) else end - 1
            last[step] = max(last.get(step, -1), position)
    kept = tuple([position for position, step in enumerate(after) if position <= last[step]])
    if kept == tuple([position for position, step in enumerate(before) if step != " "]):
        return None
    left = "".join([after[position] for position in kept])
    return Effect(left, None if left == after else kept, tuple(counts))


def _counts(funnel: str, measures: tuple[str, ...], old: list[int], new: list[int]) -> Iterator[Count]:
    """What changes when a funnel's steps are reached at the new positions.

    From the first position that differs all is taken back and counted anew: a step that is reached earlier
    than before may be prompt now.
    """
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    for reached, amount in ((old, -1), (new, 1)):
        if len(reached) == same:
            continue
        prompt: tuple[tuple[int, str], ...] = ()
        bought = -1
        if funnel is SESSION:
            prompt = tuple(zip(reached[1:], _PROMPT, strict=False))[max(same - 1, 0) :]
            bought = reached[-1] if len(reached) == len(funnel) else -1
        yield Count(reached[0], amount, measures[same : len(reached)], prompt, bought)


def _earliest(shape: str) -> str:
    """The steps, blanked out where as many of their kind come before as count."""
    if len(shape) <= STEP_TIMES_MAX:
        return shape
    return "".join(
        [" " if shape.count(step, 0, at) >= STEP_TIMES_MAX else step for at, step in enumerate(shape)]
    )


def reached_by(shape: str, times: list[int], funnel: str) -> list[int]:
    """Positions at which the steps of a funnel were reached, one after the other."""
    reached: list[int] = []
    at = -1
    for step in funnel:
        at = shape.find(step, at + 1)
        if at < 0 or (reached and times[at] > times[reached[0]] + DAY_MS):
            break
        reached.append(at)
    return reached

"""Ordered funnels over sessions, found by sorting: all step events of a session are laid side by side.

A session is what one user did under one session id until it is gone. Per scope only its events that carry the
scope take part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from verify.model import Booking, Scope
from verify.rules import DAY_MS, MINUTE_MS, SECOND_MS, Rules

WINDOW_MS = DAY_MS
GONE_AFTER_MS = DAY_MS + 15 * MINUTE_MS
AGAIN_AFTER_MS = 2 * DAY_MS
TIMES_KEPT = 64

# Each funnel's steps and the events that reach them; a payment's name is its outcome.
FUNNELS: Mapping[str, tuple[tuple[str, frozenset[str]], ...]] = {
    "sessions": (
        ("view", frozenset({"view", "live_join", "mini_program_open"})),
        ("tag_tap", frozenset({"tag_tap"})),
        ("add_to_cart", frozenset({"add_to_cart", "begin_checkout"})),
        ("purchase", frozenset({"purchase"})),
    ),
    "checkouts": (
        ("begin_checkout", frozenset({"begin_checkout"})),
        ("payment_started", frozenset({"payment:started"})),
        ("payment_authorised", frozenset({"payment:authorised"})),
        ("purchase", frozenset({"purchase"})),
    ),
}
STEP_EVENTS = frozenset().union(*(names for steps in FUNNELS.values() for _, names in steps))
BUCKETS_S = (
    *(5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1_200, 1_800, 2_700, 3_600),
    *(5_400, 7_200, 10_800, 21_600, 43_200, 86_400),
)


class Step(NamedTuple):
    """One step event of a session; `name` is one of STEP_EVENTS."""

    session: int
    name: str
    topic: str
    time_ms: int
    ingest_ms: int
    scopes: tuple[Scope, ...]


def takes_part(time_ms: int, ingest_ms: int, rules: Rules) -> bool:
    """Whether an event is early enough for a funnel; of the order service's too, which may come later."""
    return ingest_ms - time_ms <= rules.traffic_lateness_ms


def session_bookings(steps: Iterable[Step], rules: Rules) -> list[Booking]:
    """What all step events of one partition amount to, in any order."""
    by_session: dict[int, list[Step]] = {}
    for step in steps:
        by_session.setdefault(step.session, []).append(step)
    bookings = []
    for events in by_session.values():
        for session, expired in _lives(events):
            bookings += [booking for name in FUNNELS for booking in _funnel_bookings(name, session, rules)]
            bookings += [
                Booking(event.ingest_ms, (("pipeline", event.topic),), (("sessions_expired", 1),))
                for event in expired
            ]
    return bookings


def _lives(events: list[Step]) -> Iterator[tuple[list[Step], list[Step]]]:
    """The sessions that one id had after each other: (its events, those that came when it was gone)."""
    left = events
    while left:
        # Whatever comes later by ingest time can't be earlier by event time than by the lateness.
        earliest_ms = min(event.time_ms for event in left)
        # The first to come is always dealt with, however large the lateness is set.
        again_ms = max(earliest_ms + AGAIN_AFTER_MS, min(event.ingest_ms for event in left))
        now = [event for event in left if event.ingest_ms <= again_ms]
        left = [event for event in left if event.ingest_ms > again_ms]
        gone_ms = earliest_ms + GONE_AFTER_MS
        yield (
            [event for event in now if event.ingest_ms <= gone_ms],
            [event for event in now if event.ingest_ms > gone_ms],
        )


def _funnel_bookings(funnel: str, session: list[Step], rules: Rules) -> list[Booking]:
    """Per scope one booking, in the panes of the first step, of every step that was reached."""
    steps = FUNNELS[funnel]
    times_ms: dict[Scope, list[set[int]]] = {}
    for event in session:
        for number, (_, names) in enumerate(steps):
            if event.name in names:
                for scope in event.scopes:
                    times_ms.setdefault(scope, [set() for _ in steps])[number].add(event.time_ms)
    bookings = []
    for scope, times in times_ms.items():
        reached = reached_ms([sorted(each)[:TIMES_KEPT] for each in times])
        if not reached:
            continue
        amounts = [(f"{funnel}.{name}", 1) for (name, _), _ in zip(steps, reached, strict=False)]
        if funnel == "sessions":
            soon_ms = reached[0] + rules.cohort_horizon_ms
            within = sum(time <= soon_ms for time in reached)
            amounts += [(f"prompt.{name}", 1) for name, _ in steps[1:within]]
            if len(reached) == len(steps):
                amounts.append((f"time_to_convert.{bucket_s(reached[-1] - reached[0])}", 1))
        bookings.append(Booking(reached[0], (scope,), tuple(amounts)))
    return bookings


def reached_ms(steps: list[list[int]]) -> list[int]:
    """When each step was reached, up to the first that was not; `steps` are the times of each, ascending."""
    reached: list[int] = []
    for times in steps:
        fitting = [time for time in times if _follows(time, reached)]
        if not fitting:
            break
        reached.append(fitting[0])
    return reached


def _follows(time_ms: int, reached: list[int]) -> bool:
    return not reached or reached[-1] <= time_ms <= reached[0] + WINDOW_MS


def bucket_s(passed_ms: int) -> int:
    """The smallest upper end, in seconds, that is not below the time that passed."""
    return min(upper_s for upper_s in BUCKETS_S if passed_ms <= upper_s * SECOND_MS)

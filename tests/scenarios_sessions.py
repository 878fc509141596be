"""Scenarios: sessions as ordered funnels, and their limits in time."""

from __future__ import annotations

from itertools import starmap
from typing import Any

from tests.scenario_kit import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    NOON,
    OF_SESSIONS,
    SECOND,
    Scenario,
    Sent,
    Sum,
    cell,
    counted,
    line,
    pair,
    payment,
    purchase,
    step,
)

STEPS = ("view", "tag_tap", "add_to_cart", "purchase")
CHECKOUT_STEPS = ("begin_checkout", "payment_started", "payment_authorised", "purchase")
GONE = DAY + 15 * MINUTE
QUARTER = 15 * MINUTE
P1 = line("p1", 1, 100)


def sessions(
    count: int, scope: str = "all", size: str = "1d", start: int = MONDAY, *, prompt: int = 4, of: int = 1
) -> list[Sum]:
    """So many (`of`) sessions of the scope that reached so many steps, so many of them promptly."""
    reached = [cell(f"sessions.{name}", of, scope, size, start) for name in STEPS[:count]]
    return reached + [
        cell(f"prompt.{name}", of, scope, size, start) for name in STEPS[1 : min(count, prompt)]
    ]


def prompt_purchase(of: int, scope: str = "all") -> list[Sum]:
    """Sessions that purchased, all of them promptly."""
    return [cell("sessions.purchase", of, scope), cell("prompt.purchase", of, scope)]


def checkouts(count: int, scope: str = "all", size: str = "1d", start: int = MONDAY) -> list[Sum]:
    """One checkout of the scope that reached so many steps."""
    return [cell(f"checkouts.{name}", 1, scope, size, start) for name in CHECKOUT_STEPS[:count]]


def converted(upper_s: int, scope: str = "all", count: int = 1) -> list[Sum]:
    """Sessions whose time to convert lies in a bucket."""
    return [cell(f"time_to_convert.{upper_s}", count, scope)]


def until_cart(number: int, at: int, **more: Any) -> tuple[Sent, ...]:
    """A view, a tap and a cart at one moment; `number` tells the events of two calls apart."""
    return tuple(
        starmap(
            lambda kind, name: step(kind, f"{name}{number}", at, **more),
            (("view", "v"), ("tag_tap", "t"), ("add_to_cart", "c")),
        )
    )


ORDER = (
    Scenario(
        name="session_reaches_every_step",
        fact="View, tap, cart and purchase in their order: one session in each step, converted within 30 s.",
        records=(
            step("view", "e1", NOON),
            step("tag_tap", "e2", NOON + 10 * SECOND),
            step("add_to_cart", "e3", NOON + 20 * SECOND),
            purchase("o1", NOON + 30 * SECOND, P1),
        ),
        kinds=("all", "platform"),
        measures=OF_SESSIONS,
        cells=dict(
            [
                *sessions(4), *converted(30),
                *sessions(4, "platform:tiktok"), *converted(30, "platform:tiktok"),
            ]
        ),
    ),
    Scenario(
        name="session_by_event_time_not_arrival",
        fact="Steps are ordered by event time, whatever topic they stand in and whenever they came.",
        records=(
            purchase("o1", NOON + 3, P1),
            step("add_to_cart", "e1", NOON + 2),
            step("tag_tap", "e2", NOON + 1, ts=NOON + MINUTE),
            step("view", "e3", NOON, ts=NOON + 4 * MINUTE),
        ),
        measures=OF_SESSIONS,
        cells=dict([*sessions(4), *converted(5)]),
    ),
    Scenario(
        name="session_moves_to_an_earlier_view",
        fact="A view that comes late begins the session in its own pane, with all steps, and nowhere else.",
        records=(
            step("view", "e1", NOON + MINUTE),
            step("tag_tap", "e2", NOON + MINUTE),
            step("view", "e3", NOON, ts=NOON + 2 * MINUTE),
        ),
        sizes=("1m",),
        measures=OF_SESSIONS,
        cells=dict(sessions(2, size="1m", start=NOON)),
    ),
    Scenario(
        name="session_of_one_moment",
        fact="Steps at the very same time follow each other.",
        records=(*until_cart(1, NOON), purchase("o1", NOON, P1)),
        measures=OF_SESSIONS,
        cells=dict([*sessions(4), *converted(5)]),
    ),
    Scenario(
        name="session_steps_before_their_time",
        fact="A purchase before the view and a cart before the tap are no steps.",
        records=(
            purchase("o1", NOON - 1, P1),
            step("view", "e1", NOON),
            step("add_to_cart", "e2", NOON + 1),
            step("tag_tap", "e3", NOON + 2),
        ),
        measures=OF_SESSIONS,
        cells=dict(sessions(2)),
    ),
    Scenario(
        name="session_step_left_out",
        fact="Without a tap nothing behind it is reached, without a view there is no session.",
        records=(
            step("view", "e1", NOON),
            step("add_to_cart", "e2", NOON + 1),
            purchase("o1", NOON + 2, P1),
            step("tag_tap", "e3", NOON, session_id="s2"),
            step("add_to_cart", "e4", NOON, session_id="s2"),
        ),
        measures=OF_SESSIONS,
        cells=dict(sessions(1)),
    ),
    Scenario(
        name="session_takes_a_later_tap",
        fact="A tap before the first view does not stand in the way of one after it.",
        records=(
            step("tag_tap", "e1", NOON - 1),
            step("view", "e2", NOON),
            step("tag_tap", "e3", NOON + 1),
            step("view", "e4", NOON + 2),
        ),
        measures=OF_SESSIONS,
        cells=dict(sessions(2)),
    ),
    Scenario(
        name="session_other_ways_to_begin",
        fact="A live join and a mini-program that opens begin a session too; a checkout stands for a cart.",
        records=(
            step("live_join", "e1", NOON, live_id="L1"),
            step("tag_tap", "e2", NOON),
            step("begin_checkout", "e3", NOON),
            step("mini_program_open", "e4", NOON, session_id="s2", mini_program_id="m1", entry="search"),
            step("live_like", "e5", NOON, session_id="s3", live_id="L1"),
        ),
        measures=OF_SESSIONS,
        cells=dict(
            [
                *sessions(3), cell("sessions.view", 2),
                *checkouts(1),
            ]
        ),
    ),
    Scenario(
        name="session_is_user_and_id",
        fact="The same session id of two users is two sessions, as are two ids of one user.",
        records=(
            step("view", "e1", NOON),
            step("tag_tap", "e2", NOON, user_id="u2"),
            step("tag_tap", "e3", NOON, session_id="s2"),
            step("view", "e4", NOON, user_id="u12", session_id="s"),
            step("tag_tap", "e5", NOON, user_id="u1", session_id="2s"),
        ),
        measures=OF_SESSIONS,
        cells=dict([cell("sessions.view", 2)]),
    ),
)  # fmt: skip

LIMITS = (
    Scenario(
        name="session_ends_after_24_hours",
        fact="A step 24 h after the view is reached, one a millisecond later is not.",
        records=(
            step("view", "e1", NOON),
            step("tag_tap", "e2", NOON + DAY),
            step("add_to_cart", "e3", NOON + DAY + 1),
        ),
        measures=OF_SESSIONS,
        cells=dict(sessions(2, prompt=1)),
    ),
    Scenario(
        name="session_counts_from_the_first_view",
        fact="Another view does not begin the 24 hours anew.",
        records=(
            step("view", "e1", NOON),
            step("view", "e2", NOON + HOUR),
            step("tag_tap", "e3", NOON + DAY + 1),
        ),
        measures=OF_SESSIONS,
        cells=dict(sessions(1)),
    ),
    Scenario(
        name="session_is_gone",
        fact="24 h 15 min of ingest time after its earliest event a session is gone: its events are counted.",
        records=(
            step("begin_checkout", "e1", NOON),
            step("add_to_cart", "e2", NOON + GONE),
            step("add_to_cart", "e3", NOON + GONE + 1),
            step("begin_checkout", "e4", NOON + GONE - 2, ts=NOON + GONE + 2),
        ),
        kinds=("all", "pipeline"),
        measures=(*OF_SESSIONS, "sessions_expired"),
        cells=dict([*checkouts(1), *counted("carts", start=MONDAY + DAY, sessions_expired=2)]),
    ),
    Scenario(
        name="session_is_gone_by_its_earliest_event",
        fact="What counts is the earliest step event, also one that came later and is in no first step.",
        records=(
            step("begin_checkout", "e1", NOON + MINUTE),
            step("add_to_cart", "e2", NOON, ts=NOON + MINUTE),
            step("add_to_cart", "e3", NOON + GONE + 1),
        ),
        kinds=("all", "pipeline"),
        measures=(*OF_SESSIONS, "sessions_expired"),
        cells=dict([*checkouts(1), *counted("carts", start=MONDAY + DAY, sessions_expired=1)]),
    ),
    Scenario(
        name="session_begins_again_after_48_hours",
        fact="Up to 48 h the ids belong to the session that is gone, from then on to a new one.",
        records=(
            step("begin_checkout", "e1", NOON),
            step("begin_checkout", "e2", NOON + 2 * DAY),
            step("begin_checkout", "e3", NOON + 2 * DAY + 1),
            step("add_to_cart", "e4", NOON + 3 * DAY),
        ),
        kinds=("all", "pipeline"),
        measures=(*OF_SESSIONS, "sessions_expired"),
        cells=dict(
            [
                *checkouts(1),
                *checkouts(1, start=MONDAY + 2 * DAY),
                *counted("carts", start=MONDAY + 2 * DAY, sessions_expired=1),
            ]
        ),
    ),
    Scenario(
        name="session_without_late_purchases",
        fact="A purchase that comes 5 min late is a step; a later one counts in money only.",
        records=(
            *until_cart(1, NOON),
            purchase("o1", NOON, P1, ts=NOON + 5 * MINUTE),
            *until_cart(2, NOON, session_id="s2"),
            step("begin_checkout", "e1", NOON, session_id="s2"),
            purchase("o2", NOON, P1, ts=NOON + 5 * MINUTE + 1, session_id="s2"),
            payment("e2", "o2", NOON, "started", ts=NOON + 5 * MINUTE + 1, session_id="s2"),
        ),
        measures=(*OF_SESSIONS, "orders"),
        cells=dict(
            [
                *sessions(3, of=2), *prompt_purchase(1),
                *converted(5), *checkouts(1), cell("orders:USD", 2),
            ]
        ),
    ),
    Scenario(
        name="session_goes_with_its_pane",
        fact="Sessions are in panes like all else: when the pane of the first view goes, they do.",
        records=(step("view", "e1", NOON), step("tag_tap", "e2", NOON + HOUR + 11 * SECOND)),
        sizes=("10s", "1m"),
        measures=OF_SESSIONS,
        cells=dict(sessions(2, size="1m", start=NOON, prompt=1)),
    ),
    Scenario(
        name="session_keeps_64_times_of_a_step",
        fact="Of each step the 64 earliest distinct times count: a 65th, the first one after the view, not.",
        records=(
            *(step("tag_tap", f"a{n}", NOON - n // 2) for n in range(2, 130)),
            step("view", "e1", NOON),
            step("tag_tap", "e2", NOON),
            *(step("tag_tap", f"b{n}", NOON - n // 2, session_id="s2") for n in range(2, 128)),
            step("view", "e3", NOON, session_id="s2"),
            step("tag_tap", "e4", NOON, session_id="s2"),
        ),
        measures=OF_SESSIONS,
        cells=dict([*sessions(2), cell("sessions.view", 2)]),
    ),
    Scenario(
        name="session_conversion_buckets",
        fact="A bucket holds its upper end: 0 and 5 s, a millisecond more, 24 h.",
        records=(
            *(
                record
                for number, passed in enumerate((0, 5 * SECOND, 5 * SECOND + 1, DAY))
                for record in (
                    *until_cart(number, NOON, session_id=f"s{number}"),
                    purchase(f"o{number}", NOON + passed, P1, session_id=f"s{number}"),
                )
            ),
        ),
        measures=("time_to_convert",),
        cells=dict([*converted(5, count=2), *converted(10), *converted(86_400)]),
    ),
)  # fmt: skip

PROMPT = (
    Scenario(
        name="prompt_steps_come_within_the_horizon",
        fact="Of cohorts, a step counts that is reached 15 min after the view, not one a millisecond later.",
        records=(
            *until_cart(1, NOON),
            purchase("o1", NOON + QUARTER, P1),
            *until_cart(2, NOON, session_id="s2"),
            purchase("o2", NOON + QUARTER + 1, P1, session_id="s2"),
            step("view", "e1", NOON, session_id="s3"),
            step("tag_tap", "e2", NOON + QUARTER + 1, session_id="s3"),
        ),
        measures=("prompt",),
        cells=dict(
            [cell("prompt.tag_tap", 2), cell("prompt.add_to_cart", 2), cell("prompt.purchase", 1)]
        ),
    ),
    Scenario(
        name="prompt_no_longer_with_an_earlier_view",
        fact="An earlier view begins the horizon too: what was prompt before is so no more, in no pane.",
        records=(
            step("view", "e1", NOON + 4 * MINUTE),
            step("tag_tap", "e2", NOON + 10 * MINUTE),
            step("add_to_cart", "e3", NOON + 16 * MINUTE),
            step("view", "e4", NOON, ts=NOON + 5 * MINUTE),
        ),
        sizes=("1m",),
        measures=OF_SESSIONS,
        cells=dict(sessions(3, size="1m", start=NOON, prompt=2)),
    ),
    Scenario(
        name="prompt_by_an_earlier_tap",
        fact="A tap that comes late and lies before the one that counted makes the same step prompt.",
        records=(
            step("view", "e1", NOON),
            step("tag_tap", "e2", NOON + QUARTER + 1),
            step("tag_tap", "e3", NOON + 14 * MINUTE, ts=NOON + 16 * MINUTE),
        ),
        sizes=("1m",),
        measures=OF_SESSIONS,
        cells=dict(sessions(2, size="1m", start=NOON)),
    ),
    Scenario(
        name="prompt_by_scope",
        fact="In each scope the horizon begins with the first view there.",
        records=(
            step("view", "e1", NOON),
            step("view", "e2", NOON + 10 * MINUTE, surface="live"),
            step("tag_tap", "e3", NOON + 20 * MINUTE, surface="live"),
        ),
        kinds=("all", "surface", "platform,surface"),
        measures=OF_SESSIONS,
        cells=dict(
            [
                *sessions(2, prompt=1), *sessions(2, "surface:live"),
                *sessions(2, pair("platform,surface", "tiktok", "live")),
            ]
        ),
    ),
    Scenario(
        name="prompt_by_the_setting",
        fact="The horizon is a setting.",
        records=(*until_cart(1, NOON), purchase("o1", NOON + MINUTE, P1)),
        settings={"cohort_horizon_ms": MINUTE - 1},
        measures=OF_SESSIONS,
        cells=dict([*sessions(4, prompt=3), *converted(60)]),
    ),
)  # fmt: skip

SESSIONS = (*ORDER, *LIMITS, *PROMPT)

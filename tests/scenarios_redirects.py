"""Scenarios: users of apps, and users by arm of a redirection rule."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import DAY, MONDAY, NOON, SECOND, Scenario, Sent, cell, event, pair


def redirected(
    event_id: str, user: str = "u1", arm: str = "treated", *, rule: str = "r1", at: int = NOON, **more: Any
) -> Sent:
    """A user is assigned to an arm of a rule that leads to app `shop`."""
    own = {"user_id": user, "rule_id": rule, "arm": arm, "to_app": "shop"} | more
    return Sent(topic="redirects", value=event("redirect", event_id, at, **own), at=at)


def active(
    event_id: str,
    user: str = "u1",
    arm: str | None = None,
    *,
    app: str = "shop",
    rule: str = "r1",
    at: int = NOON,
    **more: Any,
) -> Sent:
    """A user uses an app; with an arm, as one who is assigned to the rule."""
    own: dict[str, Any] = {"user_id": user, "app": app}
    if arm is not None:
        own["assignments"] = [{"rule_id": rule, "arm": arm}]
    return Sent(topic="redirects", value=event("active", event_id, at, **(own | more)), at=at)


def _of(arm: str, rule: str = "r1") -> str:
    return pair("rule,arm", rule, arm)


def _users(n: int, arm: str, *, app: str = "shop", rule: str = "r1", start: int = MONDAY) -> Any:
    inner = f"{len(rule)}:{rule}{arm}"
    return ("app,rule,arm", f"{len(app)}:{app}{inner}", "1d", start, "active"), n


def _of_app(n: int, app: str = "shop", start: int = MONDAY) -> Any:
    return ("app", app, "1d", start, "active"), n


REDIRECTS = (
    Scenario(
        name="active_users_by_day",
        fact="Users of an app are distinct by the UTC day; another app has its own; excluded ones are none.",
        records=(
            active("e1"),
            active("e2"),
            active("e3", "u2"),
            active("e4", app="other-app"),
            active("e5", "u3", traffic="bot"),
            active("e6", at=NOON + DAY),
        ),
        kinds=("app", "platform"),
        measures=("events.",),
        cells=dict(
            [
                cell("events.active", 3, "app:shop"),
                cell("events.active", 1, "app:other-app"),
                cell("events.active", 1, "app:shop", start=MONDAY + DAY),
                cell("events.active", 4, "platform:tiktok"),
                cell("events.active", 1, "platform:tiktok", start=MONDAY + DAY),
            ]
        ),
        users=dict([_of_app(2), _of_app(1, "other-app"), _of_app(1, start=MONDAY + DAY)]),
    ),
    Scenario(
        name="apps_beyond_the_cap",
        fact="An app that has no place of its own is `other`, with its users.",
        records=(active("e1"), active("e2", app="b"), active("e3", "u2", app="c")),
        kinds=("app",),
        measures=("events.", "capped"),
        cells=dict(
            [
                cell("events.active", 1, "app:shop"),
                cell("events.active", 2, "app:other"),
                cell("capped", 2, "app:redirects"),
            ]
        ),
        users=dict([_of_app(1), _of_app(2, "other")]),
        settings={"scope_values_max": 1},
    ),
    Scenario(
        name="users_by_arm",
        fact="An assigned user is active in the arm of the first assignment, whatever later events say.",
        records=(
            active("e0", arm="treated"),  # not assigned yet
            redirected("r1"),
            redirected("r2"),
            redirected("r3", arm="held_out"),
            redirected("r4", "u2", "held_out"),
            active("e1", arm="held_out"),
            active("e2", arm="treated"),
            active("e3", "u2", "held_out"),
            active("e4", "u3", "treated"),  # never assigned
            active("e5"),  # names no rule
            active("e6", arm="treated", app="other-app"),  # not where the rule leads to
            redirected("r5", "u4", traffic="test"),
        ),
        kinds=("app", "rule,arm", "app,rule,arm"),
        measures=("events.", "assigned", "contradicted"),
        cells=dict(
            [
                cell("assigned", 1, _of("treated")),
                cell("assigned", 1, _of("held_out")),
                cell("contradicted", 1, _of("treated")),
                cell("events.active", 6, "app:shop"),
                cell("events.active", 1, "app:other-app"),
            ]
        ),
        users=dict([_users(1, "treated"), _users(1, "held_out"), _of_app(3), _of_app(1, "other-app")]),
    ),
    Scenario(
        name="an_assignment_lapses",
        fact="It holds for 400 days; then a user is assigned anew, perhaps to the other arm.",
        records=(
            redirected("r1"),
            active("e1", arm="treated", at=NOON + 400 * DAY),
            active("e2", arm="treated", at=NOON + 400 * DAY + SECOND),
            redirected("r2", arm="held_out", at=NOON + 400 * DAY + 2 * SECOND),
            active("e3", arm="held_out", at=NOON + 400 * DAY + 3 * SECOND),
        ),
        kinds=("rule,arm", "app,rule,arm"),
        measures=("assigned", "contradicted"),
        cells=dict(
            [
                cell("assigned", 1, _of("treated")),
                cell("assigned", 1, _of("held_out"), start=MONDAY + 400 * DAY),
            ]
        ),
        users=dict(
            [
                _users(1, "treated", start=MONDAY + 400 * DAY),
                _users(1, "held_out", start=MONDAY + 400 * DAY),
            ]
        ),
    ),
    Scenario(
        name="rules_have_targets_of_their_own",
        fact="A user has an arm in each rule; of a rule's targets the first four are kept.",
        records=(
            *(redirected(f"r{n}", f"u{n}", to_app=f"app{n}") for n in range(1, 7)),
            redirected("r9", "u5", "held_out", rule="r2", to_app="app5"),
            active("e4", "u4", "treated", app="app4"),
            active("e5", "u5", "treated", app="app5"),
            active(
                "e6",
                "u5",
                app="app5",
                assignments=[{"rule_id": "r2", "arm": "held_out"}, {"rule_id": "r1", "arm": "treated"}],
            ),
        ),
        kinds=("rule,arm", "app,rule,arm"),
        measures=("assigned", "contradicted"),
        cells=dict([cell("assigned", 6, _of("treated")), cell("assigned", 1, _of("held_out", "r2"))]),
        users=dict([_users(1, "treated", app="app4"), _users(1, "held_out", app="app5", rule="r2")]),
    ),
)

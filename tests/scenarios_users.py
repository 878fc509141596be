"""Scenarios: distinct users by step, scope and size of pane; of so few a sketch is exact."""

from __future__ import annotations

from tests.scenario_kit import DAY, HOUR, MINUTE, MONDAY, NOON, Scenario, cell, line, purchase, step

SIZES = ("1m", "1h", "1d")
START = {"1m": NOON, "1h": NOON, "1d": MONDAY}
P1 = line("p1", 1, 100)

USERS = (
    Scenario(
        name="users_are_counted_once",
        fact="A user counts once per step, pane and scope; of the finest panes no users are kept.",
        records=(
            step("view", "e1", NOON, live_id="L1"),
            step("view", "e2", NOON + 1, session_id="s2"),
            step("view", "e3", NOON + 2, user_id="u2"),
            step("live_join", "e4", NOON + 3, user_id="u3", live_id="L1"),
            step("mini_program_open", "e5", NOON, user_id="u3", mini_program_id="m1", entry="search"),
        ),
        kinds=("all", "platform", "live", "mini_program", "surface"),
        sizes=("10s", *SIZES),
        measures=("users",),
        cells={},
        users=dict(
            cell("view", count, scope, size, START[size])
            for scope, count in (("all", 3), ("platform:tiktok", 3), ("live:L1", 2), ("mini_program:m1", 1))
            for size in SIZES
        ),
    ),
    Scenario(
        name="users_by_step",
        fact="A checkout is no cart here, a like no view; test traffic and duplicates do not count.",
        records=(
            step("tag_tap", "e1", NOON),
            step("add_to_cart", "e2", NOON, user_id="u2"),
            step("begin_checkout", "e3", NOON, user_id="u3"),
            step("view", "e4", NOON, traffic="bot"),
            step("tag_tap", "e1", NOON, user_id="u4"),
            step("live_like", "e5", NOON, live_id="L1"),
        ),
        kinds=("all", "product", "live"),
        measures=("users",),
        cells={},
        users=dict(
            [
                cell("tag_tap", 1), cell("tag_tap", 1, "product:p1"),
                cell("add_to_cart", 1), cell("add_to_cart", 1, "product:p1"),
            ]
        ),
    ),
    Scenario(
        name="users_who_buy",
        fact="A buyer counts in the envelope's order-level scopes and in the lines' own.",
        records=(
            purchase(
                "o1", NOON, line("p1", 1, 100, live_id="L2"), line("p2", 1, 100, creator_id="c1"),
                live_id="L1", product_id="p9", mini_program_id="m1", ts=NOON + 3 * DAY,
            ),
            purchase("o2", NOON, P1, user_id="u2", traffic="test"),
        ),
        kinds=("all", "platform", "mini_program", "live", "creator", "product"),
        measures=("users",),
        cells={},
        users=dict(
            cell("purchase", 1, scope)
            for scope in ("all", "platform:tiktok", "mini_program:m1", "live:L1", "live:L2", "creator:c1",
                          "product:p1", "product:p2")
        ),
    ),
    Scenario(
        name="users_who_buy_again",
        fact="Who bought before, in log order, in any scope and within 400 days, buys again.",
        records=(
            purchase("o1", NOON, P1),
            purchase("o2", NOON - 1, line("p2", 1, 100)),
            purchase("o3", NOON, P1, user_id="u2", traffic="test"),
            purchase("o4", NOON, P1, user_id="u2"),
        ),
        kinds=("all", "product"),
        measures=("users",),
        cells={},
        users=dict(
            [
                cell("purchase", 2), cell("purchase", 2, "product:p1"), cell("purchase", 1, "product:p2"),
                cell("repeat_purchase", 1),
            ]
        ),
    ),
    Scenario(
        name="users_who_bought_long_ago",
        fact="400 days after the last purchase a buyer buys again, a millisecond later for the first time.",
        records=(
            purchase("o1", NOON, P1),
            purchase("o2", NOON + 400 * DAY, P1),
            purchase("o3", NOON + 800 * DAY + 1, P1),
        ),
        measures=("users",),
        cells={},
        users=dict(
            [
                cell("purchase", 1, start=MONDAY + 400 * DAY),
                cell("repeat_purchase", 1, start=MONDAY + 400 * DAY),
                cell("purchase", 1, start=MONDAY + 800 * DAY),
            ]
        ),
    ),
    Scenario(
        name="users_buy_again_after_their_latest",
        fact="The 400 days run from the latest purchase by event time, not from the one that came last.",
        records=(
            purchase("o1", NOON, P1),
            purchase("o2", NOON - DAY, P1, ts=NOON),
            purchase("o3", NOON + 400 * DAY, P1),
        ),
        measures=("users",),
        cells={},
        users=dict(
            [
                cell("purchase", 1),
                cell("purchase", 1, start=MONDAY + 400 * DAY),
                cell("repeat_purchase", 1, start=MONDAY + 400 * DAY),
            ]
        ),
    ),
    Scenario(
        name="users_go_after_two_hours",
        fact="A minute's users stay while its end is not before the highest event time less 2 h; hours stay.",
        records=(
            step("view", "e1", NOON),
            step("view", "e2", NOON + MINUTE),
            step("tag_tap", "e3", NOON + 2 * HOUR + MINUTE + 1),
        ),
        sizes=("1m", "1h"),
        measures=("users",),
        cells={},
        users=dict(
            [
                cell("view", 1, size="1m", start=NOON + MINUTE),
                cell("tag_tap", 1, size="1m", start=NOON + 2 * HOUR + MINUTE),
                cell("view", 1, size="1h", start=NOON),
                cell("tag_tap", 1, size="1h", start=NOON + 2 * HOUR),
            ]
        ),
    ),
)  # fmt: skip

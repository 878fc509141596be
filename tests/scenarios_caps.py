"""Scenarios: the cap on distinct values in traffic, here of two; and what has none."""

from __future__ import annotations

from tests.scenario_kit import (
    HOUR,
    MONDAY,
    NOON,
    OF_SESSIONS,
    SECOND,
    Scenario,
    cell,
    line,
    pair,
    payment,
    purchase,
    step,
)

TWO = {"scope_values_max": 2}

CAPS = (
    Scenario(
        name="cap_first_values_have_cells",
        fact="The first two values keep their cells, what comes with others is counted under `other`.",
        records=tuple(
            step("view", f"e{n}", NOON, product_id=product_id)
            for n, product_id in enumerate(("p1", "p2", "p3", "p1", "p4", "p3"))
        ),
        settings=TWO,
        kinds=("product", "all"),
        cells=dict(
            [
                cell("events.view", 6),
                cell("events.view", 2, "product:p1"), cell("events.view", 1, "product:p2"),
                cell("events.view", 3, "product:other"), cell("capped", 3, "product:views"),
            ]
        ),
    ),
    Scenario(
        name="cap_of_each_pane",
        fact="Each pane of each size admits for itself, in the order of offsets, not of event times.",
        records=tuple(
            step("view", f"e{n}", NOON + at, ts=NOON + HOUR + n, product_id=product_id)
            for n, (product_id, at) in enumerate(
                (("p3", HOUR), ("p1", HOUR - SECOND), ("p2", HOUR), ("p1", HOUR), ("p3", HOUR - SECOND))
            )
        ),
        settings=TWO,
        kinds=("product",),
        sizes=("1h", "1d"),
        cells=dict(
            [
                *(cell("events.view", 1, f"product:{p}", "1h", NOON) for p in ("p1", "p3")),
                *(cell("events.view", 1, f"product:{p}", "1h", NOON + HOUR) for p in ("p3", "p2", "other")),
                cell("capped", 1, "product:views", "1h", NOON + HOUR),
                cell("events.view", 2, "product:p3"), cell("events.view", 2, "product:p1"),
                cell("events.view", 1, "product:other"), cell("capped", 1, "product:views"),
            ]
        ),
    ),
    Scenario(
        name="cap_of_each_topic_and_kind",
        fact="Topics admit apart from each other, as do kinds; events of one topic share the places.",
        records=(
            *(step("view", f"v{n}", NOON, product_id=f"p{n}", country=f"c{n % 2}") for n in range(3)),
            *(step("tag_tap", f"t{n}", NOON, product_id=f"p{n}") for n in (2, 1, 0)),
            step("add_to_cart", "e1", NOON, product_id="p1"),
            step("begin_checkout", "e2", NOON, product_id="p2"),
            step("begin_checkout", "e3", NOON, product_id="p3"),
        ),
        settings=TWO,
        kinds=("product", "country"),
        cells=dict(
            [
                *(cell("events.view", 1, f"product:{value}") for value in ("p0", "p1", "other")),
                *(cell("events.tag_tap", 1, f"product:{value}") for value in ("p2", "p1", "other")),
                *(cell(f"events.{name}", 1, f"product:{value}") for name, value in (
                    ("add_to_cart", "p1"), ("begin_checkout", "p2"), ("begin_checkout", "other"),
                )),
                *(cell("capped", 1, f"product:{topic}") for topic in ("views", "tag-taps", "carts")),
                cell("events.view", 2, "country:c0"), cell("events.view", 1, "country:c1"),
            ]
        ),
    ),
    Scenario(
        name="cap_not_for_money",
        fact="Whatever stands in the purchases topic has its own cells: orders, payments, their events.",
        records=(
            *(purchase(f"o{n}", NOON, line(f"p{n}", 1, 100), country=f"c{n}") for n in range(3)),
            *(payment(f"e{n}", "o0", NOON, "authorised", attempt_id=f"{n}", gateway=f"g{n}", live_id=f"L{n}")
              for n in range(3)),
        ),
        settings=TWO,
        kinds=("product", "country", "gateway", "live"),
        measures=("orders", "pay.attempts", "events.payment", "capped"),
        cells=dict(
            [
                *(cell("orders:USD", 1, f"{of}{n}") for of in ("product:p", "country:c") for n in range(3)),
                *(cell("orders:USD", 3, of) for of in ("gateway:adyen", "live:unattributed")),
                *(cell("pay.attempts", 1, f"gateway:g{n}") for n in range(3)),
                *(cell("events.payment", 1, f"{of}{n}") for of in ("gateway:g", "live:L") for n in range(3)),
            ]
        ),
    ),
    Scenario(
        name="cap_not_for_closed_lists",
        fact="Platforms and surfaces are closed lists: they and their pairs have no cap.",
        records=tuple(
            step("view", f"e{n}", NOON, platform=platform, surface=surface)
            for n, (platform, surface) in enumerate(
                (("tiktok", "live"), ("douyin", "search"), ("wechat", "explore"))
            )
        ),
        settings=TWO,
        kinds=("platform", "surface", "platform,surface"),
        cells=dict(
            cell("events.view", 1, scope)
            for scope in (
                "platform:tiktok", "platform:douyin", "platform:wechat",
                "surface:live", "surface:search", "surface:explore",
                pair("platform,surface", "tiktok", "live"), pair("platform,surface", "douyin", "search"),
                pair("platform,surface", "wechat", "explore"),
            )
        ),
    ),
    Scenario(
        name="cap_takes_places_for_what_counts",
        fact="Excluded events and duplicates take no place, and a value that is `other` itself takes none.",
        records=(
            step("view", "e1", NOON, product_id="p1", traffic="bot"),
            step("view", "e2", NOON, product_id="other"),
            step("view", "e3", NOON, product_id="p3"),
            step("view", "e3", NOON, product_id="p4"),
            step("view", "e5", NOON, product_id="p5"),
            step("view", "e6", NOON, product_id="p6"),
            step("view", "e7", NOON, product_id="other"),
        ),
        settings=TWO,
        kinds=("product",),
        cells=dict(
            [
                cell("events.view", 1, "product:p3"), cell("events.view", 1, "product:p5"),
                cell("events.view", 3, "product:other"), cell("capped", 1, "product:views"),
            ]
        ),
    ),
    Scenario(
        name="cap_on_pairs",
        fact="A pair is a value like any other: two pairs of one live are two places.",
        records=tuple(
            step("view", f"e{n}", NOON, live_id="L1", product_id=f"p{n % 3}") for n in range(4)
        ),
        settings=TWO,
        kinds=("live,product", "live"),
        cells=dict(
            [
                cell("events.view", 4, "live:L1"),
                cell("events.view", 2, pair("live,product", "L1", "p0")),
                cell("events.view", 1, pair("live,product", "L1", "p1")),
                cell("events.view", 1, "live,product:other"),
                cell("capped", 1, "live,product:views"),
            ]
        ),
    ),
    Scenario(
        name="cap_on_sessions",
        fact="An event whose live is not admitted in its day is in no session of a live; the shop's has it.",
        records=(
            *(step("view", f"e{n}", NOON, session_id=f"s{n}", live_id=f"L{n}") for n in range(3)),
            step("view", "e4", NOON + HOUR, session_id="s4", live_id="L2"),
            step("tag_tap", "e5", NOON + HOUR, session_id="s0", live_id="L0"),
            step("live_like", "e6", NOON, live_id="L3"),
            step("live_join", "e7", NOON, session_id="s7", live_id="L4"),
            step("live_join", "e8", NOON, session_id="s8", live_id="L5"),
        ),
        settings=TWO,
        kinds=("all", "live"),
        measures=OF_SESSIONS,
        cells=dict(
            [
                cell("sessions.view", 6), cell("sessions.tag_tap", 1),
                cell("sessions.view", 1, "live:L0"), cell("sessions.tag_tap", 1, "live:L0"),
                cell("sessions.view", 1, "live:L1"), cell("sessions.view", 1, "live:L4"),
            ]
        ),
    ),
    Scenario(
        name="cap_on_users",
        fact="Users follow the admission of their own pane: under `other` where their value is.",
        records=(
            *(step("view", f"e{n}", NOON, user_id=f"u{n}", product_id=f"p{n}") for n in range(4)),
            step("view", "e4", NOON + HOUR, user_id="u0", product_id="p3"),
            *(purchase(f"o{n}", NOON, line(f"p{n}", 1, 100)) for n in range(3)),
        ),
        settings=TWO,
        kinds=("product",),
        sizes=("1h", "1d"),
        measures=("users",),
        cells={},
        users=dict(
            [
                *(cell("view", 1, f"product:p{n}", "1h", NOON) for n in (0, 1)),
                cell("view", 2, "product:other", "1h", NOON),
                cell("view", 1, "product:p3", "1h", NOON + HOUR),
                *(cell("view", 1, f"product:p{n}") for n in (0, 1)),
                cell("view", 3, "product:other"),
                *(cell("purchase", 1, f"product:p{n}", size, start)
                  for n in range(3) for size, start in (("1h", NOON), ("1d", MONDAY))),
            ]
        ),
    ),
)  # fmt: skip

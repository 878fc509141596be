"""Scenarios: sessions by scope, checkouts, and what takes no part in either."""

from __future__ import annotations

from tests.scenario_kit import (
    MINUTE,
    NOON,
    OF_SESSIONS,
    Scenario,
    cell,
    line,
    pair,
    payment,
    purchase,
    refund,
    step,
)
from tests.scenarios_sessions import P1, checkouts, converted, prompt_purchase, sessions, until_cart

SCOPES = (
    Scenario(
        name="session_funnels_differ_by_scope",
        fact="Each scope has a funnel over those events that carry it, in the pane of its own first view.",
        records=(
            step("view", "e1", NOON, surface="live", creator_id="c1"),
            step("view", "e2", NOON + MINUTE, surface="search"),
            step("tag_tap", "e3", NOON + MINUTE, surface="search"),
            step("add_to_cart", "e4", NOON + MINUTE, surface="live"),
            step("tag_tap", "e5", NOON + 2 * MINUTE, creator_id="c1", country="BR"),
        ),
        kinds=("all", "platform", "surface", "live", "creator", "platform,surface", "country", "product"),
        sizes=("1m",),
        measures=OF_SESSIONS,
        cells=dict(
            [
                *sessions(3, "all", "1m", NOON),
                *sessions(3, "platform:tiktok", "1m", NOON),
                *sessions(1, "surface:live", "1m", NOON),
                *sessions(1, pair("platform,surface", "tiktok", "live"), "1m", NOON),
                *sessions(2, "surface:search", "1m", NOON + MINUTE),
                *sessions(2, pair("platform,surface", "tiktok", "search"), "1m", NOON + MINUTE),
                *sessions(2, "creator:c1", "1m", NOON),
            ]
        ),
    ),
    Scenario(
        name="session_purchase_by_lines",
        fact="A purchase is a step in each live and creator that a line carries, its own or the envelope's.",
        records=(
            *until_cart(1, NOON, live_id="L1"),
            *until_cart(2, NOON, live_id="L2", creator_id="c2"),
            *until_cart(3, NOON, live_id="L3", creator_id="c3"),
            purchase("o1", NOON, line("p1", 1, 1, live_id="L2", creator_id="c2"), P1, live_id="L1"),
        ),
        kinds=("live", "creator"),
        measures=OF_SESSIONS,
        cells=dict(
            [
                *(each for scope in ("live:L1", "live:L2", "creator:c2") for each in sessions(4, scope)),
                *(each for scope in ("live:L1", "live:L2", "creator:c2") for each in converted(5, scope)),
                *sessions(3, "live:L3"),
                *sessions(3, "creator:c3"),
            ]
        ),
    ),
    Scenario(
        name="session_purchase_by_envelope_alone",
        fact="The envelope's live counts in sessions even if every line names another; in money it does not.",
        records=(
            *until_cart(1, NOON, live_id="L1"),
            purchase("o1", NOON, line("p1", 1, 100, live_id="L2"), live_id="L1"),
        ),
        kinds=("live",),
        measures=(*OF_SESSIONS, "orders"),
        cells=dict([*sessions(4, "live:L1"), *converted(5, "live:L1"), cell("orders:USD", 1, "live:L2")]),
    ),
)

CHECKOUTS = (
    Scenario(
        name="checkout_reaches_every_step",
        fact="A checkout, a payment that starts and is authorised, and a purchase; no view, so no session.",
        records=(
            step("begin_checkout", "e1", NOON, surface="live"),
            payment("e2", "o1", NOON + 1, "started", surface="live"),
            payment("e3", "o1", NOON + 2, "authorised"),
            purchase("o1", NOON + 3, P1, surface="live"),
        ),
        kinds=("all", "surface", "gateway"),
        measures=OF_SESSIONS,
        cells=dict([*checkouts(4), *checkouts(2, "surface:live")]),
    ),
    Scenario(
        name="checkout_in_order",
        fact="A payment before the checkout, an authorisation without start and a refusal are no steps.",
        records=(
            payment("e1", "o1", NOON - 1, "started"),
            step("begin_checkout", "e2", NOON),
            payment("e3", "o1", NOON + 1, "authorised"),
            purchase("o1", NOON + 2, P1),
            step("begin_checkout", "e4", NOON, session_id="s2"),
            payment("e5", "o2", NOON, "started", session_id="s2"),
            payment("e6", "o2", NOON, "declined", session_id="s2"),
        ),
        measures=OF_SESSIONS,
        cells=dict([cell("checkouts.begin_checkout", 2), cell("checkouts.payment_started", 1)]),
    ),
    Scenario(
        name="checkout_and_session_begin_apart",
        fact="Each funnel is counted in the pane of its own first step.",
        records=(
            step("view", "e1", NOON),
            step("tag_tap", "e2", NOON),
            step("begin_checkout", "e3", NOON + MINUTE),
        ),
        sizes=("1m",),
        measures=OF_SESSIONS,
        cells=dict([*sessions(3, size="1m", start=NOON), *checkouts(1, size="1m", start=NOON + MINUTE)]),
    ),
    Scenario(
        name="sessions_without_excluded_events",
        fact="Test traffic takes no part, neither does a purchase without session id.",
        records=(
            step("view", "e1", NOON),
            step("tag_tap", "e2", NOON, traffic="test"),
            *until_cart(2, NOON, session_id="s2"),
            purchase("o1", NOON, P1, session_id=None),
            purchase("o2", NOON, P1, session_id="s2", traffic="sample"),
        ),
        measures=OF_SESSIONS,
        cells=dict([*sessions(3), cell("sessions.view", 2)]),
    ),
    Scenario(
        name="sessions_without_repeated_purchases",
        fact="A purchase that is a duplicate or a conflict is no step; a refund takes none back.",
        records=(
            purchase("o1", NOON - 1, P1),
            *until_cart(1, NOON),
            purchase("o1", NOON, P1),
            purchase("o1", NOON, line("p1", 1, 99)),
            *until_cart(2, NOON, session_id="s2"),
            purchase("o2", NOON, P1, session_id="s2"),
            refund("r1", "o2", NOON, 100, session_id="s2"),
        ),
        measures=OF_SESSIONS,
        cells=dict(
            [
                *sessions(3, of=2),
                *prompt_purchase(1),
                *converted(5),
            ]
        ),
        dead_letters=frozenset({("purchases", 0, 2, "conflicting_duplicate")}),
    ),
)

FUNNELS = (*SCOPES, *CHECKOUTS)

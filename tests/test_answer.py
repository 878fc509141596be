"""Scopes as readers write them, and the shape and figures of an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.answer import (
    INTEGER_MAX,
    Figure,
    FigureTooLarge,
    Group,
    QuestionError,
    Scope,
    Totals,
    added,
    by_measure,
    by_value,
    capped_cells,
    flat_figures,
    is_named,
    parse_scope,
    sketches_of,
    stored_measures,
)
from streams.answer_body import body
from streams.figures import STORY_KPIS
from streams.kpis import FIGURE_SETS, KPIS
from streams.scopes import EVERYWHERE, ON_ORDERS, SCOPES, pair_value

ALL_FIGURES = FIGURE_SETS["all"]
KINDS = tuple(SCOPES)
NOTHING = Totals({}, {})
USERS_RANGE = (60_000, 120_000)

# CONTRACT §4: key order is part of what a reader sees. Figures over nothing are null.
CONTRACT_BODY = """
{"events":   {"view": 0, "product_impression": 0, "tag_tap": 0, "add_to_cart": 0, "begin_checkout": 0,
              "purchase": 0},
 "users":    {"view": 0, "tag_tap": 0, "add_to_cart": 0, "purchase": 0},
 "sessions": {"view": 0, "tag_tap": 0, "add_to_cart": 0, "purchase": 0},
 "orders": 0, "items": 0,
 "money": {"USD": {"gmv_paid_minor": 0, "buyer_paid_minor": 0, "refunds_minor": 0,
                   "refunds_of_purchases_minor": 0, "gmv_net_minor": 0, "commission_minor": 0,
                   "aov_minor": null, "gmv_per_1000_view_events_minor": null}},
 "ratios": {"tag_taps_per_view_events": null, "orders_per_tag_tap": null,
            "purchases_per_view_sessions": null, "tag_taps_per_view_sessions": null,
            "add_to_carts_per_tag_tap_sessions": null, "purchases_per_add_to_cart_sessions": null,
            "cart_abandonment_per_add_to_cart_sessions": null,
            "checkout_abandonment_per_begin_checkout_sessions": null, "repeat_buyers_per_buyers": null},
 "users_from_ms": 60000, "users_to_ms": 120000, "users_standard_error": 0.0081,
 "quality": {"accepted": 0, "duplicates": 0, "late": 0, "dead_letters": 0, "excluded": 0,
             "sessions_expired": 0, "misplaced": 0},
 "checkouts": {"begin_checkout": 0, "payment_started": 0, "payment_authorised": 0, "purchase": 0},
 "time_to_convert": {"p50_seconds": null, "p90_seconds": null},
 "viewers": {"peak": null, "average": null, "watch_seconds": null}}
"""


def _flat(kind: str, totals: dict[str, int], *currencies: str, figures: str = "all") -> dict[str, Figure]:
    return flat_figures(kind, Totals(totals), currencies, FIGURE_SETS[figures])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", Scope("all", "")),
        ("live:L1", Scope("live", "L1")),
        ("live:a:b", Scope("live", "a:b")),
        ("live:a|b", Scope("live", "a|b")),
        ("product:1,2", Scope("product", "1,2")),
        ("creator: Zoë 🛍", Scope("creator", " Zoë 🛍")),
        ("app_version:" + "x" * 64, Scope("app_version", "x" * 64)),
        ("live:L1,product:p1", Scope("live,product", pair_value("L1", "p1"))),
        ("live:a,b:c,product:p,q:r", Scope("live,product", pair_value("a,b:c", "p,q:r"))),
        ("platform:tiktok,surface:live", Scope("platform,surface", pair_value("tiktok", "live"))),
        ("platform:tiktok,gateway:g:1", Scope("platform,gateway", pair_value("tiktok", "g:1"))),
        ("live,product:other", Scope("live,product", "other")),
    ],
)
def test_a_scope_is_read_as_it_is_written(text: str, expected: Scope) -> None:
    """Everything behind the first colon is the value, but for a second kind of a pair behind a comma; it is
    answered as written. What is above the cap of a pair has a name of its own."""
    assert parse_scope(text, KINDS) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "unknown scope ''; known scopes: all platform:VALUE"),
        ("live", "unknown scope 'live'"),
        ("room:1", "unknown scope 'room:1'"),
        ("pipeline:views", "unknown scope"),
        ("all:1", "unknown scope"),
        ("all:", "unknown scope"),
        ("LIVE:1", "unknown scope"),
        ("live:", "1 to 64 characters"),
        ("live:" + "x" * 65, "1 to 64 characters"),
        ("product:p1,live:L1", "no pair that is kept; known pairs: platform:VALUE,surface:VALUE"),
        ("live:L1,product:p1,product:p2", "no pair that is kept"),
        ("platform:x,surface:live,gateway:g", "no pair that is kept"),
        ("creator:c,platform:x", "no pair that is kept"),
        ("live:,product:p", "value after live: has 1 to 64 characters"),
        ("live:L,product:" + "x" * 65, "value after product: has 1 to 64 characters"),
        ("live,product:p", "unknown scope"),
        ("product,sku:1:ab", "unknown scope"),
        ("room:L1", "unknown scope"),
        ("room:L1:m5", "unknown scope"),
    ],
)
def test_a_scope_that_cannot_be_answered_says_why(text: str, reason: str) -> None:
    """Unknown and internal kinds, missing values and other pairs are refused with one line."""
    with pytest.raises(QuestionError, match=reason) as caught:
        parse_scope(text, KINDS)
    assert "\n" not in str(caught.value)


def test_a_kind_that_is_not_kept_is_unknown() -> None:
    """With the bench's figures only lives can be asked for, and the error names them."""
    with pytest.raises(QuestionError, match=r"known scopes: live:VALUE$"):
        parse_scope("all", ("live",))


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope("live", "a,b"), True),
        (Scope("live", "other"), True),
        (Scope("live,product", "other"), True),
        (Scope("live,product", pair_value("a,b", "c")), True),
        (Scope("live", "x,gateway:y"), False),
        (Scope("live", "A,product:B"), False),
        (Scope("live", ""), False),
        (Scope("live", "x" * 65), False),
        (Scope("live,product", pair_value("A,product:B", "C")), False),
        (Scope("live,product", "others"), False),
        (Scope("pipeline", "views"), False),
    ],
)
def test_an_id_may_write_another_scope(scope: Scope, expected: bool) -> None:
    """Where a value with a kind in it reads as something else, or as nothing, it cannot be asked for."""
    assert is_named(scope, KINDS) is expected


@given(st.text(max_size=80))
def test_any_text_is_a_scope_or_a_question_error(text: str) -> None:
    """Parsing is total: no text raises anything else, and a scope is written as it was asked."""
    try:
        assert str(parse_scope(text, KINDS)) == text
    except QuestionError as error:
        assert len(str(error).splitlines()) == 1


def _drop(answer: dict[str, Any], path: list[str]) -> None:
    if len(path) > 1 and path[0] in answer:
        _drop(answer[path[0]], path[1:])
    if len(path) == 1 or not answer.get(path[0], True):
        answer.pop(path[0], None)


def test_an_empty_answer_is_the_contracts() -> None:
    """Keys, nesting and order are those of CONTRACT §4; ratios and highest values over nothing are null."""
    answer = body("live", NOTHING, {}, ("USD",), ALL_FIGURES, users_range_ms=USERS_RANGE)
    by_type = answer.pop("events_by_type")
    assert isinstance(by_type, dict)
    assert set(by_type.values()) == {0}
    money = answer["money"]
    assert isinstance(money, dict)
    for kpi in STORY_KPIS:
        _drop(answer, kpi.path.replace("*", "USD").split("."))
    assert json.dumps(answer) == json.dumps(json.loads(CONTRACT_BODY))


def test_figures_of_people_are_null_where_they_are_not_kept() -> None:
    """By country there are neither users nor sessions: their keys stay, what only sessions have is absent."""
    answer = body("country", Totals({}), {}, ("USD",), ALL_FIGURES)
    assert answer["users"] == dict.fromkeys(["view", "tag_tap", "add_to_cart", "purchase", "repeat_purchase"])
    assert answer["sessions"] == dict.fromkeys(["view", "tag_tap", "add_to_cart", "purchase"])
    people = [answer[f"users_{name}"] for name in ("from_ms", "to_ms", "standard_error")]
    assert people == [None, None, None]
    assert not {"checkouts", "time_to_convert", "viewers"} & set(answer)
    assert list(sketches_of("product", ALL_FIGURES)) == ["view", "tag_tap", "add_to_cart", "purchase"]
    assert not sketches_of("live,product", ALL_FIGURES)
    assert not sketches_of("live", FIGURE_SETS["funnel-gmv"])


def test_without_a_currency_there_is_no_money() -> None:
    """Before the first amount no currency is known: money is empty, not absent."""
    assert body("all", NOTHING, {}, (), ALL_FIGURES)["money"] == {}


@pytest.mark.parametrize("kind", sorted(EVERYWHERE))
def test_payments_stand_in_order_level_answers_only(kind: str) -> None:
    """Line-level scopes have no payments, apps neither; unattributed refunds belong to all and platform."""
    answer = body(kind, Totals({}), {}, ("EUR",), ALL_FIGURES)
    assert ("payments" in answer) is (kind in ON_ORDERS)
    money = answer["money"]
    assert isinstance(money, dict)
    assert ("unattributed_refunds_minor" in money.get("EUR", {})) is (kind in {"all", "platform"})


def test_figures_follow_their_formulas() -> None:
    """Views are three event types, net is paid less refunds of these purchases, AOV and GPM are rounded."""
    totals = {
        "events.view": 10, "events.live_join": 5, "events.mini_program_open": 1, "events.tag_tap": 4,
        "events.purchase": 3, "items": 7, "orders:USD": 2, "gmv_paid:USD": 1001,
        "refunds_of_purchases:USD": 1, "refunds:USD": 5, "orders:EUR": 1, "gmv_paid:EUR": 9,
    }  # fmt: skip
    flat = _flat("live", totals, "EUR", "USD")
    assert flat["events.view"] == 16
    assert flat["orders"] == flat["events.purchase"] == 3
    assert flat["money.USD.gmv_net_minor"] == 1000
    assert flat["money.USD.refunds_minor"] == 5
    assert flat["money.USD.aov_minor"] == 500
    assert flat["money.EUR.aov_minor"] == 9
    assert flat["money.USD.gmv_per_1000_view_events_minor"] == 62562
    assert flat["ratios.tag_taps_per_view_events"] == 0.25
    assert flat["ratios.orders_per_tag_tap"] == 0.75


def test_views_per_gateway_do_not_exist() -> None:
    """Ratios over views are null by gateway, even with amounts there."""
    totals = {"gmv_paid:USD": 5, "events.purchase": 1, "orders:USD": 1}
    flat = _flat("gateway", totals, "USD")
    assert flat["money.USD.gmv_per_1000_view_events_minor"] is None
    assert flat["money.USD.aov_minor"] == 5


def test_sessions_and_their_shares() -> None:
    """Shares are over the step that their name says; abandonment is what did not purchase."""
    totals = {
        "sessions.view": 8, "sessions.tag_tap": 6, "sessions.add_to_cart": 4, "sessions.purchase": 1,
        "checkouts.begin_checkout": 5, "checkouts.purchase": 2,
        "time_to_convert.60": 3, "time_to_convert.90": 1,
    }  # fmt: skip
    flat = _flat("platform,surface", totals)
    assert flat["ratios.purchases_per_view_sessions"] == 0.125
    assert flat["ratios.tag_taps_per_view_sessions"] == 0.75
    assert flat["ratios.cart_abandonment_per_add_to_cart_sessions"] == 0.75
    assert flat["ratios.checkout_abandonment_per_begin_checkout_sessions"] == 0.6
    assert flat["checkouts.begin_checkout"] == 5
    assert flat["time_to_convert.p50_seconds"] == 45 + 15 * 2 / 3
    assert flat["time_to_convert.p90_seconds"] == pytest.approx(60 + 30 * 0.6)


def test_users_and_what_is_set_against_them_have_a_range_of_their_own() -> None:
    """GMV a buyer and repeat buyers are of the users' range, all else of the asked one."""
    users = {"users.purchase": 3, "users.repeat_purchase": 1, "gmv_paid:USD": 1000, "orders:USD": 4}
    flat = flat_figures("all", Totals({"gmv_paid:USD": 700}, users), ("USD",), ALL_FIGURES)
    assert flat["users.purchase"] == 3
    assert flat["ratios.repeat_buyers_per_buyers"] == 1 / 3
    assert flat["money.USD.gmv_per_buyer_minor"] == 333
    assert flat["money.USD.gmv_paid_minor"] == 700


def test_buyers_of_several_currencies_are_not_told_apart() -> None:
    """Where orders of two currencies are in the range, GMV a buyer is null in both; a currency without an
    order there is none of the two."""
    users = {"users.purchase": 3, "gmv_paid:USD": 1000, "orders:USD": 4, "gmv_paid:EUR": 5, "orders:EUR": 0}
    flat = flat_figures("all", Totals({}, users), ("EUR", "USD"), ALL_FIGURES)
    assert (flat["money.USD.gmv_per_buyer_minor"], flat["money.EUR.gmv_per_buyer_minor"]) == (333, None)
    flat = flat_figures("all", Totals({}, users | {"orders:EUR": 1}), ("EUR", "USD"), ALL_FIGURES)
    assert (flat["money.USD.gmv_per_buyer_minor"], flat["money.EUR.gmv_per_buyer_minor"]) == (None, None)


def test_buyers_of_a_live_are_those_of_lines_that_name_it() -> None:
    """What taps gave to a live has no buyers in its sketches, and is no part of GMV a buyer there."""
    users = {"users.purchase": 3, "gmv_paid:USD": 1000, "attribution.gmv_own:USD": 400, "orders:USD": 4}
    for kind in ("live", "creator"):
        flat = flat_figures(kind, Totals({}, users), ("USD",), ALL_FIGURES)
        assert flat["money.USD.gmv_own_per_buyer_minor"] == 133
        assert "money.USD.gmv_per_buyer_minor" not in flat


def test_viewers_over_nothing_are_not_zero() -> None:
    """Without a heartbeat nobody knows how many watched; with one the highest and the average are known."""
    flat = _flat("live", {})
    assert (flat["viewers.peak"], flat["viewers.watch_seconds"]) == (None, None)
    assert _flat("live", {"covered_ms": 10_000})["viewers.watch_seconds"] == 0
    flat = _flat("live", {"max.viewers": 9, "watch_ms": 50_500, "covered_ms": 10_000})
    assert (flat["viewers.peak"], flat["viewers.average"], flat["viewers.watch_seconds"]) == (9, 5.05, 50)


# Orders are not followed where a tap that comes late may move them.
NOT_OF_LIVES = {
    f"ratios.{name}_orders"
    for name in "on_time_per_delivered reviewed_per_delivered delivered_per cancelled_per".split()
}


def _known_figures(capped: frozenset[Group]) -> set[str]:
    every = {measure: 60 for measure in stored_measures("live", ALL_FIGURES, ("USD",))}
    every["orders_past_30_days"] = 4
    users = {f"users.{step}": 2 for step in ("view", "purchase")}
    users |= {"attribution.gmv_own:USD": 4, "orders:USD": 1}
    flat = flat_figures("live", Totals(every, users, capped), ("USD",), ALL_FIGURES)
    return {path for path, figure in flat.items() if figure is not None}


def test_a_met_cap_spoils_shares_and_leaves_counts_and_money() -> None:
    """Where events are counted under `other`, nothing is told per event; the order service has no cap."""
    paths = {kpi.path.replace("*", "USD") for kpi in KPIS if "live" in kpi.kinds}
    # Repeat buyers are kept of whole orders only.
    paths.remove("ratios.repeat_buyers_per_buyers")
    paths -= NOT_OF_LIVES
    assert _known_figures(frozenset()) == paths
    spoilt = paths - _known_figures(frozenset(Group))
    ratios = {path for path in paths if path.startswith("ratios.")} - {
        "ratios.orders_past_30_days_per_orders"
    }
    assert spoilt == ratios | {
        "money.USD.gmv_per_1000_view_events_minor",
        "money.USD.gmv_own_per_buyer_minor",
        "time_to_convert.p50_seconds",
        "time_to_convert.p90_seconds",
        "reviews.mean_rating",
    }
    of_users = {"money.USD.gmv_own_per_buyer_minor"}
    assert paths - _known_figures(frozenset({Group.USERS})) == of_users
    of_sessions = {path for path in spoilt if "sessions" in path or path.startswith("time_to")}
    assert paths - _known_figures(frozenset({Group.SESSIONS})) == of_sessions


def test_caps_are_looked_up_by_topic_where_there_are_any() -> None:
    """Purchases are never capped, nor kinds with a closed list of values."""
    cells = capped_cells("product", ALL_FIGURES)
    assert "capped|views" in cells and "capped|purchases" not in cells
    assert capped_cells("platform,surface", ALL_FIGURES) == capped_cells("gateway", ALL_FIGURES) == ()


def test_dead_letters_are_the_sum_of_all_reasons() -> None:
    """`quality.dead_letters` adds up every reason of the closed list."""
    quality = {"accepted": 5, "dead_letters.not_json": 2, "dead_letters.conflicting_duplicate": 1, "late": 4}
    answer = body("all", NOTHING, quality, (), ALL_FIGURES)["quality"]
    assert isinstance(answer, dict)
    assert answer["dead_letters"] == 3
    assert answer["late"] == 4


def test_figures_that_the_worker_does_not_keep_are_null() -> None:
    """With the bench's figures an order count is null: a zero would say that nothing was sold."""
    flat = _flat("live", {"gmv_paid:USD": 5}, "USD", figures="funnel-gmv")
    assert flat["money.USD.gmv_paid_minor"] == 5
    assert flat["items"] is None
    assert flat["money.USD.aov_minor"] is None


def test_a_figure_beyond_64_bits_is_an_error() -> None:
    """JSON integers have 64 bits; the largest fits, one more is refused by name."""
    fits = {"gmv_paid:USD": INTEGER_MAX}
    assert _flat("live", fits, "USD")["money.USD.gmv_paid_minor"] == INTEGER_MAX
    with pytest.raises(FigureTooLarge, match=r"gmv_paid_minor is 9223372036854775808"):
        _flat("live", {"gmv_paid:USD": INTEGER_MAX + 1}, "USD")


def test_only_what_formulas_read_is_asked_of_redis() -> None:
    """Stored measures are per currency where they are amounts, and none that the kind does not keep."""
    stored = stored_measures("gateway", ALL_FIGURES, ("EUR", "USD"))
    assert {"gmv_paid:EUR", "gmv_paid:USD", "pay.attempts", "events.payment", "events.purchase"} <= set(
        stored
    )
    assert not {"events.view", "unattributed_refunds:EUR", "accepted"} & set(stored)
    assert {"pay.pending", "pay.pending_past_120s"} & set(stored) == {"pay.pending"}
    assert not [name for name in stored_measures("all", ALL_FIGURES, ()) if name.startswith("users.")]
    assert len(stored) == len(set(stored))


def test_cells_are_split_at_the_first_bar() -> None:
    """A value may contain the separator itself; totals add up over values unless one is asked for."""
    sums = {"items|a|b": 2, "items|a": 3, "orders:USD|a": 1}
    assert by_measure(sums, "a") == {"items": 3, "orders:USD": 1}
    assert by_measure(sums) == {"items": 5, "orders:USD": 1}
    assert by_value(sums) == {"a|b": {"items": 2}, "a": {"items": 3, "orders:USD": 1}}


def test_highest_values_are_never_added() -> None:
    """Over panes, partitions and values the highest one holds, at any size of integer."""
    parts = [
        {"max.viewers|a": -5, "items|a": 1},
        {"max.viewers|a": -7, "items|a": 2},
        {"max.viewers|b": 2**70},
    ]
    sums = added(parts)
    assert sums == {"max.viewers|a": -5, "items|a": 3, "max.viewers|b": 2**70}
    assert by_measure(sums) == {"max.viewers": 2**70, "items": 3}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers())))
def test_partitions_add_up(parts: list[dict[str, int]]) -> None:
    """The whole is the sum over partitions, key by key, at any size of integer."""
    total = added(parts)
    for name in "abc":
        assert total.get(name, 0) == sum(part.get(name, 0) for part in parts)

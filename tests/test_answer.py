"""Scopes as readers write them, and the shape and figures of an answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.answer import (
    INTEGER_MAX,
    FigureTooLarge,
    QuestionError,
    Scope,
    added,
    body,
    by_measure,
    by_value,
    flat_figures,
    parse_scope,
    stored_measures,
)
from streams.catalogue import FIGURE_SETS, SCOPES

ALL_FIGURES = FIGURE_SETS["all"]
KINDS = tuple(SCOPES)

# CONTRACT §4 word by word: key order is part of what a reader sees. Null: not kept in this release.
CONTRACT_BODY = """
{"events":   {"view": 0, "product_impression": 0, "tag_tap": 0, "add_to_cart": 0, "begin_checkout": 0,
              "purchase": 0},
 "users":    {"view": null, "tag_tap": null, "add_to_cart": null, "purchase": null},
 "sessions": {"view": null, "tag_tap": null, "add_to_cart": null, "purchase": null},
 "orders": 0, "items": 0,
 "money": {"USD": {"gmv_paid_minor": 0, "buyer_paid_minor": 0, "refunds_minor": 0,
                   "refunds_of_purchases_minor": 0, "gmv_net_minor": 0, "commission_minor": 0,
                   "aov_minor": null, "gmv_per_1000_view_events_minor": null}},
 "ratios": {"tag_taps_per_view_events": null, "orders_per_tag_tap": null,
            "purchases_per_view_sessions": null},
 "users_from_ms": null, "users_to_ms": null,
 "quality": {"accepted": 0, "duplicates": 0, "late": 0, "dead_letters": 0, "excluded": 0, "misplaced": 0}}
"""


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
    ],
)
def test_a_scope_is_split_at_its_first_colon(text: str, expected: Scope) -> None:
    """Everything behind the first colon is the value, whatever it contains; it is answered as written."""
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
        ("live:L1,product:p1", "pairs are not kept yet"),
        ("platform:tiktok,surface:live", "pairs are not kept yet"),
    ],
)
def test_a_scope_that_cannot_be_answered_says_why(text: str, reason: str) -> None:
    """Unknown kinds, missing values and pairs are refused with one line."""
    with pytest.raises(QuestionError, match=reason) as caught:
        parse_scope(text, KINDS)
    assert "\n" not in str(caught.value)


def test_a_kind_that_is_not_kept_is_unknown() -> None:
    """With the bench's figures only lives can be asked for, and the error names them."""
    with pytest.raises(QuestionError, match=r"known scopes: live:VALUE$"):
        parse_scope("all", ("live",))


@given(st.text(max_size=80))
def test_any_text_is_a_scope_or_a_question_error(text: str) -> None:
    """Parsing is total: no text raises anything else, and a scope is written as it was asked."""
    try:
        assert str(parse_scope(text, KINDS)) == text
    except QuestionError as error:
        assert len(str(error).splitlines()) == 1


def test_an_empty_answer_is_the_contracts() -> None:
    """Keys, nesting and order are those of CONTRACT §4; ratios over nothing and unkept figures are null."""
    answer = body("live", {}, {}, ("USD",), ALL_FIGURES)
    by_type = answer.pop("events_by_type")
    assert isinstance(by_type, dict)
    assert set(by_type.values()) == {0}
    assert json.dumps(answer) == json.dumps(json.loads(CONTRACT_BODY))


def test_without_a_currency_there_is_no_money() -> None:
    """Before the first amount no currency is known: money is empty, not absent."""
    assert body("all", {}, {}, (), ALL_FIGURES)["money"] == {}


@pytest.mark.parametrize("kind", SCOPES)
def test_payments_stand_in_order_level_answers_only(kind: str) -> None:
    """Line-level scopes have no payments; unattributed refunds belong to all and platform."""
    answer = body(kind, {}, {}, ("EUR",), ALL_FIGURES)
    line_level = kind in {"product", "creator", "live", "brand", "merchant", "affiliate"}
    assert ("payments" in answer) is not line_level
    money = answer["money"]
    assert isinstance(money, dict)
    assert ("unattributed_refunds_minor" in money["EUR"]) is (kind in {"all", "platform"})


def test_figures_follow_their_formulas() -> None:
    """Views are three event types, net is paid less refunds of these purchases, AOV and GPM are rounded."""
    totals = {
        "events.view": 10, "events.live_join": 5, "events.mini_program_open": 1, "events.tag_tap": 4,
        "events.purchase": 3, "items": 7, "orders:USD": 2, "gmv_paid:USD": 1001,
        "refunds_of_purchases:USD": 1, "refunds:USD": 5, "orders:EUR": 1, "gmv_paid:EUR": 9,
    }  # fmt: skip
    flat = flat_figures("live", totals, ("EUR", "USD"), ALL_FIGURES)
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
    flat = flat_figures("gateway", totals, ("USD",), ALL_FIGURES)
    assert flat["money.USD.gmv_per_1000_view_events_minor"] is None
    assert flat["money.USD.aov_minor"] == 5


def test_dead_letters_are_the_sum_of_all_reasons() -> None:
    """`quality.dead_letters` adds up every reason of the closed list."""
    quality = {"accepted": 5, "dead_letters.not_json": 2, "dead_letters.conflicting_duplicate": 1, "late": 4}
    answer = body("all", {}, quality, (), ALL_FIGURES)["quality"]
    assert isinstance(answer, dict)
    assert answer["dead_letters"] == 3
    assert answer["late"] == 4


def test_figures_that_the_worker_does_not_keep_are_null() -> None:
    """With the bench's figures an order count is null: a zero would say that nothing was sold."""
    flat = flat_figures("live", {"gmv_paid:USD": 5}, ("USD",), FIGURE_SETS["funnel-gmv"])
    assert flat["money.USD.gmv_paid_minor"] == 5
    assert flat["items"] is None
    assert flat["money.USD.aov_minor"] is None


def test_a_figure_beyond_64_bits_is_an_error() -> None:
    """JSON integers have 64 bits; the largest fits, one more is refused by name."""
    fits = {"gmv_paid:USD": INTEGER_MAX}
    assert flat_figures("live", fits, ("USD",), ALL_FIGURES)["money.USD.gmv_paid_minor"] == INTEGER_MAX
    with pytest.raises(FigureTooLarge, match=r"gmv_paid_minor is 9223372036854775808"):
        flat_figures("live", {"gmv_paid:USD": INTEGER_MAX + 1}, ("USD",), ALL_FIGURES)


def test_only_what_formulas_read_is_asked_of_redis() -> None:
    """Stored measures are per currency where they are amounts, and none that the kind does not keep."""
    stored = stored_measures("gateway", ALL_FIGURES, ("EUR", "USD"))
    assert {"gmv_paid:EUR", "gmv_paid:USD", "pay.attempts", "events.payment", "events.purchase"} <= set(
        stored
    )
    assert not {"events.view", "unattributed_refunds:EUR", "pay.cancelled", "accepted"} & set(stored)
    assert len(stored) == len(set(stored))


def test_cells_are_split_at_the_first_bar() -> None:
    """A value may contain the separator itself; totals add up over values unless one is asked for."""
    sums = {"items|a|b": 2, "items|a": 3, "orders:USD|a": 1}
    assert by_measure(sums, "a") == {"items": 3, "orders:USD": 1}
    assert by_measure(sums) == {"items": 5, "orders:USD": 1}
    assert by_value(sums) == {"a|b": {"items": 2}, "a": {"items": 3, "orders:USD": 1}}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers())))
def test_partitions_add_up(parts: list[dict[str, int]]) -> None:
    """The whole is the sum over partitions, key by key, at any size of integer."""
    total = added(parts)
    for name in "abc":
        assert total.get(name, 0) == sum(part.get(name, 0) for part in parts)

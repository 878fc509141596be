"""Answers about kinds of scope in which no order counts: apps and campaigns."""

from __future__ import annotations

from streams.answer import Totals
from streams.answer_body import body
from streams.kpis import FIGURE_SETS

ALL_FIGURES = FIGURE_SETS["all"]


def test_an_app_has_no_sales_to_tell_of() -> None:
    """What is not kept for the kind of scope is null, never 0; its own figures follow the complete days."""
    days = {1: {"users.active": 5}, 30: {"users.active": 70}}
    answer = body("app", Totals({"events.active": 9}, days=days), {}, ("EUR",), ALL_FIGURES)
    assert answer["active_users"] == {"day": 5, "month": 70}
    assert answer["events_by_type"] == {"active": 9}
    assert (answer["orders"], answer["items"], answer["money"]) == (None, None, {})
    assert (answer["events"], answer["ratios"]) == (None, {})
    for group in ("users", "sessions"):
        figures = answer[group]
        assert isinstance(figures, dict)
        assert set(figures.values()) == {None}
    unknown = body("app", Totals({}), {}, (), ALL_FIGURES)
    assert unknown["active_users"] == {"day": None, "month": None}


def test_a_campaign_has_its_own_figures_and_no_others() -> None:
    """No order is a campaign's: nothing of it is 0, it is null; what was charged is there."""
    answer = body("campaign", Totals({"ads:EUR": 7, "events.ad_charge": 2}), {}, ("EUR",), ALL_FIGURES)
    assert {key: answer[key] for key in ("events", "orders", "items", "money", "ratios")} == {
        "events": None, "orders": None, "items": None, "money": {}, "ratios": {},
    }  # fmt: skip
    assert answer["ads"] == {"EUR": {"charged_minor": 7}}
    assert answer["events_by_type"] == {"ad_charge": 2}
    assert not {"take", "commission", "payments", "reviews"} & answer.keys()

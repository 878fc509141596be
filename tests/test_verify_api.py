"""verify.totals and verify.api: what an answer must say, asked of a stand-in."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.scenario_kit import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    NOON,
    Scenario,
    Sent,
    event,
    line,
    payment,
    purchase,
    refund,
    view,
)
from verify.api import compare_answer, compare_answers, half_even, questions
from verify.compare import Report
from verify.model import Scope
from verify.recompute import recompute
from verify.rules import Rules
from verify.totals import Range, Totals

SHOP = Scenario(
    name="shop",
    fact="two views, a tap, an order of two lines with a refund, a payment, a duplicate",
    records=(
        view("e1", NOON, live_id="L1"),
        view("e2", NOON, ts=NOON),
        view("e2", NOON),
        Sent(topic="livestreams", value=event("live_join", "e3", NOON, live_id="L1"), at=NOON),
        Sent(topic="tag-taps", value=event("tag_tap", "e4", NOON, product_id="p1", live_id="L1"), at=NOON),
        payment("e5", "o1", NOON, "authorised"),
        payment("e6", "o2", NOON, "error"),
        purchase("o1", NOON, line("p1", 2, 500, commission_bps=1_000), line("p2", 1, 1), shipping_minor=99),
        refund("r1", "o1", NOON, 200),
    ),
    cells={},
)
DAY_RANGE = Range(MONDAY, MONDAY + DAY, "1d")
ALL: Scope = ("all", "")

ANSWER: dict[str, Any] = {
    "scope": "all",
    "from_ms": MONDAY,
    "to_ms": MONDAY + DAY,
    "as_of_ms": NOON,
    "events": {
        "view": 3, "product_impression": 0, "tag_tap": 1, "add_to_cart": 0, "begin_checkout": 0,
        "purchase": 1, "live_join": 1,
    },
    "orders": 1,
    "items": 3,
    "money": {
        "USD": {
            "gmv_paid_minor": 1_001, "buyer_paid_minor": 1_100, "refunds_minor": 200,
            "refunds_of_purchases_minor": 200, "gmv_net_minor": 801, "commission_minor": 80,
            "aov_minor": 1_001, "gmv_per_1000_view_events_minor": 333_667,
        }
    },
    "ratios": {"tag_taps_per_view_events": 0.333333333, "purchases_per_view_sessions": None},
    "payments": {
        "attempts": 2, "authorised": 1, "declined": 0, "errors": 1, "pending": 0, "success_rate": 0.5,
    },
    "quality": {"accepted": 8, "duplicates": 1, "late": 0, "dead_letters": 0, "excluded": 0, "misplaced": 0},
}  # fmt: skip


def totals_of(scenario: Scenario) -> Totals:
    """The scenario's panes put together."""
    expected = recompute(scenario.log(), Rules(partitions=scenario.partitions))
    totals = Totals(max(expected.h.values()), Rules())
    for part in expected.partitions.values():
        totals.add(part.panes)
    return totals


def differing(answer: Any, scope: Scope = ALL) -> list[str]:
    """Names of figures that differ in one answer."""
    report = Report()
    compare_answer(report, totals_of(SHOP), scope, DAY_RANGE, answer)
    return sorted(difference.what for difference in report.differences)


def test_right_answer() -> None:
    """An answer that says what the log says has no difference."""
    assert differing(ANSWER) == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("events.view", 2),
        ("events.live_join", 2),
        ("orders", 2),
        ("money.USD.gmv_net_minor", 1_001),
        ("money.USD.gmv_per_1000_view_events_minor", 333_666),
        ("money.USD.aov_minor", None),
        ("ratios.tag_taps_per_view_events", 0.3334),
        ("payments.success_rate", None),
        ("quality.duplicates", 0),
    ],
)
def test_wrong_figure(path: str, wrong: object) -> None:
    """Every part of an answer is held against the log."""
    answer = copy.deepcopy(ANSWER)
    *heads, last = path.split(".")
    inner = answer
    for head in heads:
        inner = inner[head]
    inner[last] = wrong
    assert differing(answer) == [path]


def test_missing_parts() -> None:
    """Parts that must be there and are not are named; a currency without movement may be there."""
    answer = copy.deepcopy(ANSWER)
    del answer["payments"], answer["quality"]["late"]
    answer["money"]["EUR"] = dict.fromkeys(answer["money"]["USD"], 0)
    answer["money"]["EUR"] |= {"aov_minor": None}
    payments = [f"payments.{state}" for state in ANSWER["payments"]]
    assert differing(answer) == [*sorted(payments), "quality.late"]


def test_ratios_by_gateway_are_null() -> None:
    """There are no views by gateway: nothing is said per view."""
    answer = copy.deepcopy(ANSWER)
    answer["scope"] = "gateway:adyen"
    answer["events"] = dict.fromkeys(ANSWER["events"], 0) | {"purchase": 1}
    answer["money"]["USD"]["gmv_per_1000_view_events_minor"] = None
    answer["ratios"]["tag_taps_per_view_events"] = None
    assert differing(answer, ("gateway", "adyen")) == []


def test_refused_question() -> None:
    """A 400 to a question that is within the contract is a difference."""
    assert differing("HTTP 400: wrong border") == ["answer"]


def test_asks_again_while_the_reader_is_behind() -> None:
    """An answer may be a moment old; only the last one counts, once."""
    stale = ANSWER | {"orders": 0}
    answers = [stale, stale, ANSWER]
    report = Report()
    compare_answers(report, totals_of(SHOP), [(ALL, DAY_RANGE)], lambda *_: answers.pop(0), pause=0)
    assert report.differences == []
    assert report.compared == len(SHOP_FIGURES)
    assert answers == []


def test_stays_wrong() -> None:
    """An answer that stays wrong is told once."""
    report = Report()
    compare_answers(report, totals_of(SHOP), [(ALL, DAY_RANGE)], lambda *_: ANSWER | {"orders": 0}, pause=0)
    assert [difference.what for difference in report.differences] == ["orders"]


def test_questions_lie_on_borders() -> None:
    """Each range begins and ends on a border of its size, and every scope is asked over all days."""
    asked = list(questions(totals_of(SHOP), all_scopes=False))
    for _, span in asked:
        size_ms = {"10s": 10_000, "1m": MINUTE, "1h": HOUR, "1d": DAY}[span.size]
        assert span.from_ms % size_ms == span.to_ms % size_ms == 0
        assert span.from_ms < span.to_ms
    scopes = {scope for scope, span in asked if span == DAY_RANGE}
    assert scopes >= {ALL, ("platform", "tiktok"), ("gateway", "adyen"), ("live", "L1"), ("product", "p2")}


def test_recent_ranges_hold_the_same() -> None:
    """What happened in the last minute is the same over the day, hours, minutes and seconds."""
    totals = totals_of(SHOP)
    spans = [DAY_RANGE, *totals.recent()]
    assert len({span.size for span in spans}) == 4
    for scope in (ALL, ("live", "L1"), ("product", "p1")):
        sums = [{measure: n for measure, n in totals.of(scope, span).items() if n} for span in spans]
        assert all(by_measure == sums[0] for by_measure in sums)
    assert all(totals.quality(span) == ANSWER["quality"] for span in spans)


@pytest.mark.parametrize(
    ("amount", "count", "rounded"), [(5, 2, 2), (7, 2, 4), (1, 3, 0), (2, 3, 1), (0, 3, 0), (3, 0, None)]
)
def test_half_even(amount: int, count: int, rounded: int | None) -> None:
    """Averages are whole minor units, halves to the even one, nothing over nothing."""
    assert half_even(amount, count) == rounded


SHOP_FIGURES = [
    *("scope", "from_ms", "to_ms", "orders", "items"),
    *ANSWER["events"],
    *ANSWER["money"]["USD"],
    "tag_taps_per_view_events",
    *ANSWER["payments"],
    *ANSWER["quality"],
]

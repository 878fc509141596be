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
from verify import stories
from verify.answers import half_even
from verify.api import compare_answer, compare_answers, questions
from verify.compare import Report
from verify.model import Scope
from verify.recompute import recompute
from verify.rules import Rules
from verify.totals import Range, Totals, users_range

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
    "capped": False,
    "users": {"view": 1, "tag_tap": 1, "add_to_cart": 0, "purchase": 1, "repeat_purchase": 0},
    "users_from_ms": MONDAY,
    "users_to_ms": MONDAY + DAY,
    "users_standard_error": 0.0081,
    "sessions": {"view": 1, "tag_tap": 1, "add_to_cart": 0, "purchase": 0},
    "checkouts": {"begin_checkout": 0, "payment_started": 0, "payment_authorised": 0, "purchase": 0},
    "time_to_convert": {"p50_seconds": None, "p90_seconds": None},
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
            "aov_minor": 1_001, "gmv_per_1000_view_events_minor": 333_667, "gmv_per_buyer_minor": 1_001,
        }
    },
    "ratios": {
        "tag_taps_per_view_events": 0.333333333, "orders_per_tag_tap": 1, "purchases_per_view_sessions": 0,
        "tag_taps_per_view_sessions": 1.0, "add_to_carts_per_tag_tap_sessions": 0.0,
        "purchases_per_add_to_cart_sessions": None, "cart_abandonment_per_add_to_cart_sessions": None,
        "checkout_abandonment_per_begin_checkout_sessions": None, "repeat_buyers_per_buyers": 0,
    },
    "payments": {
        "attempts": 2, "authorised": 1, "declined": 0, "errors": 1, "pending": 0, "success_rate": 0.5,
    },
    "quality": {
        "accepted": 8, "duplicates": 1, "late": 0, "dead_letters": 0, "excluded": 0, "misplaced": 0,
        "sessions_expired": 0,
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _without_stories(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stories add to an answer is theirs to show: see tests/test_verify_stories.py."""
    monkeypatch.setattr(stories, "ANSWERS", ())


def totals_of(scenario: Scenario) -> Totals:
    """The scenario's panes put together."""
    expected = recompute(scenario.log(), Rules(partitions=scenario.partitions, **scenario.settings))
    totals = Totals(max(expected.h.values()), Rules())
    for part in expected.partitions.values():
        totals.add(part)
    return totals


def differing(answer: Any, scope: Scope = ALL, of: Scenario = SHOP, now_ms: int = NOON) -> list[str]:
    """Names of figures that differ in one answer."""
    report = Report()
    compare_answer(report, totals_of(of), scope, DAY_RANGE, answer, now_ms=now_ms)
    return sorted(difference.what for difference in report.differences)


def told(answer: Any, scope: Scope, of: Scenario, *heads: str, now_ms: int = NOON) -> dict[str, str]:
    """What must stand instead, of the differing figures whose names begin with one of `heads`."""
    report = Report()
    compare_answer(report, totals_of(of), scope, DAY_RANGE, answer, now_ms=now_ms)
    return {each.what: each.expected for each in report.differences if each.what.startswith(heads)}


def scenario(*records: Sent, **settings: Any) -> Scenario:
    """Records for an answer."""
    return Scenario(name="of a test", fact="", records=records, cells={}, settings=settings)


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
        ("capped", True),
        ("sessions.tag_tap", 0),
        ("checkouts.purchase", 1),
        ("time_to_convert.p90_seconds", 1.0),
        ("users.view", 0),
        ("users.view", 4),
        ("users_from_ms", MONDAY - DAY),
        ("users_to_ms", None),
        ("ratios.add_to_carts_per_tag_tap_sessions", None),
        ("ratios.purchases_per_add_to_cart_sessions", 0.0),
        ("money.USD.gmv_per_buyer_minor", None),
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
    del (
        answer["payments"],
        answer["quality"]["late"],
        answer["sessions"],
        answer["ratios"]["orders_per_tag_tap"],
    )
    answer["money"]["EUR"] = dict.fromkeys(answer["money"]["USD"], 0)
    answer["money"]["EUR"] |= {"aov_minor": None, "gmv_per_buyer_minor": None}
    payments = [f"payments.{state}" for state in ANSWER["payments"]]
    sessions = [f"sessions.{name}" for name in ANSWER["sessions"]]
    missing = [*payments, "quality.late", *sessions, "ratios.orders_per_tag_tap"]
    assert differing(answer) == sorted(missing)


def test_ratios_by_gateway_are_null() -> None:
    """There are no views by gateway: nothing is said per view."""
    answer = copy.deepcopy(ANSWER)
    answer["scope"] = "gateway:adyen"
    answer["events"] = dict.fromkeys(ANSWER["events"], 0) | {"purchase": 1}
    answer["money"]["USD"] |= {"gmv_per_1000_view_events_minor": None, "gmv_per_buyer_minor": None}
    answer["ratios"] = dict.fromkeys(ANSWER["ratios"])
    answer["users"], answer["sessions"] = dict.fromkeys(ANSWER["users"]), dict.fromkeys(ANSWER["sessions"])
    answer |= {"users_from_ms": None, "users_to_ms": None, "users_standard_error": None}
    del answer["checkouts"], answer["time_to_convert"]
    assert differing(answer, ("gateway", "adyen")) == []


def test_users_are_estimated() -> None:
    """An estimate may be off by two users, or six standard errors; one of nobody must be of nobody."""
    assert differing(ANSWER | {"users": ANSWER["users"] | {"view": 3, "tag_tap": 2}}) == []
    assert differing(ANSWER | {"users": ANSWER["users"] | {"view": 0, "add_to_cart": 1}}) == [
        "users.add_to_cart",
        "users.view",
    ]


def test_figures_per_buyer_rest_on_the_estimate() -> None:
    """What an answer divides by its own estimate of buyers is held to that estimate."""
    users = ANSWER["users"] | {"purchase": 2, "repeat_purchase": 0}
    per_buyer = "money.USD.gmv_per_buyer_minor"
    assert told(ANSWER | {"users": users}, ALL, SHOP, "money", "ratios") == {per_buyer: "500"}


def test_range_of_users() -> None:
    """Minutes up to two hours back, hours up to 35 days, then days: whole ones, by the reader's clock."""
    span = Range(NOON + 10_000, NOON + HOUR + 20_000, "10s")
    for back, range_of_users in (
        (2 * HOUR, (NOON, NOON + HOUR + MINUTE)),
        (2 * HOUR + 1, (NOON, NOON + 2 * HOUR)),
        (35 * DAY, (NOON, NOON + 2 * HOUR)),
        (35 * DAY + 1, (MONDAY, MONDAY + DAY)),
        (400 * DAY, (MONDAY, MONDAY + DAY)),
    ):
        found = users_range(span, span.from_ms + back)
        assert found is not None and found[:2] == range_of_users
    assert users_range(span, span.from_ms + 400 * DAY + 1) is None


def test_users_of_long_ago() -> None:
    """Of a range that begins further back than any users are kept, nothing is said of users."""
    answer = copy.deepcopy(ANSWER)
    answer |= {"users": dict.fromkeys(ANSWER["users"]), "users_from_ms": None, "users_to_ms": None}
    answer |= {"users_standard_error": None}
    answer["money"]["USD"]["gmv_per_buyer_minor"] = answer["ratios"]["repeat_buyers_per_buyers"] = None
    assert differing(answer, now_ms=MONDAY + 401 * DAY) == []


def test_buyers_of_several_currencies() -> None:
    """Which buyers paid in which currency is not known: per buyer nothing is said."""
    shop = scenario(
        purchase("o1", NOON, line("p1", 1, 100)), purchase("o2", NOON, line("p1", 1, 100), currency="EUR")
    )
    wanted = told({"users": {"purchase": 1}}, ALL, shop, "money")
    assert wanted["money.USD.gmv_per_buyer_minor"] == wanted["money.EUR.gmv_per_buyer_minor"] == "None"


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
    *("scope", "from_ms", "to_ms", "capped", "orders", "items"),
    *("users_from_ms", "users_to_ms", "users_standard_error"),
    *(
        name
        for group in ("events", "users", "sessions", "checkouts", "time_to_convert")
        for name in ANSWER[group]
    ),
    *(*ANSWER["money"]["USD"], *ANSWER["ratios"], *ANSWER["payments"], *ANSWER["quality"]),
]

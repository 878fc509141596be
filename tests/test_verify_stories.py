"""What `verify` says an answer must tell of each story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import pytest

from streams import attribution as pipeline
from streams.kpi import nest
from tests.driver import run
from tests.scenario_kit import DAY, NOON, Scenario, line, purchase
from tests.scenarios_attribution import ATTRIBUTION
from tests.scenarios_commission import COMMISSION
from tests.scenarios_redirects import REDIRECTS
from tests.scenarios_reviews import REVIEWS
from tests.scenarios_sellers import SELLERS
from tests.test_verify_api import ALL, DAY_RANGE, told, totals_of
from verify import ads, apps, attribution, commission, reviews, sellers
from verify.answers import expected_answer
from verify.api import compare_answer
from verify.asked import ABSENT, Asked, Near
from verify.compare import Report
from verify.model import Scope
from verify.recompute import recompute
from verify.rules import Rules
from verify.statements import compare_statements

MIXED = next(each for each in ATTRIBUTION if each.name == "orders_by_attribution")
OF = ("own", "direct", "unattributed")


def _asked(of: Any, scope: Scope, money: Mapping[str, Any] | None = None) -> Asked:
    return Asked(totals_of(of), scope, DAY_RANGE, {"money": money or {}}, DAY_RANGE.from_ms)


def test_reviews_are_counted_by_their_stars() -> None:
    """Three reviews of 5, 5 and 1 stars: their mean is 11 / 3."""
    said = reviews.answer(_asked(REVIEWS[0], ("all", "")))
    assert said["reviews.count"] == 3
    assert said["reviews.mean_rating"] == 11 / 3
    assert [said[f"reviews.ratings.{stars}"] for stars in range(1, 6)] == [1, 0, 0, 0, 2]


def test_a_met_cap_leaves_counts_and_no_mean() -> None:
    """Where reviews are counted under `other`, nothing is said of their mean."""
    said = reviews.answer(_asked(REVIEWS[2], ("product", "p1")))
    assert (said["reviews.count"], said["reviews.mean_rating"]) == (1, None)


def test_statements_are_asked_of_names_that_an_address_can_hold() -> None:
    """Of dots alone everybody makes another address: such an affiliate is no difference."""
    orders = [
        purchase(f"o{n}", NOON, line("p1", 1, 10, affiliate_id=affiliate))
        for n, affiliate in enumerate((".", "..", "a/b"))
    ]
    asked: list[str] = []
    totals = totals_of(Scenario(name="", fact="", records=tuple(orders), cells={}))
    compare_statements(Report(), totals, lambda address, _: asked.append(address), pause=0)
    assert set(asked) == {"/api/v1/statements/a%2Fb"}


def test_users_of_an_app_are_those_of_complete_days() -> None:
    """At the end of Monday: its two users, and the same of the month; apps that are no app have none."""
    said = apps.answer(_asked(REDIRECTS[0], ("app", "shop")))
    counted = {"active_users.day": Near(2), "active_users.month": Near(2)}
    assert said == counted | {"users_standard_error": 0.0081}
    assert apps.answer(_asked(REDIRECTS[0], ("all", ""))) == {"active_users": "absent"}


def test_an_app_has_nothing_of_sales() -> None:
    """Orders, items and events of an app are null: the kind of scope does not keep them."""
    totals = totals_of(REDIRECTS[0])
    said = expected_answer(totals, ("app", "shop"), DAY_RANGE, {"events_by_type": {"active": 3}}, NOON)
    nothing = ("orders", "items", "events", "sessions.view", "users.view")
    assert [said[name] for name in nothing] == [None] * 5
    assert said["events_by_type.active"] == 3


def test_gateways_have_no_reviews() -> None:
    """No review names a gateway: the key is absent there."""
    assert reviews.answer(_asked(REVIEWS[0], ("gateway", "adyen"))) == {"reviews": "absent"}


def test_attribution_is_told_by_orders_and_by_currency() -> None:
    """Of three orders' four lines one is its own, two are direct, one is unattributed."""
    said = attribution.answer(_asked(MIXED, ("all", ""), {"USD": {}, "EUR": {}}))
    assert said == {
        "attribution.own_orders": 1,
        "attribution.direct_orders": 2,
        "attribution.unattributed_orders": 1,
        "money.USD.gmv_own_minor": 7,
        "money.USD.gmv_direct_minor": 100,
        "money.USD.gmv_unattributed_minor": 30,
        "money.EUR.gmv_own_minor": 0,
        "money.EUR.gmv_direct_minor": 100,
        "money.EUR.gmv_unattributed_minor": 0,
    }
    assert attribution.answer(_asked(MIXED, ("gateway", "adyen"))) == {"attribution": "absent"}


@pytest.mark.parametrize("number", ["attribution.direct_orders", "gmv_direct_minor", "gmv_own_minor"])
def test_a_wrong_number_of_an_answer_is_found(number: str) -> None:
    """Whatever an answer says of attribution: one more than it is, is a difference."""
    totals = totals_of(MIXED)
    money = {f"gmv_{of}_minor": totals.of(ALL, DAY_RANGE)[f"attribution.gmv_{of}:USD"] for of in OF}
    orders = {f"{of}_orders": totals.of(ALL, DAY_RANGE)[f"attribution.orders_{of}"] for of in OF}
    right: dict[str, Any] = {"money": {"USD": money}, "attribution": orders}
    heads = ("attribution.", "money.USD.gmv_own_m", "money.USD.gmv_d", "money.USD.gmv_un")
    assert told(right, ALL, MIXED, *heads) == {}
    place = orders if number.startswith("attribution.") else money
    place[number.removeprefix("attribution.")] += 1
    assert [name.endswith(number) for name in told(right, ALL, MIXED, *heads)] == [True]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("WINDOW_MS", DAY - 1),
        ("TAPS_MAX", 0),
    ],
)
def test_a_pipeline_that_gives_a_line_to_another_is_found(name: str, broken: int) -> None:
    """With one number of the pipeline broken its cells are not what sorting gives."""
    taps = next(each for each in ATTRIBUTION if each.name == "a_tap_speaks_for_24_hours")
    assert run(taps.log()).cells() == recompute(taps.log(), Rules(partitions=1)).cells
    with patch.object(pipeline, name, broken):
        assert run(taps.log()).cells() != recompute(taps.log(), Rules(partitions=1)).cells


def _scenario(name: str) -> Any:
    return next(each for each in COMMISSION if each.name == name)


def test_commission_is_split_by_the_answers_own_as_of() -> None:
    """Clawed back 80 of the 89 that are final from noon 16 days later on; 1 ms before, all is estimated."""
    of = _scenario("refund_at_final_is_clawed_back")
    for as_of_ms, final in ((None, 0), (NOON + 16 * DAY - 1, 0), (NOON + 16 * DAY, 89)):
        asked = Asked(totals_of(of), ("all", ""), DAY_RANGE, {"as_of_ms": as_of_ms}, NOON)
        said = commission.answer(asked)
        assert {name: n for name, n in said.items() if name.startswith("commission.")} == {
            "commission.USD.earned_minor": 100,
            "commission.USD.reversed_minor": 11,
            "commission.USD.estimated_minor": 89 - final,
            "commission.USD.final_minor": final,
            "commission.USD.clawed_back_minor": 80,
            "commission.USD.claw_backs_minor": 0,
        }


def test_take_is_fees_commission_and_ads() -> None:
    """Of the shop and its platforms; what a campaign was charged is its own, and part of both."""
    fees = commission.answer(_asked(_scenario("fees_follow_what_is_left"), ("platform", "tiktok")))
    assert (fees["take.USD.fees_minor"], fees["take.USD.total_minor"]) == (93, 93)
    charged = _scenario("charges_of_campaigns")
    assert commission.answer(_asked(charged, ("all", "")))["take.EUR.total_minor"] == 7
    assert commission.answer(_asked(charged, ("campaign", "c1"))) == {
        "commission": "absent",
        "take": "absent",
    }
    assert ads.answer(_asked(charged, ("campaign", "c1"))) == {
        "ads.USD.charged_minor": 500,
        "ads.EUR.charged_minor": 7,
    }
    assert ads.answer(_asked(charged, ("creator", "k1"))) == {"ads": "absent"}


def _sellers(name: str, scope: Scope, answer: dict[str, Any] | None = None) -> dict[str, Any]:
    [scenario] = [each for each in SELLERS if each.name == name]
    return sellers.answer(Asked(totals_of(scenario), scope, DAY_RANGE, answer or {}, DAY_RANGE.from_ms))


def test_recommendations_are_held_against_everything_else() -> None:
    """2 cards, 1 tap, 1 order of 10.01 recommended; 1 card, 1 tap, 1 order of 7.00 not."""
    said = _sellers("recommended_against_the_rest", ("all", ""), {"money": {"USD": {}}})
    assert said["recommendations.impressions"] == 2
    assert said["recommendations.tag_taps_per_impression"] == 0.5
    assert said["recommendations.tag_taps_per_impression_of_the_rest"] == 1
    assert said["recommendations.orders_per_tag_tap"] == 1
    assert said["recommendations.orders_per_tag_tap_of_the_rest"] == 1
    assert said["money.USD.recommended_gmv_paid_minor"] == 1_001
    assert said["money.USD.recommended_gmv_per_gmv_paid"] == 1_001 / 1_701
    assert _sellers("recommended_against_the_rest", ("product", "p1"))["recommendations"] == "absent"


def test_a_lives_orders_are_split_by_their_surface() -> None:
    """Of two orders with lines of L1 one was bought in the stream: 5.00 of 14.00."""
    said = _sellers("bought_in_the_stream", ("live", "L1"), {"money": {"USD": {}}})
    assert (said["in_stream.orders"], said["in_stream.orders_per_order"]) == (1, 0.5)
    assert said["money.USD.in_stream_gmv_per_gmv_paid"] == 500 / 1_400


def test_a_met_cap_leaves_showcases_and_no_ratio_of_cards() -> None:
    """Counts of a showcase are told, ratios over events are not; other kinds have no showcase."""
    said = _sellers("showcase_of_capped_brands", ("brand", "b1"))
    assert said["showcase.views"] == 0
    assert said["ratios.orders_per_product_view"] is None
    assert _sellers("showcase_of_sellers", ("brand", "b1"))["showcase.impressions"] == 1
    assert _sellers("showcase_of_sellers", ("all", ""))["showcase"] == "absent"


@pytest.mark.parametrize(
    ("name", "scope", "broken"),
    [
        ("recommended_against_the_rest", ("all", ""), "recommendations.orders"),
        ("recommended_against_the_rest", ("all", ""), "recommendations.tag_taps_per_impression_of_the_rest"),
        ("recommended_against_the_rest", ("platform", "tiktok"), "money.USD.recommended_gmv_paid_minor"),
        ("bought_in_the_stream", ("live", "L1"), "money.USD.in_stream_gmv_per_gmv_paid"),
        ("bought_in_the_stream", ("creator", "c1"), "in_stream.orders"),
        ("showcase_of_sellers", ("brand", "b1"), "showcase.impressions"),
        ("showcase_of_sellers", ("brand", "b1"), "ratios.product_views_per_product_impression"),
    ],
)
def test_one_broken_number_of_an_answer_is_found(name: str, scope: Scope, broken: str) -> None:
    """An answer with every figure right but one has one difference among the sellers' figures."""
    said = _sellers(name, scope, {"money": {"USD": {}}})
    right = {path: figure for path, figure in said.items() if figure != ABSENT}
    assert _differing(name, scope, right) & said.keys() == set()
    assert _differing(name, scope, right | {broken: 99}) & said.keys() == {broken}


def _differing(name: str, scope: Scope, flat: dict[str, Any]) -> set[str]:
    [scenario] = [each for each in SELLERS if each.name == name]
    report = Report()
    compare_answer(report, totals_of(scenario), scope, DAY_RANGE, nest(flat), now_ms=DAY_RANGE.from_ms)
    return {difference.what for difference in report.differences}

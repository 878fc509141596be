"""What `verify` says an answer must tell of each story."""

from __future__ import annotations

from typing import Any

import pytest

from streams.kpi import nest
from tests.scenarios_reviews import REVIEWS
from tests.scenarios_sellers import SELLERS
from tests.test_verify_api import DAY_RANGE, totals_of
from verify import reviews, sellers
from verify.api import compare_answer
from verify.asked import ABSENT, Asked
from verify.compare import Report
from verify.model import Scope


def _asked(of: Any, scope: Scope) -> Asked:
    return Asked(totals_of(of), scope, DAY_RANGE, {}, DAY_RANGE.from_ms)


def test_reviews_are_counted_by_their_stars() -> None:
    """Three reviews of 5, 5 and 1 stars: their mean is 11 / 3."""
    said = reviews.answer(_asked(REVIEWS[0], ("all", "")))
    assert said["reviews.count"] == 3
    assert said["reviews.mean_rating"] == 11 / 3
    assert [said[f"reviews.ratings.{stars}"] for stars in range(1, 6)] == [1, 0, 0, 0, 2]


def test_a_met_cap_leaves_counts_and_no_mean() -> None:
    """Where reviews are counted under `other`, nothing is said of their mean."""
    said = reviews.answer(_asked(REVIEWS[1], ("product", "p1")))
    assert (said["reviews.count"], said["reviews.mean_rating"]) == (1, None)


def test_gateways_have_no_reviews() -> None:
    """No review names a gateway: the key is absent there."""
    assert reviews.answer(_asked(REVIEWS[0], ("gateway", "adyen"))) == {"reviews": "absent"}


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

"""What `verify` says an answer must tell of each story."""

from __future__ import annotations

from typing import Any

from tests.scenarios_reviews import REVIEWS
from tests.test_verify_api import DAY_RANGE, totals_of
from verify import reviews
from verify.asked import Asked
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

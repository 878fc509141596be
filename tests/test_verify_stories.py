"""What `verify` says an answer must tell of each story."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import NOON
from tests.scenarios_redirects import REDIRECTS
from tests.scenarios_reviews import REVIEWS
from tests.test_verify_api import DAY_RANGE, totals_of
from verify import apps, reviews
from verify.answers import expected_answer
from verify.asked import Asked, Near
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
    said = reviews.answer(_asked(REVIEWS[2], ("product", "p1")))
    assert (said["reviews.count"], said["reviews.mean_rating"]) == (1, None)


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
    nothing = ("orders", "items", "events.view", "sessions.view", "users.view", "ratios.orders_per_tag_tap")
    assert [said[name] for name in nothing] == [None] * 6
    assert said["events_by_type.active"] == 3


def test_gateways_have_no_reviews() -> None:
    """No review names a gateway: the key is absent there."""
    assert reviews.answer(_asked(REVIEWS[0], ("gateway", "adyen"))) == {"reviews": "absent"}

"""Reviews: what an answer must say of them."""

from __future__ import annotations

from typing import Any

from verify.asked import ABSENT, Asked
from verify.scopes import WITHOUT_TRAFFIC

STARS = range(1, 6)


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    if asked.kind in WITHOUT_TRAFFIC:
        return {"reviews": ABSENT}
    counts = {stars: asked.sums[f"reviews.{stars}"] for stars in STARS}
    told = sum(counts.values()) if not asked.events_capped else 0
    expected: dict[str, Any] = {f"reviews.ratings.{stars}": count for stars, count in counts.items()}
    return expected | {
        "reviews.count": asked.sums["events.review"],
        "reviews.mean_rating": sum(stars * n for stars, n in counts.items()) / told if told else None,
    }

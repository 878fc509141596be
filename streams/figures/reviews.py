"""Reviews: how many, and how many stars they give."""

from __future__ import annotations

from schemas.events import Review
from streams.catalogue import EVENT_COUNTS
from streams.kpi import Kpi, Mean, Measure, Part
from streams.scopes import ON_TRAFFIC

_SOURCE = "TikTok Shop: product rating"
BY_RATING = {
    stars: Measure(name=f"reviews.{stars}", help=f"Reviews with {stars} of 5 stars.", kinds=ON_TRAFFIC)
    for stars in range(1, 6)
}

PARTS = (Part(Review, "rating", BY_RATING),)
KPIS = (
    Kpi(
        path="reviews.count",
        formula=EVENT_COUNTS[Review],
        unit="count",
        help="Reviews written.",
        source=_SOURCE,
        kinds=ON_TRAFFIC,
    ),
    Kpi(
        path="reviews.mean_rating",
        formula=Mean(tuple(BY_RATING.items())),
        unit="ratio",
        help="Mean of the stars that reviews give, 1 to 5.",
        source=_SOURCE,
        kinds=ON_TRAFFIC,
    ),
    *(
        Kpi(
            path=f"reviews.ratings.{stars}",
            formula=measure,
            unit="count",
            help=measure.help,
            source=_SOURCE,
            kinds=ON_TRAFFIC,
        )
        for stars, measure in BY_RATING.items()
    ),
)

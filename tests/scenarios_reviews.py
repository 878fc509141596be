"""Scenarios: reviews by their stars."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import NOON, Scenario, Sent, cell, event


def _review(event_id: str, rating: int, **more: Any) -> Sent:
    value = event("review", event_id, NOON, **{"product_id": "p1", "rating": rating} | more)
    return Sent(topic="engagement", value=value, at=NOON)


REVIEWS = (
    Scenario(
        name="reviews_by_stars",
        fact="A review counts once as a whole and once under its stars, in every scope that it carries.",
        records=(
            _review("e1", 5),
            _review("e2", 5, live_id="L1"),
            _review("e3", 1),
            _review("e3", 1),
            _review("e4", 3, traffic="bot"),
        ),
        kinds=("all", "product", "live"),
        measures=("reviews.", "events."),
        cells=dict(
            cell(measure, amount, scope)
            for scope, whole, of_five, of_one in (
                ("all", 3, 2, 1),
                ("product:p1", 3, 2, 1),
                ("live:L1", 1, 1, 0),
            )
            for measure, amount in (("events.review", whole), ("reviews.5", of_five), ("reviews.1", of_one))
            if amount
        ),
    ),
    Scenario(
        name="reviews_in_the_bench_set",
        fact="Where only events are kept, a review's stars are not.",
        records=(_review("e1", 5, live_id="L1"),),
        kinds=("live",),
        sizes=("1m",),
        measures=("reviews.", "events."),
        cells=dict([cell("events.review", 1, "live:L1", "1m", NOON)]),
        settings={"figures": "funnel-gmv"},
    ),
    Scenario(
        name="reviews_of_capped_products",
        fact="What has no place of its own is `other` with its stars; that it was moved counts once.",
        records=(_review("e1", 5), _review("e2", 4, product_id="p2")),
        kinds=("product",),
        measures=("reviews.", "events.", "capped"),
        cells=dict(
            [
                cell("events.review", 1, "product:p1"),
                cell("reviews.5", 1, "product:p1"),
                cell("events.review", 1, "product:other"),
                cell("reviews.4", 1, "product:other"),
                cell("capped", 1, "product:engagement"),
            ]
        ),
        settings={"scope_values_max": 1},
    ),
)

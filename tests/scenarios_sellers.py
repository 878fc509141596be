"""Scenarios: showcases, recommendations, and what is bought within a live stream."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import DAY, NOON, TOPIC_OF, Scenario, Sent, Sum, cell, event, line, purchase, refund


def _event(kind: str, event_id: str, **more: Any) -> Sent:
    own = {} if kind == "view" else {"product_id": "p1"}
    value = event(kind, event_id, NOON, **own | more)
    return Sent(topic=TOPIC_OF.get(kind, "views"), value=value, at=NOON)


def _cells(scopes: tuple[str, ...], **amounts: int) -> list[Sum]:
    """The same cells in each scope; a double underscore stands for a dot, one before USD for a colon."""
    return [
        cell(name.replace("__", ".").replace("_USD", ":USD"), amount, scope)
        for scope in scopes
        for name, amount in amounts.items()
    ]


SELLERS = (
    Scenario(
        name="showcase_of_sellers",
        fact="What is seen on a showcase counts for its brand, merchant and creator, and nowhere else.",
        records=(
            _event("view", "e1", surface="showcase", brand_id="b1"),
            _event("product_impression", "e2", surface="showcase", brand_id="b1", merchant_id="m1"),
            _event("product_view", "e3", surface="showcase", creator_id="c1"),
            _event("product_view", "e4", surface="search", brand_id="b1"),
            _event("view", "e5", brand_id="b1"),
            _event("view", "e6", surface="showcase", brand_id="b1", traffic="test"),
        ),
        kinds=("all", "platform", "surface", "brand", "merchant", "creator", "product"),
        measures=("showcase.",),
        cells=dict(
            [
                cell("showcase.view", 1, "brand:b1"),
                cell("showcase.product_impression", 1, "brand:b1"),
                cell("showcase.product_impression", 1, "merchant:m1"),
                cell("showcase.product_view", 1, "creator:c1"),
            ]
        ),
    ),
    Scenario(
        name="showcase_of_capped_brands",
        fact="Beyond the cap a showcase counts under `other`; that it was moved counts once.",
        records=(
            _event("view", "e1", brand_id="b1"),
            _event("view", "e2", surface="showcase", brand_id="b2"),
        ),
        kinds=("brand",),
        measures=("showcase.", "events.", "capped"),
        cells=dict(
            [
                cell("events.view", 1, "brand:b1"),
                cell("events.view", 1, "brand:other"),
                cell("showcase.view", 1, "brand:other"),
                cell("capped", 1, "brand:views"),
            ]
        ),
        settings={"scope_values_max": 1},
    ),
    Scenario(
        name="recommended_against_the_rest",
        fact="What carries the surface `recommendation` counts once more, for the shop and its platforms; of "
        "orders their own surface decides, and a refund changes nothing of it.",
        records=(
            _event("product_impression", "e1", surface="recommendation"),
            _event("product_impression", "e2", surface="recommendation"),
            _event("product_view", "e3", surface="recommendation"),
            _event("tag_tap", "e4", surface="recommendation"),
            _event("product_impression", "e5", surface="search"),
            _event("tag_tap", "e6"),
            purchase(
                "o1", NOON, line("p1", 2, 500), line("p2", 1, 1), surface="recommendation", shipping_minor=9
            ),
            purchase("o2", NOON, line("p1", 1, 700)),
            purchase("o3", NOON, line("p1", 1, 700), surface="recommendation", traffic="sample"),
            refund("r1", "o1", NOON + DAY, 300),
        ),
        kinds=("all", "platform", "surface", "product", "live"),
        measures=("recommended.",),
        sizes=("1d",),
        cells=dict(
            _cells(
                ("all", "platform:tiktok"),
                recommended__product_impression=2,
                recommended__product_view=1,
                recommended__tag_tap=1,
                recommended__orders=1,
                recommended__gmv_paid_USD=1_001,
            )
        ),
    ),
    Scenario(
        name="bought_in_the_stream",
        fact="An order of the surface `live` is in-stream for each live and creator of its lines; one that "
        "only names a live was bought elsewhere.",
        records=(
            purchase(
                "o1",
                NOON,
                line("p1", 1, 500),
                line("p2", 1, 200, live_id="L2"),
                surface="live",
                live_id="L1",
                creator_id="c1",
            ),
            purchase("o2", NOON, line("p1", 1, 900), surface="search", live_id="L1", creator_id="c1"),
        ),
        kinds=("all", "platform", "surface", "live", "creator", "product"),
        measures=("in_stream.",),
        cells=dict(
            [
                *_cells(("all", "platform:tiktok"), in_stream__orders=1, in_stream__gmv_paid_USD=700),
                *_cells(("live:L1",), in_stream__orders=1, in_stream__gmv_paid_USD=500),
                *_cells(("live:L2",), in_stream__orders=1, in_stream__gmv_paid_USD=200),
                *_cells(("creator:c1",), in_stream__orders=1, in_stream__gmv_paid_USD=700),
            ]
        ),
    ),
)

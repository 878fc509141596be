"""Scenarios: showcases, recommendations, and what is bought within a live stream."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import (
    DAY,
    MONDAY,
    NOON,
    TOPIC_OF,
    Scenario,
    Sent,
    Sum,
    cell,
    event,
    in_room,
    line,
    pair,
    purchase,
    refund,
    refunded,
)


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


def _of_creator(measure: str, amount: int, creator: str, day: int = MONDAY, platform: str = "tiktok") -> Sum:
    return cell(measure, amount, pair("platform,creator", platform, creator), start=day)


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
    Scenario(
        name="creators_day_by_day",
        fact="What a creator sold, earned and how often they went live, by platform and day, nothing finer; "
        "a refund takes its part of the commission at the time of the purchase.",
        records=(
            in_room("live_start", "e1", NOON, creator_id="c1"),
            in_room("live_start", "e1", NOON, creator_id="c1"),
            in_room("live_start", "e2", NOON + 1, live_id="L2", creator_id="c1"),
            in_room("live_start", "e3", NOON + 2, live_id="L3"),
            in_room("live_start", "e4", NOON + 3, live_id="L4", creator_id="c2", traffic="test"),
            in_room("live_heartbeat", "e5", NOON, creator_id="c3", concurrent_viewers=1),
            purchase(
                "o1",
                NOON,
                line("p1", 2, 500, creator_id="c1", commission_bps=1_000),
                line("p2", 1, 300, creator_id="c2"),
                line("p3", 1, 77),
            ),
            purchase("o2", NOON, line("p1", 1, 100), creator_id="c1", platform="kuaishou"),
            refund("r1", "o1", NOON + DAY, 250, items=[refunded("p1", 250)]),
        ),
        kinds=("platform,creator",),
        sizes=("10s", "1m", "1h", "1d"),
        cells=dict(
            [
                _of_creator("live_starts", 2, "c1"),
                _of_creator("orders:USD", 1, "c1"),
                _of_creator("gmv_paid:USD", 1_000, "c1"),
                _of_creator("commission:USD", 75, "c1"),
                _of_creator("orders:USD", 1, "c2"),
                _of_creator("gmv_paid:USD", 300, "c2"),
                _of_creator("orders:USD", 1, "c1", platform="kuaishou"),
                _of_creator("gmv_paid:USD", 100, "c1", platform="kuaishou"),
            ]
        ),
    ),
)

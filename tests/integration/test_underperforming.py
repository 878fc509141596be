"""Products that underperform, from a real Redis: filled by hand, and by the worker's core, with `verify`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest

from streams.answer import QuestionError
from streams.local.redis import RedisServer
from streams.products import ProductRecord
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.read_store import ReadStore
from streams.settings import Settings
from streams.underperforming import read_underperforming
from tests.redis_kit import NOON_MS, Shop
from tests.scenario_kit import DAY, HOUR, MONDAY, Sent, event, line, purchase
from tests.store_kit import Shelf, on_redis
from tests.test_verify_api import scenario, totals_of
from verify.compare import Report
from verify.totals import Totals
from verify.underperforming import compare_underperforming

TODAY = NOON_MS - NOON_MS % DAY


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _listed(shop: Shop, product_id: str, category: str | None, platform: str = "tiktok") -> None:
    record = ProductRecord(
        listed=(NOON_MS, 0), title=f"Title {product_id}", category=category, platform=platform,
        unit_price_minor=990, currency="EUR",
    )  # fmt: skip
    shop.record(0, "products", product_id, record)


def _slow(shop: Shop, platform: str | None = None) -> Any:
    async def ask(model: ReadModel) -> Any:
        return await read_underperforming(model, Ranking(model.store), platform)

    return shop.ask(ask)


def test_products_that_underperform(shop: Shop) -> None:
    """Of the seven complete days before today: who sells less than the category's median, and who more."""
    for n, orders in enumerate((1, 10, 10, 10, 12)):
        _listed(shop, f"p{n}", "home", "douyin" if n == 4 else "tiktok")
        for day in range(1, 8):
            shop.book(TODAY - day * DAY, "product", f"p{n}", p=n % 2, events__tag_tap=100)
            shop.book(TODAY - day * DAY, "product", f"p{n}", p=n % 2, events__purchase=orders)
    _listed(shop, "elsewhere", None)
    for product in ("elsewhere", "never-listed"):
        shop.book(TODAY - DAY, "product", product, events__tag_tap=10_000)
    # Neither today nor the eighth day before counts.
    for at in (TODAY, TODAY - 8 * DAY):
        shop.book(at, "product", "p0", events__tag_tap=100, events__purchase=100)
    told = _slow(shop)
    assert (told["from_ms"], told["to_ms"]) == (TODAY - 7 * DAY, TODAY)
    assert told["categories"] == [{"category": "home", "products": 5, "median_orders_per_tag_tap": 0.1}]
    [found] = told["products"]
    assert (found["product_id"], found["title"], found["category"]) == ("p0", "Title p0", "home")
    assert (found["tag_taps"], found["orders"], found["orders_per_tag_tap"]) == (700, 7, 0.01)
    assert 0.01 < found["upper_bound"] < 0.1
    assert (found["category_median"], found["missing_orders"]) == (0.1, pytest.approx(63))
    [target] = found["targets"]
    assert (target["product_id"], target["title"]) == ("p4", "Title p4")
    assert {(each["unit_price_minor"], each["currency"]) for each in (found, target)} == {(990, "EUR")}
    # Four products of the category are listed on TikTok: too few for a median.
    assert (_slow(shop, "tiktok")["categories"], _slow(shop, "tiktok")["products"]) == ([], [])
    with pytest.raises(QuestionError, match="unknown platform 'nowhere'"):
        _slow(shop, "nowhere")


def test_where_products_were_not_told_apart_none_is_named(shop: Shop) -> None:
    """A day that counted products under `other` makes rates of parts: capped, and no list."""
    for n, orders in enumerate((1, 10, 10, 10, 12)):
        _listed(shop, f"p{n}", "home")
        shop.book(TODAY - DAY, "product", f"p{n}", events__tag_tap=700, events__purchase=7 * orders)
    assert len(_slow(shop)["products"]) == 1
    shop.book(TODAY - DAY, "product", "tag-taps", capped=1)
    told = _slow(shop)
    assert (told["capped"], told["products"], told["categories"]) == (True, [], [])


def test_without_a_watermark_no_day_is_complete(shop: Shop) -> None:
    """Before the worker has read taps and orders, the question can't be answered."""
    shop.forget_meta(0, "wm:tag-taps")
    with pytest.raises(QuestionError, match="nothing is known yet"):
        _slow(shop)


# By product: category, platform, taps a day and orders a day of the week that is looked at.
WEEK: dict[str, tuple[str | None, str, int, int]] = {
    **{f"h{n}": ("home", "tiktok", 20, orders) for n, orders in enumerate((0, 1, 4, 4, 5, 10))},
    # Misses exactly as many orders as h0.
    "h6": ("home", "douyin", 30, 1),
    "h7": ("home", "douyin", 40, 4),
    **{f"t{n}": ("toys", "tiktok", 15, orders) for n, orders in enumerate((7, 7, 7, 1, 16))},
    "thin": ("toys", "tiktok", 14, 0),
    "plain": (None, "tiktok", 30, 0),
    # Moves from toys to home; the later listing holds.
    "moved": ("home", "tiktok", 25, 1),
}
LAST = MONDAY + 8 * DAY


def _week() -> Iterator[Sent]:
    """A week, with a day before it and one after that are not looked at."""
    for n, (product_id, (category, platform, _, _)) in enumerate(WEEK.items()):
        for at, of in ((MONDAY - HOUR, "toys"), (MONDAY + HOUR, category)):
            listed: dict[str, Any] = {
                "product_id": product_id,
                "title": f"Title {product_id}",
                "category": of,
            }
            listed |= {"unit_price_minor": 100, "currency": "USD", "platform": platform}
            value = event("product_listed", f"l{at}-{n}", at, **listed)
            yield Sent(topic="catalogue", value=value, at=at)
    for day in range(9):
        for product_id, (_, _, taps, orders) in WEEK.items():
            is_looked_at = 1 <= day <= 7
            at = MONDAY + day * DAY + 2 * HOUR
            for n in range(taps if is_looked_at else 1):
                user = f"u{n % 9}"
                tap = event(
                    "tag_tap", f"t{product_id}-{day}-{n}", at + n, product_id=product_id, user_id=user
                )
                yield Sent(topic="tag-taps", value=tap, at=at + n)
            for n in range(orders if is_looked_at else 30):
                yield purchase(f"{product_id}-{day}-{n}", at + 900 + n, line(product_id, 1, 100))


@cache
def _ordered() -> tuple[Sent, ...]:
    return tuple(sorted(_week(), key=lambda each: each.at))


@cache
def _totals() -> Totals:
    """What `verify` makes of the week."""
    return totals_of(scenario(*_ordered()))


async def _folded(shelf: Shelf) -> ReadModel:
    """The week through the worker's core, read up to an hour past its end."""
    memory = await shelf.owner()
    sent = _ordered()
    for at in range(0, len(sent), 2_000):
        await memory.fold(*sent[at : at + 2_000])
        for progress in memory.state.topics.values():
            progress.watermark_ms = LAST + HOUR
        await memory.save()
    settings = Settings(partitions=1, redis_prefix=shelf.prefix)
    return ReadModel(ReadStore(shelf.client, shelf.prefix, 1), settings, lambda: LAST + 2 * HOUR)


async def _told(model: ReadModel) -> dict[str | None, Any]:
    """The answers about all products, and by platform."""
    asked = (None, "douyin", "tiktok")
    return {of: await read_underperforming(model, Ranking(model.store), of) for of in asked}


def _differing(totals: Totals, told: Mapping[str | None, Any]) -> list[tuple[str, str]]:
    """What differs, and where behind the address."""
    report = Report()
    notes = compare_underperforming(
        report, totals, lambda _address, query: told[query.get("platform")], pause=0
    )
    assert (notes, report.compared > 0) == ([], True)
    return [(each.what, each.where.removeprefix("api underperforming ")) for each in report.differences]


@on_redis()
async def test_verify_holds_the_list_to_the_log(shelf: Shelf) -> None:
    """Medians, bounds, targets and their order follow from the log; each number that is changed, and each
    product that is left out or added, is found."""
    told = await _told(await _folded(shelf))
    totals, answer = _totals(), told[None]
    assert [each["category"] for each in answer["categories"]] == ["home", "toys"]
    [first, *equal, last] = [each["product_id"] for each in answer["products"]]
    assert (first, sorted(equal), last) == ("t3", ["h0", "h6"], "moved")
    assert [len(of["products"]) for of in told.values()] == [4, 0, 4]
    assert _differing(totals, told) == []

    def of(*path: Any, wrong: Any) -> list[tuple[str, str]]:
        broken = copy.deepcopy(answer)
        place = broken
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = wrong(place[path[-1]]) if callable(wrong) else wrong
        return _differing(totals, told | {None: broken})

    for name in ("platform", "from_ms", "to_ms", "tag_taps_min", "products_min", "capped"):
        assert of(name, wrong=7) == [(name, "all")]
    for name in ("products", "median_orders_per_tag_tap"):
        assert of("categories", 1, name, wrong=0.5) == [(name, "all category:toys")]
    for name, figure in answer["products"][3].items():
        if name not in ("product_id", "targets"):
            wrong = figure + "x" if isinstance(figure, str) else figure + 0.001
            assert of("products", 3, name, wrong=wrong) == [(name, "all product:moved")]
    for name in ("title", "orders_per_tag_tap"):
        assert of("products", 0, "targets", 0, name, wrong=9) == [(name, "all product:t3 target:t4")]
    assert of("categories", wrong=lambda each: each[::-1]) == [("categories", "all")]
    for mixed in (lambda each: each[1:], lambda each: each[::-1], lambda each: [*each, {"product_id": "h2"}]):
        assert ("products", "all") in of("products", wrong=mixed)
        assert ("targets", "all product:moved") in of("products", 3, "targets", wrong=mixed)
    assert _differing(totals, told | {"tiktok": "HTTP 400: no"}) == [("answer", "tiktok")]
    # A day more is another week.
    assert of("as_of_ms", wrong=answer["as_of_ms"] + DAY)


@on_redis()
async def test_verify_finds_another_rule_of_underperforming(shelf: Shelf) -> None:
    """With one number of the pipeline's rule changed, or one order more in Redis, its answer differs."""
    model = await _folded(shelf)
    totals = _totals()
    for name, number in (
        ("shortfall.Z_BOUND", 2.0),
        ("shortfall.TAPS_MIN", 90),
        ("shortfall.PRODUCTS_MIN", 6),
        ("shortfall.TARGETS_MAX", 2),
        ("underperforming.DAYS", 6),
        ("underperforming.PRODUCTS_READ", 8),
        ("underperforming.SHOWN_MAX", 2),
        ("ranking.VALUES_A_PANE", 8),
    ):
        with patch(f"streams.{name}", number):
            assert _differing(totals, await _told(model)), name
    await shelf.add("product", f"1d:{MONDAY + 3 * DAY}", "events.purchase|h0", 1)
    assert {where for _, where in _differing(totals, await _told(model))} == {
        "all product:h0",
        "tiktok product:h0",
    }


@on_redis()
async def test_the_most_tapped_of_crowded_days_are_those_of_the_log(shelf: Shelf) -> None:
    """Where a day has more products than are remembered of it, the stated rule still says which are read."""
    model = await _folded(shelf)
    for most in (6, 9, 13):
        with patch("streams.ranking.VALUES_A_PANE", most), patch("verify.days.TAPPED_A_PANE", most):
            assert _differing(totals_of(scenario(*_ordered())), await _told(model)) == []
    for most in (6, 9, 13):
        name = "verify.underperforming.PRODUCTS_LOOKED_AT"
        with patch("streams.underperforming.PRODUCTS_READ", most), patch(name, most):
            assert _differing(_totals(), await _told(model)) == []


@on_redis(scope_values_max=8)
async def test_verify_knows_of_a_met_cap(shelf: Shelf) -> None:
    """Where products were counted under `other` nothing is named, and an answer that does is wrong."""
    told = await _told(await _folded(shelf))
    totals = totals_of(scenario(*_ordered(), scope_values_max=8))
    assert told[None]["capped"] is True
    assert _differing(totals, told) == []
    named = {"categories": [{"category": "home"}], "products": [{"product_id": "h0"}]}
    assert _differing(totals, told | {None: told[None] | named}) == [
        ("categories", "all"),
        ("products", "all"),
    ]


def test_verify_says_what_it_could_not_compare() -> None:
    """While no day of taps and orders is known to be complete, nothing can be compared, and that is said."""
    report = Report()
    refusal = 'HTTP 400: {"error": "nothing is known yet of taps and orders; ask again in a moment"}'
    notes = compare_underperforming(report, _totals(), lambda *_: refusal, pause=0)
    assert (report.compared, len(notes)) == (0, 1)

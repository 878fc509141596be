"""From records to answers over a real Redis: payments, reasons, and what comes after a purchase."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from streams.exporter import Exporter
from streams.local.redis import RedisServer
from streams.ranking import Ranking
from streams.read_model import Question, ReadModel
from streams.read_store import ReadStore
from streams.reason_gauges import ReasonGauges
from streams.reason_view import PAYMENTS, REFUNDS, read_reasons
from streams.settings import Settings
from streams.store import connect
from tests.redis_kit import NOON_MS, Shop
from tests.scenario_kit import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    Scenario,
    Sent,
    line,
    payment,
    purchase,
    refund,
    step,
)
from tests.scenarios_after_purchase import review, status
from tests.store_kit import Shelf, on_redis
from verify import reason_answers
from verify.api import compare_answer, questions
from verify.compare import Report, scope_text
from verify.reason_answers import compare_reasons
from verify.recompute import recompute
from verify.rules import Rules
from verify.totals import Totals

BEGAN = NOON - 31 * DAY
LOG: Sequence[Sent] = (
    *(
        purchase(f"old{n}", BEGAN + n, line("p1", 1, 1_000, merchant_id="m1"), country="US")
        for n in range(60)
    ),
    *(status(f"s{n}", f"old{n}", BEGAN + n * HOUR, "delivered") for n in range(1, 40)),
    *(review(f"v{n}", f"old{n}", BEGAN + 39 * HOUR + n) for n in range(1, 20)),
    refund("r1", "old1", BEGAN + 2 * DAY, 400, kind="return", reason="size"),
    refund("r2", "old2", BEGAN + 2 * DAY, 400, kind="return", reason="late"),
    refund("r3", "old3", BEGAN + 2 * DAY, 400),
    purchase("new", NOON - 25 * MINUTE, line("p1", 1, 1_000)),
    *(
        payment(f"d{n}", f"d{n}", NOON - 20 * MINUTE + n, "declined", reason=f"r{n % 25}", gateway="stripe")
        for n in range(60)
    ),
    *(
        step("product_view", f"p{n}", NOON - HOUR + n, product_id="p1", merchant_id="m1", user_id=f"u{n % 9}")
        for n in range(20)
    ),
    # Pending: for long, just long enough, and for a minute.
    payment("e1", "o1", NOON - 20 * MINUTE, "started", ts=NOON - 10 * MINUTE),
    payment("e2", "o2", NOON - 181 * SECOND, "started"),
    payment("e3", "o3", NOON - MINUTE, "started"),
    payment("e4", "o4", NOON - MINUTE, "timeout"),
    payment("e5", "o4", NOON - 59 * SECOND, "authorised", attempt_id="2"),
    payment("e6", "o5", NOON - 59 * SECOND, "cancelled_by_user"),
)


def _totals() -> Totals:
    expected = recompute(Scenario(name="", fact="", records=tuple(LOG), cells={}).log(), Rules(partitions=1))
    totals = Totals(max(expected.h.values()), Rules(partitions=1))
    for part in expected.partitions.values():
        totals.add(part)
    return totals


async def _counted(shelf: Shelf, as_of_ms: int = NOON - 10 * SECOND) -> ReadModel:
    """The log in Redis, read up to `as_of_ms`, and a reader whose clock stands at noon."""
    owner = await shelf.owner()
    for start in range(0, len(LOG), 50):
        await owner.fold(*LOG[start : start + 50])
    await owner.save()
    for topic in owner.state.topics:
        await shelf.client.hset(shelf.key("meta"), f"wm:{topic}", as_of_ms)
    settings = Settings(redis_prefix=shelf.prefix, partitions=1)
    return ReadModel(ReadStore(shelf.client, shelf.prefix, 1), settings, lambda: NOON)


async def _differences(model: ReadModel) -> set[str]:
    """What `verify` finds in all answers about all scopes."""
    totals, report = _totals(), Report()
    for scope, span in questions(totals, all_scopes=True):
        answer = await model.kpis(scope_text(*scope), None, span.from_ms, span.to_ms)
        compare_answer(report, totals, scope, span, answer, now_ms=NOON)
    for of, subject in (("payments", PAYMENTS), ("refunds", REFUNDS)):
        for scope, span in reason_answers.questions(totals, of):
            question = Question(scope_text(*scope), None, span.from_ms, span.to_ms)
            compare_reasons(report, totals, scope, span, await read_reasons(model, subject, question), of=of)
    assert report.compared > 1_000
    return {difference.what for difference in report.differences}


async def _kpis(model: ReadModel, *question: object) -> Any:
    return await model.kpis(*question)  # type: ignore[arg-type]


@on_redis()
async def test_answers_are_what_verify_expects(shelf: Shelf) -> None:
    """Every figure of every scope over every range, and all reasons, as a second program computes them."""
    assert await _differences(await _counted(shelf)) == set()


@on_redis()
async def test_answers_of_a_pipeline_behind_are_too(shelf: Shelf) -> None:
    """Where "as of" is minutes behind nothing is said of what is old enough, and `verify` knows that."""
    model = await _counted(shelf, NOON - 5 * MINUTE)
    assert (await _kpis(model, "all", "30m"))["payments"]["pending_past_120s"] is None
    assert await _differences(model) == set()


@on_redis()
async def test_a_mistake_is_found(shelf: Shelf) -> None:
    """One number more in one cell: `verify` names the figure that tells it."""
    model = await _counted(shelf)
    day_ms = BEGAN - BEGAN % DAY
    for kind, value, measure, wrong in (
        ("all", "", "after.on_time", "after_purchase.delivered_on_time"),
        ("country", "US", "after.reviewed", "ratios.reviewed_per_delivered_orders"),
        ("merchant", "m1", "delivery_time.10800", None),
        ("merchant", "m1", "delivery_time.14400", "after_purchase.delivery_p50_seconds"),
        ("all", "", "refund_kind.return", "refunds.by_kind.return"),
        ("all", "", "paying.orders", "payments.success_rate_per_order"),
        ("refund,reason", "14:6:tiktokreturnsize", "reasons.refunds", "reasons"),
    ):
        cell = kind, f"1d:{day_ms}", f"{measure}|{value}"
        await shelf.add(*cell, 7)
        found = await _differences(model)
        await shelf.add(*cell, -7)
        assert (wrong in found) if wrong else not found, measure


@on_redis()
async def test_what_is_pending_past_two_minutes(shelf: Shelf) -> None:
    """Only attempts whose ten seconds ended two minutes before any "as of" have failed."""
    model = await _counted(shelf)
    payments = (await _kpis(model, "gateway:adyen", "30m"))["payments"]
    assert (payments["attempts"], payments["pending"], payments["pending_past_120s"]) == (6, 3, 2)
    assert (payments["errors"], payments["failure_rate"]) == (1, 3 / 6)
    assert (payments["orders"], payments["orders_authorised"], payments["cancelled"]) == (5, 1, 1)
    assert payments["success_rate_per_order"] == 1 / 5
    # A range that ends before that has no attempt that is young, one that begins after it has no other.
    old = (await _kpis(model, "all", None, NOON - 30 * MINUTE, NOON - 5 * MINUTE))["payments"]
    young = (await _kpis(model, "all", "1m"))["payments"]
    assert (old["pending_past_120s"], young["pending"], young["pending_past_120s"]) == (1, 1, 0)


@on_redis()
async def test_the_refund_rate_and_its_maturity(shelf: Shelf) -> None:
    """Of 61 orders 60 are over 30 days old; of one order no rate is told."""
    model = await _counted(shelf)
    from_ms, to_ms = BEGAN - BEGAN % DAY, NOON - NOON % DAY + DAY
    answer = await _kpis(model, "all", None, from_ms, to_ms)
    assert answer["money"]["USD"]["refunds_of_purchases_per_gmv_paid"] == 1_200 / 61_000
    assert answer["ratios"]["orders_past_30_days_per_orders"] == 60 / 61
    hour = await _kpis(model, "all", None, NOON - HOUR, NOON)
    assert hour["money"]["USD"]["refunds_of_purchases_per_gmv_paid"] is None
    assert hour["ratios"]["orders_past_30_days_per_orders"] == 0
    cohort = await _kpis(model, "merchant:m1", None, from_ms, from_ms + DAY)
    assert cohort["ratios"]["orders_past_30_days_per_orders"] == 1
    assert cohort["ratios"]["reviewed_per_delivered_orders"] == 19 / 39


@on_redis()
async def test_the_most_frequent_reasons(shelf: Shelf) -> None:
    """Twenty by name, the rest added up; a gateway's, a platform's gateway's, and of refunds by kind."""
    model = await _counted(shelf)
    answer: Any = await read_reasons(model, PAYMENTS, Question("all", "30m"))
    assert [each["reason"] for each in answer["reasons"][:3]] == ["r0", "r1", "r2"]
    assert answer["reasons"][0] == {"reason": "r0", "declined": 3, "errors": 0}
    assert len(answer["reasons"]) == 20
    assert answer["others"] == {"reasons": 6, "declined": 10, "errors": 1}
    for scope in ("gateway:adyen", "platform:tiktok,gateway:adyen"):
        one: Any = await read_reasons(model, PAYMENTS, Question(scope, "30m"))
        assert one["reasons"] == [{"reason": None, "declined": 0, "errors": 1}]
    nobody: Any = await read_reasons(model, PAYMENTS, Question("platform:douyin", "30m"))
    assert nobody["reasons"] == []
    days = BEGAN - BEGAN % DAY, NOON - NOON % DAY + DAY
    refunds: Any = await read_reasons(model, REFUNDS, Question("platform:tiktok", None, *days))
    assert refunds["reasons"] == [
        {"kind": None, "reason": None, "refunds": 1},
        {"kind": "return", "reason": "late", "refunds": 1},
        {"kind": "return", "reason": "size", "refunds": 1},
    ]


@on_redis()
async def test_gauges_of_reasons_and_of_what_is_pending(shelf: Shelf) -> None:
    """`/metrics` names the most frequent reasons of the shop, the others as one, and tells what is pending of
    the largest gateways, too."""
    model = await _counted(shelf)
    gauges = ReasonGauges(model)
    failures, refunds = await gauges.families()
    assert failures.samples["30m", "declined", "r0"] == 3
    assert failures.samples["30m", "declined", "other"] == 10
    assert failures.samples["30m", "errors", "other"] == 1
    assert (len(failures.samples), refunds.samples) == (2 * 21, {})
    assert await gauges.families() == (failures, refunds)
    text = (await Exporter(model, Ranking(model.store), 5).render()).decode()
    for kind, scope in (("all", ""), ("platform", "tiktok"), ("gateway", "adyen")):
        labels = f'{{scope="{scope}",scope_kind="{kind}",window="30m"}}'
        assert f"shop_pulse_payments_pending_past_120s{labels} 2.0" in text


@on_redis()
async def test_reach_is_told_over_days(shelf: Shelf) -> None:
    """Asked for minutes, a merchant's reach is that of the day; no other kind of scope has any."""
    model = await _counted(shelf)
    answer = await _kpis(model, "merchant:m1", "5m")
    assert answer["reach"] == {"users": 9}
    day_ms = NOON - NOON % DAY
    assert (answer["users_from_ms"], answer["users_to_ms"]) == (day_ms, day_ms + DAY)
    assert set(answer["users"].values()) == {None}
    assert "reach" not in await _kpis(model, "product:p1", "5m")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/api/v1/payments/reasons?scope=live:L1&window=5m", "reasons are kept by all platform gateway"),
        (
            "/api/v1/refunds/reasons?scope=gateway:g&window=5m",
            "reasons are kept by all platform, not by gateway",
        ),
        ("/api/v1/payments/reasons?window=5m", "scope is missing"),
        ("/api/v1/payments/reasons?scope=all", "ask either with window"),
        ("/api/v1/payments/reasons?scope=all&window=5m&limit=3", "unknown parameter 'limit'"),
    ],
)
def test_a_wrong_question_is_refused_in_one_line(redis_server: RedisServer, path: str, reason: str) -> None:
    """400 and what to ask instead."""
    shop = Shop(redis_server.url).healthy(NOON_MS)

    async def told() -> tuple[int, str]:
        client = connect(shop.url)
        try:
            async with TestClient(TestServer(shop.app(client))) as http:
                response = await http.get(URL(path, encoded=True))
                return response.status, (await response.json())["error"]
        finally:
            await client.aclose()

    code, line_told = asyncio.run(told())
    assert (code, reason in line_told, len(line_told.splitlines())) == (400, True, 1)

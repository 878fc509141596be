"""`/api/v1/mini-programs/ID/returns` over a real Redis, filled by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from streams.local.redis import RedisServer
from streams.store import connect
from tests.redis_kit import NOON_MS, Shop

DAY_MS = 86_400_000
# 2026-08-05, a Wednesday.
MIDNIGHT_MS = NOON_MS - NOON_MS % DAY_MS


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """Four users of m1 eight days ago, two partitions; read up to 10 s before noon."""
    shop = Shop(redis_server.url).healthy(NOON_MS - 10_000)
    counts = {"returns__opened": 2, "returns__next_day": 1, "returns__day_7": 1}
    for p in range(2):
        shop.book(MIDNIGHT_MS - 8 * DAY_MS, "mini_program", "m1", p, **counts)
    shop.book(MIDNIGHT_MS - DAY_MS, "mini_program", "m1", returns__opened=5, returns__next_day=1)
    shop.book(MIDNIGHT_MS - 3 * DAY_MS, "mini_program", "m/2", returns__opened=1)
    return shop


def _get(shop: Shop, rest: str, status: int = 200, **changed: Any) -> Any:
    async def asked() -> Any:
        redis = connect(shop.url)
        async with TestClient(TestServer(shop.app(redis, **changed))) as client:
            response = await client.get(URL(f"/api/v1/mini-programs/{rest}", encoded=True))
            answer = await response.json()
            assert response.status == status, answer
        await redis.aclose()
        return answer

    return asyncio.run(asked())


def test_a_row_a_day(shop: Shop) -> None:
    """Of 30 days up to today; a day whose return is still going on says so instead of a number."""
    table = _get(shop, "m1/returns")
    assert (table["mini_program"], table["from"], table["to"]) == ("m1", "2026-07-07", "2026-08-06")
    assert table["as_of_ms"] == NOON_MS - 10_000
    rows = {row["day"]: row for row in table["days"]}
    assert len(rows) == 30
    assert rows["2026-07-28"] == {
        "day": "2026-07-28", "opened": 4, "next_day": 2, "next_day_per_opened": 0.5, "day_7": 2,
        "day_7_per_opened": 0.5, "next_day_is_mature": True, "day_7_is_mature": True, "capped": False,
    }  # fmt: skip
    assert rows["2026-08-04"] == {
        "day": "2026-08-04", "opened": 5, "next_day": None, "next_day_per_opened": None, "day_7": None,
        "day_7_per_opened": None, "next_day_is_mature": False, "day_7_is_mature": False, "capped": False,
    }  # fmt: skip
    names = ("next_day", "next_day_is_mature", "day_7_is_mature", "next_day_per_opened")
    assert [rows["2026-08-03"][name] for name in names] == [0, True, False, None]


def test_days_that_are_named(shop: Shop) -> None:
    """From a day, to before another; a day to come is in no table, and an id may hold a slash."""
    table = _get(shop, "m%2F2/returns?from=2026-08-02&to=2026-09-01")
    assert [row["day"] for row in table["days"]] == [f"2026-08-0{day}" for day in (2, 3, 4, 5)]
    assert [row["opened"] for row in table["days"]] == [1, 0, 0, 0]
    ends = _get(shop, "m1/returns?to=2026-08-01")
    assert (ends["from"], ends["to"], len(ends["days"])) == ("2026-07-02", "2026-08-01", 30)
    begins = _get(shop, "m1/returns?from=2026-06-01")
    assert (begins["to"], len(begins["days"])) == ("2026-07-01", 30)


def test_a_met_cap_leaves_counts_alone(shop: Shop) -> None:
    """Where some programs of the day are counted under `other`, no ratio is told."""
    shop.book(MIDNIGHT_MS - 8 * DAY_MS, "mini_program", "views", capped=1)
    [row] = _get(shop, "m1/returns?from=2026-07-28&to=2026-07-29")["days"]
    assert [row[name] for name in ("capped", "next_day", "next_day_per_opened")] == [True, 2, None]


@pytest.mark.parametrize(
    ("rest", "figures", "reason"),
    [
        ("m1/returns?from=2026-8-1", "all", "from is a day (UTC) like 2026-01-05"),
        ("m1/returns?from=2026-08-06", "all", "from lies in the future"),
        ("m1/returns?from=9999-12-31", "all", "from lies in the future"),
        ("m1/returns?to=0001-01-01", "all", "to must be 1 to 100 days after from"),
        ("m1/returns?from=2026-01-01&to=2026-08-01", "all", "to must be 1 to 100 days after from"),
        ("m1/returns?from=2010-01-01", "all", "before everything that is kept"),
        ("m1/returns?from=0001-01-01", "all", "from_ms must be at least 0"),
        ("m1/returns?window=24h", "all", "unknown parameter"),
        ("m1,channel:x/returns", "all", "is no pair of scopes"),
        ("m1/returns", "funnel-gmv", "keeps no figures of mini-programs"),
    ],
)
def test_a_wrong_question_is_a_400_of_one_line(shop: Shop, rest: str, figures: str, reason: str) -> None:
    """What is wrong is named."""
    answer = _get(shop, rest, 400, figures=figures)
    assert reason in answer["error"]
    assert "\n" not in answer["error"]

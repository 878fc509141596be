"""`/api/v1/virality` over a real Redis, filled by hand: the whole, its channels, and wrong questions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from streams.local.redis import RedisServer
from streams.scopes import pair_value
from streams.store import connect
from tests.redis_kit import NOON_MS, Shop

THEN = NOON_MS - 120_000


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """Ten users of m1 and ten of others; chat brought three new users, of which two to m1."""
    shop = Shop(redis_server.url).healthy(NOON_MS - 10_000)
    for p in range(2):
        ids = [f"{p}-{number}" for number in range(10)]
        shop.users(THEN, "view", "all", "", *ids, p=p)
        shop.users(THEN, "share", "all", "", ids[0], p=p)
        shop.book(THEN, "channel", "chat", p=p, events__share=2, events__share_open=3)
    shop.users(THEN, "view", "mini_program", "m1", *ids, p=1)
    shop.users(THEN, "share", "channel", "chat", "0-0", p=0)
    shop.book(THEN, "all", events__share=5, events__share_open=6, new_users=4)
    shop.book(THEN, "channel", "chat", new_users=3, cycles__60=2)
    shop.book(THEN, "channel", "link", events__share=1)
    shop.book(THEN, "channel", "unknown", new_users=1)
    shop.book(THEN, "mini_program", "m1", events__share=4, new_users=2, cycles__60=2)
    shop.book(THEN, "mini_program,channel", pair_value("m1", "chat"), events__share=4, new_users=2)
    return shop


def _get(shop: Shop, query: str, status: int = 200) -> Any:
    async def asked() -> Any:
        redis = connect(shop.url)
        async with TestClient(TestServer(shop.app(redis))) as client:
            response = await client.get(URL(f"/api/v1/virality?{query}", encoded=True))
            answer = await response.json()
            assert response.status == status, answer
        await redis.aclose()
        return answer

    return asyncio.run(asked())


def test_channels_of_the_shop(shop: Shop) -> None:
    """By shares and opens, the unknown one last; new users over the shop's twenty active users."""
    answer = _get(shop, "scope=all&window=30m")
    assert (answer["scope"], answer["from_ms"], answer["to_ms"]) == ("all", NOON_MS - 1_800_000, NOON_MS)
    assert answer["virality"] == {
        "active_users": 20, "shares": 5, "opens": 6, "new_users": 4, "sharers": 2,
        "new_users_per_sharer": 2.0, "k_factor": 0.2, "cycle_p50_seconds": None, "maturity": None,
    }  # fmt: skip
    assert answer["channels"] == [
        {
            "channel": "chat", "shares": 4, "opens": 6, "new_users": 3, "sharers": 1,
            "new_users_per_sharer": 3.0, "k_factor": 0.15,
            "cycle_p50_seconds": 45.0, "maturity": pytest.approx((1_800 - 10 - 45) / 1_800),
        },
        {
            "channel": "link", "shares": 1, "opens": 0, "new_users": 0, "sharers": 0,
            "new_users_per_sharer": None, "k_factor": 0.0, "cycle_p50_seconds": None, "maturity": None,
        },
        {
            "channel": "unknown", "shares": 0, "opens": 0, "new_users": 1, "sharers": 0,
            "new_users_per_sharer": None, "k_factor": None, "cycle_p50_seconds": None, "maturity": None,
        },
    ]  # fmt: skip


def test_channels_of_a_mini_program(shop: Shop) -> None:
    """The pair has no sharers of its own; K is over the ten active users of the mini-program."""
    answer = _get(shop, "scope=mini_program:m1&window=5m")
    assert answer["virality"]["k_factor"] == 0.2
    assert answer["virality"]["cycle_p50_seconds"] == 45.0
    assert answer["virality"]["maturity"] == pytest.approx((300 - 10 - 45) / 300)
    assert answer["channels"][0] == {
        "channel": "chat",
        "shares": 4,
        "opens": 0,
        "new_users": 2,
        "k_factor": 0.2,
    }


def test_every_window_has_channels(shop: Shop) -> None:
    """A minute is the two that it touches; a day begins on the hour, with what 22 hours ago came by mail."""
    shop.book(NOON_MS - 22 * 3_600_000, "channel", "mail", events__share=9, new_users=1)
    shop.book(NOON_MS - 22 * 3_600_000, "all", events__share=9, new_users=1)
    day = _get(shop, "scope=all&window=24h")
    assert (day["from_ms"], day["to_ms"]) == (NOON_MS - 86_400_000, NOON_MS)
    assert day["virality"]["k_factor"] == 0.25
    assert [each["channel"] for each in day["channels"]] == ["chat", "mail", "link", "unknown"]
    assert day["channels"][1]["k_factor"] == 0.05
    minute = _get(shop, "scope=all&window=1m")
    assert minute["to_ms"] - minute["from_ms"] == 60_000
    assert [each["channel"] for each in minute["channels"]] == ["unknown"]


def test_a_met_cap_leaves_counts_alone(shop: Shop) -> None:
    """Where channels are counted under `other`, a channel's part of K is not known."""
    shop.book(THEN, "channel", "engagement", capped=1)
    answer = _get(shop, "scope=all&window=30m")
    assert answer["virality"]["k_factor"] == 0.2
    assert (answer["channels"][0]["new_users"], answer["channels"][0]["k_factor"]) == (3, None)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("window=1h", "scope is missing"),
        ("scope=all", "window is missing"),
        ("scope=all&window=live", "window is one of 1m 5m 30m 1h 24h here"),
        ("scope=platform:tiktok&window=1h", "channels are kept for scope=all and scope=mini_program:ID"),
        ("scope=planet:x&window=1h", "unknown scope"),
        ("scope=all&window=1h&from_ms=1", "unknown parameter"),
    ],
)
def test_a_wrong_question_is_a_400_of_one_line(shop: Shop, query: str, reason: str) -> None:
    """What is wrong is named, with what to ask instead."""
    answer = _get(shop, query, 400)
    assert reason in answer["error"]
    assert "\n" not in answer["error"]

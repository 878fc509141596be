"""Lists and tables of the read service over what the worker's core wrote, and `verify` on each of them.

One shop, counted into a real Redis and asked once; then one number after the other is broken.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.local.redis import RedisServer
from streams.store import connect
from tests.redis_kit import Shop
from tests.scenario_kit import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    Scenario,
    Sent,
    event,
    in_room,
    line,
    purchase,
    refund,
    step,
)
from tests.store_kit import Shelf, on_shelf
from verify.api import Service
from verify.compare import Report
from verify.creators import TOPICS, Told, ask_creators, compare_as_told, compare_told
from verify.lists import compare_lists
from verify.model import PartitionExpected
from verify.recompute import recompute
from verify.rules import Rules
from verify.totals import Totals

# The clock; on no border, and short of a minute.
NOW = NOON + 17 * SECOND
RULES = Rules(partitions=1)
Key = tuple[str, frozenset[tuple[str, str]]]


def _sent(topic: str, kind: str, event_id: str, at: int, **more: Any) -> Sent:
    return Sent(topic=topic, value=event(kind, event_id, at, **more), at=at)


def _stock() -> list[Sent]:
    """Cup: both SKUs gone 20 min ago, tapped before and after; plate low by its rate; vase set to nothing."""
    ago = NOW - 50 * MINUTE
    sent = [
        _sent("catalogue", "product_listed", "cl", ago, product_id="cup", title="Cup", unit_price_minor=500,
              currency="USD"),
        *(_sent("catalogue", "stock_set", f"cs{sku}", ago, product_id="cup", sku_id=sku, units=2)
          for sku in ("red", "blue")),
        _sent("catalogue", "stock_set", "ps", ago, product_id="plate", units=60),
        _sent("catalogue", "stock_set", "vs", NOW - 3 * MINUTE, product_id="vase", units=0),
        purchase("cup1", NOW - 30 * MINUTE, line("cup", 2, 500, sku_id="red")),
        purchase("cup2", NOW - 20 * MINUTE, line("cup", 3, 500, sku_id="blue")),
    ]  # fmt: skip
    sent += [purchase(f"plate{n}", NOW - 4 * MINUTE + n, line("plate", 3, 900)) for n in range(6)]
    for product, minutes in (("cup", (29, 25, 19, 12, 1)), ("vase", (5, 2, 1)), ("plate", (3, 45))):
        taps = [NOW - minute * MINUTE for minute in minutes]
        sent += [step("tag_tap", f"{product}{at}", at, product_id=product) for at in taps]
    return sent


def _lives(rng: random.Random) -> list[Sent]:
    """L1 on air for 25 min, and five earlier lives of its creator, of which one ended; c2 sold days ago."""
    sent = []
    starts = {f"O{days}": NOW - days * DAY + 10 * SECOND for days in (1, 2, 3, 9, 20)}
    for live_id, start in {**starts, "L1": NOW - 25 * MINUTE}.items():
        own: dict[str, Any] = {"live_id": live_id, "creator_id": "c1"}
        sent.append(in_room("live_start", f"start-{live_id}", start, **own))
        for number in range(20):
            at = start + rng.randrange(24 * MINUTE)
            price = rng.randrange(1, 900)
            sent.append(purchase(f"{live_id}-{number}", at, line("p1", 1, price, commission_bps=777, **own)))
        if live_id == "O1":
            sent.append(in_room("live_end", "end-O1", start + 40 * MINUTE, live_id=live_id))
        sent.append(step("live_join", f"join-{live_id}", start + 1, live_id=live_id))
    sent += [
        purchase(f"c2-{days}", NOON - days * DAY, line("p2", 1, 700, creator_id="c2", commission_bps=500))
        for days in (8, 12)
    ]
    sent.append(refund("back", "O9-3", NOON - 2 * DAY, 1))
    return sorted(sent, key=lambda each: each.at)


def _sharing() -> list[Sent]:
    """Opens of m1 on some days, and today shares by two channels, that bring new users."""
    sent = []
    for user in range(6):
        for days in (9, 8, 2, 1, 0)[: user + 1]:
            at = NOON - days * DAY - user * SECOND
            who = {"user_id": f"u{user}", "mini_program_id": "m1", "entry": "search"}
            sent.append(_sent("views", "mini_program_open", f"open{user}-{days}", at, **who))
    for number in range(12):
        at = NOW - (50 * MINUTE if number % 2 else 20 * HOUR) + number * SECOND
        way = {
            "share_id": f"sh{number}",
            "channel": "chat" if number % 3 else "link",
            "mini_program_id": "m1",
        }
        sent += [
            _sent("engagement", "share", f"s{number}", at, user_id=f"u{number % 5}", **way),
            _sent("engagement", "share_open", f"o{number}", at + 1, user_id=f"n{number}", **way),
            _sent("engagement", "share_convert", f"c{number}", at + 2, user_id=f"n{number}", **way),
        ]
    return sent


LOG = sorted([*_stock(), *_lives(random.Random(7)), *_sharing()], key=lambda each: each.at)


@dataclass
class Asked:
    """What the log amounts to, and what the read service answered to everything that `verify` asks."""

    totals: Totals
    answers: dict[Key, Any]

    def service(self, path: str = "", change: Callable[[Any], None] = lambda _: None) -> Service:
        """The same answers, of which those of an address are changed."""

        def ask(address: str, query: Mapping[str, str]) -> Any:
            answer = copy.deepcopy(self.answers[address, frozenset(query.items())])
            if path and _text(address, query) == path:
                change(answer)
            return answer

        return Service(ask, lambda: NOW, pause=0)


def _text(address: str, query: Mapping[str, str]) -> str:
    return address.removeprefix("/api/v1/") + "".join(f" {name}={query[name]}" for name in sorted(query))


def _compared(service: Service, totals: Totals) -> tuple[Report, Told]:
    report = Report()
    assert compare_lists(report, totals, service, all_lives=True) == []
    told = ask_creators(service, RULES)
    found = compare_told(totals, told)
    report.compared += found.compared
    report.differences += found.differences
    return report, told


async def _ask_all(shelf: Shelf) -> Asked:
    memory = await shelf.owner()
    await memory.fold(*LOG)
    for progress in memory.state.topics.values():
        progress.watermark_ms = NOW - 10 * SECOND
    await memory.fold(_sent("ads", "source_heartbeat", "beat", NOW, source="app"))
    await memory.save()
    beat = Sent(topic="ads", value=event("source_heartbeat", "beat", NOW, source="app"), at=NOW)
    scenario = Scenario(name="lists", fact="", records=(*LOG, beat), cells={})
    [part] = recompute(scenario.log(), RULES).partitions.values()
    totals = Totals(part.h or 0, RULES)
    totals.add(part)
    answers: dict[Key, Any] = {}
    client = connect(shelf.url)
    loop = asyncio.get_running_loop()
    async with TestClient(TestServer(Shop(shelf.url, 1, shelf.prefix).app(client, NOW))) as asked:

        async def fetch(path: str, query: Mapping[str, str]) -> Any:
            async with asked.get(path, params=query) as response:
                return await response.json() if response.status == 200 else await response.text()

        def ask(path: str, query: Mapping[str, str]) -> Any:
            answer = asyncio.run_coroutine_threadsafe(fetch(path, query), loop).result(20)
            answers[path, frozenset(query.items())] = answer
            return answer

        await asyncio.to_thread(_compared, Service(ask, lambda: NOW, pause=0), totals)
    await client.aclose()
    return Asked(totals, answers)


@pytest.fixture(scope="module")
def asked(redis_server: RedisServer) -> Asked:
    """The shop, asked once."""
    return on_shelf(redis_server, _ask_all)


def test_what_is_told_is_what_the_log_says(asked: Asked) -> None:
    """Stock, lives, creators, sharing and returns agree, figure by figure, and say something."""
    report, told = _compared(asked.service(), asked.totals)
    assert report.differences == []
    assert report.compared > 800
    stock = asked.answers["/api/v1/stock", frozenset({("window", "1h")})]
    assert [each["product_id"] for each in stock["products"]] == ["cup", "vase", "plate"]
    assert [each["tag_taps_while_sold_out"] for each in stock["products"]] == [3, 2, 0]
    live = asked.answers["/api/v1/lives/L1", frozenset()]
    assert [past["live_id"] for past in live["past_lives"]] == ["O1", "O2", "O3", "O9", "O20"]
    assert told.offsets(0) is not None
    day = asked.answers["/api/v1/virality", frozenset({("scope", "all"), ("window", "24h")})]
    assert day["virality"]["new_users"] == 12


def _set(*path: Any, to: Any) -> Callable[[Any], None]:
    def change(answer: Any) -> None:
        *heads, last = path
        for head in heads:
            answer = answer[head]
        assert answer[last] != to
        answer[last] = to

    return change


@pytest.mark.parametrize(
    ("path", "change", "what"),
    [
        ("stock window=1h", _set("products", 0, "tag_taps_while_sold_out", to=4), "tag_taps_while_sold_out"),
        ("stock window=5m", _set("products", 0, "tag_taps_while_sold_out", to=2), "tag_taps_while_sold_out"),
        ("stock window=30m", _set("products", 0, "sold_out_since_ms", to=NOW), "sold_out_since_ms"),
        ("stock window=30m", _set("products", 1, "tag_taps", to=0), "tag_taps"),
        ("stock window=30m", _set("products", 2, "minutes_left", to=11.0), "minutes_left"),
        ("stock window=30m", _set("products", 2, "state", to="out"), "state"),
        ("stock window=30m", _set("products", 2, "currency", to="USD"), "currency"),
        ("stock window=30m", _set("products", 0, "skus", 1, "units", to=-2), "skus"),
        ("stock window=30m", lambda answer: answer["products"].pop(), "products"),
        ("stock window=1h", _set("looked_at", to=99), "looked_at"),
        ("stock window=1h", _set("tag_taps_while_sold_out", to=6), "tag_taps_while_sold_out"),
        ("stock window=1h", _set("count", to=2), "count"),
        ("stock window=1h", _set("read_ms", to=NOW - HOUR), "read_ms"),
        ("stock window=1h", _set("from_ms", to=NOON), "range"),
        ("lives/L1", _set("past_percentile", "orders", to=99.0), "past_percentile.orders"),
        ("lives/L1", _set("past_percentile", "gmv_paid_minor", "USD", to=100.0),
         "past_percentile.gmv_paid_minor.USD"),
        ("lives/L1", _set("past_median", "gmv_paid_minor", "USD", to=1), "past_median.gmv_paid_minor.USD"),
        ("lives/L1", _set("at_minute", "orders", to=21), "at_minute.orders"),
        ("lives/L1", _set("compared_minutes", to=24), "compared_minutes"),
        ("lives/L1", _set("past_lives", 4, "orders", to=1), "past_lives"),
        ("lives/L1", lambda answer: answer["past_lives"].pop(0), "past_lives"),
        ("lives/O1", _set("creator_id", to="c2"), "creator_id"),
        ("lives/O1", _set("ended_ms", to=None), "ended_ms"),
        ("lives/O1", _set("minute", to=39), "minute"),
        ("creators days=7", _set("with_a_sale", to=2), "with_a_sale"),
        ("creators days=7", _set("stopped_selling", "creators", 0, "creator_id", to="c1"),
         "stopped (sale), named"),
        ("creators days=7", _set("stopped_selling", "per_creator_with_a_sale_before", to=1.0),
         "stopped (sale), share"),
        ("creators days=30 platform=tiktok", _set("earnings", "USD", "total_minor", to=1), "total_minor"),
        ("creators days=30", _set("to_ms", to=NOON), "to_ms"),
        ("virality scope=all window=24h", _set("virality", "new_users", to=13), "virality.new_users"),
        ("virality scope=all window=24h", _set("virality", "k_factor", to=3.0), "virality.k_factor"),
        ("virality scope=mini_program:m1 window=1h", _set("virality", "shares", to=7), "virality.shares"),
        ("virality scope=all window=1m", _set("to_ms", to=NOW), "to_ms"),
        ("virality scope=all window=24h", _set("channels", 0, "new_users", to=9), "new_users"),
        ("virality scope=all window=24h", _set("channels", 1, "sharers", to=0), "sharers"),
        ("virality scope=mini_program:m1 window=24h", _set("channels", 0, "k_factor", to=0.0), "k_factor"),
        ("virality scope=all window=1h", lambda answer: answer["channels"].pop(), "channels"),
    ],
)  # fmt: skip
def test_a_broken_number_is_told(asked: Asked, path: str, change: Callable[[Any], Any], what: str) -> None:
    """One number of one answer that the log does not give is named, where it stands."""
    report, _ = _compared(asked.service(path, change), asked.totals)
    assert what in {difference.what for difference in report.differences}


@pytest.mark.parametrize(
    ("row", "name", "wrong"),
    [
        (-10, "opened", 7),
        (-10, "next_day", 4),
        (-10, "day_7_per_opened", 0.5),
        (-2, "next_day_is_mature", True),
    ],
)
def test_a_broken_row_of_returns_is_told(asked: Asked, row: int, name: str, wrong: Any) -> None:
    """A day of a mini-program's returns, found by its date."""
    [(path, query)] = [key for key in asked.answers if key[0].endswith("/returns")]
    table = asked.answers[path, query]
    day = table["days"][row]["day"]
    broken = _set("days", row, name, to=wrong)
    service = asked.service(_text(path, dict(query)), broken)
    report, _ = _compared(service, asked.totals)
    told = {(difference.what, difference.where) for difference in report.differences}
    assert told == {(name, f"returns of m1 {day}")}


def test_a_reading_that_is_behind_is_held_to_where_it_was(asked: Asked) -> None:
    """What came after the reading of creators' days is no mistake of the answer: the log is read up to there.
    Where days changed while they were read it is said that nothing was compared."""
    told = ask_creators(asked.service(), RULES)
    later = purchase("late", NOON - DAY, line("p1", 1, 5, creator_id="c9"), ts=NOW)
    records = Scenario(name="", fact="", records=(*LOG, later), cells={}).log()
    totals = Totals(NOW, RULES)
    [part] = recompute(records, RULES).partitions.values()
    totals.add(part)
    assert {each.what for each in compare_told(totals, told).differences} >= {"with_a_sale"}

    async def read(_: int, offsets: Mapping[str, int]) -> PartitionExpected:
        seen = [each for each in records if each.offset < offsets.get(each.topic, 0)]
        return recompute(seen, RULES).partitions[0]

    def compared(of: Told) -> tuple[list[str], Report]:
        report = Report()
        ends = {0: {topic: sum(each.topic == topic for each in records) for topic in TOPICS}}
        return asyncio.run(compare_as_told(report, totals, of, ends, read)), report

    notes, report = compared(told)
    assert (notes, report.differences) == ([], [])
    assert report.compared > 100
    torn = {
        key: answer | {"read_offsets": {topic: [None] for topic in TOPICS}}
        for key, answer in told.answers.items()
    }
    notes, report = compared(Told(torn, NOW))
    assert (len(notes), report.compared, report.differences) == (1, 0, [])
    wrong = {key: answer | {"with_a_sale": 99} for key, answer in told.answers.items()}
    assert {each.what for each in compared(Told(wrong, NOW))[1].differences} == {"with_a_sale"}

"""Changes in a real Redis: what is kept, what is flagged, and who may tell the service of one over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.answer import QuestionError
from streams.changes import KEPT_MAX, Change, Changes, End, Kind, parse
from streams.local.redis import RedisServer
from streams.store import StoreCorruptError, StoreUnavailableError, connect
from streams.web.change_routes import ADDRESS, BODY_MAX
from streams.web.host_token import HostTokens
from tests.redis_kit import NOON_MS, Shop

Client = TestClient[Any, Any]
T = TypeVar("T")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
DEPLOY = {"kind": "deploy", "title": "checkout 1.42", "at_ms": NOON_MS - 1}


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A prefix of its own, in which a worker has written."""
    return Shop(redis_server.url).healthy(NOON_MS)


def _kept(shop: Shop, use: Callable[[Changes], Awaitable[T]], now_ms: int = NOON_MS) -> T:
    async def used() -> T:
        client = connect(shop.url)
        try:
            return await use(Changes(client, shop.prefix, lambda: now_ms))
        finally:
            await client.aclose()

    return asyncio.run(used())


def _change(at_ms: int, to_ms: int | None = None, kind: str = "note", title: str = "t") -> Change:
    told = {"kind": kind, "title": title, "at_ms": at_ms, "to_ms": to_ms}
    return parse(json.dumps(told).encode(), NOON_MS)


def _stored(shop: Shop) -> int:
    return int(shop.client.zcard(f"{shop.prefix}:changes"))


def test_changes_are_found_by_any_part_of_their_span(shop: Shop) -> None:
    """By `at_ms`; a span of a week by its last moment too, one that ends where the question begins not."""
    week = _change(NOON_MS - 7 * DAY_MS, NOON_MS)
    moment, other = _change(NOON_MS - 2), _change(NOON_MS, title="u")

    async def story(changes: Changes) -> None:
        for change in (other, week, moment):
            await changes.add(change)
        assert await changes.between(0, NOON_MS + 1) == [week, moment, other]
        assert await changes.between(NOON_MS - 2, NOON_MS) == [week, moment]
        assert await changes.between(NOON_MS - 1, NOON_MS) == [week]
        assert await changes.between(NOON_MS, NOON_MS + 1) == [other]
        assert await changes.between(0, NOON_MS - 7 * DAY_MS) == []

    _kept(shop, story)


def test_told_again_a_change_is_replaced(shop: Shop) -> None:
    """An incident is told of when it begins and again with its end; others of that moment stay."""
    begun, ended = _change(NOON_MS, None, "incident"), _change(NOON_MS, NOON_MS + 5, "incident")
    beside = _change(NOON_MS, title="beside")

    async def story(changes: Changes) -> list[Change]:
        for change in (begun, beside, begun, ended):
            await changes.add(change)
        return await changes.between(0, NOON_MS + 1)

    assert sorted(_kept(shop, story), key=str) == sorted([beside, ended], key=str)


def test_incidents_and_outages_flag_their_spans(shop: Shop) -> None:
    """In order, cut to what is asked; spans that touch are one; without an end a moment is flagged."""

    async def story(changes: Changes) -> list[tuple[int, int]]:
        for kind, from_ms, to_ms in (
            ("incident", 100, 200), ("outage", 150, 300), ("outage", 300, 310), ("incident", 500, None),
            ("deploy", 0, 1_000), ("promotion", 0, 1_000), ("note", 0, 1_000), ("outage", 900, 2_000),
        ):  # fmt: skip
            until_ms = None if to_ms is None else NOON_MS + to_ms
            await changes.add(_change(NOON_MS + from_ms, until_ms, kind))
        return await changes.flagged(NOON_MS + 120, NOON_MS + 1_000)

    spans = [(from_ms - NOON_MS, to_ms - NOON_MS) for from_ms, to_ms in _kept(shop, story)]
    assert spans == [(120, 310), (500, 501), (900, 1_000)]


def test_a_change_gets_its_end(shop: Shop) -> None:
    """Now, or when it was; not before it began, nor far ahead. Ended at its beginning it flags a moment."""
    wrong = _change(NOON_MS - HOUR_MS, NOON_MS + DAY_MS, "incident", "wrong end")
    planned = _change(NOON_MS + HOUR_MS, None, "outage", "planned")
    beside = _change(NOON_MS - HOUR_MS, title="beside")

    async def story(changes: Changes) -> None:
        for change in (wrong, planned, beside):
            await changes.add(change)
        assert await changes.standing(NOON_MS) == [wrong]
        assert await changes.end("of nobody", End()) is None
        ended = await changes.end(wrong.id, End())
        assert ended is not None and (ended.id, ended.to_ms) == (wrong.id, NOON_MS)
        assert await changes.standing(NOON_MS) == []
        assert await changes.flagged(0, NOON_MS + DAY_MS) == [
            (NOON_MS - HOUR_MS, NOON_MS),
            (NOON_MS + HOUR_MS, NOON_MS + HOUR_MS + 1),
        ]
        for to_ms in (wrong.at_ms - 1, NOON_MS + DAY_MS + 1):
            with pytest.raises(QuestionError, match="to_ms"):
                await changes.end(wrong.id, End(to_ms=to_ms))
        await changes.end(wrong.id, End(to_ms=wrong.at_ms))
        await changes.end(planned.id, End())
        assert await changes.flagged(0, NOON_MS + DAY_MS) == [
            (NOON_MS - HOUR_MS, NOON_MS - HOUR_MS + 1),
            (NOON_MS + HOUR_MS, NOON_MS + HOUR_MS + 1),
        ]
        assert beside in await changes.between(0, NOON_MS)

    _kept(shop, story)
    assert _stored(shop) == 3


def test_what_the_service_notes_grows_into_one_span(shop: Shop) -> None:
    """Noted minute by minute it is one outage; another title, a gap or more than a week begins another."""
    kind, silent = Kind.OUTAGE, "source carts was silent"

    async def story(changes: Changes) -> None:
        for minute in (0, 1, 1, 2):
            await changes.note(kind, silent, NOON_MS + minute * MINUTE_MS, NOON_MS + (minute + 1) * MINUTE_MS)
        (one,) = await changes.between(0, NOON_MS + DAY_MS)
        assert (one.at_ms, one.to_ms, one.title) == (NOON_MS, NOON_MS + 3 * MINUTE_MS, silent)
        await changes.note(kind, "source views was silent", NOON_MS, NOON_MS + MINUTE_MS)
        await changes.note(kind, silent, NOON_MS + 4 * MINUTE_MS, NOON_MS + 5 * MINUTE_MS)
        end_ms = NOON_MS + 4 * MINUTE_MS + 7 * DAY_MS + 1
        await changes.note(kind, silent, NOON_MS + 5 * MINUTE_MS, end_ms)
        assert len(await changes.between(0, NOON_MS + 9 * DAY_MS)) == 4
        assert await changes.flagged(0, NOON_MS + 9 * DAY_MS) == [
            (NOON_MS, NOON_MS + 3 * MINUTE_MS),
            (NOON_MS + 4 * MINUTE_MS, end_ms),
        ]

    _kept(shop, story)


def test_what_lasts_for_weeks_is_noted_in_spans(shop: Shop) -> None:
    """Told of from its beginning every hour for three weeks it is three spans without a gap; what begins
    with more than a week is cut to its end."""

    async def story(changes: Changes) -> list[Change]:
        for hours in range(1, 21 * 24 + 1):
            await changes.note(Kind.OUTAGE, "silent", NOON_MS, NOON_MS + hours * HOUR_MS)
        assert await changes.flagged(0, NOON_MS + 30 * DAY_MS) == [(NOON_MS, NOON_MS + 21 * DAY_MS)]
        await changes.note(Kind.OUTAGE, "since long", NOON_MS, NOON_MS + 21 * DAY_MS)
        return await changes.between(0, NOON_MS + 30 * DAY_MS)

    noted = _kept(shop, story)
    lengths = [(each.title, each.until_ms - each.at_ms) for each in noted]
    assert sorted(lengths) == [("silent", 7 * DAY_MS)] * 3 + [("since long", 7 * DAY_MS)]


def test_what_is_kept_is_bounded(shop: Shop) -> None:
    """The newest thousand, of forty days."""

    async def fill(changes: Changes) -> None:
        for n in range(KEPT_MAX + 5):
            await changes.add(_change(NOON_MS + n))

    _kept(shop, fill)
    assert _stored(shop) == KEPT_MAX
    later_ms = NOON_MS + 40 * DAY_MS + 1_000
    left = _kept(shop, lambda changes: changes.between(0, later_ms), later_ms)
    assert left[0].at_ms == NOON_MS + 5
    _kept(shop, lambda changes: changes.note(Kind.NOTE, "new", later_ms, later_ms + 1), later_ms)
    assert _stored(shop) == 6


def test_gauges_tell_of_the_last_day(shop: Shop) -> None:
    """In Unix seconds, by kind and title."""

    async def story(changes: Changes) -> object:
        for days in (0, 1, 2):
            await changes.add(_change(NOON_MS - days * DAY_MS, title=f"{days} days ago"))
        began, _ = await changes.families()
        return began.samples

    assert _kept(shop, story) == {
        ("note", "0 days ago"): NOON_MS / 1_000,
        ("note", "1 days ago"): NOON_MS / 1_000 - 86_400,
    }


def test_a_gauge_tells_until_when_flags_stand(shop: Shop) -> None:
    """Of incidents and outages that go on by what was told; not of one that is over or has no end, nor of a
    promotion."""

    async def story(changes: Changes) -> object:
        for kind, title, from_ms, to_ms in (
            ("incident", "long", -2 * DAY_MS, DAY_MS), ("outage", "short", 0, 1_000),
            ("outage", "over", -2, -1), ("incident", "no end", -1, None), ("incident", "planned", 1, 2),
            ("promotion", "sale", 0, DAY_MS),
        ):  # fmt: skip
            until_ms = None if to_ms is None else NOON_MS + to_ms
            await changes.add(_change(NOON_MS + from_ms, until_ms, kind, title))
        _, flagged = await changes.families()
        return flagged.name, flagged.samples

    assert _kept(shop, story) == (
        "flagged_until_timestamp_seconds",
        {("incident", "long"): NOON_MS / 1_000 + 86_400, ("outage", "short"): NOON_MS / 1_000 + 1},
    )


def test_trouble_with_redis_is_told_in_one_line(shop: Shop) -> None:
    """A key that holds something else, and a Redis that is away."""

    async def ask(changes: Changes) -> object:
        return await changes.flagged(0, NOON_MS)

    shop.client.zadd(f"{shop.prefix}:changes", {"{}": 1})
    with pytest.raises(StoreCorruptError, match=r"delete it .*changes") as corrupt:
        _kept(shop, ask)
    shop.client.delete(f"{shop.prefix}:changes")
    shop.client.set(f"{shop.prefix}:changes", "x")
    with pytest.raises(StoreCorruptError, match="WRONGTYPE"):
        _kept(shop, ask)
    away = Shop("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailableError):
        _kept(away, ask)
    assert "\n" not in str(corrupt.value)


def _told(shop: Shop, story: Callable[[Client], Awaitable[None]], **settings: Any) -> None:
    """Tells a story to a client of the service."""

    async def told() -> None:
        redis = connect(shop.url)
        async with TestClient(TestServer(shop.app(redis, **settings))) as client:
            await story(client)
        await redis.aclose()

    asyncio.run(told())


def test_a_change_is_told_and_asked_of_over_http(shop: Shop) -> None:
    """201 with its id; asked for without times it is the last day's."""

    async def story(client: Client) -> None:
        made = await client.post(ADDRESS, json=DEPLOY | {"url": "https://ci.example/42"})
        assert made.status == 201
        change = await made.json()
        assert change.items() >= DEPLOY.items() and change["to_ms"] is None
        for query in ("", f"?to_ms={NOON_MS}", f"?from_ms={NOON_MS - 1}&to_ms={NOON_MS}"):
            asked = await client.get(ADDRESS + query)
            assert await asked.json() == {"changes": [change]}, query
        later = await client.get(f"{ADDRESS}?from_ms={NOON_MS}")
        assert await later.json() == {"changes": []}

    _told(shop, story)


def test_a_change_is_ended_over_http(shop: Shop) -> None:
    """By its id: now with an empty object, or at a time; an id of nobody is 404, what ends none 400."""

    async def story(client: Client) -> None:
        told = {
            "kind": "incident",
            "title": "adyen down",
            "at_ms": NOON_MS - HOUR_MS,
            "to_ms": NOON_MS + HOUR_MS,
        }
        change = await (await client.post(ADDRESS, json=told)).json()
        address = f"{ADDRESS}/{change['id']}"
        ended = await client.patch(address, json={})
        assert ended.status == 200
        assert await ended.json() == change | {"to_ms": NOON_MS}
        again = await client.patch(address, json={"to_ms": NOON_MS - 5})
        assert await again.json() == change | {"to_ms": NOON_MS - 5}
        asked = await (await client.get(ADDRESS)).json()
        assert asked == {"changes": [change | {"to_ms": NOON_MS - 5}]}
        as_json = {"Content-Type": "application/json"}
        for where, body, headers, status in (
            (f"{ADDRESS}/0", "{}", as_json, 404),
            (address, "", as_json, 400),
            (address, '{"title": "x"}', as_json, 400),
            (address, f'{{"to_ms": {NOON_MS + 2 * DAY_MS}}}', as_json, 400),
            (address, "{}", {"Content-Type": "text/plain"}, 415),
            (f"{address}?a=1", "{}", as_json, 400),
        ):
            found, line = await _refusal(await client.patch(where, data=body, headers=headers))
            assert found == status, line
        foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
        assert (await client.patch(address, json={}, headers=foreign)).status == 403

    _told(shop, story)


async def _refusal(response: Any) -> tuple[int, str]:
    line = (await response.json())["error"]
    assert "\n" not in line
    return response.status, line


def test_what_cannot_be_taken_is_refused_with_a_line(shop: Shop) -> None:
    """A body that tells of nothing, of another type, too large, in chunks without end; unknown parameters."""

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1_000

    async def story(client: Client) -> None:
        as_json = {"Content-Type": "application/json"}
        told = json.dumps(DEPLOY)
        for body, headers, status in (
            ("{}", as_json, 400),
            (told, {"Content-Type": "text/plain"}, 415),
            (told, {"Content-Type": "application/x-www-form-urlencoded"}, 415),
            (told + " " * BODY_MAX, as_json, 413),
            (endless(), as_json, 413),
        ):
            found, line = await _refusal(await client.post(ADDRESS, data=body, headers=headers))
            assert found == status, line
        for query in ("?at=1", "?from_ms=x", "?from_ms=1.5", "?to_ms=", "?from_ms=1&from_ms=2"):
            found, line = await _refusal(await client.get(ADDRESS + query))
            assert found == 400, query
        assert (await _refusal(await client.post(f"{ADDRESS}?a=1", json=DEPLOY)))[0] == 400
        assert (await client.delete(ADDRESS)).status == 405

    _told(shop, story)
    assert _stored(shop) == 0


def test_only_the_shops_own_token_opens_changes(shop: Shop) -> None:
    """A host's link gets 403 for telling and for asking, nobody else anything but 401."""
    link = HostTokens("s3cret").make("L1", NOON_MS + HOUR_MS)

    async def story(client: Client) -> None:
        for token, status in ((link, 403), ("wrong", 401), (None, 401)):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            for address in (ADDRESS, f"{ADDRESS}?scope=live:L1&live=L1"):
                assert (await client.get(address, headers=headers)).status == status
                assert (await client.post(address, json=DEPLOY, headers=headers)).status == status
            assert (await client.patch(f"{ADDRESS}/1", json={}, headers=headers)).status == status
        headers = {"Authorization": "Bearer s3cret"}
        assert (await client.post(ADDRESS, json=DEPLOY, headers=headers)).status == 201
        assert (await client.get(ADDRESS, headers=headers)).status == 200

    _told(shop, story, token="s3cret")
    assert _stored(shop) == 1


def test_no_page_of_another_site_tells_of_a_change(shop: Shop) -> None:
    """Without a token: neither a script nor a form that takes the browser along; following a link is well."""

    async def story(client: Client) -> None:
        for site in ("cross-site", "same-site"):
            for mode in ("navigate", "cors", "no-cors"):
                headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
                assert (await client.post(ADDRESS, json=DEPLOY, headers=headers)).status == 403
                asked = await client.get(ADDRESS, headers=headers)
                assert asked.status == (200 if mode == "navigate" else 403)
        assert (await client.post(ADDRESS, json=DEPLOY, headers={"Host": "evil.example"})).status == 403

    _told(shop, story)
    assert _stored(shop) == 0


def test_changes_are_among_the_gauges(shop: Shop) -> None:
    """Of the last day; what is broken in their key takes no other gauge along."""

    async def story(client: Client) -> None:
        assert (await client.post(ADDRESS, json=DEPLOY)).status == 201
        sample = 'shop_pulse_change_timestamp_seconds{kind="deploy",title="checkout 1.42"}'
        text = await (await client.get("/metrics")).text()
        (line,) = [line for line in text.splitlines() if line.startswith(sample)]
        assert float(line.removeprefix(sample)) == (NOON_MS - 1) / 1_000

    _told(shop, story)
    shop.client.set(f"{shop.prefix}:changes", "x")

    async def broken(client: Client) -> None:
        text = await (await client.get("/metrics")).text()
        assert "shop_pulse_redis_up 1.0" in text and "change_timestamp" not in text
        assert "shop_pulse_live_heartbeat_timestamp_seconds" in text

    _told(shop, broken)

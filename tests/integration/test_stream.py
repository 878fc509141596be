"""Server-sent events over real sockets: what clients are told, and how slow ones are dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from streams.changes import Changes
from streams.local.redis import RedisServer
from streams.scopes import pair_value
from streams.store import connect
from streams.web import app as app_module
from streams.web import hub as hub_module
from streams.web import stream as stream_module
from streams.web.app import build_app
from streams.web.host_token import HostTokens
from streams.web.hub import Hub
from streams.web.stream import HUB
from tests.redis_kit import NOON_MS, Shop
from tests.stream_kit import ALL, CURRENCIES, Listener, deaf_client, sell

Client = TestClient[Any, Any]
DEADLINE_S = 60.0


def _told(
    shop: Shop,
    story: Callable[[Client], Awaitable[None]],
    clock: Callable[[], int] = lambda: NOON_MS,
    token: str = "",
) -> None:
    """Tells a story to an app over the shop; all of it has an end, and leaves no task."""

    async def told() -> None:
        redis = connect(shop.url)
        model = shop.model(redis)
        model.clock = clock
        app = build_app(model, shop.settings(token=token), Changes(redis, shop.prefix, clock))
        async with (
            asyncio.timeout(DEADLINE_S),
            TestClient(TestServer(app)) as client,
        ):
            await story(client)
        await redis.aclose()
        async with asyncio.timeout(DEADLINE_S):
            while asyncio.all_tasks() != {asyncio.current_task()}:
                await asyncio.sleep(0.01)

    asyncio.run(told())


def _hub(client: Client) -> Hub:
    hub: Hub = client.server.app[HUB]  # type: ignore[attr-defined]  # TestServer has it, BaseTestServer not
    return hub


async def _listen(client: Client, path: str = ALL, **headers: str) -> Listener:
    return await Listener.open("127.0.0.1", client.port or 0, path, **headers)


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def test_a_stream_tells_what_the_api_answers(shop: Shop) -> None:
    """Each message is a whole answer; what was written comes as the next, and nothing comes without."""

    async def story(client: Client) -> None:
        async def answer() -> object:
            return await (await client.get("/api/v1/kpis?scope=all&window=5m")).json()

        listener = await (await _listen(client)).next()
        assert listener.answers == [await answer()]
        sell(shop, items=3)
        await listener.next()
        assert listener.answers[1:] == [await answer()]
        assert listener.answers[1]["items"] == 3
        shop.meta(0, token="1" * 32)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listener.next(), 2.5)
        listener.close()

    _told(shop, story)


def test_a_moving_clock_alone_shows_in_a_stream(shop: Shop) -> None:
    """A worker that died: nothing is written any more, and the stream says that it is stale."""
    now_ms = [NOON_MS]

    async def story(client: Client) -> None:
        listener = await (await _listen(client)).next()
        assert listener.answers[-1]["state"] == "open"
        now_ms[0] += 70_000
        await listener.next()
        assert listener.answers[-1]["state"] == "stale"
        assert listener.answers[-1]["to_ms"] == NOON_MS + 70_000
        listener.close()

    _told(shop, story, clock=lambda: now_ms[0])


def test_a_client_comes_back_with_its_last_id(shop: Shop) -> None:
    """While nothing has changed it hears only that the connection holds; after a change the answer."""

    async def story(client: Client) -> None:
        first = await (await _listen(client)).next()
        first.close()
        again = await (await _listen(client, **{"Last-Event-ID": first.ids[0]})).next()
        assert (again.comments, again.answers) == (1, [])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(again.next(), 1.5)
        sell(shop, items=3)
        await again.until(3)
        assert again.ids[0] != first.ids[0]
        again.close()

    _told(shop, story)


def test_a_quiet_stream_says_that_it_lives(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, which readers of events leave out, so that nobody on the way takes it for dead."""
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.05)

    async def story(client: Client) -> None:
        listener = await _listen(client)
        while listener.comments < 3:
            await listener.next()
        assert len(listener.answers) == 1
        listener.close()

    _told(shop, story)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "scope is missing, for example scope=all, or live=LIVE"),
        ("scope=all", "window is missing"),
        ("scope=planet:x&window=5m", "unknown scope"),
        ("scope=all&window=9m", "unknown window"),
        ("scope=all&window=live", "window=live belongs to"),
        ("scope=all&window=5m&from_ms=1", "unknown parameter 'from_ms'"),
        ("scope=all&window=5m&live=L1", "either with live"),
        ("live=", "1 to 64 characters"),
        ("live=" + "x" * 65, "1 to 64 characters"),
        ("live=a&live=b", "more than once"),
    ],
)
def test_a_question_that_can_never_be_answered_is_a_400(shop: Shop, query: str, reason: str) -> None:
    """What is wrong for good is said at once, as by the API, and opens no stream."""

    async def story(client: Client) -> None:
        response = await client.get(f"/api/v1/stream?{query}")
        assert (response.status, reason in (await response.json())["error"]) == (400, True)
        assert (await client.head(ALL)).status == 405
        assert _hub(client).questions == 0

    _told(shop, story)


def test_a_stream_of_a_live_is_its_whole_room(shop: Shop) -> None:
    """What ``/api/v1/lives/LIVE`` answers, again at each change."""
    shop.live(0, "a/b", NOON_MS - 60_000)

    async def story(client: Client) -> None:
        listener = await (await _listen(client, "/api/v1/stream?live=a%2Fb")).next()
        sell(shop, kind="live", value="a/b", items=3)
        await listener.next()
        response = await client.get(URL("/api/v1/lives/a%2Fb", encoded=True))
        assert listener.answers[1] == await response.json()
        assert listener.answers[1]["since_start"]["items"] == 3
        listener.close()

    _told(shop, story)


@pytest.mark.parametrize("question", ["scope=live:L1&window=live", "live=L1"])
def test_what_cannot_be_answered_yet_is_said_in_the_stream(shop: Shop, question: str) -> None:
    """A live that has not begun: its host's page waits with an open stream, and then it fills."""

    async def story(client: Client) -> None:
        listener = await (await _listen(client, f"/api/v1/stream?{question}")).next()
        assert (len(listener.errors), listener.ids) == (1, [])
        assert "L1" in listener.errors[0]
        shop.live(0, "L1", NOON_MS - 60_000)
        shop.meta(0, token="1" * 32)
        await listener.next()
        assert (len(listener.answers), len(listener.errors)) == (1, 1)
        listener.close()

    _told(shop, story)


def test_a_redis_that_is_away_is_said_in_the_stream(new_redis: Callable[..., RedisServer]) -> None:
    """One line, and the answer again by itself when it is back."""
    server = new_redis()
    shop = Shop(server.url).healthy(NOON_MS)

    async def story(client: Client) -> None:
        listener = await (await _listen(client)).next()
        await asyncio.to_thread(server.stop)
        await listener.next()
        assert len(listener.errors) == 1
        assert "Redis" in listener.errors[0]
        await asyncio.to_thread(server.start)
        while len(listener.answers) < 2:
            await listener.next()
        assert listener.answers[0] == listener.answers[1]
        listener.close()

    _told(shop, story)


def test_nothing_is_left_of_clients_that_went(shop: Shop) -> None:
    """Whether they say so or break off: their places, tasks and questions go at once."""

    async def story(client: Client) -> None:
        before = asyncio.all_tasks()
        paths = [ALL, "/api/v1/stream?scope=live:L1&window=5m", "/api/v1/stream?scope=live:L2&window=5m"]
        listeners = [await (await _listen(client, path)).next() for path in paths * 5]
        assert (_hub(client).clients, _hub(client).questions) == (15, 3)
        for number, listener in enumerate(listeners):
            if number % 2:
                listener.close()
            else:
                listener.writer.close()
        while _hub(client).clients or asyncio.all_tasks() - before:
            await asyncio.sleep(0.01)
        assert _hub(client).questions == 0

    _told(shop, story)


def test_streams_take_no_places_of_requests(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are open, a question is answered; and beyond their own bound they are refused."""
    monkeypatch.setattr(app_module, "REQUESTS_AT_ONCE", 1)
    monkeypatch.setattr(app_module, "REQUESTS_WAITING", 0)
    monkeypatch.setattr(hub_module, "CLIENTS_MAX", 5)

    async def story(client: Client) -> None:
        listeners = [await (await _listen(client)).next() for _ in range(5)]
        assert (await client.get("/api/v1/kpis?scope=all&window=5m")).status == 200
        refused = await client.get(ALL)
        assert (refused.status, "too many streams" in (await refused.json())["error"]) == (503, True)
        assert _hub(client).refused == 1
        for listener in listeners:
            listener.close()

    _told(shop, story)


def test_headers_keep_caches_and_proxies_away(shop: Shop) -> None:
    """A stream is not kept, not guessed at, not collected before it is passed on."""

    async def story(client: Client) -> None:
        async with client.get(ALL) as response:
            headers = response.headers
            assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-store", "no")
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "Server" not in headers

    _told(shop, story)


def test_a_client_that_does_not_read_is_dropped(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once what is held back for it stays full for too long, it is cut off and counted; others go on."""
    monkeypatch.setattr(stream_module, "SLOW_S", 0.5)
    monkeypatch.setattr(hub_module, "PERIOD_S", 0.05)
    shop = Shop(redis_server.url).healthy(NOON_MS, CURRENCIES)

    async def story(client: Client) -> None:
        listener = await (await _listen(client)).next()
        with deaf_client("127.0.0.1", client.port or 0):
            items = 0
            while not _hub(client).dropped:
                items += 1
                sell(shop)
                await listener.until(items)
            assert _hub(client).dropped == 1
            sell(shop)
            await listener.until(items + 1)
            assert _hub(client).clients == 1
        listener.close()

    _told(shop, story)


OPERATOR = {"Authorization": "Bearer s3cret"}
HOST = {"Authorization": f"Bearer {HostTokens('s3cret').make('L1', NOON_MS + 3_600_000)}"}
OF_LIVE = (
    *("/api/v1/kpis?scope=live:L1&window=5m", "/api/v1/kpis?scope=live:L1,product:p1&window=5m"),
    *("/api/v1/kpis?scope=live:L1&window=live", "/api/v1/lives/L1"),
    *("/api/v1/series?scope=live:L1&window=30m", "/api/v1/series?scope=live:L1,product:p1&window=1h"),
)
STREAMS = ("/api/v1/stream?scope=live:L1&window=5m", "/api/v1/stream?live=L1")


def _live_shop(url: str, others: str) -> Shop:
    """A shop with a live that sold in dollars; with a second live, in the currency given."""
    shop = Shop(url).healthy(NOON_MS - 10_000, f"USD {others}".strip())
    for live_id, currency in [("L1", "USD"), *([("L2", others)] if others else [])]:
        shop.live(0, live_id, NOON_MS - 600_000)
        for at_ms in (NOON_MS - 1, NOON_MS - 400_000):
            amounts = {"items": 2, "events__view": 9, f"gmv_paid__{currency}": 5, f"orders__{currency}": 1}
            shop.book(at_ms, "live", live_id, 0, **amounts)
            shop.book(at_ms, "live,product", pair_value(live_id, "p1"), 0, **amounts)
            shop.book(at_ms, "all", "", 0, **amounts)
            shop.book(at_ms, "pipeline", "views", accepted=7)
            shop.users(at_ms, "view", "live", live_id, f"u{at_ms}")
    return shop


def test_a_host_is_told_nothing_of_other_lives(redis_server: RedisServer) -> None:
    """Two shops that differ in other lives only: every body and message for the host of L1 is the same,
    byte by byte, and has the live's own money; the operator is told of the difference."""
    told: list[list[bytes]] = []
    whole: list[list[bytes]] = []

    async def story(client: Client) -> None:
        for headers, found in ((HOST, told), (OPERATOR, whole)):
            bodies = []
            for path in OF_LIVE:
                async with client.get(path, headers=headers) as response:
                    assert response.status == 200
                    bodies.append(await response.read())
            for path in STREAMS:
                async with client.get(path, headers=headers) as response:
                    bodies.append(await response.content.readuntil(b"\n\n"))
            found.append(bodies)

    for others in ("", "EUR"):
        _told(_live_shop(redis_server.url, others), story, token="s3cret")
    alone, among_others = told
    assert alone == among_others
    assert all(b"USD" in body and b"EUR" not in body and b'"accepted"' not in body for body in alone)
    assert all(b"EUR" in body for body in whole[1])
    assert b'"accepted":' in whole[1][-1] and b'"accepted":' in whole[1][-2]

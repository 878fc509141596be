"""Who may ask what, over HTTP: each host's link against each live and each address, and foreign pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from streams.changes import Changes
from streams.local.redis import RedisServer
from streams.read_model import ReadModel
from streams.read_store import ReadStore
from streams.room_view import RoomViews
from streams.store import connect
from streams.web import routes
from streams.web.app import build_app
from streams.web.host_token import HostTokens
from tests.redis_kit import NOON_MS, Shop

Client = TestClient[Any, Any]
Story = Callable[[Client], Awaitable[None]]
SECRET = "s3cret-ü"
HOUR_MS = 3_600_000
# Ids that are part of one another, that look like a pair, that need escaping or look escaped, that differ in
# case or in how an accent is written.
LIVES = (
    *("L1", "L", "l1", "L1,product:p", "L1,product:p1", "L1,product:p,product:p1", "live:L1", ":", ","),
    *(
        "a/b",
        "a%2Fb",
        "100%",
        "%",
        "a b",
        "a+b",
        "?#&=;",
        "..x",
        "\n",
        "{}",
        "直播间",
        "caf\u00e9",
        "cafe\u0301",
    ),
)
HOSTS_ADDRESSES = ("/api/v1/kpis", "/api/v1/series", "/api/v1/stream")
WINDOW = {"/api/v1/kpis": "5m", "/api/v1/series": "30m", "/api/v1/stream": "5m"}


@pytest.fixture(autouse=True)
def told_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that only repeat the question: who may ask is decided before."""

    async def of_scope(_model: object, scope: str, *_: object) -> dict[str, object]:
        return {"asked": scope}

    async def of_live(_rooms: object, live_id: str) -> dict[str, object]:
        return {"asked": live_id}

    monkeypatch.setattr(ReadModel, "kpis", of_scope)
    monkeypatch.setattr(routes, "read_series", of_scope)
    monkeypatch.setattr(routes, "read_comparison", of_scope)
    monkeypatch.setattr(RoomViews, "read", of_live)


def _told(
    redis: RedisServer, story: Story, token: str = SECRET, clock: Callable[[], int] = lambda: NOON_MS
) -> None:
    """Tells a story to a client of the service."""
    shop = Shop(redis.url).healthy(NOON_MS)
    settings = shop.settings(token=token)

    async def told() -> None:
        store = connect(shop.url)
        model = ReadModel(ReadStore(store, shop.prefix, shop.partitions), settings, clock)
        app = build_app(model, settings, Changes(store, shop.prefix, clock))
        async with TestClient(TestServer(app)) as client:
            await story(client)
        await store.aclose()

    asyncio.run(told())


def _host(live_id: str, expires_ms: int = NOON_MS + HOUR_MS) -> dict[str, str]:
    """The header that a host's page sends."""
    return {"Authorization": f"Bearer {HostTokens(SECRET).make(live_id, expires_ms)}"}


def _address(path: str, **query: str) -> str:
    """A path with its query, escaped as the pages do."""
    return f"{path}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())


async def _get(client: Client, address: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and what was asked, or the line of the refusal; of a stream the first message."""
    url = URL(address, encoded=True)
    async with client.get(url, headers=headers or {}) as response:
        if response.content_type == "text/event-stream":
            await response.content.readuntil(b"data: ")
            return response.status, (await response.content.readline()).decode()
        if response.content_type != "application/json":
            return response.status, ""
        answer = await response.json()
        line = answer.get("error", "")
        assert "\n" not in line
        return response.status, answer.get("asked", line)


def _owner(scope: str) -> str | None:
    """Whose figures a scope shows, by the contract's words: split at the first kind that follows a comma."""
    live_id, pair, product_id = scope.removeprefix("live:").partition(",product:")
    return None if pair and (not live_id or ",product:" in product_id) else live_id


def test_each_link_opens_its_own_live_and_no_other(redis_server: RedisServer) -> None:
    """Every token against every live at every address, pairs included: token i opens j if and only if i is
    j, and what it opens is j."""

    async def story(client: Client) -> None:
        tokens = {live_id: _host(live_id) for live_id in LIVES}
        questions: list[tuple[str, str | None]] = []
        for live_id in LIVES:
            questions.append((f"/api/v1/lives/{quote(live_id, safe='')}", live_id))
            questions.append((_address("/api/v1/stream", live=live_id), live_id))
            for scope in (f"live:{live_id}", f"live:{live_id},product:p1"):
                for path in HOSTS_ADDRESSES:
                    questions.append((_address(path, scope=scope, window=WINDOW[path]), _owner(scope)))
        for address, owner in questions:
            for live_id, headers in tokens.items():
                status, asked = await _get(client, address, headers)
                assert status == (200 if live_id == owner else 403), (live_id, address)
                if status == 403:
                    assert asked == "this link opens its own live and nothing else"
                elif "/lives/" in address:
                    assert asked == live_id

    _told(redis_server, story)


def test_a_link_opens_nothing_else(redis_server: RedisServer) -> None:
    """Every other address, kind of scope and method, and every question of two readings."""

    async def story(client: Client) -> None:
        own = "scope=live:L1&window=5m"
        refused = [
            *("/metrics", "/readyz", "/api/v1/scopes?kind=live&window=30m", "/nowhere", "/api/v1/lives/"),
            *(f"/api/v1/{of}/reasons?{own}" for of in ("payments", "refunds")),
            *(f"/api/v1/comparison?{own}", "/api/v1/statements/L1", "/api/v1/statements/L1?scope=live:L1"),
            *("/api/v1/stock", "/api/v1/stock?state=out&window=30m"),
            *("/api/v1/mini-programs/L1/returns", "/api/v1/mini-programs/L1/returns?scope=live:L1"),
            "/api/v1/creators?platform=tiktok&days=7",
            *(f"/api/v1/virality?{own}", "/api/v1/virality?scope=all&window=5m"),
            *("/api/v1/lives/L1/", "/api/v1/lives/L1/x", "/api/v1/lives/L1%2F", "/api/v1//lives/L1"),
            *("/api/v1/redirections", "/api/v1/redirections/L1", "/api/v1/products/underperforming"),
            *("/api/v1/lives/l1", "/api/v1/lives/L1%00", "/api/v1/kpis/", "/api/v1/kpis%3Fscope=live:L1"),
        ]
        for path in HOSTS_ADDRESSES:
            refused += [
                f"{path}?{query}" for query in ("", "window=5m", "scope=all&window=5m", "scope=live:")
            ]
            refused += [
                f"{path}?scope={scope}"
                for scope in ("creator:L1", "product:L1", "live", "Live:L1", "live:L1,")
            ]
            refused += [
                f"{path}?scope={scope}"
                for scope in ("live:L1,product:", "live:L1,creator:c", "product:p,live:L1")
            ]
            refused += [f"{path}?{own}&scope=live:L2", f"{path}?scope=all&{own}", f"{path}?{own}&live=L2"]
            refused += [f"{path}?{own}&live=", f"{path}?SCOPE=live:L1", f"{path}?live=L2"]
        for address in refused:
            assert await _get(client, address, _host("L1")) == (
                403,
                "this link opens its own live and nothing else",
            ), address
        # What many lives share, or none has, is nobody's, also for a link that was made for that name.
        for name in ("other", "unattributed"):
            queries = [f"scope=live:{name}", f"scope=live:{name},product:p", "scope=live,product:other"]
            addresses = [
                f"{path}?{query}&window={WINDOW[path]}" for path in HOSTS_ADDRESSES for query in queries
            ]
            for address in (*addresses, f"/api/v1/lives/{name}", f"/api/v1/stream?live={name}"):
                for live_id in ("L1", name):
                    assert (await _get(client, address, _host(live_id)))[0] == 403, address
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            response = await client.request(method, f"/api/v1/kpis?{own}", headers=_host("L1"))
            assert response.status == 403
        # What is own but wrong is said as to anybody.
        assert (await _get(client, f"/api/v1/kpis?{own}&live=L1", _host("L1")))[0] == 400

    _told(redis_server, story)


def test_the_operator_is_asked_nothing_more(redis_server: RedisServer) -> None:
    """With SHOP_PULSE_TOKEN every address and every live answers."""

    async def story(client: Client) -> None:
        operator = {"Authorization": f"Bearer {SECRET}"}
        for live_id in LIVES:
            address = f"/api/v1/lives/{quote(live_id, safe='')}"
            assert await _get(client, address, operator) == (200, live_id)
        for address in ("/api/v1/kpis?scope=all&window=5m", "/api/v1/comparison?scope=all&window=5m"):
            assert await _get(client, address, operator) == (200, "all")
        assert (await _get(client, "/metrics", operator))[0] == 200

    _told(redis_server, story)


def test_pages_are_open_and_figures_are_not(redis_server: RedisServer) -> None:
    """Whoever has no token sees pages, which hold no figure, and a sign of life; forged, foreign and
    malformed tokens are as none."""

    async def story(client: Client) -> None:
        public = ["/", "/live/L1", "/live/a%2Fb", "/static/live.js", "/healthz", "/static/nothing"]
        good = HostTokens(SECRET).make("L1", NOON_MS + HOUR_MS)
        wrong = [
            *("", "Bearer", "Bearer ", f"Bearer {SECRET}x", SECRET, f"bearer {SECRET}", f"Basic {SECRET}"),
            *(f"Bearer {good[:-1]}", f"Bearer {good}=", f"Bearer x{good[1:]}", good, f"Bearer  {good}"),
            f"Bearer {HostTokens('another').make('L1', NOON_MS + HOUR_MS)}",
        ]
        closed = [
            "/metrics",
            "/nowhere",
            "/readyz",
            "/api/v1/lives/L1",
            "/api/v1/kpis?scope=live:L1&window=5m",
        ]
        for authorization in wrong:
            headers = {"Authorization": authorization}
            for address in public:
                status, _ = await _get(client, address, headers)
                assert status == (404 if address == "/static/nothing" else 200), address
            for address in [*closed, "/api/v1/stream?live=L1", "/healthz/", "/static", "/live/"]:
                async with client.get(URL(address, encoded=True), headers=headers) as response:
                    assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer"), address
                    assert "s3cret" not in await response.text()
            # An address in the query opens nothing.
            assert (await _get(client, f"/metrics?token={good}", headers))[0] == 401

    _told(redis_server, story)


def test_a_link_ends_by_the_services_clock(redis_server: RedisServer) -> None:
    """The second before it opens, at that millisecond it does not, and the line says why."""
    now_ms = [NOON_MS + HOUR_MS - 1]

    async def story(client: Client) -> None:
        assert await _get(client, "/api/v1/lives/L1", _host("L1")) == (200, "L1")
        now_ms[0] += 1
        for address in ("/api/v1/lives/L1", "/api/v1/lives/L2", "/api/v1/stream?live=L1", "/metrics"):
            status, line = await _get(client, address, _host("L1"))
            assert (status, "expired" in line) == (401, True)

    _told(redis_server, story, clock=lambda: now_ms[0])


def test_a_stream_ends_when_its_link_does(redis_server: RedisServer) -> None:
    """It says so as its last message; a stream of the operator goes on."""
    began_s = time.monotonic()

    def clock() -> int:
        return NOON_MS + int((time.monotonic() - began_s) * 1_000)

    async def story(client: Client) -> None:
        expires_ms = clock() // 1_000 * 1_000 + 2_000
        operator = {"Authorization": f"Bearer {SECRET}"}
        async with client.get("/api/v1/stream?live=L1", headers=operator) as going_on:
            async with client.get("/api/v1/stream?live=L1", headers=_host("L1", expires_ms)) as ending:
                text = (await asyncio.wait_for(ending.content.read(), 20)).decode()
            assert clock() >= expires_ms
            assert '"asked":"L1"' in text
            assert text.endswith(
                'event: error\ndata: {"error":"this link has expired; ask for a new one '
                '(shop-pulse token)"}\n\n'
            )
            assert not going_on.content.at_eof()

    _told(redis_server, story, clock=clock)


OWN_NAMES = ("127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "127.9.9.9", "[::1]", "[::1]:8080")
FOREIGN_NAMES = (
    *("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"),
    *("127.0.0.1@evil.example", "", "x", "[", "0.0.0.0", "[::]", "2130706433"),
)


@pytest.mark.parametrize("name", OWN_NAMES)
def test_without_a_token_this_machine_is_answered(redis_server: RedisServer, name: str) -> None:
    """Loopback and localhost, with any port: pages and figures are open."""

    async def story(client: Client) -> None:
        for address in ("/", "/api/v1/lives/L1", "/healthz"):
            assert (await _get(client, address, {"Host": name}))[0] == 200

    _told(redis_server, story, token="")


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_without_a_token_a_foreign_name_is_refused(redis_server: RedisServer, name: str) -> None:
    """A page whose own name points here (DNS rebinding) reads nothing; with a token any name will do."""

    async def story(client: Client) -> None:
        for address in ("/", "/api/v1/lives/L1", "/api/v1/stream?live=L1", "/metrics", "/nowhere"):
            status, line = await _get(client, address, {"Host": name})
            assert (status, "SHOP_PULSE_TOKEN" in line) == (403, True)
        assert (await _get(client, "/healthz", {"Host": name}))[0] == 200

    _told(redis_server, story, token="")

    async def with_token(client: Client) -> None:
        assert await _get(client, "/api/v1/lives/L1", _host("L1") | {"Host": name}) == (200, "L1")

    _told(redis_server, with_token)


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
        ("cross-site", "navigate", 200),
        ("cross-site", "cors", 403),
        ("cross-site", "no-cors", 403),
        ("same-site", "no-cors", 403),
    ],
)
def test_without_a_token_pages_of_other_sites_may_not_ask(
    redis_server: RedisServer, site: str, mode: str, status: int
) -> None:
    """A browser says which site asks, another port of this machine included; a link may be followed."""

    async def story(client: Client) -> None:
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        assert (await _get(client, "/api/v1/lives/L1", headers))[0] == status
        assert (await _get(client, "/api/v1/stream?live=L1", headers))[0] == status

    _told(redis_server, story, token="")

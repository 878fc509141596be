"""The read service over HTTP: answers, errors, pages, bounds. No sockets but loopback's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from copy import deepcopy
from pathlib import PurePosixPath
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from streams.comparison import read_comparison
from streams.local.redis import RedisServer
from streams.products import ProductRecord
from streams.read_model import ReadModel
from streams.room_view import RoomViews
from streams.scopes import pair_value
from streams.series import read_series
from streams.store import connect
from streams.web import app as web_app
from streams.web import watch_routes
from streams.web.pages import CONTENT_TYPES, load_pages
from tests.redis_kit import NOON_MS, Shop

Client = TestClient[Any, Any]
MINUTE_MS = 60_000


@pytest.fixture
def shop(redis_server: RedisServer) -> Shop:
    """A shop of two partitions, read up to 10 s before noon."""
    return Shop(redis_server.url).healthy(NOON_MS - 10_000)


def _with_client(shop: Shop, use: Callable[[Client], Awaitable[None]], **changed: Any) -> None:
    """Runs `use` with a client of an app over the shop; settings as changed."""

    async def run() -> None:
        redis = connect(shop.url)
        app = shop.app(redis, **changed)
        async with TestClient(TestServer(app)) as client:
            await use(client)
        await redis.aclose()

    asyncio.run(run())


def _get(shop: Shop, path: str, status: int = 200, **changed: Any) -> Any:
    """One request's JSON."""
    found: list[Any] = []

    async def use(client: Client) -> None:
        response = await client.get(URL(path, encoded=True))
        found.append(await response.json())
        assert response.status == status, found

    _with_client(shop, use, **changed)
    return found[0]


def test_an_answer_is_the_read_models(shop: Shop) -> None:
    """The API adds nothing and leaves nothing out; integers stay exact beyond doubles."""
    shop.book(NOON_MS - 1, "live", "L1", gmv_paid__USD=2**53 + 1)
    answer = _get(shop, "/api/v1/kpis?scope=live:L1&window=5m")
    assert answer == shop.ask(lambda model: model.kpis("live:L1", "5m"))
    assert answer["money"]["USD"]["gmv_paid_minor"] == 2**53 + 1


def test_every_kind_of_answer_is_the_read_models(shop: Shop) -> None:
    """Series, comparison, a live room and a pair; ids are percent-decoded once, in a path too."""
    live_id = "a/b%2F ü"
    shop.live(0, live_id, NOON_MS - 5 * MINUTE_MS)
    shop.book(NOON_MS - 1, "live", live_id, items=3)
    shop.book(NOON_MS - 1, "live,product", pair_value(live_id, "p,1"), items=2)
    escaped = "a%2Fb%252F%20%C3%BC"
    pair = _get(shop, f"/api/v1/kpis?scope=live:{escaped},product:p%2C1&window=5m")
    assert (pair["scope"], pair["items"]) == (f"live:{live_id},product:p,1", 2)
    scope = f"live:{live_id}"
    series = _get(shop, f"/api/v1/series?scope=live:{escaped}&window=30m")
    assert series == shop.ask(lambda model: read_series(model, scope, "30m"))
    comparison = _get(shop, f"/api/v1/comparison?scope=live:{escaped}&window=5m")
    assert comparison == shop.ask(lambda model: read_comparison(model, scope, "5m"))
    room = _get(shop, f"/api/v1/lives/{escaped}")
    assert room == shop.ask(lambda model: RoomViews(model).read(live_id))
    assert room["live_id"] == live_id


def test_an_unknown_live_is_a_404(shop: Shop) -> None:
    """A room that no event has told of, in one line; not to be mixed up with a question that is wrong."""
    assert list(_get(shop, "/api/v1/lives/nobody", 404)) == ["error"]


def test_a_range_is_given_by_both_ends(shop: Shop) -> None:
    """from_ms and to_ms on borders; the value of a scope is percent-decoded."""
    shop.book(NOON_MS - 1, "live", "a b+c,ü", items=1)
    query = f"scope=live:a%20b%2Bc,%C3%BC&from_ms={NOON_MS - MINUTE_MS}&to_ms={NOON_MS}"
    answer = _get(shop, f"/api/v1/kpis?{query}")
    assert (answer["items"], answer["scope"]) == (1, "live:a b+c,ü")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/api/v1/kpis", "scope is missing"),
        ("/api/v1/kpis?scope=all", "either with window"),
        ("/api/v1/kpis?scope=all&window=9m", "unknown window '9m'"),
        ("/api/v1/kpis?scope=all&window=5m&window=5m", "more than once"),
        ("/api/v1/kpis?scope=all&windwo=5m", "unknown parameter 'windwo'"),
        ("/api/v1/kpis?scope=planet:x&window=5m", "unknown scope"),
        ("/api/v1/kpis?scope=live:a,creator:b&window=5m", "no pair that is kept"),
        ("/api/v1/kpis?scope=all&from_ms=1e3&to_ms=2", "digits only"),
        ("/api/v1/kpis?scope=all&from_ms=-1&to_ms=2", "digits only"),
        ("/api/v1/kpis?scope=all&from_ms=%D9%A1&to_ms=2", "digits only"),
        ("/api/v1/kpis?scope=all&from_ms=&to_ms=2", "digits only"),
        ("/api/v1/kpis?scope=all&from_ms=0&to_ms=0", "from_ms must be"),
        ("/api/v1/kpis?scope=all&from_ms=9999999999999999&to_ms=2", "digits only"),
        ("/api/v1/scopes?kind=campaign&window=30m", "no campaign has sales"),
        ("/api/v1/series?window=30m", "scope is missing"),
        ("/api/v1/series?scope=all", "window is missing"),
        ("/api/v1/series?scope=all&window=5m", "window"),
        ("/api/v1/series?scope=planet:x&window=30m", "unknown scope"),
        ("/api/v1/series?scope=all&window=30m&from_ms=1", "unknown parameter 'from_ms'"),
        ("/api/v1/comparison?scope=all", "window is missing"),
        ("/api/v1/comparison?scope=all&window=live", "window"),
        ("/api/v1/lives/L1?window=5m", "unknown parameter 'window'; known here: none"),
        ("/api/v1/scopes?kind=live", "window is missing"),
        ("/api/v1/scopes?kind=pipeline&window=5m", "unknown kind"),
        ("/api/v1/scopes?kind=live&window=24h", "window is one of"),
    ],
)
def test_a_wrong_question_is_a_400_of_one_line(shop: Shop, path: str, reason: str) -> None:
    """Every wrong parameter is named, in one line of JSON, with what to ask instead."""
    answer = _get(shop, path, 400)
    assert list(answer) == ["error"]
    assert reason in answer["error"]
    assert "\n" not in answer["error"]


def test_the_largest_values_are_listed(shop: Shop) -> None:
    """By GMV, then views, over both partitions; at most 100. Products with title and price."""
    cup = ProductRecord(listed=(1, 1), title="Cup", unit_price_minor=990, currency="EUR")
    shop.record(1, "products", "p118", cup)
    for number in range(120):
        shop.book(NOON_MS - 1, "product", f"p{number:03}", p=number % 2, events__view=1, gmv_paid__USD=number)
    shop.book(NOON_MS - 1, "product", "p119", p=0, events__view=1, gmv_paid__USD=0)
    answer = _get(shop, "/api/v1/scopes?kind=product&window=30m")
    assert (answer["kind"], answer["to_ms"], len(answer["scopes"])) == ("product", NOON_MS, 100)
    unlisted = {"title": None, "unit_price_minor": None, "currency": None}
    brought = {"gmv_paid_minor": {"USD": 119}, "views": 2}
    assert answer["scopes"][0] == {"scope": "product:p119", **unlisted, **brought}
    known = [answer["scopes"][1][name] for name in ("title", "unit_price_minor", "currency")]
    assert known == ["Cup", 990, "EUR"]
    assert answer["scopes"][-1]["scope"] == "product:p020"


def test_codes_and_channels_are_listed_by_what_they_have(shop: Shop) -> None:
    """QR codes by opens, channels by shares and their opens: how else would anybody learn their names? They
    have no sales, which is not 0 of any currency."""
    shop.book(NOON_MS - 1, "qr", "poster", events__mini_program_open=2)
    shop.book(NOON_MS - 1, "qr", "ticket", p=1, events__mini_program_open=3)
    shop.book(NOON_MS - 1, "channel", "chat", events__share=2, events__share_open=3)
    codes = _get(shop, "/api/v1/scopes?kind=qr&window=30m")["scopes"]
    assert codes == [
        {"scope": "qr:ticket", "gmv_paid_minor": {}, "views": 3},
        {"scope": "qr:poster", "gmv_paid_minor": {}, "views": 2},
    ]
    assert _get(shop, "/api/v1/scopes?kind=channel&window=30m")["scopes"] == [
        {"scope": "channel:chat", "gmv_paid_minor": {}, "views": 5}
    ]


def test_values_that_write_no_scope_of_their_kind_are_left_out(shop: Shop) -> None:
    """What is listed can be asked for as it stands; an id with a kind in it, or a broken pair, takes no place
    of another."""
    for number in range(110):
        shop.book(NOON_MS - 1, "live", f"x{number},gateway:y", gmv_paid__USD=9)
        shop.book(NOON_MS - 1, "live", f"l{number:03}", gmv_paid__USD=1)
    listed = [each["scope"] for each in _get(shop, "/api/v1/scopes?kind=live&window=5m")["scopes"]]
    assert listed == [f"live:l{number:03}" for number in range(100)]
    for value in ("other", "broken", pair_value("A,product:B", "C"), pair_value("A", "B")):
        shop.book(NOON_MS - 1, "live,product", value, gmv_paid__USD=9)
    listed = _get(shop, "/api/v1/scopes?kind=live,product&window=5m")["scopes"]
    assert {each["scope"] for each in listed} == {"live:A,product:B", "live,product:other"}
    assert {each["title"] for each in listed} == {None}


def test_a_figure_beyond_64_bits_is_named(shop: Shop) -> None:
    """JSON integers of 64 bits can't hold it: an error instead of another number."""
    for p in range(2):
        shop.book(NOON_MS - 1, "all", p=p, gmv_paid__USD=2**63 - 1)
    assert "more than 64 bits" in _get(shop, "/api/v1/kpis?scope=all&window=5m", 500)["error"]


def test_ready_is_not_alive(shop: Shop) -> None:
    """/healthz is about this process, /readyz about what it rests on."""
    assert _get(shop, "/readyz") == {"status": "ready"}
    shop.forget_meta(0, "token")
    assert "partition 0" in _get(shop, "/readyz", 503)["error"]
    assert _get(shop, "/healthz") == {"status": "alive"}


def test_without_redis_it_says_so_and_recovers(new_redis: Callable[..., RedisServer]) -> None:
    """The service runs without Redis: 503 in one line, and answers by itself when Redis is back."""
    server = new_redis()
    shop = Shop(server.url).healthy(NOON_MS)

    async def use(client: Client) -> None:
        async def status(path: str) -> int:
            async with client.get(path) as response:
                answer = await response.text()
                assert "\n" not in answer
                return response.status

        paths = ("/api/v1/kpis?scope=all&window=5m", "/api/v1/scopes?kind=live&window=5m", "/readyz")
        assert [await status(path) for path in paths] == [200, 200, 200]
        server.stop()
        assert [await status(path) for path in paths] == [503, 503, 503]
        assert await status("/healthz") == 200
        server.start()
        assert [await status(path) for path in paths] == [200, 200, 200]

    _with_client(shop, use)


def test_other_methods_and_addresses_are_refused(shop: Shop) -> None:
    """Nothing can be written; HEAD works as GET without a body; errors are JSON too."""

    async def use(client: Client) -> None:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            response = await client.request(method, "/api/v1/kpis?scope=all&window=5m", data=b"x" * 100)
            assert response.status == 405
            assert "error" in await response.json()
            assert "GET" in response.headers["Allow"]
        head = await client.head("/api/v1/kpis?scope=all&window=5m")
        assert (head.status, await head.read()) == (200, b"")
        missing = await client.get("/../../etc/passwd")
        assert (missing.status, await missing.json()) == (404, {"error": "Not Found"})

    _with_client(shop, use)


def test_every_response_keeps_browsers_strict(shop: Shop) -> None:
    """No caching, no search engine, no foreign script or frame, and no word about the software."""

    async def use(client: Client) -> None:
        for path in ("/", "/live/L1", "/static/live.js", "/api/v1/kpis", "/nowhere", "/metrics"):
            headers = (await client.get(path)).headers
            assert headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["X-Robots-Tag"] == "noindex, nofollow"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "Server" not in headers

    _with_client(shop, use)


def test_the_pages_need_nothing_from_elsewhere(shop: Shop) -> None:
    """Every file has the type that browsers insist on; what pages and scripts name is there; nothing of ours
    names an address outside."""
    pages = load_pages()
    assert {"control.html", "live.html"} <= pages.keys()

    async def use(client: Client) -> None:
        for path, name in (("/", "control.html"), ("/live/L1", "live.html"), ("/live/a%2Fb%25", "live.html")):
            response = await client.get(URL(path, encoded=True))
            assert await response.read() == pages[name].body
        for name, page in pages.items():
            response = await client.get(f"/static/{name}")
            assert (response.status, await response.read()) == (200, page.body)
            assert response.content_type == CONTENT_TYPES[PurePosixPath(name).suffix]
            if name.endswith((".html", ".js", ".css")) and not name.startswith("vendor/"):
                text = page.body.decode()
                assert "http://" not in text and "https://" not in text
                named = re.findall(r"""(?:src|href)="(?:\.\./)?static/([^"]+)"|from "\./([^"]+)\"""", text)
                assert {first or second for first, second in named} <= pages.keys()
        for path in (
            "/static/",
            "/static/nothing.js",
            "/static/vendor",
            "/static/..%2Fapp.py",
            "/live/",
            "/live/a/b",
        ):
            assert (await client.get(URL(path, encoded=True))).status == 404

    _with_client(shop, use)


def test_metrics_are_prometheus_text(shop: Shop) -> None:
    """The content type names the format and its version; the service's own streams are told of too."""

    async def use(client: Client) -> None:
        response = await client.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        text = await response.text()
        assert "shop_pulse_redis_up 1" in text
        for name in ("clients", "questions", "messages_total", "dropped_total", "refused_total"):
            assert f"\nshop_pulse_stream_{name} 0.0\n" in text

    _with_client(shop, use)


def test_an_unexpected_error_is_one_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is logged with its cause, and shown without it."""

    async def broken(*_args: object) -> None:
        raise KeyError("inner detail")

    monkeypatch.setattr(ReadModel, "kpis", broken)
    answer = _get(shop, "/api/v1/kpis?scope=all&window=5m", 500)
    assert answer == {"error": "an error of the read service; its log has the cause"}


def test_requests_are_bounded_in_number_and_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a request is refused at once, one that takes too long is given up, and /healthz
    answers all the while."""
    monkeypatch.setattr(web_app, "REQUESTS_AT_ONCE", 1)
    monkeypatch.setattr(web_app, "REQUESTS_WAITING", 1)
    monkeypatch.setattr(web_app, "ANSWER_TIMEOUT_S", 0.3)

    async def slow(*_args: object) -> dict[str, object]:
        await asyncio.sleep(5)
        return {}

    monkeypatch.setattr(ReadModel, "kpis", slow)

    async def use(client: Client) -> None:
        path = "/api/v1/kpis?scope=all&window=5m"
        asked = [asyncio.ensure_future(client.get(path)) for _ in range(2)]
        await asyncio.sleep(0.1)
        refused = await client.get(path)
        assert (refused.status, "too many" in (await refused.json())["error"]) == (503, True)
        assert (await client.get("/healthz")).status == 200
        for response in await asyncio.gather(*asked):
            assert (response.status, "no answer within" in (await response.json())["error"]) == (503, True)

    _with_client(shop, use)


def test_products_that_explain_a_drop_have_titles(
    new_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A product among the causes is named as it was listed; without Redis the drops are told still."""
    causes = [{"cause": "product p1", "product_id": "p1"}, {"cause": "platform tiktok"}]
    monkeypatch.setattr(watch_routes, "drops_answer", lambda _: {"drops": [{"causes": deepcopy(causes)}]})
    server = new_redis()
    shop = Shop(server.url).healthy(NOON_MS)
    cup = ProductRecord(listed=(1, 1), title="Cup", unit_price_minor=990, currency="EUR")
    shop.record(0, "products", "p1", cup)

    told: list[Any] = []

    async def use(client: Client) -> None:
        told.append(await (await client.get("/api/v1/drops")).json())
        server.stop()
        told.append(await (await client.get("/api/v1/drops")).json())

    _with_client(shop, use)
    listed = {"title": "Cup", "unit_price_minor": 990, "currency": "EUR"}
    with_title, without = told
    assert with_title["drops"][0]["causes"] == [causes[0] | listed, causes[1]]
    assert without["drops"][0]["causes"] == [causes[0] | dict.fromkeys(listed), causes[1]]


def test_what_runs_beside_ends_with_the_service() -> None:
    """Also if a cancellation is lost on the way: the Redis client can make an error of its own of it."""
    cancelled: list[bool] = []

    async def run() -> None:
        while len(cancelled) < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(True)
        raise asyncio.CancelledError

    async def story() -> None:
        beside = web_app.while_running(run)(web.Application())
        await anext(beside)
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            with pytest.raises(StopAsyncIteration):
                await anext(beside)

    asyncio.run(story())
    assert len(cancelled) == 2

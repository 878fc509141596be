"""The read service under questions and bytes that nobody means well: it says what is wrong, and goes on."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Iterator
from random import Random
from urllib.parse import quote

import pytest
from aiohttp import ClientSession, ClientTimeout
from yarl import URL

from streams.local.redis import RedisServer
from streams.store import connect
from tests.bench.machine import peak_rss_mib
from tests.integration.pipeline import Child, wait_until
from tests.redis_kit import NOON_MS, Shop

QUESTIONS = 3_000
BODIES = 300
AT_ONCE = 16
# What the service may hold at most, whatever it is asked: MiB.
MEMORY_MAX_MIB = 300
LARGEST_ANSWER = 4_000_000
OTHER_METHODS = ("POST", "PATCH", "PUT", "DELETE", "HEAD")
MINUTE_MS = 60_000
Asked = tuple[str, str, bytes | None]
"""Method, address with its query, body."""

SCOPES = [
    "all", "live:L1", "product:p1", "platform:tiktok", "gateway:adyen", "app:a1", "creator:c1",
    "platform:tiktok,surface:live", "live:L1,product:p1", "live:L1,product:", "live:", ":", ",", "live",
    "all:", "planet:x", "live:L1,live:L1", "pipeline:views", "room:L1", "live:{0}:meta", "live:*",
    "live:\r\nGET /", "live:\x00", "live:" + "x" * 2_000, "live:😀" * 40, "live:\ud83d",
    "product:../../etc/passwd", "live:%",
]  # fmt: skip
NUMBERS = [
    "0", "1", "-1", "", "1e3", "٣", "9" * 15, "9" * 400, "nan", "0x10", " 1", "1 ", "+1", "1.0",
    str(NOON_MS), str(NOON_MS - MINUTE_MS), str(NOON_MS - 30 * MINUTE_MS), str(NOON_MS + 10**9),
    str(NOON_MS - 400 * 86_400_000), str(NOON_MS - 800 * 86_400_000),
]  # fmt: skip
WORDS = [
    "1m", "5m", "30m", "1h", "24h", "live", "", "9m", "5m ", "5M", "∞", "tiktok", "youtube", "USD",
    "live,product", "2026-11-21", "2026-13-45", "0000-00-00", "0001-01-01", "9999-12-31", "null", "[]", "{}",
    "'", '"', "<script>", "\\", "%00",
]  # fmt: skip
PLACES = ["L1", "p1", "RULE", "a b", "..", "%2e%2e", "\x00", "😀", "x" * 1_000, "{0}", "*"]
BODY = [
    b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe", b'"x"', b"1", b"[" * 50_000,
    b'{"at_ms":' + b"9" * 400 + b"}",
    b'{"kind":"deploy","text":"x","at_ms":-1}', b'{"kind":"deploy","text":"' + b"x" * 900_000 + b'"}',
    b'{"kind":"deploy","text":"a\\u0000b","from_ms":"now"}', b'{"kind":{},"text":[]}',
]  # fmt: skip


def _http(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([line + b" HTTP/1.1", b"Host: localhost", *headers, b"", body])


METRICS, CHANGES = b"GET /metrics", b"POST /api/v1/changes"
BEARER = b"Authorization: Bearer "
CHUNKED = b"Transfer-Encoding: chunked"
RAW = [
    b"\r\n\r\n", b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"FOO BAR BAZ QUX\r\n\r\n",
    _http(METRICS, b"Host: b"), _http(METRICS, b"X: " + b"x" * 200_000), _http(METRICS, *[b"X: y"] * 50_000),
    _http(b"GET /" + b"x" * 200_000), _http(METRICS, b"X: a\x00b"), _http(METRICS, b" folded: y"),
    _http(METRICS, b"Content-Length: -5"), _http(METRICS, b"Content-Length: 5", b"Content-Length: 6"),
    _http(CHANGES, CHUNKED, body=b"ZZ\r\n"), _http(CHANGES, CHUNKED, b"Content-Length: 3", body=b"0\r\n\r\n"),
    _http(CHANGES, b"Content-Length: 99999999999", body=b"{"), _http(CHANGES, body=b"{" * 2_000_000),
    b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", _http(b"GET http://evil.example/metrics"),
    _http(METRICS, BEARER + b"\xff" * 900), _http(METRICS, BEARER + b"e30." * 500),
    _http(METRICS, b"Range: bytes=0-,0-,0-,0-", b"Accept-Encoding: x;q=nan"),
    _http(METRICS, b"Upgrade: websocket", b"Connection: Upgrade"),
    _http(METRICS, b"Cookie: " + b"a=b; " * 1_000),
    _http(b"OPTIONS *"), _http(b"CONNECT localhost:6379"), _http(b"TRACE /metrics"),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"*1\r\n$8\r\nFLUSHALL\r\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def service(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """The read service in a process of its own, over a shop that sold something."""
    shop = Shop(redis_server.url).healthy(NOON_MS - 10_000)
    shop.live(0, "L1", NOON_MS - 5 * MINUTE_MS)
    shop.book(NOON_MS - 1, "live", "L1", gmv_paid__USD=5, items=1)
    settings = {
        "SHOP_PULSE_REDIS": shop.url, "SHOP_PULSE_REDIS_PREFIX": shop.prefix, "SHOP_PULSE_API_PORT": "0",
        "SHOP_PULSE_PARTITIONS": str(shop.partitions), "SHOP_PULSE_KAFKA": "127.0.0.1:1",
    }  # fmt: skip
    child = Child("serve", ["serve"], tmp_path_factory.mktemp("abuse"), settings)
    child.launch()
    wait_until(lambda: "http://" in child.said(), "the read service's address")
    yield child
    child.stop()


def _address(service: Child) -> str:
    return next(word for word in service.said().split() if word.startswith("http://"))


async def _addresses(redis_server: RedisServer) -> list[tuple[str, str]]:
    """Method and path of everything that the service answers."""
    client = connect(redis_server.url)
    app = Shop(redis_server.url).app(client)
    routes = app.router.routes()
    found = {(route.method, route.resource.canonical) for route in routes if route.resource is not None}
    await client.aclose()
    return sorted(found)


def _filled(rng: Random, path: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda _: quote(rng.choice(PLACES), safe=""), path)


def _value(rng: Random, name: str) -> str:
    pool = SCOPES if name == "scope" else NUMBERS if name.endswith("_ms") else WORDS + NUMBERS
    return rng.choice(pool if rng.random() < 0.9 else SCOPES + NUMBERS + WORDS)


def _question(rng: Random, path: str, known: list[str]) -> str:
    names = [name for name in known if rng.random() < 0.8]
    if rng.random() < 0.1:
        names.append(rng.choice(["x", "scope", "window", "__proto__", "\x00"]))
    if names and rng.random() < 0.05:
        names.append(rng.choice(names))
    pairs = [f"{quote(name)}={quote(_value(rng, name), errors='surrogatepass')}" for name in names]
    return f"{_filled(rng, path)}?{'&'.join(pairs)}"


async def _ask(session: ClientSession, method: str, url: str, body: bytes | None = None) -> tuple[int, str]:
    """Status and what is wrong with the answer, if anything is."""
    async with session.request(method, URL(url, encoded=True), data=body) as response:
        if response.content_type == "text/event-stream":
            return response.status, ""
        text = await response.text()
        if len(text) > LARGEST_ANSWER:
            return response.status, f"{len(text)} characters"
        if response.status >= 400 and method != "HEAD":
            told = await response.json()
            if list(told) != ["error"] or "\n" in told["error"] or not told["error"]:
                return response.status, text[:200]
        if response.status >= 500:
            return response.status, text[:200]
        return response.status, ""


async def _known(session: ClientSession, base: str, path: str) -> list[str]:
    """The parameters of an address, as it names them itself to who asks with another."""
    async with session.get(URL(base + path + "?nobody-knows=1", encoded=True)) as response:
        told = re.search(r"known here: (.*?)\"", await response.text())
    return told[1].split() if told and told[1] != "none" else []


async def _all(base: str, asked: list[Asked]) -> tuple[Counter[int], list[object]]:
    statuses: Counter[int] = Counter()
    wrong: list[object] = []
    slots = asyncio.Semaphore(AT_ONCE)
    async with ClientSession(timeout=ClientTimeout(total=60)) as session:

        async def one(method: str, url: str, body: bytes | None) -> None:
            async with slots:
                status, fault = await _ask(session, method, base + url, body)
            statuses[status] += 1
            if fault:
                wrong.append((method, url[:300], status, fault))

        await asyncio.gather(*(one(*each) for each in asked))
    return statuses, wrong


def test_wrong_questions_are_told_what_is_wrong(service: Child, redis_server: RedisServer) -> None:
    """Thousands of drawn questions to every address: an answer or one line, never a fault of the service."""
    base, rng = _address(service), Random(1)

    async def drawn() -> list[Asked]:
        addresses = await _addresses(redis_server)
        figures = [path for method, path in addresses if method == "GET" and not path.startswith("/static")]
        async with ClientSession() as session:
            known = {path: await _known(session, base, _filled(Random(0), path)) for path in figures}
        takes_bodies = [(method, path) for method, path in addresses if method in ("POST", "PATCH")]
        asked: list[Asked] = [
            ("GET", _question(rng, path, known[path]), None) for path in rng.choices(figures, k=QUESTIONS)
        ]
        asked += [(rng.choice(OTHER_METHODS), _filled(rng, path), None) for _, path in addresses]
        for method, path in rng.choices(takes_bodies, k=BODIES):
            asked.append((method, _filled(rng, path), rng.choice(BODY)))
        return asked

    statuses, wrong = asyncio.run(_all(base, asyncio.run(drawn())))
    assert wrong == []
    # The questions were of all kinds: some were right, most were not.
    assert statuses[200] > 50 and statuses[400] > 500 and statuses[404] > 5
    assert "Traceback" not in service.said() and " failed" not in service.said()
    assert service.running and peak_rss_mib(service.pid) < MEMORY_MAX_MIB


def _exchange(address: tuple[str, int], sent: bytes) -> bytes:
    """What comes back until the service closes, or falls silent."""
    with socket.create_connection(address, timeout=2) as connection:
        try:
            connection.sendall(sent)
            return connection.recv(65_536)
        except (TimeoutError, ConnectionError):
            return b""


@pytest.mark.parametrize("sent", RAW, ids=lambda sent: repr(sent[:40]))
def test_bytes_that_are_no_request_harm_nobody(service: Child, sent: bytes) -> None:
    """Headers and bytes out of order get a refusal or nothing; who asks rightly next is answered."""
    url = URL(_address(service))
    assert url.host is not None and url.port is not None
    back = _exchange((url.host, url.port), sent)
    assert not back or (back.startswith(b"HTTP/1.") and b" 50" not in back[:16]), back[:200]
    assert b"Traceback" not in back
    right = _exchange(
        (url.host, url.port), b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert right.startswith(b"HTTP/1.1 200")
    assert service.running and "Traceback" not in service.said()
    assert peak_rss_mib(service.pid) < MEMORY_MAX_MIB

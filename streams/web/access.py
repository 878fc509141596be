"""Who may ask what: the operator everything, a host the own live, anybody only the pages that hold no figure.

It stands in front of the routes. Without SHOP_PULSE_TOKEN the service listens to this machine alone, and is
open; there it refuses what a foreign page makes a browser ask.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streams.answer import QuestionError, parse_scope
from streams.scopes import LIVE, LIVE_PRODUCT, NO_NAMES, split_pair
from streams.web.host_token import HostToken, HostTokens

# Unix milliseconds at which what let a request in expires; absent: never.
EXPIRES_MS = web.RequestKey("expires_ms", int)
# The live of the host who asks, as `HostToken.room`; absent: not a host.
HOST = web.RequestKey("host", bytes)
EXPIRED = "this link has expired; ask for a new one (shop-pulse token)"

# Addresses as routes name them, so that no way of writing one leads past them.
HEALTH = "/healthz"
PUBLIC = frozenset({HEALTH, "/", "/live/{live_id}", "/static/{name}"})
LIVE_OBJECT = "/api/v1/lives/{live_id}"
OF_ONE_LIVE = frozenset({"/api/v1/kpis", "/api/v1/series", "/api/v1/stream"})


def by_token(service_token: str, kinds: Collection[str], clock: Callable[[], int]) -> Middleware:
    """Asks for a token; `kinds` are those of scopes that are kept, `clock` gives Unix milliseconds."""
    operator = f"Bearer {service_token}".encode("utf-8", "surrogateescape")
    hosts = HostTokens(service_token)

    def opens(token: HostToken, live: str | None) -> bool:
        # What many lives share, or none has, is counted under names of its own: no link opens these.
        return live is not None and live not in NO_NAMES and hosts.is_for(token, live)

    def judge(request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        # Compared in constant time: how long it takes must not tell how much of a guess was right.
        if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), operator):
            return
        token = hosts.read(given.removeprefix("Bearer ")) if given.startswith("Bearer ") else None
        if token is None:
            raise _unauthorized("send the header Authorization: Bearer TOKEN")
        if clock() >= token.expires_ms:
            raise _unauthorized(EXPIRED)
        asked = _lives_asked(request, kinds)
        if not asked or not all(opens(token, live) for live in asked):
            raise web.HTTPForbidden(reason="this link opens its own live and nothing else")
        request[EXPIRES_MS] = token.expires_ms
        request[HOST] = token.room

    @web.middleware
    async def ask_for_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        if address(request) not in PUBLIC:
            judge(request)
        return await handler(request)

    return ask_for_token


def _unauthorized(line: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(reason=line, headers={"WWW-Authenticate": "Bearer"})


def address(request: web.Request) -> str | None:
    """The address as its route names it; None where no route answers."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


def _lives_asked(request: web.Request, kinds: Collection[str]) -> list[str | None]:
    """The lives that a request may be about: every reading of it counts. None: not about one live."""
    asked_at = address(request)
    if asked_at == LIVE_OBJECT:
        return [request.match_info["live_id"]]
    if asked_at not in OF_ONE_LIVE:
        return []
    query = request.query
    of_scopes = [live_of(text, kinds) for text in query.getall("scope", [])]
    return [*of_scopes, *query.getall("live", [])]


def live_of(scope_text: str, kinds: Collection[str]) -> str | None:
    """The live that a scope belongs to, by the very reading that answers the question; None: to none."""
    try:
        scope = parse_scope(scope_text, kinds)
    except QuestionError:
        return None
    if scope.value in NO_NAMES:
        return None  # What is above a cap, also of pairs, belongs to many; what is unattributed to none.
    if scope.kind == LIVE_PRODUCT.name:
        return split_pair(scope.value)[0]
    return scope.value if scope.kind == LIVE.name else None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name other than localhost may point anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@web.middleware
async def only_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """For a service without a token: refuses what a page from elsewhere makes a browser of this machine ask.

    A name of the page's own that is made to point here (DNS rebinding) shows in `Host`; a request across
    sites in the `Sec-Fetch` headers. Following a link to an address here is no such request; sending a form
    is one.
    """
    if address(request) != HEALTH:
        names = [_host_name(text) for text in request.headers.getall("Host", [])]
        if len(names) != 1 or not is_loopback(names[0]):
            raise web.HTTPForbidden(reason="ask 127.0.0.1 or localhost; for other names set SHOP_PULSE_TOKEN")
        site = request.headers.get("Sec-Fetch-Site", "none")
        is_link = request.method in ("GET", "HEAD") and request.headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in ("none", "same-origin") and not is_link:
            raise web.HTTPForbidden(reason="pages of other sites may not ask")
    return await handler(request)


def _host_name(text: str) -> str:
    """The name in a Host header, without port and brackets; empty if it is none."""
    try:
        return urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return ""

"""The web application: who may ask, how much at once, and what an error looks like.

It stands around the routes. Every error is one line of JSON; a reader never sees a traceback, and nobody
without the token learns anything but that the process is alive.
"""

from __future__ import annotations

import asyncio
import hmac
import logging

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streams.answer import FigureTooLarge, QuestionError
from streams.exporter import Exporter
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.settings import Settings
from streams.store import StoreCorruptError, StoreUnavailableError
from streams.web import routes
from streams.window import WindowError

HEALTH_PATH = "/healthz"
REQUESTS_AT_ONCE = 32
REQUESTS_WAITING = 256
REQUEST_TIMEOUT_S = 10.0

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)


def build_app(model: ReadModel, settings: Settings) -> web.Application:
    """The application over a read model; asks for `settings.token` where there is one."""
    gates = [_errors, _bounds()]
    if settings.token:
        gates.insert(1, _token(settings.token))
    app = web.Application(middlewares=gates)
    ranking = Ranking(model.store)
    app[routes.MODEL] = model
    app[routes.RANKING] = ranking
    app[routes.EXPORTER] = Exporter(model, ranking, settings.top_k)
    app.add_routes(
        [
            web.get("/api/v1/kpis", routes.get_kpis),
            web.get("/api/v1/scopes", routes.get_scopes),
            web.get("/metrics", routes.get_metrics),
            web.get(HEALTH_PATH, routes.get_health),
            web.get("/readyz", routes.get_ready),
            *routes.page_routes(),
        ]
    )
    app.on_response_prepare.append(_add_headers)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (QuestionError, WindowError) as error:
        return _error(400, str(error))
    except (StoreUnavailableError, StoreCorruptError) as error:
        return _error(503, str(error))
    except TimeoutError:
        return _error(503, f"no answer within {REQUEST_TIMEOUT_S:.0f} s; ask for a shorter window")
    except FigureTooLarge as error:
        return _error(500, str(error))
    except web.HTTPException as error:
        kept = {name: error.headers[name] for name in ("Allow", "WWW-Authenticate") if name in error.headers}
        return _error(error.status, error.reason, kept)
    except Exception:
        # The last resort of a server: one broken question must not end it, and its cause must be found.
        _log.exception("%s failed", request.path)
        return _error(500, "an error of the read service; its log has the cause")


def _error(status: int, line: str, headers: dict[str, str] | None = None) -> web.Response:
    return routes.json_response({"error": line}, status, headers)


def _token(token: str) -> Middleware:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def ask_for_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        # Compared in constant time: how long it takes must not tell how much of a guess was right.
        if request.path != HEALTH_PATH and not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized(
                reason="send the header Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
            )
        return await handler(request)

    return ask_for_token


def _bounds() -> Middleware:
    slots = asyncio.Semaphore(REQUESTS_AT_ONCE)
    inside = 0

    @web.middleware
    async def keep_bounds(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal inside
        if request.path == HEALTH_PATH:
            return await handler(request)
        if inside >= REQUESTS_AT_ONCE + REQUESTS_WAITING:
            raise web.HTTPServiceUnavailable(reason="too many requests at once; ask again in a moment")
        inside += 1
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S), slots:
                return await handler(request)
        finally:
            inside -= 1

    return keep_bounds


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    # Which library answers, in which version, is nobody's business.
    response.headers.popall("Server", None)

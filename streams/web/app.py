"""The web application: what stands around every answer, how much at once, and what an error looks like.

It stands around the routes. Every error is one line of JSON; a reader never sees a traceback, and nobody
without a token learns anything but that the process is alive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streams import read_model
from streams.changes import Changes
from streams.creators import Creators
from streams.exporter import Exporter, gauge
from streams.gathered import Gathered, Pause
from streams.ranking import Ranking
from streams.read_model import ReadModel
from streams.reason_gauges import ReasonGauges
from streams.redirect_gauges import RedirectGauges
from streams.refund_gauges import RefundGauges
from streams.room_gauges import RoomGauges
from streams.room_view import RoomViews
from streams.settings import Settings
from streams.stock_list import StockList
from streams.watch import Watch, is_watchable
from streams.watch_figures import figures
from streams.web import (
    access,
    change_routes,
    creator_routes,
    mini_program_routes,
    reason_routes,
    redirect_routes,
    routes,
    statement_routes,
    stock_routes,
    stream,
    virality_routes,
    watch_routes,
)
from streams.web.faults import ANSWER_TIMEOUT_S, UNEXPECTED, explain
from streams.web.host_view import for_host
from streams.web.hub import Hub, Question
from streams.web.pages import load_pages, page_routes

REQUESTS_AT_ONCE = 32
REQUESTS_WAITING = 256
CANCEL_AGAIN_S = 0.5

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}

_log = logging.getLogger(__name__)


def build_app(model: ReadModel, settings: Settings, changes: Changes) -> web.Application:
    """The application over a read model; asks for tokens where `settings.token` is set."""
    gate = (
        access.by_token(settings.token, model.kinds, model.clock)
        if settings.token
        else access.only_this_machine
    )
    app = web.Application(middlewares=[_errors, gate, _cut_for_hosts, _bounds()])
    ranking = Ranking(model.store)
    exporter = Exporter(model, ranking, settings.top_k)
    rooms = RoomViews(model, exporter.pause)
    hub = _hub(model, rooms, exporter.pause)
    exporter.add(lambda: [gauge(name, text, (), {(): number}) for name, text, number in hub.facts()])
    app[routes.MODEL] = model
    app[routes.RANKING] = ranking
    app[routes.ROOMS] = rooms
    app[routes.EXPORTER] = exporter
    _add_gauges(exporter, model, ranking, settings.top_k)
    exporter.add_reading(changes.families)
    app[stock_routes.STOCK] = stock = StockList(model, ranking)
    exporter.add_reading(stock.families)
    app[creator_routes.CREATORS] = creators = Creators(model)
    exporter.add_reading(creators.families)
    if creators.enabled:
        app.cleanup_ctx.append(while_running(creators.run))
    app[stream.HUB] = hub
    change_routes.install(app, changes)
    redirect_routes.install(app)
    statement_routes.install(app)
    reason_routes.install(app)
    virality_routes.install(app)
    mini_program_routes.install(app)
    app.add_routes(
        [
            web.get("/api/v1/kpis", routes.get_kpis),
            web.get("/api/v1/series", routes.get_series),
            web.get("/api/v1/comparison", routes.get_comparison),
            web.get("/api/v1/lives/{live_id:[^/]+}", routes.get_live),
            web.get("/api/v1/scopes", routes.get_scopes),
            # Without HEAD: the headers of a response that never ends are of use to nobody.
            web.get(stream.ADDRESS, stream.get_stream, allow_head=False),
            web.get("/api/v1/stock", stock_routes.get_stock),
            web.get("/api/v1/creators", creator_routes.get_creators),
            web.get("/api/v1/drops", watch_routes.get_drops),
            web.get("/api/v1/causes", watch_routes.get_causes),
            web.get("/metrics", routes.get_metrics),
            web.get(access.HEALTH, routes.get_health),
            web.get("/readyz", routes.get_ready),
            *page_routes(load_pages()),
        ]
    )
    if is_watchable(model):
        _install_watch(app, Watch(model, ranking, changes), exporter)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(lambda _app: hub.close())
    app.on_cleanup.append(lambda _app: exporter.close())
    return app


def _add_gauges(exporter: Exporter, model: ReadModel, ranking: Ranking, top_k: int) -> None:
    """Gauges of stories that nothing but `/metrics` tells in this shape."""
    exporter.add_reading(RoomGauges(model, ranking, top_k).families)
    exporter.add_reading(RedirectGauges(model, top_k).families)
    exporter.add_reading(RefundGauges(model).families)
    exporter.add_reading(ReasonGauges(model).families)


def _install_watch(app: web.Application, watch: Watch, exporter: Exporter) -> None:
    """The watch looks while the application runs; its gauges and addresses tell what it found."""
    app[watch_routes.WATCH] = watch
    exporter.add(lambda: [gauge(*samples) for samples in figures(watch.found)])

    app.cleanup_ctx.append(while_running(watch.run))


def while_running(run: Callable[[], Awaitable[None]]) -> Callable[[web.Application], AsyncIterator[None]]:
    """What goes on as long as the application does."""

    async def run_beside(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.ensure_future(run())
        yield
        # The Redis client can make an error of its own of being cancelled, and it would go on: once more.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN_S)
        with suppress(asyncio.CancelledError):
            await task

    return run_beside


def _hub(model: ReadModel, rooms: RoomViews, pause: Pause) -> Hub:
    kpis = Gathered(model.kpis_many, read_model.QUESTIONS_A_READ, pause)

    async def ask(question: Question) -> object:
        answer = (
            await rooms.read(question.live)
            if question.live
            else await kpis.ask(read_model.Question(question.scope, question.window))
        )
        return answer if question.host is None else for_host(answer)

    return Hub(ask, model.marks)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        kept = {name: error.headers[name] for name in ("Allow", "WWW-Authenticate") if name in error.headers}
        return _error(error.status, error.reason, kept)
    except Exception as error:
        explained = explain(error)
        if explained is None:
            # The last resort of a server: one broken question must not end it, and its cause must be found.
            _log.exception("%r failed", request.path)
            explained = (500, UNEXPECTED)
        return _error(*explained)


def _error(status: int, line: str, headers: dict[str, str] | None = None) -> web.Response:
    return routes.json_response({"error": line}, status, headers)


@web.middleware
async def _cut_for_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a host is told is cut at the way out: so no address that links ever open can forget to."""
    response = await handler(request)
    if access.HOST in request and isinstance(response, web.Response) and isinstance(response.body, bytes):
        response.body = orjson.dumps(for_host(orjson.loads(response.body)))
    return response


def _bounds() -> Middleware:
    slots = asyncio.Semaphore(REQUESTS_AT_ONCE)
    inside = 0

    @web.middleware
    async def keep_bounds(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal inside
        # Streams have bounds of their own; pages and the sign of life ask nothing of Redis.
        if access.address(request) in (stream.ADDRESS, *access.PUBLIC):
            return await handler(request)
        if inside >= REQUESTS_AT_ONCE + REQUESTS_WAITING:
            raise web.HTTPServiceUnavailable(reason="too many requests at once; ask again in a moment")
        inside += 1
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S), slots:
                return await handler(request)
        finally:
            inside -= 1

    return keep_bounds


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    # Which library answers, in which version, is nobody's business.
    response.headers.popall("Server", None)

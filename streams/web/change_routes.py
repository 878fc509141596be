"""`/api/v1/changes`: deploys, incidents and promotions are told to the service, and asked of it.

It stands between the network and the changes. Only whoever has the service's own token gets here, and never
a page of another site: a flag keeps alerts quiet.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from streams.answer import QuestionError
from streams.changes import END_EXAMPLE, EXAMPLE, SHOWN_MS, Changes, Time, parse, parse_end
from streams.web.routes import json_response, parameters

CHANGES = web.AppKey("changes", Changes)
ADDRESS = "/api/v1/changes"
ONE_CHANGE = f"{ADDRESS}/{{change_id}}"
BODY_MAX = 4_096


class _Span(msgspec.Struct, frozen=True):
    """The query of a question."""

    from_ms: Time | None = None
    to_ms: Time | None = None


def install(app: web.Application, changes: Changes) -> None:
    """Adds the addresses to the application."""
    app[CHANGES] = changes
    app.add_routes(
        [
            web.post(ADDRESS, post_change),
            web.get(ADDRESS, get_changes),
            web.patch(ONE_CHANGE, patch_change),
        ]
    )


async def post_change(request: web.Request) -> web.Response:
    """``POST /api/v1/changes``: keeps a change; the answer is the change with its id."""
    changes = request.app[CHANGES]
    change = parse(await _body(request, EXAMPLE), changes.clock())
    await changes.add(change)
    return json_response(msgspec.to_builtins(change), 201)


async def patch_change(request: web.Request) -> web.Response:
    """``PATCH /api/v1/changes/ID``: gives a change its end, now or at `to_ms`; the answer is the change."""
    end = parse_end(await _body(request, END_EXAMPLE))
    change = await request.app[CHANGES].end(request.match_info["change_id"], end)
    if change is None:
        raise web.HTTPNotFound(reason=f"no change has this id; {ADDRESS} names those of the last day")
    return json_response(msgspec.to_builtins(change))


async def _body(request: web.Request, example: str) -> bytes:
    parameters(request, ())
    # No form of a foreign page can send this type without asking first, and nobody answers that question.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason=f"send Content-Type: application/json and {example}")
    body = b""
    async for part in request.content.iter_any():
        body += part
        if len(body) > BODY_MAX:
            raise web.HTTPRequestEntityTooLarge(
                BODY_MAX, len(body), reason=f"a change takes up to {BODY_MAX} bytes"
            )
    return body


async def get_changes(request: web.Request) -> web.Response:
    """``GET /api/v1/changes?from_ms=…&to_ms=…``: changes of which a part lies there, by `at_ms`.

    Without `to_ms` those up to now, without `from_ms` those of the day before `to_ms`.
    """
    try:
        span = msgspec.convert(parameters(request, ("from_ms", "to_ms")), _Span, strict=False)
    except msgspec.ValidationError as error:
        raise QuestionError("from_ms and to_ms are Unix milliseconds, digits only") from error
    changes = request.app[CHANGES]
    to_ms = changes.clock() + 1 if span.to_ms is None else span.to_ms
    from_ms = to_ms - SHOWN_MS if span.from_ms is None else span.from_ms
    return json_response({"changes": msgspec.to_builtins(await changes.between(from_ms, to_ms))})

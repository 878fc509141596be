"""`/api/v1/statements/AFFILIATE`: what an affiliate has earned, as JSON or as a table for a spreadsheet.

It stands between the network and the statements. Only whoever has the service's own token gets here.
"""

from __future__ import annotations

from aiohttp import web

from streams.statements import as_csv, as_json, read_statement
from streams.web.routes import MODEL, json_response, parameters

ADDRESS = "/api/v1/statements/{affiliate:[^/]+}"
CSV = "text/csv"


def install(app: web.Application) -> None:
    """Adds the address to the application."""
    app.add_routes([web.get(ADDRESS, get_statement)])


async def get_statement(request: web.Request) -> web.Response:
    """``GET /api/v1/statements/AFFILIATE?from=2026-01-01&to=2026-02-01``; as CSV where `Accept` names it."""
    query = parameters(request, ("from", "to"))
    affiliate = request.match_info["affiliate"]
    statement = await read_statement(request.app[MODEL], affiliate, query.get("from"), query.get("to"))
    accepted = request.headers.get("Accept", "").split(",")
    if CSV in {each.partition(";")[0].strip().lower() for each in accepted}:
        return web.Response(text=as_csv(statement), content_type=CSV, charset="utf-8")
    return json_response(as_json(statement))

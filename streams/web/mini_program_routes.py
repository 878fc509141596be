"""`/api/v1/mini-programs/ID/returns`: who came back to a mini-program, by the day of the open.

It stands between the network and the table. Only whoever has the service's own token gets here.
"""

from __future__ import annotations

from aiohttp import web

from streams.returns_table import read_returns
from streams.web.routes import MODEL, json_response, parameters

ADDRESS = "/api/v1/mini-programs/{mini_program:[^/]+}/returns"


def install(app: web.Application) -> None:
    """Adds the address to the application."""
    app.add_routes([web.get(ADDRESS, get_returns)])


async def get_returns(request: web.Request) -> web.Response:
    """``GET /api/v1/mini-programs/ID/returns?from=2026-01-01&to=2026-02-01``: a row a day."""
    query = parameters(request, ("from", "to"))
    program = request.match_info["mini_program"]
    return json_response(await read_returns(request.app[MODEL], program, query.get("from"), query.get("to")))

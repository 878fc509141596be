"""`/api/v1/virality`: which way of sharing brings new users.

It stands between the network and the channels. No host's link opens it: it tells of the whole shop.
"""

from __future__ import annotations

from aiohttp import web

from streams.channels import read_virality
from streams.web.routes import MODEL, RANKING, json_response, parameters, required

ADDRESS = "/api/v1/virality"


def install(app: web.Application) -> None:
    """Adds the address to the application."""
    app.add_routes([web.get(ADDRESS, get_virality)])


async def get_virality(request: web.Request) -> web.Response:
    """``/api/v1/virality?scope=all&window=1h`` or ``scope=mini_program:ID``: the whole, and by channel."""
    query = parameters(request, ("scope", "window"))
    scope, window = required(query, "scope", "scope=all"), required(query, "window", "window=1h")
    return json_response(await read_virality(request.app[MODEL], request.app[RANKING], scope, window))

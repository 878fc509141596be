"""`/api/v1/payments/reasons` and `/api/v1/refunds/reasons`: why payments fail, why money goes back.

It stands beside the other routes. Only whoever has the service's own token gets here: no host's link does.
"""

from __future__ import annotations

from functools import partial

from aiohttp import web

from streams.read_model import Question
from streams.reason_view import PAYMENTS, REFUNDS, Subject, read_reasons
from streams.web.routes import MODEL, integer, json_response, parameters, required

ADDRESSES = {"/api/v1/payments/reasons": PAYMENTS, "/api/v1/refunds/reasons": REFUNDS}


def install(app: web.Application) -> None:
    """Adds the addresses to the application."""
    app.add_routes(
        [web.get(address, partial(get_reasons, subject)) for address, subject in ADDRESSES.items()]
    )


async def get_reasons(subject: Subject, request: web.Request) -> web.Response:
    """``?scope=gateway:G&window=…`` or ``…&from_ms=…&to_ms=…``: the 20 most frequent reasons."""
    query = parameters(request, ("scope", "window", "from_ms", "to_ms"))
    question = Question(
        required(query, "scope", "scope=all"),
        query.get("window"),
        integer(query, "from_ms"),
        integer(query, "to_ms"),
    )
    return json_response(await read_reasons(request.app[MODEL], subject, question))

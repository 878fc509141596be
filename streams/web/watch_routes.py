"""What the addresses of the watch over conversion answer.

It stands beside the other routes. The watch looks by itself; ``/api/v1/drops`` costs no reading.
"""

from __future__ import annotations

from aiohttp import web

from streams.answer import QuestionError
from streams.drops import causes_answer, drops_answer
from streams.watch import Watch
from streams.web.routes import json_response, parameters, required

WATCH = web.AppKey("watch", Watch)


async def get_drops(request: web.Request) -> web.Response:
    """``/api/v1/drops``: what fell, and everything that is watched."""
    parameters(request, ())
    return json_response(drops_answer(_watch(request).found))


async def get_causes(request: web.Request) -> web.Response:
    """``/api/v1/causes?scope=…&step=…``: what explains a fall."""
    query = parameters(request, ("scope", "step"))
    scope = required(query, "scope", "scope=all")
    step = required(query, "step", "step=purchase_per_view")
    return json_response(causes_answer(*await _watch(request).causes(scope, step)))


def _watch(request: web.Request) -> Watch:
    watch = request.app.get(WATCH)
    if watch is None:
        raise QuestionError("conversion is not kept with these SHOP_PULSE_FIGURES")
    return watch

"""What the addresses of the watch over conversion answer.

It stands beside the other routes. The watch looks by itself; ``/api/v1/drops`` costs no reading but that of
titles, where products are causes.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from streams.answer import QuestionError
from streams.details import DetailsPlan, listing, read_details
from streams.drops import causes_answer, drops_answer
from streams.store import StoreUnavailableError
from streams.watch import Watch
from streams.web.routes import MODEL, json_response, parameters, required

WATCH = web.AppKey("watch", Watch)


async def get_drops(request: web.Request) -> web.Response:
    """``/api/v1/drops``: what fell, and everything that is watched."""
    parameters(request, ())
    answer = drops_answer(_watch(request).found)
    drops = answer["drops"]
    await _name_products(request, [each["causes"] for each in drops] if isinstance(drops, list) else [])
    return json_response(answer)


async def get_causes(request: web.Request) -> web.Response:
    """``/api/v1/causes?scope=…&step=…``: what explains a fall."""
    query = parameters(request, ("scope", "step"))
    scope = required(query, "scope", "scope=all")
    step = required(query, "step", "step=purchase_per_view")
    answer = causes_answer(*await _watch(request).causes(scope, step))
    await _name_products(request, [answer["causes"]])
    return json_response(answer)


async def _name_products(request: web.Request, of_drops: Iterable[object]) -> None:
    """Adds title and price to causes that are products; null while Redis does not answer."""
    causes = [each for found in of_drops if isinstance(found, list) for each in found]
    products = tuple({each["product_id"]: None for each in causes if "product_id" in each})
    try:
        known = (await read_details(request.app[MODEL], DetailsPlan(products=products))).products
    except StoreUnavailableError:
        known = {}
    for each in causes:
        if "product_id" in each:
            each.update(listing(known.get(each["product_id"])))


def _watch(request: web.Request) -> Watch:
    watch = request.app.get(WATCH)
    if watch is None:
        raise QuestionError("conversion is not kept with these SHOP_PULSE_FIGURES")
    return watch

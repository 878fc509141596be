"""`/api/v1/stock`: products that run short.

It stands beside the other routes; who may ask is decided before (`access`): the operator alone.
"""

from __future__ import annotations

from aiohttp import web

from streams.stock_list import GAUGES_WINDOW, StockList
from streams.web.routes import json_response, parameters

STOCK = web.AppKey("stock", StockList)


async def get_stock(request: web.Request) -> web.Response:
    """``/api/v1/stock?state=out&window=30m``: what is low, out or oversold; all of it without a state."""
    query = parameters(request, ("state", "window"))
    stock = request.app[STOCK]
    return json_response(await stock.answer(query.get("state"), query.get("window", GAUGES_WINDOW)))

"""`/api/v1/creators`: who sells, goes live and earns, and who stopped.

It stands beside the other routes; who may ask is decided before (`access`): the operator alone.
"""

from __future__ import annotations

from aiohttp import web

from streams.answer import QuestionError
from streams.creators import Creators
from streams.web.routes import json_response, parameters

CREATORS = web.AppKey("creators", Creators)


async def get_creators(request: web.Request) -> web.Response:
    """``/api/v1/creators?platform=tiktok&days=7``: of all platforms without one; of 7 days without `days`."""
    query = parameters(request, ("platform", "days"))
    days = query.get("days", "7")
    if not (days.isascii() and days.isdigit() and len(days) <= 3):
        raise QuestionError("days is a number of days, 7 or 30")
    return json_response(await request.app[CREATORS].answer(query.get("platform"), int(days)))

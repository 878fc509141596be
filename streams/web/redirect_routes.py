"""What the addresses of redirection answer: which rules there are, one rule, and where one is due.

It stands beside the other routes.
"""

from __future__ import annotations

from aiohttp import web

from streams.redirection import read_names, read_rule
from streams.underperforming import read_underperforming
from streams.web.routes import MODEL, RANKING, json_response, parameters

RULES = "/api/v1/redirections"
ONE_RULE = f"{RULES}/{{rule_id:[^/]+}}"
UNDERPERFORMING = "/api/v1/products/underperforming"


def install(app: web.Application) -> None:
    """Adds the addresses to the application."""
    app.add_routes(
        [
            web.get(RULES, get_rules),
            web.get(ONE_RULE, get_rule),
            web.get(UNDERPERFORMING, get_underperforming),
        ]
    )


async def get_rules(request: web.Request) -> web.Response:
    """``/api/v1/redirections``: the rules that are known."""
    parameters(request, ())
    return json_response({"rules": await read_names(request.app[MODEL])})


async def get_rule(request: web.Request) -> web.Response:
    """``/api/v1/redirections/RULE``: users before and after, arms, and whether to stop."""
    parameters(request, ())
    answer = await read_rule(request.app[MODEL], request.match_info["rule_id"])
    if answer is None:
        raise web.HTTPNotFound(reason=f"no redirect told of this rule; {RULES} names those that are known")
    return json_response(answer)


async def get_underperforming(request: web.Request) -> web.Response:
    """``/api/v1/products/underperforming?platform=…``: products that sell less than their category."""
    query = parameters(request, ("platform",))
    model, ranking = request.app[MODEL], request.app[RANKING]
    return json_response(await read_underperforming(model, ranking, query.get("platform")))

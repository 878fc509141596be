"""What each address of the read service answers.

It stands behind the read model and before the reader. Handlers only translate: parameters to questions,
answers to JSON. Whatever goes wrong is raised and becomes a status in `streams.web.app`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import orjson
from aiohttp import web

from streams.answer import QuestionError, Scope, is_named
from streams.catalogue import GMV_PAID
from streams.comparison import read_comparison
from streams.details import DetailsPlan, listing, read_details
from streams.exporter import CONTENT_TYPE, Exporter
from streams.products import ProductRecord
from streams.ranking import Ranking, Tally, is_ranked
from streams.read_model import ReadModel
from streams.room_view import RoomViews
from streams.scopes import LIVE_PRODUCT, OTHER, PRODUCT, split_pair
from streams.series import read_series
from streams.window import NAMED_WINDOWS

MODEL = web.AppKey("model", ReadModel)
RANKING = web.AppKey("ranking", Ranking)
ROOMS = web.AppKey("rooms", RoomViews)
EXPORTER = web.AppKey("exporter", Exporter)

# Of every request of a Prometheus server.
PROMETHEUS_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
SCOPES_MAX = 100
# Walking the panes of a whole day for a list of names is more than one request may cost.
SCOPES_WINDOWS = tuple(name for name in NAMED_WINDOWS if name != "24h")
_INTEGER = re.compile(r"[0-9]{1,15}")


async def get_kpis(request: web.Request) -> web.Response:
    """``/api/v1/kpis?scope=…&window=…`` or ``…&from_ms=…&to_ms=…``: the answer of CONTRACT §4."""
    query = parameters(request, ("scope", "window", "from_ms", "to_ms"))
    answer = await request.app[MODEL].kpis(
        required(query, "scope", "scope=all"),
        query.get("window"),
        integer(query, "from_ms"),
        integer(query, "to_ms"),
    )
    return json_response(answer)


async def get_series(request: web.Request) -> web.Response:
    """``/api/v1/series?scope=…&window=…``: figures step by step."""
    query = parameters(request, ("scope", "window"))
    scope, window = required(query, "scope", "scope=all"), required(query, "window", "window=30m")
    return json_response(await read_series(request.app[MODEL], scope, window))


async def get_comparison(request: web.Request) -> web.Response:
    """``/api/v1/comparison?scope=…&window=…``: now, the window before, and an hour against last week's."""
    query = parameters(request, ("scope", "window"))
    scope, window = required(query, "scope", "scope=all"), required(query, "window", "window=5m")
    return json_response(await read_comparison(request.app[MODEL], scope, window))


async def get_live(request: web.Request) -> web.Response:
    """``/api/v1/lives/LIVE``: one live room whole, as its page shows it."""
    parameters(request, ())
    return json_response(await request.app[ROOMS].read(request.match_info["live_id"]))


async def get_scopes(request: web.Request) -> web.Response:
    """``/api/v1/scopes?kind=live&window=30m``: the largest values by GMV paid, then by views."""
    query = parameters(request, ("kind", "window"))
    kind = required(query, "kind", "kind=live")
    window = required(query, "window", "window=30m")
    model = request.app[MODEL]
    if kind not in model.kinds:
        raise QuestionError(f"unknown kind {kind[:40]!r}; known kinds: {' '.join(model.kinds)}")
    if not is_ranked(kind):
        raise QuestionError(f"no {kind} has sales or views to rank it by; ask of one, by scope={kind}:VALUE")
    if window not in SCOPES_WINDOWS:
        raise QuestionError(f"window is one of {' '.join(SCOPES_WINDOWS)} here")
    view, asked = await model.over(window)
    tally = await request.app[RANKING].tally(kind, asked.panes)
    values = _largest(kind, tally, model.kinds)
    products = await _products(model, kind, values)
    currencies = view.moment.currencies if kind in GMV_PAID.kinds else ()
    scopes = [
        {
            "scope": str(Scope(kind, value)),
            **({} if products is None else listing(products[value])),
            "gmv_paid_minor": {cur: tally.gmv.get(cur, {}).get(value, 0) for cur in currencies},
            "views": tally.views.get(value, 0),
        }
        for value in values
    ]
    return json_response({"kind": kind, "from_ms": asked.from_ms, "to_ms": asked.to_ms, "scopes": scopes})


async def _products(
    model: ReadModel, kind: str, values: Collection[str]
) -> Mapping[str, ProductRecord | None] | None:
    """What is known of the product that each value names; None for kinds that name none."""
    if kind not in (PRODUCT.name, LIVE_PRODUCT.name):
        return None
    # Above a cap many are counted under one name, which is no pair.
    product_of = {of: split_pair(of)[1] if kind == LIVE_PRODUCT.name and of != OTHER else of for of in values}
    known = await read_details(model, DetailsPlan(products=tuple(dict.fromkeys(product_of.values()))))
    return {of: known.products.get(product) for of, product in product_of.items()}


def _largest(kind: str, tally: Tally, kinds: Collection[str]) -> list[str]:
    """The first values that can be asked for: an id like ``x,gateway:y`` writes no scope of its kind."""
    limit = SCOPES_MAX
    while True:
        values = tally.order(limit)
        named = [value for value in values if is_named(Scope(kind, value), kinds)]
        if len(named) >= SCOPES_MAX or len(values) < limit:
            return named[:SCOPES_MAX]
        limit *= 2


async def get_metrics(request: web.Request) -> web.Response:
    """``/metrics`` for Prometheus, which comes regularly and says so in a header; others may ask too."""
    scraper = request.remote if PROMETHEUS_HEADER in request.headers else None
    text = await request.app[EXPORTER].render(scraper)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


async def get_health(_request: web.Request) -> web.Response:
    """``/healthz``: this process is alive. A restart cannot mend a Redis that is down, so it is not asked."""
    return json_response({"status": "alive"})


async def get_ready(request: web.Request) -> web.Response:
    """``/readyz``: answers rest on a store that every partition's worker has written."""
    await request.app[MODEL].check_ready()
    return json_response({"status": "ready"})


def json_response(
    answer: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`answer` as JSON; integers stay exact."""
    return web.Response(
        body=orjson.dumps(answer), status=status, content_type="application/json", headers=headers
    )


def parameters(request: web.Request, known: Collection[str]) -> dict[str, str]:
    """The query, each name once. Raises QuestionError for a name that is unknown or stands twice."""
    query = dict(request.query)
    for name in query:
        if name not in known:
            raise QuestionError(f"unknown parameter {name[:40]!r}; known here: {' '.join(known) or 'none'}")
        if len(request.query.getall(name)) > 1:
            raise QuestionError(f"{name} stands more than once")
    return query


def required(query: Mapping[str, str], name: str, example: str) -> str:
    """A parameter that must be there. Raises QuestionError that shows the example."""
    if name not in query:
        raise QuestionError(f"{name} is missing, for example {example}")
    return query[name]


def integer(query: Mapping[str, str], name: str) -> int | None:
    """A parameter of digits, None where it is not given. Raises QuestionError for anything else."""
    text = query.get(name)
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise QuestionError(f"{name} is Unix milliseconds, digits only")
    return int(text)

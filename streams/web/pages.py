"""The pages and what they are made of: files of this package, read once when the service starts.

They stand before the reader and hold no figure: their scripts ask the API. Nothing of a request reaches the
file system; an address that is not one of the files leads nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from aiohttp import web
from aiohttp.typedefs import Handler

CONTROL_PAGE = "control.html"
LIVE_PAGE = "live.html"
# By the end of the name; nothing else may lie in the folder.
CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".md": "text/plain",
    ".txt": "text/plain",
    "": "text/plain",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A file as it is sent."""

    body: bytes
    content_type: str


def load_pages() -> dict[str, Page]:
    """Every file in ``static/`` by its path there, with ``/`` between folders."""
    return dict(_load(resources.files("streams.web").joinpath("static"), PurePosixPath()))


def _load(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[str, Page]]:
    for each in folder.iterdir():
        below = path / each.name
        if each.is_dir():
            yield from _load(each, below)
        else:
            yield str(below), Page(each.read_bytes(), CONTENT_TYPES[below.suffix])


def page_routes(pages: Mapping[str, Page]) -> list[web.RouteDef]:
    """``/`` is the control room, ``/live/ID`` the host's page, ``/static/…`` each file."""

    def show(page: Page) -> Handler:
        async def get_page(_request: web.Request) -> web.Response:
            return _response(page)

        return get_page

    async def get_file(request: web.Request) -> web.Response:
        page = pages.get(request.match_info["name"])
        if page is None:
            raise web.HTTPNotFound
        return _response(page)

    return [
        web.get("/", show(pages[CONTROL_PAGE])),
        web.get("/live/{live_id:[^/]+}", show(pages[LIVE_PAGE])),
        web.get("/static/{name:.+}", get_file),
    ]


def _response(page: Page) -> web.Response:
    return web.Response(body=page.body, content_type=page.content_type, charset="utf-8")

"""One pulse and one browser for all browser tests; every page is watched for errors and foreign addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

from tests.browser.stack import RunningPulse, launch

TOKEN = "the-operators-own-token"
DESKTOP = {"width": 1280, "height": 900}

# Opens a page: an address below the service's, with options of a browser context.
Open = Callable[..., Page]


# Ended with the last browser test: Playwright holds an event loop, the pulse half a processor, until then.
@pytest.fixture(scope="package")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPulse]:
    """A pulse with shoppers and a token."""
    running = RunningPulse(tmp_path_factory.mktemp("pulse") / "data", token=TOKEN)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def live_id(pulse: RunningPulse) -> str:
    """A live that sells; figures are current."""
    return pulse.wait_for_sales()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(chromium: Browser, pulse: RunningPulse) -> Iterator[Page]:
    """A page that can import the modules; UTC."""
    context = chromium.new_context(timezone_id="UTC")
    page = context.new_page()
    page.goto(f"{pulse.url}/static/base.css")
    page.goto(f"{pulse.url}/")
    yield page
    context.close()


@pytest.fixture
def open_page(chromium: Browser, pulse: RunningPulse) -> Iterator[Open]:
    """Opens pages, each in a browser of its own that remembers nothing, with the operator's token.

    When the test ends it fails if a page asked another address than the service's, or put an error into its
    console. `token=""` opens without one; `expects_errors=True` allows for refused requests.
    """
    contexts = []
    faults: list[str] = []

    def watch(page: Page, expects_errors: bool) -> None:
        def on_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not expects_errors:
                faults.append(f"{message.type}: {message.text}")

        page.on("console", on_console)

        def on_error(error: Error) -> None:
            faults.append(f"uncaught: {error}")

        def on_request(request: Request) -> None:
            if not request.url.startswith((f"{pulse.url}/", "data:")):
                faults.append(f"asked elsewhere: {request.url}")

        page.on("pageerror", on_error)
        page.on("request", on_request)

    def make(path: str, token: str = TOKEN, expects_errors: bool = False, **options: Any) -> Page:
        context = chromium.new_context(**({"viewport": DESKTOP} | options))
        contexts.append(context)
        page = context.new_page()
        watch(page, expects_errors)
        page.goto(f"{pulse.url}{path}" + (f"#token={token}" if token else ""))
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []

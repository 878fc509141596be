"""A pipeline that stands still, a service that is away: the pages say so in words, and show no zero."""

from __future__ import annotations

import re

from playwright.sync_api import Page

from tests.browser.conftest import Open
from tests.browser.figures import is_current, texts, wait_for
from tests.browser.stack import RunningPulse, zeroes

FIGURES = (
    "#now dd, #since dd, .products dd, .compared dd, .funnel b, .hero, .cards dd, .figures:not(.trust) dd"
)


def _state(page: Page) -> str:
    return page.inner_text("#state")


def _is_stale(page: Page) -> bool:
    return _state(page).startswith("The pipeline is behind: figures are not current.")


def test_a_pipeline_that_stands_still_never_looks_like_no_sales(
    pulse: RunningPulse, live_id: str, open_page: Open
) -> None:
    """Both pages say it in words, those that were open and those opened now; what was known has its age,
    nothing is 0, and figures come back by themselves."""
    open_before = [open_page(f"/live/{live_id}"), open_page("/"), open_page(f"/live/{live_id}?view=obs")]
    for page in open_before:
        is_current(page)
    open_before[0].wait_for_timeout(2_000)
    sold = open_before[0].inner_text("#sales-since-start")
    with pulse.resting("worker"):
        for page in open_before:
            wait_for(page, lambda page=page: _is_stale(page), "the word that figures are not current")
        live, control, obs = open_before
        assert sold != "–" and live.inner_text("#sales-since-start") != "–"
        assert re.match(r"Last known at \d\d:\d\d:\d\d, \d+ \w+ ago", live.inner_text("#as-of"))
        assert live.title().startswith("Not current – ")
        style = "each => getComputedStyle(each).fontStyle"
        assert live.locator("#sales-since-start").evaluate(style) == "italic"
        assert control.inner_text("#dead-letters") == control.inner_text("#lag") == "–"
        assert "not current" in obs.evaluate("document.body.innerText")
        opened_now = [open_page(f"/live/{live_id}"), open_page("/")]
        for page in opened_now:
            wait_for(page, lambda page=page: _is_stale(page), "the word on a page opened now")
        assert set(texts(opened_now[0], "#now dd")[:3]) == {"–"}
        for page in [*open_before, *opened_now]:
            page.wait_for_timeout(1_000)
            assert zeroes(texts(page, FIGURES)) == []
            assert _is_stale(page)
    for page in open_before:
        is_current(page)


def test_a_lost_connection_is_said(pulse: RunningPulse, live_id: str, open_page: Open) -> None:
    """A service that hangs is noticed without an error of the network; the last figures stay, with an age."""
    pages = [open_page(f"/live/{live_id}", expects_errors=True), open_page("/", expects_errors=True)]
    for page in pages:
        is_current(page)
        page.wait_for_timeout(2_000)
    sold = pages[0].inner_text("#sales-since-start")
    with pulse.resting("serve"):
        for page in pages:
            wait_for(page, lambda page=page: _state(page).startswith("Connection lost"), "the word")
            assert "This says nothing about the shop." in _state(page)
            assert zeroes(texts(page, FIGURES)) == []
        assert sold != "–" and pages[0].inner_text("#sales-since-start") != "–"
        assert pages[0].inner_text("#as-of").startswith("Last known at ")
    for page in pages:
        is_current(page)

"""The pages for everybody: keyboard, screen reader, phone, dark and light, no chatter."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import DESKTOP, Open
from tests.browser.figures import is_current, texts, wait_for

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE = {"width": 360, "height": 740}
PAGES = ("live", "control")


def _open(open_page: Open, which: str, live_id: str, **options: Any) -> Page:
    """One of the pages once it is filled."""
    page = open_page(f"/live/{live_id}" if which == "live" else "/", **options)
    is_current(page)
    full = "#products > li" if which == "live" else "#lives > li"
    wait_for(page, lambda: page.locator(full).count() > 0, "a full page")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", PAGES)
def test_axe_finds_nothing(which: str, scheme: str, live_id: str, open_page: Open) -> None:
    """WCAG 2.2 A and AA as far as a machine can tell, contrast too, in light and dark."""
    page = _open(open_page, which, live_id, color_scheme=scheme)
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, { runOnly: rules })", RULES)
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20


@pytest.mark.parametrize("which", PAGES)
def test_a_phone_scrolls_one_way(which: str, live_id: str, open_page: Open) -> None:
    """At 360 px nothing is cut off or stands beside the page; with letters twice as large neither."""
    page = _open(open_page, which, live_id, viewport=PHONE)
    for size in ("100%", "200%"):
        page.evaluate("size => { document.documentElement.style.fontSize = size }", size)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], size


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_large_amount_stays_in_one_line(viewport: Any, live_id: str, open_page: Open) -> None:
    """Letters shrink until the longest amount of the big figures fits."""
    page = open_page(f"/live/{live_id}", viewport=viewport)
    is_current(page)
    for text in ("CN¥8", "CN¥14,943.95", "CN¥123,456,789.00"):
        lines = page.locator("#sales-now").evaluate(
            """(figure, text) => { figure.textContent = text;
                                   figure.style.setProperty("--chars", text.length);
                                   const height = parseFloat(getComputedStyle(figure).lineHeight);
                                   return Math.round(figure.clientHeight / height); }""",
            text,
        )
        assert lines == 1, text


def _focused(page: Page) -> tuple[str, bool]:
    """What has the focus, by its text or label, and whether that is to be seen."""
    name, width = page.evaluate(
        """() => { const each = document.activeElement;
                   const width = parseFloat(getComputedStyle(each).outlineWidth);
                   return [each.id || each.textContent.trim(), width] }"""
    )
    return name, width >= 2


def test_every_control_is_reached_by_tab(live_id: str, open_page: Open) -> None:
    """In the order of the page, each with a visible focus; the first leads past the head."""
    page = _open(open_page, "live", live_id)
    expected = [
        "Skip to the figures",
        "hide-money",
        *["Show as table"] * 3,
        "goal-amount",
        "goal-currency",
        "Set goal",
        "goal-clear",
        "use-key",
    ]
    reached = []
    for _ in expected:
        page.keyboard.press("Tab")
        reached.append(_focused(page))
    assert reached == [(name, True) for name in expected]


def test_the_control_room_is_reached_by_tab(live_id: str, open_page: Open) -> None:
    """Skip link, window, then the lives."""
    page = _open(open_page, "control", live_id)
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(_focused(page))
    assert reached[:2] == [("Skip to the figures", True), ("window", True)]
    assert reached[2][0] in texts(page, "#lives a") and reached[2][1]


def test_a_new_answer_does_not_take_the_focus(live_id: str, open_page: Open) -> None:
    """Lists are brought up to date in place: who stands on a link stays there."""
    page = _open(open_page, "control", live_id)
    page.evaluate("() => { window.was = document.querySelector('#lives a'); window.was.focus() }")
    with page.expect_response(lambda response: "kind=live" in response.url, timeout=60_000):
        pass
    page.wait_for_timeout(1_000)
    assert page.evaluate("document.activeElement === window.was && window.was.isConnected")


@pytest.mark.parametrize("which", PAGES)
def test_a_screen_reader_finds_its_way(which: str, live_id: str, open_page: Open) -> None:
    """Landmarks, one h1, headings without a gap, regions with names; the state is a polite status."""
    page = _open(open_page, which, live_id)
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    levels = page.evaluate(
        """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
            .filter((each) => each.checkVisibility()).map((each) => +each.tagName[1])"""
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.get_by_role("region").count() >= 5
    status = page.get_by_role("status")
    assert status.inner_text().startswith("Live.")
    snapshot = page.locator("main").aria_snapshot()
    for name in ["Now", "What sells", "Goal and keys"] if which == "live" else ["Money", "Payment gateways"]:
        assert f'heading "{name}"' in snapshot
    if which == "live":
        assert "term: Orders a minute" in snapshot and 'button "Set goal"' in snapshot


def test_stock_is_said_in_words_with_a_sign(live_id: str, open_page: Open) -> None:
    """Not by colour alone: each product's stock is a word and a shape; the shape is not read out."""
    page = _open(open_page, "live", live_id)
    lines = texts(page, "#products .stock")
    signs = {"In stock": "●", "Low": "▲", "Sold out": "■", "Oversold": "✖", "Stock": "○"}
    assert lines
    for line in lines:
        sign, _, words = line.partition(" ")
        assert next(shape for word, shape in signs.items() if words.startswith(word)) == sign
    hidden = page.locator("#products .stock > span:first-child").first.get_attribute("aria-hidden")
    assert hidden == "true"


def test_it_speaks_seldom(live_id: str, open_page: Open) -> None:
    """However many answers come: at most one word in 30 s, and the state only when it changes."""
    page = open_page(f"/live/{live_id}")
    is_current(page)
    page.evaluate(
        """() => { window.said = [];
                   const seen = new MutationObserver(() => window.said.push(performance.now()));
                   for (const each of document.querySelectorAll("[aria-live], [role=status]"))
                       seen.observe(each, { childList: true, characterData: true, subtree: true }); }"""
    )
    page.wait_for_timeout(33_000)
    assert page.evaluate("window.said.length") <= 2


def test_nothing_moves_for_who_asked_for_it(live_id: str, open_page: Open) -> None:
    """With prefers-reduced-motion no element has an animation or a transition."""
    page = _open(open_page, "live", live_id, reduced_motion="reduce")
    assert page.evaluate("document.getAnimations().length") == 0
    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].map((each) => getComputedStyle(each)).filter(
            (style) => style.animationName !== "none" || parseFloat(style.transitionDuration) > 0).length"""
    )
    assert moving == 0

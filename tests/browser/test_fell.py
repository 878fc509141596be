"""What fell in words: titles, the one line for the whole shop, and what a screen reader is told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.falls import NOON_MS, answer, drop
from tests.browser.figures import call

OPEN = {"name": "open", "current": True, "zeroes": True}


def _standing(page: Page, said: Any, trust: Any = OPEN, **more: Any) -> Any:
    """What is told of an answer; `judged`: the last one that judged, `missing`: since when none came."""
    asked = {"value": said, "missing": more.get("missing", "")}
    return call(page, "fell", "m.standing(...a)", asked, {"last": more.get("judged")}, trust)


@pytest.mark.parametrize(
    ("scope", "step", "title"),
    [
        ("all", "purchase_per_view", "Purchases per view in the whole shop"),
        ("platform:tiktok", "purchase_per_add_to_cart", "Purchases per cart on tiktok"),
        ("platform:other", "tag_tap_per_view", "Tag taps per view on other platforms"),
        ("live:a,b", "add_to_cart_per_tag_tap", "Carts per tag tap in live a,b"),
        (
            "platform:tiktok,gateway:adyen",
            "authorised_per_attempt",
            "Authorised payments per attempt by adyen on tiktok",
        ),
        (
            "platform,gateway:other",
            "authorised_per_attempt",
            "Authorised payments per attempt by other gateways",
        ),
    ],
)
def test_step_and_scope_in_words(page: Page, scope: str, step: str, title: str) -> None:
    """A drop is called by what people do and where, not by the names of the API."""
    assert call(page, "fell", "m.titleOf(a[0])", {"scope": scope, "step": step}) == title


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("m.conversion(0.00042)", "0.042\u00a0%"),
        ("m.conversion(0.0123)", "1.2\u00a0%"),
        ("m.conversion(0)", "0\u00a0%"),
        ("m.conversion(0.9996)", "99.9\u00a0%"),
        ("m.conversion(null)", "–"),
        ("m.fine(0.528)", "0.53"),
        ("m.fine(12.34)", "12.3"),
        ("m.fine(null)", "–"),
        ("m.when(a[0], a[0] + 3 * 3600000)", "12:00"),
        ("m.when(a[0], a[0] + 30 * 3600000)", "5 Aug 2026, 12:00"),
    ],
)
def test_small_figures_and_times(page: Page, expression: str, text: str) -> None:
    """A rate of a tenth of a percent does not become 0; a time of another day has its day."""
    assert call(page, "format", expression, NOON_MS) == text


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (
            {"watched": 12, "not_enough_traffic": 5, "no_baseline": 8},
            "Nothing fell: 12 steps are watched, 5 have not enough traffic, 8 have no baseline yet.",
        ),
        ({"watched": 1, "no_baseline": 1}, "Nothing fell: 1 step is watched, 1 has no baseline yet."),
        ({"no_baseline": 8}, "No step can be judged: 8 have no baseline yet."),
    ],
)
def test_where_nothing_fell_one_line_says_how_much_that_means(
    page: Page, numbers: dict[str, int], words: str
) -> None:
    """How many steps are watched and how many can't be; where none is watched nothing is said to be well."""
    assert _standing(page, answer(**numbers)) == {"words": words, "drops": []}


@pytest.mark.parametrize(
    ("said", "trust", "missing", "words"),
    [
        (answer(not_current=4), OPEN, "", "the watch has no current figures."),
        (answer(not_current=4), OPEN | {"name": "source_silent"}, "", "a source is silent."),
        (answer(), {"name": "stale", "current": False}, "", "figures are not current."),
        (answer(), {"name": "lost", "current": False}, "", "no figures come."),
        (None, OPEN, "Not had since 12:00:00.", "Not had since 12:00:00."),
    ],
)
def test_not_judged_is_no_good_news(page: Page, said: Any, trust: Any, missing: str, words: str) -> None:
    """It says that nothing is judged, why, and what had fallen when it last was; no drop is of now."""
    told = _standing(page, said, trust, missing=missing, judged=answer(drop("all", "purchase_per_view")))
    assert told["drops"] == [] and re.match(r"Nothing is judged now[:.] ", told["words"])
    last = "At 12:00:00 this had fallen: Purchases per view in the whole shop."
    assert told["words"].endswith(f"{words} {last}")
    assert _standing(page, said, trust, missing=missing)["words"].endswith(words)


def test_before_the_first_answer_nothing_is_said(page: Page) -> None:
    """Neither that nothing fell nor that nothing is judged."""
    assert _standing(page, None)["words"] == "–"
    assert _standing(page, None, {"name": "waiting", "current": False})["words"] == "–"


def test_of_many_drops_the_first_are_shown(page: Page) -> None:
    """And it is said; what only looks like a drop stands behind those that are."""
    falls = [drop(f"live:{n}", "purchase_per_view", "drop" if n else "diluted") for n in range(14)]
    told = _standing(page, answer(*falls, watched=20))
    assert told["words"] == "14 steps fell: 20 steps are watched. The first 12 are shown."
    assert [each["scope"] for each in told["drops"]][::13] == ["live:1", "live:0"]


def test_a_new_drop_is_told_once(page: Page) -> None:
    """However often it is seen; one that was away for minutes is not new; what is over does not stay."""
    heard = page.evaluate(
        """async (minutes) => {
            const { Herald } = await import('/static/herald.js');
            const node = document.createElement('p');
            const herald = new Herald(node);
            const heard = [];
            const seen = new MutationObserver(() => {});
            seen.observe(node, { childList: true });
            for (const [at, ...scopes] of minutes) {
                herald.tell(scopes.map((scope) => ({ scope, step: 'purchase_per_view' })), at * 60000);
                heard.push(seen.takeRecords().length ? node.textContent : null);
            }
            return heard }""",
        [[0, "all"], [1, "all"], [2, "all", "live:a"], [3], [4, "all"], [40, "all"]],
    )
    told = "Fell: Purchases per view in the whole shop."
    assert heard == [told, None, "Fell: Purchases per view in live a.", "", None, told]

"""What fell, on the control room: cards of drops, a quiet line where there is none, none where nobody knows.

Drops are told by the browser itself in place of the service, which has none to tell within the time of a
test; what the service does answer is held against the page too.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from tests.browser.conftest import TOKEN, Open
from tests.browser.falls import MINUTE_MS, NOON_MS, drop, watched
from tests.browser.figures import is_current, pairs, texts, wait_for
from tests.browser.stack import RunningPulse
from tests.browser.test_access import AXE, PHONE, RULES

# Nothing of it asks the service.
NO_PAGE = "/static/base.css"
STATES = {
    "watched": ("step is watched", "steps are watched"),
    "not_enough_traffic": ("has not enough traffic", "have not enough traffic"),
    "no_baseline": ("has no baseline yet", "have no baseline yet"),
}


class _Told:
    """What the browser is told in place of the service's answers."""

    def __init__(self, page: Page) -> None:
        self.drops: list[dict[str, Any]] = []
        self.left_out: list[dict[str, Any]] = []
        self.watched: list[dict[str, Any]] = watched(watched=5, no_baseline=3)
        page.route("**/api/v1/drops", self._answer)
        self.changes = [
            {"id": "1", "kind": "deploy", "title": "x" * 200, "at_ms": NOON_MS, "to_ms": NOON_MS + 1}
        ]
        page.route("**/api/v1/changes?*", lambda route: route.fulfill(json={"changes": self.changes}))

    def _answer(self, route: Route) -> None:
        now_ms = int(time.time() * 1_000)
        drops = [each | {"since_ms": now_ms - 23 * MINUTE_MS - 1_000} for each in self.drops]
        answer = {
            "as_of_ms": now_ms,
            "horizon_ms": 900_000,
            "left_out": [each | {"to_ms": now_ms + 23 * 60 * MINUTE_MS} for each in self.left_out],
            "drops": drops,
            "watched": self.watched,
        }
        route.fulfill(json=answer)


def _open(open_page: Open, *drops: dict[str, Any], **options: Any) -> tuple[Page, _Told]:
    """The control room with these drops."""
    page = open_page(NO_PAGE, token="", **options)
    told = _Told(page)
    told.drops = list(drops)
    _visit(page)
    is_current(page)
    wait_for(page, lambda: page.inner_text("#fell-words") != "–", "the line on what fell")
    return page, told


def _visit(page: Page, token: str = TOKEN) -> None:
    """Goes from no page to the control room: all that it asks can be watched."""
    page.goto(f"{page.url.removesuffix(NO_PAGE)}/#token={token}")


PAYMENTS = drop("platform:tiktok", "purchase_per_add_to_cart")
CROWD = drop("live:L1", "purchase_per_view", "diluted", causes=[])
ALIKE = drop(
    "all",
    "tag_tap_per_view",
    lost_minor_per_minute={},
    causes=[
        {"cause": "everywhere alike", "share": 1.0, "now_ratio": 0.1, "expected_ratio": 0.2, "n": 9},
    ],
)


def test_a_drop_is_a_card(live_id: str, open_page: Open) -> None:
    """Step and scope, now against expected, since when, orders and money lost, three causes as text."""
    page, told = _open(open_page, CROWD, PAYMENTS, ALIKE)
    cards = page.locator("#drops > li")
    assert texts(page, "#drops h3") == [
        "Purchases per cart on tiktok",
        "Tag taps per view in the whole shop",
        "Purchases per view in live L1",
    ]
    assert texts(page, "#drops .hero") == ["1.2\u00a0% instead of 3.1\u00a0%"] * 3
    since = cards.first.locator("p.muted").inner_text()
    assert re.fullmatch(r"61\.3 % less than expected\. Since \d\d:\d\d, 23 min ago\.", since)
    assert pairs(page, "#drops > li:first-child dl") == {
        "Sessions": "1,234 in 12 min\n15 went on",
        "Orders lost so far": "12.3",
        "Orders lost a minute": "0.53",
        "Money lost a minute": "$42.50\n€3.10",
    }
    assert texts(page, "#drops > li:first-child li") == [
        "64 % of it: gateway adyen on tiktok, 10\u00a0% instead of 90\u00a0%",
        "20 % of it: <b>x</b>, 10\u00a0% instead of 90\u00a0%",
        "10 % of it: product p1 (\u2068Cup\u2069, €9.90), 10\u00a0% instead of 90\u00a0%",
    ]
    assert page.inner_text("#fell-words").startswith("3 steps fell: 5 steps are watched, 3 have no baseline")
    assert texts(page, "#drops > li:nth-child(2) li") == [
        "Everywhere alike: no part fell further than the rest."
    ]
    assert pairs(page, "#drops > li:nth-child(2) dl")["Money lost a minute"] == "–"
    assert "As many as usual still get this far" in cards.last.inner_text()
    assert list(pairs(page, "#drops > li:last-child dl")) == ["Sessions"]
    assert cards.last.locator("a[href$='/live/L1']").count() == 1
    said = page.locator("#fell-spoken")
    assert said.inner_text().startswith("Fell: Purchases per cart on tiktok; ")
    told.drops, told.changes = [], []
    wait_for(page, lambda: cards.count() == 0, "the end of the drop")
    assert page.inner_text("#fell-words").startswith("Nothing fell: 5 steps are watched, 3 have no baseline")
    wait_for(page, lambda: page.locator("#changed").is_hidden(), "no changes")
    assert said.inner_text() == ""


def test_what_is_left_out_by_hand_is_said(live_id: str, open_page: Open) -> None:
    """Until when, and its title as text, while it lasts; of a drop that nobody saw begin "or earlier"."""
    page, told = _open(open_page, PAYMENTS | {"since_or_earlier": True})
    flags = page.locator("#left-out")
    assert flags.is_hidden()
    assert re.search(r"Since \d\d:\d\d or earlier, 23 min ago\.$", page.inner_text("#drops p.muted"))
    told.left_out = [{"id": "1", "kind": "incident", "title": "<b>adyen</b> down", "at_ms": NOON_MS}]
    wait_for(page, flags.is_visible, "the flag")
    assert re.fullmatch(r"Left out by hand until .*\d\d:\d\d: <b>adyen</b> down", flags.inner_text())
    told.left_out = []
    wait_for(page, flags.is_hidden, "its end")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drops_are_for_everybody(scheme: str, live_id: str, open_page: Open) -> None:
    """axe finds nothing, a phone scrolls one way, also with letters twice as large; it stands below trust."""
    page, _ = _open(open_page, CROWD, PAYMENTS, ALIKE, color_scheme=scheme, viewport=PHONE)
    page.wait_for_selector("#changes > li")
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, { runOnly: rules })", RULES)
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    for size in ("100%", "200%"):
        page.evaluate("size => { document.documentElement.style.fontSize = size }", size)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], size
    headings = texts(page, "h2")
    assert headings[headings.index("What fell") - 1] == "How far the figures can be trusted"
    assert (
        page.locator("[style]").evaluate_all("all => all.filter((each) => each.closest('#fell')).length") == 0
    )


def test_a_card_keeps_the_focus(live_id: str, open_page: Open) -> None:
    """A new answer with the same drop among others leaves the reader where he was."""
    page, told = _open(open_page, CROWD)
    page.get_by_role("link", name="Purchases per view in live L1").focus()
    page.evaluate("() => { window.was = document.activeElement }")
    told.drops = [PAYMENTS, CROWD]
    wait_for(page, lambda: page.locator("#drops > li").count() == 2, "the second drop")
    assert page.evaluate("document.activeElement === window.was && window.was.isConnected")


def test_a_pipeline_that_stands_still_judges_nothing(
    pulse: RunningPulse, live_id: str, open_page: Open
) -> None:
    """The cards go, the line says why, and what had fallen; cards come back with figures."""
    page, _ = _open(open_page, PAYMENTS)
    assert page.locator("#drops > li").count() == 1
    words = page.locator("#fell-words")
    with pulse.resting("worker"):
        wait_for(page, lambda: words.inner_text().startswith("Nothing is judged now: figures"), "the word")
        assert re.search(r"At [\d:]+ this had fallen: Purchases per cart on tiktok\.$", words.inner_text())
        assert page.locator("#drops > li").count() == 0
    wait_for(page, lambda: page.locator("#drops > li").count() == 1, "the drop again")


def test_a_figure_set_without_it_has_no_section(live_id: str, open_page: Open) -> None:
    """Where the service says that conversion is not kept (400) the section is absent; nothing asks again."""
    page = open_page(NO_PAGE, token="", expects_errors=True)
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=400, json={"error": "conversion is not kept with these SHOP_PULSE_FIGURES"})

    page.route("**/api/v1/drops", refuse)
    page.clock.install()
    _visit(page)
    wait_for(page, lambda: page.locator("#fell").is_hidden(), "no section")
    page.clock.run_for(60_000)
    page.wait_for_timeout(1_000)
    assert len(asked) == 1 and page.locator("#fell").is_hidden()


def test_the_services_answer_is_understood(pulse: RunningPulse, live_id: str, open_page: Open) -> None:
    """While shoppers come the page says of the real answer how many steps are in which state."""
    page = open_page("/")
    is_current(page)

    def same() -> bool:
        answer = pulse.ask("/api/v1/drops")
        states = [each["state"] for each in answer["watched"]]
        facts = []
        for state, words in STATES.items():
            if number := states.count(state):
                facts.append(f"{number:,} {words[number != 1]}")
        return (
            page.inner_text("#fell-words").endswith(f": {', '.join(facts)}.")
            and len(answer["drops"]) == page.locator("#drops > li").count()
        )

    wait_for(page, same, "the states of the API on the page")


def test_a_host_asks_for_no_drops(pulse: RunningPulse, live_id: str, open_page: Open) -> None:
    """With a host's link neither page asks what fell or what was changed, and neither shows any."""
    link = pulse.host_link(live_id)
    token = link.partition("#token=")[2]
    asked: list[str] = []
    for path in (f"/live/{live_id}", "/"):
        page = open_page(path, token=token, expects_errors=True)
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        page.wait_for_timeout(5_000)
        assert page.locator("#drops > li, #changes > li").count() == 0
    assert asked and not [url for url in asked if re.search("/api/v1/(drops|changes)", url)]


def test_changes_are_text(pulse: RunningPulse, live_id: str, open_page: Open) -> None:
    """What was told to the service, with time and kind, the newest first; a title is never markup."""
    page = open_page("/")
    is_current(page)
    now_ms = int(time.time() * 1_000)
    title = "<img src=x onerror=alert(1)> checkout 1.42"
    _tell(pulse, kind="note", title="Doors open", at_ms=now_ms - 60 * MINUTE_MS)
    _tell(pulse, kind="deploy", title=title, at_ms=now_ms - 10 * MINUTE_MS)
    # A promotion flags nothing: other tests of this pulse go on.
    _tell(
        pulse,
        kind="promotion",
        title="Half price",
        at_ms=now_ms - 30 * MINUTE_MS,
        to_ms=now_ms - 20 * MINUTE_MS,
    )
    _tell(pulse, kind="note", title="Long ago", at_ms=now_ms - 7 * 60 * MINUTE_MS)

    def ours() -> list[str]:
        # What the watch itself noted of other tests' silent sources stands there too.
        return [text for text in texts(page, "#changes > li") if " outage " not in text]

    wait_for(page, lambda: len(ours()) == 3, "the changes")
    deploy, promotion, note = ours()
    assert re.fullmatch(r"\d\d:\d\d deploy " + re.escape(title), deploy)
    assert re.fullmatch(r"\d\d:\d\d to \d\d:\d\d promotion Half price", promotion)
    assert note.endswith(" note Doors open")
    assert page.locator("#changes img").count() == 0
    assert page.get_by_role("heading", name="Changed in the last 6 hours").is_visible()


def _tell(pulse: RunningPulse, **change: Any) -> None:
    request = urllib.request.Request(
        f"{pulse.url}/api/v1/changes",
        json.dumps(change).encode(),
        {"Authorization": f"Bearer {pulse.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=15) as answer:
        assert answer.status == 201

"""The host's page on a real live: its figures are the API's, money can be hidden, goals are kept."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any

from playwright.sync_api import Page

from streams.web.host_token import HostTokens
from tests.browser.conftest import TOKEN, Open
from tests.browser.figures import amounts, gmv, is_current, number, pairs, texts, wait_for
from tests.browser.stack import RunningPulse

EXPIRED_MS = 1_262_304_000_000
MONEY = re.compile(r"[$€¥£]")


def _big(live: Any) -> dict[str, str]:
    """The large figures as they should stand on the page."""
    now, since = live["now"], live["since_start"]
    return {
        "Sales, last 5 minutes": amounts(gmv(now)),
        "Orders a minute": number(live["orders_per_minute"]),
        "Viewers now": number(now["viewers"]["now"]),
        "Sales since start": amounts(gmv(since)),
        "Orders since start": number(since["orders"]),
        "Viewers at the peak": number(since["viewers"]["peak"]),
    }


def _products(page: Page, selector: str) -> list[tuple[str, dict[str, str]]]:
    """Each card's first line and figures."""
    cards = page.locator(f"{selector} > li").all()
    return [(card.locator("h3 > span").first.inner_text(), _pairs_of(card)) for card in cards]


def _pairs_of(card: Any) -> dict[str, str]:
    names = card.locator("dt").all_inner_texts()
    return dict(zip(names, card.locator("dd").all_inner_texts(), strict=True))


def _product(each: Any) -> tuple[str, dict[str, str]]:
    """A product's card as it should be."""
    figures = {
        "Sales": amounts(each["gmv_paid_minor"]),
        "Orders": number(each["orders"]),
        "Taps": number(each["tag_taps"]),
        "In carts": number(each["add_to_carts"]),
    }
    return each["title"] or each["product_id"], figures


def _everything(page: Page) -> str:
    """All that the page holds as text, for eyes and for ears; what is not shown too."""
    found: str = page.evaluate(
        """() => document.body.textContent
            + [...document.querySelectorAll("[aria-label]")].map((each) => each.ariaLabel).join(" ")"""
    )
    return found


def test_figures_are_the_apis(pulse: RunningPulse, live_id: str, open_page: Open) -> None:
    """While nothing new comes in the page shows what /api/v1/lives/ID answers: figures, products, sums."""
    page = open_page(f"/live/{live_id}")
    is_current(page)
    with pulse.resting("generate"):

        def same() -> bool:
            live = pulse.ask(f"/api/v1/lives/{live_id}")
            since = pairs(page, "#since")
            return (
                pairs(page, "#now > dl") == _big(live)
                and _products(page, "#products") == [_product(each) for each in live["products"] or []]
                and _products(page, "#pinned") == [_product(each) for each in live["pinned"] or []]
                and since["Items"] == number(live["since_start"]["items"])
                and since["Joins"] == number(live["since_start"]["events_by_type"]["live_join"])
            )

        wait_for(page, same, "the figures of the API on the page")
        assert page.get_attribute("#state", "data-state") == "open"
    assert len(_products(page, "#products")) > 0


def test_curves_are_the_series(pulse: RunningPulse, live_id: str, open_page: Open) -> None:
    """The table of a curve has each whole minute of /api/v1/series since the live began, and – elsewhere."""
    started_ms = pulse.ask(f"/api/v1/lives/{live_id}")["started_ms"]
    page = open_page(f"/live/{live_id}")
    is_current(page)
    page.locator("#orders-curve summary").click()

    def same() -> bool:
        series = pulse.ask(f"/api/v1/series?scope=live:{live_id}&window=30m")
        ends_ms = [start_ms + series["step_ms"] for start_ms in series["start_ms"]]
        values = [
            number(value) if started_ms < end_ms <= series["as_of_ms"] else "–"
            for value, end_ms in zip(series["figures"]["orders"], ends_ms, strict=True)
        ]
        return texts(page, "#orders-curve td") == values

    wait_for(page, lambda: set(texts(page, "#orders-curve td")) > {"–"}, "a whole minute")
    with pulse.resting("generate"):
        wait_for(page, same, "the series in the table")


def test_streamer_mode_hides_all_money(live_id: str, open_page: Open) -> None:
    """The button and the key m take every amount out of the page's text, remembered after a reload."""
    page = open_page(f"/live/{live_id}")
    is_current(page)
    wait_for(page, lambda: MONEY.search(_everything(page)) is not None, "money")
    page.keyboard.press("m")
    button = page.get_by_role("button", name="Hide money")
    assert button.get_attribute("aria-pressed") == "true"
    assert MONEY.search(_everything(page)) is None
    assert page.get_by_text("Sales since start").is_hidden()
    page.reload()
    is_current(page)
    page.wait_for_timeout(1_500)
    assert MONEY.search(_everything(page)) is None
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    wait_for(page, lambda: page.get_by_text("Sales since start").is_visible(), "money again")


def test_the_address_can_hide_money(live_id: str, open_page: Open) -> None:
    """`?hide=money` hides it from the first moment."""
    page = open_page(f"/live/{live_id}?hide=money")
    assert page.get_by_role("button", name="Hide money").get_attribute("aria-pressed") == "true"
    is_current(page)
    assert MONEY.search(_everything(page)) is None


def test_the_key_leaves_writing_alone(live_id: str, open_page: Open) -> None:
    """m does nothing in a field or with Ctrl, and can be turned off (WCAG 2.1.4), for the next visit too."""
    page = open_page(f"/live/{live_id}")
    button = page.get_by_role("button", name="Hide money")
    page.get_by_label("Sales to reach in this live").focus()
    page.keyboard.press("m")
    page.locator("body").press("Control+m")
    page.get_by_label("hides and shows money").uncheck()
    page.locator("body").press("m")
    assert button.get_attribute("aria-pressed") == "false"
    page.reload()
    page.locator("body").press("m")
    assert button.get_attribute("aria-pressed") == "false"


def test_a_goal_is_set_and_kept(pulse: RunningPulse, live_id: str, open_page: Open) -> None:
    """Progress is said in words and by a bar, in streamer mode without amounts, kept for this live alone."""
    live = pulse.ask(f"/api/v1/lives/{live_id}")
    sold = gmv(live["since_start"])
    page = open_page(f"/live/{live_id}")
    is_current(page)
    # Which of them has sold most may change meanwhile.
    wait_for(page, lambda: page.locator("#goal-currency").input_value() in sold, "a currency of the live")
    currency = page.locator("#goal-currency").input_value()
    page.get_by_label("Sales to reach in this live").fill(str(sold[currency] * 4 // 100))
    page.get_by_role("button", name="Set goal").click()
    goals = page.get_by_role("list", name="Goals")
    wait_for(page, lambda: re.search(r"2\d % reached, .* to go", goals.inner_text()) is not None, "progress")
    bar = page.get_by_role("progressbar")
    assert 0.2 < float(bar.evaluate("bar => bar.value")) < 0.3
    page.keyboard.press("Tab")
    page.locator("body").press("m")
    assert MONEY.search(goals.inner_text()) is None and "% reached" in goals.inner_text()
    page.reload()
    is_current(page)
    wait_for(page, lambda: "% reached" in goals.inner_text(), "the goal after a reload")
    page.goto(f"{pulse.url}/live/another")
    page.wait_for_timeout(500)
    assert goals.inner_text() == ""


def test_obs_gets_big_figures_on_nothing(live_id: str, open_page: Open) -> None:
    """`?view=obs`: the ground is transparent also in dark mode, and only the big figures are to be seen."""
    for scheme in ("light", "dark"):
        page = open_page(f"/live/{live_id}?view=obs", color_scheme=scheme)
        is_current(page)
        corner: Any = {"x": 1270, "y": 890, "width": 1, "height": 1}
        assert _alpha(page.screenshot(omit_background=True, clip=corner)) == 0
        shown = page.evaluate("document.body.innerText")
        assert "Sales since start" in shown and "Viewers now" in shown
        assert "What sells" not in shown and "Live." not in shown and "Hide money" not in shown
        size = page.locator("#viewers-now").evaluate("each => parseFloat(getComputedStyle(each).fontSize)")
        assert size >= 60


def _alpha(png: bytes) -> int:
    """The transparency of the only pixel of a picture: 0 is nothing at all."""
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    pixel = zlib.decompress(data)
    assert len(pixel) == 5, "one filter byte, red, green, blue, alpha"
    return pixel[4]


def test_a_host_link_opens_its_live_and_nothing_else(
    pulse: RunningPulse, live_id: str, open_page: Open
) -> None:
    """The token leaves the address and stays in the tab; another live and the control room are refused."""
    link = pulse.host_link(live_id)
    token = link.partition("#token=")[2]
    path = link.partition("#")[0].removeprefix(pulse.url)
    page = open_page(path, token=token, expects_errors=True)
    is_current(page)
    assert page.url == f"{pulse.url}{path}"
    wait_for(page, lambda: page.inner_text("#orders-since-start") not in ("–", "0"), "sales")
    page.reload()
    is_current(page)
    for other in ("/live/another", "/"):
        page.goto(f"{pulse.url}{other}")
        wait_for(page, lambda: page.inner_text("#state").startswith("No access"), "a refusal")
        assert page.get_by_label("Token").is_visible()
        assert not re.search(r"\d", " ".join(texts(page, "dd")))


def test_an_expired_link_says_so(live_id: str, open_page: Open) -> None:
    """In words, with what to do; no figure is shown."""
    token = HostTokens(TOKEN).make(live_id, EXPIRED_MS)
    page = open_page(f"/live/{live_id}", token=token, expects_errors=True)
    wait_for(
        page, lambda: "this link has expired; ask for a new one" in page.inner_text("#state"), "the word"
    )
    assert set(texts(page, "#now dd")) == {"–"}


def test_a_token_can_be_typed(live_id: str, open_page: Open) -> None:
    """Without one both pages ask for it in words, do not show it, and go on once it is there; a host, who
    knows of no token, is told to open the link again."""
    for path, words in ((f"/live/{live_id}", "open the link again"), ("/", "asks for a token")):
        page = open_page(path, token="", expects_errors=True)
        field = page.get_by_label("Token")
        wait_for(page, field.is_visible, "the form")
        assert field.get_attribute("type") == "password"
        assert words in page.inner_text("#token-form")
        field.fill(TOKEN)
        field.press("Enter")
        is_current(page)
        assert field.is_hidden()


def test_a_live_that_nobody_knows(open_page: Open) -> None:
    """The page says so and shows no zero."""
    page = open_page("/live/nobody-has-seen-it")
    wait_for(page, lambda: page.get_attribute("#state", "data-state") == "lost", "the reason")
    assert page.inner_text("#state").startswith("No figures: ")
    assert set(texts(page, "#now dd")) == {"–"}

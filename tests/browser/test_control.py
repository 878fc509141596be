"""The control room on a real shop: trust first, figures are the API's, each with its curve and comparison."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page

from streams.scopes import UNATTRIBUTED
from tests.browser.conftest import Open
from tests.browser.figures import amount, gmv, is_current, number, pairs, texts, wait_for
from tests.browser.stack import RunningPulse

STEPS = ("view", "tag_tap", "add_to_cart", "purchase")
CHECKOUT = ("begin_checkout", "payment_started", "payment_authorised", "purchase")
WINDOWS = ("5m", "30m", "1h", "24h")


def _heroes(page: Page, selector: str) -> dict[str, str]:
    """Each card's title and large figure, of one moment: cards come and go."""
    cards: list[tuple[str, str]] = page.locator(f"{selector} > li").evaluate_all(
        """all => all.map((each) => [":scope > h3", ":scope > .hero"]
            .map((part) => each.querySelector(part).innerText))"""
    )
    return dict(cards)


def _sold(answer: Any) -> dict[str, str]:
    return {currency: amount(minor, currency) for currency, minor in gmv(answer).items()}


def _by_attribution(page: Page) -> list[str]:
    """Of each currency what taps gave to somebody, and what is nobody's."""
    cards = page.locator("#money > li > dl")
    return [text for n in range(cards.count()) for text in cards.nth(n).locator("dd").all_inner_texts()[-2:]]


def _attributed(answer: Any) -> list[str]:
    currencies = sorted(answer["money"], key=lambda each: -answer["money"][each]["gmv_paid_minor"])
    names = ("gmv_direct_minor", "gmv_unattributed_minor")
    return [amount(answer["money"][currency][name], currency) for currency in currencies for name in names]


def test_figures_are_the_apis(pulse: RunningPulse, open_page: Open) -> None:
    """While nothing new comes in the funnels and money are those of /api/v1/kpis."""
    page = open_page("/?window=30m")
    is_current(page)
    with pulse.resting("generate"):

        def same() -> bool:
            answer = pulse.ask("/api/v1/kpis?scope=all&window=30m")
            return (
                texts(page, "#funnel b") == [number(answer["sessions"][step]) for step in STEPS]
                and texts(page, "#checkouts b") == [number(answer["checkouts"][step]) for step in CHECKOUT]
                and _heroes(page, "#money") == _sold(answer)
                and _by_attribution(page) == _attributed(answer)
                and page.inner_text("#orders").startswith(f"{number(answer['orders'])} orders")
                and page.inner_text("#duplicates") in (number(answer["quality"]["duplicates"]), "none")
            )

        wait_for(page, same, "the figures of the API on the page")
        assert page.get_attribute("#state", "data-state") == "open"

    def compared() -> bool:
        first, *others = texts(page, "#funnel li")
        beside = re.search(r"[\d,]+ events · [\d,]+ users", first)
        went_on = [re.search(r"[\d.]+ % went on, [\d.]+ % dropped off", step) for step in others]
        return bool("went on" not in first and beside and all(went_on))

    wait_for(page, compared, "conversion and drop-off of each step")


def test_gateways_and_lives_are_the_apis(pulse: RunningPulse, live_id: str, open_page: Open) -> None:
    """Each gateway's success rate with its platforms, each live's sales with a link to its page; last, and
    without a link or viewers, what belongs to no live."""
    page = open_page("/?window=30m")
    is_current(page)
    with pulse.resting("generate"):

        def same() -> bool:
            rates = {}
            for scope in pulse.ask("/api/v1/scopes?kind=gateway&window=30m")["scopes"]:
                payments = pulse.ask(f"/api/v1/kpis?scope={scope['scope']}&window=30m")["payments"]
                if not payments["attempts"]:
                    return False
                permille = payments["authorised"] * 1000 // payments["attempts"]
                rates[scope["scope"].removeprefix("gateway:")] = f"{number(permille / 10)} % succeeded"
            sold = {}
            for scope in pulse.ask("/api/v1/scopes?kind=live&window=30m")["scopes"][:10]:
                some = [
                    amount(minor, currency) for currency, minor in scope["gmv_paid_minor"].items() if minor
                ]
                name = scope["scope"].removeprefix("live:")
                sold["Of no live" if name == UNATTRIBUTED else name] = "\n".join(some) or "0"
            return _heroes(page, "#gateways") == rates and _heroes(page, "#lives") == sold

        wait_for(page, same, "the gateways and lives of the API on the page")
    nobodys = page.locator("#lives > li").last
    assert nobodys.locator("h3").inner_text() == "Of no live"
    assert (nobodys.locator("a").count(), nobodys.locator("dt").all_text_contents()) == (0, ["Orders"])
    platforms = re.compile(r"(tiktok|douyin): [\d.]+ % of [\d,]+, [\d,]+ pending")
    wait_for(page, lambda: platforms.search("".join(texts(page, "#gateways ul"))) is not None, "platforms")
    page.locator("#lives a").first.click()
    is_current(page)
    assert page.url.startswith(f"{pulse.url}/live/")


def test_trust_comes_first(open_page: Open) -> None:
    """Before any figure: as of when, how complete, what waits, who is silent, what was refused."""
    page = open_page("/")
    is_current(page)
    wait_for(page, lambda: "–" not in pairs(page, ".trust").values(), "every fact of the trust row")
    facts = pairs(page, ".trust")
    assert re.search(r"\d\d:\d\d:\d\d\s+\d+ s ago", facts["As of"])
    assert re.fullmatch(r"[\d.]+ %", facts["Complete"])
    assert facts["Silent sources"] == "none"
    assert {"Not read yet", "Dead letters", "Late", "Duplicates dropped", "Misplaced"} < set(facts)
    first = page.locator("main dl").first
    assert first.get_attribute("class") == "figures trust"


def test_curves_and_comparisons(open_page: Open) -> None:
    """Sessions, each currency, gateway and live have a curve with a name in words, and a comparison."""
    page = open_page("/")
    is_current(page)

    def drawn() -> bool:
        charts = page.get_by_role("img").all()
        names = [chart.get_attribute("aria-label") or "" for chart in charts]
        cards = page.locator(".card:has(.chart)").count()
        return len(names) == cards >= 8 and all(
            re.search(r"a minute: (last|not known)", name) for name in names
        )

    wait_for(page, drawn, "a curve in each card")
    for words in texts(page, ".card:has(.chart) > p.muted"):
        assert re.search(r"(than in|as in) the 5 minutes before\.|before: not known\.|–", words)


def test_the_window_can_be_chosen(pulse: RunningPulse, open_page: Open) -> None:
    """The choice stands in the address, so that it can be passed on; the figures follow it."""
    page = open_page("/")
    is_current(page)
    assert page.get_by_label("Figures of the last").locator("option").count() == len(WINDOWS)
    for window in WINDOWS:
        page.get_by_label("Figures of the last").select_option(window)
        assert page.url == f"{pulse.url}/?window={window}"
        is_current(page)
        wait_for(page, lambda: page.locator("#money > li").count() > 0, "money")
    page.goto(f"{pulse.url}/?window=1h")
    assert page.get_by_label("Figures of the last").input_value() == "1h"

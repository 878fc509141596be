"""What the pages should show for an answer of the API, written a second time, and what they do show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Page

from tests.browser.stack import until

SYMBOLS = {"USD": "$", "EUR": "€", "CNY": "CN¥"}


def amount(minor: int, currency: str) -> str:
    """An amount of minor units, all of these currencies having 100 to a unit."""
    sign = "-" if minor < 0 else ""
    return f"{sign}{SYMBOLS[currency]}{abs(minor) / 100:,.2f}"


def amounts(by_currency: Mapping[str, int]) -> str:
    """One line a currency in which something was sold."""
    some = [amount(minor, currency) for currency, minor in by_currency.items() if minor]
    return "\n".join(some) or "0"


def gmv(answer: Mapping[str, Any]) -> dict[str, int]:
    """GMV paid by currency."""
    return {currency: sums["gmv_paid_minor"] for currency, sums in answer["money"].items()}


def number(figure: float | None) -> str:
    """At most one decimal, thousands apart; – for what is not known."""
    return "–" if figure is None else f"{figure:,.1f}".removesuffix(".0")


def texts(page: Page, selector: str) -> list[str]:
    """The visible texts of all elements."""
    found: list[str] = page.locator(selector).all_inner_texts()
    return found


def pairs(page: Page, selector: str) -> dict[str, str]:
    """A description list as name -> text."""
    found: dict[str, str] = page.locator(selector).evaluate(
        """list => Object.fromEntries([...list.children].map((each) => each.children)
            .map(([name, figure]) => [name.innerText, figure.innerText]))"""
    )
    return found


def call(page: Page, module: str, expression: str, *values: Any) -> Any:
    """The value of an expression over the exports `m` of one of the pages' modules and the arguments `a`."""
    return page.evaluate(
        f"async (a) => {{ const m = await import('/static/{module}.js'); return {expression} }}", list(values)
    )


def wait_for(page: Page, fact: Any, what: str) -> None:
    """Returns when `fact()` holds; the page goes on meanwhile."""
    until(fact, what, lambda: page.wait_for_timeout(200))


def is_current(page: Page) -> None:
    """Returns when the page says that its figures are of now."""
    wait_for(page, lambda: page.get_attribute("#state", "data-state") == "open", "current figures")

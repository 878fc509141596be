"""Single modules of the pages in a real browser: how figures, ages, trust and stock are put into words."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.figures import call as _call

MINUTE_MS = 60_000
NOON_MS = 1_785_931_200_000


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123456, "USD", "$1,234.56"),
        (-5, "EUR", "-€0.05"),
        (500, "JPY", "¥500"),
        (1234, "KWD", "KWD\u00a01.234"),
        (None, "USD", "–"),
    ],
)
def test_minor_units_follow_the_currency(page: Page, minor: int | None, currency: str, text: str) -> None:
    """A dollar has 100, a yen 1, a dinar 1000; what is not known is –."""
    assert _call(page, "format", "m.money(a[0], a[1])", minor, currency) == text


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("m.count(1234567)", "1,234,567"),
        ("m.count(null)", "–"),
        ("m.decimal(2.25)", "2.3"),
        ("m.percent(0.9996)", "99.9 %"),
        ("m.percent(0.29)", "29 %"),
        ("m.percent(1)", "100 %"),
        ("m.duration(59999)", "59 s"),
        ("m.duration(3 * 60000)", "3 min"),
        ("m.duration(125 * 60000)", "2 h 5 min"),
        ("m.duration(120 * 60000)", "2 h"),
        ("m.duration(72 * 3600000)", "3 d"),
        ("m.clock(1785931205000)", "12:00:05"),
        ("m.change(112, 100)", "12 % more"),
        ("m.change(90, 100)", "10 % less"),
        ("m.change(5, 5)", "the same"),
        ("m.change(30, 2)", "15 times as much"),
        ("m.change(3, 0)", "more"),
        ("m.change(null, 3)", "–"),
        ("m.pointsChange(0.95, 0.9)", "5 points higher"),
        ("m.pointsChange(0.5, null)", "–"),
    ],
)
def test_figures_in_words(page: Page, call: str, text: str) -> None:
    """Numbers, lengths of time and comparisons; never 0 or a comparison for what is not known."""
    assert _call(page, "format", call) == text


def _answer(state: str, age_ms: int = 0, to_ms: int = NOON_MS) -> dict[str, Any]:
    return {"as_of_ms": NOON_MS - age_ms, "to_ms": to_ms, "state": state}


@pytest.mark.parametrize(
    ("answer", "lost", "name", "current", "zeroes"),
    [
        (_answer("open"), None, "open", True, True),
        (_answer("source_silent"), None, "source_silent", True, False),
        (_answer("stale"), None, "stale", False, False),
        (_answer("source_silent", age_ms=90_000), None, "stale", False, False),
        (_answer("open", age_ms=90_000), None, "stale", False, False),
        (_answer("final", age_ms=90_000, to_ms=NOON_MS - 900_000), None, "final", True, True),
        (_answer("stale") | {"as_of_ms": None}, None, "stale", False, False),
        (_answer("open"), "Connection lost: x.", "lost", False, False),
        (None, None, "waiting", False, False),
    ],
)
def test_what_may_be_believed(  # noqa: PLR0917 - the columns of the table above
    page: Page, answer: Any, lost: str | None, name: str, current: bool, zeroes: bool
) -> None:
    """A pipeline that stands still is stale even where its sources look silent, and by the age alone where no
    new answer comes; a zero counts only while figures are of now and no source is silent."""
    trust = _call(page, "trust", "m.judge(a[0], a[1], a[2])", answer, lost, NOON_MS + 5_000)
    assert (trust["name"], trust["current"], trust["zeroes"]) == (name, current, zeroes)
    assert trust["sentence"].endswith((".", "…"))


@pytest.mark.parametrize(
    ("options", "call", "text"),
    [
        ({"zeroes": True}, "t.count(0)", "0"),
        ({"zeroes": False}, "t.count(0)", "–"),
        ({"zeroes": False}, "t.count(7)", "7"),
        ({"zeroes": True}, "t.amounts({USD: 0, EUR: 150, CNY: 2})", "€1.50\nCN¥0.02"),
        ({"zeroes": True}, "t.amounts({USD: 0})", "0"),
        ({"zeroes": False}, "t.amounts({USD: 0})", "–"),
        ({"zeroes": True}, "t.amounts(null)", "–"),
        ({"zeroes": True, "hideMoney": True}, "t.amounts({USD: 5})", "hidden"),
        ({"zeroes": True, "hideMoney": True}, "t.amount(5, 'USD')", "hidden"),
    ],
)
def test_the_teller_knows_zero_from_unknown(
    page: Page, options: dict[str, bool], call: str, text: str
) -> None:
    """A zero that may only mean that nothing was read is –; money that is hidden is not put into words."""
    assert _call(page, "teller", f"(t => {call})(new m.Teller(a[0]))", {"hideMoney": False} | options) == text


@pytest.mark.parametrize(
    ("stock", "words"),
    [
        ({"state": "in_stock", "units": 1200, "minutes_left": 92.7}, "In stock: 1,200 left, about 92 min"),
        ({"state": "in_stock", "units": 9, "minutes_left": None}, "In stock: 9 left"),
        ({"state": "low", "units": 2, "minutes_left": 0.4}, "Low: 2 left, less than 1 min"),
        ({"state": "out", "units": 0, "minutes_left": 0}, "Sold out"),
        ({"state": "oversold", "units": -3, "oversold_units": 3}, "Oversold by 3"),
        ({"state": None, "units": None}, "Stock – not known"),
        (None, "Stock – not known"),
    ],
)
def test_stock_in_words(page: Page, stock: Any, words: str) -> None:
    """How much is left and for how long; minutes are rounded down, as nobody is helped by a promise."""
    assert _call(page, "stock", "m.stockWords(a[0])", stock) == words


def test_a_step_that_is_not_over_is_not_drawn(page: Page) -> None:
    """The running minute would look like a fall; beyond the watermark nothing is known."""
    series = {
        "start_ms": [0, MINUTE_MS, 2 * MINUTE_MS],
        "step_ms": MINUTE_MS,
        "as_of_ms": 2 * MINUTE_MS + 30_000,
        "figures": {"orders": [4, None, 1]},
    }
    assert _call(page, "chart", "m.wholeSteps(a[0], 'orders')", series) == [4, None, None]
    assert _call(page, "chart", "m.wholeSteps(a[0], 'orders')", series | {"as_of_ms": None}) == [None] * 3


def test_lag_is_read_from_metrics(page: Page) -> None:
    """Records that wait are added over partitions; topics whose source is silent are named."""
    text = (
        'shop_pulse_lag_records{partition="0",topic="views"} 12.0\n'
        'shop_pulse_lag_records{partition="1",topic="views"} 3.0\n'
        'shop_pulse_lag_records{partition="0",topic="carts"} 1.0\n'
        'shop_pulse_source_silent{topic="ads"} 1.0\nshop_pulse_source_silent{topic="views"} 0.0\n'
    )
    words = "(r => [m.lagWords(r.lag, String), r.silent])(m.readLag(a[0]))"
    assert _call(page, "lag", words, text) == ["16 (most in views)", ["ads"]]
    assert _call(page, "lag", words, "") == [None, []]


def test_a_week_ago_without_records_is_not_zero(page: Page) -> None:
    """Where nothing was read in an hour its zero is not known to be one."""
    read = {"as_of_ms": 1, "quality": {"accepted": 9}, "orders": 10}
    unread = {"as_of_ms": 1, "quality": {"accepted": 0}, "orders": 0}
    week = {"from_ms": NOON_MS, "to_ms": NOON_MS + 60 * MINUTE_MS, "this": read, "then": unread}
    asked = {"now": read, "previous": read | {"orders": 8}, "last_week": week}
    call = "m.againstWords(a[0], '5m', (of) => of.orders, true)"
    assert (
        _call(page, "against", call, asked)
        == "25 % more than in the 5 minutes before. A week ago: not known."
    )
    asked["last_week"] = week | {"then": read}
    assert _call(page, "against", call, asked).endswith("12:00–13:00: the same as a week ago.")


def test_a_list_keeps_the_focus_when_it_is_sorted_anew(page: Page) -> None:
    """Each item keeps its element, wherever it moves; what has the focus has it afterwards."""
    kept = page.evaluate(
        """async () => { const { keyed, make } = await import('/static/dom.js');
                         const list = make('ul');
                         document.body.append(list);
                         const fill = (names) => keyed(list, names, String, (name) => make('li', {}, make(
                             'a', { href: '#' }, name)), () => {});
                         fill(['a', 'b', 'c', 'd']);
                         const link = list.children[3].firstChild;
                         link.focus();
                         const kept = [['d', 'b', 'e', 'a'], ['b', 'd']].map((names) => {
                             fill(names);
                             return [list.innerText.split(/\\s+/), document.activeElement === link] });
                         list.remove();
                         return kept; }"""
    )
    assert kept == [[["d", "b", "e", "a"], True], [["b", "d"], True]]


def test_the_announcer_waits_30_seconds(page: Page) -> None:
    """The first word comes at once, then only the newest of 30 s; what is taken back is not said."""
    page.clock.install()
    page.evaluate(
        """async () => { const { Announcer } = await import('/static/announcer.js');
                         const node = document.createElement('p');
                         window.heard = [];
                         new MutationObserver(() => window.heard.push(node.textContent))
                             .observe(node, { childList: true });
                         window.announcer = new Announcer(node); }"""
    )
    for word in ("one", "two", "three"):
        page.evaluate("word => window.announcer.say(word)", word)
        page.clock.run_for(5_000)
    assert page.evaluate("window.heard") == ["one"]
    page.clock.run_for(30_000)
    assert page.evaluate("window.heard") == ["one", "three"]
    page.evaluate("() => { window.announcer.say('four'); window.announcer.hush() }")
    page.clock.run_for(60_000)
    assert page.evaluate("window.heard") == ["one", "three", ""]

"""Parts that fail one by one, phones that slept, figures that are null: nothing old looks like now."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Open
from tests.browser.figures import call as _call
from tests.browser.figures import is_current, texts, wait_for

NOON_MS = 1_785_931_200_000
UNHEARD_MS = 30_000


def test_what_was_had_is_kept_for_a_minute(page: Page) -> None:
    """Then it is null with a sentence since when; so is what never came, from the beginning on."""
    call = """(k => { k.had({a: 7}, a[0] + 5000);
                      return ['a', 'b'].map((name) => k.of(name, a[0] + a[1])) })(new m.Kept(a[0]))"""
    had = {"value": 7, "last": 7, "missing": ""}
    none = {"value": None, "last": None, "missing": ""}
    assert _call(page, "kept", call, NOON_MS, 60_000) == [had, none]
    gone = [
        had | {"value": None, "missing": "Not had since 12:00:05."},
        none | {"missing": "Not had since 12:00:00."},
    ]
    assert _call(page, "kept", call, NOON_MS, 66_000) == gone


def test_a_window_left_takes_its_round_with_it(page: Page) -> None:
    """What is under way when rounds are stopped is no longer wanted."""
    call = """(() => { let wanted; const rounds = new m.Rounds(1, async (w) => { wanted = w });
                      rounds.restart(); const before = wanted();
                      rounds.stop(); return [before, wanted()] })()"""
    assert _call(page, "poll", call) == [True, False]


def test_only_who_heard_something_speaks_of_the_pipeline(page: Page) -> None:
    """An old answer means that the pipeline is behind only if the service spoke within 20 s."""
    old = {"as_of_ms": NOON_MS - 90_000, "to_ms": NOON_MS, "state": "open"}
    sentence = "m.judge(a[0], null, a[1], a[2]).sentence"
    assert _call(page, "trust", sentence, old, NOON_MS, 19_000).startswith("The pipeline is behind")
    asked_anew = _call(page, "trust", sentence, old, NOON_MS, 21_000)
    assert asked_anew.startswith("Reconnecting … What you see is from 11:58:30, not current.")


def test_none_is_said_only_where_it_is_known(page: Page) -> None:
    """That there is none of a part needs the part, and zeroes that are known."""
    call = """[[[], true], [[], false], [null, true]].map(
        ([part, zeroes]) => new m.Teller({zeroes}).none(part, 'No'))"""
    assert _call(page, "teller", call) == ["No", "–", "–"]


@pytest.mark.parametrize("away_ms", [15_000, UNHEARD_MS])
def test_a_phone_that_wakes_up_asks_at_once(page: Page, away_ms: int) -> None:
    """After 16 s of silence the connection is dropped for a new one without a pause; before it is trusted."""
    asked, lost = page.evaluate(
        """async (awayMs) => {
            const { follow } = await import('/static/api.js');
            const { lostWords } = await import('/static/trust.js');
            const [fetched, now] = [window.fetch, Date.now];
            let asked = 0;
            const lost = [];
            window.fetch = async (_address, { signal }) => {
                asked += 1;
                const body = new ReadableStream({ start: (stream) =>
                    signal.addEventListener("abort", () => stream.error(signal.reason)) });
                return new Response(body); };
            const on = { answer() {}, alive() {}, lost: (error) => lost.push(lostWords(error)) };
            const stop = follow({}, on);
            await new Promise((resolve) => setTimeout(resolve, 50));
            Date.now = () => now() + awayMs;
            window.dispatchEvent(new Event("pageshow"));
            document.dispatchEvent(new Event("visibilitychange"));
            await new Promise((resolve) => setTimeout(resolve, 100));
            stop();
            [window.fetch, Date.now] = [fetched, now];
            return [asked, lost] }""",
        away_ms,
    )
    assert (asked, set(lost)) == ((2, {"Reconnecting …"}) if away_ms == UNHEARD_MS else (1, set()))


def test_the_screen_stays_on(page: Page) -> None:
    """It is asked for now and when the page is back; a refusal is no fault."""
    asked = page.evaluate(
        """async () => {
            let asked = 0;
            const wakeLock = { request: async () => { asked += 1; throw new DOMException("no") } };
            Object.defineProperty(navigator, "wakeLock", { value: wakeLock, configurable: true });
            (await import('/static/wake.js')).stayAwake();
            document.dispatchEvent(new Event("visibilitychange"));
            await new Promise((resolve) => setTimeout(resolve, 20));
            delete navigator.wakeLock;
            return asked }"""
    )
    assert asked == 2


def test_a_chart_has_a_name_or_is_no_picture(page: Page) -> None:
    """Also before the first and after the last curve; rows of its table that did not change stay."""
    roles, kept = page.evaluate(
        """async () => {
            const { Chart } = await import('/static/chart.js');
            const box = document.createElement('div');
            const chart = new Chart(box, { large: true });
            const roles = [box.querySelectorAll('[role=img]').length];
            const shown = (startMs) => chart.show(
                { name: 'n', startMs, values: startMs.map(() => null), words: String });
            shown([0, 60000, 120000]);
            roles.push(box.querySelectorAll('[role=img][aria-label]').length);
            const [, second, third] = box.querySelectorAll('tbody tr');
            let moved = 0;
            const seen = new MutationObserver((all) => { moved += all.length });
            seen.observe(box.querySelector('tbody'), { childList: true });
            shown([60000, 120000, 180000]);
            await null;
            const rows = [...box.querySelectorAll('tbody tr')];
            chart.clear();
            roles.push(box.querySelectorAll('[role=img]').length);
            return [roles, [rows[0] === second, rows[1] === third, rows.length, moved]] }"""
    )
    assert roles == [0, 1, 0]
    assert kept == [True, True, 3, 2]


def _compared(page: Page, live: Any) -> tuple[str, str]:
    """What stands against the host's past lives, and the line where there are none."""
    median, none = page.evaluate(
        """async (live) => {
            const { showCompared } = await import('/static/compared.js');
            const { Teller } = await import('/static/teller.js');
            const box = document.createElement('div');
            for (const id of ['lately', 'lately-none', 'median', 'past', 'past-none'])
                box.append(Object.assign(document.createElement('div'), { id }));
            document.body.append(box);
            showCompared(live, new Teller({ zeroes: true, hideMoney: false }));
            const texts = ['median', 'past-none'].map((id) => document.getElementById(id).textContent);
            box.remove();
            return texts }""",
        live,
    )
    return median, none


def test_past_lives_are_held_against_the_same_minute(page: Page) -> None:
    """Not against the sums since the start; where those of this live are not known there is no comparison."""
    live = {
        "since_start": {"orders": 99, "money": {}},
        "at_minute": {"orders": 12, "gmv_paid_minor": {"USD": 500}},
        "past_median": {"orders": 10, "gmv_paid_minor": {"USD": 400, "EUR": 100}},
        "past_lives": [{"live_id": "x", "started_ms": 0, "orders": 10, "gmv_paid_minor": {"USD": 400}}],
    }
    median, _ = _compared(page, live)
    assert "20 % more\n12 against 10" in median and "25 % more\n$5.00 against $4.00" in median
    assert "€0.00 against €1.00" in median
    assert "against" not in _compared(page, live | {"at_minute": None})[0]
    assert "fewer" not in median
    ranked = live | {"past_percentile": {"orders": 62.5, "gmv_paid_minor": {"USD": 50.0}}}
    assert "Past lives with fewer orders by then" in (told := _compared(page, ranked)[0]) and "62.5 %" in told
    assert _compared(page, live | {"past_lives": [], "past_median": None})[1].startswith("Nothing to compare")
    assert _compared(page, live | {"past_lives": None, "past_median": None})[1] == "–"


def test_an_address_that_names_no_live(open_page: Open) -> None:
    """A link that lost a part says so at once."""
    page = open_page("/live/100%", expects_errors=True)
    wait_for(page, lambda: page.inner_text("#state").startswith("This address names no live"), "the word")


def test_a_part_that_fails_leaves_no_old_figures(live_id: str, open_page: Open) -> None:
    """One gateway's card, the lives and /metrics go to – with since when; the other cards stay."""
    page = open_page("/", expects_errors=True)
    page.clock.install()
    page.reload()
    is_current(page)
    wait_for(page, lambda: page.inner_text("#lag") != "–", "the lag")
    wait_for(page, lambda: page.locator("#lives .chart[role=img]").count() > 0, "the lives")
    first = page.locator("#gateways > li").first
    name = first.locator("h3").inner_text()
    fails = ("/metrics", "kind=live", f"scope=gateway%3A{name}&")
    page.route(lambda url: any(each in url for each in fails), lambda route: route.abort())
    for _ in range(6):
        page.clock.run_for(13_000)
        page.wait_for_timeout(1_000)
    wait_for(page, lambda: page.locator("#pipeline-none").is_visible(), "the line on the pipeline's facts")
    card = page.locator("#gateways > li", has=page.get_by_role("heading", name=name, exact=True))
    wait_for(page, lambda: "Not had since" in card.inner_text(), "the line on the card")
    assert card.locator(".hero").inner_text() == "– succeeded"
    assert "Not had since" in page.inner_text("#lives-none")
    assert set(texts(page, "#lives .hero")) == {"–"} and page.inner_text("#lag") == "–"

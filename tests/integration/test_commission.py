"""Commission, from a log to answers: what the pipeline wrote, the read service told, and `verify` finds by
looking at every order as a whole."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from streams.local.redis import RedisServer
from streams.series import read_series
from tests.commission_kit import AFFILIATES, DAYS, END, of_story, set_as_of, told_of
from tests.redis_kit import Shop
from tests.scenario_kit import DAY, HOUR, MONDAY
from verify.totals import Range, Totals


@pytest.fixture(scope="module")
def told(redis_server: RedisServer) -> tuple[Shop, Totals]:
    """The whole log."""
    return told_of(redis_server, DAYS)


SCOPES = (
    ("all", ""),
    ("platform", "tiktok"),
    *(("affiliate", each) for each in (*AFFILIATES, "nobody")),
    *(("creator", "c1"), ("brand", "b1")),
)


@pytest.mark.parametrize(
    ("days", "as_of_days"),
    [(10, 9), (32, 32), (45, 45), (62, 60), (75, 50), (100, 72), (140, 140), (140, 112)],
)
def test_answers_agree_with_every_order_looked_at_as_a_whole(
    redis_server: RedisServer, days: int, as_of_days: int
) -> None:
    """Whatever is final by as-of: all days, a month, one day, hours; every scope that has commission."""
    shop, totals = told_of(redis_server, days)
    set_as_of(shop, MONDAY + as_of_days * DAY - 7 * HOUR + days % 2)
    end_ms = MONDAY + days * DAY
    spans = [
        Range(MONDAY, end_ms, "1d"),
        Range(MONDAY + 2 * DAY, MONDAY + min(days, 33) * DAY, "1d"),
        *(Range(end_ms - back * DAY, end_ms - (back - 1) * DAY, "1h") for back in (3, 20) if back < days),
        *(Range(end_ms - back * DAY + HOUR, end_ms - back * DAY + 20 * HOUR, "1h") for back in (7, 33)),
    ]
    finals: Counter[str] = Counter()
    for scope in SCOPES:
        for span in spans:
            answer, report = of_story(shop, totals, scope, span, end_ms)
            assert report.differences == []
            for of in answer["commission"].values():
                finals["final"] += of["final_minor"]
                finals["estimated"] += of["estimated_minor"]
                assert of["earned_minor"] == of["reversed_minor"] + of["estimated_minor"] + of["final_minor"]
    assert finals["estimated"] > 0
    assert (finals["final"] > 0) is (days > 20)


def _kpis(shop: Shop, *question: Any, now_ms: int = END) -> Any:
    return shop.ask(lambda model: model.kpis(*question), now_ms=now_ms)


@pytest.mark.parametrize("hours", [15 * 24, 45 * 24])
def test_final_begins_with_its_hour(redis_server: RedisServer, hours: int) -> None:
    """To the millisecond; as-of decides, not the clock. Of other affiliates, or an hour later: no."""
    shop, start_ms = Shop(redis_server.url, partitions=1), MONDAY
    final_ms = start_ms + hours * HOUR
    shop.book(start_ms, "affiliate", "a1", commission__USD=100, clawed_back__USD=10)
    for hour, value, amount in ((0, "a1", 70), (1, "a1", 40), (0, "a11", 9), (0, "1:a1", 9)):
        shop.book(start_ms, "due", f"{final_ms // HOUR + hour}:affiliate:{value}", final__USD=amount)
    for as_of_ms, final in ((final_ms - 1, 0), (final_ms, 70), (final_ms + HOUR, 110)):
        shop.healthy(as_of_ms)
        for size_ms in (HOUR, DAY) if hours == 15 * 24 else (DAY,):
            answer = _kpis(shop, "affiliate:a1", None, start_ms, start_ms + size_ms, now_ms=final_ms + DAY)
            of = answer["commission"]["USD"]
            assert (of["final_minor"], of["estimated_minor"]) == (final, 110 - final)


def test_nothing_young_is_final(redis_server: RedisServer) -> None:
    """A window of minutes asks the table of what becomes final for nothing: all of it is an estimate."""
    shop = Shop(redis_server.url, partitions=1)
    shop.book(END - 1, "all", commission__USD=100)
    shop.healthy(END)
    for window in ("1m", "24h"):
        answer = _kpis(shop, "all", window)
        of = answer["commission"]["USD"]
        assert (of["final_minor"], of["estimated_minor"]) == (0, 100)


def test_a_campaign_has_a_series_of_its_charges(redis_server: RedisServer) -> None:
    """Step by step what one campaign was charged, and nothing else."""
    shop = Shop(redis_server.url, partitions=1)
    for name, amount in (("c1", 5), ("c2", 70)):
        shop.book(END - 1, "campaign", name, ads__USD=amount, events__ad_charge=1)
    shop.book(END - 1, "pipeline", "ads", accepted=2)
    shop.healthy(END)
    series = shop.ask(lambda model: read_series(model, "campaign:c1", "30m"), now_ms=END)
    assert series["figures"] == {"ads.USD.charged_minor": [None] * 29 + [5]}


def test_a_wrong_number_is_found(told: tuple[Shop, Totals]) -> None:
    """One minor unit more that becomes final in one hour of one day: `verify` names the figure."""
    shop, totals = told
    set_as_of(shop, END)
    key, cell = next(
        (key, cell)
        for start_ms in range(END - 50 * DAY, END, DAY)
        for key in (f"{shop.prefix}:{{0}}:cells:due:1d:{start_ms}",)
        for cell in map(bytes.decode, shop.client.hgetall(key))  # type: ignore[arg-type]
        if cell.endswith(":affiliate:a1") and int(cell.partition("|")[2].partition(":")[0]) * HOUR <= END
    )
    currency = cell.partition("|")[0].partition(":")[2]
    shop.client.hincrby(key, cell, 1)
    try:
        _, report = of_story(shop, totals, ("affiliate", "a1"), Range(MONDAY, END, "1d"))
    finally:
        shop.client.hincrby(key, cell, -1)
    names = {difference.what.removeprefix(f"commission.{currency}.") for difference in report.differences}
    assert names == {"final_minor", "estimated_minor"}

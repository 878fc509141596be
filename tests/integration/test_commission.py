"""Commission and statements, from a log to answers: what the pipeline wrote, the read service told, and
`verify` finds by looking at every order as a whole."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp.test_utils import TestClient, TestServer

from schemas.events import INPUT_TOPICS
from streams.answer import QuestionError
from streams.local.redis import RedisServer
from streams.series import read_series
from streams.statements import Statement, as_csv, as_json, read_statement
from streams.store import connect
from streams.window import WindowError
from tests.driver import PipelineDriver, run
from tests.redis_kit import Shop
from tests.scenario_kit import DAY, HOUR, MONDAY, Sent, line, purchase, refund
from tests.scenarios_commission import status
from verify import commission
from verify.api import compare_answer
from verify.compare import Report
from verify.model import LogRecord
from verify.recompute import recompute
from verify.rules import Rules
from verify.statements import compare_statements
from verify.totals import Range, Totals

DAYS = 140
END = MONDAY + DAYS * DAY
AFFILIATES = ("a1", "a2", "=a3")


def _log(seed: int) -> list[LogRecord]:
    """Orders over 140 days: delivered sooner, later, twice or never, and refunded."""
    rng = random.Random(seed)
    sent: list[Sent] = []
    for number in range(180):
        order, at = f"o{number}", MONDAY + rng.randrange(135 * DAY)
        lines = [
            line(
                f"p{rng.randrange(3)}",
                1,
                100 * rng.randint(1, 50) + rng.randrange(100),
                commission_bps=rng.choice((0, 333, 1_500)),
                platform_fee_bps=500,
                affiliate_id=rng.choice(AFFILIATES),
                creator_id=rng.choice(("c1", "c2")),
                brand_id="b1",
            )
            for _ in range(rng.randint(1, 3))
        ]
        currency = rng.choice(("USD", "USD", "EUR"))
        left = sum(each["unit_price_minor"] for each in lines)
        sent.append(purchase(order, at, *lines, currency=currency))
        for times in range(rng.choice((0, 1, 1, 2))):
            when = at + rng.choice((2, 5, 30, 44, 46)) * DAY + rng.randrange(DAY)
            sent.append(status(f"d{number}-{times}", order, when))
        for times in range(rng.choice((0, 0, 1, 3))):
            amount = rng.randint(1, left) if left and rng.random() < 0.8 else left
            left -= amount
            when = at + rng.choice((1, 10, 17, 46, 61)) * DAY + rng.randrange(DAY)
            if amount:
                sent.append(refund(f"r{number}-{times}", order, when, amount, currency=currency))
    # Refunds and deliveries may come before their order in the log, and up to six days late.
    sent = [each for each in sent if each.value["event_time_ms"] < END]  # type: ignore[index,call-overload]
    ordered = sorted(sent, key=lambda each: each.at + rng.choice((0, 0, 0, 6 * DAY)))
    now, records = 0, list[LogRecord]()
    for each in ordered:
        now = max(now, each.at)
        records.append(LogRecord("purchases", 0, len(records), now, each.key, each.data))
    return records


def _written(driver: PipelineDriver, shop: Shop, as_of_ms: int) -> Shop:
    """What the driver saved, in Redis, with this as-of everywhere."""
    shop.healthy(as_of_ms, " ".join(sorted(driver.states[0].service.currencies)))
    shop.meta(0, h=driver.states[0].high_ms)
    with shop.client.pipeline() as pipe:
        for (kind, pane), fields in driver.saved[0].cells.items():
            name = f"{pane.size.name}:{pane.start_ms}"
            if fields:
                pipe.hset(
                    f"{shop.prefix}:{{0}}:cells:{kind}:{name}",
                    mapping={field: n for field, n in fields.items()},
                )
                pipe.zadd(f"{shop.prefix}:{{0}}:panes", {name: 1})
        pipe.execute()
    return shop


class EveryPane(Totals):
    """Keeps what `verify` has no room for: line-level scopes of any day."""

    def _recent_from(self, _size: str) -> int:
        return 0


def _told(server: RedisServer, days: int) -> tuple[Shop, Totals]:
    """A shop that the first days of a random log were counted into, and what `verify` makes of these."""
    log = [record for record in _log(11) if record.timestamp_ms < MONDAY + days * DAY]
    driver = run(log)
    assert driver.dead_letters == frozenset()
    expected = recompute(log, Rules(partitions=1))
    assert driver.cells() == expected.cells
    totals = EveryPane(max(expected.h.values()), Rules(partitions=1))
    for part in expected.partitions.values():
        totals.add(part)
    return _written(driver, Shop(server.url, partitions=1), MONDAY + days * DAY), totals


@pytest.fixture(scope="module")
def told(redis_server: RedisServer) -> tuple[Shop, Totals]:
    """The whole log."""
    return _told(redis_server, DAYS)


def _set_as_of(shop: Shop, as_of_ms: int) -> None:
    for topic in INPUT_TOPICS:
        shop.client.hset(f"{shop.prefix}:{{0}}:meta", f"wm:{topic}", as_of_ms)


SCOPES = (
    ("all", ""),
    ("platform", "tiktok"),
    *(("affiliate", each) for each in (*AFFILIATES, "nobody")),
    *(("creator", "c1"), ("brand", "b1")),
)


def _of_story(
    shop: Shop, totals: Totals, scope: tuple[str, str], span: Range, now_ms: int = END
) -> tuple[dict[str, Any], Report]:
    """An answer, and how it compares with what `verify` expects of commission, take and the rest."""
    text = scope[0] + (f":{scope[1]}" if scope[1] else "")
    answer = shop.ask(lambda model: model.kpis(text, None, span.from_ms, span.to_ms), now_ms)
    report = Report()
    compare_answer(report, totals, scope, span, answer, now_ms=now_ms)
    # The driver keeps whole sets in place of sketches: users are not in Redis here.
    report.differences = [
        each for each in report.differences if "user" not in each.what and "buyer" not in each.what
    ]
    return answer, report


@pytest.mark.parametrize(
    ("days", "as_of_days"),
    [(10, 9), (32, 32), (45, 45), (62, 60), (75, 50), (100, 72), (140, 140), (140, 112)],
)
def test_answers_agree_with_every_order_looked_at_as_a_whole(
    redis_server: RedisServer, days: int, as_of_days: int
) -> None:
    """Whatever is final by as-of: all days, a month, one day, hours; every scope that has commission."""
    shop, totals = _told(redis_server, days)
    _set_as_of(shop, MONDAY + as_of_days * DAY - 7 * HOUR + days % 2)
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
            answer, report = _of_story(shop, totals, scope, span, end_ms)
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
    _set_as_of(shop, END)
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
        _, report = _of_story(shop, totals, ("affiliate", "a1"), Range(MONDAY, END, "1d"))
    finally:
        shop.client.hincrby(key, cell, -1)
    names = {difference.what.removeprefix(f"commission.{currency}.") for difference in report.differences}
    assert names == {"final_minor", "estimated_minor"}


def _read(shop: Shop, affiliate: str, *days: str | None, now_ms: int = END) -> Statement:
    first, end = (*days, None, None)[:2]
    return shop.ask(lambda model: read_statement(model, affiliate, first, end), now_ms=now_ms)


def _date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).date().isoformat()


@pytest.mark.parametrize("affiliate", [*AFFILIATES, "nobody"])
def test_a_statement_adds_up(told: tuple[Shop, Totals], affiliate: str) -> None:
    """Each day and the total: earned = reversed + estimated + final, payable = final - clawed back; each day
    is what `verify` finds, and the claw-backs of all days are what was clawed back."""
    shop, totals = told
    as_of_ms = MONDAY + 115 * DAY
    _set_as_of(shop, as_of_ms)
    statement = _read(shop, affiliate, _date(MONDAY), _date(END))
    assert statement.accounts.keys() == {"EUR", "USD"}
    for currency, account in statement.accounts.items():
        for day, row in account.days.items():
            start_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000
            span, scope = Range(start_ms, start_ms + DAY, "1d"), ("affiliate", affiliate)
            sums, final = totals.of(scope, span), totals.final(scope, span, as_of_ms)
            of = commission.amounts(sums, final, currency)
            assert row == {
                "orders": sums[f"orders:{currency}"],
                "gmv_paid_minor": sums[f"gmv_paid:{currency}"],
                **{f"{name}_minor": of[name] for name in ("earned", "reversed", "estimated", "final")},
                "clawed_back_minor": of["clawed_back"],
                "payable_minor": of["final"] - of["clawed_back"],
                "claw_backs_of_the_day_minor": of["claw_backs"],
            }
        for row in (*account.days.values(), account.total):
            assert row["earned_minor"] == row["reversed_minor"] + row["estimated_minor"] + row["final_minor"]
        total = account.total
        assert total["clawed_back_minor"] == total["claw_backs_of_the_day_minor"]
        assert (total["orders"] > 0) is (affiliate != "nobody")
        assert total["orders"] == sum(row["orders"] for row in account.days.values())


def test_verify_asks_for_statements(told: tuple[Shop, Totals]) -> None:
    """Every statement over the whole log agrees; with a cent of claw-back too much its affiliate is named."""
    shop, totals = told
    _set_as_of(shop, MONDAY + 115 * DAY)

    def ask(address: str, query: Mapping[str, str]) -> Any:
        affiliate = unquote(address.rpartition("/")[2])
        return as_json(_read(shop, affiliate, query["from"], query["to"]))

    report = Report()
    assert compare_statements(report, totals, ask, pause=0)
    assert report.differences == []
    assert report.compared > len(AFFILIATES) * 10
    start_ms = END - 50 * DAY
    shop.client.hincrby(f"{shop.prefix}:{{0}}:cells:affiliate:1d:{start_ms}", "clawed_back:USD|a1", 1)
    try:
        compare_statements(report, totals, ask, pause=0)
    finally:
        shop.client.hincrby(f"{shop.prefix}:{{0}}:cells:affiliate:1d:{start_ms}", "clawed_back:USD|a1", -1)
    names = {each.what.removeprefix("accounts.USD.total.") for each in report.differences}
    assert {"clawed_back_minor", "payable_minor", "earned_minor"} <= names
    assert {each.where for each in report.differences} == {"statement of a1"}


def test_without_affiliates_there_is_no_statement(told: tuple[Shop, Totals]) -> None:
    """The bench's set of figures has none; an id that no event can have is refused as well."""
    with pytest.raises(QuestionError, match="no figures of affiliates"):
        told[0].ask(lambda model: read_statement(model, "a1", None, None), END, figures="funnel-gmv")
    with pytest.raises(QuestionError, match="1 to 64 characters"):
        _read(told[0], "")


def test_a_statement_is_of_this_month_by_default(told: tuple[Shop, Totals]) -> None:
    """From the first of the month, UTC; days to come have no rows."""
    shop, _ = told
    now_ms = END - 40 * DAY
    statement = _read(shop, "a1", now_ms=now_ms)
    today = datetime.fromtimestamp(now_ms / 1_000, UTC).date()
    assert (statement.first, statement.end) == (
        today.replace(day=1),
        (today.replace(day=1) + timedelta(32)).replace(day=1),
    )
    days = [day for account in statement.accounts.values() for day in account.days]
    assert days
    assert all(statement.first <= day <= today for day in days)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (("2026-01-05", "2026-01-05"), "1 to 366 days after from"),
        (("2026-01-05", "2027-01-07"), "1 to 366 days after from"),
        (("2026-1-5", None), "from is a day"),
        (("20260105", None), "from is a day"),
        (("2026-W02-1", None), "from is a day"),
        (("2026-01-05", "1767571200000"), "to is a day"),
        (("2026-02-30", None), "from is a day"),
        (("2099-01-01", None), "from lies in the future"),
        (("1971-01-01", "1971-02-01"), "before everything that is kept"),
    ],
)
def test_wrong_days_are_said(told: tuple[Shop, Totals], days: tuple[str, str | None], said: str) -> None:
    """One line says what is wrong."""
    with pytest.raises((QuestionError, WindowError), match=said):
        _read(told[0], "a1", *days)


def test_statements_over_http(told: tuple[Shop, Totals]) -> None:
    """JSON by default, a table where `Accept` names it; wrong questions are 400."""
    shop, _ = told
    _set_as_of(shop, END)
    address = f"/api/v1/statements/%3Da3?from={_date(MONDAY)}&to={_date(END)}"
    statement = _read(shop, "=a3", _date(MONDAY), _date(END))

    async def asked() -> None:
        client = connect(shop.url)
        async with TestClient(TestServer(shop.app(client, END))) as web:
            response = await web.get(address)
            assert (response.status, await response.json()) == (200, as_json(statement))
            response = await web.get(address, headers={"Accept": "text/html, Text/CSV;q=0.9"})
            assert response.content_type == "text/csv"
            text = await response.text()
            assert text == as_csv(statement)
            for query in ("from=x", "form=2026-01-05", "from=2026-01-05&from=2026-01-05"):
                assert (await web.get(f"/api/v1/statements/a1?{query}")).status == 400
            assert (await web.get(f"/api/v1/statements/{'x' * 65}")).status == 400
        await client.aclose()

    asyncio.run(asked())
    header, *lines = as_csv(statement).splitlines()
    assert header.split(",")[:4] == ["currency", "day", "orders", "gmv_paid_minor"]
    assert all(len(each.split(",")) == len(header.split(",")) for each in lines)
    assert [each.split(",")[:2] for each in lines if ",total," in each] == [
        ["EUR", "total"],
        ["USD", "total"],
    ]


def test_without_a_watermark_nothing_is_final(told: tuple[Shop, Totals]) -> None:
    """While as-of is not known, everything is an estimate."""
    shop, _ = told
    shop.forget_meta(0, "wm:views")
    try:
        statement = _read(shop, "a1", _date(MONDAY), _date(END))
    finally:
        _set_as_of(shop, END)
    assert statement.trust.as_of_ms is None
    assert all(account.total["final_minor"] == 0 for account in statement.accounts.values())
    assert any(account.total["estimated_minor"] > 0 for account in statement.accounts.values())

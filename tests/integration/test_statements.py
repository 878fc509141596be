"""Statements of affiliates: day by day what `verify` finds, over HTTP, and what can't be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.answer import QuestionError
from streams.local.redis import RedisServer
from streams.statements import Statement, as_csv, as_json, read_statement
from streams.store import connect
from streams.window import WindowError
from tests.commission_kit import AFFILIATES, DAYS, END, set_as_of, told_of
from tests.redis_kit import Shop
from tests.scenario_kit import DAY, MONDAY
from verify import commission
from verify.compare import Report
from verify.statements import compare_statements, spans
from verify.totals import Range, Totals


@pytest.fixture(scope="module")
def told(redis_server: RedisServer) -> tuple[Shop, Totals]:
    """The whole log."""
    return told_of(redis_server, DAYS)


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
    set_as_of(shop, as_of_ms)
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


def _statements(shop: Shop, totals: Totals) -> Report:
    """Every statement as `verify` asks for it."""

    def ask(address: str, query: Mapping[str, str]) -> Any:
        affiliate = unquote(address.rpartition("/")[2])
        return as_json(_read(shop, affiliate, query["from"], query["to"]))

    report = Report()
    compare_statements(report, totals, ask, pause=0)
    return report


def _days_of_a1(shop: Shop) -> list[int]:
    """The days of which a statement in USD has rows, by their starts."""
    days = _read(shop, "a1", _date(MONDAY), _date(END)).accounts["USD"].days
    return [int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000 for day in days]


def test_verify_asks_for_statements(told: tuple[Shop, Totals]) -> None:
    """Every statement over the whole log agrees, day by day; with a cent of claw-back too much on one day
    its affiliate, that day and the total are named."""
    shop, totals = told
    set_as_of(shop, MONDAY + 115 * DAY)
    report = _statements(shop, totals)
    assert report.differences == []
    assert report.compared > len(AFFILIATES) * 2 * 20 * 9
    start_ms = _days_of_a1(shop)[-3]
    cells = f"{shop.prefix}:{{0}}:cells:affiliate:1d:{start_ms}"
    shop.client.hincrby(cells, "clawed_back:USD|a1", 1)
    try:
        report = _statements(shop, totals)
    finally:
        shop.client.hincrby(cells, "clawed_back:USD|a1", -1)
    wrong = {"clawed_back_minor", "payable_minor", "earned_minor", "estimated_minor"}
    rows = {f"accounts.USD.{row}" for row in ("total", f"days.{_date(start_ms)}")}
    found = {tuple(each.what.rsplit(".", 1)) for each in report.differences}
    assert found <= {(row, name) for row in rows for name in wrong}
    assert found >= {(row, name) for row in rows for name in ("clawed_back_minor", "payable_minor")}
    assert {each.where for each in report.differences} == {f"statement of a1 from {_date(MONDAY)}"}


def test_verify_finds_what_stands_on_another_day(told: tuple[Shop, Totals]) -> None:
    """An order that is told of a later day leaves the total as it is, and two rows wrong."""
    shop, totals = told
    set_as_of(shop, END)
    days = _days_of_a1(shop)[-3:-1]
    for start_ms, change in zip(days, (-1, 1), strict=True):
        shop.client.hincrby(f"{shop.prefix}:{{0}}:cells:affiliate:1d:{start_ms}", "orders:USD|a1", change)
    try:
        report = _statements(shop, totals)
    finally:
        for start_ms, change in zip(days, (1, -1), strict=True):
            shop.client.hincrby(f"{shop.prefix}:{{0}}:cells:affiliate:1d:{start_ms}", "orders:USD|a1", change)
    assert {each.what for each in report.differences} == {
        f"accounts.USD.days.{_date(start_ms)}.orders" for start_ms in days
    }


def test_verify_asks_for_a_long_log_in_parts(told: tuple[Shop, Totals]) -> None:
    """A statement has at most 366 days: a log of more is asked for in several, and no day is left out."""
    _, totals = told
    with patch("verify.statements.DAYS_MOST", 50):
        parts = spans(totals)
    assert [(part.to_ms - part.from_ms) // DAY for part in parts] == [50, 50, 40]
    assert (parts[0].from_ms, parts[-1].to_ms) == (MONDAY, END)


@pytest.mark.parametrize("broken", [None, "HTTP 400: no", {"accounts": {"USD": {"days": None, "total": {}}}}])
def test_what_is_no_statement_is_a_difference(told: tuple[Shop, Totals], broken: Any) -> None:
    """A refusal, or an account without rows, is told as such."""
    report = Report()
    compare_statements(report, told[1], lambda *_: broken, pause=0)
    assert len(report.differences) >= len(AFFILIATES)


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
        (("9999-12-31", None), "from lies in the future"),
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
    set_as_of(shop, END)
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
        set_as_of(shop, END)
    assert statement.trust.as_of_ms is None
    assert all(account.total["final_minor"] == 0 for account in statement.accounts.values())
    assert any(account.total["estimated_minor"] > 0 for account in statement.accounts.values())

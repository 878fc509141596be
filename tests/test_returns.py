"""Who comes back to a mini-program: how long the days are remembered, and what that costs nobody else."""

from __future__ import annotations

from typing import Any

from schemas.events import View
from streams.kpis import FIGURE_SETS
from streams.returns import ReturnBook
from streams.settings import Settings
from streams.story import Chunk
from streams.sums import Sums
from streams.worker import rules_of
from tests.driver import PipelineDriver
from tests.scenario_kit import DAY, MINUTE, MONDAY, NOON, Scenario, Sent, event
from verify.model import LogRecord

SIZES = rules_of(Settings()).sizes
FIVE_MINUTES = 5 * MINUTE


def _log(*days: int, kind: str = "mini_program_open", user: str = "u1") -> list[LogRecord]:
    """An event of the user on each of these days."""
    more: dict[str, Any] = {"mini_program_id": "m1", "entry": "search", "user_id": user}
    records = [
        Sent(
            topic="views",
            value=event(kind, f"{kind}{user}{day}", NOON + day * DAY, **more),
            at=NOON + day * DAY,
        )
        for day in days
    ]
    return Scenario(name="", fact="", records=tuple(records), cells={}).log()


def _cohorts(driver: PipelineDriver, name: str) -> dict[int, int]:
    """By day a measure of m1."""
    return {
        (start_ms - MONDAY) // DAY: amount
        for (kind, _, _, start_ms, measure), amount in driver.cells().items()
        if kind == "mini_program" and measure == f"returns.{name}"
    }


def _read_day_by_day(*logs: list[LogRecord]) -> PipelineDriver:
    """Each record is read and saved by itself, so that whatever may be deleted is."""
    driver = PipelineDriver()
    records = sorted((record for log in logs for record in log), key=lambda record: record.timestamp_ms)
    driver.append(record._replace(offset=offset) for offset, record in enumerate(records))
    for _ in records:
        driver.read("views", 0, 1)
        driver.save(0)
        driver.save(0)
        driver.crash(0)
    return driver


def test_a_visit_is_remembered_for_seven_days_and_deleted_then() -> None:
    """While others keep the log moving, day 7 still finds the visit of day 0; weeks later nothing is left."""
    others = _log(*range(8), kind="view", user="u2")
    driver = _read_day_by_day(_log(0, 7), others)
    assert _cohorts(driver, "day_7") == {0: 1}
    assert len(driver.saved[0].ledgers["visits"]) == 1
    driver = _read_day_by_day(_log(0, 7), others, _log(*range(8, 30), kind="view", user="u2"))
    assert not driver.saved[0].ledgers["visits"]


def test_years_between_two_visits() -> None:
    """Who comes back after years is a new cohort; the record stays as small as it was."""
    driver = _read_day_by_day(_log(0, 300, 301))
    assert _cohorts(driver, "opened") == {0: 1, 300: 1, 301: 1}
    assert _cohorts(driver, "next_day") == {300: 1}
    assert max(map(len, driver.saved[0].ledgers["visits"].values())) < 20


def test_other_events_cost_nothing() -> None:
    """A chunk without opens asks for no record; a figure set without the figures takes no topic."""
    book = ReturnBook(FIGURE_SETS["all"], Sums(FIGURE_SETS["all"], SIZES), FIVE_MINUTES)
    view = View(event_id="e", event_time_ms=NOON, platform="tiktok", user_id="u", session_id="s")
    assert book.ids(Chunk("views", [view], [], [])) == {}
    assert book.topics == {"views"}
    few = FIGURE_SETS["funnel-gmv"]
    assert ReturnBook(few, Sums(few, SIZES), FIVE_MINUTES).topics == frozenset()

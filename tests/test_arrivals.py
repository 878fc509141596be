"""New users: how long a share and an arrival are remembered, and how large their records get."""

from __future__ import annotations

from typing import Any

from streams.arrivals import CONVERTS_MAX, ArrivalBook
from streams.kpis import FIGURE_SETS
from streams.settings import Settings
from streams.sums import Sums
from streams.worker import rules_of
from tests.driver import PipelineDriver
from tests.scenario_kit import DAY, NOON, Scenario, Sent, event
from verify.model import LogRecord

SIZES = rules_of(Settings()).sizes


def _sent(kind: str, number: int, at: int, **more: Any) -> Sent:
    value = event(kind, f"e{number}", at, **{"share_id": "h1", "creator_id": "c1"} | more)
    return Sent(topic="engagement", value=value, at=at)


def _log(*records: Sent) -> list[LogRecord]:
    return Scenario(name="", fact="", records=records, cells={}).log()


def _read_one_by_one(records: list[LogRecord]) -> PipelineDriver:
    """Each record is read and saved by itself, so that whatever may be deleted is."""
    driver = PipelineDriver()
    driver.append(records)
    for _ in records:
        driver.read("engagement", 0, 1)
        driver.save(0)
        driver.save(0)
        driver.crash(0)
    return driver


def test_records_last_a_week_and_are_deleted_then() -> None:
    """On day 7 the open still gives its channel, the first share ends the cycle; weeks later all is gone."""
    between = [_sent("follow", day, NOON + day * DAY, user_id="u2") for day in range(1, 7)]
    week = [
        _sent("share_open", 20, NOON, channel="chat"),
        _sent("share_convert", 21, NOON),
        *between,
        _sent("share", 22, NOON + 7 * DAY),
        _sent("share_convert", 23, NOON + 7 * DAY),
    ]
    driver = _read_one_by_one(_log(*week))
    cells = driver.cells().items()
    by_channel = [(key[1], amount) for key, amount in cells if key[4] == "new_users" and key[0] == "channel"]
    assert set(by_channel) == {("chat", 1)}
    days = {key[3] for key, _ in cells if key[2] == "1d" and key[4] == "new_users"}
    assert len(days) == 2
    assert {measure for *_, measure in driver.cells() if measure.startswith("cycles")} == {"cycles.604800"}
    later = [_sent("follow", 100 + day, NOON + day * DAY, user_id="u2") for day in range(8, 30)]
    ledgers = _read_one_by_one(_log(*week, *later)).saved[0].ledgers
    assert (ledgers["shared"], ledgers["arrivals"]) == ({}, {})


def test_a_record_is_bounded() -> None:
    """However often one user converts by one share, the record holds eight times and one open."""
    sent = [_sent("share_convert", number, NOON) for number in range(3 * CONVERTS_MAX)]
    sent += [_sent("share_open", 100 + number, NOON - number, channel=f"c{number}") for number in range(50)]
    driver = PipelineDriver()
    driver.append(_log(*sent))
    driver.finish()
    [record] = driver.saved[0].ledgers["shared"].values()
    assert len(record) < 250


def test_a_set_without_the_figures_takes_nothing() -> None:
    """Where the figure set keeps no new users, no topic is taken and no record kept."""
    few = FIGURE_SETS["funnel-gmv"]
    assert ArrivalBook(few, Sums(few, SIZES), 0).topics == frozenset()

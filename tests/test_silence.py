"""Sources without heartbeats: seeded shops of a real shape are never called silent, and a stop always is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest.shops import LEAD_MIN, Parameters, make_shop
from streams.trust import PACE_FROM_MS, SILENT_AFTER_MS, SILENT_EXPECTED, hourly_paces, is_silent
from streams.window import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

FIRST_MS = 20_000 * DAY_MS
DAYS = 10
# A shop that opens with a large live has no other pace yet.
YOUNG_MS = 4 * HOUR_MS
# A day of 9 : 1, and large lives of 50 times the traffic, twice as many as usual.
RESTLESS = Parameters(bursts=4)
CALM = Parameters(bursts=0, promotions=0, bots=0)
# As backtest.shops: views and purchases.
VIEWS, PURCHASES = 0, 3

Times = NDArray[np.int64]


@cache
def _records(traffic: float, seed: int, measure: int, parameters: Parameters) -> Times:
    """When a shop's records came, by Kafka's clock; a minute's at any time of it."""
    minutes = make_shop(traffic, DAYS * 1_440, seed, parameters).minutes.steps[measure].sum(axis=0)[LEAD_MIN:]
    starts = FIRST_MS + np.repeat(np.arange(len(minutes)), minutes) * MINUTE_MS
    within = np.random.default_rng(seed).integers(0, MINUTE_MS, len(starts))
    return np.sort(starts + within)


def _paces(records: Times, last: int) -> tuple[float, ...]:
    """As the read service knows them after the record number `last`."""
    last_ms = int(records[last])
    oldest_ms = last_ms - last_ms % HOUR_MS - PACE_FROM_MS
    read = records[np.searchsorted(records, oldest_ms) : last + 1]
    hours, counts = np.unique(read // HOUR_MS, return_counts=True)
    known = {int(hour) * HOUR_MS: int(count) for hour, count in zip(hours, counts, strict=True)}
    return hourly_paces(known, last_ms)


def _called_silent(records: Times) -> Iterator[tuple[int, int]]:
    """The pauses of which a look at their end would have said that the source is silent."""
    for last in np.flatnonzero(np.diff(records) > SILENT_AFTER_MS):
        began_ms, ended_ms = int(records[last]), int(records[last + 1])
        if is_silent(_paces(records, int(last)), began_ms, ended_ms):
            yield began_ms, ended_ms


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("traffic", "measure"),
    [(0.2, VIEWS), (1, VIEWS), (4, VIEWS), (20, VIEWS), (4, PURCHASES), (100, PURCHASES)],
)
def test_no_shape_of_a_shop_is_silence(traffic: float, measure: int, seed: int) -> None:
    """Not the night, not the hour after a large live, nor that hour a day later, nor a first night."""
    called = _called_silent(_records(traffic, seed, measure, RESTLESS))
    assert [pause for pause in called if pause[0] > FIRST_MS + YOUNG_MS] == []


def _missed_after_ms(paces: tuple[float, ...], last_ms: int) -> int:
    """How long a source that stopped with its last record is not called silent, to the second."""
    waits_ms = range(SILENT_AFTER_MS, 2 * DAY_MS, SECOND_MS)
    return next(each for each in waits_ms if is_silent(paces, last_ms, last_ms + each))


@pytest.mark.parametrize("traffic", [2, 20, 200])
def test_a_stop_at_the_evenings_peak_is_missed_soon(traffic: float) -> None:
    """Within three times as long as twenty records take then, or at once where 30 s hold more."""
    records = _records(traffic, 1, VIEWS, CALM)
    by_hour = np.bincount((records - FIRST_MS) // HOUR_MS)
    for day in range(2, DAYS):
        busiest = day * 24 + int(by_hour[day * 24 : day * 24 + 24].argmax())
        last = int(np.searchsorted(records, FIRST_MS + busiest * HOUR_MS + 40 * MINUTE_MS)) - 1
        usual_ms = SILENT_EXPECTED * HOUR_MS / by_hour[busiest]
        missed_ms = _missed_after_ms(_paces(records, last), int(records[last]))
        assert missed_ms <= max(3 * usual_ms, SILENT_AFTER_MS)


def test_a_stop_after_a_large_live_is_missed_soon() -> None:
    """60 records a minute for a day, 3 000 for half an hour, 60 again: half a minute is enough."""
    counts = {FIRST_MS + hour * HOUR_MS: 3_600 for hour in range(26)}
    counts[FIRST_MS + 25 * HOUR_MS] += 30 * 3_000
    last_ms = FIRST_MS + 26 * HOUR_MS - 1
    paces = hourly_paces(counts, last_ms)
    assert paces == (3_600.0,) * 24
    assert is_silent(paces, last_ms, last_ms + SILENT_AFTER_MS)


def test_a_slower_day_than_the_one_before_is_no_silence() -> None:
    """After a day of promotion, ten times as busy, what came of late tells the pace."""
    counts = {FIRST_MS + hour * HOUR_MS: 6_000 for hour in range(24)}
    counts |= {FIRST_MS + hour * HOUR_MS: 600 for hour in range(24, 26)}
    assert hourly_paces(counts, FIRST_MS + 26 * HOUR_MS)[0] == 600


def test_the_night_is_expected_to_be_a_night() -> None:
    """By day 600 an hour, at night 6: three quiet hours there are no silence, two minutes by day are."""

    def paces(last_ms: int) -> tuple[float, ...]:
        hours = range((last_ms - FIRST_MS) // HOUR_MS)
        by_hour = {FIRST_MS + hour * HOUR_MS: 6 if hour % 24 < 8 else 600 for hour in hours}
        return hourly_paces(by_hour, last_ms)

    midnight_ms = FIRST_MS + 24 * HOUR_MS
    assert not is_silent(paces(midnight_ms), midnight_ms, midnight_ms + 3 * HOUR_MS)
    evening_ms = FIRST_MS + 46 * HOUR_MS
    assert is_silent(paces(evening_ms), evening_ms, evening_ms + 2 * MINUTE_MS)

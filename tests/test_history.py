"""The simulated shop's past: thin, in time order, over before it ends, and full of what takes days."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from typing import Any

import pytest

from schemas import events
from schemas.codec import Rejected
from schemas.events import SUBJECT
from streams.sources.history import DAY_MS, DAYS, HOUR_MS, HistoryConfig, history
from streams.sources.record import Record
from tests.simulation_kit import decoded, of

# 15:00 UTC: between the hours in which the shop opens.
END_MS = 1_785_942_000_000
# What a worker counts within some ten seconds.
RECORDS_MAX = 40_000


@functools.cache
def _past(end_ms: int = END_MS) -> list[tuple[Record, Any]]:
    """The records of a past, each with its event."""
    return decoded(history(HistoryConfig(end_ms=end_ms)))


def test_the_same_seed_and_end_give_the_same_bytes() -> None:
    """A past can be repeated exactly; another seed is another past, another end never sends the same ids."""
    assert [record for record, _ in _past()] == list(history(HistoryConfig(end_ms=END_MS)))
    assert list(history(HistoryConfig(end_ms=END_MS, seed=2))) != [record for record, _ in _past()]
    ids = [{event.event_id for _, event in _past(end_ms)} for end_ms in (END_MS, END_MS + 1)]
    assert len(ids[0]) == len(_past()) and not ids[0] & ids[1]


def test_it_is_thin_and_accepted_as_a_whole() -> None:
    """Few enough records to be counted within seconds, from the first of 62 days to the end, all of them
    valid, under the keys of their subjects, with their event times as Kafka's timestamps and in order."""
    assert 30_000 < len(_past()) < RECORDS_MAX
    assert [event for _, event in _past() if isinstance(event, Rejected)] == []
    times = [record.timestamp_ms for record, _ in _past()]
    assert times == sorted(times)
    assert times == [event.event_time_ms for _, event in _past()]
    first_ms = END_MS - END_MS % DAY_MS - (DAYS - 1) * DAY_MS
    assert first_ms <= times[0] and END_MS - 2 * HOUR_MS < times[-1] < END_MS
    for record, event in _past():
        subject = SUBJECT[type(event)]
        assert subject is not None and record.key == getattr(event, subject).encode()


@pytest.mark.parametrize("minutes", [0, 20, 61])
def test_every_room_is_closed_when_it_ends(minutes: int) -> None:
    """Also of a past that ends while rooms would be on air: one without an end looks as if it were lost."""
    end_ms = END_MS - 3 * HOUR_MS + minutes * 60_000
    past = _past(end_ms)
    started = {event.live_id for event in of(events.LiveStart, past)}
    ended = {event.live_id: event.event_time_ms for event in of(events.LiveEnd, past)}
    assert started == ended.keys()
    latest = {event.live_id: event.event_time_ms for event in of(events.LiveHeartbeat, past)}
    assert all(time_ms < ended[live_id] for live_id, time_ms in latest.items())


def test_parcels_take_days_and_some_money_comes_back_late() -> None:
    """Deliveries take hours to days; some refunds come when commission is final; the oldest name no order."""
    bought = {event.order_id: event.event_time_ms for event in of(events.Purchase, _past())}
    delivered = {
        event.order_id: event.event_time_ms
        for event in of(events.OrderStatus, _past())
        if event.status == "delivered"
    }
    took = sorted(time_ms - bought[order_id] for order_id, time_ms in delivered.items())
    assert len(took) > 100 and took[0] > 6 * HOUR_MS and 1 * DAY_MS < took[len(took) // 2] < 4 * DAY_MS
    refunds = of(events.Refund, _past())
    late = [
        each
        for each in refunds
        if each.order_id in delivered and each.event_time_ms > delivered[each.order_id] + 15 * DAY_MS
    ]
    assert late and {each.kind for each in late} == {"chargeback"}
    unknown = [each for each in refunds if each.order_id not in bought]
    assert unknown and {each.kind for each in unknown} == {None}


def test_users_come_back_and_creators_stop() -> None:
    """Some open a mini-program on the next day or after a week; some creators sold last week and not this."""
    days: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for event in of(events.MiniProgramOpen, _past()):
        days[event.mini_program_id, event.user_id].add(event.event_time_ms // DAY_MS)
    for later in (1, 7):
        assert sum(day + later in opened for opened in days.values() for day in opened) > 4
    today = END_MS // DAY_MS
    went_live: Counter[tuple[str, int]] = Counter()
    for event in of(events.LiveStart, _past()):
        went_live[event.creator_id, (today - 1 - event.event_time_ms // DAY_MS) // 7] += 1
    creators = {creator for creator, _ in went_live}
    assert any(went_live[each, 1] and not went_live[each, 0] for each in creators)


def test_an_app_grows_once_users_are_redirected() -> None:
    """Users of the target are several times as many in the 30 days after the first redirect's as before, and
    each arm has half of those who were assigned."""
    first_ms = min(event.event_time_ms for event in of(events.Redirect, _past()))
    first = first_ms // DAY_MS
    assert END_MS // DAY_MS - first == 31
    users: defaultdict[tuple[str, bool], set[str]] = defaultdict(set)
    for event in of(events.Active, _past()):
        if event.event_time_ms // DAY_MS != first:
            users[event.app, event.event_time_ms // DAY_MS > first].add(event.user_id)
    for app in ("tiktok_plus", "tiktok_shop"):
        assert len(users[app, True]) > 4 * len(users[app, False]) > 40
    arms = Counter({each.user_id: each.arm for each in of(events.Redirect, _past())}.values())
    assert 0.45 < arms["treated"] / arms.total() < 0.55

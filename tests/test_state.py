"""What a partition's memory keeps besides figures, and what it lets go (the figures: scenarios)."""

from __future__ import annotations

from typing import Any

import pytest

from streams.batch import PlainRecord
from streams.progress import NEVER_MS
from streams.rooms import LIVES_KEPT_DAYS
from streams.settings import Settings
from streams.state import PartitionState, StateWrite
from streams.worker import rules_of
from tests.driver import PipelineDriver
from tests.scenario_kit import (
    DAY,
    MINUTE,
    NOON,
    SECOND,
    Scenario,
    Sent,
    event,
    in_room,
    line,
    payment,
    purchase,
    tick,
    view,
)

DAY_OF_NOON = NOON // DAY


def _state() -> PartitionState:
    return PartitionState(0, rules_of(Settings(partitions=1)))


def _feed(state: PartitionState, *sent: Sent) -> None:
    """Folds records of one topic; Redis holds none of the records they name."""
    topic = sent[0].topic
    offset = state.topics[topic].next_offset or 0
    chunk = [PlainRecord(offset + n, each.at, each.key, each.data) for n, each in enumerate(sent)]
    screened = state.screen(topic, chunk)
    while missing := state.missing(topic, screened):
        state.load_records({name: dict.fromkeys(ids) for name, ids in missing.records.items()})
        state.sums.admission.load({place: () for place in missing.cells})
    state.apply(topic, chunk, screened, offset + len(chunk))


def _live_start(live_id: str, at: int, **more: Any) -> Sent:
    value = event("live_start", f"{live_id}-{at}", at, live_id=live_id, **more)
    return Sent(topic="livestreams", value=value, at=max(at, NOON))


def _heartbeat(topic: str, at: int, ts: int) -> Sent:
    return Sent(topic=topic, value=event("source_heartbeat", f"h{at}", at, source="app"), at=ts)


@pytest.mark.parametrize(
    "changed",
    [
        {"figures": "funnel-gmv"},
        {"platforms": ("tiktok",)},
        *({f"retention_{size}_ms": 86_400_000} for size in ("10s", "1m", "1h", "1d")),
        {"traffic_lateness_ms": 1},
        {"purchase_lateness_ms": 604_800_001},
        {"order_horizon_days": 91},
        {"unknown_order_wait_ms": 1},
        {"scope_values_max": 1},
        {"cohort_horizon_ms": 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_figures_are_bound_to_the_rules_they_were_counted_under(changed: dict[str, Any]) -> None:
    """Each rule that a figure depends on is in the line that is stored with the figures."""
    assert rules_of(Settings(**changed)).text != rules_of(Settings()).text


def test_the_earliest_accepted_start_of_a_live_is_kept() -> None:
    """Out of order, too; test traffic starts no live; a write takes the starts once."""
    state = _state()
    _feed(state, _live_start("L", NOON), _live_start("L", NOON - SECOND), _live_start("L", NOON - 1))
    _feed(state, _live_start("T", NOON, traffic="test"), _live_start("M", NOON))
    assert state.take().lives == {"L": NOON - SECOND, "M": NOON}
    assert state.take().lives == {}


def test_heartbeats_are_noted_by_kafkas_time() -> None:
    """Of every topic, the latest; they raise the highest event time and count as accepted."""
    state = _state()
    for topic in ("views", "purchases"):
        _feed(state, _heartbeat(topic, NOON, NOON + 5), _heartbeat(topic, NOON - 1, NOON + 3))
        progress = state.take().progress[topic]
        assert (progress.heartbeat_ms, progress.high_ms, progress.ingest_ms) == (NOON + 5, NOON, NOON + 5)
    assert state.high_ms == NOON


def test_dirty_counts_cells_and_records() -> None:
    """A record of a ledger is something to save, like a cell."""
    state = _state()
    _feed(state, purchase("o", NOON, line("p", 1, 100)))
    cells, users = state.sums.dirty, state.users.dirty
    assert cells > 0
    # By minute, hour and day, in the whole shop, the platform and the product.
    assert users == 9
    # The order, its buyer, its session, its journey, and two days of its user whose taps it waits for.
    assert state.dirty == cells + users // 3 + 6
    state.take()
    assert state.dirty == 0


def test_all_repeated_is_nothing_new() -> None:
    """A chunk of nothing but duplicates moves ingest time, not the highest event time."""
    state = _state()
    _feed(state, view("e", NOON))
    _feed(state, view("e", NOON + SECOND), view("e", NOON + 2 * SECOND))
    assert state.topics["views"].high_ms == NOON
    assert state.topics["views"].ingest_ms == NOON + 2 * SECOND


def test_the_last_record_is_remembered_whatever_it_is() -> None:
    """Offset, time and CRC of the last record applied, readable or not: it tells a recreated topic."""
    state = _state()
    _feed(state, view("e", NOON), Sent(topic="views", value=None, at=NOON + 1))
    assert state.topics["views"].last == (1, NOON + 1, 0)
    _feed(state, Sent(topic="views", value=b"123456789", at=NOON + 2))
    assert state.topics["views"].last == (2, NOON + 2, 0xCBF43926)


def test_a_write_is_a_snapshot() -> None:
    """What is folded after it was taken does not slip into a write that is on its way."""
    state = _state()
    _feed(state, view("e1", NOON), view("e2", NOON))
    write = state.take()
    _feed(state, view("e3", NOON + DAY))
    state.service.currencies.add("USD")
    assert (write.high_ms, write.progress["views"].next_offset, write.currencies) == (NOON, 2, frozenset())
    sessions = ("sessions.", "checkouts.")
    counted = {name: n for cell in write.cells for name, n in cell.absolute.items() if "events." in name}
    assert set(counted.values()) == {2}
    assert sum(name.startswith(sessions) for cell in write.cells for name in cell.absolute) > 0


def test_ids_leave_redis_also_when_only_garbage_comes() -> None:
    """Records that are refused move ingest time past minutes that no owner would look at again."""
    state = _state()
    _feed(state, view("e", NOON))
    state.take()
    _feed(state, Sent(topic="views", value=b"{", at=NOON + 7 * MINUTE))
    assert state.take().expired_ids == {"views": [NOON // MINUTE]}


def _trims_until_idle(state: PartitionState) -> dict[str, list[int]]:
    """The days that writes delete until none is left, each list emptied by one write."""
    days: dict[str, list[int]] = {}
    while trims := state.take().trims:
        for name, day in trims.items():
            days.setdefault(name, []).append(day)
            state.trimmed[name] = day
    return days


def _filed(write: StateWrite) -> dict[str, set[int]]:
    return {ledger.name: set(ledger.filed) for ledger in write.ledgers if ledger.filed}


def test_records_go_when_no_rule_asks_for_them() -> None:
    """Orders and attempts after 90 days, identities 9 days after acceptance; not a day earlier."""
    state = _state()
    assert state.take().trims == {}
    _feed(state, purchase("o", NOON, line("p", 1, 100)), payment("e", "o", NOON, "started"))
    assert _filed(state.take()) == {
        **{
            name: {DAY_OF_NOON}
            for name in ("identities", "orders", "attempts", "paying", "buyers", "sessions", "journeys")
        },
        "taps": {DAY_OF_NOON - 1, DAY_OF_NOON},
    }
    _feed(state, tick("t1", NOON + 8 * DAY))
    assert DAY_OF_NOON not in _trims_until_idle(state).get("identities", [])
    _feed(state, tick("t2", NOON + 9 * DAY))
    assert _trims_until_idle(state)["identities"][-1] == DAY_OF_NOON
    _feed(state, tick("t3", NOON + 90 * DAY))
    assert not {"orders", "attempts", "paying"} & _trims_until_idle(state).keys()
    _feed(state, tick("t4", NOON + 91 * DAY))
    days = _trims_until_idle(state)
    assert days["attempts"] == days["paying"] == [DAY_OF_NOON]
    # Taps that are not read yet may change an order, however long ago it was.
    _feed(state, _heartbeat("tag-taps", NOON, NOON))
    assert not {"orders", "taps"} & _trims_until_idle(state).keys()
    _feed(state, _heartbeat("tag-taps", NOON + DAY, NOON + DAY))
    assert _trims_until_idle(state)["orders"][-1] == DAY_OF_NOON
    # Up to 7 days late one may be bought a day after a tap.
    _feed(state, _heartbeat("tag-taps", NOON + 8 * DAY, NOON + 8 * DAY))
    assert DAY_OF_NOON not in _trims_until_idle(state).get("taps", [])
    _feed(state, _heartbeat("tag-taps", NOON + 9 * DAY, NOON + 9 * DAY))
    assert _trims_until_idle(state)["taps"][-1] == DAY_OF_NOON


def test_a_first_write_that_spans_months_leaves_nothing_behind() -> None:
    """A replay can pass a hundred days before its first write: their records are deleted all the same."""
    state = _state()
    for day in range(0, 130, 10):
        _feed(state, purchase(f"o{day}", NOON + day * DAY, line("p", 1, 1)))
        _feed(state, tick(f"t{day}", NOON + day * DAY))
        _feed(state, _heartbeat("tag-taps", NOON + day * DAY, NOON + day * DAY))
    first = state.take()
    filed = _filed(first)
    days = _trims_until_idle(state)
    for name, day in first.trims.items():
        days.setdefault(name, []).append(day)
    last = DAY_OF_NOON + 120
    assert {day for day in filed["orders"] if day < last - 90} <= set(days["orders"])
    assert {day for day in filed["taps"] if day < last - 8} <= set(days["taps"])
    assert {day for day in filed["identities"] if day < last - 8} <= set(days["identities"])


def test_lives_are_remembered_by_event_time() -> None:
    """A start leaves after 36 whole days, by the time of its own topic: others may be read far ahead."""
    state = _state()
    _feed(state, _live_start("L", NOON))
    assert "lives" not in _trims_until_idle(state)
    _feed(state, view("e", NOON + 2 * LIVES_KEPT_DAYS * DAY))
    assert "lives" not in _trims_until_idle(state)
    _feed(state, _live_start("M", NOON + LIVES_KEPT_DAYS * DAY))
    assert "lives" not in _trims_until_idle(state)
    _feed(state, _live_start("N", NOON + (LIVES_KEPT_DAYS + 1) * DAY))
    assert _trims_until_idle(state)["lives"] == [DAY_OF_NOON]


def test_a_room_that_goes_on_past_its_time_is_not_forgotten_between_two_heartbeats() -> None:
    """After 36 days a record begins anew, with what its last heartbeat said: whether another room's event, a
    write and a crash come between or not, each millisecond is covered once."""
    midnight = NOON - NOON % DAY + (LIVES_KEPT_DAYS + 1) * DAY
    sent = (
        in_room("live_start", "e1", NOON),
        in_room("live_heartbeat", "e2", midnight - SECOND, concurrent_viewers=5),
        in_room("live_heartbeat", "e3", midnight + SECOND, live_id="L2", concurrent_viewers=1),
        in_room("live_heartbeat", "e4", midnight + 5 * SECOND, concurrent_viewers=7),
    )
    driver = PipelineDriver()
    driver.append(Scenario(name="", fact="", records=sent, cells={}).log())
    for _ in sent:
        driver.read("livestreams", 0, 1)
        driver.save(0)
        driver.save(0)
        driver.crash(0)
    driver.finish()
    covered = {
        key[3] - midnight: amount
        for key, amount in driver.cells().items()
        if key[1:3] == ("L1", "1m") and key[4] == "covered_ms"
    }
    assert covered == {-MINUTE: SECOND, 0: MINUTE, MINUTE: 5 * SECOND}


def test_nothing_known_is_said_of_a_new_partition() -> None:
    """The first write of an idle partition holds nothing but that it is there."""
    write = _state().take()
    assert (write.cells, write.expired_panes, write.new_ids, write.high_ms) == ([], [], {}, NEVER_MS)
    assert {progress.next_offset for progress in write.progress.values()} == {None}


def test_sessions_go_when_no_topic_is_behind() -> None:
    """Two days later in the slowest topic that sessions are made of; not while one was never read."""
    state = _state()
    for topic in ("views", "tag-taps", "carts", "purchases"):
        _feed(state, _heartbeat(topic, NOON, NOON))
    _feed(state, view("e", NOON))
    state.take()
    for topic in ("views", "tag-taps", "carts", "purchases"):
        _feed(state, _heartbeat(topic, NOON + 9 * DAY, NOON + 9 * DAY))
    assert "sessions" not in _trims_until_idle(state)
    _feed(state, _heartbeat("livestreams", NOON + DAY, NOON + DAY))
    assert DAY_OF_NOON not in _trims_until_idle(state).get("sessions", [])
    # The clock alone moves nothing: a topic without records follows the others, a week behind them.
    state.topics["livestreams"].watermark_ms = NOON + 90 * DAY
    assert DAY_OF_NOON not in _trims_until_idle(state).get("sessions", [])
    _feed(state, _heartbeat("views", NOON + 10 * DAY, NOON + 10 * DAY))
    for topic in ("tag-taps", "carts", "purchases"):
        state.topics[topic].watermark_ms = NOON + 10 * DAY
    assert _trims_until_idle(state)["sessions"][-1] == DAY_OF_NOON


def test_a_replay_of_what_is_older_than_all_that_was_trimmed_leaves_nothing_behind() -> None:
    """A worker that idled, and trimmed up to today, deletes what a replay of last year files."""
    state = _state()
    state.trimmed["orders"] = DAY_OF_NOON + 300
    _feed(state, purchase("o", NOON, line("p", 1, 100)))
    state.take()
    _feed(state, tick("t", NOON + 92 * DAY))
    _feed(state, _heartbeat("tag-taps", NOON + 92 * DAY, NOON + 92 * DAY))
    assert DAY_OF_NOON in _trims_until_idle(state)["orders"]


def test_a_live_that_comes_again_after_its_time_begins_anew_in_one_write() -> None:
    """A permanent room: what is kept of a start that is forgotten does not hide the next one."""
    state = _state()
    again = NOON + LIVES_KEPT_DAYS * DAY
    _feed(state, _live_start("L", NOON), _live_start("L", again + SECOND), _live_start("L", again))
    assert state.take().lives == {"L": again}

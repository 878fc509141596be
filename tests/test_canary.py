"""The canary: what it sends, and that nobody takes it for a sign of life of a shop's source."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from schemas.canary import SOURCE, TOPIC
from schemas.codec import decode
from schemas.events import SourceHeartbeat
from streams import canary
from streams.batch import PlainRecord
from streams.canary import canaries, keep_sending
from streams.errors import PulseError
from streams.progress import NEVER_MS
from streams.settings import Settings
from streams.sources.record import Record
from streams.state import PartitionState
from streams.worker import rules_of
from tests.driver import PipelineDriver
from tests.scenario_kit import MINUTE, NOON, SECOND, Sent, counted, event, view
from verify.model import LogRecord
from verify.recompute import recompute
from verify.rules import Rules


def _canary(at: int, topic: str = TOPIC, ts: int | None = None) -> Sent:
    (record,) = canaries("run", 1, at)
    return Sent(topic=topic, value=record.value, at=at if ts is None else ts, key=None)


def _charge(event_id: str, at: int) -> Sent:
    value = event("ad_charge", event_id, at, campaign_id="u1", amount_minor=1, currency="USD")
    return Sent(topic="ads", value=value, at=at)


def _state(*sent: Sent) -> PartitionState:
    """A memory that read these, all of one topic, in one chunk."""
    state = PartitionState(0, rules_of(Settings(partitions=1)))
    _feed(state, *sent)
    return state


def _feed(state: PartitionState, *sent: Sent) -> None:
    topic = sent[0].topic
    offset = state.topics[topic].next_offset or 0
    chunk = [PlainRecord(offset + n, each.at, each.key, each.data) for n, each in enumerate(sent)]
    screened = state.screen(topic, chunk)
    while missing := state.missing(topic, screened):
        state.load_records({name: dict.fromkeys(ids) for name, ids in missing.records.items()})
        state.sums.admission.load({place: () for place in missing.cells})
    assert state.apply(topic, chunk, screened, offset + len(chunk)) == []


def test_a_canary_goes_to_every_partition() -> None:
    """A valid heartbeat of a source of its own, as test traffic, with an id of its own."""
    sent = list(canaries("run", 3, NOON))
    assert [(record.timestamp_ms, record.topic, record.key, record.partition) for record in sent] == [
        (NOON, "ads", None, partition) for partition in range(3)
    ]
    events = [decode(record.value, TOPIC) for record in (*sent, *canaries("run", 1, NOON + 1))]
    assert len({each.event_id for each in events if isinstance(each, SourceHeartbeat)}) == 4
    for each in events:
        assert isinstance(each, SourceHeartbeat)
        assert (each.source, each.traffic) == (SOURCE, "test")


def test_a_canary_is_counted_and_moves_what_a_record_moves() -> None:
    """Offset, ingest time, highest event time and so the watermark; excluded, so in no rate of a source."""
    state = _state(_canary(NOON, ts=NOON + 5))
    progress = state.topics[TOPIC]
    assert (progress.next_offset, progress.ingest_ms, progress.high_ms) == (1, NOON + 5, NOON)
    assert (state.high_ms, progress.canary_ms) == (NOON, NOON + 5)
    counts = {
        name: amount
        for write in state.take().cells
        if write.kind == "pipeline"
        for name, amount in write.absolute.items()
    }
    assert counts == {"excluded|ads": 1}


@pytest.mark.parametrize("topic", ["ads", "views", "purchases"])
def test_a_canary_is_no_sign_of_the_source(topic: str) -> None:
    """Neither a heartbeat of it nor a record of it, in whatever topic, alone or among its records."""
    own = Sent(topic=topic, value=event("source_heartbeat", "h", NOON, source="app"), at=NOON)
    state = _state(own)
    for minute in (1, 2):
        _feed(state, _canary(NOON + minute * MINUTE, topic))
    progress = state.topics[topic]
    assert (progress.heartbeat_ms, progress.source_ms) == (NOON, NOON)
    assert (progress.canary_ms, progress.ingest_ms) == (NOON + 2 * MINUTE, NOON + 2 * MINUTE)
    late_in_chunk = _canary(NOON + MINUTE, topic)
    assert _state(late_in_chunk).topics[topic].source_ms == NEVER_MS
    assert _state(own, late_in_chunk).topics[topic].source_ms == NOON


def test_whatever_else_comes_is_a_sign_of_the_source() -> None:
    """Events, duplicates, what can't be read; of several the newest by Kafka's time, which never falls."""
    assert _state(_charge("e", NOON), _charge("e", NOON + 1)).topics[TOPIC].source_ms == NOON + 1
    chunk = (_canary(NOON), _charge("e", NOON + 2), _charge("f", NOON + 1), _canary(NOON + MINUTE))
    state = _state(*chunk)
    assert state.topics[TOPIC].source_ms == NOON + 2
    _feed(state, _charge("g", NOON), _canary(NOON + MINUTE + 1))
    assert state.topics[TOPIC].source_ms == NOON + 2
    state = PartitionState(0, rules_of(Settings(partitions=1)))
    chunk_of_one = [PlainRecord(0, NOON, None, b"{")]
    state.apply(TOPIC, chunk_of_one, state.screen(TOPIC, chunk_of_one), 1)
    assert state.topics[TOPIC].source_ms == NOON


def test_why_canaries_keep_to_ads() -> None:
    """Where a source is six minutes behind, a canary in its topic would make its events late; in `ads` it
    costs no session."""
    behind = view("e", NOON - 6 * MINUTE)
    for topic, lost in (("views", 1), (TOPIC, 0)):
        state = _state(_canary(NOON, topic))
        chunk = [PlainRecord(1, behind.at, behind.key, behind.data)]
        assert len(state.screen("views", chunk).refused) == lost


def test_verify_counts_canaries_alike() -> None:
    """Among heartbeats and charges, over crashes: the same cells, and each canary is an excluded record."""
    heartbeat = Sent(topic="ads", value=event("source_heartbeat", "h", NOON, source="app"), at=NOON, key=None)
    sent = (heartbeat, *(_canary(NOON + n * SECOND) for n in (0, 0, 10, 20)), _charge("e", NOON + MINUTE))
    log = [LogRecord(each.topic, 0, n, each.at, each.key, each.data) for n, each in enumerate(sent)]
    driver = PipelineDriver()
    driver.append(log)
    driver.read("ads", 0, 3)
    driver.save(0)
    driver.read("ads", 0, 2)
    driver.crash(0)
    driver.finish()
    expected = recompute(log, Rules(partitions=1))
    assert driver.cells() == expected.cells
    for key, amount in counted("ads", accepted=2, excluded=3, duplicates=1):
        assert driver.cells()[key] == amount
    assert driver.states[0].topics["ads"].canary_ms == NOON + 20 * SECOND


class _Broker:
    """Stands for Kafka; a round for each word of `story`: well, silent, away."""

    def __init__(self, *story: str) -> None:
        self.story = list(story)
        self.sent: list[str] = []
        self.told: list[object] = []

    @asynccontextmanager
    async def open(self, _settings: Settings, _topics: object) -> AsyncIterator[_Broker]:
        if self.story and self.story[0] == "away":
            self.story.pop(0)
            raise PulseError("no Kafka")
        yield self

    async def send(self, records: Iterable[Record]) -> None:
        self.sent += [json.loads(record.value)["event_id"] for record in records]

    async def flush(self, *, confirmed: bool) -> None:
        assert confirmed
        if not self.story:
            raise KeyboardInterrupt
        if self.story.pop(0) == "silent":
            await asyncio.Event().wait()


def _sent_to(broker: _Broker, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is told of rounds (True) and of trouble (a line) until the story is over."""
    told: list[object] = []
    monkeypatch.setattr(canary, "open_sender", broker.open)
    monkeypatch.setattr(canary, "INTERVAL_S", 0.01)
    tell: Callable[[int], None] = lambda took_ms: told.append(took_ms >= 0)  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(keep_sending(Settings(partitions=2), tell, told.append))
    return told


def test_a_canary_outlasts_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is away, or answers nothing, is told of once and tried again; then that it goes on."""
    broker = _Broker("well", "well", "silent", "away", "away", "well", "well")
    told = _sent_to(broker, monkeypatch)
    assert told[:2] == [True, True] and told[-3:] == ["", True, True]
    (silent, away) = told[2:-3]
    assert "no Kafka answers at localhost:9092" in str(silent) and away == "no Kafka"
    assert len(set(broker.sent)) == len(broker.sent) == 2 * 6


def test_a_canary_that_cannot_begin_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong address or a missing topic is found by whoever starts it."""
    broker = _Broker("away", "well")
    monkeypatch.setattr(canary, "open_sender", broker.open)
    with pytest.raises(PulseError, match="no Kafka"):
        asyncio.run(keep_sending(Settings(), print, print))

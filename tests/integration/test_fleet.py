"""What watches over owners: topics that run ahead wait for the others, and who stands still is ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import pytest

from schemas.events import INPUT_TOPICS
from streams import fleet as module
from streams.fleet import AHEAD_MAX_MS, Fleet
from streams.log_check import CountCheck
from streams.owner import Owner
from streams.store import Store
from tests.owner_kit import PlainKafka, Station, eventually
from tests.scenario_kit import MINUTE, NOON, Sent, step, view
from tests.store_kit import Shelf, on_redis

WATCHDOG_MS = 60_000
LOOK_S = 0.005
SHORT_MS = 20 * 5
Held = list[frozenset[tuple[str, int]]]


async def _no_hint(_offsets: object) -> None:
    pass


@asynccontextmanager
async def _watched(station: Station, watchdog_ms: int = WATCHDOG_MS) -> AsyncIterator[Held]:
    """A fleet of this one owner that looks often; which topics wait, each time that it changes."""
    held: Held = []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SUPERVISE_S", LOOK_S)
        fleet = Fleet(station.work, watchdog_ms, held.append, _no_hint)
        fleet.owners[0] = station.owner
        fleet.start()
        try:
            yield held
        finally:
            await fleet.stop()


async def _some_looks() -> None:
    await asyncio.sleep(20 * LOOK_S)


@on_redis()
async def test_a_topic_far_ahead_waits_until_the_others_are_there(shelf: Shelf) -> None:
    """Only those more than ten minutes ahead of the slowest topic that has something to read."""
    kafka = PlainKafka()
    kafka.append(view("e1", NOON), view("e2", NOON + MINUTE))
    kafka.append(step("tag_tap", "t1", NOON + AHEAD_MAX_MS), step("tag_tap", "t2", NOON + AHEAD_MAX_MS))
    kafka.append(step("add_to_cart", "c1", NOON + AHEAD_MAX_MS + 1), step("add_to_cart", "c2", NOON + MINUTE))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    async with _watched(station) as held:
        for topic in ("views", "tag-taps", "carts"):
            await station.read(topic, 1)
        await eventually(lambda: held != [])
        await _some_looks()
        assert held == [{("carts", 0)}]
        await station.read("views")
        await eventually(lambda: held[-1] == frozenset())
    assert station.fatal == []


@on_redis()
async def test_who_makes_no_progress_is_ended(shelf: Shelf) -> None:
    """Records are there and nothing is folded: one line says for how long, and of which topic."""
    kafka = PlainKafka()
    station = Station(shelf, kafka)
    await station.owner.take_over()
    async with _watched(station):
        station.now_ms += 2 * WATCHDOG_MS  # nothing to read is no standstill
        await _some_looks()
        kafka.append(view("e1", NOON))
        station.now_ms += WATCHDOG_MS
        await _some_looks()
        assert station.fatal == []
        station.now_ms += 1_000
        await eventually(lambda: station.fatal != [])
    assert "no progress for 61 s on partition 0 of views" in str(station.fatal[0])


@on_redis()
async def test_a_question_without_an_answer_ends_the_worker(shelf: Shelf) -> None:
    """A take-over, or a write, that hears neither an answer nor an error would stand still for ever."""
    for hangs in ("load", "write"):
        kafka = PlainKafka()
        kafka.append(view("e1", NOON))
        station = Station(shelf, kafka)
        if hangs == "write":
            await station.owner.take_over()
            await station.read("views")
        station.line.open.clear()
        asked = asyncio.create_task(station.owner.take_over() if hangs == "load" else station.owner.flush())
        async with _watched(station, SHORT_MS):
            await eventually(partial(bool, station.fatal))
            station.line.open.set()
        await asked
        assert "no answer from Redis or Kafka for partition 0" in str(station.fatal[0])


@on_redis()
async def test_whoever_hears_errors_is_left_waiting(shelf: Shelf) -> None:
    """A worker that ended because Kafka is away would only begin anew to wait for it."""
    kafka = PlainKafka()
    kafka.append(Sent(topic="views", value=b"{", at=NOON))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.read("views")
    station.letters.trouble = "Kafka does not take dead letters"
    flush = asyncio.create_task(station.owner.flush())
    async with _watched(station, SHORT_MS):
        await eventually(lambda: station.letters.tries > 4)
        station.letters.trouble = ""
        await flush
    assert station.fatal == []


@on_redis()
async def test_a_take_over_that_ends_without_a_word_is_told(shelf: Shelf) -> None:
    """What a client cancels ends the worker, which takes over anew when it is started again; so does a
    partition that is assigned, and that for whatever reason nobody takes over."""
    station = Station(shelf, PlainKafka())
    fleet = Fleet(station.work, WATCHDOG_MS, lambda _held: None, _no_hint)
    station.line.trouble = asyncio.CancelledError()
    fleet.on_assigned(frozenset({0}), 1)
    await eventually(partial(bool, station.fatal))
    assert "a part of the worker failed: CancelledError()" in str(station.fatal[0])
    station.fatal.clear()
    async with _watched(station, SHORT_MS):
        await eventually(partial(bool, station.fatal))
    assert "partition 0 is assigned, but nobody has taken it over" in str(station.fatal[0])


@on_redis()
async def test_partition_numbers_share_the_memory_of_their_worker(shelf: Shelf) -> None:
    """Who gets more of them remembers less of each, and more again when others take some over."""
    station = Station(shelf, PlainKafka())
    fleet = Fleet(station.work, WATCHDOG_MS, lambda _held: None, _no_hint)
    fleet.on_assigned(frozenset({0, 1, 2}), 1)
    assert [owner.sharing for owner in fleet.owners.values()] == [3, 3, 3]
    fleet.on_assigned(frozenset({1}), 2)
    assert fleet.owners[1].sharing == 1
    await fleet.stop()


@on_redis()
async def test_an_owner_that_waits_for_redis_holds_no_other_up(shelf: Shelf) -> None:
    """Batches of one topic come by one agent: what is meant for another partition number does not stand
    behind them. Behind those of its own it waits for its turn, whatever the topic."""
    kafka = PlainKafka()
    kafka.append(view("e1", NOON, session_id="s"), view("e2", NOON, session_id="s"))
    kafka.append(step("tag_tap", "t1", NOON))
    kafka.partitions = 2
    station = Station(shelf, kafka)
    work = replace(station.work, counts=CountCheck(kafka, INPUT_TOPICS, 2, time.monotonic))
    fleet = Fleet(work, WATCHDOG_MS, lambda _held: None, _no_hint)
    fleet.owners = {0: Owner(0, work), 1: Owner(1, work)}
    for owner in fleet.owners.values():
        await owner.take_over()
    station.consumer.positions = dict.fromkeys(station.consumer.positions, 0)
    read = Store.read_records
    may_answer = asyncio.Event()

    async def read_slowly(store: Store, partition: int, ids: Mapping[str, Sequence[str]]) -> object:
        if partition == 0:
            await may_answer.wait()
        return await read(store, partition, ids)

    def at(partition: int, topic: str) -> int | None:
        state = fleet.owners[partition].state
        assert state is not None
        return state.topics[topic].next_offset

    with patch.object(Store, "read_records", read_slowly):
        for topic in ("views", "views", "tag-taps"):
            batch = station.consumer.fetch(topic, 1)
            for partition, owner in fleet.owners.items():
                fleet.hand_over(replace(batch, partition=partition, epoch=owner.epoch))
        await eventually(lambda: (at(1, "views"), at(1, "tag-taps")) == (2, 1))
        assert (at(0, "views"), at(0, "tag-taps")) == (0, 0)
        assert {batch.partition for batch in station.consumer.done} == {1}
        may_answer.set()
        await eventually(lambda: (at(0, "views"), at(0, "tag-taps")) == (2, 1))
    assert len(station.consumer.done) == 6
    assert len(station.consumer.opened) == 2
    assert station.fatal == []
    await fleet.stop()

"""States that must not be gone on with: each is refused in one line, and nothing is written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from streams.errors import PulseError
from streams.local.redis import RedisServer
from streams.owner import Owner
from streams.store import StoreCorruptError
from tests.owner_kit import PlainKafka, Station, eventually
from tests.scenario_kit import NOON, view
from tests.store_kit import Shelf, on_redis, on_shelf


async def _counted(shelf: Shelf) -> None:
    owner = await shelf.owner()
    await owner.fold(view("e", NOON))
    await owner.save()


@on_redis()
async def test_figures_without_their_progress(shelf: Shelf) -> None:
    """Cells whose meta is gone would be counted a second time."""
    await _counted(shelf)
    await shelf.client.delete(shelf.key("meta"))
    with pytest.raises(StoreCorruptError, match="not how far they were counted"):
        await shelf.owner()


@on_redis()
async def test_figures_of_other_rules(shelf: Shelf) -> None:
    """Figures counted under other settings are not gone on with: a sum of both would mean nothing."""
    await _counted(shelf)
    other = replace(shelf.rules, traffic_lateness_ms=1)
    with pytest.raises(PulseError, match="built with other rules"):
        await shelf.store.load(0, other)


def _cut_log() -> PlainKafka:
    """A log whose first record was deleted."""
    kafka = PlainKafka()
    kafka.append(view("a", NOON), view("b", NOON))
    kafka.deleted = 1
    return kafka


GONE = "the first 1 records of topic views partition 0 were deleted, and Redis holds no figures of them"


@pytest.mark.parametrize("may_begin_late", [False, True])
def test_a_redis_emptied_under_its_owner(redis_server: RedisServer, *, may_begin_late: bool) -> None:
    """What the log no longer holds cannot be counted again: the owner ends, a rebuild's too."""

    async def story(shelf: Shelf) -> None:
        kafka = _cut_log()
        kafka.deleted = int(may_begin_late)
        station = Station(shelf, kafka, may_begin_late=may_begin_late)
        await station.owner.take_over()
        await station.read("views")
        await station.owner.flush()
        assert station.fatal == []
        await shelf.client.delete(*await shelf.keys())
        kafka.deleted = 1
        kafka.append(view("c", NOON))
        await station.read("views")
        await station.owner.flush()
        await eventually(lambda: station.fatal)
        assert GONE in str(station.fatal[0])
        assert await shelf.keys() == []

    on_shelf(redis_server, story)


@on_redis()
async def test_an_emptied_redis_after_a_restart(shelf: Shelf) -> None:
    """A process that was not there when Redis was emptied does not count what is left as if it were all."""
    station = Station(shelf, _cut_log())
    await station.owner.take_over()
    assert GONE in str(station.fatal[0]) and station.owner.state is None
    assert await shelf.keys() == []


@on_redis()
async def test_a_worker_goes_on_with_what_a_rebuild_began_late(shelf: Shelf) -> None:
    """A rebuild of what is left leaves an offset, also where nothing is left to read."""
    kafka = _cut_log()
    kafka.deleted = 2
    rebuild = Station(shelf, kafka, may_begin_late=True)
    await rebuild.owner.take_over()
    await rebuild.owner.flush()
    worker = Station(shelf, kafka)
    await worker.owner.take_over()
    assert rebuild.fatal == worker.fatal == []
    assert worker.consumer.opened == [{"views": 2}]


@on_redis()
async def test_partitions_added_under_a_worker(shelf: Shelf) -> None:
    """Neither an old number nor a new one is taken over, and nothing is written."""
    kafka = PlainKafka()
    station = Station(shelf, kafka)
    kafka.partitions = 2
    for owner in (station.owner, Owner(1, station.work)):
        await owner.take_over()
        assert "has 2 partitions, SHOP_PULSE_PARTITIONS says 1" in str(station.fatal.pop())
        assert owner.state is None
    assert await shelf.keys() == [] and station.consumer.opened == []


@on_redis()
async def test_a_number_that_a_broker_does_not_know_of_yet(shelf: Shelf) -> None:
    """An added number waits until every broker has heard of it: it is not counted meanwhile."""
    kafka = PlainKafka()
    station = Station(shelf, kafka)
    owner = Owner(1, station.work)
    taking = asyncio.ensure_future(owner.take_over())
    await eventually(lambda: "Kafka assigned partition 1" in owner.asking.trouble)
    kafka.partitions = 2
    await taking
    assert "has 2 partitions" in str(station.fatal[0])
    assert await shelf.keys() == []

"""The owner over a real Redis: every record counts once, whatever comes in between."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from dataclasses import replace
from unittest.mock import patch

import pytest

from schemas.codec import Reason
from schemas.events import INPUT_TOPICS
from streams import batch as batch_module
from streams import memory_bounds
from streams.local.redis import RedisServer
from streams.store import Store
from tests.owner_kit import PlainKafka, Station, eventually
from tests.scenario_kit import DAY, MINUTE, NOON, SECOND, Sent, line, payment, purchase, refund, view
from tests.store_kit import Shelf, on_redis, on_shelf


def _day_of_business(seed: int, records: int = 120) -> list[Sent]:
    """Views and orders with repetitions, refunds before and after orders, payments, garbage, late rows."""
    rng, now, sent = random.Random(seed), NOON, []
    for number in range(records):
        now += rng.choice([0, SECOND, 20 * SECOND, 2 * MINUTE])
        order = f"o{rng.randrange(12)}"
        sent.append(
            rng.choice(
                [
                    view(f"e{rng.randrange(60)}", now, live_id=f"L{rng.randrange(3)}"),
                    view(f"l{number}", now - 6 * MINUTE, ts=now),
                    purchase(order, now, line("p", 2, 500), line("q", 1, 333, live_id="L1")),
                    refund(f"r{rng.randrange(20)}", order, now, rng.randrange(1, 400)),
                    payment(f"y{number}", order, now - rng.choice([0, MINUTE]), "authorised"),
                    Sent(topic="views", value=b"{", at=now),
                ]
            )
        )
    return sent


@on_redis()
async def test_a_log_is_counted(shelf: Shelf) -> None:
    """Read in one go, Redis holds what a plain recomputation of the log gives."""
    kafka = PlainKafka()
    kafka.append(*_day_of_business(1))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.finish()
    assert shelf.cells() == kafka.expected()
    assert station.consumer.opened == [{}]
    assert {reason for _, _, reason in station.letters.taken} >= {Reason.NOT_JSON, Reason.LATE}


@on_redis()
async def test_a_dropped_memory_is_freed_at_once(shelf: Shelf) -> None:
    """By a release as by another take-over, without the garbage collector: that comes once in hours, and a
    worker whose partitions move now and then would hold many memories until then."""
    kafka = PlainKafka()
    kafka.append(*_day_of_business(2))
    station = Station(shelf, kafka)
    gc.disable()
    try:
        for drop in (station.owner.take_over, station.owner.release):
            await station.owner.take_over()
            await station.finish()
            memory = weakref.ref(station.owner.state)
            if (taken := drop()) is not None:
                await taken
            assert memory() is None
    finally:
        gc.enable()


@on_redis()
async def test_a_refused_write_reads_again_from_what_redis_holds(shelf: Shelf) -> None:
    """Another owner wrote in between: memory is dropped, all topics opened anew, nothing counts twice."""
    kafka = PlainKafka()
    kafka.append(*(view(f"e{number}", NOON) for number in range(10)), purchase("o", NOON, line("p", 1, 100)))
    ours, other = Station(shelf, kafka), Station(shelf, kafka)
    await ours.owner.take_over()
    await ours.read("views", 6)
    await other.owner.take_over()
    await other.read("views", 4)
    await other.read("purchases")
    await other.owner.flush()
    await ours.owner.flush()
    await eventually(lambda: len(ours.consumer.opened) == 2)
    assert ours.consumer.opened == [{}, {"views": 4, "purchases": 1}]
    assert ours.owner.counters.refused == 1
    await ours.finish()
    assert shelf.cells() == kafka.expected()
    assert ours.fatal == other.fatal == []


@on_redis()
async def test_batches_in_the_buffer_are_dropped_after_a_refusal(shelf: Shelf) -> None:
    """What was fetched before the refusal carries an older epoch: it is dropped, whether its position happens
    to fit or not, and is no reason to read everything again."""
    kafka = PlainKafka()
    kafka.append(*(view(f"e{number}", NOON) for number in range(10)))
    ours, other = Station(shelf, kafka), Station(shelf, kafka)
    await ours.owner.take_over()
    await other.owner.take_over()
    await other.read("views", 4)
    await other.owner.flush()
    buffered = [ours.consumer.fetch("views", 4) for _ in range(3)]
    await ours.fold(buffered[0])
    await ours.owner.flush()
    await eventually(lambda: ours.owner.state is not None and len(ours.consumer.opened) == 2)
    assert [batch.before for batch in buffered] == [0, 4, 8]
    await ours.fold(buffered[2])
    await ours.fold(buffered[1])
    assert ours.owner.state is not None and ours.owner.state.topics["views"].next_offset == 4
    assert len(ours.consumer.opened) == 2
    await ours.finish()
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_a_batch_from_elsewhere_is_not_folded(shelf: Shelf) -> None:
    """A fetch that does not begin where the memory ends, behind or ahead: read again, and right."""
    kafka = PlainKafka()
    kafka.append(*(view(f"e{number}", NOON) for number in range(10)))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.read("views", 5)
    await station.owner.flush()
    for times, position in ((2, 7), (3, 2)):
        station.consumer.positions["views"] = position
        await station.read("views", 2)
        await eventually(lambda times=times: len(station.consumer.opened) == times)  # type: ignore[misc]
        assert station.consumer.opened[-1] == {"views": 5}
    await station.finish()
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_positions_move_without_records(shelf: Shelf) -> None:
    """Control records of a transaction move the position: the vector follows, and no record is awaited."""
    kafka = PlainKafka()
    kafka.append(*(view(f"e{number}", NOON) for number in range(2)))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    first = replace(station.consumer.fetch("views", 1), after=5)
    await station.fold(first)
    await station.fold(replace(first, before=5, after=9, records=[]))
    await station.owner.flush()
    assert station.owner.saved_offsets["off:views"] == "9"
    assert (await shelf.meta())["off:views"] == "9"


@pytest.mark.parametrize("seed", range(3))
def test_two_owners_of_one_partition(redis_server: RedisServer, seed: int) -> None:
    """Both load it, read it and write it in turns: the sums equal the log, none lost, none doubled."""

    async def story(shelf: Shelf) -> None:
        kafka, rng = PlainKafka(), random.Random(seed)
        stations = [Station(shelf, kafka), Station(shelf, kafka)]
        for station in stations:
            await station.owner.take_over()
        for sent in _day_of_business(seed):
            kafka.append(sent)
            station = rng.choice(stations)
            await eventually(lambda station=station: station.owner.state is not None)  # type: ignore[misc]
            await station.read(rng.choice(INPUT_TOPICS if rng.random() < 0.3 else [sent.topic]), 3)
            if rng.random() < 0.5:
                await station.owner.flush()
        await stations[0].finish()
        assert shelf.cells() == kafka.expected()
        refused = [station.owner.counters.refused for station in stations]
        written = [station.owner.counters.writes for station in stations]
        assert all(refused) and all(written)
        await stations[1].finish()
        assert shelf.cells() == kafka.expected()

    on_shelf(redis_server, story)


@on_redis()
async def test_many_chunks_and_many_flushes(shelf: Shelf) -> None:
    """Batches larger than a chunk, flushes on time between them, copies forgotten: the same sums."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CHUNK_RECORDS", "CHUNK_PURCHASES"):
            patch.setattr(batch_module, name, 3)
        patch.setattr(batch_module, "CHUNK_PURCHASES_BYTES", 700)
        patch.setattr(memory_bounds, "COPIES_MAX", 12)
        kafka = PlainKafka()
        kafka.append(*_day_of_business(7, 300))
        station = Station(shelf, kafka, max_dirty_cells=400)
        station.owner.sharing = 4
        await station.owner.take_over()
        applied = asyncio.gather(*(station.read(topic) for topic in INPUT_TOPICS))
        while not applied.done():
            station.now_ms += 200
            station.owner.flush_if_due()
            await asyncio.sleep(0)
        assert station.owner.counters.writes > 3
        assert station.owner.state is not None and station.owner.state.bounds.copies == 3
        await station.finish()
    assert shelf.cells() == kafka.expected()
    assert station.consumer.opened == [{}]


@on_redis()
async def test_many_cells_are_saved_before_the_interval_is_over(shelf: Shelf) -> None:
    """Half of `max_dirty_cells` starts a flush; the folding waits while one is on its way already."""
    kafka = PlainKafka()
    kafka.append(*(view(f"e{n}", NOON, live_id=f"L{n}") for n in range(3_000)))
    station = Station(shelf, kafka, max_dirty_cells=2_000)
    await station.owner.take_over()
    await station.read("views", 2_500)
    await eventually(lambda: station.owner.counters.writes == 3)
    assert station.owner.saved_offsets["off:views"] == "2500"


@on_redis()
async def test_large_orders_are_saved_a_few_at_a_time(shelf: Shelf) -> None:
    """Orders of 200 lines, each of its own product, creator and brand: no write holds Redis for long."""
    kafka = PlainKafka()
    for order in range(12):
        lines = [f"{order}-{number}" for number in range(200)]
        each = [line(f"p{n}", 1, 100, creator_id=f"c{n}", brand_id=f"b{n}", live_id=f"L{n}") for n in lines]
        kafka.append(purchase(f"o{order}", NOON, *each))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.read("purchases")
    assert station.owner.counters.writes > 3
    assert 0 < station.line.largest < 80_000
    await station.finish()
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_each_topic_is_flushed_when_it_changes_and_now_and_then_when_not(shelf: Shelf) -> None:
    """A change waits for the flush interval; without one the watermarks are published once a second."""
    kafka = PlainKafka()
    station = Station(shelf, kafka)
    await station.owner.take_over()
    station.owner.flush_if_due()
    await eventually(lambda: station.owner.counters.writes == 1)
    meta = await shelf.meta()
    assert [name for name in meta if name.startswith("wm:")] == []
    for step, writes in ((999, 1), (1, 2), (199, 2), (801, 3)):
        station.now_ms += step
        station.owner.flush_if_due()
        await eventually(lambda writes=writes: station.owner.counters.writes == writes)  # type: ignore[misc]
        await asyncio.sleep(0.01)
        assert station.owner.counters.writes == writes
    kafka.append(view("e1", NOON))
    await station.read("views")
    station.now_ms += 200
    station.owner.flush_if_due()
    await eventually(lambda: station.owner.counters.writes == 4)
    assert (await shelf.meta())["wm:views"] == str(NOON - 10 * SECOND)


@on_redis()
async def test_a_quiet_partition_publishes_its_watermarks(shelf: Shelf) -> None:
    """Half a minute without lag: the watermark of each topic follows the clock, ten seconds behind."""
    kafka = PlainKafka()
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.owner.flush()
    station.now_ms += 30 * SECOND
    await station.owner.flush()
    meta = await shelf.meta()
    assert {meta[f"wm:{topic}"] for topic in INPUT_TOPICS} == {str(station.now_ms - 10 * SECOND)}
    assert (meta["owner"], meta["writes"], meta["lag:views"]) == ("station", "1", "0")
    kafka.append(view("e1", NOON))
    station.now_ms += SECOND
    await station.owner.flush()
    after = await shelf.meta()
    assert after["wm:views"] == meta["wm:views"] < after["wm:ads"]
    assert after["lag:views"] == "1"


@on_redis()
async def test_a_client_whose_clock_is_ahead_leads_the_watermark(shelf: Shelf) -> None:
    """While records wait, a view four minutes ahead says that these minutes are counted, though one of their
    views is not read yet (docs/contract.md, Answers). Once it is read, figures hold it as ever."""
    kafka = PlainKafka()
    station = Station(shelf, kafka)
    station.now_ms = NOON + 10 * MINUTE
    await station.owner.take_over()
    kafka.append(view("e1", NOON), view("ahead", NOON + 4 * MINUTE, ts=NOON), view("e2", NOON + MINUTE))
    for waiting, watermark_ms in (("2", NOON - 10 * SECOND), ("1", NOON + 4 * MINUTE - 10 * SECOND)):
        await station.read("views", 1)
        await station.owner.flush()
        meta = await shelf.meta()
        assert (meta["lag:views"], meta["wm:views"]) == (waiting, str(watermark_ms))
    await station.finish()
    assert shelf.cells() == kafka.expected()


def test_a_station_over_a_year_of_days(redis_server: RedisServer) -> None:
    """A replay through months: panes, ids and records come and go, and the sums of what is kept are right."""

    async def story(shelf: Shelf) -> None:
        kafka = PlainKafka()
        for day in range(0, 240, 3):
            at = NOON + day * DAY
            session = f"s{day}"
            kafka.append(view(f"e{day}", at, session_id=session))
            kafka.append(purchase(f"o{day % 30}", at, line("p", 1, 100 + day), session_id=session))
            kafka.append(refund(f"r{day}", f"o{(day + 15) % 30}", at, 50))
        station = Station(shelf, kafka)
        await station.owner.take_over()
        rng = random.Random(5)
        while not station.is_done:
            await station.read(rng.choice(["views", "purchases"]), rng.randrange(1, 9))
            await station.owner.flush()
            if rng.random() < 0.3:
                await station.owner.take_over()
            if not any(station.consumer.lag(t, 0, station.consumer.positions[t]) for t in INPUT_TOPICS):
                await station.finish()
        assert shelf.cells() == kafka.expected()

    on_shelf(redis_server, story)


@on_redis()
async def test_a_write_that_its_client_cancels_leaves_no_hole(shelf: Shelf) -> None:
    """Whether it is in Redis is not known, and a later one would step over it: the memory is dropped."""
    kafka = PlainKafka()
    kafka.append(*(view(f"e{number}", NOON) for number in range(4)))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.read("views", 2)
    with patch.object(Store, "write", side_effect=asyncio.CancelledError):
        await station.owner.flush()
    assert "could not be saved: CancelledError()" in str(station.fatal[0])
    await station.read("views", 2)
    await station.owner.flush()
    assert shelf.cells() == {}
    again = Station(shelf, kafka)
    await again.owner.take_over()
    await again.finish()
    assert shelf.cells() == kafka.expected()

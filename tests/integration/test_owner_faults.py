"""The owner when Redis or Kafka fails in the middle of something, and when the partition is taken away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from schemas.codec import Reason
from streams import owner as module
from streams import store
from streams.local.redis import RedisServer
from streams.state import PartitionState
from tests.integration.pipeline import stand_still
from tests.owner_kit import PlainKafka, Station, eventually
from tests.scenario_kit import DAY, MINUTE, NOON, SECOND, Sent, line, purchase, refund, tick, view
from tests.store_kit import Shelf, on_redis, on_shelf

CELL = f"cells:live:1d:{NOON - NOON % DAY}"


def _views(count: int, start: int = 0) -> list[Sent]:
    return [view(f"e{number}", NOON, live_id="L") for number in range(start, start + count)]


async def _started(shelf: Shelf, *sent: Sent, max_dirty_cells: int = 20_000) -> tuple[PlainKafka, Station]:
    kafka = PlainKafka()
    kafka.append(*sent)
    station = Station(shelf, kafka, max_dirty_cells)
    await station.owner.take_over()
    return kafka, station


def test_redis_goes_and_comes_back_in_mid_flush(
    new_redis: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    """The same write is tried with the same token until it is in; folding goes on beside it. It is said once,
    in whatever words the client tells it."""
    server = new_redis()

    async def story(shelf: Shelf) -> None:
        kafka, station = await _started(shelf, *_views(5))
        await station.read("views", 2)
        server.stop()
        flush = asyncio.create_task(station.owner.flush())
        await eventually(lambda: station.owner.asking.trouble)
        assert "Redis does not answer" in station.owner.asking.trouble
        await eventually(lambda: "Error 111" in station.owner.asking.trouble)
        await station.read("views", 2)
        server.start()
        await flush
        assert len(set(station.line.tokens)) == 1 < len(station.line.tokens)
        assert station.owner.asking.trouble == ""
        said = [record.getMessage() for record in caplog.records if "waits: Redis does not" in record.message]
        assert len(said) == 1
        assert station.owner.saved_offsets["off:views"] == "2"
        await station.finish()
        assert shelf.cells() == kafka.expected()
        assert station.consumer.opened == [{}]

    on_shelf(server, story)


def test_redis_dies_and_may_have_lost_its_last_second(new_redis: Callable[..., RedisServer]) -> None:
    """After kill -9 Redis holds the last write or an older one: either way everything is counted once."""
    server = new_redis()

    async def story(shelf: Shelf) -> None:
        kafka, station = await _started(shelf, *_views(30), purchase("o", NOON, line("p", 1, 100)))
        for number in range(4):
            await station.read("views", 5)
            flush = asyncio.create_task(station.owner.flush())
            if number % 2:
                await flush
            server.kill()
            server.start()
            await flush
            await eventually(lambda: station.owner.state is not None)
        await station.finish()
        assert shelf.cells() == kafka.expected()
        assert station.fatal == []

    on_shelf(server, story)


@on_redis()
async def test_a_lost_answer_is_not_a_lost_write(shelf: Shelf) -> None:
    """The write was applied, its answer lost, twice: sent again with its token, and counted once."""
    kafka, station = await _started(shelf, *_views(2))
    await station.read("views", 1)
    await station.owner.flush()
    await station.owner.take_over()
    for _ in range(2):
        kafka.append(*_views(1, len(kafka.logs["views"])), purchase("o", NOON, line("p", 1, 100)))
        station.line.lost_answers = 2
        await station.read("views", 1)
        await station.read("purchases")
        await station.owner.flush()
    await station.finish()
    assert shelf.cells() == kafka.expected()
    assert len(station.line.tokens) >= 3 + len(set(station.line.tokens))
    assert station.owner.counters.refused == 0


@on_redis()
async def test_dead_letters_go_before_the_write(shelf: Shelf) -> None:
    """As long as Kafka does not take them, nothing is written: a crash now would send them again."""
    bad = Sent(topic="views", value=b"{", at=NOON)
    late = view("late", NOON - 6 * MINUTE, ts=NOON)
    kafka, station = await _started(shelf, view("e1", NOON), bad, late)
    station.letters.trouble = "no broker"
    await station.read("views")
    flush = asyncio.create_task(station.owner.flush())
    await eventually(lambda: station.letters.tries >= 3)
    assert station.owner.asking.trouble == "no broker"
    assert await shelf.keys() == [] and station.line.tokens == []
    station.letters.trouble = ""
    await flush
    assert station.letters.taken == [("views", 1, Reason.NOT_JSON), ("views", 2, Reason.LATE)]
    assert shelf.cells() == kafka.expected()
    await station.owner.flush()
    assert len(station.letters.taken) == 2


@on_redis()
async def test_a_refused_write_sends_its_dead_letters_again(shelf: Shelf) -> None:
    """They were sent before the write that was refused: whoever reads them counts distinct places."""
    bad = Sent(topic="views", value=b"{", at=NOON)
    kafka, ours = await _started(shelf, bad, view("e1", NOON))
    other = Station(shelf, kafka)
    await ours.read("views")
    await other.owner.take_over()
    await other.owner.flush()
    await ours.owner.flush()
    await eventually(lambda: len(ours.consumer.opened) == 2)
    await ours.finish()
    assert ours.letters.taken == [("views", 0, Reason.NOT_JSON)] * 2
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_released_in_mid_flush(shelf: Shelf) -> None:
    """The write is on its way when the partition goes: it is in Redis or not, and the next owner goes on."""
    kafka, station = await _started(shelf, *_views(4))
    await station.read("views", 2)
    station.line.open.clear()
    flush = asyncio.create_task(station.owner.flush())
    await eventually(lambda: station.line.waiting)
    await station.read("views", 1)
    station.owner.release()
    station.line.open.set()
    await flush
    assert station.owner.state is None and station.owner.saved_offsets == {}
    assert station.owner.lags() == {}
    station.owner.flush_if_due()
    await station.owner.flush()
    next_one = Station(shelf, kafka)
    await next_one.owner.take_over()
    assert next_one.consumer.opened == [{"views": 2}]
    await next_one.finish()
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_taken_over_again_in_mid_flush(shelf: Shelf) -> None:
    """The worker gets the partition back while its old write is on its way: that answer is not used."""
    kafka, station = await _started(shelf, *_views(4))
    await station.read("views", 2)
    station.line.open.clear()
    flush = asyncio.create_task(station.owner.flush())
    await eventually(lambda: station.line.waiting)
    again = asyncio.create_task(station.owner.take_over())
    await eventually(lambda: station.line.waiting == 2)
    station.line.open.set()
    await asyncio.gather(flush, again)
    assert station.consumer.opened == [{}, {"views": 2}]
    assert station.owner.counters.writes == 0
    await station.finish()
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_a_take_over_that_is_overtaken(shelf: Shelf) -> None:
    """Released, or taken over again, before its first step or while Redis is read: it opens nothing."""
    kafka, station = await _started(shelf, *_views(2))
    station.line.open.clear()
    older = asyncio.create_task(station.owner.take_over())
    await eventually(lambda: station.line.waiting)
    station.owner.release()
    station.line.open.set()
    await older
    assert station.owner.state is None and len(station.consumer.opened) == 1
    station.line.open.clear()
    both = [asyncio.create_task(station.owner.take_over())]
    await eventually(lambda: station.line.waiting)
    both.append(asyncio.create_task(station.owner.take_over()))
    await eventually(lambda: station.line.waiting == 2)
    station.line.open.set()
    await asyncio.gather(*both)
    assert len(station.consumer.opened) == 2
    unbegun = asyncio.create_task(station.owner.take_over())
    station.owner.release()
    await unbegun
    assert station.owner.state is None and len(station.consumer.opened) == 2
    await station.owner.take_over()
    await station.finish()
    assert shelf.cells() == kafka.expected()


def test_released_while_redis_is_away(new_redis: Callable[..., RedisServer]) -> None:
    """Whoever waits for Redis on behalf of a partition that is gone stops: batch, flush, take-over."""
    server = new_redis()

    async def story(shelf: Shelf) -> None:
        _, station = await _started(shelf, purchase("o", NOON, line("p", 1, 100)), *_views(1))
        await station.read("views")
        server.stop()
        waits = [asyncio.create_task(each) for each in (station.read("purchases"), station.owner.flush())]
        await eventually(lambda: station.owner.asking.trouble)
        station.owner.release()
        waits.append(asyncio.create_task(station.owner.take_over()))
        await asyncio.sleep(0.02)
        station.owner.release()
        await asyncio.wait_for(asyncio.gather(*waits), 60)
        assert station.owner.state is None
        assert len(station.consumer.opened) == 1 and station.fatal == []

    on_shelf(server, story)


@pytest.mark.parametrize("topic", ["views", "carts"])
def test_folding_waits_for_a_redis_that_is_away(
    new_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    """Few cells do not mean little memory: after many records, or bytes of refused ones, reading pauses."""
    server = new_redis()
    monkeypatch.setattr(module, "UNSAVED_RECORDS_MAX", 3_000 if topic == "views" else 1_000_000)
    monkeypatch.setattr(module, "REFUSED_BYTES_MAX", 1_500_000)

    async def story(shelf: Shelf) -> None:
        kafka, station = await _started(shelf, *_views(6_000))
        kafka.append(*(Sent(topic="carts", value=b"x" * 1_000, at=NOON) for _ in range(3_000)))
        await station.read("views", 1)
        server.stop()
        flush = asyncio.create_task(station.owner.flush())
        await eventually(lambda: station.owner.asking.trouble)
        reading = asyncio.create_task(station.read(topic))
        state = station.owner.state
        assert state is not None
        ends: list[int | None] = [state.topics[topic].next_offset]
        while len(ends) < 20 or ends[-1] != ends[-10]:
            await asyncio.sleep(0.01)
            ends.append(state.topics[topic].next_offset)
        assert ends[-1] == {"views": 3_001, "carts": 2_000}[topic]
        server.start()
        await asyncio.gather(flush, reading)
        await station.finish()
        assert shelf.cells() == kafka.expected()

    on_shelf(server, story)


@on_redis()
async def test_a_log_that_is_another_one_is_fatal(shelf: Shelf) -> None:
    """Truncated, or recreated: the worker is told once, nothing is read and nothing is written."""
    kafka, station = await _started(shelf, *_views(5))
    await station.finish()
    before = await shelf.contents()
    for log in (
        kafka.logs["views"][:2],
        [*kafka.logs["views"][:4], kafka.logs["views"][4]._replace(value=b"")],
    ):
        other = PlainKafka()
        other.logs["views"] = log
        fooled = Station(shelf, other)
        await fooled.owner.take_over()
        assert ["recreated" in str(error) for error in fooled.fatal] == [True]
        assert fooled.consumer.opened == [] and fooled.owner.state is None
    assert await shelf.contents() == before


@on_redis()
async def test_a_key_that_is_not_ours_is_fatal_and_leaves_no_hole(shelf: Shelf) -> None:
    """The failed write is lost to the memory: nothing may be saved on top of it, not even at the end.

    The last flush of an ending worker would else store offsets past records that are in no figure.
    """
    kafka, station = await _started(shelf, *_views(2))
    await station.read("views", 1)
    await station.owner.flush()
    await station.owner.take_over()
    good = await shelf.client.dump(shelf.key(CELL))
    await shelf.client.set(shelf.key(CELL), "x")
    await station.read("views", 1)
    before = await shelf.contents()
    await station.owner.flush()
    await eventually(lambda: station.fatal)
    assert shelf.key(CELL) in str(station.fatal[0])
    await shelf.client.delete(shelf.key(CELL))
    await shelf.client.restore(shelf.key(CELL), 0, good)
    await station.owner.flush()
    station.now_ms += SECOND
    station.owner.flush_if_due()
    await asyncio.sleep(0.02)
    assert (await shelf.meta())["off:views"] == "1"
    assert len(before) == len(await shelf.contents())
    following = Station(shelf, kafka)
    await following.owner.take_over()
    await following.finish()
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_records_that_are_not_ours_are_fatal_and_leave_no_agent(shelf: Shelf) -> None:
    """What an agent lets out Faust acknowledges and skips: a spoiled ledger ends the worker instead."""
    for spoil in ("key", "record"):
        mine = Shelf(shelf.url, shelf.client, shelf.rules)
        order = purchase("o", NOON, line("p", 1, 100))
        _, station = await _started(mine, order, refund("r", "o", NOON, 5))
        await station.read("purchases", 1)
        await station.owner.flush()
        await station.owner.take_over()
        if spoil == "key":
            await mine.client.set(mine.key("orders"), "x")
        else:
            await mine.client.hset(mine.key("orders"), "o", "20458:not msgpack")
        await station.read("purchases")
        assert len(station.fatal) == 1 and "\n" not in str(station.fatal[0])
        assert station.owner.state is None
        await station.owner.flush()
        assert (await mine.meta())["off:purchases"] == "1"


@on_redis()
async def test_an_error_of_ours_is_not_saved_by_half(shelf: Shelf) -> None:
    """A chunk that fails in the middle has booked a part: this memory never reaches Redis."""
    kafka, station = await _started(shelf, tick("t1", NOON), tick("t2", NOON), *_views(1))
    await station.read("purchases", 1)
    await station.owner.flush()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartitionState, "_note", lambda *_: 1 // 0)
        await station.read("purchases", 1)
    assert "purchases partition 0 from offset 1" in str(station.fatal[0])
    assert "ZeroDivisionError" in str(station.fatal[0]) and "please report" in str(station.fatal[0])
    await station.owner.flush()
    following = Station(shelf, kafka)
    await following.owner.take_over()
    await following.finish()
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_a_resync_that_fails_is_fatal(shelf: Shelf) -> None:
    """Nobody waits for a take-over after a refusal: what goes wrong in it must still be heard."""
    kafka, ours = await _started(shelf, *_views(2))
    other = Station(shelf, kafka)
    await other.owner.take_over()
    await other.owner.flush()

    async def no_bounds(partition: int) -> None:
        raise ConnectionError("no broker")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "bounds", no_bounds)
        await ours.read("views")
        await ours.owner.flush()
        await eventually(lambda: ours.fatal)
    assert "could not be taken over again: ConnectionError('no broker')" in str(ours.fatal[0])


def test_redis_that_stands_still(
    new_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP for longer than an answer may take: the write arrives late or twice, and counts once."""
    server = new_redis()
    monkeypatch.setattr(store, "ANSWER_TIMEOUT_S", 0.2)

    async def story(shelf: Shelf) -> None:
        kafka, station = await _started(shelf, *_views(6))
        await station.read("views", 3)
        await station.owner.flush()
        await station.read("views", 2)
        stand_still(server)
        flush = asyncio.create_task(station.owner.flush())
        await eventually(lambda: len(station.line.tokens) >= 4)
        server.send(signal.SIGCONT)
        await flush
        assert station.owner.counters.refused == 0
        assert len(set(station.line.tokens)) == 2
        await station.finish()
        assert shelf.cells() == kafka.expected()

    on_shelf(server, story)

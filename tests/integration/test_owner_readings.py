"""What an owner reads beside its memory is of the state that the memory was built on, or is not used.

Found by tests/simulation: an order, or ids, of a state that another owner wrote later.
"""

from __future__ import annotations

from typing import Any

from streams.state import PartitionState
from streams.store import Applied, Store
from tests.owner_kit import PlainKafka, Station, eventually
from tests.scenario_kit import DAY, HOUR, MINUTE, NOON, line, purchase, view
from tests.store_kit import Memory, Shelf, on_redis


async def _overtaken(shelf: Shelf, kafka: PlainKafka, topic: str) -> tuple[Station, Station]:
    """Ours has taken over after one record of the topic; then the other owner saved all that there is."""
    ours, other = Station(shelf, kafka), Station(shelf, kafka)
    await other.owner.take_over()
    await other.read(topic, 1)
    await other.owner.flush()
    await ours.owner.take_over()
    await other.finish()
    return ours, other


@on_redis()
async def test_an_order_of_the_future_is_not_judged_by(shelf: Shelf) -> None:
    """Another owner was further: there the order's id was used anew, so that a mere repetition would look
    like a conflict, and its dead letter could not be taken back. Instead everything is read again."""
    kafka = PlainKafka()
    kafka.append(
        purchase("o", NOON, line("p", 1, 100)),
        purchase("o", NOON + MINUTE, line("p", 1, 100)),
        purchase("o", NOON + 9 * DAY, line("p", 1, 200)),
    )
    ours, other = await _overtaken(shelf, kafka, "purchases")
    await ours.read("purchases", 1)
    await eventually(lambda: len(ours.consumer.opened) == 2)
    assert ours.consumer.opened == [{"purchases": 1}, {"purchases": 3}]
    await ours.finish()
    assert ours.letters.taken == other.letters.taken == []
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_names_of_cells_of_the_future_are_not_used(shelf: Shelf) -> None:
    """Which values have cells of their own is not learned from another owner's write either."""
    kafka = PlainKafka()
    kafka.append(*(view(f"e{number}", NOON, live_id=f"L{number}") for number in range(4)))
    ours, _ = await _overtaken(shelf, kafka, "views")
    await ours.read("views", 2)
    await eventually(lambda: len(ours.consumer.opened) == 2)
    assert ours.owner.counters.refused == 0
    await ours.finish()
    assert shelf.cells() == kafka.expected()


@on_redis()
async def test_own_writes_on_their_way_disturb_no_reading(shelf: Shelf) -> None:
    """Redis may hold the memory's last write, or the one before: what is read then is used."""
    kafka = PlainKafka()
    kafka.append(*(purchase(f"o{number}", NOON + number, line("p", 1, 100)) for number in range(6)))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    for _ in range(3):
        await station.read("purchases", 1)
        station.line.open.clear()
        station.now_ms += MINUTE
        station.owner.flush_if_due()
        await eventually(lambda: station.line.waiting)
        await station.read("purchases", 1)
        station.line.open.set()
        await station.owner.flush()
    assert station.consumer.opened == [{}]
    assert shelf.cells() == kafka.expected()


class _Interrupted(Store):
    """A store in whose first loading another owner writes between the two readings."""

    other: Memory | None = None

    async def _load_ids(self, state: PartitionState, keys: Any, token: str) -> bool:
        other, self.other = self.other, None
        if other is not None:
            await other.fold(view("e2", NOON + MINUTE))
            assert isinstance(await other.save(), Applied)
        return await super()._load_ids(state, keys, token)


@on_redis()
async def test_ids_and_vector_are_of_one_write(shelf: Shelf) -> None:
    """Another owner writes while a partition is being loaded: it is loaded again, or after a rollback the
    event whose id it knows, but whose figures are gone, would count as repeated."""
    first = await shelf.owner()
    await first.fold(view("e1", NOON))
    await first.save()
    store = _Interrupted(shelf.client, shelf.prefix, shelf.rules.figures)
    store.other = first
    state, guard = await store.load(0, shelf.rules)
    assert guard.token == (await shelf.meta())["token"]
    assert state.topics["views"].next_offset == 2
    assert len(state.ids["views"]) == 2


@on_redis()
async def test_a_clock_that_is_set_back_does_not_stop_saving(shelf: Shelf) -> None:
    """An hour back: what was read is saved with the next tick, not an hour later."""
    kafka = PlainKafka()
    kafka.append(view("e1", NOON), view("e2", NOON))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.read("views", 1)
    await station.owner.flush()
    station.now_ms -= HOUR
    await station.read("views", 1)
    station.owner.flush_if_due()
    await eventually(lambda: station.owner.counters.writes == 2)
    assert shelf.cells() == kafka.expected()

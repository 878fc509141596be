"""States that must not be gone on with: each is refused in one line, and nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from streams.errors import PulseError
from streams.log_check import Bounds
from streams.store import StoreCorruptError
from tests.owner_kit import PlainKafka, Station, eventually
from tests.scenario_kit import NOON, view
from tests.store_kit import Shelf, on_redis


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


class CutKafka(PlainKafka):
    """A log whose beginning was deleted."""

    async def bounds(self, partition: int) -> Mapping[str, Bounds]:
        """See `log_check.Log`."""
        return {topic: Bounds(min(1, len(log)), len(log)) for topic, log in self.logs.items()}


@on_redis()
async def test_a_redis_emptied_under_its_owner(shelf: Shelf) -> None:
    """What the log no longer holds cannot be counted again: the owner ends instead of starting from less."""
    kafka = CutKafka()
    kafka.append(view("a", NOON), view("b", NOON))
    station = Station(shelf, kafka)
    await station.owner.take_over()
    await station.read("views")
    await station.owner.flush()
    await shelf.client.delete(*await shelf.keys())
    kafka.append(view("c", NOON))
    await station.read("views")
    await station.owner.flush()
    await eventually(lambda: station.fatal)
    assert "the log no longer holds all of it" in str(station.fatal[0])

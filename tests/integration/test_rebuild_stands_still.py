"""A rebuild whose process stood still while others went on; Kafka and the worker are made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from schemas.events import INPUT_TOPICS
from streams import rebuild
from streams.errors import PulseError
from streams.generations import Generations
from streams.local.redis import RedisServer
from streams.rebuild import TICK_S, Rebuild, Result
from streams.settings import Settings
from streams.store import connect
from tests.owner_kit import eventually
from tests.store_kit import Shelf, on_shelf

OTHER_RULES = "other rules"
Place = tuple[str, int]


class PlainExtents:
    """How far the logs reach, and a moment at which the process can be made to stand still.

    Attributes:
        end: of each topic's log.
        asked: how often the ends were asked for.
        goes: unset, whoever asks waits.
    """

    def __init__(self) -> None:
        self.end = 0
        self.asked = 0
        self.goes = asyncio.Event()
        self.goes.set()

    async def starts(self) -> dict[Place, int]:
        """See `kafka_log.Extents`."""
        return {(topic, 0): 0 for topic in INPUT_TOPICS}

    async def ends(self) -> dict[Place, int]:
        """See `kafka_log.Extents`."""
        self.asked += 1
        found = {(topic, 0): self.end for topic in INPUT_TOPICS}
        await self.goes.wait()
        return found


class PlainWorker:
    """Has counted nothing of empty logs."""

    name = "plain"

    def __init__(self, settings: Settings, generation: str) -> None:
        self._settings = settings
        self._generation = generation
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """See `worker.Worker`."""
        client = connect(self._settings.redis)
        await count(client, self._generation, 0)
        await client.aclose()
        await self._ended.wait()

    def end(self) -> None:
        """See `worker.Worker`."""
        self._ended.set()

    def let_go(self, partition: int) -> None:
        """See `worker.Worker`."""


async def count(client: object, generation: str, offset: int) -> None:
    """A worker of another name has written that all topics are read up to there."""
    offsets = {f"off:{topic}": str(offset) for topic in INPUT_TOPICS}
    await client.hset(f"{generation}:{{0}}:meta", mapping=offsets | {"owner": "another"})  # type: ignore[attr-defined]


async def empty(shelf: Shelf) -> None:
    """Redis loses the note of what is filled, and what was."""
    await shelf.client.delete(f"{shelf.prefix}:generations", f"{shelf.prefix}.1:{{0}}:meta")


Story = Callable[[Shelf, Generations, PlainExtents, "asyncio.Task[Result]"], Awaitable[None]]


@pytest.fixture
def tell(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Tells a story of a rebuild that stands still since it began, on a prefix of its own."""

    async def counts(_settings: Settings, topics: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(topics, 1)

    async def none_misplaced(*_: object, oldest: int) -> dict[str, tuple[int, int]]:
        return {}

    async def story_on(shelf: Shelf, story: Story) -> None:
        extents = PlainExtents()

        @asynccontextmanager
        async def opened(_settings: Settings, _topics: Sequence[str]) -> AsyncIterator[PlainExtents]:
            yield extents

        monkeypatch.setattr(rebuild, "open_extents", opened)
        of = Generations(shelf.client, shelf.prefix)
        settings = Settings(redis=shelf.url, redis_prefix=shelf.prefix, partitions=1)
        extents.goes.clear()
        running = asyncio.create_task(
            Rebuild(settings, of, say=lambda _text: None).run(accept_incomplete=False)
        )
        await eventually(lambda: extents.asked)
        while not await shelf.client.exists(f"{shelf.prefix}.1:{{0}}:meta"):
            await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            await story(shelf, of, extents, running)

    monkeypatch.setattr(rebuild, "existing_partitions", counts)
    monkeypatch.setattr(rebuild, "misplaced", none_misplaced)
    monkeypatch.setattr(rebuild, "prepare_process", lambda _level: None)
    monkeypatch.setattr(rebuild, "Worker", PlainWorker)
    return lambda story: on_shelf(redis_server, lambda shelf: story_on(shelf, story))


def test_another_rebuild_was_first(tell: Callable[[Story], None]) -> None:
    """It neither takes that for a Redis that forgot, nor switches to what it had filled before: it ends."""

    async def story(
        shelf: Shelf, of: Generations, extents: PlainExtents, running: asyncio.Task[Result]
    ) -> None:
        other, _ = await of.begin(OTHER_RULES, 1)
        assert await of.switch(other, shelf.prefix)
        extents.goes.set()
        with pytest.raises(PulseError, match=rf"nothing is filled now, {other} is served\): run this one"):
            await running
        known = await of.known()
        assert (known.served, known.building) == (other, None)
        assert known.left.keys() == {shelf.prefix, f"{shelf.prefix}.1"}

    tell(story)


def test_another_rebuild_has_the_same_name(tell: Callable[[Story], None]) -> None:
    """Begun by other rules in a Redis that forgot this one, with the same number: this one ends, too."""

    async def story(
        shelf: Shelf, of: Generations, extents: PlainExtents, running: asyncio.Task[Result]
    ) -> None:
        await empty(shelf)
        assert await of.begin(OTHER_RULES, 1) == (f"{shelf.prefix}.1", False)
        extents.goes.set()
        with pytest.raises(PulseError, match="another rebuild took the place of this one"):
            await running
        assert await of.served() == shelf.prefix

    tell(story)


def test_redis_was_emptied(tell: Callable[[Story], None]) -> None:
    """Nobody else was there: it notes itself again, and switches once all is counted anew."""

    async def story(
        shelf: Shelf, of: Generations, extents: PlainExtents, running: asyncio.Task[Result]
    ) -> None:
        await empty(shelf)
        extents.end = 5
        extents.goes.set()
        await eventually(lambda: extents.asked > 1)
        while (await of.known()).building is None:
            await asyncio.sleep(0.05)
        await count(shelf.client, f"{shelf.prefix}.1", 5)
        assert (await running).before == shelf.prefix
        assert await of.served() == f"{shelf.prefix}.1"

    tell(story)


def test_the_log_grew_meanwhile(tell: Callable[[Story], None]) -> None:
    """Ends that were asked for before are no reason to switch: what came since is counted first."""

    async def story(
        shelf: Shelf, of: Generations, extents: PlainExtents, running: asyncio.Task[Result]
    ) -> None:
        extents.goes.set()
        # The ends that it has when it begins to wait for watermarks; the log grows behind its back.
        await eventually(lambda: extents.asked == 2)
        extents.end = 5
        await eventually(lambda: extents.asked > 2 or running.done())
        await asyncio.sleep(3 * TICK_S)
        assert not running.done()
        assert await of.served() == shelf.prefix
        await count(shelf.client, f"{shelf.prefix}.1", 5)
        assert (await running).generation == await of.served() == f"{shelf.prefix}.1"

    tell(story)

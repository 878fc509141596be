"""Who asks regularly finds what was read a moment before; everybody else is read for when they ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

import pytest

from streams.read_ahead import GOOD_S, OLDEST_S, REGULARS_MAX, ReadAhead
from tests.simulation.loop import SimLoop

PACE_S = 10.0
TOOK_S = 2.0


class Told(NamedTuple):
    """How long somebody waited, and how long before asking the reading began that was told."""

    waited_s: float
    age_s: float


class Redis:
    """Readings that take a while; each tells when it began."""

    def __init__(self, took_s: Sequence[float] = ()) -> None:
        self.began_s: list[float] = []
        self._took_s = list(took_s)

    async def read(self) -> bytes:
        """One reading."""
        at_s = asyncio.get_running_loop().time()
        self.began_s.append(at_s)
        await asyncio.sleep(self._took_s.pop(0) if self._took_s else TOOK_S)
        return b"%f" % at_s


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs it without a clock."""
    loop = SimLoop(Random(1))  # type: ignore[abstract]
    task = loop.create_task(story())
    loop.run(task.done, lambda: None)
    assert not loop.errors
    task.result()


async def _ask(texts: ReadAhead, at_s: float, name: str | None = "prometheus") -> Told:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(at_s - loop.time())
    began_s = float(await texts.get(name))
    return Told(round(loop.time() - at_s, 6), round(at_s - began_s, 6))


def test_who_comes_regularly_does_not_wait() -> None:
    """From the fourth time on; what is told began a little earlier than the longest reading of late takes."""

    async def story() -> None:
        redis = Redis([TOOK_S, 1.0, 3.0])
        texts = ReadAhead(redis.read)
        told = [await _ask(texts, PACE_S * number) for number in range(1, 8)]
        assert [each.waited_s for each in told] == [TOOK_S, 1.0, 3.0, 0, 0, 0, 0]
        assert all(3.0 <= each.age_s <= 4.0 for each in told[3:])
        assert len(redis.began_s) == 7

    play(story)


@pytest.mark.parametrize("name", [None, "prometheus"])
def test_who_comes_at_any_time_is_read_for_then(name: str | None) -> None:
    """Without a name, or without a pace, nobody is expected: Redis is read once for each."""

    async def story() -> None:
        redis = Redis()
        texts = ReadAhead(redis.read)
        times_s = [PACE_S * number for number in range(1, 6)] if name is None else [5.0, 9, 20, 26, 40]
        told = [await _ask(texts, at_s, name) for at_s in times_s]
        await asyncio.sleep(3 * PACE_S)
        assert [each.waited_s for each in told] == [TOOK_S] * 5
        assert redis.began_s == times_s

    play(story)


def test_two_who_ask_within_a_second_cost_one_reading() -> None:
    """Several at once, or an impatient one, do not multiply the load; later it is read anew."""

    async def story() -> None:
        redis = Redis()
        texts = ReadAhead(redis.read)
        first, second = await asyncio.gather(*(_ask(texts, 1.0, None) for _ in range(2)))
        assert first == second
        assert (await _ask(texts, 3.0 + GOOD_S / 2, None)).waited_s == 0
        assert (await _ask(texts, 3.0 + GOOD_S * 1.5, None)).waited_s == TOOK_S
        assert len(redis.began_s) == 2

    play(story)


def test_who_stays_away_costs_one_reading() -> None:
    """And finds nothing old on coming back: it is read for then."""

    async def story() -> None:
        redis = Redis()
        texts = ReadAhead(redis.read)
        for number in range(1, 4):
            await _ask(texts, PACE_S * number)
        told = await _ask(texts, PACE_S * 30)
        assert len(redis.began_s) == 5
        assert told == Told(TOOK_S, 0)

    play(story)


def test_who_comes_early_or_late_is_told_nothing_old() -> None:
    """Too early: nothing is ready. A little late: it is. Too late: what is ready is too old."""

    async def story() -> None:
        for late_s, told in ((-4.0, Told(TOOK_S, 0)), (2.0, Told(0, 4.75)), (4.0, Told(TOOK_S, 0))):
            texts = ReadAhead(Redis().read)
            began_s = asyncio.get_running_loop().time()
            for number in range(1, 4):
                await _ask(texts, began_s + PACE_S * number)
            assert await _ask(texts, began_s + PACE_S * 4 + late_s) == told
            await texts.close()

    play(story)


def test_a_reading_that_takes_longer_is_waited_for() -> None:
    """It is not begun a second time, also where it takes longer than what is told may be old."""

    async def story() -> None:
        redis = Redis([TOOK_S] * 3 + [3.0, 9.0, 9.0, 9.0])
        texts = ReadAhead(redis.read)
        told = [await _ask(texts, 15.0 * number) for number in range(1, 8)]
        assert [each.waited_s for each in told] == [2, 2, 2, 0.25, 5.0, 4.5, 4.5]
        assert max(each.age_s for each in told) <= OLDEST_S
        assert len(redis.began_s) == 7

    play(story)


def test_a_reading_that_fails_is_told_to_who_was_expected() -> None:
    """And the next one is ready again."""

    async def story() -> None:
        calls = 0

        async def read() -> bytes:
            nonlocal calls
            calls += 1
            if calls == 4:
                raise OSError("gone")
            return b"0"

        texts = ReadAhead(read)
        for number in range(1, 4):
            await _ask(texts, PACE_S * number)
        with pytest.raises(OSError, match="gone"):
            await _ask(texts, PACE_S * 4)
        assert (await _ask(texts, PACE_S * 5)).waited_s == 0

    play(story)


def test_an_asker_that_gives_up_makes_the_next_reading_begin_earlier() -> None:
    """Who waits five seconds at most would otherwise never be told what takes six."""

    async def story() -> None:
        texts = ReadAhead(Redis([6.0] * 9).read)
        told: list[Told | None] = []
        for number in range(1, 6):
            told.append(None)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(PACE_S * 2 * number + 5.0):
                    told[-1] = await _ask(texts, PACE_S * 2 * number)
        assert told[:3] == [None] * 3
        assert [each.waited_s for each in told[3:] if each is not None] == [1.5, 1.5]

    play(story)


def test_servers_at_other_times_have_readings_of_their_own() -> None:
    """Two at one time share one; the third, four seconds later, is told nothing old."""

    async def story() -> None:
        redis = Redis()
        texts = ReadAhead(redis.read)

        async def server(name: str, phase_s: float) -> list[Told]:
            return [await _ask(texts, PACE_S * number + phase_s, name) for number in range(1, 8)]

        told = await asyncio.gather(server("a", 0), server("b", 0), server("c", 4.0))
        for each in told:
            assert [one.waited_s for one in each[3:]] == [0] * 4
            assert max(one.age_s for one in each) <= TOOK_S + 2 * GOOD_S
        assert len(redis.began_s) <= 14

    play(story)


def test_names_are_not_kept_for_ever() -> None:
    """Whoever makes names up makes us expect nobody; the one who comes again is expected again."""

    async def story() -> None:
        redis = Redis([0.0] * 200)
        texts = ReadAhead(redis.read)
        for number in range(1, 4):
            await _ask(texts, PACE_S * number)
        for number in range(REGULARS_MAX):
            await _ask(texts, PACE_S * 3 + number / 100, f"made up {number}")
        before = len(redis.began_s)
        await asyncio.sleep(PACE_S * 2)
        assert len(redis.began_s) == before
        for number in range(6, 9):
            await _ask(texts, PACE_S * number)
        await asyncio.sleep(PACE_S * 2)
        assert len(redis.began_s) == before + 4

    play(story)


def test_once_closed_nobody_is_expected() -> None:
    """Neither who is read for at the moment, nor who will be, nor who still waits for an answer."""

    async def story() -> None:
        for wait_s in (0.0, PACE_S - TOOK_S / 2, PACE_S + TOOK_S / 2):
            redis = Redis([TOOK_S] * 3 + [2 * TOOK_S])
            texts = ReadAhead(redis.read)
            began_s = asyncio.get_running_loop().time()
            for number in range(1, 4):
                await _ask(texts, began_s + PACE_S * number)
            fourth = asyncio.create_task(_ask(texts, began_s + PACE_S * 4))
            await asyncio.sleep(began_s + PACE_S * 3 + wait_s - asyncio.get_running_loop().time())
            await texts.close()
            fourth.cancel()
            before = len(redis.began_s)
            await asyncio.sleep(PACE_S * 2)
            assert len(redis.began_s) == before

    play(story)

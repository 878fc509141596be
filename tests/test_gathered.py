"""Readings that are shared wait for whoever goes first, but not for good."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from streams import gathered
from streams.gathered import Gathered, Pause


async def _echo(questions: Sequence[int]) -> list[int | Exception]:
    return list(questions)


def test_readings_wait_while_somebody_goes_first() -> None:
    """Also those who had a place in the queue already; then all are answered, in their order."""

    async def play() -> tuple[int, list[int]]:
        pause = Pause()
        shared = Gathered(_echo, 1, pause)
        with pause.held():
            asked = [asyncio.create_task(shared.ask(number)) for number in range(3)]
            for _ in range(20):
                await asyncio.sleep(0)
            answered = sum(each.done() for each in asked)
        return answered, await asyncio.gather(*asked)

    assert asyncio.run(play()) == (0, [0, 1, 2])


def test_nobody_waits_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever goes first may take long, or hang: the others go on all the same."""
    monkeypatch.setattr(gathered, "PAUSE_MAX_S", 0.01)

    async def play() -> int:
        pause = Pause()
        with pause.held():
            return await Gathered(_echo, 1, pause).ask(7)

    assert asyncio.run(play()) == 7


@pytest.mark.parametrize("readings", [1, 2, 3])
def test_so_many_readings_are_on_their_way(readings: int) -> None:
    """No more, and as many as there are questions for; everybody is answered, whoever goes away meanwhile."""
    begun: list[int] = []
    most = 0

    async def play() -> list[int | BaseException]:
        may_end = asyncio.Event()

        async def answer(questions: Sequence[int]) -> list[int | Exception]:
            nonlocal most
            assert questions
            begun.append(len(questions))
            most = max(most, len(begun) - len(ended))
            await may_end.wait()
            ended.append(1)
            return list(questions)

        ended: list[int] = []
        shared = Gathered(answer, 2, readings=readings)
        asked = [asyncio.create_task(shared.ask(number)) for number in range(9)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(begun) == readings
        asked[8].cancel()
        may_end.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(play())
    assert answers[:8] == list(range(8)) and isinstance(answers[8], asyncio.CancelledError)
    assert most == readings and sum(begun) == 8


def test_what_failed_holds_nobody_up() -> None:
    """A reading that was given up is over."""
    pause = Pause()
    with pytest.raises(OSError), pause.held():
        assert pause.is_held
        raise OSError
    assert not pause.is_held

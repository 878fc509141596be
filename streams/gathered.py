"""Questions that come one by one, asked together: those that wait share the next reading.

It stands between many askers (pages, streams) and what reads the store. One or two readings are on their way
at a time; whoever asks meanwhile has a place in the next one. So the more ask, the less each of them costs,
and many take no more places at Redis than two, which leaves room for those who ask seldom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")

# The longest that readings wait for somebody else's.
PAUSE_MAX_S = 3.0


class Pause:
    """Readings that come all the time wait while somebody reads who comes seldom, and goes first."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._over.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """While whoever goes first reads; one at a time."""
        self._over.clear()
        try:
            yield
        finally:
            self._over.set()

    @property
    def is_held(self) -> bool:
        """Whether somebody reads who goes first."""
        return not self._over.is_set()

    async def over(self) -> None:
        """Returns once nobody holds it, or after PAUSE_MAX_S: nobody waits for good."""
        if self.is_held:
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_MAX_S):
                    await self._over.wait()


class Gathered(Generic[Q, A]):
    """Answers single questions from shared readings: at most ``at_once`` of them, equal ones once. At most
    `readings` are on their way; each begins when `pause` is over.

    ``answer_all`` gives an answer for each question, in their order; what it returns as an exception fails
    one question, what it raises fails all that were asked together.
    """

    def __init__(
        self,
        answer_all: Callable[[list[Q]], Awaitable[Sequence[A | Exception]]],
        at_once: int,
        pause: Pause | None = None,
        *,
        readings: int = 1,
    ) -> None:
        self._answer_all = answer_all
        self._at_once = at_once
        self._readings_max = readings
        self._pause = pause or Pause()
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._readings: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """The answer, shared with others and not to be changed. Raises what ``answer_all`` gives for it."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        # Not by a callback, which comes later than the end: who asked in between would wait for good.
        self._readings = {reading for reading in self._readings if not reading.done()}
        if len(self._readings) < self._readings_max:
            self._readings.add(asyncio.create_task(self._read(), name="gathered questions"))
        return await future

    async def _read(self) -> None:
        while self._waiting:
            await self._pause.over()
            asked, self._waiting = self._waiting[: self._at_once], self._waiting[self._at_once :]
            wanted = [(question, future) for question, future in asked if not future.cancelled()]
            questions = list(dict.fromkeys(question for question, _ in wanted))
            if not questions:  # Another reading took them, or nobody waits any more.
                continue
            answers: dict[Q, A | Exception]
            try:
                answers = dict(zip(questions, await self._answer_all(questions), strict=True))
            except Exception as error:  # Told to everyone who asked.
                answers = dict.fromkeys(questions, error)
            for question, future in wanted:
                if not future.done():
                    _settle(future, answers[question])


def _settle(future: asyncio.Future[A], answer: A | Exception) -> None:
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)

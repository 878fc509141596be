"""Questions to Redis and Kafka, asked again until there is an answer, or nobody wants one any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from streams.log_check import LogUnavailableError
from streams.outlet import OutletUnavailableError
from streams.store import StoreUnavailableError

logger = logging.getLogger(__name__)

BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
T = TypeVar("T")


class Question:
    """Something asked of Redis or Kafka that has no answer yet; `looks`: how often the watchdog saw it open.

    Not a time: a process that was stopped for an hour, or whose clock was set, has waited for nobody.
    """

    looks = 0


class Asking:
    """What one partition number asks.

    Attributes:
        questions: those without an answer so far.
        trouble: why there is none, while something is asked again; else empty.
    """

    def __init__(self, partition: int, on_recovery: Callable[[], None]) -> None:
        self.questions: set[Question] = set()
        self.trouble = ""
        self._partition = partition
        self._on_recovery = on_recovery

    async def until_answered(
        self, ask: Callable[[], Awaitable[T]], is_wanted: Callable[[], bool]
    ) -> T | None:
        """The answer; None once it is not wanted any more."""
        attempt = 0
        while is_wanted():
            try:
                with self.open_question():
                    answer = await ask()
            except (StoreUnavailableError, OutletUnavailableError, LogUnavailableError) as error:
                if _gist(str(error)) != _gist(self.trouble):
                    logger.error("partition %d waits: %s", self._partition, error)
                self.trouble = str(error)
                await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
                attempt += 1
                continue
            if self.trouble:
                logger.warning("partition %d goes on", self._partition)
                self.trouble = ""
                self._on_recovery()
            return answer if is_wanted() else None
        return None

    @contextmanager
    def open_question(self) -> Iterator[None]:
        """The watchdog looks at what is asked in here."""
        question = Question()
        self.questions.add(question)
        try:
            yield
        finally:
            self.questions.discard(question)


def _gist(trouble: str) -> str:
    """What is wrong and what to do, without the client's own words: these differ from call to call."""
    return trouble.partition(" (")[0]

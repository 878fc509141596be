"""Families of gauges that are read from Redis, and how seldom they are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Samples(NamedTuple):
    """A family of gauges, as `streams.exporter.gauge` takes it."""

    name: str
    help_text: str
    labels: tuple[str, ...]
    samples: Mapping[tuple[str, ...], float]


class Remembered(Generic[T]):
    """What is read now and then; between, what was read last is shown."""

    def __init__(self, clock: Callable[[], int], refresh_ms: int, read: Callable[[], Awaitable[T]]) -> None:
        """`clock`: Unix milliseconds; what was read is read again once it is `refresh_ms` old."""
        self._clock = clock
        self._refresh_ms = refresh_ms
        self._read = read
        self._last: tuple[int, T] | None = None

    async def get(self) -> T:
        """What was read last. A reading that raises is not remembered, and the next call reads again."""
        now_ms = self._clock()
        if self._last is None or now_ms - self._last[0] >= self._refresh_ms:
            self._last = now_ms, await self._read()
        return self._last[1]

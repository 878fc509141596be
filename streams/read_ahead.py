"""What takes seconds to read is ready when somebody asks who comes regularly.

It stands between the exporter's reading and those who scrape. Whoever came three times at the same distance
is expected once more, and read for so much earlier as the last readings took. All others are read for when
they ask. Either way nothing is older than a few seconds, and who stays away costs one reading.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# Several Prometheus servers, or an impatient reader, cost one reading a second.
GOOD_S = 1.0
# What is read ahead began at most so long before it is told: half the pace of our own Prometheus.
OLDEST_S = 5.0
# Who comes at other times than this around the expected one has no pace.
JITTER_S = 0.5
# So much longer than the longest of the last ones a reading may take: by a part of that, and on top. Some
# things are read once a minute only, which is one reading of six at our own Prometheus' pace.
MARGIN = 0.25
MARGIN_S = 0.25
READINGS_HEARD = 8
# Whoever comes more often finds what is still good, mostly.
PACE_MIN_S = 2.0
# Prometheus servers of one shop; whoever sends names of others makes us forget them, no more.
REGULARS_MAX = 16


@dataclass(frozen=True, slots=True)
class _Text:
    """What was read, and from when until when, by the loop's clock."""

    began_s: float
    ended_s: float
    text: bytes


@dataclass(slots=True)
class _Regular:
    """One who may come regularly: when, and what is done before the next time."""

    came_s: deque[float] = field(default_factory=lambda: deque(maxlen=3))
    timer: asyncio.TimerHandle | None = None
    reading: asyncio.Task[_Text] | None = None

    @property
    def pace_s(self) -> float | None:
        """From one time to the next; None if it has none."""
        if len(self.came_s) < 3:
            return None
        first_s, second_s, third_s = self.came_s
        pace_s = (third_s - first_s) / 2
        is_even = abs(third_s - second_s - pace_s) <= JITTER_S
        return pace_s if is_even and pace_s >= PACE_MIN_S else None

    def leave(self) -> None:
        """Is not expected any more."""
        if self.timer is not None:
            self.timer.cancel()
        if self.reading is not None:
            self.reading.cancel()


class ReadAhead:
    """Answers from one reading at a time. To be closed where somebody regular has asked."""

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self._read = read
        self._one_at_a_time = asyncio.Lock()
        self._last: _Text | None = None
        self._took_s: deque[float] = deque(maxlen=READINGS_HEARD)
        self._regulars: dict[str, _Regular] = {}

    async def get(self, regular: str | None = None) -> bytes:
        """The text. `regular`: whoever this name stands for may come regularly.

        Its reading ended at most GOOD_S ago, or began OLDEST_S ago for who was expected. Raises what the
        reading raises.
        """
        if regular is None:
            return (await self._asked_for()).text
        known = self._known(regular)
        came_s = asyncio.get_running_loop().time()
        known.came_s.append(came_s)
        reading, known.reading = known.reading, None
        try:
            if reading is not None and came_s - (ahead := await reading).began_s <= OLDEST_S:
                return ahead.text
            return (await self._asked_for()).text
        finally:
            # Only now: how long this one took says how early the next has to begin.
            self._expect(regular, known)

    async def close(self) -> None:
        """Nobody is expected any more."""
        readings = [each.reading for each in self._regulars.values() if each.reading is not None]
        for regular in self._regulars.values():
            regular.leave()
        self._regulars.clear()
        await asyncio.gather(*readings, return_exceptions=True)

    def _known(self, name: str) -> _Regular:
        regular = self._regulars.pop(name, None) or _Regular()
        self._regulars[name] = regular
        if len(self._regulars) > REGULARS_MAX:
            self._regulars.pop(next(iter(self._regulars))).leave()
        return regular

    def _expect(self, name: str, regular: _Regular) -> None:
        if regular.timer is not None:
            regular.timer.cancel()
        pace_s = regular.pace_s
        # Whoever was forgotten while the answer was read is not expected either.
        if pace_s is not None and self._regulars.get(name) is regular:
            longest_s = max(self._took_s, default=0.0)
            lead_s = min(longest_s * (1 + MARGIN) + MARGIN_S, OLDEST_S - JITTER_S, pace_s)
            at_s = regular.came_s[-1] + pace_s - lead_s
            regular.timer = asyncio.get_running_loop().call_at(at_s, self._begin, regular)

    def _begin(self, regular: _Regular) -> None:
        wanted_s = asyncio.get_running_loop().time()
        regular.reading = asyncio.create_task(self._text(lambda last: last.began_s >= wanted_s - GOOD_S))

    async def _asked_for(self) -> _Text:
        time_s = asyncio.get_running_loop().time
        return await self._text(lambda last: time_s() - last.ended_s <= GOOD_S)

    async def _text(self, is_good: Callable[[_Text], bool]) -> _Text:
        """The last one if it is good, else a new one."""
        time_s = asyncio.get_running_loop().time
        async with self._one_at_a_time:
            if self._last is None or not is_good(self._last):
                began_s = time_s()
                try:
                    text = await self._read()
                finally:
                    # One that nobody waited for to its end says too how early the next has to begin.
                    self._took_s.append(time_s() - began_s)
                self._last = _Text(began_s, time_s(), text)
            return self._last

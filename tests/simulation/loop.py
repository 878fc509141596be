"""An event loop without a clock: time jumps to the next timer, and a seed chooses what runs next.

What one callback schedules keeps its order; among the rest any may come first, which is more than asyncio
promises less. A worker's callbacks carry its `Life`: once that is dead they are dropped, as a kill -9 drops
them, and while it is paused they wait.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from random import Random
from typing import Any


class Life:
    """One process of a worker, from its start to its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.paused = False
        self.held: list[asyncio.Handle] = []


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)
"""Whose code runs; None: the world's."""


def _life_of(handle: asyncio.Handle) -> Life | None:
    context: Context = handle._context  # type: ignore[attr-defined]
    return context.get(LIFE)


class SimLoop(asyncio.AbstractEventLoop):
    """Runs callbacks one by one; `before_step` is called before each with the number of it."""

    def __init__(self, rng: Random) -> None:
        self.steps = 0
        self.errors: list[BaseException] = []
        self._rng = rng
        self._now_s = 0.0
        self._groups: list[deque[asyncio.Handle]] = []
        self._scheduled: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_count = 0
        self._tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        """Seconds since the start."""
        return self._now_s

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio."""
        handle = asyncio.Handle(callback, args, self, context)
        self._scheduled.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked by asyncio; a cancelled timer is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **_: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        """See asyncio. Tasks of a worker that is killed never end, and nobody is to be told so."""
        task = asyncio.Task(coro, loop=self)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.append(task)
        return task

    def end(self) -> None:
        """Closes whatever was killed, or has no end: nothing of it may run when it is collected."""
        for task in self._tasks:
            if not task.done():
                coro = task.get_coro()
                assert coro is not None
                coro.close()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What a callback let out is kept for the judge; a dead worker's future is asked by nobody."""
        if "handle" in context:
            self.errors.append(context["exception"])

    def get_debug(self) -> bool:
        """See asyncio."""
        return False

    def is_running(self) -> bool:
        """See asyncio."""
        return True

    def resume(self, life: Life) -> None:
        """A paused worker goes on, with all that was held up in any order."""
        life.paused = False
        self._groups += [deque([handle]) for handle in life.held]
        life.held = []

    def run(self, until: Callable[[], bool], before_step: Callable[[], None]) -> None:
        """Runs until something holds, or nothing is left to run; it is asked between callbacks."""
        events._set_running_loop(self)
        try:
            while not until() and self._step(before_step):
                pass
        finally:
            events._set_running_loop(None)

    def _step(self, before_step: Callable[[], None]) -> bool:
        if self._scheduled:
            self._groups.append(self._scheduled)
            self._scheduled = deque()
        groups = self._groups
        if not groups:
            return self._next_timer()
        at = int(self._rng.random() * len(groups))
        group = groups[at]
        handle = group.popleft()
        if not group:
            groups[at] = groups[-1]
            groups.pop()
        if handle.cancelled():
            return True
        life = _life_of(handle)
        if life is not None and (life.dead or life.paused):
            if not life.dead:
                life.held.append(handle)
            return True
        self.steps += 1
        before_step()
        if life is None or not (life.dead or life.paused):
            handle._run()
        elif not life.dead:
            life.held.append(handle)
        return True

    def _next_timer(self) -> bool:
        while self._timers:
            when, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                self._now_s = max(self._now_s, when)
                self._groups.append(deque([handle]))
                return True
        return False

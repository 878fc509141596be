"""Readings that are asked for one by one, made together: what several want is read once.

It stands between the reader and those of whom there are many at a time, the pages of live rooms. One reading
is on its way; whoever asks meanwhile has a place in the next one. So many pages take no more places at Redis
than one, and leave room for those who ask seldom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from streams.read_store import Request
from streams.reading import Moment, Plan, Reader, View

# Redis is held for about a millisecond a plan of a room and partition number: no writer shall wait for long.
PLANS_A_READING = 8

P = TypeVar("P", bound=Plan)
_PlanAt: TypeAlias = Callable[[Moment], Plan]
_Asked: TypeAlias = tuple[_PlanAt, asyncio.Future[tuple[View, Any]]]


class SharedReadings:
    """Views for plans, as `Reader.view` gives them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: list[_Asked] = []
        self._reading: asyncio.Task[None] | None = None

    async def view(self, plan_at: Callable[[Moment], P]) -> tuple[View, P]:
        """One reading, shared with whoever asks at the same time. Raises what `Reader.view` raises."""
        future: asyncio.Future[tuple[View, P]] = asyncio.get_running_loop().create_future()
        self._waiting.append((plan_at, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="shared readings")
        return await future

    async def _read(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting[:PLANS_A_READING], self._waiting[PLANS_A_READING:]
            asked = [(plan_at, future) for plan_at, future in asked if not future.cancelled()]
            try:
                view, together = await self._reader.view(
                    partial(_Together, [plan_at for plan_at, _ in asked])
                )
            except Exception as error:  # Told to everyone who asked.
                for _, future in asked:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (plan_at, future), plan in zip(asked, together.plans, strict=True):
                if plan is None:
                    await self._alone(plan_at, future)
                elif not future.done():
                    future.set_result((view, plan))

    async def _alone(self, plan_at: _PlanAt, future: asyncio.Future[tuple[View, Any]]) -> None:
        """A plan that could not be made: perhaps only at that moment, which the reader finds out."""
        try:
            found = await self._reader.view(plan_at)
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(found)


class _Together:
    """Several plans at one moment; None for one that cannot be made then."""

    def __init__(self, plans_at: Sequence[_PlanAt], moment: Moment) -> None:
        self.plans = [_made(plan_at, moment) for plan_at in plans_at]

    @property
    def requests(self) -> list[Request]:
        """All of theirs."""
        return [request for plan in self.plans if plan is not None for request in plan.requests]


def _made(plan_at: _PlanAt, moment: Moment) -> Plan | None:
    try:
        return plan_at(moment)
    except Exception:  # It is asked alone, and told what is wrong.
        return None

"""Readings that are asked for one by one, made together: plans of many pages in one reading of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from streams.gathered import Gathered, Pause
from streams.reading import Moment, Plan, Reader, View
from streams.requests import Request

# Redis is held for about a millisecond a plan of a room and partition number: no writer shall wait for long.
PLANS_A_READING = 8
# While the answers of one are put together, Redis is asked for the other.
READINGS_AT_ONCE = 2

P = TypeVar("P", bound=Plan)
_PlanAt: TypeAlias = Callable[[Moment], Plan]
_Found: TypeAlias = tuple[View, Any]


class SharedReadings:
    """Views for plans, as `Reader.view` gives them."""

    def __init__(self, reader: Reader, pause: Pause | None = None) -> None:
        self._reader = reader
        self._gathered: Gathered[_PlanAt, _Found] = Gathered(
            self._views, PLANS_A_READING, pause, readings=READINGS_AT_ONCE
        )

    async def view(self, plan_at: Callable[[Moment], P]) -> tuple[View, P]:
        """One reading, shared with whoever asks at the same time. Raises what `Reader.view` raises."""
        return cast("tuple[View, P]", await self._gathered.ask(plan_at))

    async def _views(self, plans_at: Sequence[_PlanAt]) -> list[_Found | Exception]:
        view, together = await self._reader.view(partial(_Together, plans_at))
        return [
            await self._alone(plan_at) if plan is None else (view, plan)
            for plan_at, plan in zip(plans_at, together.plans, strict=True)
        ]

    async def _alone(self, plan_at: _PlanAt) -> _Found | Exception:
        """A plan that could not be made: perhaps only at that moment, which the reader finds out."""
        try:
            return await self._reader.view(plan_at)
        except Exception as error:  # Told to the one who asked.
            return error


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

"""The shortest story that still goes wrong, and how to tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.simulation.faults import Fault
from tests.simulation.seeds import run_story
from tests.simulation.world import Outcome, Story

T = TypeVar("T")
TRIES_MAX = 600


def shrink(story: Story, tries: int = TRIES_MAX) -> Story:
    """Drops faults, records and small limits as long as the rest still goes wrong."""
    budget = iter(range(tries))
    while True:
        before = story
        story = _smaller(story, story.faults, _with_faults, _without_faults, budget)
        story = _smaller(story, story.records, _with_records, _without, budget)
        plain = replace(story, limits={})
        if story.limits and next(budget, None) is not None and run_story(plain).wrong:
            story = plain
        if story == before or next(budget, None) is None:
            return story


def _with_faults(story: Story, faults: Sequence[Fault]) -> Story:
    return replace(story, faults=faults)


def _with_records(story: Story, records: Sequence[T]) -> Story:
    return replace(story, records=records)  # type: ignore[arg-type]


def _without(parts: Sequence[T], start: int, end: int) -> list[T]:
    return [*parts[:start], *parts[end:]]


def _without_faults(faults: Sequence[Fault], start: int, end: int) -> list[Fault]:
    """The faults behind stay where they are: they wait for the steps of those that are gone, too."""
    rest = list(faults[end:])
    if rest:
        steps = sum(fault.steps for fault in faults[start:end])
        rest[0] = replace(rest[0], steps=rest[0].steps + steps)
    return [*faults[:start], *rest]


def _smaller(
    story: Story,
    parts: Sequence[T],
    having: Callable[[Story, Sequence[T]], Story],
    without: Callable[[Sequence[T], int, int], list[T]],
    budget: Iterator[int],
) -> Story:
    """Tries to drop large pieces first, then smaller ones, from the end to the start."""
    size = len(parts)
    while size:
        end = len(parts)
        while end > 0:
            if next(budget, None) is None:
                return story
            fewer = without(parts, max(0, end - size), end)
            shorter = having(story, fewer)
            if run_story(shorter).wrong:
                story, parts = shorter, fewer
            end -= size
        size //= 2
    return story


def told(outcome: Outcome) -> Iterator[str]:
    """The story line by line, and what was wrong."""
    for seconds, line in outcome.told:
        yield f"{seconds:8.3f} s  {line}"
    yield "wrong:"
    yield from (f"  {each}" for each in outcome.wrong or ["nothing"])

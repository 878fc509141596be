"""Creators' days, read and kept for a while: for `/api/v1/creators` and the gauges.

It stands between the store and `earners`, which says what follows. All creators of sixty days are asked for
at once, so they are walked in small steps that hold up no writer, beside the answers, every EVERY_S; of what
was read four spans are kept.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.answer import QuestionError
from streams.earners import Answer, Span, creators_answer, together
from streams.read_model import ReadModel
from streams.reading import Moment
from streams.samples import Samples
from streams.scopes import ALL, CREATOR, OTHER, PLATFORM_CREATOR, split_pair
from streams.store import StoreCorruptError, StoreUnavailableError
from streams.trust import Trust
from streams.window import DAY_MS, Pane, WindowError

# How long a creator may rest before having stopped, and the spans (days back from, to) that both need.
DAYS = (7, 30)
SPANS = ((0, 7), (7, 14), (14, 30), (30, 60))
EVERY_S = 300.0
# While nothing is known yet, or Redis does not answer, or days that are over are still being read.
AGAIN_S = 10.0
# Creators of all spans and platforms, some 500 bytes each.
CREATORS_MAX = 400_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a reading found: when, up to which UTC midnight, and the work of each span."""

    read_ms: int
    to_ms: int
    trust: Trust
    currencies: tuple[str, ...]
    spans: Mapping[tuple[int, int], Span]

    def of(self, from_days: int, to_days: int) -> Span:
        """The work from so many days back to so many."""
        return together(
            span for (near, far), span in self.spans.items() if from_days <= near and far <= to_days
        )


class Creators:
    """Reads creators' days now and then (`run`); between, what was read last is told."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self.enabled = PLATFORM_CREATOR in model.figures.kinds
        self._one_at_a_time = asyncio.Lock()
        self._found: Found | None = None
        self._gauges: tuple[Samples, ...] = ()

    async def answer(self, platform: str | None, days: int) -> Answer:
        """The answer of ``/api/v1/creators``. Raises QuestionError, StoreUnavailableError."""
        if not self.enabled:
            raise QuestionError("creators' days are not kept with these SHOP_PULSE_FIGURES")
        if days not in DAYS:
            raise QuestionError(f"days is one of {' '.join(map(str, DAYS))}")
        if platform is not None and platform not in self._platforms:
            raise QuestionError(f"platform is one of {' '.join(self._platforms)}, or left out for all")
        found = await self._latest()
        return {
            "platform": platform,
            "days": days,
            "from_ms": found.to_ms - days * DAY_MS,
            "to_ms": found.to_ms,
            "before_from_ms": found.to_ms - 2 * days * DAY_MS,
            "read_ms": found.read_ms,
            "as_of_ms": found.trust.as_of_ms,
            # Of hundreds of thousands of creators it takes a while; other answers need not wait.
            **await asyncio.to_thread(self._of, found, platform, days),
        }

    async def families(self) -> tuple[Samples, ...]:
        """The gauges of what was read last: who scrapes does not wait for a reading."""
        return self._gauges if self._found is not None else ()

    @property
    def _platforms(self) -> Sequence[str]:
        return tuple(dict.fromkeys((*sorted(self._model.settings.platforms), OTHER)))

    def _gauges_of(self, found: Found) -> tuple[Samples, ...]:
        counts: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in _COUNTS}
        median: dict[tuple[str, ...], float] = {}
        for platform in (None, *self._platforms):
            for days in DAYS:
                labels = (platform or ALL.name, f"{days}d")
                answer = self._of(found, platform, days)
                for name, (path, _) in _COUNTS.items():
                    counts[name][labels] = _number(answer, path)
                for currency in found.currencies:
                    earnings = ("earnings", currency)
                    if _number(answer, (*earnings, "creators")):
                        median[*labels, currency] = _number(answer, (*earnings, "median_minor"))
        return (
            *(Samples(name, text, _LABELS, counts[name]) for name, (_, text) in _COUNTS.items()),
            Samples(
                "creator_earnings_median_minor",
                "Median commission of creators with a sale in the currency, over whole UTC days.",
                (*_LABELS, "currency"),
                median,
            ),
        )

    def _of(self, found: Found, platform: str | None, days: int) -> Answer:
        now, before = found.of(0, days), found.of(days, 2 * days)
        return creators_answer(now, before, platform, found.currencies)

    async def run(self) -> None:
        """Reads every EVERY_S until it is cancelled. Whatever goes wrong is logged, and tried again."""
        while True:
            found = None
            try:
                found = await self.read()
            except (StoreUnavailableError, StoreCorruptError, WindowError, QuestionError) as error:
                _log.warning("creators' days are not read: %s", error)
            except Exception:  # One fault must not end it: its gauges would stand still for good.
                _log.exception("creators' days are not read")
            is_known = found is not None and found.trust.as_of_ms is not None
            is_whole = found is not None and found.read_ms - found.to_ms < DAY_MS
            await asyncio.sleep(EVERY_S if is_known and is_whole else AGAIN_S)

    async def read(self) -> Found:
        """Reads anew. Raises QuestionError where there are too many, and StoreUnavailableError."""
        async with self._one_at_a_time:
            try:
                found = await self._read(self._model.clock())
                self._gauges = await asyncio.to_thread(self._gauges_of, found)
                self._found = found
            except Exception:
                self._found = None  # Nothing rather than what may be days old.
                raise
            return found

    async def _latest(self) -> Found:
        """What was read last; in the first moments, or after a fault, it is read now."""
        return self._found or await self.read()

    async def _read(self, now_ms: int) -> Found:
        view, _ = await self._model.over(_today)
        trusted = await self._model.trust(view, _today(view.moment), CREATOR.name)
        # The day that is going on, or is not read to its end, would look as if all had stopped.
        known_ms = now_ms if trusted.as_of_ms is None else min(now_ms, trusted.as_of_ms)
        to_ms = known_ms - known_ms % DAY_MS
        spans: dict[tuple[int, int], Span] = {}
        left = CREATORS_MAX
        for near, far in SPANS:
            spans[near, far] = await self._span(to_ms - far * DAY_MS, to_ms - near * DAY_MS, left)
            left -= len(spans[near, far])
        return Found(now_ms, to_ms, trusted, view.moment.currencies, spans)

    async def _span(self, from_ms: int, to_ms: int, most: int) -> Span:
        store, size = self._model.store, self._model.sizes[-1]
        panes = [Pane(size, start_ms) for start_ms in range(max(from_ms, 0), to_ms, DAY_MS)]
        total: dict[tuple[str, str], dict[str, int]] = {}
        for p in range(store.partitions):
            for pane, mark in zip(panes, await store.marks(p, panes), strict=True):
                if mark is not None:
                    # A walk may tell a cell twice.
                    cells = {cell: n async for cell, n in store.walk(p, PLATFORM_CREATOR.name, pane)}
                    _add(total, cells)
                if len(total) > most:
                    raise QuestionError(
                        f"more than {CREATORS_MAX} creators worked in these days, too many to tell of; "
                        "ask for single ones with /api/v1/kpis?scope=creator:ID"
                    )
        return total


_LABELS = ("platform", "days")
_COUNTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "creators_with_a_sale": (("with_a_sale",), "Creators with a sale in the last whole UTC days."),
    "creators_with_a_live": (("with_a_live",), "Creators who began a live in the last whole UTC days."),
    "creators_who_stopped_selling": (
        ("stopped_selling", "count"),
        "Creators who sold in the whole UTC days before the last ones, and not in these.",
    ),
    "creators_who_stopped_going_live": (
        ("stopped_going_live", "count"),
        "Creators who began a live in the whole UTC days before the last ones, and not in these.",
    ),
}


def _today(moment: Moment) -> tuple[int, int]:
    start_ms = moment.now_ms - moment.now_ms % DAY_MS
    return start_ms, start_ms + DAY_MS


def _add(total: dict[tuple[str, str], dict[str, int]], cells: Mapping[str, int]) -> None:
    for cell, amount in cells.items():
        measure, _, value = cell.partition("|")
        work = total.setdefault(split_pair(value), {})
        # Of some names there would be hundreds of thousands of copies.
        name = sys.intern(measure)
        work[name] = work.get(name, 0) + amount


def _number(answer: object, path: Sequence[str]) -> float:
    for name in path:
        answer = answer[name] if isinstance(answer, dict) else None
    return answer if isinstance(answer, int | float) else 0

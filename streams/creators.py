"""Creators' days, read and kept for a while: for `/api/v1/creators` and the gauges.

It stands between the store and `earners`, which says what follows. All creators of sixty days are asked for
at once, so they are walked in small steps that hold up no writer, beside the answers, every EVERY_S; of what
was read four spans are kept, and of each partition number up to which records it was read, so that whoever
checks a reading later knows what it had seen.
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
from streams.requests import Meta
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
# What these days are made of: taps say to whom a line belongs that names nobody.
TOPICS = ("purchases", "livestreams", "tag-taps")
# A partition number whose days change while they are walked is walked again, so often in all.
WALKS = 2
# Creators of all spans and platforms, some 500 bytes each.
CREATORS_MAX = 400_000

# By (platform, creator) the amounts of a span, by stored measure.
_Work = dict[tuple[str, str], dict[str, int]]
_Spans = dict[tuple[int, int], _Work]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a reading found: when, up to which UTC midnight, and the work of each span.

    `offsets`: by topic and partition number the next record that was not yet counted; None where the days
    changed while they were read.
    """

    read_ms: int
    to_ms: int
    trust: Trust
    currencies: tuple[str, ...]
    spans: Mapping[tuple[int, int], Span]
    offsets: Mapping[str, Sequence[int | None]]

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
            "read_offsets": found.offsets,
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
            is_whole = found is not None and found.read_ms - found.to_ms < DAY_MS
            await asyncio.sleep(EVERY_S if is_whole else AGAIN_S)

    async def read(self) -> Found:
        """Reads anew. Raises QuestionError where there are too many, or where no day is known to be read to
        its end, and StoreUnavailableError."""
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
        if trusted.as_of_ms is None:
            raise QuestionError("no day is known to be read to its end yet; ask again in a moment")
        known_ms = min(now_ms, trusted.as_of_ms)
        to_ms = known_ms - known_ms % DAY_MS
        spans: _Spans = {span: {} for span in SPANS}
        panes = {span: self._panes(to_ms, *span) for span in SPANS}
        offsets: dict[str, list[int | None]] = {topic: [] for topic in TOPICS}
        for p in range(self._model.store.partitions):
            found, meta = await self._of_partition(p, panes)
            for topic in TOPICS:
                offsets[topic].append(None if meta is None else meta.number(f"off:{topic}") or 0)
            # Of hundreds of thousands of creators it takes a while; other answers need not wait.
            await asyncio.to_thread(_merge, spans, found)
            _check_size(spans)
        return Found(now_ms, to_ms, trusted, view.moment.currencies, spans, offsets)

    def _panes(self, to_ms: int, near: int, far: int) -> list[Pane]:
        starts = range(max(to_ms - far * DAY_MS, 0), to_ms - near * DAY_MS, DAY_MS)
        return [Pane(self._model.sizes[-1], start_ms) for start_ms in starts]

    async def _of_partition(
        self, p: int, panes: Mapping[tuple[int, int], Sequence[Pane]]
    ) -> tuple[_Spans, Meta | None]:
        """One partition number's work of each span, and the meta that belongs to it; None where there is no
        such moment, because its days kept changing."""
        every = [pane for each in panes.values() for pane in each]
        meta: Meta | None = None
        found: _Spans = {}
        for _ in range(WALKS):
            before = await self._model.store.last_changes(p, every)
            meta = await self._model.store.meta(p)
            changed = dict(zip(every, before, strict=True))
            found = {span: {} for span in panes}
            for span, each in panes.items():
                for pane in each:
                    if changed[pane] is not None:
                        await self._walk(p, pane, found[span])
                    _check_size(found)
            if await self._model.store.last_changes(p, every) == before:
                return found, meta
        return found, None

    async def _walk(self, p: int, pane: Pane, into: _Work) -> None:
        # A walk may tell a cell twice.
        cells = {cell: n async for cell, n in self._model.store.walk(p, PLATFORM_CREATOR.name, pane)}
        for cell, amount in cells.items():
            measure, _, value = cell.partition("|")
            # Of some names there would be hundreds of thousands of copies.
            _add(into.setdefault(split_pair(value), {}), {sys.intern(measure): amount})


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


def _add(work: dict[str, int], amounts: Mapping[str, int]) -> None:
    for measure, amount in amounts.items():
        work[measure] = work.get(measure, 0) + amount


def _merge(total: _Spans, part: _Spans) -> None:
    for span, work in part.items():
        for who, amounts in work.items():
            _add(total[span].setdefault(who, {}), amounts)


def _check_size(spans: _Spans) -> None:
    if sum(map(len, spans.values())) > CREATORS_MAX:
        raise QuestionError(
            f"more than {CREATORS_MAX} creators worked in these days, too many to tell of; "
            "ask for single ones with /api/v1/kpis?scope=creator:ID"
        )


def _number(answer: object, path: Sequence[str]) -> float:
    for name in path:
        answer = answer[name] if isinstance(answer, dict) else None
    return answer if isinstance(answer, int | float) else 0

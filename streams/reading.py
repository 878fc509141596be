"""Readings of the store that hold together: what is asked follows from what is kept, and that moves on.

It stands between the store and the read model. Each partition number is read in one consistent call; sums
are added, never averaged; the time of day comes from the clock handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from schemas.events import INPUT_TOPICS
from streams import trust
from streams.answer import by_value, stored_measures
from streams.commission import Settlement
from streams.kpis import FIGURE_SETS
from streams.read_store import ReadStore
from streams.requests import CellsRequest, Meta, Reading, Request, SketchRequest, cells
from streams.scopes import PIPELINE, SCOPES
from streams.settings import Settings
from streams.store import StoreUnavailableError
from streams.window import (
    HOUR_MS,
    SECOND_MS,
    Pane,
    PaneSize,
    WindowError,
    compose,
    named_range,
    pane_sizes,
)
from streams.write_plan import SCHEMA

# While history is read in fast, panes go as it advances; so often a reader asks again.
READ_TRIES = 5
# Windows move on at most this often; so long an answer may stay as it is if nothing is written.
BEAT_MS = 10 * SECOND_MS
# Ranges whose panes are remembered: thousands of pages ask for the same few.
RANGES_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Moment:
    """What decides which keys and fields are asked for.

    Attributes:
        now_ms: the server's clock when the question came.
        high_ms: highest accepted event time of all partition numbers: older panes may be gone.
        currencies: those in which an amount was ever booked, sorted.
        as_of_ms: the lowest watermark of all topic-partitions; None while one is not known.
    """

    now_ms: int
    high_ms: int
    currencies: tuple[str, ...]
    as_of_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Marks:
    """While they are the same, no answer changes: the token of each partition number's last write, and
    how often windows may have moved since 1970."""

    tokens: tuple[str, ...]
    beat: int


@dataclass(frozen=True, slots=True)
class Range:
    """[from_ms, to_ms) and the panes that it is composed of."""

    from_ms: int
    to_ms: int
    panes: tuple[Pane, ...]


class NoFiguresError(StoreUnavailableError):
    """Redis answers, and no worker has written anything there."""


class Plan(Protocol):
    """What is read for something at a moment."""

    @property
    def requests(self) -> Sequence[Request]:
        """The requests, repetitions allowed."""


@dataclass(frozen=True, slots=True)
class _RangePlan:
    range: Range
    requests: Sequence[Request]


# [from_ms, to_ms) at a moment.
RangeAt = Callable[[Moment], tuple[int, int]]

P = TypeVar("P", bound=Plan)


@dataclass(slots=True)
class View:
    """What the partition numbers hold at a moment, each consistent in itself; asked by request."""

    moment: Moment
    reading: Reading
    _places: Mapping[Request, int]
    _values: dict[Request, dict[str, dict[str, int]]] = field(default_factory=dict)
    # By the end of the range: topics whose source is silent.
    silent: dict[int, frozenset[str]] = field(default_factory=dict)
    _watermarks: dict[str, Sequence[int | None]] = field(default_factory=dict)

    @property
    def metas(self) -> tuple[Meta, ...]:
        """The metas, by partition number."""
        return self.reading.metas

    def watermarks(self, kind: str) -> Sequence[int | None]:
        """Of every topic-partition that figures of this kind of scope rest on."""
        if kind not in self._watermarks:
            self._watermarks[kind] = _watermarks(self.metas, trust.topics_read_by(kind))
        return self._watermarks[kind]

    def sums(self, request: CellsRequest) -> Mapping[str, int]:
        """The cells put together over all panes and partition numbers."""
        return self.reading.sums[self._places[request]]

    def values(self, request: CellsRequest) -> dict[str, dict[str, int]]:
        """The same by scope value, then by stored measure."""
        if request not in self._values:
            self._values[request] = by_value(self.sums(request))
        return self._values[request]

    def counts(self, request: SketchRequest) -> Sequence[int]:
        """Distinct users per union."""
        return self.reading.counts[self._places[request]]

    def records(self, request: Request, record_id: str) -> list[bytes]:
        """A record as the partition numbers hold it, of those that do."""
        found = [records.get(record_id) for records in self.reading.records[self._places[request]]]
        return [record for record in found if record is not None]


class Reader:
    """Reads the store.

    Raises StoreUnavailableError while Redis does not answer, or holds no state, or another's.
    """

    def __init__(self, store: ReadStore, settings: Settings, clock: Callable[[], int]) -> None:
        """`clock` gives Unix milliseconds."""
        self.store = store
        self.clock = clock
        self.settings = settings
        self.figures = FIGURE_SETS[settings.figures]
        self.settlement = Settlement.of_days(
            settings.commission_final_after_delivery_days, settings.commission_final_after_purchase_days
        )
        self.kinds = tuple(kind.name for kind in self.figures.kinds if kind.name in SCOPES)
        kept = pane_sizes(
            settings.retention_10s_ms,
            settings.retention_1m_ms,
            settings.retention_1h_ms,
            settings.retention_1d_ms,
        )
        self.sizes = tuple(size for size in kept if size.name in self.figures.sizes)
        self._metas: tuple[Meta, ...] | None = None
        self._ranges: dict[tuple[tuple[int, int], tuple[int, ...]], Range] = {}
        self._stored: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        # topic -> (its last record, its paces): while a source is silent neither changes.
        self._paces: dict[str, tuple[int, Sequence[float]]] = {}

    async def view(self, plan_at: Callable[[Moment], P]) -> tuple[View, P]:
        """One reading. What is kept moves on with the highest event time, so the plan is made again from
        what was read with the figures, and must ask for the same. Raises what `plan_at` raises."""
        now_ms = self.clock()
        metas = self._metas
        fresh = metas is None
        for _ in range(READ_TRIES):
            if metas is None:
                metas, fresh = await self.metas(), True
            moment = _moment(now_ms, metas)
            try:
                plan = plan_at(moment)
            except WindowError:
                if fresh:
                    raise
                metas = None  # Perhaps only what is remembered stands against it.
                continue
            places = {request: at for at, request in enumerate(dict.fromkeys(plan.requests))}
            reading = await self.store.read(list(places))
            metas, fresh = self._checked(reading), True
            after = _moment(now_ms, metas)
            again = plan if self._leads_to(after) == self._leads_to(moment) else plan_at(after)
            if again is plan or list(again.requests) == list(plan.requests):
                return View(after, reading, places), again
        raise StoreUnavailableError("the log is being read in too fast for this range; ask again in a moment")

    def _leads_to(self, moment: Moment) -> tuple[object, ...]:
        """Equal for moments at which every plan is the same: ranges begin and end on borders of 10 s, so that
        of the highest event time only the border matters up to which panes are kept, or reached."""
        return (
            moment.currencies,
            moment.high_ms // BEAT_MS,
            self._oldest(moment),
            moment.as_of_ms is None,
        )

    def _oldest(self, moment: Moment) -> tuple[int, ...]:
        """The first borders, in beats since 1970, after the highest time, and at which each size is kept."""
        kept_ms = (0, *(size.retention_ms for size in self.sizes))
        return tuple(-(-(moment.high_ms - each) // BEAT_MS) for each in kept_ms)

    async def over(
        self,
        window: str | RangeAt,
        asks: Callable[[Range, Moment], Sequence[Request]] = lambda _range, _moment: (),
    ) -> tuple[View, Range]:
        """One reading over a window, by name or by its range, of what `asks` for. Raises WindowError."""

        def plan(moment: Moment) -> _RangePlan:
            span = named_range(window, moment.now_ms) if isinstance(window, str) else window(moment)
            asked = self.range(span, moment)
            return _RangePlan(asked, asks(asked, moment))

        view, planned = await self.view(plan)
        return view, planned.range

    async def metas(self) -> tuple[Meta, ...]:
        """The metas as they are now."""
        return self._checked(await self.store.read())

    async def marks(self) -> Marks:
        """Whether anything may have changed, from one cheap reading."""
        tokens = tuple(meta.fields.get("token", "") for meta in await self.metas())
        return Marks(tokens, self.clock() // BEAT_MS)

    def _checked(self, reading: Reading) -> tuple[Meta, ...]:
        """The metas, if they are of this schema and of as many partitions as this reader adds up.

        Where no partition number was ever written there is no figure to tell, not even 0.
        """
        if not any(meta.fields for meta in reading.metas):
            raise NoFiguresError(
                f"Redis holds no figures under {self.store.generation}: run `shop-pulse worker`; after a "
                "loss it counts the log anew, as `shop-pulse rebuild` does"
            )
        for meta in reading.metas:
            schema = meta.fields.get("schema", SCHEMA)
            partitions = meta.number("partitions") or self.store.partitions
            if schema != SCHEMA:
                raise StoreUnavailableError(
                    f"Redis holds schema {schema}, this version reads {SCHEMA}; run the version of the worker"
                )
            if partitions != self.store.partitions:
                raise StoreUnavailableError(
                    f"Redis holds {partitions} partitions, SHOP_PULSE_PARTITIONS is {self.store.partitions}; "
                    f"set it to {partitions}"
                )
        self._metas = reading.metas
        return self._metas

    async def check_ready(self) -> None:
        """Raises StoreUnavailableError unless every partition number has been written by a worker."""
        missing = [str(p) for p, meta in enumerate(await self.metas()) if "token" not in meta.fields]
        if missing:
            raise StoreUnavailableError(
                f"no worker has written partition {' '.join(missing[:20])} yet; run `shop-pulse worker`"
            )

    def measures(self, kind: str, currencies: tuple[str, ...]) -> tuple[str, ...]:
        """Names in Redis of every measure in cells that answers about this kind of scope rest on."""
        key = (kind, currencies)
        if key not in self._stored:
            self._stored[key] = stored_measures(kind, self.figures, currencies)
        return self._stored[key]

    def range(self, range_ms: tuple[int, int], moment: Moment) -> Range:
        """[from_ms, to_ms) in panes that are kept. Raises WindowError."""
        # Pages of many lives ask for the same ranges; what is kept changes with each border at most.
        place = (range_ms, self._oldest(moment))
        found = self._ranges.get(place)
        if found is None:
            if len(self._ranges) >= RANGES_REMEMBERED:
                self._ranges.clear()
            found = Range(*range_ms, tuple(compose(*range_ms, self.sizes, moment.high_ms)))
            self._ranges[place] = found
        return found

    async def trust(self, view: View, range_ms: tuple[int, int], kind: str) -> trust.Trust:
        """How far figures of this kind of scope over [from_ms, to_ms) can be trusted."""
        topics = trust.topics_read_by(kind)
        if range_ms[1] not in view.silent:
            view.silent[range_ms[1]] = frozenset(await self._silent_topics(view, range_ms[1]))
        silent = view.silent[range_ms[1]].intersection(topics)
        return trust.judge(view.watermarks(kind), range_ms, view.moment.now_ms, silent)

    def as_of_ms(self, view: View, kind: str) -> int | None:
        """The time up to which figures of this kind of scope lack nothing; None while that is not known."""
        return trust.as_of_ms(view.watermarks(kind))

    async def _silent_topics(self, view: View, to_ms: int) -> list[str]:
        silent: list[str] = []
        now_ms = view.moment.now_ms
        if not trust.is_looked_at([meta.number("up_ms") for meta in view.metas if meta.fields], now_ms):
            return silent
        for topic in INPUT_TOPICS:
            # What was not read yet may hold a sign of it: a topic is behind or silent, never both.
            if _is_behind(view.metas, topic, now_ms):
                continue
            heartbeat_ms = _newest(view.metas, f"hb:{topic}")
            # Not by ingest time, which canaries move too.
            record_ms = _newest(view.metas, f"src:{topic}")
            if heartbeat_ms is not None:
                if trust.may_be_silent(heartbeat_ms, to_ms, now_ms):
                    silent.append(topic)
            elif (
                topic not in trust.QUIET_TOPICS
                and record_ms is not None
                and trust.may_be_silent(record_ms, to_ms, now_ms)
                and trust.is_silent(await self._paces_of(topic, record_ms), record_ms, now_ms)
            ):
                silent.append(topic)
        return silent

    async def _paces_of(self, topic: str, last_record_ms: int) -> Sequence[float]:
        """What is expected of a topic's source by the hour, from panes of an hour."""
        known = self._paces.get(topic)
        if known is None or known[0] != last_record_ms:
            size = next((size for size in self.sizes if size.size_ms == HOUR_MS), None)
            counts = {} if size is None else await self._accepted(topic, last_record_ms, size)
            known = self._paces[topic] = (last_record_ms, trust.hourly_paces(counts, last_record_ms))
        return known[1]

    async def _accepted(self, topic: str, last_record_ms: int, size: PaneSize) -> Mapping[int, int]:
        last_start_ms = size.start_of(last_record_ms)
        starts = range(max(last_start_ms - trust.PACE_FROM_MS, 0), last_start_ms + 1, size.size_ms)
        cell = f"accepted|{topic}"
        reading = await self.store.read([cells(PIPELINE.name, [Pane(size, at)], [cell]) for at in starts])
        return {start_ms: reading.sums[index].get(cell, 0) for index, start_ms in enumerate(starts)}


def _is_behind(metas: Collection[Meta], topic: str, now_ms: int) -> bool:
    """Whether records of a topic wait, and those read last are old: a canary that waits is not enough."""
    return any(
        (meta.number(f"lag:{topic}") or 0) > 0
        and now_ms - (meta.number(f"ing:{topic}") or 0) > trust.SILENT_AFTER_MS
        for meta in metas
    )


def _moment(now_ms: int, metas: Collection[Meta]) -> Moment:
    high_ms = max((meta.number("h") or 0 for meta in metas), default=0)
    currencies = frozenset[str]().union(*(meta.currencies for meta in metas))
    as_of_ms = complete_up_to_ms(metas, INPUT_TOPICS)
    return Moment(now_ms, high_ms, tuple(sorted(currencies)), as_of_ms)


def complete_up_to_ms(metas: Iterable[Meta], topics: Iterable[str]) -> int | None:
    """The event time before which nothing of the topics is missing; None while that of one is not known."""
    return trust.as_of_ms(_watermarks(metas, topics))


def _watermarks(metas: Iterable[Meta], topics: Iterable[str]) -> list[int | None]:
    """Of every partition number of the topics, as they were published last."""
    known = tuple(metas)
    return [meta.number(f"wm:{topic}") for topic in topics for meta in known]


def _newest(metas: Collection[Meta], fact: str) -> int | None:
    """The highest value over all partition numbers, None where none knows one."""
    known = [number for meta in metas if (number := meta.number(fact)) is not None]
    return max(known, default=None)

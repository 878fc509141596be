"""Questions to answers: merges what the partitions hold into the figures of CONTRACT §3 and §4.

It stands between the store and everything that shows figures (API, gauges, page). Each partition number is
read in one consistent call; sums are added, never averaged; the time of day comes from the clock handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from streams import trust
from streams.answer import (
    QuestionError,
    Scope,
    added,
    body,
    by_measure,
    parse_scope,
    stored_measures,
)
from streams.catalogue import FIGURE_SETS, PIPELINE
from streams.read_store import HashRequest, Meta, PartitionRead, ReadStore, cells
from streams.settings import Settings
from streams.store import StoreUnavailableError
from streams.window import (
    DAY_MS,
    HOUR_MS,
    LIVE_WINDOW,
    MINUTE_MS,
    Pane,
    PaneSize,
    WindowError,
    compose,
    live_range,
    named_range,
    pane_sizes,
)
from streams.write_plan import SCHEMA

# While history is read in fast, panes go as it advances; so often a reader asks again.
READ_TRIES = 5


@dataclass(frozen=True, slots=True)
class Range:
    """[from_ms, to_ms) and the panes that it is composed of."""

    from_ms: int
    to_ms: int
    panes: tuple[Pane, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a view rests on: the same plan before and after reading, or the view is read again."""

    ranges: tuple[Range, ...]
    currencies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What the partition numbers hold for a plan, each consistent in itself, as of `now_ms`."""

    now_ms: int
    plan: Plan
    metas: tuple[Meta, ...]
    reads: tuple[PartitionRead, ...]

    def sums(self, index: int) -> dict[str, int]:
        """The answer to the request at `index`, added over all partition numbers."""
        return added(read.sums[index] for read in self.reads)


# [from_ms, to_ms) at a time `now_ms`, given the highest event time of all partitions.
RangeAt = Callable[[int, int], tuple[int, int]]


class ReadModel:
    """Answers from Redis. Raises QuestionError or WindowError for a question that cannot be answered,
    FigureTooLarge for a figure that does not fit, StoreUnavailableError while Redis does not answer."""

    def __init__(self, store: ReadStore, settings: Settings, clock: Callable[[], int]) -> None:
        """`clock` gives Unix milliseconds."""
        self.store = store
        self.clock = clock
        self.figures = FIGURE_SETS[settings.figures]
        self.kinds = tuple(kind.name for kind in self.figures.kinds if kind != PIPELINE)
        kept = pane_sizes(
            settings.retention_10s_ms,
            settings.retention_1m_ms,
            settings.retention_1h_ms,
            settings.retention_1d_ms,
        )
        self._sizes = tuple(size for size in kept if size.name in self.figures.sizes)
        # topic -> (its last record, its baseline): while a source is silent neither changes.
        self._baselines: dict[str, tuple[int, float]] = {}

    async def kpis(
        self,
        scope_text: str,
        window: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
    ) -> dict[str, object]:
        """The answer of ``/api/v1/kpis``: either `window`, or `from_ms` and `to_ms`."""
        scope = parse_scope(scope_text, self.kinds)
        range_at = await self._range(scope, window, from_ms, to_ms)

        def requests(plan: Plan) -> list[HashRequest]:
            panes = plan.ranges[0].panes
            return [self.scope_request(scope, plan), cells(PIPELINE.name, panes)]

        view = await self.view((range_at,), requests)
        asked = view.plan.ranges[0]
        trusted = await self.trust(view, asked, scope.kind)
        return {
            "scope": str(scope),
            "from_ms": asked.from_ms,
            "to_ms": asked.to_ms,
            "as_of_ms": trusted.as_of_ms,
            "completeness": trusted.completeness,
            "state": trusted.state.value,
            # No cell is ever refused in this release; caps on traffic cells come with the next figures.
            "capped": False,
            **body(
                scope.kind,
                by_measure(view.sums(0), scope.value),
                by_measure(view.sums(1)),
                view.plan.currencies,
                self.figures,
            ),
        }

    def scope_request(self, scope: Scope, plan: Plan) -> HashRequest:
        """The cells of one scope over the plan's first range."""
        measures = stored_measures(scope.kind, self.figures, plan.currencies)
        return cells(scope.kind, plan.ranges[0].panes, [f"{name}|{scope.value}" for name in measures])

    async def view(self, ranges_at: Sequence[RangeAt], requests: Callable[[Plan], list[HashRequest]]) -> View:
        """One view over several ranges. What is kept moves on with the highest event time, so the plan is
        made again from what was read with the figures, and must be the same."""
        now_ms = self.clock()
        metas = self._checked(await self.store.read())
        for _ in range(READ_TRIES):
            plan = self._plan(ranges_at, now_ms, metas)
            reads = await self.store.read(requests(plan))
            metas = self._checked(reads)
            if self._plan(ranges_at, now_ms, metas) == plan:
                return View(now_ms, plan, metas, tuple(reads))
        raise StoreUnavailableError("the log is being read in too fast for this range; ask again in a moment")

    def _plan(self, ranges_at: Sequence[RangeAt], now_ms: int, metas: Sequence[Meta]) -> Plan:
        high_ms = max((meta.number("h") or 0 for meta in metas), default=0)
        ranges = []
        for range_at in ranges_at:
            from_ms, to_ms = range_at(now_ms, high_ms)
            ranges.append(Range(from_ms, to_ms, tuple(compose(from_ms, to_ms, self._sizes, high_ms))))
        currencies = sorted(frozenset[str]().union(*(meta.currencies for meta in metas)))
        return Plan(tuple(ranges), tuple(currencies))

    def _checked(self, reads: Sequence[PartitionRead]) -> tuple[Meta, ...]:
        """The metas, if they are of this schema and of as many partitions as this reader adds up."""
        for read in reads:
            schema = read.meta.fields.get("schema", SCHEMA)
            partitions = read.meta.number("partitions") or self.store.partitions
            if schema != SCHEMA:
                raise StoreUnavailableError(
                    f"Redis holds schema {schema}, this version reads {SCHEMA}; run the version of the worker"
                )
            if partitions != self.store.partitions:
                raise StoreUnavailableError(
                    f"Redis holds {partitions} partitions, SHOP_PULSE_PARTITIONS is {self.store.partitions}; "
                    f"set it to {partitions}"
                )
        return tuple(read.meta for read in reads)

    async def check_ready(self) -> None:
        """Raises StoreUnavailableError unless every partition number has been written by a worker."""
        metas = self._checked(await self.store.read())
        missing = [str(p) for p, meta in enumerate(metas) if "token" not in meta.fields]
        if missing:
            raise StoreUnavailableError(
                f"no worker has written partition {' '.join(missing[:20])} yet; run `shop-pulse worker`"
            )

    async def _range(
        self, scope: Scope, window: str | None, from_ms: int | None, to_ms: int | None
    ) -> RangeAt:
        if from_ms is not None and to_ms is not None and window is None:
            return lambda _now_ms, _high_ms: (from_ms, to_ms)
        if window is None or from_ms is not None or to_ms is not None:
            raise QuestionError("ask either with window, or with from_ms and to_ms")
        if window != LIVE_WINDOW:
            return self.named(window)
        if scope.kind != "live":
            raise QuestionError("window=live belongs to scope=live:VALUE")
        request = HashRequest(("lives",), (scope.value,))
        starts = [read.sums[0].get(scope.value) for read in await self.store.read([request])]
        known = [start_ms for start_ms in starts if start_ms is not None]
        if not known:
            raise QuestionError(f"no live_start of {scope} is known; ask with another window")
        return self._since(min(known))

    def named(self, window: str) -> RangeAt:
        """The range of a named window. Raises WindowError for an unknown name."""
        named_range(window, 0)
        return lambda now_ms, _high_ms: named_range(window, now_ms)

    def _since(self, start_ms: int) -> RangeAt:
        """From a live's start to now; of an old live, from the finest border that is still kept there."""

        def range_at(now_ms: int, high_ms: int) -> tuple[int, int]:
            from_ms, to_ms = live_range(start_ms, now_ms)
            for size in self._sizes:
                border_ms = size.start_of(from_ms)
                if size.size_ms >= MINUTE_MS and size.is_answerable(border_ms, high_ms):
                    return border_ms, to_ms
            raise WindowError(f"the live began at {start_ms}, before everything that is kept")

        return range_at

    async def trust(self, view: View, asked: Range, kind: str) -> trust.Trust:
        """How far figures of this kind of scope over the range can be trusted."""
        topics = trust.topics_read_by(kind)
        watermarks = [meta.number(f"wm:{topic}") for topic in topics for meta in view.metas]
        silent = await self._silent_topics(view, topics, asked.to_ms)
        return trust.judge(watermarks, (asked.from_ms, asked.to_ms), view.now_ms, silent)

    async def _silent_topics(self, view: View, topics: Collection[str], to_ms: int) -> list[str]:
        silent = []
        for topic in topics:
            heartbeat_ms = _newest(view.metas, f"hb:{topic}")
            record_ms = _newest(view.metas, f"ing:{topic}")
            if heartbeat_ms is not None:
                if trust.may_be_silent(heartbeat_ms, to_ms, view.now_ms):
                    silent.append(topic)
            elif (
                topic not in trust.QUIET_TOPICS
                and record_ms is not None
                and trust.may_be_silent(record_ms, to_ms, view.now_ms)
                and trust.is_silent(await self._baseline(topic, record_ms), record_ms, view.now_ms)
            ):
                silent.append(topic)
        return silent

    async def _baseline(self, topic: str, last_record_ms: int) -> float:
        """Accepted records per minute in the day before the topic's last record, from panes of an hour."""
        size = next((size for size in self._sizes if size.size_ms == HOUR_MS), None)
        if size is None:
            return 0.0
        known = self._baselines.get(topic)
        if known is None or known[0] != last_record_ms:
            rate = await self._read_rate(topic, last_record_ms, size)
            known = self._baselines[topic] = (last_record_ms, rate)
        return known[1]

    async def _read_rate(self, topic: str, last_record_ms: int, size: PaneSize) -> float:
        last_start_ms = size.start_of(last_record_ms)
        starts = range(max(last_start_ms - DAY_MS, 0), last_start_ms + 1, size.size_ms)
        field = f"accepted|{topic}"
        reads = await self.store.read([cells(PIPELINE.name, [Pane(size, at)], [field]) for at in starts])
        counts = [
            (start_ms, sum(read.sums[index].get(field, 0) for read in reads))
            for index, start_ms in enumerate(starts)
        ]
        return trust.records_per_minute(counts, last_record_ms)


def _newest(metas: Sequence[Meta], field: str) -> int | None:
    """The highest value over all partition numbers, None where none knows one."""
    known = [number for meta in metas if (number := meta.number(field)) is not None]
    return max(known, default=None)

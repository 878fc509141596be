"""Figures and the pipeline's own state as Prometheus gauges. The only module that knows prometheus_client.

It stands behind the read model, beside the API. Names and help texts follow from the catalogue. Everything
is a gauge, sums too: figures of a window rise and fall, and a Redis that lost its last second counts again.
While Redis does not answer, only `shop_pulse_redis_up 0` and the build are left: no figure rather than a
wrong one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.events import INPUT_TOPICS
from streams.answer import evaluate
from streams.catalogue import SESSIONS_EXPIRED
from streams.gathered import Pause
from streams.kpi import FigureSet, Kpi, is_kept
from streams.kpis import KPIS
from streams.ranking import Ranking
from streams.read_ahead import ReadAhead
from streams.read_model import ReadModel
from streams.reading import NoFiguresError
from streams.requests import Meta
from streams.samples import Samples
from streams.scopes import LIVE
from streams.store import StoreCorruptError, StoreUnavailableError
from streams.survey import VERDICTS_WINDOW, Survey, WindowSurvey, read_day, read_survey
from streams.trust import State

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "shop_pulse_"
# The figures of a day are read anew so often.
DAY_CACHED_S = 60.0

SCOPE_LABELS = ("scope_kind", "scope", "window")
DEAD_LETTERS = "dead_letters."
LATE_GMV = "late_gmv:"

# Facts that a worker publishes in the meta of a partition: field, gauge, help, and parts of the gauge's unit.
WORKER_FACTS = (
    ("write_ms", "write_duration_seconds", "How long the last guarded write took.", 1_000),
    ("writes", "writes", "Guarded writes that the partition's worker has made.", 1),
    ("refused", "writes_refused", "Guarded writes that Redis refused because another worker wrote.", 1),
    ("rebalances", "rebalances", "Rebalances that the partition's worker has been through.", 1),
    ("takeovers", "takeovers", "Times that it loaded the partition: rebalances, refused writes.", 1),
    ("up_ms", "last_write_timestamp_seconds", "When the partition was last written (worker's clock).", 1_000),
)  # fmt: skip
TOPIC_FACTS = (
    ("wm:", "watermark_timestamp_seconds", "Published watermark: what is before it is counted.", 1_000),
    ("ing:", "ingest_timestamp_seconds", "Kafka timestamp of the newest record read.", 1_000),
    ("hb:", "source_heartbeat_timestamp_seconds", "Kafka timestamp of the last source heartbeat.", 1_000),
    ("canary:", "canary_timestamp_seconds", "Kafka timestamp of the newest canary that is counted.", 1_000),
    ("lag:", "lag_records", "Records in Kafka that are not in the figures yet.", 1),
)  # fmt: skip


class Exporter:
    """Renders the text of `/metrics`: when it is asked for, and ahead for who comes regularly.

    Attributes:
        pause: held while it reads; streams of answers wait for it.
    """

    def __init__(self, model: ReadModel, ranking: Ranking, top_k: int) -> None:
        self._model = model
        self._ranking = ranking
        self._top_k = top_k
        # Who pages goes first: without figures no alert fires, while a live's page can wait for a moment.
        self.pause = Pause()
        self._texts = ReadAhead(self._read)
        self._day: tuple[float, WindowSurvey | None] | None = None
        self._sources: list[Callable[[], Iterable[Metric]]] = []
        self._readings: list[Callable[[], Awaitable[Iterable[Samples]]]] = []

    def add(self, source: Callable[[], Iterable[Metric]]) -> None:
        """Exposes what `source` tells at each reading (see `gauge`), also while Redis does not answer."""
        self._sources.append(source)

    def add_reading(self, reading: Callable[[], Awaitable[Iterable[Samples]]]) -> None:
        """Exposes what `reading` reads for each text; nothing of it while that fails."""
        self._readings.append(reading)

    async def render(self, scraper: str | None = None) -> bytes:
        """The exposition text (CONTENT_TYPE); how old, see `ReadAhead.get`. `scraper` names a Prometheus."""
        return await self._texts.get(scraper)

    async def close(self) -> None:
        """Ends readings ahead."""
        await self._texts.close()

    async def _read(self) -> bytes:
        with self.pause.held():
            survey, further = await self._read_all()
        # Thousands of samples take tens of milliseconds; answers need not wait for them.
        return await asyncio.to_thread(expose, survey, self._model.figures, further)

    async def _read_all(self) -> tuple[Survey | None, list[Metric]]:
        try:
            survey = await read_survey(self._model, self._ranking, self._top_k)
            day = await self._read_day()
            survey = survey if day is None else replace(survey, windows=(*survey.windows, day))
        except NoFiguresError:
            survey = Survey((), (), {}, {})
        except (StoreUnavailableError, StoreCorruptError):
            survey = None
        further = [metric for source in self._sources for metric in source()]
        # Who scrapes does not wait for a second and third reading of a Redis that does not answer.
        for reading in self._readings if survey is not None else ():
            further += [gauge(*each) for each in await _read_or_none(reading)]
        return survey, further

    async def _read_day(self) -> WindowSurvey | None:
        if self._day is not None and time.monotonic() - self._day[0] <= DAY_CACHED_S:
            return self._day[1]
        day = await read_day(self._model, self._ranking, self._top_k)
        # What was read before there were any figures is not kept.
        is_told = day is not None and day.trust.as_of_ms is not None
        self._day = (time.monotonic(), day) if is_told else None
        return day


async def _read_or_none(reading: Callable[[], Awaitable[Iterable[Samples]]]) -> Iterable[Samples]:
    try:
        return await reading()
    except (StoreUnavailableError, StoreCorruptError):
        return ()


def expose(survey: Survey | None, figures: FigureSet, further: Iterable[Metric] = ()) -> bytes:
    """The exposition text of a survey (None: Redis does not answer) and of `further` families."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families((*families(survey, figures), *further)))
    return generate_latest(registry)


class _Families(Collector):
    """Families that are made already, as the registry wants them."""

    def __init__(self, made: Iterable[Metric]) -> None:
        self._made = tuple(made)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry holds nobody else whose names could collide."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self._made


def families(survey: Survey | None, figures: FigureSet) -> Iterable[Metric]:
    """Every metric family of a survey."""
    yield gauge("build_info", "The version that answers.", ("version",), {(version("shop-pulse"),): 1})
    yield gauge("redis_up", "Whether Redis answered this reading.", (), {(): int(survey is not None)})
    if survey is not None:
        yield from _kpis(survey, figures)
        yield from _trust(survey.windows)
        yield from _limits(survey)
        yield from _verdicts(survey.verdicts)
        yield from _topics(survey.metas)
        yield from _workers(survey.metas)


def _kpis(survey: Survey, figures: FigureSet) -> Iterable[Metric]:
    # Without a watermark of every topic-partition nothing was read yet, and a zero would say "no sales".
    windows = [window for window in survey.windows if window.trust.as_of_ms is not None]
    made = {kpi.path: _kpi_family(kpi) for kpi in KPIS if kpi.has_gauge}
    # In an answer a count that the kind does not keep is 0; a series of zeros would mislead.
    kept = {
        kind: {kpi.path for kpi in KPIS if kpi.has_gauge and kind in kpi.kinds and is_kept(kpi.formula, kind)}
        for kind in {scope.kind for window in windows for scope in window.scopes}
    }
    for window in windows:
        for scope in window.scopes:
            for kpi in scope.kpis:
                if kpi.path not in kept[scope.kind]:
                    continue
                for currency in window.currencies if kpi.per_currency else (None,):
                    figure = evaluate(kpi, scope.kind, scope.totals, currency, figures)
                    if figure is not None:
                        labels = [scope.kind, scope.value, window.window, *([currency] if currency else [])]
                        made[kpi.path].add_metric(labels, figure)
    yield from made.values()


def _kpi_family(kpi: Kpi) -> GaugeMetricFamily:
    labels = (*SCOPE_LABELS, "currency") if kpi.per_currency else SCOPE_LABELS
    return GaugeMetricFamily(PREFIX + kpi.gauge, f"{kpi.help} ({kpi.unit})", labels=labels)


def _trust(windows: Iterable[WindowSurvey]) -> Iterable[Metric]:
    as_of = GaugeMetricFamily(PREFIX + "as_of_timestamp_seconds", "Lowest watermark.", labels=["window"])
    complete = GaugeMetricFamily(
        PREFIX + "completeness", "Part of the window that is read.", labels=["window"]
    )
    state = GaugeMetricFamily(PREFIX + "state", "1 for the state it is in.", labels=["window", "state"])
    silent: frozenset[str] = frozenset()
    for each in windows:
        if each.trust.as_of_ms is not None:
            as_of.add_metric([each.window], each.trust.as_of_ms / 1_000)
        if each.trust.completeness is not None:
            complete.add_metric([each.window], each.trust.completeness)
        for name in State:
            state.add_metric([each.window, name.value], int(each.trust.state is name))
        silent |= each.trust.silent_topics
    yield from (as_of, complete, state)
    yield gauge(
        "source_silent",
        "Whether the topic's source has stopped sending.",
        ("topic",),
        {(topic,): int(topic in silent) for topic in INPUT_TOPICS},
    )


def _limits(survey: Survey) -> Iterable[Metric]:
    capped: dict[tuple[str, ...], float] = {
        (kind, each.window): int(met) for each in survey.windows for kind, met in each.capped.items()
    }
    yield gauge(
        "capped",
        "Whether a cap on the number of values was met: events beyond are counted as other.",
        ("scope_kind", "window"),
        capped,
    )
    yield gauge(
        "viewers_now",
        "Viewers as the latest heartbeat told, of the last minute.",
        ("scope_kind", "scope"),
        {(LIVE.name, live): n for live, n in survey.viewers_now.items()},
    )


def _verdicts(cells: Mapping[str, int]) -> Iterable[Metric]:
    records: dict[tuple[str, ...], float] = {}
    misplaced: dict[tuple[str, ...], float] = {}
    late_gmv: dict[tuple[str, ...], float] = {}
    expired: dict[tuple[str, ...], float] = {}
    for cell, amount in sorted(cells.items()):
        measure, _, topic = cell.partition("|")
        if measure == "misplaced":
            misplaced[(topic,)] = amount
        elif measure == SESSIONS_EXPIRED.name:
            expired[(topic,)] = amount
        elif measure.startswith(LATE_GMV):
            late_gmv[(measure.removeprefix(LATE_GMV),)] = amount
        elif measure.startswith(DEAD_LETTERS):
            records[(topic, "dead_letter", measure.removeprefix(DEAD_LETTERS))] = amount
        else:
            records[(topic, measure, "")] = amount
    last = f"of the last {VERDICTS_WINDOW}, by ingest time"
    yield gauge(
        "records_last_hour",
        f"Records {last}: each has exactly one verdict.",
        ("topic", "verdict", "reason"),
        records,
    )
    yield gauge(
        "misplaced_records_last_hour",
        f"Records {last}, whose key belongs to another partition.",
        ("topic",),
        misplaced,
    )
    yield gauge(
        "sessions_expired_last_hour",
        f"Events {last}, of sessions that began more than a day before.",
        ("topic",),
        expired,
    )
    yield gauge("late_gmv_last_hour_minor", f"Line values of late purchases {last}.", ("currency",), late_gmv)


def _topics(metas: tuple[Meta, ...]) -> Iterable[Metric]:
    for prefix, name, help_text, parts in TOPIC_FACTS:
        samples: dict[tuple[str, ...], float] = {}
        for topic in INPUT_TOPICS:
            for p, meta in enumerate(metas):
                if (number := meta.number(prefix + topic)) is not None:
                    samples[(topic, str(p))] = number / parts
        yield gauge(name, help_text, ("topic", "partition"), samples)


def _workers(metas: tuple[Meta, ...]) -> Iterable[Metric]:
    for fact, name, help_text, parts in WORKER_FACTS:
        samples: dict[tuple[str, ...], float] = {}
        for p, meta in enumerate(metas):
            if (number := meta.number(fact)) is not None:
                samples[(str(p),)] = number / parts
        yield gauge(name, help_text, ("partition",), samples)
    owners: dict[tuple[str, ...], float] = {}
    for p, meta in enumerate(metas):
        if "owner" in meta.fields:
            owners[(str(p), meta.fields["owner"])] = 1
    yield gauge("owner_info", "Which worker writes the partition.", ("partition", "owner"), owners)


def gauge(
    name: str, help_text: str, labels: tuple[str, ...], samples: Mapping[tuple[str, ...], float]
) -> Metric:
    """A family of gauges: its name without the prefix, and samples by the values of its labels."""
    family = GaugeMetricFamily(PREFIX + name, help_text, labels=labels)
    for values, amount in samples.items():
        family.add_metric(values, amount)
    return family

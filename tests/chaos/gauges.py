"""`/metrics` against the read service's answers, and these answers against the recomputation.

`verify` asks ranges of its own; gauges tell windows that end now. So the answers over exactly these windows
are compared with the recomputation, and every gauge with them.
"""

from __future__ import annotations

import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from streams.exporter import PREFIX
from streams.kpis import KPIS
from streams.scopes import OTHER, UNATTRIBUTED
from streams.survey import DAY_RANKED_KINDS, RANKED_KINDS
from verify.api import ReadService, compare_answer
from verify.compare import Difference, Report, scope_text
from verify.totals import IN_FULL, Range, Totals

# Panes of which a window is made, for the recomputation.
PANES = {"5m": "10s", "30m": "1m", "24h": "1m"}
# How long before an answer of now a gauge's window may have ended: those of a day are read by the exporter
# once a minute, the others every second, on a busy machine later. Windows end where panes do.
OLD_WINDOWS = {
    "5m": range(0, 90_000, 10_000),
    "30m": range(0, 240_000, 60_000),
    "24h": range(0, 240_000, 60_000),
}
ATTEMPTS = 8
PAUSE_S = 2.0
_PATHS = {PREFIX + kpi.gauge: kpi.path for kpi in KPIS}


class Gauge(NamedTuple):
    """One sample of a figure; `path` is its place in an answer."""

    window: str
    kind: str
    value: str
    path: str
    figure: float


def figures(text: str) -> Iterator[Gauge]:
    """Every figure of an exposition text, without what is the rest of many (`other` of a ranked kind)."""
    for family in text_string_to_metric_families(text):
        path = _PATHS.get(family.name)
        for sample in family.samples if path is not None else ():
            labels = sample.labels
            kind, value = labels["scope_kind"], labels["scope"]
            if kind in (*RANKED_KINDS, *DAY_RANKED_KINDS) and value in (OTHER, UNATTRIBUTED):
                continue
            assert path is not None
            yield Gauge(
                labels["window"], kind, value, path.replace("*", labels.get("currency", "")), sample.value
            )


def told(answer: Mapping[str, Any], path: str) -> object:
    """What an answer says at a path; 0 in a currency that it does not name."""
    at: Any = answer
    for part in path.split("."):
        if not isinstance(at, Mapping):
            return None
        if part not in at:
            return 0
        at = at[part]
    return at


def is_equal(gauge: float, figure: object) -> bool:
    """Whether a gauge tells this figure; a text has twelve digits of a ratio at least."""
    return isinstance(figure, int | float) and math.isclose(gauge, figure, rel_tol=1e-9, abs_tol=1e-12)


def compare_gauges(report: Report, url: str, totals: Totals) -> None:
    """Reads `/metrics` and asks, again while they differ: both follow the clock. The last time counts."""
    service = ReadService(url, "")
    for attempt in range(ATTEMPTS):
        single = Report()
        try:
            with urllib.request.urlopen(f"{url}/metrics", timeout=30) as response:
                text = response.read().decode()
            _compare(single, service, totals, list(figures(text)))
        except urllib.error.HTTPError as error:
            # 503: it had no time for it within its ten seconds, on a machine that does much else.
            if error.code != 503 or attempt == ATTEMPTS - 1:
                raise
        else:
            if not single.differences or attempt == ATTEMPTS - 1:
                break
        time.sleep(PAUSE_S)
    report.compared += single.compared
    report.differences += single.differences


def _compare(report: Report, service: ReadService, totals: Totals, gauges: list[Gauge]) -> None:
    windows = {gauge.window for gauge in gauges}
    report.check("windows", "/metrics", sorted(PANES), sorted(windows))
    for window in windows & PANES.keys():
        of_window = [gauge for gauge in gauges if gauge.window == window]
        now = service.ask("/api/v1/kpis", {"scope": "all", "window": window})
        if not isinstance(now, dict):
            report.check("answer", f"api all {window}", "figures", now)
            continue
        spans = [
            Range(now["from_ms"] - old_ms, now["to_ms"] - old_ms, PANES[window])
            for old_ms in OLD_WINDOWS[window]
        ]
        # The shop's own gauges tell which of them it was; if none, the differences are those of now.
        of_all = [gauge for gauge in of_window if gauge.kind == "all"]
        agree = (span for span in spans if not _compare_window(service, totals, of_all, span).differences)
        whole = _compare_window(service, totals, of_window, next(agree, spans[0]))
        report.compared += whole.compared
        report.differences += whole.differences


def _compare_window(service: ReadService, totals: Totals, gauges: list[Gauge], span: Range) -> Report:
    """Gauges of the window that is this range."""
    report = Report()
    answers: dict[tuple[str, str], Any] = {}
    for gauge in gauges:
        scope = (gauge.kind, gauge.value)
        if scope not in answers:
            answers[scope] = service.kpis(scope, span)
            if gauge.kind in IN_FULL:
                now_ms = round(time.time() * 1_000)
                compare_answer(report, totals, scope, span, answers[scope], now_ms=now_ms)
        answer = answers[scope]
        figure = told(answer, gauge.path) if isinstance(answer, dict) else answer
        if not is_equal(gauge.figure, figure):
            where = f"/metrics {scope_text(*scope)} {gauge.window}"
            report.differences.append(Difference(gauge.path, where, str(figure), str(gauge.figure)))
        report.compared += 1
    return report

"""A real Prometheus decides: the committed rules on the samples of many shops.

It stands behind the gauges. Samples become blocks of a Prometheus' storage; what recording rules record is
filled in by promtool, one level after the other; the expressions of the alerts are asked for every minute.
Rules are read from Prometheus itself, which has read the committed files.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from backtest.drops import FIRST_MINUTE
from backtest.gauges import Sample, written
from streams.errors import PulseError
from streams.local.ports import free_port
from streams.local.processes import Program
from streams.local.prometheus import answers

DASHBOARDS: Final = Path(__file__).parents[1] / "dashboards"
RULE_FILES: Final = (
    DASHBOARDS / "prometheus" / "recording.yml",
    DASHBOARDS / "alerts" / "prometheus" / "prometheus" / "alerts.yml",
)
# Pages that speak of the business; those of the pipeline are not what is measured here.
BUSINESS_PAGES: Final = (
    "ShopPulseConversionDrop",
    "ShopPulseLiveConversionDrop",
    "ShopPulseGatewayFailing",
    "ShopPulsePaymentsFailing",
    "ShopPulseGmvBelowBaseline",
)
EVALUATION_S: Final = 60


@dataclass(frozen=True)
class Rules:
    """The committed rules: recording rules by level (a level reads only what is below), alerts with their
    `for`."""

    levels: tuple[tuple[tuple[str, str], ...], ...]
    alerts: tuple[tuple[str, str, int], ...]


class _Prometheus(Program):
    def __init__(self, folder: Path, rule_files: Sequence[Path] = ()) -> None:
        super().__init__("Prometheus", folder / "prometheus.log")
        self.folder = folder
        self.port = free_port()
        self._rule_files = rule_files

    def command(self) -> list[str]:
        return [
            "prometheus",
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--query.max-samples=500000000",
            "--query.timeout=10m",
            "--log.level=warn",
        ]

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {"evaluation_interval": "1h"},
            "rule_files": [str(path.resolve()) for path in self._rule_files],
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(config))

    def ready(self) -> bool:
        return answers(self.port, "/-/ready")

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer of its API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request("GET", f"{path}?{urlencode(query)}")
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer["status"] != "success":
            raise PulseError(f"Prometheus refused a query: {answer.get('error', answer)}; is a rule wrong?")
        return answer["data"]


def read_rules(folder: Path, files: Sequence[Path] = RULE_FILES) -> Rules:
    """The rules of the business pages, as a Prometheus reads the files. PulseError when it is not
    installed."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        raise PulseError("the backtest needs prometheus and promtool; install the Debian package prometheus")
    server = _Prometheus(folder / "rules", files)
    server.start()
    try:
        groups = server.get("/api/v1/rules")["groups"]
    finally:
        server.stop()
    rules = [rule for group in groups for rule in group["rules"]]
    recorded = {rule["name"]: rule["query"] for rule in rules if rule["type"] == "recording"}
    alerts = [
        (rule["name"], rule["query"], int(rule["duration"]))
        for rule in rules
        if rule["type"] == "alerting" and rule["name"] in BUSINESS_PAGES
    ]
    if not alerts:
        raise PulseError(f"no rule of a business page in {files[-1]}; run `shop-pulse render`")
    return Rules(_levels(recorded, [query for _, query, _ in alerts]), tuple(alerts))


def prometheus_version() -> str:
    """The version of the Prometheus that decides."""
    run = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version ([0-9][0-9.]*)", run.stdout + run.stderr)
    return found[1] if found else "of an unknown version"


def _named(query: str, names: Iterable[str]) -> set[str]:
    found = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", query))
    return {name for name in names if name in found}


def _levels(recorded: dict[str, str], queries: Sequence[str]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Those recording rules that the queries need, however far back, the lowest first."""
    depth: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in depth:
            depth[name] = max((of(each) + 1 for each in _named(recorded[name], recorded)), default=0)
        return depth[name]

    for query in queries:
        for name in _named(query, recorded):
            of(name)
    return tuple(
        tuple((name, recorded[name]) for name, at in depth.items() if at == level)
        for level in range(max(depth.values(), default=-1) + 1)
    )


def _promtool(*arguments: str) -> None:
    run = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise PulseError(
            f"promtool {' '.join(arguments[:3])} failed: {(run.stderr or run.stdout).strip()[-300:]}"
        )


def fired(
    rules: Rules, samples: Iterable[Sample], minutes: int, folder: Path
) -> dict[str, dict[str, list[tuple[int, int]]]]:
    """Which alerts fired: by shop and alert the spans [first, last] of scored minutes in which one was
    firing.

    `minutes` is how many scored minutes there are; `folder` is emptied first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data = folder / "data"
    text = folder / "samples.txt"
    with text.open("w") as out:
        out.writelines(written(samples))
    _promtool("tsdb", "create-blocks-from", "openmetrics", str(text), str(data))
    text.unlink()
    if not any(data.glob("*/meta.json")):
        return {}
    first_s, last_s = FIRST_MINUTE * 60, (FIRST_MINUTE + minutes - 1) * 60
    server = _Prometheus(folder)
    try:
        server.start()
        for level in rules.levels:
            _record(server, level, first_s, last_s)
            server.restart()  # it looks for new blocks when it starts
        return _asked(server, rules, first_s, last_s)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _record(server: _Prometheus, level: Sequence[tuple[str, str]], first_s: int, last_s: int) -> None:
    # A group of rules is evaluated some seconds into each interval, by the hash of its file and name: these
    # have to be the same for all levels, or each would see the one below it an interval late.
    file = server.folder / "recorded.yml"
    recorded = [{"record": name, "expr": query} for name, query in level]
    file.write_text(json.dumps({"groups": [{"name": "recorded", "rules": recorded}]}))
    _promtool(
        "tsdb", "create-blocks-from", "rules",
        f"--url=http://127.0.0.1:{server.port}", f"--start={first_s}", f"--end={last_s}",
        f"--eval-interval={EVALUATION_S}s", f"--output-dir={server.folder / 'data'}", str(file),
    )  # fmt: skip


def _asked(
    server: _Prometheus, rules: Rules, first_s: int, last_s: int
) -> dict[str, dict[str, list[tuple[int, int]]]]:
    found: dict[str, dict[str, list[tuple[int, int]]]] = {}
    into_s = _offset(server, rules, first_s, last_s)
    if into_s is None:
        return found
    start, end = f"{first_s + into_s:.3f}", f"{last_s + into_s:.3f}"
    for name, query, for_s in rules.alerts:
        data = server.get("/api/v1/query_range", query=query, start=start, end=end, step=str(EVALUATION_S))
        for series in data["result"]:
            minutes = [int(at) // 60 - FIRST_MINUTE for at, _ in series["values"]]
            spans = list(firing(minutes, for_s // EVALUATION_S))
            if spans:
                found.setdefault(series["metric"]["shop"], {}).setdefault(name, []).extend(spans)
    return found


def _offset(server: _Prometheus, rules: Rules, first_s: int, last_s: int) -> float | None:
    """How many seconds into each interval rules were evaluated; None where nothing was recorded."""
    for name in (name for level in rules.levels for name, _ in level):
        query = f"max(max_over_time(timestamp({name})[{last_s - first_s + EVALUATION_S}s:{EVALUATION_S}s]))"
        result = server.get("/api/v1/query", query=query, time=str(last_s + EVALUATION_S))["result"]
        if result:
            return float(result[0]["value"][1]) % EVALUATION_S
    return None


def firing(minutes: Sequence[int], for_min: int) -> Iterator[tuple[int, int]]:
    """The spans in which an alert fires whose expression holds in these minutes: after holding for
    `for_min`."""
    start = previous = None
    for minute in [*minutes, None]:
        if minute is not None and previous is not None and minute == previous + 1:
            previous = minute
            continue
        if start is not None and previous is not None and previous - start >= for_min:
            yield start + for_min, previous
        start = previous = minute

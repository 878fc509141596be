"""The backtest's Prometheus is a Prometheus: promtool's own evaluation of the same rules says the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.drops import DURATIONS, FIRST_MINUTE, Drop, struck
from backtest.gauges import Sample, Service, cohort_samples, trust_samples, usual_scene
from backtest.prometheus import RULE_FILES, Rules, fired, read_rules
from backtest.runs import Watched, samples_of
from backtest.shops import Parameters, make_shop
from backtest.tables import Board
from streams.errors import PulseError

PARAMETERS = Parameters()
SCORED_MIN = 60
ALERT = "ShopPulseConversionDrop"
# A page is sure some minutes after it came: up to then both ways have to say the same.
PATIENCE_S = 300


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """The committed rules as Prometheus reads them."""
    return read_rules(tmp_path_factory.mktemp("rules"))


def _shops() -> list[tuple[str, list[Sample], list[Sample]]]:
    """Shops with and without a drop: the samples that are written, and all that could be."""
    shops = []
    for number, size in enumerate((0.0, 0.5, 0.8, 1.0)):
        shop = make_shop(1_000, SCORED_MIN, 20 + number, PARAMETERS)
        drop = Drop(size, DURATIONS[2], number % 3, 5, platform=None if number % 2 else 0)
        tables = struck(shop.minutes, drop, np.random.default_rng(number), PARAMETERS)
        board, scene, name = Board(shop, SCORED_MIN), usual_scene(tables), f"s{number}"
        written = samples_of(name, shop, Watched(board, scene), (0, SCORED_MIN))
        everything = np.ones((4, 3, board.windows(tables).n.shape[2], SCORED_MIN), np.bool_)
        whole = [
            *cohort_samples(name, Service(shop, board, scene), everything),
            *trust_samples(name, scene, range(SCORED_MIN)),
        ]
        shops.append((name, written, whole))
    return shops


@pytest.fixture(scope="module")
def shops() -> list[tuple[str, list[Sample], list[Sample]]]:
    """The same for all tests."""
    return _shops()


def _first(pages: dict[str, Any], name: str) -> int | None:
    return min((first for first, _ in pages.get(name, {}).get(ALERT, [])), default=None)


def test_what_is_left_out_changes_nothing(
    rules: Rules, shops: list[tuple[str, list[Sample], list[Sample]]], tmp_path: Path
) -> None:
    """With every window of every minute written, each shop is paged at the same minute, or not at all."""
    written = fired(rules, [each for _, some, _ in shops for each in some], SCORED_MIN, tmp_path / "some")
    whole = fired(rules, [each for _, _, every in shops for each in every], SCORED_MIN, tmp_path / "all")
    firsts = {name: (_first(written, name), _first(whole, name)) for name, _, _ in shops}
    assert {name: some for name, (some, _) in firsts.items()} == {
        name: every for name, (_, every) in firsts.items()
    }
    assert [name for name, (some, _) in firsts.items() if some is None] == ["s0"]
    assert sum(len(some) for _, some, _ in shops) < sum(len(every) for _, _, every in shops) / 4


def test_promtool_fires_at_the_same_minute(
    rules: Rules, shops: list[tuple[str, list[Sample], list[Sample]]], tmp_path: Path
) -> None:
    """promtool evaluates the committed files, with `for`: nothing fires a minute before, and it fires
    then."""
    pages = fired(rules, [each for _, some, _ in shops for each in some], SCORED_MIN, tmp_path / "b")
    for name, some, _ in shops:
        first = _first(pages, name)
        if first is not None:
            expectations = [_expected(name, first - 1, None), _expected(name, first, 1)]
            _promtool(some, expectations, tmp_path)


def _expected(shop: str, minute: int, value: int | None) -> dict[str, Any]:
    expr = f'group(ALERTS{{alertname="{ALERT}",alertstate="firing",shop="{shop}"}})'
    samples = [] if value is None else [{"labels": "{}", "value": value}]
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples}


def _promtool(samples: list[Sample], expectations: list[dict[str, Any]], folder: Path) -> None:
    """The rules on the same samples, minute 0 being 1970 there."""
    by_series: dict[str, dict[int, float]] = defaultdict(dict)
    for each in samples:
        since = FIRST_MINUTE * 60 if "_timestamp_seconds" in each.series else 0
        by_series[each.series][each.minute] = each.value - since
    last = max(each.minute for each in samples)
    series = [
        {
            "series": name,
            "values": " ".join(f"{values[at]:.12g}" if at in values else "_" for at in range(last + 1)),
        }
        for name, values in by_series.items()
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": expectations}
    file = folder / "test.yml"
    # Else promtool takes groups in any order, and an alert may see what was recorded a minute ago.
    groups = [name for path in RULE_FILES for name in re.findall(r"- name: *\"?([^\s\"]+)", path.read_text())]
    content = {
        "rule_files": [str(path) for path in RULE_FILES],
        "evaluation_interval": "1m",
        "group_eval_order": groups,
        "tests": [test],
    }
    file.write_text(json.dumps(content))
    run = subprocess.run(
        ["promtool", "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2_000:] + run.stderr[-2_000:]


def test_the_quick_form_holds() -> None:
    """The promises that hold in the long form hold in a few cells; JSON tells the figures."""
    done = subprocess.run(
        [sys.executable, "-c", "from backtest.command import command; command()", "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outages"]["played"] > 0 and told["outages"]["pages"] == 0
    assert all(cell["drops"] for cell in told["cells"])
    assert sum(each["days"] for each in told["quiet"]) >= 60


def test_rules_without_a_business_page_are_refused(tmp_path: Path) -> None:
    """A file that lost its alerts is an error, not a perfect score."""
    empty = tmp_path / "empty.yml"
    empty.write_text('{"groups": []}')
    with pytest.raises(PulseError, match="no rule of a business page"):
        read_rules(tmp_path / "r", [empty])

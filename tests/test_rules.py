"""The rules that Prometheus loads: promtool accepts them, tries every alert, computes what the core does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dashboards import prometheus_rules, promtool_tests, provisioned_alerts
from dashboards.recorded import DILUTED, FELL_COUNT, LOW, WINDOWED
from streams.cohorts import DROP_TO, RUNGS_AGREEING, Reading, is_drop, is_low, is_reached, upper_bound
from tests.rules_kit import ask, promtool

ROOT = Path(__file__).parents[1]
RULES = sorted(path for path in prometheus_rules.files() if path.endswith(".yml"))


@pytest.mark.parametrize("path", RULES)
def test_promtool_accepts_the_rules(path: str) -> None:
    """Every expression and template of the files parses."""
    checked = promtool("check", "rules", "--lint-fatal", ROOT / path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_fires_and_is_quiet_where_it_has_to_be() -> None:
    """promtool runs the cases of all alerts against the very files that Prometheus loads."""
    tested = promtool("test", "rules", ROOT / promtool_tests.TESTS_FILE)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_group_has_its_turn() -> None:
    """promtool takes groups that no order names in any order: alerts would sometimes read what was recorded
    a minute before, or nothing."""
    tests = YAML(typ="safe", pure=True).load((ROOT / promtool_tests.TESTS_FILE).read_text())
    files = [(ROOT / promtool_tests.TESTS_FILE).parent / name for name in tests["rule_files"]]
    loaded = [YAML(typ="safe", pure=True).load(path.read_text())["groups"] for path in files]
    assert tests["group_eval_order"] == [group["name"] for groups in loaded for group in groups]


def test_a_page_with_another_text_is_found(tmp_path: Path) -> None:
    """The test above can fail: promtool compares texts, too."""
    path = ROOT / promtool_tests.TESTS_FILE
    cases = YAML(typ="safe", pure=True).load(path.read_text())
    one = next(test for test in cases["tests"] if test["name"].startswith("ShopPulseOversold"))
    cases |= {"rule_files": [str(path.parent / name) for name in cases["rule_files"]], "tests": [one]}
    outcomes = []
    for text in ("3 units too many.", "4 units too many."):
        changed = tmp_path / "tests.yml"
        changed.write_text(json.dumps(cases).replace("3 units too many.", text))
        outcomes.append(promtool("test", "rules", changed).returncode)
    assert outcomes == [0, 1]


def _grid() -> list[Reading]:
    """Windows of all sizes around the border, and the ends."""
    readings = []
    for n in (20, 100, 303, 400, 1_000, 4_000, 40_000):
        for usual in (0.01, 0.03, 0.3, 0.9):
            for part in (0.0, 0.3, 0.6, 0.7, 0.74, 0.75, 1.0):
                readings.append(Reading(5, n, min(n, round(n * usual * part)), usual, None))
    # Rounding decides where a bound lies on the border to fifteen digits.
    return [each for each in readings if abs(upper_bound(each.n, each.k) - DROP_TO * each.ratio) > 1e-12]


def _gauges(labels: str, reading: Reading) -> dict[str, float]:
    told = {
        "size": reading.n,
        "reached": reading.k,
        "baseline_ratio": reading.ratio,
        "usual_reached": reading.usual_reached,
    }
    return {
        f"shop_pulse_cohort_{name}{{{labels}}}": value for name, value in told.items() if value is not None
    }


def test_a_window_is_low_where_the_core_says_so(tmp_path: Path) -> None:
    """The recording rule and `cohorts.is_low` agree on every window of a grid."""
    readings = _grid()
    labels = [f'scope="s{place}",window="5m"' for place in range(len(readings))]
    series = {
        name: value
        for each, reading in zip(labels, readings, strict=True)
        for name, value in _gauges(each, reading).items()
    }
    expected = {
        f"{LOW.name}{{{each}}}": float(is_low(reading))
        for each, reading in zip(labels, readings, strict=True)
    }
    assert len(set(expected.values())) == 2
    assert ask(series, LOW.name, expected, tmp_path) == ""


FELL, HELD = (4_000, 40), (4_000, 120)


@pytest.mark.parametrize(
    ("windows", "fell"),
    [((FELL, FELL), 2), ((FELL, HELD), 1), ((HELD, HELD), 0), ((FELL, FELL, HELD), 2)],
)
def test_windows_have_to_agree(windows: tuple[tuple[int, int], ...], fell: int, tmp_path: Path) -> None:
    """The rule counts low windows as `cohorts.is_drop` does."""
    readings = [Reading(at, n, k, 0.03, None) for at, (n, k) in enumerate(windows)]
    series: dict[str, float] = {}
    for reading in readings:
        series |= _gauges(f'step="purchase_per_view",window="{reading.window_min}m"', reading)
    expected = {f'{FELL_COUNT.name}{{step="purchase_per_view"}}': float(fell)}
    assert ask(series, FELL_COUNT.name, expected, tmp_path) == ""
    assert is_drop(readings) is (fell >= RUNGS_AGREEING)


@pytest.mark.parametrize(
    ("step", "usual", "counts"),
    [
        ("purchase_per_view", 76.0, False),
        ("purchase_per_view", 78.0, True),
        ("tag_tap_per_view", 76.0, False),
        ("purchase_per_add_to_cart", 50.0, True),
        ("purchase_per_view", None, True),
    ],
)
def test_too_many_views_are_no_drop(step: str, usual: float | None, counts: bool, tmp_path: Path) -> None:
    """Of a step from views a low window counts only if surely fewer than usual reached it, where that is
    known: the very windows of which `cohorts.is_reached` says so."""
    reading = Reading(6, 4_000, 40, 0.03, usual)
    assert counts is not (step.endswith("_per_view") and is_reached(reading))
    series = _gauges(f'step="{step}",window="6m"', reading)
    expected = {f'{FELL_COUNT.name}{{step="{step}"}}': 1.0} if counts else {}
    assert ask(series, FELL_COUNT.name, expected, tmp_path) == ""


OF_GRAFANA: Any = provisioned_alerts.with_rules()
FACTS: list[str] = sorted(
    {
        query["model"]["expr"]
        for group in OF_GRAFANA["groups"]
        for rule in group["rules"]
        for query in rule["data"]
        if query["refId"].startswith("F")
    }
)


@pytest.mark.parametrize("expr", FACTS)
def test_a_fact_of_grafana_finds_something_always(expr: str, tmp_path: Path) -> None:
    """One query without data would silence the whole rule; what stands in has labels that no alert has."""
    assert ask({}, expr, {'{absent="yes"}': 0.0}, tmp_path) == ""


def test_shops_are_kept_apart(tmp_path: Path) -> None:
    """Recording rules keep env and shop, so that one shop's trouble is not another's."""
    series: dict[str, float] = {}
    for shop, (n, k) in (("one", FELL), ("two", HELD)):
        series |= _gauges(f'env="prod",shop="{shop}",step="x",window="5m"', Reading(5, n, k, 0.03, None))
    expected = {
        f'{LOW.name}{{env="prod",shop="one",step="x",window="5m"}}': 1.0,
        f'{LOW.name}{{env="prod",shop="two",step="x",window="5m"}}': 0.0,
    }
    assert ask(series, LOW.name, expected, tmp_path) == ""
    assert set(WINDOWED) >= {"env", "shop"} and DILUTED.name.startswith("scope_step_window:")

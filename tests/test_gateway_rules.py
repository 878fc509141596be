"""The rules of gateways as promtool computes them: which window fails, what holds, an outage to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from dashboards.prometheus_rules import GROUPS, alerts_file
from dashboards.recorded import FAILING, FIRST_FAILING, HOLDING
from streams.cohorts import RUNGS_MIN
from streams.gateways import Attempts
from tests.gateway_kit import Verdict, bound, verdict
from tests.rules_kit import RECORDING, ask, promtool

ROOT = Path(__file__).parents[1]


def _gauges(labels: str, windows: Sequence[Attempts]) -> dict[str, float]:
    told: dict[str, float] = {}
    for each in windows:
        names = f'{labels},window="{each.window_min}m"'
        told[f"shop_pulse_gateway_attempts{{{names}}}"] = each.n
        told[f"shop_pulse_gateway_technical_failures{{{names}}}"] = each.failed
        if each.usual_ratio is not None:
            told[f"shop_pulse_gateway_baseline_ratio{{{names}}}"] = each.usual_ratio
    return told


def _grid() -> Iterator[list[Attempts]]:
    """Three windows within each other: the newest attempts, then what came before."""
    newest = [(9, 9), (10, 0), (10, 1), (10, 9), (40, 10)]
    before = [(0, 0), (10, 10), (90, 20), (400, 4)]
    longest = [(0, 0), (200, 150), (2_000, 20)]
    for (n, k), (m, j), (o, i) in product(newest, before, longest):
        for usual in (None, 0.0, 0.03, 0.4):
            windows = [(2, n, k), (11, n + m, k + j), (360, n + m + o, k + j + i)]
            yield [Attempts(*each, usual) for each in windows]


def test_rules_say_what_plain_code_says(tmp_path: Path) -> None:
    """Which window fails first, whether a gateway fails at all, whether it holds: on every case of a grid."""
    cases = list(_grid())
    series: dict[str, float] = {}
    first: dict[str, float] = {}
    failing: dict[str, float] = {}
    holding: dict[str, float] = {}
    for place, windows in enumerate(cases):
        labels = f'platform="p",gateway="g{place}"'
        series |= _gauges(labels, windows)
        said = verdict(windows)
        failing[f"{FAILING.name}{{{labels}}}"] = float(said.failing is not None)
        if said.holds is not None:
            holding[f"{HOLDING.name}{{{labels}}}"] = float(said.holds)
        if said.failing is not None and sum(each.n == said.failing.n for each in windows) == 1:
            window = f'{labels},window="{said.failing.window_min}m"'
            first[f"{FIRST_FAILING.name}{{{window}}}"] = said.failing.n
    assert set(failing.values()) == {0.0, 1.0} == set(holding.values()) and len(first) > 20
    assert ask(series, FAILING.name, failing, tmp_path) == ""
    assert ask(series, HOLDING.name, holding, tmp_path) == ""
    told = "|".join(name.partition('gateway="')[2].partition('"')[0] for name in first)
    assert ask(series, f'{FIRST_FAILING.name}{{gateway=~"{told}"}}', first, tmp_path) == ""


def test_one_who_tries_again_is_no_outage() -> None:
    """Six of ten would be sure if each were another shopper's; as it is, it takes eight."""
    six, eight = Attempts(2, 10, 6, 0.03), Attempts(2, 10, 8, 0.03)
    assert bound(six) < 0.13 < bound(eight)


def _windows_at(failures: Sequence[int], attempts: int, end: int) -> list[Attempts]:
    """The windows before minute `end`, of so many attempts a minute, of which `failures` fail."""
    return [
        Attempts(length, attempts * min(length, end), sum(failures[max(end - length, 0) : end]), 0.03)
        for length in RUNGS_MIN
    ]


# Well for an hour, down for 30 minutes, well for 40, down again for 20, well: of 20 attempts a minute.
_LIFE = [0] * 60 + [16] * 30 + [0] * 40 + [16] * 20 + [0] * 60


def test_an_outage_begins_goes_on_ends_and_comes_back() -> None:
    """It shows within two minutes, each time; it is over two minutes after its end, though windows of hours
    still are full of its failures."""
    said = [verdict(_windows_at(_LIFE, 20, end)) for end in range(1, len(_LIFE) + 1)]
    failing = [at for at, each in enumerate(said) if each.failing is not None]
    first, second = [at for at in failing if at < 110], [at for at in failing if at >= 110]
    for minutes, begin, end in ((first, 60, 90), (second, 130, 150)):
        assert minutes == list(range(minutes[0], minutes[-1] + 1))
        assert begin <= minutes[0] < begin + 2
        assert end <= minutes[-1] + 1 <= end + 2
    assert said[129] == Verdict(None, True)


def test_a_blip_does_not_bring_an_old_outage_back() -> None:
    """An hour after an outage three of twenty attempts fail in a minute: nothing fires."""
    life = [0] * 60 + [18] * 30 + [0] * 60 + [3] + [0] * 5
    assert all(verdict(_windows_at(life, 20, end)).failing is None for end in range(95, len(life)))


def _firing(alert: str, life: Sequence[int], moments: dict[int, bool], folder: Path) -> str:
    """What promtool has to say where an alert does not fire at exactly these minutes; `life` are failures of
    adyen a minute of 20 attempts, while stripe holds."""
    series = {
        'shop_pulse_redis_up{env="e",shop="s"}': [1.0] * len(life),
        'shop_pulse_as_of_timestamp_seconds{env="e",shop="s"}': [60.0 * at for at in range(len(life))],
        'shop_pulse_source_silent{env="e",shop="s",topic="views"}': [0.0] * len(life),
    }
    for end in range(len(life)):
        for gateway, failures in (("adyen", life), ("stripe", [0] * len(life))):
            labels = f'env="e",shop="s",platform="p",gateway="{gateway}"'
            told = _gauges(labels, _windows_at(failures, 20, end) if end else [])
            for name, value in told.items():
                series.setdefault(name, [0.0] * end).append(value)
    fires = f'count by (alertname) (ALERTS{{alertname="{alert}",alertstate="firing"}})'
    told_of = {"labels": f'{{alertname="{alert}"}}', "value": 1}
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": " ".join(f"{value:g}" for value in values)}
            for name, values in series.items()
        ],
        "promql_expr_test": [
            {"expr": fires, "eval_time": f"{minute}m", "exp_samples": [told_of] if firing else []}
            for minute, firing in moments.items()
        ],
    }
    whole = {
        "rule_files": [str(RECORDING), str(ROOT / alerts_file("prometheus"))],
        "evaluation_interval": "1m",
        "group_eval_order": list(GROUPS),
        "tests": [test],
    }
    path = folder / "test.yml"
    path.write_text(json.dumps(whole))
    tested = promtool("test", "rules", path)
    return "" if tested.returncode == 0 else tested.stdout + tested.stderr


def test_a_page_does_not_flap(tmp_path: Path) -> None:
    """A gateway that comes and goes for three minutes at a time is one page; it ends five minutes after the
    last failures are over, and comes back with the next outage."""
    life = [0] * 20 + ([16] * 6 + [0] * 3) * 4 + [0] * 30 + [16] * 10
    going_on = {minute: True for minute in range(26, 56)}
    moments = {19: False} | going_on | {75: False, 84: False, len(life) - 2: True}
    assert _firing("ShopPulseGatewayFailing", life, moments, tmp_path) == ""

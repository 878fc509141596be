"""promtool asked by tests: what the committed recording rules make of a few series."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboards import prometheus_rules

RECORDING = Path(__file__).parents[1] / prometheus_rules.RECORDING_FILE


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs it to its end."""
    return subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )


def ask(series: Mapping[str, float], expr: str, expected: Mapping[str, float], folder: Path) -> str:
    """What promtool has to say where `expr` does not give exactly `expected` (values by series)."""
    test: dict[str, Any] = {
        "rule_files": [str(RECORDING)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": f"{value!r}x3"} for name, value in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": "2m",
                        "exp_samples": [{"labels": name, "value": value} for name, value in expected.items()],
                    }
                ],
            }
        ],
    }
    path = folder / "test.yml"
    path.write_text(json.dumps(test))  # JSON is YAML
    tested = promtool("test", "rules", path)
    return "" if tested.returncode == 0 else tested.stdout + tested.stderr

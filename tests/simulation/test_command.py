"""`python -m tests.simulation`: reports, goes on after an interruption, tells what failed."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from tests.simulation.__main__ import main
from tests.simulation.mutants import MUTANTS


def test_a_range_is_gone_on_with(tmp_path: Path) -> None:
    """What a report holds is not run again: two seeds and then a third are the report of three."""
    out, whole = tmp_path / "report.json", tmp_path / "whole.json"
    for span, path in (("4:6", out), ("4:7", out), ("4:7", whole)):
        assert CliRunner().invoke(main, ["--seeds", span, "--out", str(path)]).exit_code == 0
    reports = [json.loads(path.read_text()) for path in (out, whole)]
    for report in reports:
        assert report.pop("seconds") > 0 and report.pop("seeds_a_second") > 0
    assert reports[0] == reports[1]
    assert reports[0]["seeds"] == [4, 7]
    assert reports[0]["failures"] == []
    assert sum(reports[0]["faults_by_kind"].values()) == reports[0]["faults"] >= 3 * 20


def test_a_report_of_other_seeds_is_left_alone(tmp_path: Path) -> None:
    """A file that begins elsewhere is not added to: one line says so."""
    out = tmp_path / "report.json"
    assert CliRunner().invoke(main, ["--seeds", "4:5", "--out", str(out)]).exit_code == 0
    ended = CliRunner().invoke(main, ["--seeds", "5:6", "--out", str(out)])
    assert ended.exit_code == 1
    assert "is of seeds from 4 on" in ended.output


def test_a_seed_is_told() -> None:
    """A story that is right ends with 0 and nothing wrong; one that is not with 1 and what was."""
    right = CliRunner().invoke(main, ["--seed", "0"])
    assert right.exit_code == 0
    assert right.output.endswith("wrong:\n  nothing\n")
    with MUTANTS["guard_off"]():
        wrong = CliRunner().invoke(main, ["--seed", "0", "--tell"])
    assert wrong.exit_code == 1
    assert "instead of" in wrong.output.partition("wrong:")[2]

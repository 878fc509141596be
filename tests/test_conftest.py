"""How tests are spread over processes: what shares servers stays together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FIRST, group_of

ROOT = Path(__file__).parents[1]
TWO_TESTS = """
import os, time

def test_one(): told()
def test_two(): told()

def told():
    with open("pids", "a") as file:
        file.write(f"{__name__} {os.getpid()}\\n")
    time.sleep(0.2)
"""


def test_a_file_is_a_group_and_so_is_what_mostly_waits() -> None:
    """Tests of one pulse are one group, parametrised or not; all others go by file."""
    assert group_of("tests/test_kpi.py::test_a[x::y]") == group_of("tests/test_kpi.py::test_b")
    assert group_of("tests/test_kpi.py::test_a") != group_of("tests/test_fold.py::test_a")
    assert group_of("tests/integration/test_alerting.py::a") == group_of("tests/chaos/test_chaos.py::b")
    assert group_of("tests/browser/test_live.py::test_a") == group_of("tests/browser/test_fell.py::test_b")
    assert group_of("tests/browser/test_live.py::a") != group_of("tests/chaos/test_chaos.py::b")


TRACED = """
import sys
import pytest

@pytest.mark.no_cover
def test_is_not_traced(): assert sys.gettrace() is None
def test_is_traced(): assert sys.gettrace() is not None
"""


def run(folder: Path, *arguments: str) -> None:
    """A run of the tests in a folder, by our rules; all of them have to pass."""
    plain = ["-p", "no:cacheprovider", "-p", "tests.conftest", "-c", "/dev/null", "--rootdir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plain, *arguments, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_two_processes_do_not_share_a_file(tmp_path: Path) -> None:
    """In a real run each file's tests are run by one process, and both processes have work."""
    names = ["test_a", "test_b", "test_c", "test_d"]
    for name in names:
        (tmp_path / f"{name}.py").write_text(TWO_TESTS)
    run(tmp_path, "-n", "2")
    told = {tuple(line.split()) for line in (tmp_path / "pids").read_text().splitlines()}
    assert sorted(name for name, _ in told) == names
    assert len({pid for _, pid in told}) == 2


@pytest.mark.parametrize("processes", [(), ("-n", "1")])
def test_what_is_not_to_be_covered_is_not_traced(tmp_path: Path, processes: tuple[str, ...]) -> None:
    """Nor slowed down by it, in a process of its own either; all other tests are traced."""
    (tmp_path / "test_traced.py").write_text(TRACED)
    run(tmp_path, *processes, "--cov", "--cov-config=/dev/null", "--cov-report=")


def test_what_begins_first_is_there() -> None:
    """A file that was renamed would silently begin last."""
    assert [each for each in FIRST if not (ROOT / each).exists()] == []

"""Runs tests on a copy of the project that has a bug, and tells which of them fails first."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.seeded_bugs.bug import Bug

ROOT = Path(__file__).parents[2]
# For one file of tests. A bug that makes them stand still is not caught by that: they have to say so.
LIMIT_S = 400
FAILED = re.compile(r"^FAILED (.+?)(?: - |$)", re.MULTILINE)
TESTS_FAILED = 1


class RedSuiteError(Exception):
    """Tests that fail without any bug, or cannot be run: what they say of a bug is worth nothing."""


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of all files that git knows, as they are now, in a folder of its own."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory(prefix="shop-pulse-bug-") as folder:
        root = Path(folder)
        for name in filter(None, listed.stdout.split("\0")):
            target = root / name
            if (ROOT / name).is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)
        jars = ROOT / ".deps"
        if jars.exists():
            (root / ".deps").symlink_to(jars.resolve())
        yield root


def first_failure(root: Path, file: str) -> str | None:
    """Node id of the first test of a file that fails in the project at `root`; None if all pass.

    Raises RedSuiteError if pytest could not run them, or they did not end.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider"]
    try:
        ran = subprocess.run(
            [*command, "--hypothesis-profile=unshrunk", file],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RedSuiteError(f"{file} did not end within {LIMIT_S} s") from error
    if ran.returncode == 0:
        return None
    failed = FAILED.search(ran.stdout)
    if ran.returncode != TESTS_FAILED or failed is None:
        raise RedSuiteError(f"{file} could not be run:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return failed[1]


class Court:
    """Asks the tests; each file of them has to pass once without a bug before its word counts."""

    def __init__(self) -> None:
        self._sound: set[str] = set()

    def try_bug(self, bug: Bug) -> str | None:
        """Node id of the test that catches the bug first; None if nobody does.

        Raises RedSuiteError for tests that fail without it, too.
        """
        with copied() as root:
            bug.plant(root)
            for file in bug.asked:
                caught_by = first_failure(root, file)
                if caught_by is not None:
                    self._check_sound(file)
                    return caught_by
        return None

    def _check_sound(self, file: str) -> None:
        if file in self._sound:
            return
        with copied() as root:
            failed = first_failure(root, file)
        if failed is not None:
            raise RedSuiteError(f"{failed} fails without any bug")
        self._sound.add(file)

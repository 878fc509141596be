"""Bugs on purpose: each still fits the code, the table names them all, and what is quick is tried.

`make seeded-bugs` tries every one of them.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.seeded_bugs import table
from tests.seeded_bugs.bug import Bug, StaleBugError, bug
from tests.seeded_bugs.bugs import BUGS, BY_NAME
from tests.seeded_bugs.run import ROOT, copied, first_failure

# Caught within seconds, without a server.
QUICK = ("border_of_a_pane", "watermark_from_the_clock", "remainder_to_the_wrong_line")
BUGS_WANTED = 20


def _rows() -> dict[str, str]:
    return table.catchers((ROOT / table.FILE).read_text(encoding="utf-8"))


def _tests_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_each_bug_has_a_name_of_its_own() -> None:
    """There are many of them, and a name says which."""
    assert len(BUGS) >= BUGS_WANTED
    assert [name for name, count in Counter(each.name for each in BUGS).items() if count > 1] == []


@pytest.mark.parametrize("each", BUGS, ids=lambda each: each.name)
def test_a_bug_fits_the_code(each: Bug, tmp_path: Path) -> None:
    """What it replaces stands exactly once in its file, which differs then, and compiles if it is Python."""
    before = {edit.file: (ROOT / edit.file).read_text(encoding="utf-8") for edit in each.edits}
    for file, text in before.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    each.plant(tmp_path)
    for file, text in before.items():
        changed = (tmp_path / file).read_text(encoding="utf-8")
        assert changed != text
        if file.endswith(".py"):
            compile(changed, file, "exec")
    assert each.asked
    assert all((ROOT / file).is_file() for file in each.asked)


@pytest.mark.parametrize("text", ["", "twice twice"])
def test_a_bug_that_fits_no_longer_is_noticed(text: str, tmp_path: Path) -> None:
    """A text that is gone, or stands there twice, is an error: nothing would be broken, or too much."""
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    with pytest.raises(StaleBugError, match=r"module\.py"):
        bug("stale", "what it is", "module.py", "twice", "once", "tests/test_it.py").plant(tmp_path)
    assert (tmp_path / "module.py").read_text(encoding="utf-8") == text


def test_the_table_names_exactly_these_bugs() -> None:
    """And for each a test that exists, in a file that is asked; nobody escapes."""
    rows = _rows()
    assert list(rows) == [each.name for each in BUGS]
    for name, node in rows.items():
        file, _, test = node.partition("::")
        assert file in BY_NAME[name].asked, name
        assert test.partition("[")[0] in _tests_of(file), name


def test_the_page_is_what_a_run_writes() -> None:
    """Nobody writes it by hand: what bugs are is told in one place."""
    page = (ROOT / table.FILE).read_text(encoding="utf-8")
    assert page == table.page_of(BUGS, _rows())


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_one_is_caught(name: str) -> None:
    """In a copy of the project with the bug a test fails, in the file that is asked first."""
    each = BY_NAME[name]
    with copied() as root:
        each.plant(root)
        assert first_failure(root, each.asked[0]) is not None

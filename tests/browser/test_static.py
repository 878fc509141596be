"""The files of the pages: small, nothing that the strict policy forbids, foreign ones as released."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "streams" / "web" / "static"
VENDORS = (STATIC / "vendor", Path(__file__).parent / "vendor")
OURS = sorted(path for path in STATIC.iterdir() if path.is_file())
MAX_LINES = 400
MAX_COLUMNS = 125


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_file_is_small_and_says_what_it_is_for(path: Path) -> None:
    """Less than 400 lines; scripts and styles begin with a comment; no line wants to be scrolled sideways."""
    lines = path.read_text().splitlines()
    assert len(lines) < MAX_LINES
    assert path.suffix == ".html" or lines[0].startswith(("//", "/*"))
    assert [number for number, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS] == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_file_holds_nothing_that_a_strict_policy_forbids(path: Path) -> None:
    """No address from outside, no inline script or style, no text that becomes code or markup."""
    forbidden = (
        r"https?://|innerHTML|insertAdjacentHTML|\beval\(|new Function|\sstyle=|\son\w+=|<style|<script>"
    )
    assert re.findall(forbidden, path.read_text()) == []


@pytest.mark.parametrize("folder", VENDORS, ids=lambda folder: folder.parts[-3])
def test_foreign_files_are_those_that_were_released(folder: Path) -> None:
    """Each has the checksum, version and licence that the folder's README gives."""
    said = (folder / "README.md").read_text()
    foreign = [path for path in folder.iterdir() if path.name not in ("README.md", "LICENSE")]
    assert foreign and (folder / "LICENSE").exists()
    for path in foreign:
        assert f"`{path.name}`" in said
        assert hashlib.sha256(path.read_bytes()).hexdigest() in said

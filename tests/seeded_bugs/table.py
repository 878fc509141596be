"""The table "bug → test that caught it" in the documents: written by a run, read by the next one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tests.seeded_bugs.bug import Bug

FILE = "docs/reliability-bugs.md"
NOBODY = "nobody"
ROW = re.compile(r"^\| `(\w+)` \| .+ \| `?([^|`]+)`? \|$", re.MULTILINE)
HEAD = """# Bugs on purpose

A suite that is green says nothing of what it would notice. So each promise of the [engine](engine.md) is
broken on purpose, one at a time, in a copy of the project ([tests/seeded_bugs](../tests/seeded_bugs)),
and some test there has to fail. `make seeded-bugs` does all of it and writes this page; CI holds every
bug to the code as it is now, and tries three of them. Of the tests that notice a bug the table names the
one that fails first; the quick ones are asked first. What breaks owners under seeded faults is in
[tests/simulation/mutants.py](../tests/simulation/mutants.py).

| bug | what is broken | where | caught by |
|---|---|---|---|
"""


def catchers(page: str) -> dict[str, str]:
    """Who caught each bug, by its name, as the page tells."""
    return {row[1]: row[2] for row in ROW.finditer(page)}


def page_of(bugs: Iterable[Bug], caught_by: Mapping[str, str]) -> str:
    """The page; `caught_by` holds the test of each bug's name, `nobody` for none."""
    rows = []
    for each in bugs:
        files = ", ".join(dict.fromkeys(f"`{edit.file}`" for edit in each.edits))
        found = caught_by.get(each.name, NOBODY)
        if "|" in found or "`" in found:  # a parameter that would break the row
            found = found.partition("[")[0]
        rows.append(
            f"| `{each.name}` | {each.what} | {files} | {found if found == NOBODY else f'`{found}`'} |\n"
        )
    return HEAD + "".join(rows)

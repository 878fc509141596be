"""Which tests stay together when they run in two processes: those of a file, and all of the browser's."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Names each test's group for `--dist loadgroup`: what shares servers shares a process."""
    for item in items:
        together = item.path.parent if item.path.parent.name == "browser" else item.path
        item.add_marker(pytest.mark.xdist_group(str(together)))

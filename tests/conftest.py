"""Which tests share a process, and which begin first, when `make test` runs them in three processes.

pytest-xdist has groups of its own (`--dist loadgroup`): with pytest 9.2 they silently have no effect, every
test goes wherever there is room, and each process starts the servers of all files. So the groups are here.
"""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from xdist.scheduler import LoadScopeScheduling

# Each broker of a test lives for seconds: starting it costs nearly half as much processor time without the
# compiler and the collector that are made for months.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# How long an example takes, or drawing it, says more of the machine than of us.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For tests of which only matters whether they fail: the shortest example takes minutes to find.
settings.register_profile(
    "unshrunk", settings.get_profile("any machine"), phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
settings.load_profile("any machine")

# What mostly waits: faults have to heal, alerts to last before they page, a browser has to see a pulse stand
# still. Two groups, which take about as long; the third process keeps the processors busy.
FAULTS_AND_ALERTS = ("tests/chaos/test_chaos.py", "tests/integration/test_alerting.py")
BROWSER = ("tests/browser/",)
WAITING = (*FAULTS_AND_ALERTS, *BROWSER)
# Folders whose tests run the parts together.
SYSTEM = ("tests/browser/", "tests/integration/", "tests/simulation/", "tests/chaos/")
# What takes minutes begins first, so that at the end no process waits long for the other.
FIRST = (*WAITING, "tests/integration/test_complete_journey_year.py", "tests/integration/")


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Tests that share servers share a process."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """The name of the group of a test: its file, but for those that mostly wait."""
    for name, starts in (("faults and alerts", FAULTS_AND_ALERTS), ("browser", BROWSER)):
        if nodeid.startswith(starts):
            return name
    return nodeid.partition("::")[0]


def pytest_configure(config: pytest.Config) -> None:
    """Stops the first of two tracers that pytest-cov 7 starts in a process of xdist.

    Where a test is marked `no_cover` it stops the second one only: every example would be traced.
    """
    cov = config.pluginmanager.getplugin("_cov")
    if hasattr(config, "workerinput") and cov is not None and cov.cov_controller is not None:
        cov.cov_controller.pause()


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """Groups go to the processes in the order of the tests, whatever `--dist` says."""
    config.option.loadscopereorder = False
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what takes longest in front, and lets only examples by hand count as coverage.

    A line that only a drawn example or a whole pipeline runs is tested by nothing that says what it does; and
    tracing doubles the time of the many examples.
    """
    items.sort(key=lambda item: _place(item.nodeid))
    for item in items:
        drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if drawn or item.nodeid.startswith(SYSTEM):
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Thousands of tests that stay to the end are no garbage: each collection would look at all of them."""
    gc.collect()
    gc.freeze()


def _place(nodeid: str) -> int:
    return next((place for place, start in enumerate(FIRST) if nodeid.startswith(start)), len(FIRST))

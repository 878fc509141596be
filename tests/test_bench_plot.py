"""The chart of docs/performance.md is drawn from what the contest measured."""

from __future__ import annotations

from tests.bench.plot import as_chart

RESULT = {
    "contestants": {
        "slow": {"events_per_s": {"median": 10.4, "min": 9, "max": 12}},
        "fast": {"events_per_s": {"median": 99.6, "min": 98, "max": 101}},
        "short": {"events_per_s": None},
        "other": {"events_per_s": {"median": 50.0, "min": 50, "max": 50}},
    }
}


def test_medians_stand_in_their_order() -> None:
    """The fastest first; a contestant whose run was too short to be timed has no bar, nor one left out."""
    lines = as_chart(RESULT, ("other",)).splitlines()
    assert lines[3:] == ["    x-axis [fast, slow]", '    y-axis "events/s"', "    bar [100, 10]", "```"]

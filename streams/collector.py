"""Python's garbage collector, set for a process through which many short-lived objects pass. No I/O.

Beside all of what runs for long: workers, the read service, the source of events.
"""

from __future__ import annotations

import gc

# By default the collector walks the young objects with every 700 that are made: for a worker that doubles the
# cost of a record. Records and cells have no cycles.
OF_RECORDS = (100_000, 20, 100)
# What clients leave behind has cycles: the old objects are walked nearly as often as by default.
OF_ANSWERS = (10_000, 10, 10)


def collect_seldom(thresholds: tuple[int, int, int]) -> None:
    """What is here by now stays, and is not looked at again; the rest as `gc.set_threshold` is told."""
    gc.freeze()
    gc.set_threshold(*thresholds)

"""Contestant: the production worker with the whole catalogue, as it runs by default.

The same records as for `shop_pulse`, but every figure in every scope and all four sizes of panes.
"""

from __future__ import annotations

from collections import Counter

from streams.local.processes import Program
from tests.bench import shop_pulse
from tests.bench.harness import Place, Timing, expect_equal

NAME = "shop_pulse_all"


def prepare(place: Place) -> Program:
    """`shop-pulse worker` with its default figures."""
    return shop_pulse.prepare(place, figures="all")


def run(place: Place, program: Program) -> Timing:
    """See `shop_pulse.run`."""
    return shop_pulse.run(place, program)


def check(place: Place) -> None:
    """What the task asks for, and the same events once more in the scope `all`."""
    shop_pulse.check(place, figures="all")
    counts, wanted = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for (_, event_type, minute_ms), count in place.dataset.totals.counts.items():
        wanted[event_type, minute_ms] += count
    for minute_ms in place.dataset.totals.minutes:
        for field, amount in shop_pulse.cells(place, "all", minute_ms).items():
            if field.startswith("events."):
                counts[field.removeprefix("events.").rstrip("|"), minute_ms] += amount
    expect_equal(NAME, "counts of all", counts, wanted)

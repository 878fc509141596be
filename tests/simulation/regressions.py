"""Seeds that once failed, and what they showed. Each must pass for ever.

A change of what seeds draw (`records`, `faults`, `seeds`) makes other stories of them: find the fault again
with the mutant that is named, and put its seed here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Regression:
    """What a seed showed, and the mutant that puts the fault back."""

    showed: str
    mutant: str


REGRESSIONS = {
    57: Regression(
        "A worker's clock was set back by hours, and for so long it saved nothing.",
        "clock_trusted",
    ),
    91: Regression(
        "A worker used a record that another owner had written later.",
        "tokens_of_readings_unchecked",
    ),
    110: Regression(
        "A worker used a record that another owner had written; Redis lost that write and held the worker's "
        "own token again, so that the guard let its write pass. With an order an affiliate's money was "
        "missing for good; here a live is in no day's list.",
        "tokens_of_readings_unchecked",
    ),
    198: Regression(
        "A refusal during a take-over: the consumer obeyed the older opening, which came later, and all that "
        "it read was dropped as of an older epoch until the watchdog ended the worker.",
        "openings_in_any_order",
    ),
    3709: Regression(
        "Taps of a user's day were deleted while a copy stood in memory; an order's id was taken again, the "
        "copy was put once more, and no day's list named it: it would stay for ever.",
        "deleted_records_filed_nowhere",
    ),
    1643: Regression(
        "The worker was right: event time leapt by months, more hashes of what becomes final were to go than "
        "one write deletes, and what the next ones delete was taken for wrong.",
        "first_slice_only",
    ),
    9730: Regression(
        "The same, in some processes only: which panes a write deletes was decided by where their sizes lay "
        "in memory, so that one seed was several stories.",
        "first_slice_only",
    ),
    11822: Regression(
        "A lost position, and a rebalance before the take-over that it asked for had made its first step: "
        "the owner that was nobody's any more opened the consumer for itself, and what was read for it was "
        "dropped as of another epoch until the watchdog ended the worker.",
        "released_before_it_began",
    ),
}

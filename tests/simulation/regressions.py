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
    1790: Regression(
        "A refusal during a take-over: the consumer obeyed the older opening, which came later, and all that "
        "it read was dropped as of an older epoch until the watchdog ended the worker.",
        "openings_in_any_order",
    ),
}

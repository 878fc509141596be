"""The one error that a user sees: a line that says what is wrong and what to do.

It stands outside the way of an event. Whoever meets a situation that only a person can mend raises it, and
`streams.__main__` prints it without a traceback.
"""

from __future__ import annotations


class PulseError(Exception):
    """What is wrong and what to do about it, in one line of text."""


class UnusableStateError(PulseError):
    """Figures that cannot be counted on from where they stand: only a rebuild goes on."""


# What refusals of a state end with: the command that continues, and what it will do.
REBUILD = "`shop-pulse rebuild` counts the log anew beside these figures, then switches"
REBUILD_INCOMPLETE = "`shop-pulse rebuild --accept-incomplete` counts what is left anew, then switches"

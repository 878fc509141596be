"""Whether a redirection moved users: before against after, and one arm against the other. Pure arithmetic.

It stands behind the reading of a rule's counts. A rise from before to after may be the season's; only users
who were assigned and held out tell what the redirection itself did.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, exp, log, sqrt

from streams.answer_body import USERS_STANDARD_ERROR

# Two-sided 95 %.
Z_INTERVAL = 1.959964
# Below this the arms are not of the sizes that they were meant to be: something decides who is assigned.
SAMPLE_RATIO_P_MIN = 0.001


@dataclass(frozen=True, slots=True)
class Arm:
    """Users of an arm: assigned (exact), and of these active in the target (estimated)."""

    assigned: int
    active: int

    @property
    def share(self) -> float | None:
        """Active over assigned users; an estimate above all of them counts as all."""
        return min(self.active, self.assigned) / self.assigned if self.assigned else None


def rise_percent(before: int | None, after: int | None) -> float | None:
    """By how much a number rose; None where one is not known, or from nothing."""
    return 100 * (after - before) / before if before and after is not None else None


def against_held_out(treated: Arm, held_out: Arm) -> tuple[float | None, list[float] | None]:
    """Uplift of the share of active users in percent, and its 95 % interval.

    The interval is of the logarithm of the ratio of two shares (delta method), widened by the sketches' own
    error. None where there is nothing to divide by; no interval where nobody is active.
    """
    mine, theirs = treated.share, held_out.share
    if mine is None or not theirs:
        return None, None
    uplift = 100 * (mine / theirs - 1)
    if not mine:
        return uplift, None
    variance = sum(
        (1 - share) / (share * arm.assigned) + USERS_STANDARD_ERROR**2
        for arm, share in ((treated, mine), (held_out, theirs))
    )
    half = Z_INTERVAL * sqrt(variance)
    return uplift, [100 * (exp(log(mine / theirs) + side * half) - 1) for side in (-1, 1)]


def sample_ratio_p(treated: int, held_out: int, held_out_percent: int) -> float | None:
    """How likely arms at least as far from their expected shares are by chance (chi-square, one degree of
    freedom); None without a user."""
    users = treated + held_out
    if not users:
        return None
    expected = users * held_out_percent / 100
    chi_square = (held_out - expected) ** 2 / expected + (treated - users + expected) ** 2 / (
        users - expected
    )
    return erfc(sqrt(chi_square / 2))

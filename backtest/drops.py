"""What is done to a shop: drops at one step of the funnel, sources that fall silent, a pipeline that stands.

A drop keeps a part of the people from a step while it is in force. It touches the sessions whose step falls
into it, so the sessions first seen up to a horizon earlier, too; who does not take a step takes none after
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from backtest.shops import (
    FIRST_HOUR,
    GATEWAYS,
    LEAD_MIN,
    MEASURES,
    PLATFORMS,
    STRATA,
    SURFACES,
    Counts,
    Floats,
    Parameters,
    Tables,
    apart,
    joined,
)
from streams.cohorts import ATTEMPT_HORIZON_MIN

SIZES: Final = (0.10, 0.25, 0.50, 0.80, 1.00)
HORIZON_MIN: Final = 15
# Whoever looks at a minute has events up to this long before it: 10 s of disorder, a scrape, whole minutes.
BEHIND_MIN: Final = 1
# What a page has to do with a drop: while it is in force, and while its sessions are in the windows.
AFTER_MIN: Final = HORIZON_MIN + 15
STEP_NAMES: Final = ("tag tap", "add to cart", "purchase")
# When sessions take a step, in minutes after their first view: mostly at once, and nearly all within the
# horizon.
_MEAN_DELAY_MIN: Final = (1.0, 2.5, 5.0)
FIRST_MINUTE: Final = FIRST_HOUR * 60


class Duration(NamedTuple):
    """How long a drop lasts, and for how long it grows before."""

    name: str
    ramp_min: int
    hold_min: int

    @property
    def whole_min(self) -> int:
        """From its beginning to its end."""
        return self.ramp_min + self.hold_min


DURATIONS: Final = (
    Duration("5 min", 0, 5),
    Duration("30 min", 0, 30),
    Duration("2 h", 0, 120),
    Duration("ramp 1 h + 1 h", 60, 60),
)


@dataclass(frozen=True)
class Drop:
    """A part `size` of the people is kept from the step `step` (0: tag tap) from minute `start` (of the
    scored ones).

    `platform` None: everywhere; with `gateway` only attempts through it.
    """

    size: float
    duration: Duration
    step: int
    start: int
    platform: int | None = None
    gateway: int | None = None

    @property
    def where(self) -> str:
        """Where people are kept from the step."""
        if self.gateway is not None:
            return "one gateway"
        return "everywhere" if self.platform is None else "one platform"

    @property
    def horizon_min(self) -> int:
        """How long one waits for those who are struck: sessions, or attempts."""
        return HORIZON_MIN if self.gateway is None else ATTEMPT_HORIZON_MIN

    @property
    def end(self) -> int:
        """The first minute after it."""
        return self.start + self.duration.whole_min

    def force(self, minutes: int) -> Floats:
        """How much of it is in force, 0 to 1, in each of the LEAD_MIN and scored minutes (and a horizon
        on)."""
        at = np.arange(minutes + HORIZON_MIN + 1) - LEAD_MIN - self.start
        grown = (
            np.ones(len(at))
            if not self.duration.ramp_min
            else np.clip((at + 0.5) / self.duration.ramp_min, 0, 1)
        )
        return np.where((at >= 0) & (at < self.duration.whole_min), grown, 0.0)


def place_drop(number: int, size: float, duration: Duration, random: np.random.Generator) -> Drop:
    """The drop of that number: steps by turns; of twenty, twelve everywhere, five on a platform, three a
    gateway's."""
    kind = number // len(STEP_NAMES) % 20
    step = number % len(STEP_NAMES)
    start = int(random.integers(60))
    if kind < 12:
        return Drop(size, duration, step, start)
    platform = int(random.integers(len(PLATFORMS)))
    if kind < 17:
        return Drop(size, duration, step, start, platform)
    return Drop(size, duration, 2, start, platform, int(random.integers(len(GATEWAYS))))


def delays(step: int) -> Floats:
    """What part takes the step in each minute after the first view, of those who take it within the
    horizon."""
    weights = np.exp(-np.arange(HORIZON_MIN + 1) / _MEAN_DELAY_MIN[step])
    return np.asarray(weights / weights.sum())


def lost_parts(drop: Drop, minutes: int) -> Floats:
    """What part of the sessions first seen in each of the LEAD_MIN and scored minutes does not take the
    step."""
    struck = np.convolve(drop.force(minutes), delays(drop.step)[::-1])
    return np.asarray(drop.size * struck[HORIZON_MIN : HORIZON_MIN + minutes])


def struck(tables: Tables, drop: Drop, random: np.random.Generator, parameters: Parameters) -> Tables:
    """The same minutes with the drop in them."""
    minutes = tables.steps.shape[-1]
    lost = lost_parts(drop, minutes)
    if drop.gateway is not None:
        lost = lost * parameters.gateway_shares[drop.gateway]
    kept = 1 - np.clip(lost, 0, 1)
    each, strata = apart(tables), _strata(drop)
    each[:, strata] = _thinned(each[:, strata], drop.step, kept, random)
    steps, lives = joined(each)
    attempts, failures = _payments(tables, drop, drop.force(minutes)[:minutes], random)
    return tables._replace(steps=steps, lives=lives, attempts=attempts, failures=failures)


def _strata(drop: Drop) -> list[int]:
    """Those that a drop strikes, large lives apart."""
    if drop.platform is None:
        return list(range(STRATA + len(PLATFORMS)))
    first = drop.platform * len(SURFACES)
    return [*range(first, first + len(SURFACES)), STRATA + drop.platform]


def _thinned(steps: Counts, step: int, kept: Floats, random: np.random.Generator) -> Counts:
    """Who took the step takes it with the probability `kept`; who does not, takes no later one."""
    thinned = steps.copy()
    went_on = np.zeros_like(steps[0])  # those who are left of a later step
    for later in range(steps.shape[0] - 1, step, -1):
        only = steps[later] - (steps[later + 1] if later + 1 < steps.shape[0] else 0)
        went_on = went_on + random.binomial(only, np.broadcast_to(kept, only.shape))
        thinned[later] = went_on
    return thinned


def _payments(
    tables: Tables, drop: Drop, force: Floats, random: np.random.Generator
) -> tuple[Counts, Counts]:
    """A gateway's drop makes its attempts fail technically; any other leaves fewer attempts (a broken
    button)."""
    attempts, failures = tables.attempts.copy(), tables.failures.copy()
    struck_part = np.clip(drop.size * force, 0, 1)
    for row in range(len(attempts)):
        platform, gateway = divmod(row, len(GATEWAYS))
        if drop.platform not in {None, platform} or drop.gateway not in {None, gateway}:
            continue
        if drop.gateway is None:
            attempts[row] = random.binomial(attempts[row], 1 - struck_part)
            failures[row] = np.minimum(failures[row], attempts[row])
        else:
            failures[row] += random.binomial(attempts[row] - failures[row], struck_part)
    return attempts, failures


@dataclass(frozen=True)
class Outage:
    """The pipeline stands, or a topic is silent, from minute `start` of the scored ones.

    `silent` names the measure from which on nothing comes (1: tag taps, 3: purchases); None: the pipeline
    stands.
    """

    start: int
    minutes: int
    silent: int | None


def silenced(tables: Tables, outage: Outage) -> Tables:
    """What is counted when a source sends nothing: its steps, and those after them, are missing for good."""
    if outage.silent is None:
        return tables
    minutes = tables.steps.shape[-1]
    whole = Drop(1.0, Duration("", 0, outage.minutes), outage.silent - 1, outage.start)
    lost = lost_parts(whole, minutes)
    each = apart(tables)
    kept = 1 - np.clip(lost, 0, 1)
    for later in range(outage.silent, each.shape[0]):
        each[later] = np.rint(each[later] * kept).astype(np.int64)
    steps, lives = joined(each)
    if outage.silent < MEASURES - 1:
        return tables._replace(steps=steps, lives=lives)
    during = slice(LEAD_MIN + outage.start, LEAD_MIN + outage.start + outage.minutes)
    gone = tables._replace(
        steps=steps,
        lives=lives,
        attempts=tables.attempts.copy(),
        failures=tables.failures.copy(),
        orders=tables.orders.copy(),
        value=tables.value.copy(),
    )
    for counts in (gone.attempts, gone.failures, gone.orders, gone.value):
        counts[:, during] = 0
    return gone

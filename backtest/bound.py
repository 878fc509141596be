"""How soon a drop can be found at all: the fewest sessions that show it, and the minutes in which they come.

It stands beside the rules and knows nothing of them: an exact binomial test of "the rate is DROP_TO of the
usual one, or more", one-sided at the rules' error, whose baseline is known for certain. What it needs for a
power of 90 % nobody can undercut for long with the same sessions.
"""

from __future__ import annotations

from functools import cache
from math import ceil, log
from typing import Final

import numpy as np

from backtest.drops import HORIZON_MIN, Drop, lost_parts
from backtest.shops import LEAD_MIN, Floats, Parameters, Shop
from streams.cohorts import ATTEMPT_HORIZON_MIN, DROP_TO

ALPHA: Final = 1e-4
POWER: Final = 0.9
_MOST: Final = 400_000
_LOG_FACTORIAL: Final = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, _MOST + 1)))])


def _at_most(n: int, rate: float) -> Floats:
    """The probability of k or fewer of n, for every k."""
    k = np.arange(n + 1)
    if rate <= 0:
        return np.ones(n + 1)
    logs = _LOG_FACTORIAL[n] - _LOG_FACTORIAL[k] - _LOG_FACTORIAL[n - k]
    return np.asarray(np.cumsum(np.exp(logs + k * log(rate) + (n - k) * np.log1p(-rate))))


def power(n: int, held: float, rate: float) -> float:
    """How often the test of "at least `held`" finds the rate `rate` in n sessions."""
    significant = int(np.searchsorted(_at_most(n, held), ALPHA, side="right"))  # this many values of k
    return float(_at_most(n, rate)[significant - 1]) if significant else 0.0


@cache
def fewest(usual: float, size: float) -> int | None:
    """The fewest sessions that show a drop of `size` from the rate `usual`; None for none at all."""
    held, rate = usual * DROP_TO, usual * (1 - size)
    if rate >= held:
        return None
    low, high = 1, 16
    while power(high, held, rate) < POWER:
        low, high = high, high * 2
        if high > _MOST:
            return None
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, held, rate) >= POWER else (middle, high)
    return high


def sessions_for_nothing(usual: float) -> int:
    """The fewest sessions in which not one success is significant: no test needs fewer."""
    return ceil(log(ALPHA) / log(1 - usual))


@cache
def _by_percent(usual: float) -> Floats:
    """`fewest` of a drop of 0, 1, …, 100 percent; infinite where nothing shows it."""
    needed = (fewest(usual, percent / 100) for percent in range(101))
    return np.array([np.inf if each is None else each for each in needed])


def minutes_needed(shop: Shop, drop: Drop, parameters: Parameters) -> int | None:
    """In how many minutes from its beginning enough sessions show a drop, the horizon included.

    None where too few are struck: nobody can be asked to find it. Sessions first seen before it are struck in
    part, so are those of a ramp: the best stretch of minutes counts, by the mean of what it loses (percents
    rounded up).
    """
    usual, arriving, lost, horizon_min = _asked(shop, drop, parameters)
    needed = _by_percent(usual)
    first = max(LEAD_MIN + drop.start - HORIZON_MIN, 0)
    arriving, lost = arriving[first:], lost[first : len(arriving)]
    for end in range(1, LEAD_MIN + drop.end - first + 1):
        came = arriving[:end][::-1].cumsum()
        part = (arriving * lost)[:end][::-1].cumsum() / np.maximum(came, 1e-9)
        if (came >= needed[np.ceil(part * 100 - 1e-9).astype(np.int64)]).any():
            return max(first + end - LEAD_MIN - drop.start, 0) + horizon_min
    return None


def _asked(shop: Shop, drop: Drop, parameters: Parameters) -> tuple[float, Floats, Floats, int]:
    """The usual rate of the step, how many come to it in each minute, what part is lost, and the horizon."""
    rates = parameters.step_rates
    people = shop.expected * float(np.prod(rates[: drop.step]))
    if drop.platform is not None:
        people = people * parameters.platform_shares[drop.platform]
    if drop.gateway is None:
        return rates[drop.step], people, lost_parts(drop, len(people)), HORIZON_MIN
    attempts = people * parameters.attempts_per_cart * parameters.gateway_shares[drop.gateway]
    lost = drop.size * drop.force(len(people))[: len(people)]
    return 1 - parameters.gateway_failures, attempts, lost, ATTEMPT_HORIZON_MIN

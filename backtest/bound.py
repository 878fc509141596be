"""How soon a drop can be found at all: the fewest sessions that show it, and the minutes in which they come.

It stands beside the rules and knows nothing of them but the line that they draw: an exact binomial test of
"the rate is DROP_TO of the usual one, or more" (of a gateway: "no more fail than where a gateway begins to
fail"), one-sided at the rules' error, whose baseline is known for certain. What it needs for a power of 90 %
nobody can undercut for long with the same sessions.
"""

from __future__ import annotations

from functools import cache
from math import ceil, log
from typing import Final

import numpy as np

from backtest.drops import HORIZON_MIN, Drop, lost_parts
from backtest.shops import LEAD_MIN, Floats, Parameters, Shop
from streams.cohorts import DROP_TO
from streams.gateways import FAILING_MORE, FAILING_TIMES

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


def held_by_gateway(usual: float) -> float:
    """The rate of attempts that don't fail below which a gateway fails, its usual one being `usual`."""
    failing = 1 - usual
    return 1 - max(FAILING_TIMES * failing, failing + FAILING_MORE)


@cache
def fewest(usual: float, size: float, held: float | None = None) -> int | None:
    """The fewest sessions that show a drop of `size` from the rate `usual` to be one below `held` (None:
    below DROP_TO of it); None for none at all."""
    held, rate = usual * DROP_TO if held is None else held, usual * (1 - size)
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
def _by_percent(usual: float, held: float) -> Floats:
    """`fewest` of a drop of 0, 1, …, 100 percent; infinite where nothing shows it."""
    needed = (fewest(usual, percent / 100, held) for percent in range(101))
    return np.array([np.inf if each is None else each for each in needed])


def minutes_needed(shop: Shop, drop: Drop, parameters: Parameters) -> int | None:
    """In how many minutes from its beginning enough sessions show a drop, the horizon included.

    None where too few are struck: nobody can be asked to find it. Sessions first seen before it are struck in
    part, so are those of a ramp: the best stretch of minutes counts, by the mean of what it loses (percents
    rounded up).
    """
    needed, arriving, lost = _asked(shop, drop, parameters)
    first = max(LEAD_MIN + drop.start - HORIZON_MIN, 0)
    arriving, lost = arriving[first:], lost[first : len(arriving)]
    for end in range(1, LEAD_MIN + drop.end - first + 1):
        came = arriving[:end][::-1].cumsum()
        part = (arriving * lost)[:end][::-1].cumsum() / np.maximum(came, 1e-9)
        if (came >= needed[np.ceil(part * 100 - 1e-9).astype(np.int64)]).any():
            return max(first + end - LEAD_MIN - drop.start, 0) + drop.horizon_min
    return None


def _asked(shop: Shop, drop: Drop, parameters: Parameters) -> tuple[Floats, Floats, Floats]:
    """How many are needed by percent lost; how many come to the step in each minute, what part is
    lost."""
    rates = parameters.step_rates
    # Of the platform itself: a large live brings its people to one of them.
    people = shop.expected.sum(axis=0) if drop.platform is None else shop.expected[drop.platform]
    people = people * float(np.prod(rates[: drop.step]))
    if drop.gateway is None:
        usual = rates[drop.step]
        return _by_percent(usual, usual * DROP_TO), people, lost_parts(drop, len(people))
    attempts = people * parameters.attempts_per_cart * parameters.gateway_shares[drop.gateway]
    usual = 1 - parameters.gateway_failures
    return (
        _by_percent(usual, held_by_gateway(usual)),
        attempts,
        drop.size * drop.force(len(people))[: len(people)],
    )

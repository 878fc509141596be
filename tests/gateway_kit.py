"""What is to be said of a gateway, in plain words: the second opinion on the rules and on the backtest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.cohorts import lower_bound
from streams.gateways import Attempts


class Verdict(NamedTuple):
    """The shortest window that fails, if any; whether the newest attempts are as usual (None: too few)."""

    failing: Attempts | None
    holds: bool | None


def _usual(window: Attempts) -> float:
    return 0.2 if window.usual_ratio is None else window.usual_ratio


def _holds(window: Attempts) -> bool:
    return window.failed / window.n < 2 * _usual(window) + 0.05


def bound(window: Attempts) -> float:
    """The lower bound of the part that fails, two attempts taken for one."""
    return lower_bound(window.n / 2, window.failed / 2)


def verdict(windows: Sequence[Attempts]) -> Verdict:
    """Of windows, shortest first."""
    holds: bool | None = None
    for window in windows:
        if window.n < 10:
            continue
        if _holds(window):
            return Verdict(None, True if holds is None else holds)
        holds = False
        if bound(window) > max(2 * _usual(window), _usual(window) + 0.1):
            return Verdict(window, holds)
    return Verdict(None, holds)

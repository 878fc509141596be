"""What explains a drop: the slices that fell more than the rest, ranked. Pure arithmetic.

It stands beside `cohorts`: the watch brings tallies of the drop's time and of the day before it. A slice's
loss is what it would have reached as usual, less what it did. The largest platform loses most of any drop; so
a slice is a cause only for what it lost beyond the fall of all others, and only where chance is no
explanation. If no slice stands out, the drop is everywhere alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Final, NamedTuple

from streams.cohorts import Tally, Z

EVERYWHERE: Final = "everywhere alike"
# A slice with less of a past than this is held to what is usual for the whole: a new app version, say.
PAST_MIN: Final = 50
# What explains less than this part of the loss is no help.
SHARE_MIN: Final = 0.05
TEXT_MAX: Final = 80
# Ids come from clients and end in pages and chats: what could be markup, a link or a command is replaced.
_NOT_PLAIN = re.compile(r"[^\w \-.:,/]|(?<=/)/")


class Slice(NamedTuple):
    """A part of what fell: its name, its tally during the drop and before it, the product if it is one."""

    cause: str
    now: Tally
    before: Tally
    product_id: str | None = None


class Part(NamedTuple):
    """One way of cutting: the whole that is cut, and its slices. Slices may leave something over."""

    whole: Slice
    slices: Sequence[Slice]


class Cause(NamedTuple):
    """A slice that explains a `share` (0 to 1) of the loss: its ratio now, the expected one, its size now."""

    cause: str
    share: float
    now_ratio: float
    expected_ratio: float
    n: int
    product_id: str | None = None


def plain(text: str) -> str:
    """`text` of letters, digits, space and ``-_.:,/``, no ``//``; all else becomes ``_``. Cut to TEXT_MAX."""
    return _NOT_PLAIN.sub("_", text)[:TEXT_MAX]


def everywhere(now_n: int, now_k: int, expected_ratio: float) -> Cause:
    """What is left to say of a fall that no slice explains."""
    return Cause(EVERYWHERE, 1.0, now_k / now_n, expected_ratio, now_n)


def ranked(parts: Iterable[Part], limit: int) -> list[Cause]:
    """The slices that stand out, first those that explain much and fell far: of two that explain as much
    the one that fell further says more."""
    found: list[tuple[float, Cause]] = []
    for part in parts:
        whole = part.whole
        loss = _ratio(whole.before) * whole.now.n - whole.now.k
        if loss > 0:
            found += _causes(part, loss)
    found.sort(key=lambda each: (-each[0], each[1].n, each[1].cause))
    return [cause for _, cause in found[:limit]]


def _causes(part: Part, loss: float) -> Iterable[tuple[float, Cause]]:
    """The slices that fell further than the rest for sure, each with its weight."""
    whole, slices = part
    usual = _ratio(whole.before)
    ratios = [_ratio(of.before) if of.before.n >= PAST_MIN else usual for of in slices]
    # What no slice holds is expected to do as the whole does.
    over = max(whole.now.n - sum(of.now.n for of in slices), 0)
    expected_of_all = over * usual + sum(of.now.n * ratio for of, ratio in zip(slices, ratios, strict=True))
    for of, ratio in zip(slices, ratios, strict=True):
        expected, reached = of.now.n * ratio, of.now.k
        rest_expected, rest_reached = expected_of_all - expected, whole.now.k - reached
        if (
            expected <= 0
            or rest_expected <= 0
            or not _is_below(expected, reached, rest_expected, rest_reached)
        ):
            continue
        share = min((expected * min(rest_reached / rest_expected, 1.0) - reached) / loss, 1.0)
        if share >= SHARE_MIN:
            weight = share * (1 - reached / expected)
            yield weight, Cause(of.cause, share, _ratio(of.now), ratio, of.now.n, of.product_id)


def _is_below(expected: float, reached: int, rest_expected: float, rest_reached: int) -> bool:
    """Whether chance hardly explains that so few of all that reached the step belong to the slice."""
    total = reached + rest_reached
    part = expected / (expected + rest_expected)
    return part * total - reached > Z * sqrt(total * part * (1 - part))


def _ratio(tally: Tally) -> float:
    return tally.k / tally.n if tally.n else 0.0

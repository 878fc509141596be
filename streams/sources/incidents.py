"""Incidents on request: a gateway down, a broken checkout, half the traffic, a silent source.

They stand before the way of an event: the simulation asks them what goes wrong at a moment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.events import INPUT_TOPICS
from streams.errors import PulseError
from streams.sources.world import MARKETS

GATEWAYS: Final = tuple(sorted({gateway for market in MARKETS for gateway in market.gateways}))
# what may go wrong -> the names it can happen to; none: it happens to the whole shop
TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "gateway-down": GATEWAYS,
    "checkout-broken": (),
    "traffic-halves": (),
    "source-silent": INPUT_TOPICS,
}
_FORM: Final = re.compile(
    r"(?P<kind>[a-z-]+)(:(?P<target>[^@]*))?@(?P<start>\d+)(?P<start_unit>[smh])\+(?P<length>\d+)(?P<unit>[smh])"
)
_UNIT_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that goes wrong in [start_ms, end_ms) after the beginning of the simulation."""

    kind: str
    target: str
    start_ms: int
    end_ms: int


def parse(text: str) -> Incident:
    """The incident that `text` describes, for example `gateway-down:adyen@60s+120s`.

    Raises PulseError when it cannot be meant.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise _wrong(text, "write KIND[:TARGET]@START+LENGTH, for example gateway-down:adyen@60s+120s")
    kind, target = match["kind"], match["target"] or ""
    if kind not in TARGETS:
        raise _wrong(text, f"the kind is one of {', '.join(TARGETS)}")
    if TARGETS[kind] and target not in TARGETS[kind]:
        raise _wrong(text, f"{kind} needs one of {', '.join(TARGETS[kind])} behind a colon")
    if not TARGETS[kind] and match["target"] is not None:
        raise _wrong(text, f"{kind} takes no target; write {kind}@START+LENGTH")
    start = int(match["start"]) * _UNIT_MS[match["start_unit"]]
    length = int(match["length"]) * _UNIT_MS[match["unit"]]
    if length == 0:
        raise _wrong(text, "it would last no time; give a length above 0")
    return Incident(kind, target, start, start + length)


def _wrong(text: str, advice: str) -> PulseError:
    return PulseError(f"--incident {text!r}: {advice}")


class Incidents:
    """All incidents of a run, placed in time."""

    __slots__ = ("_by_kind", "_start_ms")

    def __init__(self, incidents: Sequence[Incident], start_ms: int) -> None:
        self._start_ms = start_ms
        self._by_kind = {kind: [each for each in incidents if each.kind == kind] for kind in TARGETS}

    def holds(self, kind: str, target: str, time_ms: int) -> bool:
        """Whether `kind` happens to `target` ("" where there is none) at this time."""
        offset = time_ms - self._start_ms
        return any(
            each.target == target and each.start_ms <= offset < each.end_ms for each in self._by_kind[kind]
        )

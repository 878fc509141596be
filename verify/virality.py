"""Virality: who came by a share through which channel, and when these shared first.

What each user did with shares is collected; at the end it is split, sorted and laid side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from verify.asked import ABSENT, Asked, Near, ratio
from verify.model import Booking, Counted, CountedIn
from verify.rules import DAY_MS, SECOND_MS
from verify.users import WITH_SHARERS

BUCKETS_S = (
    *(30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200),
    *(86_400, 172_800, 259_200, 432_000, 604_800),
)
KEPT_DAYS = 7
CONVERTS_KEPT = 8
TOPIC = "engagement"
LENT = frozenset({"channel", "mini_program,channel"})
WITH_VIRALITY = WITH_SHARERS | LENT
WITH_ACTIVE = WITH_SHARERS - {"channel"}


class Told(NamedTuple):
    """One accepted, real event about a share; sorts by event time, then offset."""

    time_ms: int
    offset: int
    kind: str
    channel: str | None

    @property
    def day(self) -> int:
        """Days since 1970."""
        return self.time_ms // DAY_MS


class Arrivals:
    """New users of one partition."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[Told]] = {}
        self._of_user: dict[str, list[Told]] = {}

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """Any accepted, real event; all but those of shares say nothing here."""
        kind = event["event_type"]
        if kind not in ("share", "share_open", "share_convert"):
            return
        told = Told(event["event_time_ms"], offset, kind, event.get("channel"))
        if kind == "share_convert" or (kind == "share_open" and told.channel is not None):
            self._seen.setdefault((event["user_id"], event["share_id"]), []).append(told)
        if kind != "share_open":
            self._of_user.setdefault(event["user_id"], []).append(told)

    def bookings(self, counted_in: CountedIn) -> Iterable[Booking]:
        """Each new user once, and each first share of one."""
        for told in self._seen.values():
            for lifetime in _lifetimes(told):
                yield from _new_users(lifetime, counted_in)
        for told in self._of_user.values():
            yield from _cycles(told, counted_in)


def _lifetimes(told: Iterable[Told]) -> Iterator[list[Told]]:
    """Cut, in the order of the log, where an event is over a week of days past the first of its part."""
    part: list[Told] = []
    for each in told:
        if part and each.day - part[0].day > KEPT_DAYS:
            yield part
            part = []
        part.append(each)
    yield part


def _new_users(lifetime: Sequence[Told], counted_in: CountedIn) -> Iterator[Booking]:
    opened = min((each for each in lifetime if each.kind == "share_open"), default=None)
    converts = [each for each in lifetime if each.kind == "share_convert"]
    for number, convert in enumerate(converts):
        own = [each for each in counted_in[TOPIC, convert.offset] if each.scope[0] in WITH_ACTIVE]
        lent = [Counted(("channel", "unknown"), False)]
        if opened is not None and opened.time_ms <= convert.time_ms and number < CONVERTS_KEPT:
            lent = [each for each in counted_in[TOPIC, opened.offset] if each.scope[0] in LENT]
        yield from _booked("new_users", convert.time_ms, own + lent)


def _cycles(told: Sequence[Told], counted_in: CountedIn) -> Iterator[Booking]:
    """A user is new once a week of days; the first share behind that in the log ends the cycle."""
    places = [place for place, each in enumerate(told) if each.kind == "share_convert"]
    arrivals: list[int] = []
    for place in places:
        if not arrivals or told[place].day - told[arrivals[-1]].day > KEPT_DAYS:
            arrivals.append(place)
    for begun, ended in pairwise([*arrivals, len(told)]):
        arrival = told[begun]
        shares = [each for each in told[begun:ended] if each.kind == "share"]
        passed = [(share, share.time_ms - arrival.time_ms) for share in shares]
        first = next(((of, ms) for of, ms in passed if 0 <= ms <= KEPT_DAYS * DAY_MS), None)
        if first is not None:
            share, passed_ms = first
            bucket = next(upper_s for upper_s in BUCKETS_S if passed_ms <= upper_s * SECOND_MS)
            scopes = [each for each in counted_in[TOPIC, share.offset] if each.scope[0] in WITH_SHARERS]
            yield from _booked(f"cycles.{bucket}", share.time_ms, scopes)


def _booked(measure: str, time_ms: int, counted: Iterable[Counted]) -> Iterator[Booking]:
    for scope, is_moved in counted:
        yield Booking(time_ms, (scope,), ((measure, 1),))
        if is_moved:
            yield Booking(time_ms, ((scope[0], TOPIC),), (("capped", 1),))


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    names = (
        "active_users shares opens new_users sharers new_users_per_sharer k_factor cycle_p50_seconds maturity"
    )
    expected: dict[str, Any] = {f"virality.{name}": ABSENT for name in names.split()}
    if asked.kind not in WITH_VIRALITY:
        return expected
    sums = asked.sums
    expected |= {
        "virality.shares": sums["events.share"],
        "virality.opens": sums["events.share_open"],
        "virality.new_users": sums["new_users"],
    }
    if asked.kind in WITH_SHARERS:
        expected |= _of_users(asked)
        cycle_s = None if asked.events_capped else _median_s(sums)
        expected["virality.cycle_p50_seconds"] = cycle_s
        expected["virality.maturity"] = _maturity(asked, cycle_s)
    return expected


def _of_users(asked: Asked) -> dict[str, Any]:
    """By the answer's own estimates of users, which are held to the truth by themselves."""
    said, span = asked.part("virality"), asked.users_range
    expected: dict[str, Any] = {}
    for name, step, kinds in (("active_users", "view", WITH_ACTIVE), ("sharers", "share", WITH_SHARERS)):
        if asked.kind in kinds:
            count = None if span is None else Near(asked.totals.user_count(asked.scope, step, span))
            expected[f"virality.{name}"] = count
    per_sharer = k_factor = None
    if span is not None and not asked.users_capped:
        sums = asked.sums if span[:2] == asked.span[:2] else asked.totals.of(asked.scope, span)
        new_users, shares = sums["new_users"], sums["events.share"]
        per_sharer = ratio(new_users, said.get("sharers"))
        active = said.get("active_users") if asked.kind in WITH_ACTIVE else None
        k_factor = ratio(new_users, active) if shares else None
    return expected | {"virality.new_users_per_sharer": per_sharer, "virality.k_factor": k_factor}


def _median_s(sums: Mapping[str, int]) -> float | None:
    """Half of the cycles lie below it; linear within a bucket."""
    counts = [sums.get(f"cycles.{upper}", 0) for upper in BUCKETS_S]
    half = sum(counts) / 2
    for number, count in enumerate(counts):
        below = sum(counts[:number])
        if count and below + count >= half:
            lower = BUCKETS_S[number - 1] if number else 0
            return lower + (BUCKETS_S[number] - lower) * (half - below) / count
    return None


def _maturity(asked: Asked, cycle_s: float | None) -> float | None:
    """The part of the range that lies a median cycle or more before as-of."""
    as_of_ms = asked.answer.get("as_of_ms")
    if cycle_s is None or not isinstance(as_of_ms, int):
        return None
    ripe_ms = as_of_ms - cycle_s * SECOND_MS - asked.span.from_ms
    return min(max(ripe_ms / (asked.span.to_ms - asked.span.from_ms), 0.0), 1.0)

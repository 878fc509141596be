"""What was read of panes that have been quiet since: it need not be read again. Pure.

It stands in the reading of the store, before Redis is asked. Each write marks what it changes, and each
reading is told what was marked since the one before. Most panes of a window are past: little changes in them,
and not of every live or platform. Those that events fall into now change with every write, and are not
remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from streams.marks import Place, Standing, Touched

# What changed so lately will change again, and a reading that took longer remembers nothing: so
# whatever another reading was told meanwhile is among what it leaves out.
HOT_S = 1.0
# Whoever heard so lately what changed need not ask for that alone before a reading.
HEARD_S = 0.05
# What is not asked for in one turn or two is forgotten; so a scrape every 15 s finds what the last one left.
TURN_S = 60.0
# With each turn one part of so many is read again: what somebody else wrote into Redis is seen in the end.
PARTS = 10
# A turn ends early with so many bytes, and what goes with each of the entries.
BYTES_MAX = 64 * 1024 * 1024
ENTRY_BYTES = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """When a reading began, and what was known then.

    Attributes:
        at_s: when, on the clock of whoever asks.
        era: how often everything had been forgotten.
        standings: up to where each partition number is known; empty where nothing is.
    """

    at_s: float
    era: int
    standings: dict[int, Standing]

    def since(self, p: int) -> str:
        """Number of the write up to which a partition number is known; empty where it is not."""
        known = self.standings.get(p)
        return "" if known is None else str(known.seq)


class Subject(NamedTuple):
    """What was asked for of a pane: where, and a digest of all of it."""

    place: Place
    digest: bytes


# place -> digest -> what was read.
_Found: TypeAlias = dict[Place, dict[bytes, bytes]]
# A place in a pane; a kind, where any of its places may have changed, or None for the whole pane.
_Spot: TypeAlias = tuple[str, Place | str | None]


class PaneMemory:
    """What was read of quiet panes, over all partition numbers: by pane, as the index of panes names it, and
    by subject."""

    def __init__(self) -> None:
        self._standings: dict[int, Standing] = {}
        self._era = 0
        # When each partition number was asked what changed.
        self._heard_s: dict[int, float] = {}
        # Until when a spot is hot, the soonest first.
        self._hot: dict[_Spot, float] = {}
        # By pane: used in this turn, and in the last one only.
        self._young: dict[str, _Found] = {}
        self._old: dict[str, _Found] = {}
        self._bytes = 0
        self._turned_s = 0.0
        self._turns = 0

    def ask(self, now_s: float) -> Asked:
        """At the beginning of a reading."""
        if now_s - self._turned_s >= TURN_S or self._bytes >= BYTES_MAX:
            self._turns += 1
            self._old = {
                pane: found for pane, found in self._young.items() if (hash(pane) + self._turns) % PARTS
            }
            self._young, self._bytes, self._turned_s = {}, 0, now_s
        return Asked(now_s, self._era, dict(self._standings))

    def is_behind(self, now_s: float) -> bool:
        """Whether something is known, and what changed since is not."""
        return any(now_s - heard_s > HEARD_S for heard_s in self._heard_s.values())

    def get(self, pane: str, subject: Subject) -> bytes | None:
        """What was read of the pane; None if it is not remembered."""
        place, digest = subject
        found = self._young.get(pane, _NO_PLACE).get(place, _NOTHING).get(digest)
        if found is None:
            found = self._old.get(pane, _NO_PLACE).get(place, _NOTHING).get(digest)
            if found is not None:
                self._keep(pane, subject, found)
        return found

    def put(self, asked: Asked, now_s: float, pane: str, subject: Subject, packed: bytes) -> None:
        """Remembers what a reading found of a pane, unless it may have changed by now.

        What other readings were told meanwhile is hot. Those that began without knowing where every partition
        number stood were told nothing.
        """
        is_known = asked.era == self._era and self._standings.keys() <= asked.standings.keys()
        if is_known and now_s - asked.at_s < HOT_S and not self._is_hot(pane, subject.place):
            self._keep(pane, subject, packed)

    def _is_hot(self, pane: str, place: Place) -> bool:
        return any((pane, spot) in self._hot for spot in (None, place.kind, place))

    def learn(
        self, asked: Asked, p: int, found: Standing, changed: Sequence[Touched] | None, now_s: float
    ) -> bool:
        """Takes in what a partition number told: where it stands, and what changed after where it was known
        to stand; None if not all of that is known.

        False if what was remembered when the reading began says nothing of this moment. Whoever reads
        meanwhile may be told of a later moment, and hear it sooner.
        """
        before = asked.standings.get(p)
        goes_on = before is not None and before.leads_to(found) and changed is not None
        if asked.era == self._era:
            self._heard_s[p] = max(self._heard_s.get(p, 0.0), asked.at_s)
            known = self._standings.get(p)
            if known is None:
                self._standings[p] = found
            elif before is not None and not goes_on:
                self._forget()
            elif before is not None and known.leads_to(found):
                self._standings[p] = found
                self._heat(changed or (), now_s)
        return goes_on

    def _keep(self, pane: str, subject: Subject, packed: bytes) -> None:
        self._young.setdefault(pane, {}).setdefault(subject.place, {})[subject.digest] = packed
        self._bytes += ENTRY_BYTES + len(packed)

    def _heat(self, changed: Sequence[Touched], now_s: float) -> None:
        while self._hot and self._hot[spot := next(iter(self._hot))] <= now_s:
            del self._hot[spot]
        for changes in changed:
            for spot in _spots(changes):
                self._drop(*spot)
                self._hot.pop(spot, None)
                self._hot[spot] = now_s + HOT_S

    def _drop(self, pane: str, spot: Place | str | None) -> None:
        for found in (self._young, self._old):
            places = found.get(pane, {})
            if isinstance(spot, Place):
                places.pop(spot, None)
            else:
                for place in [each for each in places if spot in (None, each.kind)]:
                    del places[place]

    def _forget(self) -> None:
        self._era += 1
        self._standings.clear()
        self._heard_s.clear()
        self._hot.clear()
        self._young.clear()
        self._old.clear()
        self._bytes = 0


_NO_PLACE: _Found = {}
_NOTHING: dict[bytes, bytes] = {}


def _spots(changes: Touched) -> Iterator[_Spot]:
    for pane, kinds in changes.items():
        if kinds is None:
            yield pane, None
            continue
        for kind, values in kinds.items():
            if values is None:
                yield pane, kind
            else:
                yield pane, Place(kind, None)
                for value in values:
                    yield pane, Place(kind, value)

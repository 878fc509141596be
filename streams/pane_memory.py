"""What was read of panes: it need not be read again. Pure.

It stands in the reading of the store, before Redis is asked. Each write marks what it changes, and each
reading is told what was marked since the one before: that is added to what is remembered, which so is at any
time what Redis held at the last number of each partition that was heard of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from streams.marks import Change, Standing
from streams.subjects import Amounts, Columns, Found, Packed, Subject, pack

# A reading that others overtook by more writes remembers nothing.
WRITES_HELD = 32
# So many additions are gathered before they are made.
ADDED_MAX = 64
# What is not asked for in one turn or two is forgotten; so a scrape every 15 s finds what the last one left.
TURN_S = 60.0
# With each turn one part of so many is read again: what somebody else wrote into Redis is seen in the end.
PARTS = 10
# A turn ends early with so many bytes, and what goes with each of the entries.
BYTES_MAX = 64 * 1024 * 1024
ENTRY_BYTES = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """When a reading began: what was known then.

    Attributes:
        era: how often everything had been forgotten.
        standings: up to where each partition number is known; empty where nothing is.
    """

    era: int
    standings: Mapping[int, Standing]

    def since(self, p: int) -> str:
        """Number of the write up to which a partition number is known; empty where it is not."""
        known = self.standings.get(p)
        return "" if known is None else str(known.seq)


@dataclass(slots=True)
class _Entry:
    """What was read of a pane, and what writes have added since: most of it at once, when it is asked for."""

    columns: Columns
    packed: Packed
    added: list[Amounts] = field(default_factory=list)

    def add(self, part: Amounts) -> None:
        """What one more write did."""
        self.added.append(part)
        if len(self.added) >= ADDED_MAX:
            self.found()

    def found(self) -> Found:
        """What is in Redis by now."""
        found = self.columns.unpack(self.packed)
        if self.added:
            for part in self.added:
                self.columns.add(found, part)
            self.added.clear()
            self.packed = pack(found)
        return found


# value of the subject -> its digest -> what was read.
_OfKind: TypeAlias = dict[str | None, dict[bytes, _Entry]]
# kind -> the same of it; by pane, as the index of panes names it.
_Generation: TypeAlias = dict[str, dict[str, _OfKind]]


class PaneMemory:
    """What was read of panes, over all partition numbers: by pane and subject."""

    def __init__(self) -> None:
        self._standings: dict[int, Standing] = {}
        self._era = 0
        # By partition number what the last writes did, the last one first.
        self._writes: dict[int, deque[Sequence[Change]]] = {}
        # Used in this turn, and in the last one only.
        self._young: _Generation = {}
        self._old: _Generation = {}
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
        return Asked(self._era, dict(self._standings))

    def get(self, pane: str, subject: Subject) -> tuple[Found, tuple[int, ...]] | None:
        """What was read of the pane, to be changed by who gets it, and the places that are not known; None if
        nothing is remembered. What was read for other subjects tells of the same cells."""
        young = _entries(self._young, pane, subject)
        entry = young.get(subject.digest)
        if entry is None:
            old = _entries(self._old, pane, subject)
            entry = old.pop(subject.digest, None)
            if entry is None:
                known = _put_together([*young.values(), *old.values()], subject)
                if known is None or known[1]:
                    return known
                entry = _Entry(subject.columns, pack(known[0]))
            self._keep(pane, subject, entry)
        return entry.found(), ()

    def learn(
        self, asked: Asked, p: int, found: Standing, changed: Sequence[Sequence[Change]] | None
    ) -> bool:
        """Takes in what a partition number told: where it stands, and what the writes did after where it was
        known to stand, the last one first; None if not all of that is known.

        False if what was remembered when the reading began says nothing of this moment. Whoever reads
        meanwhile may be told of a later moment, and hear it sooner.
        """
        before = asked.standings.get(p)
        goes_on = before is not None and before.leads_to(found) and changed is not None
        if asked.era == self._era:
            known = self._standings.get(p)
            if known is None:
                self._standings[p] = found
                self._writes[p] = deque(maxlen=WRITES_HELD)
            elif before is not None and not goes_on:
                self._forget()
            elif before is not None and known.leads_to(found):
                self._standings[p] = found
                for write in reversed((changed or ())[: found.seq - known.seq]):
                    self._writes[p].appendleft(write)
                    self._follow(write)
        return goes_on

    def missed(self, asked: Asked, told: Sequence[Standing]) -> list[Change] | None:
        """What writes did, as far as it is known, after those of which a reading was `told` by each partition
        number; None if that cannot be said.

        A reading that began without knowing where every partition number stood was told nothing of what
        other readings were.
        """
        if asked.era != self._era or not self._standings.keys() <= asked.standings.keys():
            return None
        changes: list[Change] = []
        for p, standing in enumerate(told):
            writes = self._standings[p].seq - standing.seq
            if writes > len(self._writes[p]):
                return None
            changes += (change for write in islice(self._writes[p], writes) for change in write)
        return changes

    def put(self, missed: Sequence[Change], pane: str, subject: Subject, found: Found) -> None:
        """Remembers what a reading found of a pane, together with what it `missed`."""
        entry = _Entry(subject.columns, pack(found))
        for change in missed:
            if pane in change.panes and change.kind in (None, subject.kind):
                if change.amounts is None:
                    return
                if (part := subject.columns.part(change.amounts)) is not None:
                    entry.add(part)
        self._keep(pane, subject, entry)

    def _keep(self, pane: str, subject: Subject, entry: _Entry) -> None:
        of_kind = self._young.setdefault(pane, {}).setdefault(subject.kind, {})
        of_kind.setdefault(subject.value, {})[subject.digest] = entry
        self._bytes += ENTRY_BYTES + len(entry.packed)

    def _follow(self, write: Sequence[Change]) -> None:
        """Brings what is remembered behind a write."""
        for change in write:
            for generation in (self._young, self._old):
                for pane in change.panes:
                    kinds = generation.get(pane)
                    if kinds is None:
                        continue
                    if change.kind is None:
                        del generation[pane]
                    elif change.amounts is None:
                        kinds.pop(change.kind, None)
                    elif change.kind in kinds:
                        _add(kinds[change.kind], change.amounts)

    def _forget(self) -> None:
        self._era += 1
        self._standings.clear()
        self._writes.clear()
        self._young.clear()
        self._old.clear()
        self._bytes = 0


def _entries(generation: _Generation, pane: str, subject: Subject) -> dict[bytes, _Entry]:
    """Of the pane all that was read of the subject's kind and value."""
    kinds = generation.get(pane)
    values = None if kinds is None else kinds.get(subject.kind)
    entries = None if values is None else values.get(subject.value)
    return {} if entries is None else entries


def _put_together(entries: Sequence[_Entry], subject: Subject) -> tuple[Found, tuple[int, ...]] | None:
    """What entries of other subjects of the same value tell, the latest first, and the places that none of
    them has; None if they tell nothing. Many values would be more work to put together than to read."""
    if subject.value is None or not entries:
        return None
    missing, found = dict(subject.columns.places_of(subject.value)), Found()
    for entry in reversed(entries):
        places = entry.columns.places_of(subject.value)
        if known := missing.keys() & places.keys():
            amounts = entry.found()
            for key in known:
                place = missing.pop(key)
                if (amount := amounts.get(places[key])) is not None:
                    found[place] = amount
    return None if len(missing) == len(subject.fields) else (found, tuple(missing.values()))


def _add(values: _OfKind, amounts: Amounts) -> None:
    for value in _either(values, amounts):
        for entry in values[value].values():
            if (part := entry.columns.part(amounts)) is not None:
                entry.add(part)


def _either(values: _OfKind, amounts: Mapping[str, object]) -> Iterator[str | None]:
    """Whose entries are concerned: those of the values named, and of many values at once."""
    if None in values:
        yield None
    if len(values) < len(amounts):
        yield from (value for value in values if value is not None and value in amounts)
    else:
        yield from (value for value in amounts if value in values)

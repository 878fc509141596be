"""What was read of panes that have been quiet since: it need not be read again. Pure.

It stands in the reading of the store, before Redis is asked. Each write marks the panes that it changes, and
each reading is told what was marked since the one before. Most panes of a window are past and change no more;
those that events fall into now change with every write, and are not remembered at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.marks import Standing

# A pane that changed so lately will change again, and a reading that took longer remembers nothing: so
# whatever another reading was told meanwhile is among what it leaves out.
HOT_S = 2.0
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


class PaneMemory:
    """What was read of quiet panes, over all partition numbers: by pane, as the index of panes names it, and
    by subject, a digest of what was asked for."""

    def __init__(self) -> None:
        self._standings: dict[int, Standing] = {}
        self._era = 0
        # pane -> until when it is hot, the soonest first.
        self._hot: dict[str, float] = {}
        # pane -> subject -> what was read; used in this turn, and in the last one only.
        self._young: dict[str, dict[bytes, bytes]] = {}
        self._old: dict[str, dict[bytes, bytes]] = {}
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

    def get(self, pane: str, subject: bytes) -> bytes | None:
        """What was read of the pane; None if it is not remembered."""
        found = self._young.get(pane, _NOTHING).get(subject)
        if found is None:
            found = self._old.get(pane, _NOTHING).get(subject)
            if found is not None:
                self._keep(pane, subject, found)
        return found

    def put(self, asked: Asked, now_s: float, pane: str, subject: bytes, packed: bytes) -> None:
        """Remembers what a reading found of a pane, unless it may have changed by now.

        What other readings were told meanwhile is hot. Those that began without knowing where every partition
        number stood were told nothing.
        """
        is_known = asked.era == self._era and self._standings.keys() <= asked.standings.keys()
        if is_known and now_s - asked.at_s < HOT_S and pane not in self._hot:
            self._keep(pane, subject, packed)

    def learn(self, asked: Asked, p: int, found: Standing, changed: Iterable[str], now_s: float) -> bool:
        """Takes in what a partition number told: where it stands, and the panes that were marked after
        where it was known to stand.

        False if what was remembered when the reading began says nothing of this moment. Whoever reads
        meanwhile may be told of a later moment, and hear it sooner.
        """
        before = asked.standings.get(p)
        goes_on = before is not None and before.leads_to(found)
        if asked.era == self._era:
            known = self._standings.get(p)
            if known is None:
                self._standings[p] = found
            elif before is not None and not goes_on:
                self._forget()
            elif before is not None and known.leads_to(found):
                self._standings[p] = found
                self._heat(changed, now_s)
        return goes_on

    def _keep(self, pane: str, subject: bytes, packed: bytes) -> None:
        entries = self._young.get(pane)
        if entries is None:
            entries = self._young[pane] = {}
        entries[subject] = packed
        self._bytes += ENTRY_BYTES + len(packed)

    def _heat(self, changed: Iterable[str], now_s: float) -> None:
        while self._hot and self._hot[pane := next(iter(self._hot))] <= now_s:
            del self._hot[pane]
        for pane in changed:
            self._young.pop(pane, None)
            self._old.pop(pane, None)
            self._hot.pop(pane, None)
            self._hot[pane] = now_s + HOT_S

    def _forget(self) -> None:
        self._era += 1
        self._standings.clear()
        self._hot.clear()
        self._young.clear()
        self._old.clear()
        self._bytes = 0


_NOTHING: dict[bytes, bytes] = {}

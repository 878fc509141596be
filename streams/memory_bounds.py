"""How much a worker remembers at most, beside what is not saved yet. Its partition numbers share it.

It stands before whatever remembers: copies of records (`ledger`), values of cells (`sums`), places of values
(`admission`), users offered (`users`). All of it is a copy of what Redis holds, or spares Redis work; what is
forgotten is read or sent once more.
"""

from __future__ import annotations

from dataclasses import dataclass

# Copies of records, of all ledgers together: ≈ 0.8 KB each.
COPIES_MAX = 60_000
# Values of cells that Redis is known to hold: ≈ 75 bytes each.
KNOWN_CELLS_MAX = 350_000
# Values of panes in which nothing is counted at the moment: ≈ 0.1 KB each.
IDLE_VALUES_MAX = 200_000
# Users offered to sketches of one size of pane: up to twice as many, ≈ 0.1 KB each.
RECENT_MAX = 40_000


@dataclass(slots=True)
class MemoryBounds:
    """The bounds of one partition number; `sharing`: how many the worker has."""

    sharing: int = 1

    @property
    def copies(self) -> int:
        """Copies of records."""
        return COPIES_MAX // self.sharing

    @property
    def known_cells(self) -> int:
        """Known values of cells."""
        return KNOWN_CELLS_MAX // self.sharing

    @property
    def idle_values(self) -> int:
        """Values of idle panes."""
        return IDLE_VALUES_MAX // self.sharing

    @property
    def recent(self) -> int:
        """Users offered lately, of one size of pane."""
        return RECENT_MAX // self.sharing


# Of one who shares with nobody.
ALONE = MemoryBounds()

"""Whether the numbers of writes still tell of every change. Pure.

It stands between the metas of the partition numbers and whoever remembers what Redis held. Each write marks
the panes that it changes with its number; who knows up to which number Redis was read can ask what changed
since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Standing(NamedTuple):
    """How far one partition number was written at a moment.

    A Redis that lost its last second counts up again, and may reach the same numbers otherwise. Its owner
    notices at the next write and loads the partition anew: so only within one load do numbers tell it all.

    Attributes:
        seq: number of the last write.
        loaded: which memory wrote: a word that no other has (of older workers: who, which of its loads).
    """

    seq: int
    loaded: tuple[str | None, ...]

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> Standing:
        """By the fields of a partition's meta."""
        loaded = meta.get("owner"), meta.get("takeovers"), meta.get("load")
        return cls(int(meta.get("seq", 0)), loaded)

    def leads_to(self, later: Standing) -> bool:
        """Whether what was marked between this one and a later one is all that changed."""
        return later.loaded == self.loaded and later.seq >= self.seq

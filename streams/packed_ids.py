"""Many 64-bit hashes to which none is added any more, in an eighth of the memory of a set of integers.

It stands behind the window of ids (`identity`), which asks for thousands at once. Most of what is asked is
not there: a filter of 16 bits a hash or more says so of 15 in 16, and only the others are looked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HASH_BYTES = 8
FILTER_BITS = 16
_STORED = "<u8"


class PackedIds:
    """A fixed set of hashes, 10 to 12 bytes each."""

    def __init__(self, packed: bytes) -> None:
        """`packed` are the hashes as they are stored: 8 bytes each, little-endian, at least one."""
        self._hashes: NDArray[np.uint64] = np.sort(np.frombuffer(packed, _STORED).astype(np.uint64))
        bits = 1 << (len(self._hashes) * FILTER_BITS - 1).bit_length()
        self._mask = np.uint64(bits - 1)
        marked = np.zeros(bits, np.bool_)
        marked[self._hashes & self._mask] = True
        self._filter: NDArray[np.uint8] = np.packbits(marked, bitorder="little")

    def __len__(self) -> int:
        return len(self._hashes)

    @property
    def packed(self) -> bytes:
        """The hashes as they are stored, in ascending order."""
        return self._hashes.astype(_STORED).tobytes()

    def common(self, hashes: NDArray[np.uint64]) -> list[int]:
        """Those of `hashes` that are in it, in their order."""
        bit = hashes & self._mask
        marked = self._filter[bit >> np.uint64(3)] >> (bit & np.uint64(7)).astype(np.uint8) & np.uint8(1)
        asked = hashes[marked.view(np.bool_)]
        at = np.searchsorted(self._hashes, asked)
        # What is larger than all of them would lie behind the last one.
        found = self._hashes[np.minimum(at, len(self._hashes) - 1)] == asked
        common: list[int] = asked[found].tolist()
        return common


def as_array(hashes: Sequence[int]) -> NDArray[np.uint64]:
    """Hashes to be asked for."""
    return np.array(hashes, np.uint64)

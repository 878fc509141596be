"""The C library's allocator, set for a process through which large blocks pass. No I/O.

Beside the collector, before whatever allocates: fetches, arrays of ids and packed writes are large blocks.
"""

from __future__ import annotations

import ctypes

# Of glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# So large a block is a mapping of its own, gone when it is freed; so much free at the top is given back.
OWN_MAPPING_BYTES = 64 * 1024
FREE_AT_TOP_BYTES = 128 * 1024


def give_back_freed() -> None:
    """Memory that is freed goes back to the system.

    By default glibc raises both bounds with every large block that is freed, up to 32 and 64 MiB: fetches of
    a catch-up then lie between small blocks that stay, and what they took is kept. Where the C library knows
    no bounds (musl, macOS) it stays as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)
        mallopt(_M_TRIM_THRESHOLD, FREE_AT_TOP_BYTES)

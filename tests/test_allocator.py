"""Large blocks that are freed go back to the system, whatever blocks that stay were made between them."""

from __future__ import annotations

import subprocess
import sys

# glibc counts with its own bounds until one of them is set; each program begins with those.
_PROGRAM = """
import os
from streams.allocator import give_back_freed
from tests.bench.machine import rss_mib

if {gives_back}:
    give_back_freed()
# As after the first large fetch: from now on glibc, left alone, keeps blocks of up to this size.
del [b"x" * (16 << 20)][0]
kept = []
for _ in range(200):
    large = b"x" * (512 << 10)
    kept.append((large, b"x" * 30_000))
before = rss_mib(os.getpid())
kept = [small for _, small in kept]
del large
print(before - rss_mib(os.getpid()))
"""


def test_what_is_freed_between_small_blocks_goes_back() -> None:
    """Of a hundred MiB in large blocks nearly all goes back, though a smaller block behind each stays; by
    itself glibc keeps it."""
    assert _given_back_mib(gives_back=True) > 90
    assert _given_back_mib(gives_back=False) < 10


def _given_back_mib(*, gives_back: bool) -> float:
    program = _PROGRAM.format(gives_back=gives_back)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(ran.stdout)

"""After a bench: every figure recomputed from the log by `verify`, and compared with what Redis holds.

The contest compares what its task asks for, of every contestant; this is for the worker's own promise, which
no speed may cost: everything is counted exactly once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import click

from streams.errors import PulseError
from tests.bench.harness import Place

# As an operator gives it; addresses and prefixes are in the environment, no read service is asked.
VERIFY: Final = (sys.executable, "-m", "streams", "verify", "--json", "--wait", "120")


def prove(place: Place, figures: str) -> None:
    """Says how many figures were compared. Raises PulseError with the first that differs."""
    ran = subprocess.run(
        VERIFY, env=place.environment(FIGURES=figures), capture_output=True, text=True, check=False
    )
    if not ran.stdout:
        raise PulseError(f"{place.name}: verify could not compare: {ran.stderr.strip()}")
    found = json.loads(ran.stdout)
    if found["mismatches"]:
        raise PulseError(
            f"{place.name}: {found['mismatches']} of {found['compared']} figures differ from verify's; "
            f"first {found['differences'][0]}"
        )
    if ran.returncode:
        raise PulseError(f"{place.name}: verify had nothing to compare")
    click.echo(f"{place.name}: verify compared {found['compared']:,} figures, all are right", err=True)

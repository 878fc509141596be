"""After a bench: every figure recomputed from the log by `verify`, and compared with what Redis holds.

The contest compares what its task asks for, of every contestant; this is for the worker's own promise, which
no speed may cost: everything is counted exactly once.
"""

from __future__ import annotations

import asyncio
from typing import Final

import click

from streams.errors import PulseError
from streams.settings import PREFIX
from tests.bench.harness import Place
from verify.command import Addresses, Run, verify
from verify.rules import rules_from

WAIT_S: Final = 120.0


def prove(place: Place, figures: str) -> None:
    """Says how many figures were compared. Raises PulseError with the first that differs."""
    environment = place.environment(FIGURES=figures)
    addresses = Addresses(
        kafka=environment[PREFIX + "KAFKA"],
        redis=environment[PREFIX + "REDIS"],
        api="",
        token="",
        topic_prefix=environment[PREFIX + "TOPIC_PREFIX"],
        redis_prefix=environment[PREFIX + "REDIS_PREFIX"],
    )
    run = Run(addresses, rules_from(environment))
    asyncio.run(verify(run, WAIT_S, all_scopes=False))
    report = run.report
    if report.differences:
        raise PulseError(
            f"{place.name}: {len(report.differences)} of {report.compared} figures differ from verify's; "
            f"first {report.differences[0]}"
        )
    if not report.compared:
        raise PulseError(f"{place.name}: verify had nothing to compare")
    click.echo(f"{place.name}: verify compared {report.compared:,} figures, all are right", err=True)

"""`python -m tests.simulation`: many seeds in several processes, or one seed's story in plain words."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tests.simulation.seeds import Failure, Totals, run_many, run_story, story_of
from tests.simulation.shrink import shrink, told

# Seeds that a process runs before it reports: what an interruption loses at most.
PORTION = 100


def report(first: int, totals: Totals, seconds: float) -> dict[str, Any]:
    """What came of the seeds from `first` on, for people and programs."""
    return {
        "seeds": [first, first + totals.seeds],
        "failures": [asdict(failure) for failure in totals.failures],
        "faults": totals.faults.total(),
        "faults_a_seed": round(totals.faults.total() / max(totals.seeds, 1), 1),
        "seeds_with_fewer_than_20_faults": totals.calm_seeds,
        "faults_by_kind": dict(totals.faults.most_common()),
        "in_the_records": dict(totals.in_records.most_common()),
        "records": totals.records,
        "guarded_writes": totals.writes,
        "steps": totals.steps,
        "seconds": round(seconds, 1),
        "seeds_a_second": round(totals.seeds / max(seconds, 1e-9), 1),
    }


def resumed(path: Path | None, first: int) -> tuple[Totals, float]:
    """What an earlier run of the same range came to before it was interrupted."""
    totals = Totals()
    if path is None or not path.exists():
        return totals, 0.0
    before = json.loads(path.read_text())
    if before["seeds"][0] != first:
        raise click.ClickException(f"{path} is of seeds from {before['seeds'][0]} on; name another file")
    totals.seeds = before["seeds"][1] - first
    totals.records, totals.writes = before["records"], before["guarded_writes"]
    totals.steps, totals.calm_seeds = before["steps"], before["seeds_with_fewer_than_20_faults"]
    totals.faults.update(before["faults_by_kind"])
    totals.in_records.update(before["in_the_records"])
    totals.failures = [Failure(**failure) for failure in before["failures"]]
    return totals, before["seconds"]


def portions(first: int, end: int) -> Iterator[range]:
    """The seeds in pieces."""
    return (range(at, min(at + PORTION, end)) for at in range(first, end, PORTION))


def run_range(first: int, end: int, processes: int, path: Path | None) -> Totals:
    """Runs the seeds that are left of a range; `path` is kept up to date, and gone on from."""
    totals, seconds_before = resumed(path, first)
    began = time.monotonic() - seconds_before
    with ProcessPoolExecutor(processes) as pool:
        for part in pool.map(run_many, portions(first + totals.seeds, end)):
            totals.add(part)
            text = json.dumps(report(first, totals, time.monotonic() - began), indent=1)
            if path is not None:
                path.write_text(text + "\n")
            click.echo(f"{first + totals.seeds} of {end}, {len(totals.failures)} failed", err=True)
    click.echo(json.dumps(report(first, totals, time.monotonic() - began), indent=1))
    return totals


@click.command()
@click.option("--seeds", "span", default="0:1000", help="A:B, from A up to but not with B")
@click.option("--processes", default=1, help="run in so many processes")
@click.option(
    "--out", type=click.Path(path_type=Path), help="keep the report here; go on from it if it is there"
)
@click.option("--seed", type=int, help="this seed alone; of a failing one the shortest story that is found")
@click.option("--tell", is_flag=True, help="with --seed: the whole story, not shortened")
def main(span: str, processes: int, out: Path | None, seed: int | None, tell: bool) -> None:
    """Runs seeds of the simulation; ends with 1 if one fails, and tells the story of the first."""
    if seed is None:
        first, end = map(int, span.split(":"))
        failures = run_range(first, end, processes, out).failures
        if not failures:
            return
        seed = failures[0].seed
        click.echo(f"seed {seed} again, as short as it fails:")
    story = story_of(seed)
    outcome = run_story(story)
    if outcome.wrong and not tell:
        outcome = run_story(shrink(story))
    click.echo("\n".join(told(outcome)))
    sys.exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    main()

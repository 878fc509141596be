"""`python -m tests.chaos`: a run of faults on servers started for it; exit code 1 if any figure differs."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

import click

from streams.errors import PulseError
from tests.chaos.plan import chaos_plan, soak_plan, told
from tests.chaos.report import as_markdown
from tests.chaos.run import as_json, run
from verify import VerifyError


@click.command()
@click.option("--faults", type=click.IntRange(1), default=200, show_default=True, help="At most so many.")
@click.option("--minutes", type=click.FloatRange(0.1), default=120, show_default=True, help="At most.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of plan and events.")
@click.option("--rate", type=click.IntRange(1), default=1_500, show_default=True, help="Events/s.")
@click.option("--soak", type=click.FloatRange(1), metavar="SECONDS", help="A soak: one fault so often.")
@click.option("--all-scopes", is_flag=True, help="Ask the API for every scope, not the top 20 of a kind.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep logs and data here.")
@click.option("--json", "as_one_line", is_flag=True, help="Print one line of JSON, not tables.")
def command(
    *,
    faults: int,
    minutes: float,
    seed: int,
    rate: int,
    soak: float | None,
    all_scopes: bool,
    folder: Path | None,
    as_one_line: bool,
) -> None:
    """Break Kafka, Redis, workers, network, disk and clocks, and compare every figure afterwards."""
    steps = chaos_plan(seed, faults) if soak is None else soak_plan(seed, faults)
    # What clients log of servers that are away is what the faults are for.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    def say(line: str) -> None:
        click.echo(line, err=True)

    say(f"seed {seed}: {told(steps)}")
    with tempfile.TemporaryDirectory(prefix="shop-pulse-chaos-") as name:
        try:
            result = as_json(
                run(
                    folder or Path(name),
                    steps,
                    seed=seed,
                    rate=rate,
                    minutes=minutes,
                    every_s=soak or 0.0,
                    all_scopes=all_scopes,
                    say=say,
                )
            )
        except (PulseError, VerifyError) as error:
            raise click.ClickException(f"seed {seed}: {error}") from error
    click.echo(json.dumps(result) if as_one_line else as_markdown(result))
    if result["mismatches"]:
        for each in [*result["proof"]["verify"]["differences"], *result["proof"]["metrics"]["differences"]]:
            say(f"seed {seed}: {each}")
        sys.exit(1)


if __name__ == "__main__":
    command()

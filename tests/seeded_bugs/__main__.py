"""`python -m tests.seeded_bugs`: puts in one bug after the other, and asks the tests who notices."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tests.seeded_bugs import table
from tests.seeded_bugs.bugs import BUGS
from tests.seeded_bugs.run import ROOT, Court, RedSuiteError


@click.command()
@click.option("--only", multiple=True, help="Name of a bug; may be given several times.")
@click.option(
    "--write", type=Path, help="Writes the table there; rows of bugs not tried now stay as they are."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for the whole run.")
def main(only: tuple[str, ...], write: Path | None, as_json: bool) -> None:
    """Tries bugs on purpose; ends with 1 if nobody catches one of them."""
    if unknown := set(only) - {bug.name for bug in BUGS}:
        raise click.UsageError(f"unknown bugs: {' '.join(sorted(unknown))}")
    court = Court()
    path = None if write is None else ROOT / write
    known = table.catchers(path.read_text(encoding="utf-8")) if path is not None and path.exists() else {}
    caught_by: dict[str, str] = {}
    for bug in BUGS:
        if only and bug.name not in only:
            continue
        try:
            caught_by[bug.name] = court.try_bug(bug) or table.NOBODY
        except RedSuiteError as error:
            raise click.ClickException(f"{bug.name}: {error}") from error
        click.echo(f"{bug.name}: {caught_by[bug.name]}", err=as_json)
        if path is not None:  # at once: a run takes long, and may be ended in the middle
            path.write_text(table.page_of(BUGS, known | caught_by), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(caught_by))
    sys.exit(table.NOBODY in caught_by.values())


if __name__ == "__main__":
    main()

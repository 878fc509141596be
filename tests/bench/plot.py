"""`python -m tests.bench.plot bench.json`: the medians of a contest as a chart, in Mermaid's words.

Mermaid draws no spreads: they stand in the table beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click


def as_chart(result: Mapping[str, Any], skipped: tuple[str, ...] = ()) -> str:
    """Events a second of each contestant that was timed, the fastest first."""
    speeds = {
        name: round(each["events_per_s"]["median"])
        for name, each in result["contestants"].items()
        if each["events_per_s"] is not None and name not in skipped
    }
    names = sorted(speeds, key=speeds.__getitem__, reverse=True)
    return "\n".join(
        [
            "```mermaid",
            "xychart-beta horizontal",
            '    title "events/s, median"',
            f"    x-axis [{', '.join(names)}]",
            '    y-axis "events/s"',
            f"    bar [{', '.join(str(speeds[name]) for name in names)}]",
            "```",
        ]
    )


@click.command()
@click.argument("bench", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--skip", multiple=True, help="Leave this contestant out; repeatable.")
def command(bench: Path, skip: tuple[str, ...]) -> None:
    """Draw what `make bench ARGS=--json` printed."""
    click.echo(as_chart(json.loads(bench.read_text(encoding="utf-8")), skip))


if __name__ == "__main__":
    command()

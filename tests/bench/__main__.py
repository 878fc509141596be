"""`python -m tests.bench`: the task *funnel-gmv* through every contestant; a table, or one line of JSON.

Counts by (live, type, minute) and GMV by (live, minute) have to be in Redis, and right.
"""

from __future__ import annotations

import json
import pstats
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import click

from streams.errors import PulseError
from tests.bench import shop_pulse, shop_pulse_2, shop_pulse_all
from tests.bench.data import Dataset, load
from tests.bench.harness import Contestant, Place, Servers, Timing, bench_folder, compete, servers
from tests.bench.machine import described
from tests.bench.peers.all import PEERS, PLAIN_FAUST
from tests.bench.report import as_json, as_table

OWN: tuple[Contestant, ...] = (shop_pulse, shop_pulse_2, shop_pulse_all, PLAIN_FAUST)
CONTESTANTS: tuple[Contestant, ...] = (*OWN, *PEERS)
NAMES = tuple(contestant.NAME for contestant in CONTESTANTS)
# They need so long for each event that they get fewer.
SLOW = frozenset({"plain_faust", "quix_streams"})
PROFILE_LINES = 40
PARTITIONS = 4


def say(line: str) -> None:
    """One line for whoever waits; standard output is for results."""
    click.echo(line, err=True)


def fill(
    started: Servers, topic_prefix: str, events: int, seed: int, partitions: int = PARTITIONS
) -> Dataset:
    """Records for contestants."""
    say(f"sending {events:,} events to {topic_prefix}*")
    settings = replace(started.settings(topic_prefix), partitions=partitions)
    if not sys.stderr.isatty():
        return load(settings, events, seed, lambda _sent: None)
    with click.progressbar(length=events, label="sending", file=sys.stderr) as progress:
        return load(settings, events, seed, lambda sent: progress.update(sent - progress.pos))


def measure(
    folder: Path,
    contestants: Sequence[Contestant],
    *,
    events: int,
    plain_events: int,
    runs: int,
    seed: int,
    partitions: int = PARTITIONS,
    proved: bool = True,
) -> dict[str, object]:
    """All runs, contestants by turns; what `--json` prints. Raises PulseError if a total is wrong.

    If `proved`, `verify` recomputes everything after the last run of each worker.
    """
    with servers(folder) as started:
        info = cast("Mapping[str, object]", started.client().info("server"))
        machine = described(str(info["redis_version"]))
        many = fill(started, "many.", events, seed, partitions)
        few = fill(started, "few.", plain_events, seed + 1, partitions)
        timings: dict[str, list[Timing]] = {contestant.NAME: [] for contestant in contestants}
        for number in range(1, runs + 1):
            for contestant in contestants:
                dataset = few if contestant.NAME in SLOW else many
                name = f"{contestant.NAME}-{number}"
                place = Place(started, dataset, name, folder, proved=proved and number == runs)
                timing = compete(contestant, place)
                timings[contestant.NAME].append(timing)
                speed = timing.events_per_s
                shown = "too short to be timed" if speed is None else f"{speed:,.0f} events/s"
                say(f"run {number} of {runs}: {contestant.NAME:<14} {shown}, totals right")
    frame = {
        "mean_bytes": round(many.mean_bytes, 1),
        "seed": seed,
        "partitions": partitions,
        "machine": machine,
    }
    return as_json(timings, frame)


def profile(
    folder: Path, target: Path, contestant: Contestant, *, events: int, seed: int, partitions: int
) -> None:
    """One run of the production worker under cProfile; its functions by own time go to standard output.

    The time of `epoll` and of whatever stands in its place is time in which there was nothing to do.
    """
    with servers(folder) as started:
        dataset = fill(started, "many.", events, seed, partitions)
        compete(contestant, Place(started, dataset, "profiled", folder, profile=target))
    pstats.Stats(str(target)).sort_stats("tottime").print_stats(PROFILE_LINES)


@click.command()
@click.option(
    "--events", type=click.IntRange(1), default=1_000_000, show_default=True, help="For the worker."
)
@click.option(
    "--plain-events",
    type=click.IntRange(1),
    default=20_000,
    show_default=True,
    help="For the slow ones: plain Faust, Quix Streams.",
)
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Of each contestant.")
@click.option(
    "--partitions",
    type=click.IntRange(1),
    default=PARTITIONS,
    show_default=True,
    help="Of each topic: partition numbers.",
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="Of the records.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(NAMES),
    help="These contestants alone; repeatable.",
)
@click.option("--peers", is_flag=True, help="Other systems, too: Quix, Bytewax, Kafka Streams, Flink, Rust.")
@click.option(
    "--verify/--no-verify",
    "proved",
    default=True,
    show_default=True,
    help="Recompute every figure from the log after each worker's last run.",
)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
@click.option(
    "--profile",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="No contest: one run of the first Shop Pulse contestant under cProfile, written to this file.",
)
def command(
    only: tuple[str, ...],
    peers: bool,
    proved: bool,
    json_wanted: bool,
    target: Path | None,
    **sizes: int,
) -> None:
    """Measure the production worker against others, on servers started for it, totals verified."""
    entered = CONTESTANTS if peers or only else OWN
    contestants = [each for each in entered if not only or each.NAME in only]
    with bench_folder() as folder:
        if target is not None and contestants[0] not in (shop_pulse, shop_pulse_all):
            raise PulseError("--profile is for the worker of Shop Pulse: name it with --only")
        if target is not None:
            wanted = {name: sizes[name] for name in ("events", "seed", "partitions")}
            profile(folder, target, contestants[0], **wanted)
            return
        result = measure(folder, contestants, proved=proved, **sizes)
    click.echo(json.dumps(result) if json_wanted else as_table(result))


if __name__ == "__main__":
    command()

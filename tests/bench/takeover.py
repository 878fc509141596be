"""`python -m tests.bench.takeover`: from a worker's start to its first figure, and from a worker's death on.

A steady load runs. First one worker is started: until the first guarded write with records in it. Then a
second one joins, and again and again one of the two is killed (kill -9): until every partition number that it
had is written by the other one, and until that one has caught up. The killed one is started again each time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final, cast

import click
from redis import Redis

from schemas.events import INPUT_TOPICS
from streams.errors import PulseError
from streams.local.commands import Command
from streams.local.processes import end
from streams.topics import create
from tests.bench.data import Dataset, Totals
from tests.bench.harness import Place, bench_folder, servers
from tests.bench.latency import Load
from tests.bench.machine import described

PARTITIONS: Final = 4
LOOK_S: Final = 0.02
PATIENCE_S: Final = 120.0
# Both are busy, and nobody has just joined or left.
SETTLE_S: Final = 10.0
CAUGHT_UP_RECORDS: Final = 2_000


class Watch:
    """Who writes which partition number, and how far: what the meta hashes say."""

    def __init__(self, client: Redis, place: Place) -> None:
        self._client = client
        self._keys = [f"{place.name}:{{{p}}}:meta" for p in range(PARTITIONS)]

    def fields(self, *names: str) -> list[dict[str, str | None]]:
        """These fields of each partition number."""
        pipe = self._client.pipeline(transaction=False)
        for key in self._keys:
            pipe.hmget(key, list(names))
        return [dict(zip(names, values, strict=True)) for values in pipe.execute()]

    def owners(self) -> list[str | None]:
        """Who wrote each of them last."""
        return [each["owner"] for each in self.fields("owner")]

    def records(self) -> int:
        """How many were read, of all topics."""
        return self._sum("off")

    def behind(self) -> int:
        """How many wait, as the workers say."""
        return self._sum("lag")

    def _sum(self, name: str) -> int:
        found = self.fields(*(f"{name}:{topic}" for topic in INPUT_TOPICS))
        return sum(int(number or 0) for each in found for number in each.values())


def _until(holds: Callable[[], bool], what: str) -> float:
    """Seconds until it holds. Raises PulseError if it never does."""
    began_s = time.perf_counter()
    while not holds():
        if time.perf_counter() - began_s > PATIENCE_S:
            raise PulseError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(LOOK_S)
    return time.perf_counter() - began_s


def measure(folder: Path, rate: float, kills: int) -> dict[str, Any]:
    """All of it; what `--json` prints."""
    with servers(folder) as started:
        client = started.client()
        info = cast("dict[str, object]", client.info("server"))
        asyncio.run(create(started.settings("takeover.")))
        place = Place(started, Dataset("takeover.", PARTITIONS, Totals(), 0.0), "takeover", folder)
        workers = {
            name: Command(name, ["worker"], folder / f"{name}.log", place.environment(INSTANCE_ID=name))
            for name in ("one", "two")
        }
        load, watch = Load(place, rate), Watch(client, place)
        try:
            load.launch()
            time.sleep(1.0)
            workers["one"].launch()
            first_s = _until(lambda: watch.records() > 0, "the first figure")
            workers["two"].launch()
            taken, back = _kill_again_and_again(workers, watch, kills)
        finally:
            end([load, *workers.values()])
    return {
        "rate": rate,
        "first_figure_s": round(first_s, 2),
        "taken_over_s": taken,
        "caught_up_s": back,
        "machine": described(str(info["redis_version"])),
    }


def _kill_again_and_again(
    workers: dict[str, Command], watch: Watch, kills: int
) -> tuple[list[float], list[float]]:
    taken: list[float] = []
    back: list[float] = []
    for number in range(kills):
        _until(lambda: set(watch.owners()) == workers.keys(), "both workers to own something")
        time.sleep(SETTLE_S)
        victim, other = ("one", "two") if number % 2 == 0 else ("two", "one")
        workers[victim].kill()
        killed_s = time.perf_counter()
        _until(lambda other=other: set(watch.owners()) == {other}, "the other worker to own all")  # type: ignore[misc]
        taken.append(round(time.perf_counter() - killed_s, 2))
        _until(lambda: watch.behind() < CAUGHT_UP_RECORDS, "the other worker to catch up")
        back.append(round(time.perf_counter() - killed_s, 2))
        workers[victim].launch()
    return taken, back


def as_table(result: dict[str, Any]) -> str:
    """The same as lines for a terminal, also good as Markdown."""
    lines = ["| | seconds: median | min | max |", "|---|---|---|---|"]
    for name, values in (
        ("start of a worker to the first figure in Redis", [result["first_figure_s"]]),
        ("kill -9 of one of two until the other has written all partition numbers", result["taken_over_s"]),
        ("kill -9 until the other has caught up", result["caught_up_s"]),
    ):
        lines.append(f"| {name} | {median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return "\n".join([*lines, "", f"{result['rate']:,.0f} events/s beside it; {machine}"])


@click.command()
@click.option("--rate", type=click.FloatRange(1), default=5_000, show_default=True, help="Events/s.")
@click.option("--kills", type=click.IntRange(1), default=6, show_default=True, help="How often.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(rate: float, kills: int, json_wanted: bool) -> None:
    """How long figures stand still when a worker starts, or dies."""
    with bench_folder() as folder:
        result = measure(folder, rate, kills)
    click.echo(json.dumps(result) if json_wanted else as_table(result))


if __name__ == "__main__":
    command()

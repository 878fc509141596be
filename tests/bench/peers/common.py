"""What all peers have in common: how one is built, started, watched and checked.

Each keeps three kinds of hashes in Redis, over which the bench adds up: `NAME:counts:PART`
(``live|type|minute`` -> events), `NAME:gmv:PART` (``live|minute`` -> minor units) and, but for plain Faust,
`NAME:done` (PART -> events that are in the other two). A part is whatever the peer divides its work into.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final, cast
from zlib import crc32

from redis import Redis

from streams.errors import PulseError
from streams.local.processes import Program
from tests.bench.data import TOPICS
from tests.bench.harness import Place, Timing, expect_equal, timed

HERE: Final = Path(__file__).parent
BUILT: Final = Path(__file__).resolve().parents[3] / ".deps" / "peers"
BUILD_S: Final = 1_800


@dataclass(frozen=True)
class Recipe:
    """How a peer is built and run.

    Attributes:
        sources: files and folders beside this one that it is built from.
        tools: programs that building or running it needs.
        steps: commands that build it into the folder they are given, one after the other.
        command: what runs it, from that folder.
    """

    sources: Sequence[str]
    tools: Sequence[str]
    steps: Callable[[Path], Sequence[Sequence[str]]]
    command: Callable[[Path], list[str]]


class Peer:
    """A contestant of the bench that is somebody else's engine (see `harness.Contestant`)."""

    poll_s = 0.02

    def __init__(self, name: str, recipe: Recipe) -> None:
        self.NAME = name
        self.recipe = recipe

    def prepare(self, place: Place) -> Program:
        """Its process, built first where it is not there or its sources have changed."""
        return _Started(self.NAME, place, self.recipe.command(build(self.NAME, self.recipe)))

    def run(self, place: Place, program: Program) -> Timing:
        """Its progress is looked at often enough to see it begin, and seldom enough not to be felt."""
        client = place.servers.client()
        return timed(place, program, lambda: self.done(client, place), self.poll_s)

    def done(self, client: Redis, place: Place) -> int:
        """How many events are in Redis: it says so, and writes that together with them."""
        stored = client.hvals(f"{place.name}:done")
        return sum(map(int, cast("list[str]", stored)))

    def check(self, place: Place) -> None:
        """Both of its tables."""
        client = place.servers.client()
        counts, gmv = Counter[tuple[str, str, int]](), Counter[tuple[str, int]]()
        for name, count in table(client, place, "counts").items():
            live_id, event_type, minute_ms = name.split("|")
            counts[live_id, event_type, int(minute_ms)] = count
        for name, amount in table(client, place, "gmv").items():
            live_id, minute_ms = name.split("|")
            gmv[live_id, int(minute_ms)] = amount
        expect_equal(self.NAME, "counts", counts, place.dataset.totals.counts)
        expect_equal(self.NAME, "amounts", gmv, place.dataset.totals.gmv_minor)


class _Started(Program):
    ready_within_s = 120.0

    def __init__(self, name: str, place: Place, command: list[str]) -> None:
        super().__init__(name, place.folder / f"{place.name}.log")
        self._place = place
        self._command = command

    def command(self) -> list[str]:
        return self._command

    def environment(self) -> Mapping[str, str]:
        """Addresses and names, as all peers read them."""
        place = self._place
        return os.environ | {
            "PEER_KAFKA": place.servers.kafka.bootstrap,
            "PEER_REDIS_PORT": str(place.servers.redis.port),
            "PEER_NAME": place.name,
            "PEER_TOPICS": ",".join(place.dataset.topic_prefix + topic for topic in TOPICS),
            "PEER_PARTITIONS": str(place.dataset.partitions),
            "PEER_DATA": str(place.folder / f"{place.name}-data"),
        }


def build(name: str, recipe: Recipe) -> Path:
    """The folder that it is built in. Raises PulseError with what is missing or has failed."""
    missing = [tool for tool in recipe.tools if which(tool) is None]
    if missing:
        raise PulseError(f"{name} needs {' and '.join(missing)}: install it, or name the others with --only")
    folder = BUILT / name
    stamp = str(_sum_of(recipe))
    if (folder / "stamp").exists() and (folder / "stamp").read_text(encoding="utf-8") == stamp:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "build.log").open("w", encoding="utf-8") as log:
        for step in recipe.steps(folder):
            done = subprocess.run(step, cwd=HERE, stdout=log, stderr=log, timeout=BUILD_S, check=False)
            if done.returncode:
                raise PulseError(f"{name} could not be built: see {log.name}")
    (folder / "stamp").write_text(stamp, encoding="utf-8")
    return folder


def _sum_of(recipe: Recipe) -> int:
    found = 0
    for source in recipe.sources:
        path = HERE / source
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file():
                found = crc32(each.read_bytes(), found)
    return found


def table(client: Redis, place: Place, name: str) -> Counter[str]:
    """One of a peer's tables, added up over its parts."""
    found = Counter[str]()
    for key in client.scan_iter(f"{place.name}:{name}:*"):
        for field, amount in cast("dict[str, str]", client.hgetall(key)).items():
            found[field] += int(amount)
    return found

"""The peers, each with how it is built and run. What each promises of its result: docs/performance.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from redis import Redis

from tests.bench.harness import Place
from tests.bench.peers.common import HERE, Peer, Recipe, table

# -Xmx as large as what the others of a run leave on 24 GiB is no advantage: these need far less.
JAVA: Final = ["java", "-Xms256m", "-Xmx2g", "--add-opens=java.base/java.util=ALL-UNNAMED"]


class PlainFaust(Peer):
    """A Faust app as its documentation teaches it, which says nowhere how far it is.

    It has advantages (it judges nothing, drops no repeated id, would count twice after a crash, and reads
    only the topics that hold records) and gets fewer events, since it needs longer for each.
    """

    # A look reads a hash of thousands of fields; a run takes many seconds.
    poll_s = 0.25

    def done(self, client: Redis, place: Place) -> int:
        """The sum of its counts: each event is in exactly one."""
        return table(client, place, "counts").total()


def _venv(app: str, *requirements: str, command: Sequence[str] = ()) -> Recipe:
    """A Python peer in an environment of its own: none of them goes together with the others' pins."""
    return Recipe(
        sources=[app],
        tools=[],
        steps=lambda folder: [
            [sys.executable, "-m", "venv", "--clear", str(folder / "venv")],
            [str(folder / "venv/bin/pip"), "install", "--quiet", *requirements],
        ],
        command=lambda folder: [str(folder / "venv/bin/python"), *command, str(HERE / app)],
    )


def _maven(folder: str, main: str) -> Recipe:
    """A Java peer: its classes, with all jars beside them."""
    pom = str(HERE / folder / "pom.xml")

    def steps(into: Path) -> Sequence[Sequence[str]]:
        maven = ["mvn", "--batch-mode", "--quiet", "--file", pom, f"-Dinto={into}"]
        return [[*maven, "compile", "dependency:copy-dependencies", f"-DoutputDirectory={into / 'lib'}"]]

    return Recipe(
        sources=[folder, "jvm"],
        tools=["java", "mvn"],
        steps=steps,
        command=lambda into: [*JAVA, "-cp", f"{into / 'classes'}:{into / 'lib'}/*", main],
    )


PLAIN_FAUST: Final = PlainFaust(
    "plain_faust",
    Recipe(
        sources=["plain_faust_app.py"],
        tools=[],
        steps=lambda _folder: [],
        command=lambda _folder: [
            *(sys.executable, "-m", "tests.bench.peers.plain_faust_app"),
            *("worker", "-l", "warn", "--without-web"),
        ],
    ),
)
# What has to be fetched first.
PEERS: Final = (
    Peer("quix_streams", _venv("quix_app.py", "quixstreams==3.28.1", "redis==5.2.1")),
    Peer(
        "bytewax",
        _venv(
            "bytewax_app.py",
            "bytewax[kafka]==0.21.1",
            "orjson==3.11.4",
            "redis==5.2.1",
            command=["-m", "bytewax.run"],
        ),
    ),
    Peer("kafka_streams", _maven("kafka_streams", "FunnelGmv")),
    Peer("flink", _maven("flink", "FunnelGmv")),
    Peer(
        "rust_reader",
        Recipe(
            sources=["rust_reader"],
            tools=["cargo", "make", "cc"],
            steps=lambda folder: [
                ["cargo", "build", "--release", "--quiet", "--manifest-path", "rust_reader/Cargo.toml",
                 "--target-dir", str(folder)],
            ],
            command=lambda folder: [str(folder / "release/rust-reader")],
        ),
    ),
)  # fmt: skip

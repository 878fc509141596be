"""Contestant: a Faust app as its documentation teaches it; see `plain_faust_app`.

It has advantages (it judges nothing, drops no repeated id, would count twice after a crash, and reads only
the topics that hold records) and gets fewer events, since it needs longer for each.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from typing import cast

from streams.local.processes import Program
from tests.bench.data import TOPICS
from tests.bench.harness import Place, Timing, expect_equal, timed

NAME = "plain_faust"
# A look reads a hash of thousands of fields; a run takes many seconds.
POLL_S = 0.25


class PlainFaust(Program):
    """The app as a program."""

    ready_within_s = 120.0

    def __init__(self, place: Place) -> None:
        super().__init__(NAME, place.folder / f"{place.name}.log")
        self._place = place

    def command(self) -> list[str]:
        """`faust worker`, without its web server."""
        return [sys.executable, "-m", "tests.bench.plain_faust_app", "worker", "-l", "warn", "--without-web"]

    def environment(self) -> Mapping[str, str]:
        """Addresses for the app."""
        place = self._place
        return os.environ | {
            "PLAIN_FAUST_KAFKA": f"kafka://{place.servers.kafka.bootstrap}",
            "PLAIN_FAUST_REDIS": place.servers.redis.url,
            "PLAIN_FAUST_NAME": place.name,
            "PLAIN_FAUST_TOPICS": ",".join(place.dataset.topic_prefix + topic for topic in TOPICS),
            "PLAIN_FAUST_DATA": str(place.folder / f"{place.name}-faust"),
        }


def prepare(place: Place) -> Program:
    """The app, with a consumer group and keys of its own."""
    return PlainFaust(place)


def run(place: Place, program: Program) -> Timing:
    """Progress = the sum of its counts: each event is in exactly one."""
    return timed(place, program, lambda: sum(_table(place, "counts").values()), POLL_S)


def check(place: Place) -> None:
    """Both of its tables."""
    totals = place.dataset.totals
    counts, gmv = Counter[tuple[str, str, int]](), Counter[tuple[str, int]]()
    for name, count in _table(place, "counts").items():
        live_id, event_type, minute_ms = name.split("|")
        counts[live_id, event_type, int(minute_ms)] = count
    for name, amount in _table(place, "gmv").items():
        live_id, minute_ms = name.split("|")
        gmv[live_id, int(minute_ms)] = amount
    expect_equal(NAME, "counts", counts, totals.counts)
    expect_equal(NAME, "amounts", gmv, totals.gmv_minor)


def _table(place: Place, table: str) -> dict[str, int]:
    stored = cast("dict[str, str]", place.servers.client().hgetall(f"{place.name}:{table}"))
    return {name: int(amount) for name, amount in stored.items()}

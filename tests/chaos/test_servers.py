"""Redis as chaos needs it: a disk that is full, a replica that takes over, and what is counted in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from redis.exceptions import ResponseError

from streams.local.processes import end
from tests.chaos.place import NAME, Place
from tests.chaos.proxy import Background
from tests.chaos.servers import RedisPair

PATIENCE_S = 60.0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[RedisPair]:
    """A primary and its replica."""
    background = Background()
    made = RedisPair(tmp_path, background)
    made.start()
    yield made
    end([made.primary, made.replica])
    made.proxy.close()
    made.link.close()
    background.stop()


def _eventually(fact: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_full_disk_refuses_writes_until_there_is_room(pair: RedisPair) -> None:
    """Redis lives on, answers reads, and says MISCONF; nothing that was written is lost."""
    with pair.primary.client() as client:
        client.set("before", "1")
        pair.primary.limit_files()

        def refused() -> bool:
            try:
                client.set("meanwhile", "x" * 1_000)
            except ResponseError as error:
                return "MISCONF" in str(error)
            return False

        _eventually(refused)
        assert client.get("before") == "1"
        pair.primary.free_files()
        _eventually(lambda: not refused())
    assert pair.primary.running


def test_a_replica_that_heard_nothing_of_late_takes_over(pair: RedisPair) -> None:
    """It lacks what was written meanwhile; the old primary comes back as its replica, and forgets it too."""
    with pair.primary.client() as client:
        client.set("kept", "1")
        _eventually(lambda: client.info("replication")["connected_slaves"] == 1)
    with pair.replica.client() as other:
        _eventually(lambda: other.get("kept") == "1")
    pair.link.stall()
    with pair.primary.client() as client:
        client.set("lost", "1")
    pair.primary.kill()
    pair.link.cut(1, 1.0, refuse=True)
    pair.promote()
    pair.replica.start()
    pair.link.heal()
    pair.follow()
    with pair.primary.client() as client:
        assert client.get("kept") == "1"
        assert client.get("lost") is None
        client.set("after", "1")
    with pair.replica.client() as other:
        _eventually(lambda: other.get("after") == "1")
        assert other.get("lost") is None


def test_duplicates_are_read_of_days(pair: RedisPair) -> None:
    """Each repeated record stands in panes of four sizes, and is told once."""
    with pair.primary.client() as client:
        for pane in ("1d:0", "1h:0"):
            client.zadd(f"{NAME}:{{3}}:panes", {pane: 5})
            cells = {"duplicates|views": 4, "accepted|views": 9}
            client.hset(f"{NAME}:{{3}}:cells:pipeline:{pane}", mapping=cells)
    place = cast(Place, SimpleNamespace(redis=pair))
    assert Place.duplicates(place) == 4

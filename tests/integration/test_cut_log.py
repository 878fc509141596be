"""Redis's own log, cut anywhere as a crash leaves it: a write of ours is in it whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from streams.local.redis import RedisServer
from tests.scenario_kit import NOON, Sent, line, purchase, refund, step, view
from tests.store_kit import Shelf, on_shelf
from verify.model import CellKey, flat_cells
from verify.redis_cells import RedisCells

CUTS = 12
Held = tuple[dict[str, int], dict[CellKey, int]]
"""Offsets by topic, and the cells that stand beside them."""


def _batches() -> list[list[Sent]]:
    return [
        [view("e1", NOON), step("tag_tap", "e2", NOON)],
        [purchase("o1", NOON, line("p1", 2, 100))],
        [view("e3", NOON), refund("r1", "o1", NOON, 50), refund("waits", "o2", NOON, 5)],
        [purchase("o2", NOON, line("p2", 1, 70)), step("add_to_cart", "e4", NOON)],
    ]


def _held(url: str, prefix: str) -> Held:
    reader = RedisCells(url, prefix)
    try:
        found = reader.snapshot(0, sketches_most=0)
    finally:
        reader.close()
    assert not (found.unlisted or found.unlisted_users or found.unlisted_indexes or found.unknown)
    return found.offsets, flat_cells(found.panes)


def _incremental(server: RedisServer) -> Path:
    [path] = (server.folder / "appendonlydir").glob("*.incr.aof")
    return path


def test_a_cut_log_holds_whole_writes(new_redis: Callable[..., RedisServer]) -> None:
    """Started from any beginning of its log, Redis holds figures and offsets of one and the same write."""
    server = new_redis(options={"appendfsync": "always"})
    versions: list[Held] = []

    async def story(shelf: Shelf) -> str:
        owner = await shelf.owner()
        versions.append(_held(shelf.url, shelf.prefix))
        for batch in _batches():
            await owner.fold(*batch)
            await owner.save()
            versions.append(_held(shelf.url, shelf.prefix))
        return shelf.prefix

    prefix = on_shelf(server, story)
    server.kill()
    whole = _incremental(server).read_bytes()
    seen = set()
    for cut in (len(whole), *Random(1).sample(range(len(whole)), CUTS)):
        _incremental(server).write_bytes(whole[:cut])
        server.start()
        held = _held(server.url, prefix)
        assert held in versions, f"cut at byte {cut} of {len(whole)}"
        seen.add(versions.index(held))
        server.kill()
    # Some writes were lost and some not: the cuts did cut.
    assert len(versions) - 1 in seen and len(seen) > 2

"""The history of the simulated shop tells every story: no figure of the shop stands still for a newcomer."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from schemas.events import INPUT_TOPICS
from streams.batch import PlainRecord
from streams.kpis import KPIS
from streams.local.redis import RedisServer
from streams.read_model import ReadModel
from streams.read_store import ReadStore
from streams.settings import Settings
from streams.sources.history import DAY_MS, HistoryConfig, history
from tests.store_kit import Memory, Shelf, on_shelf

END_MS = 1_785_931_200_000
CHUNK = 500
# A shop that sells in several currencies divides no GMV by its buyers; its mini-programs, platforms … do.
NEVER = {"money.*.gmv_per_buyer_minor"}


async def _count(memory: Memory, config: HistoryConfig) -> None:
    """The whole history into one partition, topic by topic each day."""
    offsets: Counter[str] = Counter()
    for _, day in itertools.groupby(history(config), key=lambda record: record.timestamp_ms // DAY_MS):
        by_topic: defaultdict[str, list[PlainRecord]] = defaultdict(list)
        for each in day:
            record = PlainRecord(offsets[each.topic], each.timestamp_ms, each.key, each.value, ())
            by_topic[each.topic].append(record)
            offsets[each.topic] += 1
        for topic, records in by_topic.items():
            for at in range(0, len(records), CHUNK):
                await memory.fold_chunk(topic, records[at : at + CHUNK])
            await memory.save()


def _flat(answer: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every figure of an answer, with a star for its currency."""
    for name, figure in answer.items():
        below = f"{path}.{'*' if re.fullmatch('[A-Z]{3}', name) else name}".removeprefix(".")
        if isinstance(figure, dict):
            yield from _flat(figure, below)
        else:
            yield below, figure


async def _moving(shelf: Shelf) -> set[str]:
    """The figures of the whole shop that are not 0 in all of its days, or in those that are ten days old."""
    config = HistoryConfig(end_ms=END_MS)
    await _count(await shelf.owner(), config)
    await shelf.client.hset(shelf.key("meta"), mapping={f"wm:{topic}": END_MS for topic in INPUT_TOPICS})
    settings = Settings(redis=shelf.url, redis_prefix=shelf.prefix, partitions=1)
    model = ReadModel(ReadStore(shelf.client, shelf.prefix, 1), settings, lambda: END_MS)
    found: set[str] = set()
    for days_ago in (0, 10):
        to_ms = config.today_ms - days_ago * DAY_MS
        answer = await model.kpis("all", from_ms=config.start_ms, to_ms=to_ms)
        found |= {path for path, figure in _flat(answer) if figure}
    return found


def test_every_figure_of_the_shop_moves(redis_server: RedisServer) -> None:
    """Each figure that is kept of the whole shop has a value that is not 0, in some currency, in its past:
    final commission, claw-backs, users who came back, complete orders, late refunds, too."""
    moving = on_shelf(redis_server, _moving)
    assert {kpi.path for kpi in KPIS if "all" in kpi.kinds} - moving == NEVER

"""What a partition's meta hash says, checked and made into memory.

It stands between the bytes that the store reads and the state that an owner goes on with. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from schemas.events import INPUT_TOPICS
from streams.errors import REBUILD, UnusableStateError
from streams.progress import NEVER_MS, Progress
from streams.state import PartitionState, Rules
from streams.window import Pane, PaneSize
from streams.write_plan import SCHEMA


def check_meta(meta: Mapping[str, str], partition: int, rules: Rules) -> None:
    """Raises UnusableStateError if the state was written for another schema, partition count or rules."""
    if not meta:
        return
    partitions = rules.partitions
    if meta.get("schema") != SCHEMA:
        raise UnusableStateError(
            f"the state of partition {partition} has schema {meta.get('schema')}, this program writes "
            f"{SCHEMA}: run the version that wrote it, or go on with this one: {REBUILD}"
        )
    if meta.get("partitions") != str(partitions):
        raise UnusableStateError(
            f"the state was built with {meta.get('partitions')} partitions a topic, now there are "
            f"{partitions}: keys moved; {REBUILD}"
        )
    if meta.get("rules") != rules.text:
        raise UnusableStateError(
            f"the state was built with other rules ({meta.get('rules')}) than the settings give now "
            f"({rules.text}); set them back, or go on with these: {REBUILD}"
        )


def load_meta(state: PartitionState, meta: Mapping[str, str]) -> None:
    """Progress, currencies and what was trimmed, as a meta hash holds them; nothing of an empty one."""
    state.high_ms = int(meta.get("h", NEVER_MS))
    state.service.currencies.update(meta.get("currencies", "").split())
    for topic in INPUT_TOPICS:
        last = meta.get(f"last:{topic}")
        offset = meta.get(f"off:{topic}")
        state.topics[topic] = Progress(
            next_offset=None if offset is None else int(offset),
            ingest_ms=int(meta.get(f"ing:{topic}", NEVER_MS)),
            high_ms=int(meta.get(f"hi:{topic}", NEVER_MS)),
            source_ms=int(meta.get(f"src:{topic}", NEVER_MS)),
            heartbeat_ms=int(meta.get(f"hb:{topic}", NEVER_MS)),
            canary_ms=int(meta.get(f"canary:{topic}", NEVER_MS)),
            watermark_ms=int(meta.get(f"wm:{topic}", NEVER_MS)),
            last=cast("tuple[int, int, int]", tuple(map(int, last.split(":")))) if last else None,
        )
    state.trimmed = {
        name.removeprefix("trim:"): int(day) for name, day in meta.items() if name.startswith("trim:")
    }


def panes_of(members: Sequence[bytes], sizes: Sequence[PaneSize]) -> Iterator[Pane]:
    """The panes that a zset lists; those of sizes that are no longer kept are passed over."""
    by_name = {size.name: size for size in sizes}
    for member in members:
        name, start_ms = member.decode().split(":")
        if name in by_name:
            yield Pane(by_name[name], int(start_ms))

"""How far each topic of a partition was read."""

from __future__ import annotations

from dataclasses import dataclass

NEVER_MS = -1


@dataclass(slots=True)
class Progress:
    """How far one topic of the partition was read, as the memory stands (Redis may be behind).

    Times are `NEVER_MS` until known. `last` is (offset, timestamp, CRC-32 of the value) of the last record,
    by which a recreated topic is recognised; `source_ms` is Kafka's time of the newest record that is no
    canary, `canary_ms` that of the newest canary.
    """

    next_offset: int | None = None
    ingest_ms: int = NEVER_MS
    high_ms: int = NEVER_MS
    heartbeat_ms: int = NEVER_MS
    watermark_ms: int = NEVER_MS
    last: tuple[int, int, int] | None = None
    source_ms: int = NEVER_MS
    canary_ms: int = NEVER_MS

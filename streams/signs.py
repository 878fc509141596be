"""Signs of life of a topic's source, apart from Shop Pulse's own canary.

Behind the verdicts, beside the counting of events; no figure depends on it. The canary is a record like any
other to the verdicts, ingest time included; but were it taken for a sign of the shop's source, it would hide
that this one fell silent.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.canary import SOURCE
from schemas.events import Event, SourceHeartbeat
from streams.batch import LogRecord
from streams.verdict import Screened


def is_canary(event: Event) -> bool:
    """Whether Shop Pulse sent it to itself."""
    return isinstance(event, SourceHeartbeat) and event.source == SOURCE


def source_ms(before_ms: int, records: Sequence[LogRecord], screened: Screened) -> int:
    """Kafka's time of the topic-partition's newest record that is no canary, after a chunk of `records`.

    `before_ms` is the one before it. What is no valid event counts: somebody sends.
    """
    # Heartbeats are rare, so most chunks are done with here, by ingest time.
    if SourceHeartbeat not in {event.__class__ for event in screened.events}:
        return max(before_ms, screened.end_ingest_ms) if records else before_ms
    canaries = {
        record.offset
        for event, record in zip(screened.events, screened.records, strict=True)
        if is_canary(event)
    }
    return max([before_ms, *(each.timestamp for each in records if each.offset not in canaries)])

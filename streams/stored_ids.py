"""Which of a topic's identities Redis may hold: what a new owner has to load."""

from __future__ import annotations

from streams.identity import IdWindow
from streams.progress import NEVER_MS
from streams.verdict import FUTURE_MS


def stored_minutes(ids: IdWindow, ingest_ms: int) -> range:
    """Minutes of ids that may be stored for a topic whose stored ingest time is `ingest_ms`."""
    return ids.minutes_to_load(ingest_ms, FUTURE_MS) if ingest_ms != NEVER_MS else range(0)

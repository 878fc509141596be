"""Pieces of the simulated shop for tests: its first seconds, or a whole hour with the decoded events."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import Any

from schemas.codec import decode
from streams.sources.record import Record
from streams.sources.simulation import SimConfig, simulate

START_MS = 1_700_000_000_123


def records(seconds: int, **changes: Any) -> list[Record]:
    """The first `seconds` of a shop of 100 events/s."""
    config = SimConfig(**{"start_ms": START_MS, "rate": 100.0, "daily_shape": False, **changes})
    end_ms = config.start_ms + seconds * 1000
    return list(itertools.takewhile(lambda record: record.timestamp_ms < end_ms, simulate(config)))


@functools.cache
def an_hour() -> list[tuple[Record, Any]]:
    """The records of an hour, each with its event."""
    return [(record, decode(record.value, record.topic)) for record in records(3600)]


def of(kind: type, pairs: Iterable[tuple[Record, Any]] | None = None) -> list[Any]:
    """The events of one type."""
    return [event for _, event in (an_hour() if pairs is None else pairs) if isinstance(event, kind)]


def decoded(some: Iterable[Record]) -> list[tuple[Record, Any]]:
    """Records with their events."""
    return [(record, decode(record.value, record.topic)) for record in some]

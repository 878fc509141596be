"""Live rooms: viewers and watch time from sorted heartbeats, what is pinned, whose live it is.

A room's events share a partition; they are collected while the log is read, and looked at as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from verify.model import Booking, Room
from verify.rules import FINEST_MS, SECOND_MS

STEP_MOST_MS = 60 * SECOND_MS
PINS_KEPT = 200
# More viewers than that count as that.
VIEWERS_MOST = 10**9

ROOM_EVENTS = frozenset({"live_start", "live_end", "live_heartbeat", "product_pin", "product_unpin"})


class RoomEvent(NamedTuple):
    """One accepted, real event of a room; sorts by event time, then offset."""

    time_ms: int
    offset: int
    kind: str
    viewers: int = 0
    product_id: str = ""
    creator_id: str | None = None


class Rooms:
    """The rooms of one partition."""

    def __init__(self) -> None:
        self._events: dict[str, list[RoomEvent]] = {}

    def add(self, event: Mapping[str, Any], offset: int) -> None:
        """Any accepted, real event; those that are not a room's own say nothing here."""
        if event["event_type"] in ROOM_EVENTS:
            self._events.setdefault(event["live_id"], []).append(
                RoomEvent(
                    event["event_time_ms"],
                    offset,
                    event["event_type"],
                    min(event.get("concurrent_viewers", 0), VIEWERS_MOST),
                    event.get("product_id", ""),
                    event.get("creator_id"),
                )
            )

    def bookings(self) -> list[Booking]:
        """Peak, watch time and covered time of every live."""
        return [
            booking
            for live_id, events in self._events.items()
            for booking in _heartbeat_bookings(live_id, sorted(events))
        ]

    def rooms(self) -> dict[str, Room]:
        """What is known last of every live."""
        return {live_id: _room(sorted(events)) for live_id, events in self._events.items()}


def _heartbeat_bookings(live_id: str, events: Iterable[RoomEvent]) -> Iterator[Booking]:
    scopes = (("live", live_id),)
    beats = [event for event in events if event.kind == "live_heartbeat"]
    for number, beat in enumerate(beats):
        yield Booking(beat.time_ms, scopes, (("max.viewers", beat.viewers),))
        until_ms = beat.time_ms + STEP_MOST_MS
        if number + 1 < len(beats):
            until_ms = min(until_ms, beats[number + 1].time_ms)
        for at_ms, length_ms in split(beat.time_ms, until_ms):
            amounts = (("watch_ms", beat.viewers * length_ms), ("covered_ms", length_ms))
            yield Booking(at_ms, scopes, amounts)


def split(from_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
    """[from, until) cut at the borders of the finest panes: (start, length) of each piece."""
    at_ms = from_ms
    while at_ms < until_ms:
        border_ms = min(until_ms, at_ms - at_ms % FINEST_MS + FINEST_MS)
        yield at_ms, border_ms - at_ms
        at_ms = border_ms


def _room(events: list[RoomEvent]) -> Room:
    latest: dict[str, RoomEvent] = {}
    heartbeat: tuple[int, int] | None = None
    ended: RoomEvent | None = None
    for event in events:
        if event.kind == "live_heartbeat":
            heartbeat = event.time_ms, event.viewers
        elif event.kind == "live_end":
            ended = event
        elif event.kind in ("product_pin", "product_unpin"):
            latest[event.product_id] = event
    kept = sorted(latest.values())[-PINS_KEPT:]
    pinned = {
        event.product_id: event.time_ms
        for event in kept
        if event.kind == "product_pin" and (ended is None or event > ended)
    }
    starts = [event for event in events if event.kind == "live_start"]
    goes_on = ended is None or any(start > ended for start in starts)
    # A start that names somebody says more than all else; among equals the latest holds.
    naming = [event for event in events if event.creator_id is not None]
    naming = [event for event in naming if event.kind == "live_start"] or naming
    return Room(
        began_ms=events[0].time_ms,
        heartbeat=heartbeat,
        pinned=pinned,
        creator_id=naming[-1].creator_id if naming else None,
        started_ms=starts[0].time_ms if starts else None,
        ended_ms=None if ended is None or goes_on else ended.time_ms,
    )

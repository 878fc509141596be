"""Bytes to events, fast: the first station behind Kafka. Never raises, whatever the bytes are.

msgspec decodes and checks each field; what it cannot see is checked on whole batches with a few scans (is
it UTF-8, can it nest too deep, is each value one line). Whoever is not plainly right goes to `exact`, which
knows the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Any, Final, Union

import msgspec

from schemas import exact
from schemas.events import TYPES_OF_TOPIC, Event, Purchase, Refund
from schemas.fields import DEFAULT_PLATFORMS, MAX_DEPTH, MAX_VALUE_BYTES, OTHER, SURFACES
from schemas.totals import contradiction
from schemas.verdicts import Reason, Rejected

__all__ = ["DEFAULT_PLATFORMS", "Reason", "Rejected", "decode", "decode_batch"]

# What a decoder may raise for bytes that it does not take: each of them means "let `exact` judge".
_REFUSALS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_platform = attrgetter("platform")
_surface = attrgetter("surface")
_KNOWN_SURFACES: Final = SURFACES | {None}


def _decoder(types: Iterable[type[Event]]) -> msgspec.json.Decoder[Event]:
    union: Any = Union[tuple(types)]  # noqa: UP007 - built from a table, so `|` cannot write it
    return msgspec.json.Decoder(union)


# One decoder per topic: an event of another topic fails at its tag.
_DECODERS: Final = {topic: _decoder(types) for topic, types in TYPES_OF_TOPIC.items()}


def decode(
    value: bytes | None, topic: str, platforms: AbstractSet[str] = DEFAULT_PLATFORMS
) -> Event | Rejected:
    """The event in a record's value, or why there is none (the first seven reasons).

    `topic` is one of INPUT_TOPICS. An unknown platform or surface comes out as "other". Total: raises for
    no bytes.
    """
    if value is None:
        return Rejected(Reason.NOT_JSON, "the record has no value (a tombstone)")
    if len(value) > MAX_VALUE_BYTES:
        return Rejected(Reason.TOO_LARGE, f"{len(value)} bytes, more than {MAX_VALUE_BYTES}")
    event = _decode_plainly_right(value, topic)
    if event is None:
        judged = exact.judge(value, topic)
        if isinstance(judged, Rejected):
            return judged
        event = judged
    return _settle(event, platforms)


def decode_batch(
    values: Sequence[bytes | None], topic: str, platforms: AbstractSet[str] = DEFAULT_PLATFORMS
) -> list[Event | Rejected]:
    """`decode` of each value, in order, at a fraction of the cost when all of them are right."""
    events = _decode_lines(values, topic)
    if events is None:
        return [decode(value, topic, platforms) for value in values]
    # A whole batch is asked in C which words it uses; only one with an unknown word is gone through.
    words_known = platforms >= set(map(_platform, events)) and set(map(_surface, events)) <= _KNOWN_SURFACES
    if words_known and topic != "purchases":
        return list(events)
    return [_settle(event, platforms) for event in events]


def _decode_plainly_right(value: bytes, topic: str) -> Event | None:
    if _may_be_too_deep(value):
        return None
    try:
        if not value.isascii():
            value.decode()
        return _DECODERS[topic].decode(value)
    except _REFUSALS:
        return None


def _decode_lines(values: Sequence[bytes | None], topic: str) -> list[Event] | None:
    """The events of a batch in which nothing is doubtful; None otherwise."""
    if not values:
        return []
    present = [value for value in values if value is not None]
    if len(present) != len(values) or max(map(len, present)) > MAX_VALUE_BYTES:
        return None
    lines = b"\n".join(present)
    if not _one_object_a_line(lines, len(present)) or _some_may_be_too_deep(lines, present):
        return None
    try:
        if not lines.isascii():
            lines.decode()
        events = _DECODERS[topic].decode_lines(lines)
    except _REFUSALS:
        return None
    return events if len(events) == len(values) else None


def _one_object_a_line(lines: bytes, count: int) -> bool:
    """Whether each of `count` joined values holds an object of its own, if `lines` can be read at all.

    `decode_lines` takes values for a stream of white-space separated ones, so two halves could pass for a
    whole. But "}, line break, {" cannot stand inside of JSON: if it is what joins all values, each begins and
    ends outside of all others and holds at least one object; if as many objects are read, exactly one.
    """
    breaks = count - 1
    return lines.count(b"\n") == breaks and lines.count(b"}\n{") == breaks


def _some_may_be_too_deep(lines: bytes, values: Sequence[bytes]) -> bool:
    # Each of n records opens at least one bracket, so the others bound what one of them can open.
    openings = lines.count(b"{") + lines.count(b"[")
    return openings - len(values) >= MAX_DEPTH and any(map(_may_be_too_deep, values))


def _may_be_too_deep(value: bytes) -> bool:
    return value.count(b"{") + value.count(b"[") > MAX_DEPTH


def _settle(event: Event, platforms: AbstractSet[str]) -> Event | Rejected:
    """`event` with unknown words replaced, or the contradiction between its amounts."""
    if isinstance(event, Purchase | Refund) and (wrong := contradiction(event)):
        return Rejected(Reason.OUT_OF_RANGE, wrong)
    if event.platform not in platforms:
        event = msgspec.structs.replace(event, platform=OTHER)
    if event.surface not in _KNOWN_SURFACES:
        event = msgspec.structs.replace(event, surface=OTHER)
    return event

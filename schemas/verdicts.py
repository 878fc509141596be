"""Why an event is not counted: the closed list of reasons, in the order in which they are judged.

The first reason that holds is the verdict. The decoders give the first seven, which need nothing but the
bytes and the topic; the last three need Kafka's timestamp and what was accepted before, and are judged
behind the decoder.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Closed list, in verdict order; the values stand in dead letters' headers and in counters' names."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_TOPIC = "wrong_topic"
    MISSING_FIELD = "missing_field"
    BAD_FIELD = "bad_field"
    OUT_OF_RANGE = "out_of_range"
    FUTURE_TIME = "future_time"
    LATE = "late"
    CONFLICTING_DUPLICATE = "conflicting_duplicate"


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A record that is not an event: the reason, and one line on it (at most 80 characters of user text)."""

    reason: Reason
    detail: str

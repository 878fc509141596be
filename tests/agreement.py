"""Asks all decoders about the same bytes, and insists that they agree."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.codec import Rejected, decode, decode_batch
from schemas.events import Event
from schemas.plain import decode_plain
from tests.golden import ACCEPTED


def verdict_of(judged: Event | dict[str, Any] | Rejected) -> str:
    """ "accepted", or the reason's name."""
    return str(judged.reason) if isinstance(judged, Rejected) else ACCEPTED


def agreed_verdict(value: bytes | None, topic: str) -> str:
    """The verdict on which `decode`, `decode_batch` and `decode_plain` agree, as they must on the content."""
    fast = decode(value, topic)
    plain = decode_plain(value, topic)
    assert decode_batch([value], topic) == [fast]
    assert verdict_of(fast) == verdict_of(plain), (value, topic, fast, plain)
    if not isinstance(plain, Rejected):
        assert not isinstance(fast, Rejected)
        assert_same_content(fast, plain)
    return verdict_of(fast)


def assert_same_content(event: Event, plain: dict[str, Any]) -> None:
    """The plain fields, read strictly into the record's type, are the event, and there are no others."""
    assert msgspec.convert(plain, type(event)) == event
    known = {"event_type", *type(event).__struct_fields__}
    assert plain.keys() <= known
    assert None not in plain.values()

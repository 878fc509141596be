"""The types of the fields of events: text, whole numbers with their bounds, closed lists of words.

A bound on a number is judged as `out_of_range`; everything else about a type (kind, length, pattern, word) as
`bad_field`. `platform` and `surface` are open: an unknown word becomes `other`, so they are plain text here.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

MAX_VALUE_BYTES: Final = 65_536
MAX_DEPTH: Final = 64
MAX_INTEGER: Final = 2**53 - 1
"""Largest amount: what a double, and so every JSON reader, holds exactly."""
MAX_UNIT_PRICE_MINOR: Final = 10**11
MAX_QUANTITY: Final = 10**4
MAX_ITEMS: Final = 200
MAX_ASSIGNMENTS: Final = 8
MIN_EVENT_TIME_MS: Final = 1_262_304_000_000
"""2010-01-01T00:00:00Z: an earlier time is one in seconds, or a clock that was never set."""

OTHER: Final = "other"
DEFAULT_PLATFORMS: Final = frozenset(
    {"tiktok", "douyin", "kuaishou", "wechat", "taobao", "instagram", "youtube", OTHER}
)
SURFACES: Final = frozenset(
    {
        "live",
        "short_video",
        "explore",
        "qr_code",
        "shared_link",
        "search",
        "showcase",
        "recommendation",
        "profile",
        OTHER,
    }
)

Id = Annotated[str, Meta(min_length=1, max_length=64)]
"""Identifiers and short names that serve as dimensions: 1 to 64 code points."""
Title = Annotated[str, Meta(min_length=1, max_length=1024)]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Z]{3}$")]
"""ISO 4217. The length is checked too: `$` alone would let a trailing newline pass."""
Platform = Annotated[str, Meta(extra_json_schema={"examples": sorted(DEFAULT_PLATFORMS)})]
Surface = Annotated[str, Meta(extra_json_schema={"examples": sorted(SURFACES)})]

TimeMs = Annotated[int, Meta(ge=MIN_EVENT_TIME_MS, le=MAX_INTEGER)]
UnitPrice = Annotated[int, Meta(ge=0, le=MAX_UNIT_PRICE_MINOR)]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
Amount = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
RefundAmount = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Bps = Annotated[int, Meta(ge=0, le=10_000)]
"""Basis points: hundredths of a percent."""
Rating = Annotated[int, Meta(ge=1, le=5)]

Traffic = Literal["real", "test", "sample", "replacement", "bot"]
Entry = Literal["explore", "qr_code", "shared_link", "search", "other"]
Outcome = Literal["started", "authorised", "declined", "error", "timeout", "cancelled_by_user"]
RefundKind = Literal["cancel", "return", "refund_only", "chargeback"]
Status = Literal["placed", "cancelled", "shipped", "delivered", "completed"]
Arm = Literal["treated", "held_out"]

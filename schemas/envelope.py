"""What events have in common: the envelope with its context, and who the event is about.

`events` builds one record per event type on these bases.
"""

from __future__ import annotations

from msgspec import Struct

from schemas.fields import Id, Platform, Surface, TimeMs, Traffic


class Envelope(Struct, frozen=True, kw_only=True, gc=False, tag_field="event_type"):
    """What every event carries, and the context that any event may carry."""

    event_id: Id
    event_time_ms: TimeMs
    platform: Platform
    surface: Surface | None = None
    live_id: Id | None = None
    creator_id: Id | None = None
    brand_id: Id | None = None
    merchant_id: Id | None = None
    product_id: Id | None = None
    sku_id: Id | None = None
    content_id: Id | None = None
    affiliate_id: Id | None = None
    mini_program_id: Id | None = None
    share_id: Id | None = None
    country: Id | None = None
    client_os: Id | None = None
    app_version: Id | None = None
    traffic: Traffic = "real"


class Shopper(Envelope, frozen=True, kw_only=True):
    """What a shopper does, in a session."""

    user_id: Id
    session_id: Id


class OrderEvent(Envelope, frozen=True, kw_only=True):
    """What the order service says about a shopper's order."""

    user_id: Id
    session_id: Id | None = None


class RoomEvent(Envelope, frozen=True, kw_only=True):
    """What a live room does."""

    live_id: Id

"""Host tokens: what lets a livestream host see the own live room, for some hours, and nothing else.

They stand beside the read service's own token, from which their keys are derived: whoever has that one can
make them, and setting another one ends them all. Nothing is stored; all that a token says is in it, signed.

A token is 32 characters of base64url: when it expires (4 bytes, Unix seconds), which live it is for (8 bytes,
a keyed hash of the id) and a signature of both (12 bytes). That the live is in it, hidden, tells a link for
another live from a forged one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass

from streams.window import DAY_MS, MINUTE_MS

MIN_MS = MINUTE_MS
MAX_MS = 7 * DAY_MS

_ROOM_BYTES = 8
_BODY = struct.Struct(f">I{_ROOM_BYTES}s")
_SIGNATURE_BYTES = 12
_SHAPE = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True)
class HostToken:
    """A token whose signature is right; it may have expired.

    Attributes:
        expires_ms: Unix milliseconds from which on it opens nothing.
        room: keyed hash of the live's id, see `HostTokens.is_for`.
    """

    expires_ms: int
    room: bytes


class HostTokens:
    """Makes and reads the host tokens of one service."""

    def __init__(self, service_token: str) -> None:
        """`service_token` is SHOP_PULSE_TOKEN, and not empty."""
        if not service_token:
            raise ValueError("without a service token there is no key")
        # One key for each use: what one part of a token shows is of no help with the other.
        secret = service_token.encode("utf-8", "surrogateescape")
        self._room_key = _mac(secret, b"shop-pulse host token 1: live")
        self._signing_key = _mac(secret, b"shop-pulse host token 1: signature")

    def make(self, live_id: str, expires_ms: int) -> str:
        """The token that opens this live until `expires_ms` (Unix milliseconds, cut to whole seconds)."""
        body = _BODY.pack(expires_ms // 1_000, self._room(live_id))
        return base64.urlsafe_b64encode(body + self._signature(body)).decode("ascii")

    def read(self, token: str) -> HostToken | None:
        """What a token says; None if this service did not make it. Takes the same time for any wrong one."""
        if not _SHAPE.fullmatch(token):
            return None
        raw = base64.urlsafe_b64decode(token)
        body, signature = raw[: _BODY.size], raw[_BODY.size :]
        if not hmac.compare_digest(signature, self._signature(body)):
            return None
        expires_s, room = _BODY.unpack(body)
        return HostToken(expires_s * 1_000, room)

    def is_for(self, token: HostToken, live_id: str) -> bool:
        """Whether it was made for this live."""
        return hmac.compare_digest(token.room, self._room(live_id))

    def _room(self, live_id: str) -> bytes:
        # A reader may ask with any text, also one that is no valid Unicode.
        return _mac(self._room_key, live_id.encode("utf-8", "surrogatepass"))[:_ROOM_BYTES]

    def _signature(self, body: bytes) -> bytes:
        return _mac(self._signing_key, body)[:_SIGNATURE_BYTES]


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()

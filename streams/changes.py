"""What was changed at the shop, and spans of which its figures say nothing.

It stands beside the figures, under a key of its own, and is the only thing that the read service writes.
Deploys, promotions and notes are shown beside figures; an incident or an outage flags its span, and what
judges figures leaves that out.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from streams import together
from streams.answer import QuestionError
from streams.samples import Samples
from streams.store import StoreCorruptError, guarded
from streams.together import Command, Together
from streams.window import DAY_MS
from streams.write_plan import as_text

# What is kept: five weeks of baselines need the flags of five weeks. Of more than so many the oldest go.
KEPT_MS = 40 * DAY_MS
KEPT_MAX = 1_000
# A span is at most so long, and may be told of so long ahead: a slip of a digit must flag no month.
SPAN_MAX_MS = 7 * DAY_MS
AHEAD_MAX_MS = 7 * DAY_MS
# What alerts leave out ends at most so far ahead: a wrong end must not keep them quiet for long.
FLAGGED_AHEAD_MAX_MS = DAY_MS

TITLE_MAX = 200
URL_MAX = 500
# Changes of the last day are shown as gauges, the newest ones, with so much of their titles.
SHOWN_MS = DAY_MS
SHOWN_MAX = 100
SHOWN_TITLE_MAX = 60

EXAMPLE = '{"kind": "deploy", "title": "checkout 1.42"}'
END_EXAMPLE = '{"to_ms": 1767229200000}'
# Control characters, lone surrogates, and what ends a line or a paragraph.
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})


class Kind(StrEnum):
    """What kind of change it is."""

    DEPLOY = "deploy"
    INCIDENT = "incident"
    PROMOTION = "promotion"
    OUTAGE = "outage"
    NOTE = "note"


FLAGGED = frozenset({Kind.INCIDENT, Kind.OUTAGE})

Time = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change as it is told to the service; times are Unix milliseconds."""

    kind: Kind
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=TITLE_MAX)]
    at_ms: Time | None = None
    to_ms: Time | None = None
    url: Annotated[str, msgspec.Meta(max_length=URL_MAX)] | None = None


class End(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a change was over, Unix milliseconds; None: now."""

    to_ms: Time | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change as it is kept and shown.

    Attributes:
        id: follows from kind, title and `at_ms`: telling of the same again replaces it.
        kind, title: what it was.
        at_ms: when it began, Unix milliseconds.
        to_ms: when it ended; None: a moment, or an end that is not known yet.
        url: more about it.
    """

    id: str
    kind: Kind
    title: str
    at_ms: int
    to_ms: int | None = None
    url: str | None = None

    @property
    def until_ms(self) -> int:
        """When it ended as far as is known, at least a moment after it began."""
        return max(self.at_ms + 1, self.to_ms or 0)


_TOLD = msgspec.json.Decoder(Told)
_END = msgspec.json.Decoder(End)
_CHANGE = msgspec.json.Decoder(Change)
_ENCODER = msgspec.json.Encoder()


class Client(together.Client, Protocol):
    """What is needed of a connected client (`streams.store.connect`)."""

    def zrangebyscore(self, name: Any, min: Any, max: Any) -> Awaitable[Any]:
        """Members of a sorted set with a score from `min` to `max`, in its order."""


def parse(body: bytes, now_ms: int) -> Change:
    """The change that a body of JSON tells of. Raises QuestionError that says what is wrong with it."""
    try:
        told = _TOLD.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise QuestionError(
            f"this tells of no change ({_line(error)}); send for example {EXAMPLE}"
        ) from error
    at_ms = now_ms if told.at_ms is None else told.at_ms
    if not told.title.strip() or any(unicodedata.category(char) in _NO_TEXT for char in told.title):
        raise QuestionError("title is one line of text, without control characters")
    if not now_ms - KEPT_MS <= at_ms <= now_ms + AHEAD_MAX_MS:
        raise QuestionError("at_ms is Unix milliseconds, from 40 days ago to 7 days ahead")
    if told.to_ms is not None:
        _check_end(told.kind, at_ms, told.to_ms, now_ms)
    if told.url is not None and not _is_link(told.url):
        raise QuestionError("url is an address that begins with https:// or http://")
    return _made(told.kind, told.title, at_ms, told.to_ms, told.url)


def parse_end(body: bytes) -> End:
    """The end that a body of JSON tells of. Raises QuestionError that says what is wrong with it."""
    try:
        return _END.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise QuestionError(
            f"this tells of no end ({_line(error)}); send {{}} for now, or for example {END_EXAMPLE}"
        ) from error


def _line(error: Exception) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(error)[:200])


def _check_end(kind: Kind, at_ms: int, to_ms: int, now_ms: int) -> None:
    if not at_ms <= to_ms <= at_ms + SPAN_MAX_MS:
        raise QuestionError("to_ms is Unix milliseconds, from at_ms to 7 days after it")
    if kind in FLAGGED and to_ms > now_ms + FLAGGED_AHEAD_MAX_MS:
        raise QuestionError(
            f"to_ms of an {kind} is at most a day ahead, because alerts leave out what lies before it; "
            "leave to_ms away and tell of the end once it is known"
        )


def _is_link(url: str) -> bool:
    """Pages make links of it: nothing that a browser would run, and nothing that breaks a line."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and url.isprintable() and " " not in url


def _made(kind: Kind, title: str, at_ms: int, to_ms: int | None, url: str | None = None) -> Change:
    said = f"{kind}\n{title}\n{at_ms}".encode()
    change_id = hashlib.blake2b(said, digest_size=8).hexdigest()
    return Change(id=change_id, kind=kind, title=title, at_ms=at_ms, to_ms=to_ms, url=url)


class Changes:
    """The changes under one key prefix: one sorted set by `at_ms`, so one slot of a cluster."""

    def __init__(self, client: Client, prefix: str, clock: Callable[[], int]) -> None:
        """`clock` gives Unix milliseconds."""
        self._client = client
        self._together = Together(client)
        self._key = f"{prefix}:changes"
        self.clock = clock

    async def add(self, change: Change) -> None:
        """Keeps a change, in place of the one with its id.

        Raises StoreUnavailableError and StoreCorruptError.
        """
        known = await self._read(change.at_ms, change.at_ms)
        await self._write(change, [member for member, each in known if each.id == change.id])

    async def end(self, change_id: str, end: End) -> Change | None:
        """Gives a change its end, not before it began, in place of the one it had; None: there is no such.

        Raises QuestionError where the end cannot be, and as `add` does.
        """
        now_ms = self.clock()
        for member, each in await self._read(now_ms - KEPT_MS, now_ms + AHEAD_MAX_MS):
            if each.id == change_id:
                to_ms = max(each.at_ms, now_ms) if end.to_ms is None else end.to_ms
                _check_end(each.kind, each.at_ms, to_ms, now_ms)
                ended = msgspec.structs.replace(each, to_ms=to_ms)
                await self._write(ended, [member])
                return ended
        return None

    async def between(self, from_ms: int, to_ms: int) -> list[Change]:
        """Changes of which a part lies in [from_ms, to_ms), by `at_ms`. Raises as `add` does."""
        found = await self._read(from_ms - SPAN_MAX_MS, to_ms - 1)
        return [change for _, change in found if change.until_ms > from_ms]

    async def flagged(self, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """Spans [from, to) within [from_ms, to_ms) that incidents and outages flag, apart and in order.

        One whose end is not known flags its first moment, and no more: a flag that nobody ends must not
        keep alerts quiet. Raises as `add` does.
        """
        flags = [each for each in await self.between(from_ms, to_ms) if each.kind in FLAGGED]
        spans: list[tuple[int, int]] = []
        for each in flags:
            begin_ms, end_ms = max(each.at_ms, from_ms), min(each.until_ms, to_ms)
            if spans and begin_ms <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], end_ms))
            else:
                spans.append((begin_ms, end_ms))
        return spans

    async def standing(self, now_ms: int) -> list[Change]:
        """The incidents and outages that flag what happens now. Raises as `add` does."""
        return [each for each in await self.between(now_ms, now_ms + 1) if each.kind in FLAGGED]

    async def note(self, kind: Kind, title: str, from_ms: int, to_ms: int) -> None:
        """Keeps a span that the service itself saw, as one with what it noted before if they touch.

        What lasts longer than a span may goes on as another one. Raises as `add` does.
        """
        title = title[:TITLE_MAX]
        touching = [
            (member, each)
            for member, each in await self._read(from_ms - SPAN_MAX_MS, to_ms)
            if (each.kind, each.title) == (kind, title) and each.until_ms >= from_ms
        ]
        if not touching:
            await self._write(_made(kind, title, max(from_ms, to_ms - SPAN_MAX_MS), to_ms), [])
            return
        member, before = touching[-1]
        end_ms = max(before.until_ms, to_ms)
        if end_ms - before.at_ms > SPAN_MAX_MS:
            begin_ms = max(before.until_ms, to_ms - SPAN_MAX_MS)
            await self._write(_made(kind, title, begin_ms, to_ms), [])
            return
        begin_ms = before.at_ms if end_ms - from_ms > SPAN_MAX_MS else min(before.at_ms, from_ms)
        if (begin_ms, end_ms) != (before.at_ms, before.until_ms):
            await self._write(_made(kind, title, begin_ms, end_ms, before.url), [member])

    async def families(self) -> tuple[Samples, ...]:
        """The gauges: changes of the last day, and until when flags stand. Raises as `add` does."""
        now_ms = self.clock()
        times = shown_times(await self.between(now_ms - SHOWN_MS, now_ms + 1))
        until: dict[tuple[str, ...], float] = {
            (each.kind.value, each.title[:SHOWN_TITLE_MAX]): each.until_ms / 1_000
            for each in sorted(await self.standing(now_ms), key=lambda each: each.until_ms)[-SHOWN_MAX:]
        }
        labels = ("kind", "title")
        return (
            Samples("change_timestamp_seconds", "When a change of the last day began.", labels, times),
            Samples(
                "flagged_until_timestamp_seconds", "Until when alerts leave out what happens.", labels, until
            ),
        )

    async def _read(self, from_ms: int, to_ms: int) -> list[tuple[bytes, Change]]:
        """Members and what they say, of changes that began from `from_ms` to `to_ms`."""
        members: Sequence[bytes] = await guarded(self._client.zrangebyscore(self._key, from_ms, to_ms))
        try:
            return [(member, _CHANGE.decode(member)) for member in members]
        except msgspec.DecodeError as error:
            raise StoreCorruptError(
                f"the key {self._key} in Redis holds what Shop Pulse did not write; delete it (it holds "
                "changes that were told to the service, no figures)"
            ) from error

    async def _write(self, change: Change, replaced: Sequence[bytes]) -> None:
        key = self._key
        commands: list[Command] = [("ZREM", key, as_text(member)) for member in replaced]
        commands += [
            ("ZADD", key, str(change.at_ms), as_text(_ENCODER.encode(change))),
            ("ZREMRANGEBYSCORE", key, "-inf", str(self.clock() - KEPT_MS - 1)),
            ("ZREMRANGEBYRANK", key, 0, -KEPT_MAX - 1),
        ]
        await guarded(self._together(commands))


def shown_times(changes: Iterable[Change]) -> dict[tuple[str, ...], float]:
    """When changes began, in Unix seconds, by kind and the beginning of the title; the newest ones."""
    newest = sorted(changes, key=lambda each: each.at_ms)[-SHOWN_MAX:]
    return {(each.kind.value, each.title[:SHOWN_TITLE_MAX]): each.at_ms / 1_000 for each in newest}

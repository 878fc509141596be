"""What Redis holds, read: one consistent view per partition number, and a walk over the cells of a pane.

It stands behind the guarded write and before the read model; it never writes. The client is handed in, and
only `streams.store` knows the Redis library. Keys of one partition number share a hash tag, and no call
names two of them: it works on a cluster as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from importlib import resources
from typing import Any, NamedTuple, Protocol

from streams import together
from streams.marks import Change, Standing, told_since
from streams.pane_memory import Asked, PaneMemory
from streams.read_call import Call, ReadingPlan
from streams.requests import Meta, Reading, Request
from streams.store import StoreUnavailableError, guarded
from streams.subjects import Found, Subject
from streams.window import Pane
from streams.write_plan import Keys, pane_member

CALLS_AT_ONCE = 8
CALL_TIMEOUT_S = 5.0
SCAN_COUNT = 1_000
# Where a pane that was quiet changed just now it is read once more; the last time everything is.
READ_TRIES = 3


class Client(together.Client, Protocol):
    """What is needed of a connected client (`streams.store.connect`)."""

    def zmscore(self, key: Any, members: Any) -> Awaitable[Any]:
        """Scores of members of a sorted set, None for one that is absent."""

    def hscan(self, name: Any, cursor: Any = ..., *, count: Any = ...) -> Awaitable[Any]:
        """A step through a hash: next cursor (0 at the end) and fields."""


class ReadStore:
    """The read side of Redis: one generation, over the partition numbers 0 to `partitions` - 1."""

    def __init__(self, client: Client, generation: str, partitions: int) -> None:
        self._client = client
        self.generation = generation
        self._script = client.register_script(
            resources.files("streams").joinpath("read.lua").read_text("utf-8")
        )
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self.partitions = partitions
        self._memory = PaneMemory()

    async def read(self, requests: Sequence[Request] = ()) -> Reading:
        """Every partition number, each of one moment.

        Cells that were read before are remembered, and what writes did since is added to them. Where the
        requests name more than `SKETCHES_MAX` sketches, the numbers of those beyond come from further calls:
        each of one moment, which may be later than that of the rest.

        Raises StoreUnavailableError, and ValueError for a union of more sketches than that.
        """
        for tried in range(READ_TRIES):
            plan = ReadingPlan(requests, self.partitions, self._memory, remembers=tried < READ_TRIES - 1)
            asked, answers, told = await self._asked(plan)
            if all(plan.follows(each.changed) for each in told):
                break
        for p, answer in enumerate(answers):
            plan.take(p, answer)
        missed = self._memory.missed(asked, [each.standing for each in told])
        return plan.reading(
            [each.meta for each in told],
            _not_kept if missed is None else partial(self._memory.put, missed),
        )

    async def _asked(self, plan: ReadingPlan) -> tuple[Asked, Sequence[Sequence[Any]], list[_Told]]:
        """What every partition number answers to the calls of a plan, and tells beside."""
        asked = self._memory.ask(time.monotonic())
        answers = await asyncio.gather(
            *(self._ask(p, asked.since(p), plan.calls) for p in range(self.partitions))
        )
        return asked, answers, [self._told(p, asked, answer[0]) for p, answer in enumerate(answers)]

    async def _ask(self, p: int, since: str, calls: Sequence[Call]) -> list[Sequence[Any]]:
        """What the script answers to each of the calls."""
        tag = Keys(self.generation, p)("")
        return [
            await self._call(
                partial(self._script, keys=[tag + name for name in call.names], args=[since, call.packed])
            )
            for call in calls
        ]

    def _told(self, p: int, asked: Asked, answer: Sequence[Any]) -> _Told:
        told = _Told.of(answer, asked.standings.get(p))
        self._memory.learn(asked, p, told.standing, told.changed)
        return told

    async def meta(self, p: int) -> Meta:
        """The meta of one partition number."""
        asked = self._memory.ask(time.monotonic())
        [answer] = await self._ask(p, asked.since(p), [Call()])
        return self._told(p, asked, answer).meta

    async def changes(self, p: int, since: Standing | None) -> tuple[Standing, list[Sequence[Change]] | None]:
        """Where a partition number stands, and what writes did since it stood there; None if not known."""
        [answer] = await self._ask(p, "" if since is None else str(since.seq), [Call()])
        told = _Told.of(answer, since)
        return told.standing, told.changed

    async def last_changes(self, p: int, panes: Sequence[Pane]) -> list[float | None]:
        """Per pane a number that differs after each change of it; None where the pane holds nothing."""
        members = [pane_member(pane) for pane in panes]
        found: list[float | None] = await self._call(
            lambda: self._client.zmscore(Keys(self.generation, p)("panes"), members)
        )
        return found

    async def walk(self, p: int, kind: str, pane: Pane) -> AsyncIterator[tuple[str, int]]:
        """Every cell (``measure|value``, amount) of a pane, in small steps that hold up no writer.

        No moment: what changes meanwhile may come old or new, or twice.
        """
        key = Keys(self.generation, p).cells(kind, pane)
        cursor = 0
        while True:
            cursor, found = await self._call(partial(self._client.hscan, key, cursor, count=SCAN_COUNT))
            for cell, amount in found.items():
                yield cell.decode(), int(amount)
            if cursor == 0:
                return

    async def _call(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S), self._slots:
                return await guarded(ask())
        except TimeoutError as error:
            raise StoreUnavailableError(f"Redis did not answer within {CALL_TIMEOUT_S:.0f} s") from error


class _Told(NamedTuple):
    """What one partition number told beside the answers.

    Attributes:
        meta: the meta hash.
        standing: how far it was written.
        changed: what the writes did since it was known, the last one first; None if that is not known.
    """

    meta: Meta
    standing: Standing
    changed: list[Sequence[Change]] | None

    @classmethod
    def of(cls, answer: Sequence[Any], before: Standing | None) -> _Told:
        """By the script's answer to who knew that it stood at `before`; None: who knew nothing."""
        meta = Meta(dict(_pairs(answer[0])))
        standing = Standing.of(meta.fields)
        if before is None or not before.leads_to(standing):
            return cls(meta, standing, None)
        return cls(meta, standing, told_since(before.seq, answer[1], standing.seq))


def _not_kept(_pane: str, _subject: Subject, _found: Found) -> None:
    """What others heard meanwhile is not known: what was read may be older."""


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[str, str]]:
    texts = [text.decode() for text in flat]
    return zip(texts[::2], texts[1::2], strict=True)

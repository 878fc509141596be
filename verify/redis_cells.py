"""The Redis side of the comparison: everything public of one partition number, as of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.exceptions import RedisError

from verify import VerifyError
from verify.model import PaneKey, Panes
from verify.rules import SIZE_MS, TOPICS
from verify.scopes import KINDS

TRIES = 20
SCAN_COUNT = 1_000


@dataclass
class Snapshot:
    """`sp:{p}:meta`, the panes of the zset and every cell, read in one transaction.

    `listed` are the panes (size, start_ms) that readers find; `unlisted` are hashes of cells that no reader
    finds any more.
    """

    meta: dict[str, str]
    listed: set[tuple[str, int]] = field(default_factory=set)
    panes: Panes = field(default_factory=dict)
    unlisted: set[PaneKey] = field(default_factory=set)

    @property
    def offsets(self) -> dict[str, int]:
        """Next offset per topic; 0 where the worker has applied nothing."""
        return {topic: int(self.meta.get(f"off:{topic}", "0")) for topic in TOPICS}


class RedisCells:
    """Reads one prefix of one Redis. Raises VerifyError when it can't be reached."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        try:
            # The client's own types are unions over its two decodings.
            self._client: Any = redis.Redis.from_url(url, decode_responses=True)
        except ValueError as error:
            raise VerifyError(f"{url!r} is not a Redis address; use redis://host:port/db") from error

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def meta(self, partition: int) -> dict[str, str]:
        """The meta hash; empty when the worker has never written this partition."""
        try:
            return dict(self._client.hgetall(self._key(partition, "meta")))
        except RedisError as error:
            raise self._unreachable(error) from error

    def snapshot(self, partition: int) -> Snapshot:
        """All cells with the meta hash they belong to."""
        try:
            for _ in range(TRIES):
                found = self._read(partition)
                if found is not None:
                    found.unlisted = self._unlisted(partition)
                    return found
        except RedisError as error:
            raise self._unreachable(error) from error
        raise VerifyError(
            f"partition {partition}'s panes in Redis kept changing while they were read; try again"
        )

    def _read(self, partition: int) -> Snapshot | None:
        """One MULTI/EXEC over the panes listed just before; None if another pane came in between."""
        panes_key = self._key(partition, "panes")
        asked = sorted(_pane(member) for member in self._client.zrange(panes_key, 0, -1))
        keys: list[PaneKey] = [(kind, size, start_ms) for size, start_ms in asked for kind in KINDS]
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hgetall(self._key(partition, "meta"))
            pipe.zrange(panes_key, 0, -1)
            for key in keys:
                pipe.hgetall(self._cells_key(partition, key))
            meta, members, *hashes = pipe.execute()
        listed = {_pane(member) for member in members}
        if not listed <= set(asked):
            return None
        panes = {key: _numbers(cells) for key, cells in zip(keys, hashes, strict=True) if cells}
        return Snapshot(meta=meta, listed=listed, panes=panes)

    def _unlisted(self, partition: int) -> set[PaneKey]:
        """Hashes of cells whose pane is not in the zset. Checked again one by one: SCAN is no moment."""
        head = self._key(partition, "cells:")
        found: set[PaneKey] = set()
        listed = {_pane(member) for member in self._client.zrange(self._key(partition, "panes"), 0, -1)}
        for name in self._client.scan_iter(match=_escaped(head) + "*", count=SCAN_COUNT):
            kind, size, start = name.removeprefix(head).split(":")
            if (size, int(start)) not in listed and self._is_unlisted(partition, (kind, size, int(start))):
                found.add((kind, size, int(start)))
        return found

    def _is_unlisted(self, partition: int, key: PaneKey) -> bool:
        with self._client.pipeline(transaction=True) as pipe:
            pipe.exists(self._cells_key(partition, key))
            pipe.zscore(self._key(partition, "panes"), f"{key[1]}:{key[2]}")
            exists, score = pipe.execute()
        return bool(exists) and score is None

    def _key(self, partition: int, rest: str) -> str:
        return f"{self._prefix}:{{{partition}}}:{rest}"

    def _cells_key(self, partition: int, key: PaneKey) -> str:
        kind, size, start_ms = key
        return self._key(partition, f"cells:{kind}:{size}:{start_ms}")

    def _unreachable(self, error: RedisError) -> VerifyError:
        return VerifyError(
            f"Redis at {self._url} can't be read ({type(error).__name__}: {error}); "
            "start it (`shop-pulse up`) or name another with --redis"
        )


def _pane(member: str) -> tuple[str, int]:
    size, _, start = member.partition(":")
    if size not in SIZE_MS:
        raise VerifyError(f"Redis lists a pane {member!r} of unknown size; is the prefix right?")
    return size, int(start)


def _numbers(raw: Mapping[str, str]) -> dict[str, int]:
    return {name: int(value) for name, value in raw.items()}


def _escaped(text: str) -> str:
    """For a Redis pattern, in which braces are plain but these are not."""
    return "".join("\\" + char if char in "\\*?[]" else char for char in text)

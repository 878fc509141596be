"""The Redis side of the comparison: everything public of one partition number, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import redis
from redis.exceptions import RedisError

from verify import VerifyError
from verify.model import PaneKey, Panes
from verify.rules import SIZE_MS, SKETCH_KEPT_MS, TOPICS
from verify.scopes import KINDS, ROOM_SIZE

TRIES = 20
SCAN_COUNT = 1_000
KNOWN_KEYS = frozenset(
    """meta panes marks cells index ids waiting lives orders attempts identities users usersindex userpanes
    sessions buyers rooms creators products taps deliveries journeys paying reasons rules rulenames
    assigned visits shared arrivals""".split()
)
"""How names of keys begin, behind the partition's braces."""

Pane = tuple[str, int]
Sketch = tuple[str, int, str]
"""(size, start_ms, "<step>:<kind>:<value>")"""


@dataclass
class Snapshot:
    """`sp:{p}:meta`, the panes of the zset, every cell and the sketches' indexes, read in one transaction.

    `listed` and `user_panes` are the panes (size, start_ms) that readers find; `rooms` the kinds with a colon
    that a pane's index names; `users` the names in the indexes of sketches, `estimates` how many users those
    hold that were counted. `unlisted` are hashes of cells, `unlisted_users` sketches and `unlisted_indexes`
    indexes of sketches that no reader finds any more, `unknown` keys that belong to nobody.
    """

    meta: dict[str, str]
    listed: set[Pane] = field(default_factory=set)
    panes: Panes = field(default_factory=dict)
    rooms: dict[Pane, set[str]] = field(default_factory=dict)
    user_panes: set[Pane] = field(default_factory=set)
    users: dict[Pane, set[str]] = field(default_factory=dict)
    estimates: dict[Sketch, int] = field(default_factory=dict)
    unlisted: set[PaneKey] = field(default_factory=set)
    unlisted_users: set[Sketch] = field(default_factory=set)
    unlisted_indexes: set[Pane] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    @property
    def offsets(self) -> dict[str, int]:
        """Next offset per topic; 0 where the worker has applied nothing."""
        return {topic: int(self.meta.get(f"off:{topic}", "0")) for topic in TOPICS}

    @property
    def sketch_count(self) -> int:
        """How many sketches there are, counted or not."""
        return sum(map(len, self.users.values()))


class RedisCells:
    """Reads one prefix of one Redis. Raises VerifyError when it can't be reached.

    `generation` is what keys begin with: the prefix itself, or what `follow` found.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = self.generation = prefix
        try:
            # The client's own types are unions over its two decodings.
            self._client: Any = _client(url)
        except ValueError as error:
            raise VerifyError(f"{url!r} is not a Redis address; use redis://host:port/db") from error

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def served(self) -> str:
        """The generation that the read service answers from: the prefix, until a rebuild switched."""
        try:
            return self._client.hget(f"{self._prefix}:generations", "serving") or self._prefix
        except RedisError as error:
            raise self._unreachable(error) from error

    def follow(self) -> None:
        """Reads the generation that is served from now on."""
        self.generation = self.served()

    def _check_served(self) -> None:
        # What is served no more may be deleted at any moment: half of it would look like a fault, and an
        # empty one like nothing to compare.
        if (served := self.served()) != self.generation:
            raise VerifyError(
                f"{served} is served since {self.generation} was begun to be read; run it again"
            )

    def meta(self, partition: int) -> dict[str, str]:
        """The meta hash; empty when the worker has never written this partition."""
        try:
            return dict(self._client.hgetall(self._key(partition, "meta")))
        except RedisError as error:
            raise self._unreachable(error) from error

    def snapshot(self, partition: int, sketches_most: int) -> Snapshot:
        """All cells with the meta hash they belong to; of sketches at most so many are counted."""
        try:
            for _ in range(TRIES):
                found = self._read(partition, sketches_most)
                if found is not None:
                    self._scan(partition, found)
                    self._check_served()
                    return found
        except RedisError as error:
            raise self._unreachable(error) from error
        raise VerifyError(
            f"partition {partition}'s panes in Redis kept changing while they were read; try again"
        )

    def _read(self, partition: int, sketches_most: int) -> Snapshot | None:
        """One MULTI/EXEC over what was listed just before; None if another pane or room came in between."""
        before = self._listed(partition, [], [])
        before = self._listed(partition, sorted(before.listed), sorted(before.user_panes))
        cells: list[PaneKey] = [(kind, *pane) for pane in sorted(before.listed) for kind in KINDS]
        cells += [(kind, *pane) for pane, kinds in sorted(before.rooms.items()) for kind in sorted(kinds)]
        sketches = _chosen(before.users, sketches_most, partition)
        with self._client.pipeline(transaction=True) as pipe:
            self._ask_listed(pipe, partition, sorted(before.listed), sorted(before.user_panes))
            asked = len(pipe)
            for key in cells:
                pipe.hgetall(self._cells_key(partition, key))
            for sketch in sketches:
                # Not by its method, which a cluster's pipeline refuses: it could name several slots.
                pipe.execute_command("PFCOUNT", self._sketch_key(partition, sketch))
            answers = pipe.execute()
        found = _read_listed(answers[:asked], sorted(before.listed), sorted(before.user_panes))
        hashes, counts = answers[asked : asked + len(cells)], answers[asked + len(cells) :]
        if not (found.listed <= before.listed and found.user_panes <= before.user_panes):
            return None
        if any(not kinds <= before.rooms.get(pane, set()) for pane, kinds in found.rooms.items()):
            return None
        found.panes = {key: _numbers(fields) for key, fields in zip(cells, hashes, strict=True) if fields}
        found.estimates = dict(zip(sketches, counts, strict=True))
        return found

    def _listed(self, partition: int, panes: Sequence[Pane], user_panes: Sequence[Pane]) -> Snapshot:
        """What there is to be read: panes, and the indexes of the panes that are known."""
        with self._client.pipeline(transaction=True) as pipe:
            self._ask_listed(pipe, partition, panes, user_panes)
            return _read_listed(pipe.execute(), panes, user_panes)

    def _ask_listed(
        self, pipe: Any, partition: int, panes: Sequence[Pane], user_panes: Sequence[Pane]
    ) -> None:
        pipe.hgetall(self._key(partition, "meta"))
        pipe.zrange(self._key(partition, "panes"), 0, -1)
        pipe.zrange(self._key(partition, "userpanes"), 0, -1)
        for size, start_ms in _with_rooms(panes):
            pipe.smembers(self._key(partition, f"index:{size}:{start_ms}"))
        for size, start_ms in user_panes:
            pipe.smembers(self._key(partition, f"usersindex:{size}:{start_ms}"))

    def _scan(self, partition: int, found: Snapshot) -> None:
        """Looks at the name of every key. What seems wrong is asked again: a SCAN is no moment."""
        head = self._key(partition, "")
        for name in self._client.scan_iter(match=_escaped(head) + "*", count=SCAN_COUNT):
            rest = name.removeprefix(head)
            first, _, place = rest.partition(":")
            if first not in KNOWN_KEYS:
                found.unknown.add(rest)
            elif first == "cells":
                kind, size, start = place.rsplit(":", 2)
                key = (kind, size, int(start))
                known = key in found.panes and key[1:] in found.listed
                if not known and self._is_unlisted(partition, key):
                    found.unlisted.add(key)
            elif first == "users":
                size, start, of = place.split(":", 2)
                sketch = (size, int(start), of)
                known = of in found.users.get((size, int(start)), ())
                if not known and self._is_unlisted_sketch(partition, sketch):
                    found.unlisted_users.add(sketch)
            elif first == "usersindex":
                size, start = place.split(":")
                if (size, int(start)) not in found.user_panes and self._is_unlisted_index(partition, place):
                    found.unlisted_indexes.add((size, int(start)))

    def _is_unlisted(self, partition: int, key: PaneKey) -> bool:
        kind, size, start_ms = key
        with self._client.pipeline(transaction=True) as pipe:
            pipe.exists(self._cells_key(partition, key))
            pipe.zscore(self._key(partition, "panes"), f"{size}:{start_ms}")
            pipe.sismember(self._key(partition, f"index:{size}:{start_ms}"), kind)
            exists, score, is_named = pipe.execute()
        return bool(exists) and (score is None or (":" in kind and not is_named))

    def _is_unlisted_sketch(self, partition: int, sketch: Sketch) -> bool:
        with self._client.pipeline(transaction=True) as pipe:
            pipe.exists(self._sketch_key(partition, sketch))
            pipe.sismember(self._key(partition, f"usersindex:{sketch[0]}:{sketch[1]}"), sketch[2])
            exists, is_named = pipe.execute()
        return bool(exists) and not is_named

    def _is_unlisted_index(self, partition: int, pane: str) -> bool:
        with self._client.pipeline(transaction=True) as pipe:
            pipe.exists(self._key(partition, f"usersindex:{pane}"))
            pipe.zscore(self._key(partition, "userpanes"), pane)
            exists, score = pipe.execute()
        return bool(exists) and score is None

    def _key(self, partition: int, rest: str) -> str:
        return f"{self.generation}:{{{partition}}}:{rest}"

    def _cells_key(self, partition: int, key: PaneKey) -> str:
        kind, size, start_ms = key
        return self._key(partition, f"cells:{kind}:{size}:{start_ms}")

    def _sketch_key(self, partition: int, sketch: Sketch) -> str:
        size, start_ms, name = sketch
        return self._key(partition, f"users:{size}:{start_ms}:{name}")

    def _unreachable(self, error: RedisError) -> VerifyError:
        return VerifyError(
            f"Redis at {self._url} can't be read ({type(error).__name__}: {error}); "
            "start it (`shop-pulse up`) or name another with --redis"
        )


def _client(url: str) -> Any:
    """Of one Redis, or of a cluster that any of its nodes names (`redis+cluster://`, `rediss+cluster://`)."""
    scheme, _, rest = url.partition("://")
    if scheme.endswith("+cluster"):
        head = scheme.removesuffix("+cluster")
        return redis.RedisCluster.from_url(f"{head}://{rest}", decode_responses=True)
    return redis.Redis.from_url(url, decode_responses=True)


def _with_rooms(panes: Sequence[Pane]) -> list[Pane]:
    return [pane for pane in panes if pane[0] == ROOM_SIZE]


def _read_listed(answers: Sequence[Any], panes: Sequence[Pane], user_panes: Sequence[Pane]) -> Snapshot:
    """The answers to `_ask_listed`, in its order."""
    rest: Iterator[Any] = iter(answers)
    meta, members, user_members = next(rest), next(rest), next(rest)
    listed = {_pane(member, SIZE_MS) for member in members}
    listed_users = {_pane(member, SKETCH_KEPT_MS) for member in user_members}
    rooms = {pane: set(next(rest)) for pane in _with_rooms(panes)}
    users = {pane: set(next(rest)) for pane in user_panes}
    return Snapshot(
        meta=meta,
        listed=listed,
        rooms={pane: kinds for pane, kinds in rooms.items() if pane in listed},
        user_panes=listed_users,
        users={pane: names for pane, names in users.items() if pane in listed_users},
    )


def _chosen(users: Mapping[Pane, set[str]], most: int, seed: int) -> list[Sketch]:
    """All sketches, or so many of them by chance, but the same each time."""
    sketches = sorted((*pane, name) for pane, names in users.items() for name in names)
    return sketches if len(sketches) <= most else sorted(Random(seed).sample(sketches, most))


def _pane(member: str, sizes: Mapping[str, int]) -> Pane:
    size, _, start = member.partition(":")
    if size not in sizes:
        raise VerifyError(f"Redis lists a pane {member!r} of unknown size; is the prefix right?")
    return size, int(start)


def _numbers(raw: Mapping[str, str]) -> dict[str, int]:
    return {name: int(value) for name, value in raw.items()}


def _escaped(text: str) -> str:
    """For a Redis pattern, in which braces are plain but these are not."""
    return "".join("\\" + char if char in "\\*?[]" else char for char in text)

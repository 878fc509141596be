"""Redis: the guarded write, and what an owner reads when it takes a partition over.

The only module that imports redis. Every failure that may pass (no connection, failing over, loading,
full, read-only) comes out as StoreUnavailableError with one line; a state that must not be used comes out as
PulseError.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, islice
from typing import Any, TypeVar, cast

import hiredis
import msgspec
from redis import exceptions as redis_errors
from redis.asyncio import Connection, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from schemas.codec import decode
from schemas.events import INPUT_TOPICS, Refund
from streams.errors import REBUILD, PulseError, UnusableStateError
from streams.kpi import FigureSet
from streams.ledger import WaitingRefund
from streams.settings import CLUSTER_SCHEMES
from streams.state import PartitionState, Rules, StateWrite
from streams.stored_ids import stored_minutes
from streams.stored_meta import check_meta, load_meta, panes_of
from streams.together import Command, Together, fields_of
from streams.window import Pane
from streams.write_plan import Arg, Keys, Operations, meta_fields, plan, too_large

logger = logging.getLogger(__name__)
VERSION_MIN = (7, 0)
CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0
# Hashes whose names are asked for together: one may hold a hundred thousand.
HASHES_AT_ONCE = 16
# How errors begin that come of keys which another program wrote; INVALIDOBJ: a sketch that is broken within.
CORRUPT = ("MALFORMED", "WRONGTYPE", "INVALIDOBJ")
T = TypeVar("T")
Client = Redis | RedisCluster


class StoreUnavailableError(Exception):
    """Redis cannot be used at the moment; the text says what is wrong and what to do."""


class StoreCorruptError(UnusableStateError):
    """Redis holds something that this program did not write there."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a memory was built on: a write is applied only if Redis still holds exactly this."""

    token: str
    offsets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Applied:
    """The write is in Redis.

    Attributes:
        seq: number of the write.
        increments: values of incremented fields, in order.
        left: what trimmed lists still hold, in order.
        emptied: expired panes of sketches of which nothing is left: to be forgotten.
        unfinished: expired panes of cells that still hold rooms: to be expired again with the next write.
    """

    seq: int
    increments: Sequence[int]
    left: Sequence[int]
    emptied: Sequence[Pane] = ()
    unfinished: Sequence[Pane] = ()


@dataclass(frozen=True, slots=True)
class AppliedBefore:
    """This very write was applied before and its answer was lost: it is in Redis, once."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Redis holds another token or vector: another owner wrote, or Redis lost its last writes."""

    differs: str


WriteAnswer = Applied | AppliedBefore | Refused


class FastConnection(Connection):
    """Packs commands in C: a guarded write may name thousands of keys, which redis-py joins in Python."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """The command on the wire."""
        # Two-word commands come as one argument ("CLIENT SETINFO"), which Redis expects apart.
        name = args[0].encode() if isinstance(args[0], str) else args[0]
        return [hiredis.pack_command((*name.split(), *args[1:]))]


def connect(url: str) -> Client:
    """A client that answers or fails within seconds; retrying is left to those who know what is safe.

    A URL of a cluster, with TLS (`rediss://`) or of a socket (`unix://`) brings redis-py's own connections,
    with slower packing.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
    }
    scheme, _, rest = url.partition("://")
    if scheme in CLUSTER_SCHEMES:
        return RedisCluster.from_url(f"{CLUSTER_SCHEMES[scheme]}://{rest}", **options)
    return Redis.from_url(url, connection_class=FastConnection, **options)


def _explain(error: Exception) -> str:
    text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    # redis-py takes the code off a message whose class says the same.
    if isinstance(error, redis_errors.OutOfMemoryError) or "OOM" in text:
        return f"Redis is full: raise maxmemory or free memory ({text})"
    if isinstance(error, redis_errors.ReadOnlyError) or "READONLY" in text:
        return "Redis is a read-only replica at the moment: failing over, or SHOP_PULSE_REDIS names a replica"
    if isinstance(error, redis_errors.BusyLoadingError) or "LOADING" in text:
        return "Redis is loading its data: waiting"
    if isinstance(error, redis_errors.AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
        return f"Redis refuses the credentials in SHOP_PULSE_REDIS ({text})"
    if isinstance(error, redis_errors.MovedError):
        return "SHOP_PULSE_REDIS names a node of a Redis Cluster: write it redis+cluster://host:port"
    if "MISCONF" in text:
        return f"Redis cannot save to disk (full?): free space on its disk ({text})"
    return f"Redis does not answer: check that it runs and SHOP_PULSE_REDIS ({text})"


async def guarded(answer: Awaitable[T]) -> T:
    """Awaits an answer of Redis; raises StoreUnavailableError in place of whatever may pass."""
    try:
        return await answer
    except redis_errors.ResponseError as error:
        if str(error).startswith("TOOLARGE"):
            raise too_large(str(error).removeprefix("TOOLARGE ")) from error
        if any(code in str(error) for code in CORRUPT):
            raise StoreCorruptError(
                f"Redis holds what Shop Pulse did not write: {error}; {REBUILD}"
            ) from error
        raise StoreUnavailableError(_explain(error)) from error
    except (redis_errors.RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailableError(_explain(error)) from error
    except RuntimeError as error:
        # uvloop's word for writing to a connection that was reset a moment ago; redis-py lets it through.
        if "handler is closed" not in str(error):
            raise
        raise StoreUnavailableError(_explain(error)) from error
    except AttributeError as error:
        # Where one task finds a cluster down, redis-py closes the connections of all others under them.
        if "NoneType" not in str(error):
            raise
        raise StoreUnavailableError(_explain(error)) from error


async def check_server(client: Client) -> None:
    """Raises PulseError if this Redis, or a primary of this cluster, cannot keep figures exact.

    Raises StoreUnavailableError if it does not answer.
    """
    if isinstance(client, RedisCluster):
        found = await guarded(client.info(target_nodes=RedisCluster.PRIMARIES))
        # Of one node the answer comes without its name.
        nodes = found.values() if all(isinstance(each, dict) for each in found.values()) else [found]
        for info in nodes:
            _check_info(info)
    else:
        _check_info(cast("dict[str, Any]", await guarded(client.info())))


def _check_info(info: Mapping[str, Any]) -> None:
    version = tuple(int(part) for part in str(info.get("redis_version", "0.0")).split(".")[:2])
    if version < VERSION_MIN:
        raise PulseError(f"Redis {info.get('redis_version')} is too old: 7.0 or newer is needed")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise PulseError(
            f"Redis evicts keys (maxmemory-policy {policy}): figures would be lost; set it to noeviction"
        )


class Store:
    """The state of all partitions of one generation (see generations.py).

    Attributes:
        generation: the first part of all keys. Whoever changes it drops every memory in the same step.
    """

    def __init__(
        self,
        client: Client,
        generation: str,
        figures: FigureSet,
        served: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        """`served` names the generation that is read; None: this one is filled, whichever is read."""
        self._client = client
        self._served = served
        self.generation = generation
        self._figures = figures
        script = files("streams").joinpath("apply.lua").read_text(encoding="utf-8")
        self._apply = client.register_script(script)
        self._together = Together(client)

    async def check_server(self) -> None:
        """See `check_server`."""
        await check_server(self._client)

    async def load(self, partition: int, rules: Rules) -> tuple[PartitionState, Guard]:
        """A memory built from Redis, and what it was built on.

        Raises UnusableStateError if the state was written for another schema or partition count, and
        StoreUnavailableError while another generation is served than this store's.
        """
        while (loaded := await self._load(partition, rules)) is None:
            logger.info("partition %d was written while it was being read; reading it again", partition)
        return loaded

    async def _load(self, partition: int, rules: Rules) -> tuple[PartitionState, Guard] | None:
        """See `load`; None if another owner wrote between the two readings.

        Its ids without its figures would make duplicates of what is not counted, and if Redis then lost
        that write in a rollback, the guard would not notice.
        """
        keys = Keys(self.generation, partition)
        if self._served is not None and (served := await self._served()) != self.generation:
            raise StoreUnavailableError(f"figures are kept under {served} now, not under {self.generation}")
        asked: list[Command] = [
            ("HGETALL", keys("meta")),
            ("ZRANGE", keys("panes"), 0, -1),
            ("HGETALL", keys("waiting")),
            ("ZRANGE", keys("userpanes"), 0, -1),
        ]
        raw_meta, raw_panes, raw_waiting, raw_user_panes = await guarded(self._together(asked))
        meta = {name.decode(): value.decode() for name, value in _pairs(raw_meta)}
        if not meta and (raw_panes or raw_waiting or raw_user_panes):
            raise StoreCorruptError(
                f"figures of partition {partition} are in Redis, but not how far they were counted (was a "
                f"key deleted or evicted?); {REBUILD}"
            )
        check_meta(meta, partition, rules)
        state = PartitionState(partition, rules)
        load_meta(state, meta)
        state.sums.load_stored(panes_of(raw_panes, rules.sizes))
        state.users.load_stored(panes_of(raw_user_panes, state.users.sizes))
        for _, encoded in _pairs(raw_waiting):
            kept = msgspec.msgpack.decode(encoded, type=WaitingRefund)
            refund = decode(kept.value, "purchases", rules.platforms)
            if not isinstance(refund, Refund):
                raise StoreCorruptError(
                    f"a refund that waits in partition {partition} can no longer be read; {REBUILD}"
                )
            state.service.orders.let_wait(refund, kept)
        token = meta.get("token", "")
        if not await self._load_ids(state, keys, token):
            return None
        offsets = {f"off:{topic}": meta.get(f"off:{topic}", "") for topic in INPUT_TOPICS}
        return state, Guard(token, offsets)

    async def _load_ids(self, state: PartitionState, keys: Keys, token: str) -> bool:
        """False if Redis holds another token by now."""
        wanted = [
            (topic, minute)
            for topic, ids in state.ids.items()
            for minute in stored_minutes(ids, state.topics[topic].ingest_ms)
        ]
        if not wanted:
            return True
        asked: list[Command] = [("GET", keys("ids", *place)) for place in wanted]
        asked.append(("HGET", keys("meta"), "token"))
        *stored, found_token = await guarded(self._together(asked))
        if _text(found_token) != token:
            return False
        for (topic, minute), packed in zip(wanted, stored, strict=True):
            if packed:
                state.ids[topic].load(minute, packed)
        return True

    async def read_records(
        self, partition: int, ids: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, dict[str, bytes | None]], str]:
        """Records of the ledgers by id, None where there is none, and the token that Redis holds.

        Under another token than the memory's they are another owner's, or of a time before a rollback, and
        must not be used: verdicts would be given, and dead letters sent, of what is not this log's prefix.
        """
        keys = Keys(self.generation, partition)
        # Of one moment: an order without the refund that changed it would make a dead letter of the refund.
        asked: list[Command] = [
            each for name, wanted in ids.items() for each in fields_of(keys(name), wanted)
        ]
        asked.append(("HGET", keys("meta"), "token"))
        *answers, token = await guarded(self._together(asked))
        found = chain.from_iterable(answers)
        records = {
            name: dict(zip(wanted, islice(found, len(wanted)), strict=True)) for name, wanted in ids.items()
        }
        return records, _text(token)

    async def cell_names(
        self, partition: int, hashes: Sequence[tuple[str, Pane]]
    ) -> tuple[dict[tuple[str, Pane], list[str]], set[str]]:
        """Names of all cells (``measure|value``) of a kind of scope in a pane, and the tokens around them.

        Empty where there is none. Under another token than the memory's they must not be used.
        """
        keys = Keys(self.generation, partition)
        found: dict[tuple[str, Pane], list[str]] = {}
        tokens: set[str] = set()
        for at in range(0, len(hashes), HASHES_AT_ONCE):
            asked = hashes[at : at + HASHES_AT_ONCE]
            pipe = self._client.pipeline(transaction=False)
            pipe.hget(keys("meta"), "token")
            for kind, pane in asked:
                pipe.hkeys(keys.cells(kind, pane))
            # Each write brings a new one, so the same before and after is the same in between.
            pipe.hget(keys("meta"), "token")
            before, *all_names, after = await guarded(pipe.execute())
            tokens |= {_text(before), _text(after)}
            for place, names in zip(asked, all_names, strict=True):
                found[place] = [name.decode() for name in names]
        return found, tokens

    async def write(
        self,
        state: PartitionState,
        write: StateWrite,
        guard: Guard,
        token: str,
        published: Mapping[str, str],
    ) -> tuple[WriteAnswer, Guard]:
        """Applies a write if Redis still holds what the memory was built on; the guard of the next write.

        Sending the same write again is safe as long as its `token` is the same.
        """
        operations = plan(Keys(self.generation, state.partition), self._figures, write)
        meta = meta_fields(write, state.rules, state.trimmed, published)
        args: list[Arg] = [guard.token, token, len(guard.offsets)]
        args += [arg for pair in guard.offsets.items() for arg in pair]
        args.append(len(meta))
        args += [arg for pair in meta.items() for arg in pair]
        args += operations.args
        packed = msgspec.msgpack.encode(args)
        answer = await guarded(self._apply(keys=list(operations.keys), args=[packed]))
        offsets = {name: meta.get(name, "") for name in guard.offsets}
        return _parse(answer, operations), Guard(token, offsets)


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _text(stored: bytes | None) -> str:
    return "" if stored is None else stored.decode()


def _parse(answer: Sequence[Any], operations: Operations) -> WriteAnswer:
    match answer[0]:
        case b"OK":
            seq, increments, left, swept = int(answer[1]), *(list(map(int, part)) for part in answer[2:])
            return Applied(
                seq,
                increments,
                left,
                emptied=[pane for pane in operations.swept_sketches if not swept.pop(0)],
                unfinished=[pane for pane in operations.swept_rooms if swept.pop(0)],
            )
        case b"DONE":
            return AppliedBefore()
        case _:
            return Refused(answer[1].decode())

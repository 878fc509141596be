"""Which traffic records were accepted before: the ids of a topic-partition within the dedupe horizon.

Ids are kept as 64-bit hashes by the minute of m = max(ingest time, event time) at acceptance. A record
is a duplicate while the ingest minute is at most `horizon_minutes` past that minute; older copies are
late, so nothing is counted twice. (Two different ids collide with probability n / 2^64.)

At 20 000 events a second the horizon holds 7 million of them, so most are packed: in parts while their minute
goes on, in one piece when it is over.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from xxhash import xxh3_64_intdigest

from streams.packed_ids import HASH_BYTES, PackedIds, as_array
from streams.window import MINUTE_MS

# Minutes with fewer ids are not worth packing: asking a packed one costs as much for one id as for hundreds.
PACKED_IDS_MIN = 4_096
# So many ids of a minute that goes on are a part: each one that is open costs as much memory as seven packed.
PART_IDS = 16_384


def hashes_of(ids: Iterable[str]) -> list[int]:
    """The stored form of each id: stable over processes and machines."""
    return [xxh3_64_intdigest(event_id.encode()) for event_id in ids]


class IdWindow:
    """The ids of one topic-partition that can still be repeated.

    `_seen` answers "accepted before?" in one look-up, but for what is in `_packed`; `_by_minute` says what
    leaves it when; `_unsaved` is what the next guarded write appends to Redis.
    """

    def __init__(self, horizon_minutes: int) -> None:
        self._horizon_minutes = horizon_minutes
        self._seen: set[int] = set()
        self._by_minute: dict[int, array[int]] = {}
        # More than one of a minute that goes on: ids that were loaded, and each part since.
        self._packed: dict[int, list[PackedIds]] = {}
        self._unsaved: dict[int, array[int]] = {}
        self._expired: list[int] = []

    def __len__(self) -> int:
        return len(self._seen) + sum(len(ids) for parts in self._packed.values() for ids in parts)

    def minutes_to_load(self, ingest_ms: int, future_ms: int) -> range:
        """Minutes that may be stored in Redis when the stored ingest time is `ingest_ms`."""
        minute = ingest_ms // MINUTE_MS
        return range(minute - self._horizon_minutes, (ingest_ms + future_ms) // MINUTE_MS + 1)

    def load(self, minute: int, packed: bytes) -> None:
        """Take over what an earlier owner stored for a minute."""
        if len(packed) >= PACKED_IDS_MIN * HASH_BYTES:
            self._packed[minute] = [PackedIds(packed)]
            return
        ids = array("Q", packed)
        self._by_minute[minute] = ids
        self._seen.update(ids)

    def admit(self, ids: Sequence[str], ingest_ms: Sequence[int], event_ms: Sequence[int]) -> list[int]:
        """Indexes of the records that are new, in order; they count as accepted from here on.

        The three columns run in offset order; `ingest_ms` never falls.
        """
        hashes = hashes_of(ids)
        fresh: list[int] = []
        start = 0
        while start < len(hashes):
            end = _end_of_minute(ingest_ms, start, ingest_ms[start] // MINUTE_MS)
            self.expire(ingest_ms[start])
            fresh += self._admit_run(hashes, ingest_ms, event_ms, start, end)
            start = end
        return fresh

    def _admit_run(
        self,
        hashes: list[int],
        ingest_ms: Sequence[int],
        event_ms: Sequence[int],
        start: int,
        end: int,
    ) -> list[int]:
        run = hashes[start:end]
        distinct = set(run)
        packed = self._packed_of(run)
        if len(distinct) == len(run) and not packed and self._seen.isdisjoint(distinct):
            fresh = list(range(start, end))
        else:
            fresh = []
            distinct = set()
            for index in range(start, end):
                id_hash = hashes[index]
                if id_hash not in self._seen and id_hash not in packed and id_hash not in distinct:
                    distinct.add(id_hash)
                    fresh.append(index)
        self._seen |= distinct
        minute = ingest_ms[start] // MINUTE_MS
        if max(event_ms[start:end]) // MINUTE_MS <= minute:
            self._keep(minute, [hashes[index] for index in fresh])
        else:
            for index in fresh:
                self._keep(max(minute, event_ms[index] // MINUTE_MS), [hashes[index]])
        return fresh

    def _packed_of(self, run: list[int]) -> set[int]:
        """Those of a run that a packed minute holds."""
        if not self._packed:
            return set()
        asked = as_array(run)
        return {each for parts in self._packed.values() for ids in parts for each in ids.common(asked)}

    def _keep(self, minute: int, hashes: list[int]) -> None:
        for kept in (self._by_minute, self._unsaved):
            kept.setdefault(minute, array("Q")).extend(hashes)

    def expire(self, ingest_ms: int) -> None:
        """Forgets what no record from this ingest time on can repeat, and packs what is worth it.

        Must have been called with the ingest time that a write stores: the next owner looks only at the
        minutes that matter then, and would leave older ones in Redis for good.
        """
        oldest = ingest_ms // MINUTE_MS - self._horizon_minutes
        expired = {minute for kept in (self._by_minute, self._packed) for minute in kept if minute < oldest}
        for minute in sorted(expired):
            self._seen.difference_update(self._by_minute.pop(minute, ()))
            self._packed.pop(minute, None)
            self._unsaved.pop(minute, None)
            self._expired.append(minute)
        self._pack(ingest_ms // MINUTE_MS)

    def _pack(self, ingest_minute: int) -> None:
        for minute in [each for each in self._by_minute if self._is_worth_packing(each, ingest_minute)]:
            ids = self._by_minute.pop(minute)
            self._seen.difference_update(ids)
            self._packed.setdefault(minute, []).append(PackedIds(ids.tobytes()))
        for minute, parts in self._packed.items():
            if minute < ingest_minute and len(parts) > 1:
                self._packed[minute] = [PackedIds(b"".join(part.packed for part in parts))]

    def _is_worth_packing(self, minute: int, ingest_minute: int) -> bool:
        """To minutes before the ingest time's nothing is added any more: it never falls."""
        ids = len(self._by_minute[minute])
        if minute >= ingest_minute:
            return ids >= PART_IDS
        return ids >= (1 if minute in self._packed else PACKED_IDS_MIN)

    def take_unsaved(self) -> tuple[dict[int, bytes], list[int]]:
        """(ids to append by minute, minutes to delete) since the last call."""
        unsaved = {minute: ids.tobytes() for minute, ids in self._unsaved.items()}
        expired = self._expired
        self._unsaved = {}
        self._expired = []
        return unsaved, expired


def _end_of_minute(ingest_ms: Sequence[int], start: int, minute: int) -> int:
    if ingest_ms[-1] // MINUTE_MS == minute:
        return len(ingest_ms)
    end = start + 1
    while end < len(ingest_ms) and ingest_ms[end] // MINUTE_MS == minute:
        end += 1
    return end

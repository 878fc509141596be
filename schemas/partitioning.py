"""Where a key belongs: Kafka's default partitioner, so that a record under a wrong key can be counted.

Java's producer, aiokafka and librdkafka's `murmur2_random` place keys so; all events of one subject then
share a partition number over all topics.
"""

from __future__ import annotations

from functools import lru_cache
from struct import unpack_from
from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF
_KEYS_REMEMBERED: Final = 1 << 16


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 of `data`, as an unsigned 32-bit number."""
    length = len(data)
    words = length // 4
    h = _SEED ^ length
    for word in unpack_from(f"<{words}I", data):
        k = word * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    rest = data[words * 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


# A shopper's events come in bursts, and hashing in Python costs more than decoding: remember the last keys.
@lru_cache(maxsize=_KEYS_REMEMBERED)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition, 0 <= n < `partitions`, where Kafka's default partitioner puts this key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions

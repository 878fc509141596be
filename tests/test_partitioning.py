"""Keys are placed as Kafka's producers place them."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as murmur2_of_aiokafka
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitioning import murmur2, partition_of


@given(st.binary(max_size=70))
def test_murmur2_is_that_of_aiokafka(key: bytes) -> None:
    """The hash of any key is that of aiokafka's producer."""
    assert murmur2(key) == murmur2_of_aiokafka(key)


@given(st.binary(min_size=1, max_size=70), st.integers(1, 300))
def test_partition_is_that_of_aiokafka(key: bytes, partitions: int) -> None:
    """Any key lands, over any number of partitions, where aiokafka's producer sends it."""
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafka(key: bytes, signed: int) -> None:
    """The hashes that Kafka's own unit test (UtilsTest.testMurmur2) states."""
    assert murmur2(key) == signed % 2**32

"""The arithmetic of docs/scaling.md, on costs that can be followed by hand."""

from __future__ import annotations

import pytest

from streams.settings import Settings
from tests.bench.scaling import (
    IDS,
    LIVES,
    ORDERS,
    PRODUCTS,
    SESSIONS,
    Costs,
    Shop,
    _slot,
    largest_share,
    needed,
)

GIB = 1 << 30
SHOP = Shop(mean_to_peak=0.5, session_events=10, order_share=0.01, products=100, lives=10)
COSTS = Costs(
    worker_us=30.0,
    redis_us=12.0,
    event_bytes=200.0,
    bytes_of={
        SESSIONS: {"sessions": 0, "cells": 10**9},
        ORDERS: {"orders": GIB / 86_400 / 50},
        IDS: {"ids": 0},
        PRODUCTS: {"cells": GIB / 100},
        LIVES: {"cells": 0, "users": GIB / 10},
    },
)


def test_processors_and_memory_follow_from_rates_and_costs() -> None:
    """10 000 events/s at 30 µs are 0.3 of a core; 50 orders a second kept for a day here are a GiB."""
    found = needed(COSTS, SHOP, 10_000, 64, Settings(order_horizon_days=3))
    assert (found["workers"], found["redis_nodes_by_cpu"]) == (1, 1)
    assert found["redis_gib_of"]["orders"] == pytest.approx(3.0)
    assert found["redis_gib_of"]["cells and sketches"] == pytest.approx(2.0)
    assert found["redis_gib"] == pytest.approx(5.0)
    assert found["kafka_mb_per_s"] == 2.0
    more = needed(COSTS, SHOP, 1_000_000, 64, Settings(order_horizon_days=3))
    assert (more["workers"], more["redis_nodes_by_cpu"], more["redis_nodes_by_memory"]) == (50, 20, 5)
    assert (more["partitions"], more["first"]) == (128, "processor of Redis")
    kept = needed(COSTS, SHOP, 1_000_000, 64, Settings(order_horizon_days=90))
    assert (kept["redis_nodes_by_memory"], kept["first"]) == (141, "memory of Redis")


def test_partition_numbers_lie_where_redis_puts_them() -> None:
    """Slots as the cluster specification says; four numbers on three nodes leave two on one of them."""
    assert [_slot("123456789"), _slot("foo")] == [0x31C3, 12_182]
    assert largest_share(4, 3) == 2
    assert largest_share(64, 1) == 64

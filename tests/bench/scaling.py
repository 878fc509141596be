"""`python -m tests.bench.scaling`: what a shop of 10 thousand to 10 million events a second would need.

Arithmetic on what two other benches measured, whose JSON it reads; nothing is measured here. Workers and
Redis nodes follow from processor time an event, at a share of a core that leaves room to catch up; memory
follows from bytes a thing and how long it is kept. Which of them asks for the most Redis nodes is told:
that one breaks first.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

import click
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from streams.after_purchase import APART_DAYS, FOLLOWED_DAYS
from streams.arrivals import KEPT_DAYS
from streams.funnel import ANEW_MS
from streams.settings import Settings
from streams.users import BUYERS_KEPT_DAYS

RATES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
# Of a core, in the busiest hour: the rest is for catching up after a restart.
USED: Final = 0.6
GIB: Final = 1 << 30
DAY_S: Final = 86_400
# Whole numbers of things in the memory bench, by the name of its part and what one of them is.
SESSIONS, ORDERS, IDS, PRODUCTS, LIVES = (
    "100 000 sessions", "1 M orders", "1 M ids", "10 000 products", "1 000 lives"
)  # fmt: skip


def kept_s(settings: Settings) -> dict[str, dict[str, float]]:
    """By thing how long what it leaves in hashes that grow with the traffic is kept, in seconds."""
    return {
        SESSIONS: {"sessions": ANEW_MS / 1_000 + DAY_S, "taps": (KEPT_DAYS + 1) * DAY_S},
        ORDERS: {
            "orders": settings.order_horizon_days * DAY_S,
            "journeys": (FOLLOWED_DAYS + APART_DAYS + 8) * DAY_S,
            "buyers": BUYERS_KEPT_DAYS * DAY_S,
        },
        IDS: {"ids": settings.traffic_lateness_ms / 1_000 + 60},
    }


@dataclass(frozen=True)
class Shop:
    """What is assumed of it; the mean of a day is so much less than the busiest hour."""

    mean_to_peak: float
    session_events: float
    order_share: float
    products: int
    lives: int


@dataclass(frozen=True)
class Costs:
    """What the benches measured: processor time an event in µs, and bytes of Redis a thing by kind of key."""

    worker_us: float
    redis_us: float
    event_bytes: float
    bytes_of: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, bench: Mapping[str, Any], memory: Mapping[str, Any], contestant: str) -> Costs:
        """From the JSON of `make bench` and of `python -m tests.bench.memory`."""
        cpu = bench["contestants"][contestant]["cpu_us_per_event"]
        things = {
            name: {key: grew / part["number"] for key, grew in part["by_key_bytes"].items()}
            for name, part in memory["parts"].items()
        }
        return cls(cpu["worker"]["median"], cpu["redis"]["median"], bench["mean_bytes"], things)


def largest_share(partitions: int, nodes: int) -> int:
    """How many partition numbers lie on the fullest node, slots divided evenly."""
    place = Counter(_slot(str(p)) * nodes // REDIS_CLUSTER_HASH_SLOTS for p in range(partitions))
    return max(place.values())


def _slot(tag: str) -> int:
    """The slot of a hash tag."""
    return int(key_slot(tag.encode()))


def redis_bytes(costs: Costs, shop: Shop, rate: int, settings: Settings) -> dict[str, float]:
    """What Redis holds in the long run, by kind of key; `cells and sketches` are those of the catalogue."""
    mean = rate * shop.mean_to_peak
    per_s = {
        SESSIONS: mean / shop.session_events,
        ORDERS: mean * shop.order_share,
        IDS: rate,
    }
    held = defaultdict[str, float](float)
    for thing, seconds_of in kept_s(settings).items():
        for key, seconds in seconds_of.items():
            held[key] += per_s[thing] * costs.bytes_of[thing].get(key, 0) * seconds
    for thing, count in ((PRODUCTS, shop.products), (LIVES, shop.lives)):
        held["cells and sketches"] += count * sum(costs.bytes_of[thing].values())
    return dict(held)


def needed(costs: Costs, shop: Shop, rate: int, node_gib: int, settings: Settings) -> dict[str, Any]:
    """Workers, nodes, partition numbers and memory for events that come so fast in the busiest hour."""
    workers = ceil(rate * costs.worker_us / 1e6 / USED)
    held = redis_bytes(costs, shop, rate, settings)
    by_cpu = ceil(rate * costs.redis_us / 1e6 / USED)
    by_memory = ceil(sum(held.values()) / GIB / node_gib)
    nodes = max(by_cpu, by_memory)
    # Whole partition numbers go to a node or a worker: several for each, or chance loads one of them twice.
    partitions = 1 << (max(workers, 4 * nodes if nodes > 1 else 1) - 1).bit_length()
    return {
        "rate": rate,
        "workers": workers,
        "redis_nodes": nodes,
        "redis_nodes_by_cpu": by_cpu,
        "redis_nodes_by_memory": by_memory,
        "partitions": partitions,
        "fullest_node": largest_share(partitions, nodes) * nodes / partitions,
        "redis_gib": sum(held.values()) / GIB,
        "redis_gib_of": {key: size / GIB for key, size in sorted(held.items(), key=lambda each: -each[1])},
        "kafka_mb_per_s": rate * costs.event_bytes / 1e6,
        "first": "memory of Redis" if by_memory > by_cpu else "processor of Redis",
    }


def as_table(found: list[dict[str, Any]]) -> str:
    """A line for each rate."""
    lines = [
        "| events/s | workers (cores) | Redis nodes: by processor, by memory "
        "| partition numbers (fullest node) | Redis GiB | most of it | Kafka MB/s in | first |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        most = ", ".join(f"{key} {gib:,.0f}" for key, gib in list(each["redis_gib_of"].items())[:3])
        lines.append(
            f"| {each['rate']:,} | {each['workers']:,} | {each['redis_nodes_by_cpu']:,}, "
            f"{each['redis_nodes_by_memory']:,} | {each['partitions']:,} ({each['fullest_node']:.1f} ×) "
            f"| {each['redis_gib']:,.0f} | {most} | {each['kafka_mb_per_s']:,.0f} | {each['first']} |"
        )
    return "\n".join(lines)


_JSON: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--bench", type=_JSON, required=True, help="What `make bench ARGS=--json` printed.")
@click.option("--memory", type=_JSON, required=True, help="What `tests.bench.memory --json` printed.")
@click.option("--contestant", default="shop_pulse_all", show_default=True, help="Whose costs.")
@click.option("--mean-to-peak", default=0.33, show_default=True, help="Of a day, to its busiest hour.")
@click.option("--session-events", default=12.0, show_default=True, help="Events of a session.")
@click.option("--order-share", default=0.01, show_default=True, help="Orders of all events.")
@click.option("--products", default=100_000, show_default=True, help="With figures of their own at a time.")
@click.option("--lives", default=1_000, show_default=True, help="On air at a time.")
@click.option("--node-gib", default=64, show_default=True, help="Memory of a Redis node for data.")
@click.option("--order-horizon-days", default=Settings().order_horizon_days, show_default=True)
@click.option("--json", "json_wanted", is_flag=True, help="Print one line of JSON, not a table.")
def command(
    *,
    bench: Path,
    memory: Path,
    contestant: str,
    node_gib: int,
    order_horizon_days: int,
    json_wanted: bool,
    **assumed: Any,
) -> None:
    """What four sizes of shop would need, by what was measured on one machine."""
    measured = [json.loads(each.read_text(encoding="utf-8")) for each in (bench, memory)]
    costs = Costs.of(measured[0], measured[1], contestant)
    settings = Settings(order_horizon_days=order_horizon_days)
    found = [needed(costs, Shop(**assumed), rate, node_gib, settings) for rate in RATES]
    click.echo(json.dumps(found) if json_wanted else as_table(found))


if __name__ == "__main__":
    command()

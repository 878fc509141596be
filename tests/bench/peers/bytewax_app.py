"""Bytewax: Kafka in batches, added up batch by batch, to Redis with a dynamic sink."""

import os
from collections import Counter

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from redis import Redis

NAME = os.environ["PEER_NAME"]
MINUTE_MS = 60_000
BATCH = 5_000


class Partition(StatelessSinkPartition):
    """Adds sums to Redis. Without recovery set up, a restart counts anew: not exactly once."""

    def __init__(self) -> None:
        self._redis = Redis(port=int(os.environ["PEER_REDIS_PORT"]))

    def write_batch(self, items: list) -> None:
        with self._redis.pipeline() as pipeline:
            for counts, gmv in items:
                for table, sums in (("counts", counts), ("gmv", gmv)):
                    for name, amount in sums.items():
                        pipeline.hincrby(f"{NAME}:{table}:0", name, amount)
                pipeline.hincrby(f"{NAME}:done", "0", counts.total())
            pipeline.execute()


class ToRedis(DynamicSink):
    """One connection a worker."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Partition:
        return Partition()


def added_up(messages: list) -> list:
    """A batch of messages as one pair of sums."""
    counts, gmv = Counter(), Counter()
    for message in messages:
        event = orjson.loads(message.value)
        live_id, minute_ms = event["live_id"], event["event_time_ms"] // MINUTE_MS * MINUTE_MS
        counts[f"{live_id}|{event['event_type']}|{minute_ms}"] += 1
        if event["event_type"] == "purchase":
            gmv[f"{live_id}|{minute_ms}"] += sum(
                item["quantity"] * item["unit_price_minor"] - item.get("seller_discount_minor", 0)
                for item in event["items"]
            )
    return [(counts, gmv)]


flow = Dataflow(NAME)
source = KafkaSource([os.environ["PEER_KAFKA"]], os.environ["PEER_TOPICS"].split(","), batch_size=BATCH)
op.output("out", op.flat_map_batch("add", op.input("in", flow, source), added_up), ToRedis())

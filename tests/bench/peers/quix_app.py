"""Quix Streams: one dataframe over all topics, counts to Redis with a batching sink at each checkpoint."""

import os
from collections import Counter

from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch
from redis import Redis

NAME = os.environ["PEER_NAME"]
MINUTE_MS = 60_000


class Counts(BatchingSink):
    """Adds a checkpoint's events up, and then to Redis; offsets are committed after: at least once."""

    def __init__(self) -> None:
        super().__init__()
        self._redis = Redis(port=int(os.environ["PEER_REDIS_PORT"]))

    def write(self, batch: SinkBatch) -> None:
        counts, gmv = Counter(), Counter()
        for item in batch:
            live_id, event_type, minute_ms, value_minor = item.value
            counts[f"{live_id}|{event_type}|{minute_ms}"] += 1
            if value_minor:
                gmv[f"{live_id}|{minute_ms}"] += value_minor
        with self._redis.pipeline() as pipeline:
            for table, sums in (("counts", counts), ("gmv", gmv)):
                for name, amount in sums.items():
                    pipeline.hincrby(f"{NAME}:{table}:0", name, amount)
            pipeline.hincrby(f"{NAME}:done", "0", counts.total())
            pipeline.execute()


def facts(event: dict) -> tuple:
    """(live, type, minute, value) of an event."""
    value_minor = sum(
        item["quantity"] * item["unit_price_minor"] - item.get("seller_discount_minor", 0)
        for item in event.get("items", ())
    )
    return event["live_id"], event["event_type"], event["event_time_ms"] // MINUTE_MS * MINUTE_MS, value_minor


def main() -> None:
    app = Application(
        broker_address=os.environ["PEER_KAFKA"],
        consumer_group=NAME,
        auto_offset_reset="earliest",
        commit_interval=0.5,
        state_dir=os.environ["PEER_DATA"],
        loglevel="WARNING",
    )
    sink = Counts()
    for topic in os.environ["PEER_TOPICS"].split(","):
        app.dataframe(app.topic(topic, value_deserializer="json")).apply(facts).sink(sink)
    app.run()


if __name__ == "__main__":
    main()

"""Plain Faust as its documentation teaches it: one agent, Faust's JSON codec, one Redis pipeline an event."""

from __future__ import annotations

import os
from typing import Any

import faust
from redis.asyncio import Redis

NAME = os.environ["PEER_NAME"]
MINUTE_MS = 60_000

app = faust.App(
    NAME,
    broker=f"kafka://{os.environ['PEER_KAFKA']}",
    datadir=os.environ["PEER_DATA"],
    key_serializer="raw",
)
events = app.topic(*os.environ["PEER_TOPICS"].split(","), value_serializer="json")
client = Redis(port=int(os.environ["PEER_REDIS_PORT"]))


async def count(stream: Any) -> None:
    """Counts by live, type and minute; GMV by live and minute."""
    async for event in stream:
        live_id, minute_ms = event["live_id"], event["event_time_ms"] // MINUTE_MS * MINUTE_MS
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.hincrby(f"{NAME}:counts:0", f"{live_id}|{event['event_type']}|{minute_ms}", 1)
            if event["event_type"] == "purchase":
                pipeline.hincrby(f"{NAME}:gmv:0", f"{live_id}|{minute_ms}", _value_minor(event))
            await pipeline.execute()


def _value_minor(purchase: dict[str, Any]) -> int:
    return sum(
        item["quantity"] * item["unit_price_minor"] - item.get("seller_discount_minor", 0)
        for item in purchase["items"]
    )


app.agent(events)(count)

if __name__ == "__main__":
    app.main()

"""The Faust app: one agent per topic, each handing whole fetches to the owner of their partition number.

An exception that left an agent would make Faust acknowledge and skip what it was working on; owners
therefore raise nothing, and a failure that cannot be retried ends the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
from faust.types import StreamT
from yarl import URL

from schemas.events import INPUT_TOPICS
from streams.batch import Batch
from streams.fleet import Fleet
from streams.settings import Settings
from streams.transport import ALL_BATCHES_AHEAD_MAX, transport_for


def create_app(settings: Settings, name: str, folder: Path, fleet: Callable[[], Fleet]) -> faust.App:
    """A Faust app that reads every input topic. Nothing starts before `app.start()`.

    `name` is the static membership in the consumer group; `folder` is Faust's own, and stays empty.
    """
    app = faust.App(
        settings.consumer_group,
        broker=f"kafka://{settings.kafka.replace(',', ';kafka://')}",
        datadir=str(folder),
        consumer_group_instance_id=name,
        broker_session_timeout=settings.session_timeout_ms / 1000,
        # Counts batches. Never full: the transport hands over fewer (see ALL_BATCHES_AHEAD_MAX there).
        stream_buffer_maxsize=2 * ALL_BATCHES_AHEAD_MAX,
        # Whatever is in an agent's hands at a rebalance is dropped by its epoch: nothing to wait for.
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    driver = transport_for(
        settings,
        on_assigned=lambda partitions, generation: fleet().on_assigned(partitions, generation),
        on_lost_position=lambda partition, why: fleet().on_lost_position(partition, why),
    )
    app.transport = driver([URL(f"kafka://{server}") for server in settings.kafka.split(",")], app)

    @app.on_partitions_revoked.connect
    async def on_revoked(*_: Any, **__: Any) -> None:
        await fleet().on_revoked()

    for topic in INPUT_TOPICS:
        _add_agent(app, settings.topic_prefix + topic, fleet)
    return app


def _add_agent(app: faust.App, topic: str, fleet: Callable[[], Fleet]) -> None:
    channel = app.topic(topic, value_serializer="raw", key_serializer="raw", acks=False)

    async def hand_over(stream: StreamT[Batch]) -> None:
        async for batch in stream:
            fleet().hand_over(batch)

    app.agent(channel, name=f"streams.agents.{topic}", concurrency=1)(hand_over)

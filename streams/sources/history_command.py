"""`shop-pulse history`: the simulated shop's last two months, sent into empty topics.

It stands at the very beginning of the way of an event, before `generate`. Event times are Kafka's timestamps
too, as they are of whoever replays a past: where a record of now lies already, all of it would be late.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import click

from schemas.events import INPUT_TOPICS
from streams import settings as settings_module
from streams.errors import PulseError
from streams.kafka_log import open_log
from streams.settings import Settings
from streams.sources.history import DAY_MS, HistoryConfig, history
from streams.sources.pacing import now_ms
from streams.sources.produce import open_sender
from streams.topics import forgetful


async def feed(settings: Settings, config: HistoryConfig) -> Counter[str] | None:
    """Sends it: how many records by topic; None where a topic holds something already, and nothing was sent.

    Raises PulseError when a topic would not keep what is old, or Kafka is away or refuses.
    """
    async with open_log(settings, INPUT_TOPICS) as log:
        if log.total:
            return None
    if forget := await forgetful(settings, INPUT_TOPICS):
        raise PulseError(
            f"topic {settings.topic_prefix}{forget[0]} would throw history away: it needs retention.ms=-1"
        )
    async with open_sender(settings, INPUT_TOPICS) as sender:
        await sender.send(history(config))
        await sender.flush(confirmed=True)
        return sender.sent


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="That of the shop that goes on.")
@click.option("--json", "as_json", is_flag=True, help="Print what was sent as one line of JSON.")
def command(seed: int, as_json: bool) -> None:
    """Send a thin history of the shop that `generate` simulates: 62 days up to now, some visits a day.

    For figures that take days: final commission, users who come back, redirected users. Into empty topics
    only; where they hold something, nothing is sent.
    """
    config = HistoryConfig(end_ms=now_ms(), seed=seed)
    sent = asyncio.run(feed(settings_module.load(), config))
    if as_json:
        summary: dict[str, object] = {
            "sent": 0 if sent is None else sent.total(),
            "days": config.days,
            "from_ms": config.start_ms,
            "to_ms": config.today_ms + DAY_MS,
            "topics": sent or {},
        }
        click.echo(json.dumps(summary))
    elif sent is None:
        click.echo("no history: the topics hold something already")
    else:
        click.echo(f"{config.days} days of history, {sent.total()} records")

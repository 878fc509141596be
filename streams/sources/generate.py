"""`shop-pulse generate`: the simulated shop, sent into Kafka.

It stands at the very beginning of the way of an event, in place of a real shop.
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

import click

from schemas.events import INPUT_TOPICS
from streams import settings as settings_module
from streams.collector import OF_RECORDS, collect_seldom
from streams.errors import PulseError
from streams.options import Number
from streams.settings import Settings
from streams.sources.faults import MAX_DISORDER_MS, Faults
from streams.sources.incidents import Incident, parse
from streams.sources.pacing import now_ms, paced, unpaced
from streams.sources.produce import Sender, open_sender
from streams.sources.record import Record
from streams.sources.simulation import SimConfig, daily_shape, simulate

PATIENCE_S = 5  # for Kafka, once the run was told to end
MAX_AHEAD_MS = 300_000  # `message.timestamp.after.max.ms` of the topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A simulation and when it ends; without `seconds` and `events` it does not."""

    simulation: SimConfig
    seconds: float | None
    events: int | None
    max_speed: bool

    @property
    def length(self) -> int | None:
        """How long the progress bar is: records, or seconds of event time; None = without end."""
        if self.events is not None:
            return self.events
        return None if self.seconds is None else math.ceil(self.seconds)

    def records(self) -> Iterator[Record]:
        """The records to be sent, in order."""
        records = simulate(self.simulation)
        if self.seconds is not None:
            end_ms = self.simulation.start_ms + self.seconds * 1000
            records = takewhile(lambda record: record.timestamp_ms < end_ms, records)
        return records if self.events is None else islice(records, self.events)


async def feed(run: Run, settings: Settings, progress: Any = None) -> dict[str, Any]:
    """Send a run's records until it ends or the process is told to; what was sent, as `--json` prints it.

    `progress` is a click progress bar, or None. Raises PulseError when Kafka is away or refuses.
    """
    stop = asyncio.Event()
    began_ms, behind_ms = now_ms(), 0
    try:
        async with (
            asyncio.timeout(None) as patience,
            open_sender(settings, INPUT_TOPICS) as sender,
            _ended_by_signals(stop, patience),
        ):
            async for chunk in (unpaced if run.max_speed else paced)(run.records(), stop):
                await sender.send(chunk)
                await sender.flush()
                if not run.max_speed:
                    behind_ms = max(behind_ms, now_ms() - sender.latest_ms)
                if progress is not None:
                    passed_s = (sender.latest_ms - run.simulation.start_ms) // 1000
                    done = sender.sent.total() if run.events is not None else passed_s
                    progress.update(done - progress.pos)
            await sender.flush(confirmed=True)
    except TimeoutError as error:
        raise PulseError(
            f"ended, but Kafka at {settings.kafka} did not confirm the last records within {PATIENCE_S} s"
        ) from error
    return _summary(run, sender, (now_ms() - began_ms) / 1000, behind_ms)


@asynccontextmanager
async def _ended_by_signals(stop: asyncio.Event, patience: asyncio.Timeout) -> AsyncIterator[None]:
    """Ctrl-C and SIGTERM end the run when what is due has been confirmed, and in any case soon."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            patience.reschedule(loop.time() + PATIENCE_S)

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _summary(run: Run, sender: Sender, seconds: float, behind_ms: int) -> dict[str, Any]:
    sent = sender.sent.total()
    return {
        "sent": sent,
        "seconds": round(seconds, 3),
        "records_per_s": round(sent / seconds) if seconds else 0,
        "start_ms": run.simulation.start_ms,
        "seed": run.simulation.seed,
        "max_behind_ms": behind_ms,
        "topics": {topic: sender.sent[topic] for topic in INPUT_TOPICS},
        "faults": dict(sorted(sender.faults.items())),
    }


def plan(run_options: dict[str, Any], settings: Settings) -> Run:
    """The run that the options of the command mean.

    Raises PulseError for an incident that cannot be meant, and for a history without an end or in the future.
    """
    seconds, events, max_speed = (run_options[name] for name in ("seconds", "events", "max_speed"))
    rate, start_ms = run_options["rate"], run_options["start_ms"]
    if start_ms is not None and not max_speed:
        raise PulseError("--start-ms makes history, which the wall clock cannot pace: add --max-speed")
    incidents = tuple(parse(text) for text in run_options["incidents"])
    if max_speed and seconds is None and events is None:
        raise PulseError("--max-speed needs an end: add --for SECONDS or --events N")
    if max_speed and start_ms is None:
        start_ms = _start_of_history(run_options, incidents)
    elif max_speed and start_ms + (seconds or 0) * 1000 > now_ms() + MAX_AHEAD_MS:
        raise PulseError(
            "this history would end in the future: take an earlier --start-ms or a shorter --for"
        )
    return Run(
        simulation=SimConfig(
            start_ms=now_ms() if start_ms is None else start_ms,
            seed=run_options["seed"],
            rate=rate,
            daily_shape=not run_options["flat"],
            partitions=settings.partitions,
            incidents=incidents,
            faults=Faults(
                duplicates=run_options["duplicates"],
                disorder_ms=run_options["disorder_ms"],
                late=run_options["late"],
                unreadable=run_options["unreadable"],
                traffic_lateness_ms=settings.traffic_lateness_ms,
                purchase_lateness_ms=settings.purchase_lateness_ms,
            ),
        ),
        seconds=seconds,
        events=events,
        max_speed=max_speed,
    )


def _start_of_history(options: dict[str, Any], incidents: tuple[Incident, ...]) -> int:
    """The event time from which a run ends about now, and not in the future."""
    end_ms = now_ms()
    if options["seconds"] is not None:
        return end_ms - int(options["seconds"] * 1000)
    # Walk back until enough events have happened; the rate wavers a little, and halves in some incidents.
    wanted = options["events"] * 1.05 + options["rate"] * 60
    wanted += sum(each.end_ms - each.start_ms for each in incidents) / 1000 * options["rate"]
    start_ms = end_ms
    while wanted > 0:
        start_ms -= 10_000
        wanted -= 10 * options["rate"] * (1 if options["flat"] else daily_shape(start_ms))
    return start_ms


_SHARE = Number(0, 1)


@click.command()
@click.option("--rate", type=Number(1, 1_000_000), default=200, show_default=True, help="Events/s.")
@click.option("--flat", is_flag=True, help="The same rate at every hour, not most in the evening (UTC).")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed and start: same bytes.")
@click.option("--for", "seconds", type=Number(0, min_open=True), help="End after so many seconds.")
@click.option("--events", type=click.IntRange(1), help="End after so many records.")
@click.option("--duplicates", type=_SHARE, default=0, help="Share of records that are sent twice.")
@click.option(
    "--disorder-ms", type=click.IntRange(0, MAX_DISORDER_MS), default=0, help="Up to so much delay."
)
@click.option("--late", type=_SHARE, default=0, help="Share of records with a late one beside them.")
@click.option("--unreadable", type=_SHARE, default=0, help="Share of records with a damaged copy.")
@click.option("--incident", "incidents", multiple=True, help="KIND[:TARGET]@START+LENGTH; repeatable.")
@click.option("--max-speed", is_flag=True, help="As fast as Kafka takes it; event time is simulated.")
@click.option("--start-ms", type=click.IntRange(1_262_304_000_000), help="Event time of the first event.")
@click.option("--json", "as_json", is_flag=True, help="Print what was sent as one line of JSON.")
def command(as_json: bool, **options: Any) -> None:
    """Send seeded shopping events: shoppers in sessions, live rooms, orders, refunds.

    Kinds of incidents: gateway-down:GATEWAY, checkout-broken, traffic-halves, source-silent:TOPIC; for
    example --incident gateway-down:adyen@60s+120s. Ctrl-C ends it, with everything sent.
    """
    settings = settings_module.load()
    run = plan(options, settings)
    collect_seldom(OF_RECORDS)
    if run.length is not None and sys.stderr.isatty():
        with click.progressbar(length=run.length, label="sending", file=sys.stderr) as progress:
            summary = asyncio.run(feed(run, settings, progress))
    else:
        if sys.stderr.isatty():
            click.echo(f"sending {options['rate']:g} events/s to {settings.kafka}; Ctrl-C ends it", err=True)
        summary = asyncio.run(feed(run, settings))
    click.echo(json.dumps(summary) if as_json else _in_words(summary))


def _in_words(summary: dict[str, Any]) -> str:
    lines = [f"sent {summary['sent']} records in {summary['seconds']:.1f} s ({summary['records_per_s']}/s)"]
    lines += [f"  {topic:<12} {count:>10}" for topic, count in summary["topics"].items()]
    lines += [f"  fault {kind}: {count}" for kind, count in summary["faults"].items()]
    return "\n".join(lines)

"""`shop-pulse verify`: reads Redis, the log and the answers, compares, prints what differs.

Per partition number Redis comes first, cells and offsets in one transaction; then the log up to exactly these
offsets. So the comparison with Redis is exact while the pipeline runs. The read service is asked last.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
from aiokafka.errors import KafkaError

from verify import VerifyError
from verify.api import (
    ReadService,
    Service,
    compare_answers,
    compare_reason_answers,
    compare_redirections,
    questions,
)
from verify.compare import Report, compare_cells, compare_dead_letters, compare_late
from verify.creators import Told, ask_creators, compare_as_told
from verify.lists import compare_lists
from verify.log import Extent, KafkaLog
from verify.model import PartitionExpected
from verify.origins import Gone, gone_until_ms
from verify.recompute import PartitionReplay
from verify.redis_cells import RedisCells, Snapshot
from verify.rules import Rules, rules_from
from verify.sketches import compare_users
from verify.statements import compare_statements
from verify.totals import Totals
from verify.underperforming import compare_underperforming

SHOWN = 20
NAMED = 5
WAIT_POLL_SECONDS = 0.5
# Timestamps are not sorted: the highest of so many of the first that are left stands for the gone ones.
FIRST_RECORDS = 1_000
# Redis counts one in some microseconds, during which nobody else is served.
SKETCHES_COUNTED = 20_000


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where Kafka, Redis and the read service are; `api` is empty when the latter is not asked."""

    kafka: str
    redis: str
    api: str
    token: str
    topic_prefix: str
    redis_prefix: str


@dataclass
class Run:
    """One comparison: what was read and found so far; `totals` once Redis has been compared."""

    addresses: Addresses
    rules: Rules
    totals: Totals | None = None
    report: Report = field(default_factory=Report)
    parts: list[PartitionExpected] = field(default_factory=list)
    offsets: dict[int, dict[str, int]] = field(default_factory=dict)
    read: dict[tuple[str, int], range] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _finite(_ctx: click.Context, _param: click.Parameter, seconds: float) -> float:
    """To Python "nan" and "inf" are numbers: refused, as no wait ends by them."""
    if not math.isfinite(seconds):
        raise click.BadParameter(f"{seconds} is not a finite number; give one like 60")
    return seconds


@click.command("verify")
@click.option("--data-dir", default=None, help="Where `up` keeps up.json [default: .pulse]")
@click.option("--kafka", default=None, help="host:port, instead of up.json's")
@click.option("--redis", "redis_url", default=None, help="redis://host:port/db, instead of up.json's")
@click.option("--api", default=None, help="Base URL of the read service, instead of up.json's")
@click.option("--topic-prefix", default=None, help="Prefix of the topics' names [default: shop.]")
@click.option(
    "--redis-prefix",
    default=None,
    help="Prefix of the keys, or one generation of them, like sp.1, before it is served [default: sp]",
)
@click.option(
    "--figures", type=click.Choice(["all", "funnel-gmv"]), default=None, help="Figure set [default: all]"
)
@click.option("--wait", "wait_seconds", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS",
              callback=_finite,
              help="First wait until the worker has read everything")  # fmt: skip
@click.option(
    "--all-scopes", is_flag=True, help="Ask the read service for every scope, not the top 20 of a kind"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text")
def command(
    *,
    data_dir: str | None,
    kafka: str | None,
    redis_url: str | None,
    api: str | None,
    topic_prefix: str | None,
    redis_prefix: str | None,
    figures: str | None,
    wait_seconds: float,
    all_scopes: bool,
    as_json: bool,
) -> None:
    """Recompute every figure from the Kafka log and compare it with Redis and the read service.

    Exit code 0 only if something was compared and nothing differs.
    """
    # What aiokafka would log of its attempts is said in one line where they fail.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    environ = dict(os.environ)
    given = {"KAFKA": kafka, "REDIS": redis_url, "TOPIC_PREFIX": topic_prefix, "REDIS_PREFIX": redis_prefix,
             "FIGURES": figures}  # fmt: skip
    up = read_up(Path(data_dir or environ.get("SHOP_PULSE_DATA_DIR", ".pulse")))
    environ |= {f"SHOP_PULSE_{name}": value for name, value in given.items() if value is not None}
    addresses = Addresses(
        # What was named, by option or in the environment, comes before what happens to run here.
        kafka=environ.get("SHOP_PULSE_KAFKA") or up.get("kafka") or "localhost:9092",
        redis=environ.get("SHOP_PULSE_REDIS") or up.get("redis") or "redis://localhost:6379/0",
        api=api or ("" if environ.keys() & {"SHOP_PULSE_KAFKA", "SHOP_PULSE_REDIS"} else up.get("api", "")),
        token=environ.get("SHOP_PULSE_TOKEN", ""),
        topic_prefix=environ.get("SHOP_PULSE_TOPIC_PREFIX", "shop."),
        redis_prefix=environ.get("SHOP_PULSE_REDIS_PREFIX", "sp"),
    )
    run = Run(addresses, rules_from(environ))
    asyncio.run(verify(run, wait_seconds, all_scopes))
    click.echo(json.dumps(summary(run)) if as_json else text(run))
    if run.report.differences or run.report.compared == 0:
        sys.exit(1)


def read_up(data_dir: Path) -> dict[str, Any]:
    """`up.json` of a running pulse; empty when there is none."""
    path = data_dir / "up.json"
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise VerifyError(
            f"{path} can't be read ({error}); name the addresses with --kafka --redis"
        ) from error
    if not isinstance(found, dict):
        raise VerifyError(f"{path} is not a JSON object; name the addresses with --kafka --redis")
    return found


async def verify(run: Run, wait_seconds: float, all_scopes: bool) -> None:
    """Everything that is compared, into `run`."""
    cells = RedisCells(run.addresses.redis, run.addresses.redis_prefix)
    try:
        cells.follow()
        async with KafkaLog(run.addresses.kafka, run.addresses.topic_prefix) as log:
            partitions = log.partitions()
            run.rules = _with_partitions(run.rules, partitions)
            await _wait(log, cells, partitions, wait_seconds)
            creators = _told_of_creators(run)
            heights = [int(meta["h"]) for p in range(partitions) if "h" in (meta := cells.meta(p))]
            totals = Totals(max(heights, default=0), run.rules)
            for p in range(partitions):
                await _verify_partition(run, log, cells, totals, p)
            run.totals = totals
            compare_dead_letters(run.report, run.parts, await log.dead_letters(), run.read)
            compare_late(run.report, run.parts, await log.late(), run.read)
            if creators is not None and not run.report.panes_not_compared:
                read = partial(up_to, log, run.rules)
                run.notes += await compare_as_told(run.report, totals, creators, run.offsets, read)
        _verify_answers(run, cells, totals, all_scopes)
    except KafkaError as error:
        raise VerifyError(f"Kafka at {run.addresses.kafka} failed ({error!r}); try again") from error
    finally:
        cells.close()


def _told_of_creators(run: Run) -> Told | None:
    """What the read service says of creators before the log is read; None where it is not asked."""
    if not run.addresses.api or run.rules.figures != "all":
        return None
    service = ReadService(run.addresses.api, run.addresses.token)
    return ask_creators(Service(service.ask), run.rules)


async def up_to(log: KafkaLog, rules: Rules, partition: int, offsets: Mapping[str, int]) -> PartitionExpected:
    """What some topics of a partition number amount to, from their start up to these offsets."""
    replay = PartitionReplay(partition, rules)
    extents = await log.extents(partition)
    async for _, batch in log.read(
        partition, {of: extents[of]._replace(end=end) for of, end in offsets.items()}
    ):
        for record in batch:
            replay.add(record)
    return replay.finish()


def _with_partitions(rules: Rules, partitions: int) -> Rules:
    return Rules(**{**rules.__dict__, "partitions": partitions})


async def _wait(log: KafkaLog, cells: RedisCells, partitions: int, seconds: float) -> None:
    """Until the worker has read all that is in the log, at most `seconds`; 0: no waiting."""
    until = time.monotonic() + seconds
    while seconds:
        cells.follow()
        behind = 0
        for p in range(partitions):
            offsets = Snapshot(meta=cells.meta(p)).offsets
            extents = await log.extents(p)
            behind += sum(e.end - max(offsets[topic], e.start) for topic, e in extents.items())
        if behind <= 0:
            return
        if time.monotonic() > until:
            raise VerifyError(
                f"the worker is still {behind} records behind after {seconds:g} s; is it running?"
            )
        await asyncio.sleep(WAIT_POLL_SECONDS)


async def _verify_partition(
    run: Run, log: KafkaLog, cells: RedisCells, totals: Totals, partition: int
) -> None:
    found = cells.snapshot(partition, SKETCHES_COUNTED // run.rules.partitions)
    extents = await log.extents(partition)
    for topic, extent in extents.items():
        if extent.end < found.offsets[topic]:
            name, counted = f"{run.addresses.topic_prefix}{topic}/{partition}", found.offsets[topic]
            raise VerifyError(
                f"{name} ends at offset {extent.end}, but Redis has counted up to {counted}: "
                "it is another topic, or a truncated one; run `shop-pulse rebuild`"
            )
    replay = PartitionReplay(partition, run.rules)
    gone = await _replay(run, log, replay, found, extents)
    h_known = int(found.meta["h"]) if gone.until_ms and "h" in found.meta else None
    expected = replay.finish(h_known)
    compare_cells(run.report, expected, found, run.rules, gone)
    compare_users(run.report, expected, found, gone)
    if len(found.estimates) < found.sketch_count:
        run.notes.append(
            f"partition {partition}: of {found.sketch_count} sketches of users {len(found.estimates)} were "
            "counted, chosen by chance; of the others only that they are there"
        )
    totals.add(expected)
    # The panes are the bulk, and what is left to compare is in `totals`.
    expected.panes, expected.users, expected.due = {}, {}, []
    run.parts.append(expected)
    run.offsets[partition] = found.offsets


async def _replay(
    run: Run, log: KafkaLog, replay: PartitionReplay, found: Snapshot, extents: Mapping[str, Extent]
) -> Gone:
    """Feeds the log up to the offsets that Redis has counted; returns what is gone from its start."""
    partition = replay.expected.partition
    until_ms: dict[str, int] = {}
    length = sum(max(0, found.offsets[topic] - extent.start) for topic, extent in extents.items())
    label = f"partition {partition}"
    with click.progressbar(
        length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        first: dict[str, list[int]] = {topic: [] for topic in extents}
        spans = {topic: extent._replace(end=found.offsets[topic]) for topic, extent in extents.items()}
        async for topic, batch in log.read(partition, spans):
            for record in batch:
                replay.add(record)
            first[topic] += [record.timestamp_ms for record in batch[: FIRST_RECORDS - len(first[topic])]]
            bar.update(len(batch))
        for topic, extent in extents.items():
            if extent.start == 0:
                run.read[topic, partition] = range(found.offsets[topic])
            elif found.offsets[topic]:
                ingest_ms = int(found.meta.get(f"ing:{topic}", "0"))
                until_ms[topic] = gone_until_ms(topic, max(first[topic], default=ingest_ms), run.rules)
                run.notes.append(
                    f"the log of {topic}/{partition} begins at offset {extent.start}: figures that "
                    "depend on what is gone, its dead letters and late rows are not compared"
                )
    return Gone(until_ms)


def _verify_answers(run: Run, cells: RedisCells, totals: Totals, all_scopes: bool) -> None:
    """Asks the read service, unless there is none to ask or it can't be held to a moment."""
    if not run.addresses.api:
        run.notes.append("the read service was not asked: no --api")
        return
    if run.rules.figures != "all":
        run.notes.append("the read service was not asked: its answers need the figure set `all`")
        return
    if run.report.panes_not_compared:
        run.notes.append(
            "the read service was not asked: its answers reach over panes that can't be compared"
        )
        return
    service = ReadService(run.addresses.api, run.addresses.token)
    report = Report()
    asked = list(questions(totals, all_scopes))
    compare_answers(report, totals, asked, service.kpis)
    compare_redirections(report, totals, service.redirection)
    compare_statements(report, totals, service.ask)
    for of in ("payments", "refunds"):
        compare_reason_answers(report, totals, of, partial(service.ask_about, f"{of}/reasons"))
    notes = compare_lists(report, totals, Service(service.ask), all_scopes)
    notes += compare_underperforming(report, totals, service.ask)
    moved = cells.served() != cells.generation or any(
        Snapshot(meta=cells.meta(p)).offsets != before for p, before in run.offsets.items()
    )
    take_answers(run, report, moved=moved)
    run.notes += notes


def take_answers(run: Run, report: Report, *, moved: bool) -> None:
    """Adds what was found of answers. If the worker went on meanwhile only what agrees was compared."""
    if moved and report.differences:
        where = list(dict.fromkeys(each.where for each in report.differences))
        named = ", ".join([*where[:NAMED], *(["…"] if len(where) > NAMED else [])])
        run.notes.append(
            f"{len(report.differences)} figures of answers could not be compared ({named}): the worker went "
            "on meanwhile; stop the source and use --wait"
        )
        report.compared -= len(report.differences)
        report.differences = []
    run.report.compared += report.compared
    run.report.differences += report.differences


def summary(run: Run) -> dict[str, Any]:
    """The figures that --json prints."""
    gmv: dict[str, int] = {}
    counts: dict[str, int] = {}
    for part in run.parts:
        for currency, amount in part.gmv_paid_minor.items():
            gmv[currency] = gmv.get(currency, 0) + amount
        for name, count in part.verdicts.items():
            counts[name] = counts.get(name, 0) + count
    return {
        "compared": run.report.compared,
        "mismatches": len(run.report.differences),
        "panes_not_compared": run.report.panes_not_compared,
        "records": sum(part.records for part in run.parts),
        "orders": sum(part.orders for part in run.parts),
        "gmv_paid_minor": dict(sorted(gmv.items())),
        "dead_letters": sum(len(part.dead_letters) for part in run.parts),
        "late": sum(len(part.late) for part in run.parts),
        "verdicts": dict(sorted(counts.items())),
        "differences": [difference._asdict() for difference in run.report.differences[:SHOWN]],
        "notes": run.notes,
    }


def text(run: Run) -> str:
    """The first differences, one a line, notes and the summary."""
    lines = [
        f"{d.what} at {d.where}: expected {d.expected}, found {d.found}"
        for d in run.report.differences[:SHOWN]
    ]
    more = len(run.report.differences) - SHOWN
    lines += [f"… and {more} more"] if more > 0 else []
    lines += run.notes
    found = summary(run)
    gmv = ", ".join(f"{currency} {amount}" for currency, amount in found["gmv_paid_minor"].items()) or "none"
    counts = ", ".join(f"{name} {count}" for name, count in found["verdicts"].items()) or "none"
    lines += [
        f"log: {found['records']} records, {found['orders']} orders, GMV paid in minor units: {gmv}",
        f"verdicts: {counts}",
        f"compared {found['compared']} figures: {found['mismatches']} mismatches, "
        f"{found['panes_not_compared']} panes not compared",
    ]
    if found["compared"] == 0:
        lines.append("nothing was compared: has the worker written to this Redis prefix?")
    return "\n".join(lines)

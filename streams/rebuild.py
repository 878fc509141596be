"""`shop-pulse rebuild`: counts the log anew under keys of its own, then switches readers and workers to them.

It stands beside the way of an event: a worker of its own fills a new generation (`streams.generations`) in a
consumer group of its own, while the one that is served is read and written as before. Killed in the middle it
leaves a generation that nobody reads; the next start goes on with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

import click
import uvloop

from schemas.events import INPUT_TOPICS
from streams import settings as settings_module
from streams.catch_up import Pace, Place, counted, is_as_complete, is_level, left_of, line
from streams.errors import REBUILD_INCOMPLETE, PulseError, UnusableStateError
from streams.generations import Generations
from streams.kafka_log import Extents, existing_partitions, open_extents
from streams.log_check import check_equal
from streams.owner import Owner
from streams.settings import Settings
from streams.store import StoreUnavailableError, check_server, connect
from streams.topics import SAMPLE, misplaced
from streams.worker import Worker, prepare_process, rules_of
from streams.write_plan import SCHEMA

TICK_S = 0.5
SAID_EVERY_S = 10.0
# Level with the log, so long it waits for watermarks to come level too: quiet topics need half a minute.
SETTLE_S = 45.0
# So long it goes on counting after the switch, until the workers have followed.
HANDOVER_S = 5.0
HANDOVER_TICK_S = 0.05
# Readers look once a second which generation is served; what they left is deleted no sooner.
LEFT_FOR_MS = 10_000
# More misplaced keys than this are no stray records: the number of partitions was changed.
MISPLACED_MAX = 0.1

logger = logging.getLogger(__name__)
Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(slots=True)
class Result:
    """What `--json` prints.

    Attributes:
        generation: what is served now.
        before: what was served until then.
        went_on: whether an earlier rebuild, stopped in the middle, was gone on with.
        records: how many were counted by this command.
        seconds: from the start of its worker until all of the log was counted.
        records_per_s: the same as a speed.
        lacking: what the figures lack because the log does, one line each.
    """

    generation: str
    before: str
    went_on: bool
    records: int = 0
    seconds: float = 0.0
    records_per_s: int = 0
    lacking: list[str] = field(default_factory=list)


@click.command()
@click.option(
    "--accept-incomplete",
    is_flag=True,
    help="Go on although the log no longer holds everything, or holds keys where they no longer belong.",
)
@click.option(
    "--delete-old",
    is_flag=True,
    help="Rebuild nothing: delete the figures of earlier generations, which nobody reads any more.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text, at the end.")
def command(accept_incomplete: bool, delete_old: bool, as_json: bool) -> None:
    """Count the log anew beside the figures that are served, then switch to the new ones.

    Needed after a change of rules, schema or partitions, or a loss of Redis. Nothing that is served is
    touched; stopped in the middle, the next start goes on. The old figures stay until --delete-old.
    """
    settings = settings_module.load()
    if delete_old:
        deleted = asyncio.run(_reaching_redis(settings, delete_left))
        words = [f"{name}: {keys:,} keys deleted" for name, keys in deleted.items()]
        click.echo(json.dumps({"deleted": deleted}) if as_json else "\n".join(words or ["nothing to delete"]))
        return

    async def main(generations: Generations) -> Result:
        return await Rebuild(settings, generations, say=lambda text: click.echo(text, err=True)).run(
            accept_incomplete=accept_incomplete
        )

    result = uvloop.run(_reaching_redis(settings, main))
    click.echo(json.dumps(asdict(result)) if as_json else _in_words(result))


async def _reaching_redis(settings: Settings, work: Callable[[Generations], Awaitable[T]]) -> T:
    client = connect(settings.redis)
    try:
        await check_server(client)
        return await work(Generations(client, settings.redis_prefix))
    except StoreUnavailableError as error:
        raise PulseError(str(error)) from error
    finally:
        await client.aclose()


def _in_words(result: Result) -> str:
    return (
        f"{result.generation} is served now: {result.records:,} records in {result.seconds:,.0f} s "
        f"({result.records_per_s:,}/s); {result.before} stays. Check with `shop-pulse verify`, then "
        "`shop-pulse rebuild --delete-old`"
    )


async def delete_left(generations: Generations) -> dict[str, int]:
    """Deletes what was left, none of which is served or filled; how many keys each generation had."""
    known, asked_ms = await generations.known(), await generations.now_ms()
    wait_ms = max((at_ms + LEFT_FOR_MS - asked_ms for at_ms in known.left.values()), default=0)
    # No longer than that, should Redis' clock have been set back.
    await asyncio.sleep(min(max(0, wait_ms), LEFT_FOR_MS) / 1_000)
    deleted = {name: await generations.delete(name) for name in sorted(known.left)}
    # Where somebody wrote once more; of the others there is nothing to tell.
    again = {name: await generations.delete(name) for name in sorted(known.deleted - deleted.keys())}
    return deleted | {name: keys for name, keys in again.items() if keys}


class Rebuild:
    """One run of the command. `say` takes lines for whoever waits."""

    def __init__(self, settings: Settings, generations: Generations, say: Say) -> None:
        self._settings = settings
        self._generations = generations
        self._say = say
        self._of = (
            f"{settings.topic_prefix}* in {settings.partitions} partitions, schema {SCHEMA}, "
            f"{rules_of(settings).text}"
        )
        self._said_at_s = -SAID_EVERY_S
        self._working: asyncio.Future[None]

    async def run(self, *, accept_incomplete: bool) -> Result:
        """Fills, switches, hands over. Raises PulseError; what was filled until then is gone on with."""
        settings, generations = self._settings, self._generations
        counts = await self._partitions()
        async with open_extents(settings, INPUT_TOPICS) as extents:
            lacking = [*await self._deleted(extents), *await self._moved(counts)]
            if lacking and not accept_incomplete:
                raise PulseError(
                    f"{'; '.join(lacking)}. Restore the log, or rebuild without it by `--accept-incomplete`"
                )
            before = (await generations.known()).served
            name, went_on = await generations.begin(self._of, settings.partitions)
            for each in lacking:
                self._say(f"accepted: {each}")
            self._say(f"{'going on with' if went_on else 'filling'} {name}; {before} is served meanwhile")
            result = Result(name, before, went_on, lacking=lacking)
            # Not before: it has every consumer of this process hand out raw records.
            prepare_process(logging.WARNING)
            own = replace(
                settings,
                consumer_group=f"{settings.consumer_group}-{name}",
                instance_id=f"rebuild-{secrets.token_hex(4)}",
            )
            worker = Worker(own, name)
            try:
                await self._work(worker, extents, result)
            except UnusableStateError as error:
                await generations.give_up(name)
                raise PulseError(f"{error} (what {name} held is given up: run it again)") from error
        return result

    async def _work(self, worker: Worker, extents: Extents, result: Result) -> None:
        self._working = asyncio.ensure_future(worker.run())
        try:
            await self._fill(extents, result)
            await self._settle(extents, result)
            await self._partitions()
            await self._switch(result)
            await self._hand_over(worker, result.generation)
        finally:
            worker.end()
            await asyncio.wait({self._working})
            if (error := self._working.exception()) is not None:
                logger.info("the rebuild's worker ended with: %s", error)

    async def _partitions(self) -> dict[str, int]:
        """Partitions of each topic. Raises PulseError unless they are as many as the setting says."""
        counts = await existing_partitions(self._settings, INPUT_TOPICS)
        check_equal(counts, INPUT_TOPICS, self._settings.partitions)
        return counts

    async def _deleted(self, extents: Extents) -> list[str]:
        """What the log no longer holds, in words."""
        cut = {place: start for place, start in (await extents.starts()).items() if start}
        if not cut:
            return []
        oldest_ms = await extents.oldest_ms()
        topics = " ".join(sorted({self._settings.topic_prefix + topic for topic, _ in cut}))
        whole_from_ms = max((oldest_ms.get(place, now_ms()) for place in cut), default=0)
        return [
            f"the first {sum(cut.values()):,} records of {topics} were deleted: figures would be whole "
            f"only from {datetime.fromtimestamp(whole_from_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC on"
        ]

    async def _moved(self, counts: dict[str, int]) -> list[str]:
        """Topics whose oldest records lie where another number of partitions had put them, in words."""
        found = await misplaced(self._settings, counts, oldest=SAMPLE)
        return [
            f"{wrong} of the {seen} oldest sampled records of {self._settings.topic_prefix}{topic} lie in "
            "another partition than their key belongs to (were partitions added?): what needs all events of "
            "a user, an order or an id is counted apart before and after the change"
            for topic, (wrong, seen) in found.items()
            if wrong > MISPLACED_MAX * seen
        ]

    async def _fill(self, extents: Extents, result: Result) -> None:
        """Returns when all that was in the log a moment ago is counted."""
        starts, ends = await extents.starts(), await extents.ends()
        pace = Pace()
        began_s, first, is_opened = time.monotonic(), None, False
        while True:
            offsets = await self._offsets(result.generation)
            done = sum(max(0, offset - starts[place]) for place, offset in offsets.items())
            first = done if first is None else first
            now_s = time.monotonic()
            pace.see(now_s, done)
            self._show(line(result.generation, done, left_of(offsets, starts, ends), pace.per_s))
            if not is_opened and offsets.keys() >= ends.keys():
                is_opened = True
                await self._check_whole(extents, result)
            if is_level(offsets, ends):
                break
            ends = await extents.ends()
            await self._tick(result)
        result.records, result.seconds = done - first, round(now_s - began_s, 3)
        result.records_per_s = round(result.records / result.seconds) if result.seconds else 0

    async def _check_whole(self, extents: Extents, result: Result) -> None:
        """Raises UnusableStateError if records were deleted between the look at the log and its reading."""
        gone = [] if result.lacking else await self._deleted(extents)
        if gone:
            raise UnusableStateError(f"{gone[0]}; {REBUILD_INCOMPLETE}")

    async def _settle(self, extents: Extents, result: Result) -> None:
        """Waits until "as of" would not step back, for a while; returns level with the log."""
        until_s = time.monotonic() + SETTLE_S
        ends, settled = await extents.ends(), False
        while True:
            await self._tick(result)
            level = is_level(await self._offsets(result.generation), ends)
            if level and settled:
                return
            # Not at once: these ends may be from before this process stood still for an hour.
            settled = settled or (
                level and (time.monotonic() > until_s or await self._is_as_complete(result))
            )
            self._show(
                f"{result.generation}: counted; waiting until it is as of the same time, at most a minute"
            )
            if level:
                ends = await extents.ends()

    async def _is_as_complete(self, result: Result) -> bool:
        return is_as_complete(await self._metas(result.generation), await self._metas(result.before))

    async def _offsets(self, name: str) -> dict[Place, int]:
        return counted(await self._metas(name), INPUT_TOPICS)

    async def _metas(self, name: str) -> list[dict[str, str]]:
        return await self._patiently(lambda: self._generations.metas(name, self._settings.partitions))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """An answer of Redis, however long it is away: the worker waits for it too."""
        while True:
            try:
                return await ask()
            except StoreUnavailableError as error:
                self._show(str(error))
            await self._pause()

    async def _pause(self) -> None:
        """A moment. Raises PulseError once the worker has ended."""
        await asyncio.wait({self._working}, timeout=TICK_S)
        if self._working.done():
            self._working.result()
            raise PulseError(
                "stopped before the switch: what was served is served; `shop-pulse rebuild` goes on"
            )

    async def _tick(self, result: Result) -> None:
        """A moment later. Raises PulseError too if another rebuild took this one's place."""
        await self._pause()
        name = result.generation
        known = await self._patiently(self._generations.known)
        if known.building is None and known.served != name:
            # Redis was emptied meanwhile, and forgot what is being filled; or another rebuild was first.
            await self._patiently(lambda: self._generations.claim(name, self._of))
            known = await self._patiently(self._generations.known)
            result.before = known.served
        is_mine = known.building == name and known.building_of == self._of
        if not is_mine and known.served != name:
            raise PulseError(
                f"another rebuild took the place of this one of {name} ({known.building or 'nothing'} is "
                f"filled now, {known.served} is served): run this one again if its rules should count"
            )

    async def _switch(self, result: Result) -> None:
        name, before = result.generation, result.before
        if not await self._patiently(lambda: self._generations.switch(name, before)):
            served = await self._patiently(self._generations.served)
            if served != name:
                raise PulseError(
                    f"{served} is served now, not {before}: another rebuild was first; run it again if needed"
                )
        if sys.stderr.isatty():
            click.echo(err=True)
        self._say(f"{name} is served now, {before} no longer")

    async def _hand_over(self, worker: Worker, name: str) -> None:
        """Counts on until the workers have followed, partition by partition, or for a few seconds."""
        # Refused writes are how workers take over here.
        logging.getLogger(Owner.__module__).setLevel(logging.ERROR)
        until_s = time.monotonic() + HANDOVER_S
        mine = set(range(self._settings.partitions))
        while mine and time.monotonic() < until_s and not self._working.done():
            await asyncio.sleep(HANDOVER_TICK_S)
            try:
                metas = await self._generations.metas(name, self._settings.partitions)
            except StoreUnavailableError as error:
                self._show(str(error))
                continue
            for p in [p for p in mine if metas[p].get("owner") != worker.name]:
                worker.let_go(p)
                mine.discard(p)

    def _show(self, text: str) -> None:
        """The state of things: on a terminal one line that changes, elsewhere a line now and then."""
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)
        elif time.monotonic() - self._said_at_s >= SAID_EVERY_S:
            self._said_at_s = time.monotonic()
            self._say(text)


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000

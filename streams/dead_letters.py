"""Dead letters: `shop-pulse dead-letters` shows them, `shop-pulse replay` sends them again.

It stands beside the way of an event, where a rejected record leaves it. Such a record keeps its bytes, key
and headers; the worker's headers before its own say where it was and why it was rejected. A crash may write
one twice: topic, partition and offset identify it, and every reader here counts distinct ones.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from schemas.codec import Reason
from schemas.events import DEAD_LETTERS, INPUT_TOPICS
from streams import settings as settings_module
from streams.errors import PulseError
from streams.kafka_log import open_log
from streams.settings import Settings
from streams.sources.produce import open_sender

Headers = Sequence[tuple[str, bytes | None]]
Place = tuple[str, int, int]

_REQUIRED: Final = ("topic", "partition", "offset", "reason", "timestamp")
# What the worker writes before the record's own headers (streams/outlet.py), in any order.
_MARKS: Final = frozenset((*_REQUIRED, "detail"))
MASK: Final = "***"
SHOWN_CHARACTERS: Final = 160
# A shorter key occurs by chance in every payload; the field user_id is masked in any case.
MIN_KEY_TO_MASK: Final = 4


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A rejected record as it was; `topic` is the base name, `timestamp_ms` its own Kafka timestamp."""

    topic: str
    partition: int
    offset: int
    reason: str
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> Place:
        """What identifies it."""
        return self.topic, self.partition, self.offset


def unmarked(
    key: bytes | None, value: bytes | None, headers: Headers, topic_prefix: str = ""
) -> DeadLetter | None:
    """The rejected record inside a dead letter; None if the worker did not write this."""
    marks: dict[str, str] = {}
    own = 0
    # The record may have had headers of the same names: only the first of each is the worker's.
    for name, mark in headers:
        if name not in _MARKS or name in marks:
            break
        marks[name] = (mark or b"").decode("utf-8", "replace")
        own += 1
    try:
        topic, partition, offset, reason, timestamp = (marks[name] for name in _REQUIRED)
        topic = topic.removeprefix(topic_prefix)
        found = DeadLetter(
            topic, int(partition), int(offset), reason, int(timestamp), key, value, headers[own:]
        )
    except (KeyError, ValueError):
        return None
    return found if topic in INPUT_TOPICS else None


async def distinct(records: AsyncIterator[Any], topic_prefix: str = "") -> AsyncIterator[DeadLetter]:
    """Each dead letter once, in the order of the Kafka records that hold them."""
    seen: set[Place] = set()
    async for record in records:
        letter = unmarked(record.key, record.value, record.headers, topic_prefix)
        if letter is not None and letter.place not in seen:
            seen.add(letter.place)
            yield letter


# --- shown ---


def shown(letter: DeadLetter) -> str:
    """The payload as a person may see it: user ids masked, whatever its bytes are, and short."""
    if letter.value is None:
        return "(no value)"
    text = _mask_fields(letter.value)
    key = (letter.key or b"").decode("utf-8", "backslashreplace")
    if len(key) >= MIN_KEY_TO_MASK and letter.topic not in ("catalogue", "ads"):
        text = text.replace(key, MASK)
    text = "".join(
        char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[: SHOWN_CHARACTERS + 1]
    )
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]}… ({len(letter.value)} bytes)"


# What may be damaged: quotes missing or of the other kind, the value cut off, another spelling of the name.
_USER_ID: Final = re.compile(
    r"""(user[ _-]?id["'\s]*[:=]\s*)("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;&}\]]+)""", re.IGNORECASE | re.DOTALL
)


def _mask_fields(value: bytes) -> str:
    """The payload as text without the values of its user_id fields."""
    text = value.decode("utf-8", "backslashreplace")
    try:
        # Read as JSON where that is possible: "user\u005fid" is the same name, and a number the same secret.
        return json.dumps(json.loads(text, object_pairs_hook=_masked_object), ensure_ascii=False)
    except (ValueError, RecursionError):
        return _USER_ID.sub(rf'\1"{MASK}"', text)


def _masked_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: MASK if name.casefold().replace("_", "").replace("-", "") == "userid" else value
        for name, value in pairs
    }


async def latest(settings: Settings, count: int) -> list[DeadLetter]:
    """The last `count` distinct dead letters, oldest first. Raises PulseError when Kafka is away."""
    depth = max(50, count * 4)
    while True:
        async with open_log(settings, [DEAD_LETTERS], latest=depth) as log:
            records = [record async for record in log.records()]
        # Partitions have no common order but the time at which the worker wrote.
        records.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
        letters = [letter async for letter in distinct(_each(records), settings.topic_prefix)]
        read = Counter(record.partition for record in records)
        # Look further back only if too few are left and there is more to see.
        if len(letters) >= count or max(read.values(), default=0) < depth:
            return letters[-count:]
        depth *= 8


async def _each(records: list[Any]) -> AsyncIterator[Any]:
    for record in records:
        yield record


async def _counted(records: AsyncIterator[Any], count: Callable[[Any], object]) -> AsyncIterator[Any]:
    async for record in records:
        count(record)
        yield record


@click.command()
@click.option("--last", type=click.IntRange(1), default=5, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def dead_letters(last: int, as_json: bool) -> None:
    """Show the latest dead letters: reason, place and payload, with user ids masked."""
    letters = asyncio.run(latest(settings_module.load(), last))
    for letter in letters:
        if as_json:
            click.echo(
                json.dumps(
                    {
                        "reason": letter.reason,
                        "topic": letter.topic,
                        "partition": letter.partition,
                        "offset": letter.offset,
                        "timestamp_ms": letter.timestamp_ms,
                        "payload": shown(letter),
                    }
                )
            )
        else:
            place = f"{letter.topic}/{letter.partition}/{letter.offset}"
            click.echo(f"{letter.reason:<21} {place:<24} {shown(letter)}")
    if not letters and not as_json:
        click.echo("no dead letters")


# --- sent again ---


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters are meant: those of a reason (None: of any), from these offsets on.

    `since` maps (topic, partition) to the first original offset; when it is not empty, only these are meant.
    """

    reason: str | None
    since: dict[tuple[str, int], int]

    def takes(self, letter: DeadLetter) -> bool:
        """Whether this one is meant."""
        if self.reason is not None and letter.reason != self.reason:
            return False
        first = self.since.get((letter.topic, letter.partition))
        return letter.offset >= first if first is not None else not self.since


def parse_since(texts: Iterable[str]) -> dict[tuple[str, int], int]:
    """`purchases/2/1234` → {("purchases", 2): 1234}. Raises PulseError for anything else."""
    since = {}
    for text in texts:
        topic, *numbers = text.split("/")
        if topic not in INPUT_TOPICS or len(numbers) != 2 or not all(each.isdecimal() for each in numbers):
            raise PulseError(
                f"--since-offset {text!r}: write TOPIC/PARTITION/OFFSET, for example purchases/2/1234"
            )
        since[topic, int(numbers[0])] = int(numbers[1])
    return since


async def send_again(
    settings: Settings,
    choice: Choice,
    *,
    dry_run: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Counter[str]:
    """Send the chosen dead letters to where they were: same bytes, key, headers, timestamp.

    Returns how many, by reason. What is rejected again becomes a new dead letter, which this run leaves
    alone. `progress` is told how many records the dead-letter topic holds (first call), then of each.
    Raises PulseError when Kafka is away or refuses.
    """
    counts: Counter[str] = Counter()
    tell = progress or (lambda _: None)
    async with open_log(settings, [DEAD_LETTERS]) as log, open_sender(settings, INPUT_TOPICS) as sender:
        tell(log.total)
        records = _counted(log.records(), lambda _: tell(1))
        async for letter in distinct(records, settings.topic_prefix):
            if choice.takes(letter):
                counts[letter.reason] += 1
                if not dry_run:
                    await sender.add(
                        (letter.topic, letter.partition),
                        letter.timestamp_ms,
                        letter.key,
                        letter.value,
                        letter.headers,
                    )
        await sender.flush(confirmed=True)
    return counts


@click.command()
@click.option("--dead-letters", "chosen", is_flag=True, help="What to send again: dead letters.")
@click.option("--reason", type=click.Choice([str(each) for each in Reason]), help="Only of this reason.")
@click.option(
    "--since-offset",
    "since",
    multiple=True,
    metavar="TOPIC/PARTITION/OFFSET",
    help="Only what lay there, from this offset on; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one line of JSON.")
def replay(chosen: bool, reason: str | None, since: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Send dead letters to their topics again, after what rejected them was mended.

    They keep their timestamps, so traffic that has become too old meanwhile is counted as late.
    """
    if not chosen:
        raise PulseError("say what to send again: `shop-pulse replay --dead-letters`")
    choice = Choice(reason, parse_since(since))
    settings = settings_module.load()
    if sys.stderr.isatty():
        with click.progressbar(length=0, label="replaying", file=sys.stderr) as bar:
            counts = asyncio.run(send_again(settings, choice, dry_run=dry_run, progress=_advance(bar)))
    else:
        counts = asyncio.run(send_again(settings, choice, dry_run=dry_run))
    if as_json:
        click.echo(json.dumps({"replayed": counts.total(), "dry_run": dry_run, "reasons": dict(counts)}))
        return
    click.echo(f"{counts.total()} dead letters {'would be' if dry_run else 'were'} sent again")
    for name, count in sorted(counts.items()):
        click.echo(f"  {name:<21} {count:>8}")


def _advance(bar: Any) -> Callable[[int], object]:
    """What moves a progress bar: the first call says how far it goes."""

    def tell(count: int) -> None:
        if bar.length:
            bar.update(count)
        else:
            bar.length = count

    return tell

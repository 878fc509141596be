"""Records damaged by chance, the same for each seed: golden samples with other bytes or other fields, and the
poison corpus among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from schemas.events import INPUT_TOPICS
from tests.golden import accepted, samples
from tests.poison import TIME_MS, corpus

# What a broker takes with its stock settings.
LARGEST = 900_000
CORPUS_EVERY = 50
STEP_MS = 10

# Texts in a field's place: JSON or not, right for some field or for none.
FRAGMENTS = [
    *(
        "null",
        "true",
        "0",
        "-0",
        "1",
        "5",
        "6",
        "-1",
        "10000",
        "10001",
        "1.0",
        "1e2",
        "1e400",
        "-1E-400",
        "01",
        "+1",
    ),
    *("9007199254740991", "9007199254740992", "18446744073709551616", "-9223372036854775809", "100000000000"),
    *("9" * 4_400, "-" + "9" * 25, "1262304000000", "1262303999999", "NaN", "-Infinity", ".5", "1."),
    *(
        '""',
        '"x"',
        '"USD"',
        '"usd"',
        '"USD\\n"',
        '"EURO"',
        '"' + "x" * 64 + '"',
        '"' + "é" * 65 + '"',
        '"\\u0000"',
    ),
    *(
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\ud83d\\u0041"',
        '"\\x"',
        '"\t"',
        '"\x7f"',
        '"\\/"',
    ),
    *('"other"', '"live"', '"real"', '"bot"', '"started"', '"treated"', '"view"', '"purchase"', '"refund"'),
    *(
        "[]",
        "{}",
        "[[[",
        "[1]",
        "[{}]",
        "[null]",
        "[{},]",
        '{"a":1,"a":2}',
        "[" * 63 + "]" * 63,
        "[" * 64 + "]" * 64,
    ),
    *(
        "{" * 3,
        "}",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "\ufeff",
        " ",
        "\n",
        "\r\n",
        "\x00",
        "/**/",
        '"event_type":"view"',
    ),
]


def damaged(seed: int, count: int) -> Iterator[tuple[int, str, bytes]]:
    """So many records: when they are sent, in Unix milliseconds, to which topic, and their bytes.

    Most begin as an event that is right and of that moment; ids repeat now and then.
    """
    rng = Random(seed)
    right = [(each.topic, each.value, _fields(each.value)) for each in accepted()]
    golden = [(each.topic, each.value, fields) for each in samples() if (fields := _fields(each.value))]
    poison = [(each.topic, each.value) for each in corpus() if each.value and len(each.value) < LARGEST]
    for number in range(count):
        at_ms = TIME_MS + number * STEP_MS
        if number % CORPUS_EVERY == 0:
            yield at_ms, *poison[number // CORPUS_EVERY % len(poison)]
            continue
        topic, value, fields = rng.choice(right if rng.random() < 0.8 else golden)
        if rng.random() < 0.02:
            topic = rng.choice(INPUT_TOPICS)
        if rng.random() < 0.9:
            value = _other_fields(rng, fields | {"event_time_ms": at_ms})
        if rng.random() < 0.3:
            value = _other_bytes(rng, value)
        yield at_ms, topic, value


def _fields(value: bytes) -> dict[str, Any]:
    """An object's fields; nothing of what is none."""
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _other_fields(rng: Random, fields: dict[str, Any]) -> bytes:
    """The event under another id, a few of its fields left out, doubled or holding something else."""
    pairs = [(name, json.dumps(value)) for name, value in fields.items()]
    for name in ("event_id", "order_id", "refund_id"):
        if name in fields:
            pairs.append((name, f'"{rng.randrange(5_000)}"'))
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        place = rng.randrange(len(pairs))
        match rng.randrange(3):
            case 0 if len(pairs) > 1:
                del pairs[place]
            case 1:
                pairs[place] = (pairs[place][0], rng.choice(FRAGMENTS))
            case _:
                pairs.insert(place, (rng.choice(pairs)[0], rng.choice(FRAGMENTS)))
    return ("{" + ",".join(f"{json.dumps(name)}:{raw}" for name, raw in pairs) + "}").encode()


def _other_bytes(rng: Random, value: bytes) -> bytes:
    """A few bytes flipped, cut, doubled, or others put in."""
    changed = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        start = rng.randint(0, max(0, len(changed) - 1))
        end = start + rng.randint(0, 12)
        match rng.randrange(5):
            case 0 if changed:
                changed[start] ^= 1 << rng.randrange(8)
            case 1:
                del changed[start:end]
            case 2:
                del changed[start:]
            case 3:
                changed[end:end] = changed[start:end]
            case _:
                changed[start:end] = rng.choice(FRAGMENTS).encode()
    return bytes(changed)

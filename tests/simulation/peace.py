"""What the same log gives when one owner reads it in peace: for what is in Redis and no figure shows.

Ledgers, id windows, waiting refunds, starts of lives and lists for deletion are compared with that reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar, cast

import msgspec

from streams.batch import Batch, chunks
from streams.state import PartitionState, Rules
from streams.store import Applied, Guard, Store
from tests.simulation.judge import HEAD, shortened
from tests.simulation.kafka_model import KafkaModel
from tests.simulation.redis_model import RedisModel
from tests.simulation.wire import AtOnce

# What differs with every writing, or says how far deletion has come.
PASSING = frozenset(b"token seq owner writes refused write_ms up_ms takeovers rebalances load".split())
PASSING_HEADS = (b"wm:", b"lag:", b"trim:")
# Judged by `judge`; and marks of writes, of which there are others with every writing.
FIGURES = frozenset("cells panes index users userpanes usersindex marks".split())
DAY_MS = 86_400_000
T = TypeVar("T")


def at_once(asked: Coroutine[Any, Any, T]) -> T:
    """The answer of a coroutine that never waits."""
    try:
        asked.send(None)
    except StopIteration as answer:
        return cast(T, answer.value)
    raise AssertionError("it waits")


class Reading:
    """One owner's memory over a model, without a loop."""

    def __init__(self, model: RedisModel, rules: Rules) -> None:
        self._store = Store(cast(Any, AtOnce(model)), "sp", rules.figures)
        self.state: PartitionState
        self._guard: Guard
        self.state, self._guard = at_once(self._store.load(0, rules))

    def fold(self, batch: Batch) -> None:
        """Counts a batch."""
        left = len(batch.records)
        for chunk in chunks(batch):
            left -= len(chunk)
            screened = self.state.screen(batch.topic, chunk)
            while missing := self.state.missing(batch.topic, screened):
                self.state.load_records(at_once(self._store.read_records(0, missing.records))[0])
                self.state.sums.admission.load(at_once(self._store.cell_names(0, missing.cells))[0])
            self.state.apply(batch.topic, chunk, screened, chunk[-1].offset + 1 if left else batch.after)

    def save(self) -> None:
        """One guarded write of everything."""
        write = self.state.take()
        answer, self._guard = at_once(self._store.write(self.state, write, self._guard, "peace", {}))
        assert isinstance(answer, Applied), answer


def is_comparable(kafka: KafkaModel) -> bool:
    """Whether the log is too short for anything but ids to be deleted: what goes when, no rule says."""
    times = [record.timestamp for log in kafka.logs.values() for record in log]
    return bool(times) and max(times) - min(times) < DAY_MS


def differences(model: RedisModel, kafka: KafkaModel, rules: Rules) -> list[str]:
    """Keys of the disturbed Redis that are not as in peace."""
    calm = RedisModel()
    reading = Reading(calm, rules)
    for topic, log in kafka.logs.items():
        reading.fold(Batch(topic, 0, 0, 0, kafka.ends[topic], log))
        reading.state.topics[topic].next_offset = kafka.ends[topic]
    reading.save()
    ours, theirs = contents(model), contents(calm)
    return shortened(
        [
            f"{key} {name}: {have} instead of {want}"
            for key in ours.keys() | theirs.keys()
            for name, want, have in _unequal(theirs.get(key), ours.get(key))
        ]
    )


def unlisted(model: RedisModel) -> list[str]:
    """Keys and records that no index or day's list names: readers miss them, or they stay for ever."""
    found, data = [], model.data
    for key, value in data.items():
        name, _, rest = key.removeprefix(HEAD).partition(":")
        if name == "cells":
            kind, size, start = rest.rsplit(":", 2)
            is_listed = f"{size}:{start}".encode() in data.get(HEAD + "panes", ())
            if is_listed and ":" in kind:
                is_listed = kind.encode() in data.get(f"{HEAD}index:{size}:{start}", ())
        elif name == "users":
            size, start, sketch = rest.split(":", 2)
            is_listed = sketch.encode() in data.get(f"{HEAD}usersindex:{size}:{start}", ())
        elif name == "usersindex":
            is_listed = rest.encode() in data.get(HEAD + "userpanes", ())
        else:
            is_listed = True
        found += [] if is_listed else [f"no index names {key}"]
        if not rest and name not in ("meta", "waiting", "panes", "userpanes", "marks"):
            found += _unfiled(data, name, value)
    return shortened(found)


def _unfiled(data: Mapping[str, Any], ledger: str, records: Mapping[bytes, bytes]) -> list[str]:
    found = []
    for record_id, text in records.items():
        day = int(text) // DAY_MS if ledger == "lives" else int(text.partition(b":")[0])
        if day >= 0 and record_id not in data.get(f"{HEAD}{ledger}:day:{day}", ()):
            found.append(f"{ledger} {record_id!r} is in no list of day {day}")
    return found


def _unequal(want: object, have: object) -> list[tuple[object, object, object]]:
    if want == have:
        return []
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        names = want.keys() | have.keys()
        return [(n, want.get(n), have.get(n)) for n in names if want.get(n) != have.get(n)]
    return [("", want, have)]


def contents(model: RedisModel) -> dict[str, object]:
    """Every key beside figures as it can be compared: no order of ids or fields."""
    held: dict[str, object] = {}
    for key, value in model.data.items():
        name, _, rest = key.removeprefix(HEAD).partition(":")
        if name in FIGURES:
            continue
        if name == "meta":
            held[key] = {
                field: text
                for field, text in value.items()
                if field not in PASSING and not field.startswith(PASSING_HEADS)
            }
        elif name == "ids":
            held[key] = frozenset(value[at : at + 8] for at in range(0, len(value), 8))
        elif name in ("lives", "waiting") and not rest:
            held[key] = value
        elif rest:
            # Which days' lists name a record that moved from day to day depends on the order of reading.
            continue
        elif name == "taps":
            # Without the orders that wait for taps: which do depends on it, too.
            taps = {day: _record(name, text) for day, text in value.items()}
            held[key] = {day: each[2] for day, each in taps.items() if each[2]}
        else:
            held[key] = {field: _record(name, text) for field, text in value.items()}
    return {key: value for key, value in held.items() if value}


def _record(ledger: str, text: bytes) -> Any:
    """A record without the order of its fields, and of a session with each scope's steps in place of where
    these stand in its lists."""
    record = msgspec.msgpack.decode(text.partition(b":")[2])
    if ledger != "sessions":
        return record
    day, began_ms, excluded, scopes, orders, times = record
    return day, began_ms, excluded, {scope: (orders[at], times[at]) for scope, at in scopes.items()}


def fingerprint(model: RedisModel) -> str:
    """A hash of every key beside figures, and of all cells, the same in every process."""
    cells = {key: value for key, value in model.data.items() if key.startswith(HEAD + "cells:")}
    lines = [
        f"{key} {sorted(map(repr, value.items() if isinstance(value, Mapping) else value))}"
        for key, value in sorted({**contents(model), **cells}.items())
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

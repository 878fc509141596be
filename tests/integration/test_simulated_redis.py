"""The simulation's Redis does what the guarded write does on a real one: answers, refusals and every key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.msgpack import encode

from streams.local.redis import RedisServer
from streams.write_plan import as_text
from tests.simulation.redis_model import RedisModel, ScriptError, Sketch, Zset
from tests.simulation.seeds import run_story, story_of

SCRIPT = files("streams").joinpath("apply.lua").read_text(encoding="utf-8")
META = "sp:{0}:meta"
FIELDS = ("a", "b", "c")
DAYS = (20_000, 20_001)
Drawn = list[tuple[str, str, list[Any]]]
AMOUNTS = st.sampled_from(("0", "1", "-1", "7", "-12", "9007199254740993", "9223372036854775807"))


class BothRedises:
    """The real one and the model, given the same scripts."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.model = RedisModel()
        self._script = client.register_script(SCRIPT)

    def run(self, keys: Sequence[str], argv: list[bytes]) -> str:
        """Runs a script on both; fails where answers differ. Answers the first word."""
        left: dict[str, set[bytes]] = {}
        try:
            real = self._script(keys=keys, args=[encode(list(map(as_text, argv)))])
            left = {key: self.client.smembers(key) for key in keys if self.client.type(key) == b"set"}
        except redis.exceptions.ResponseError as error:
            real = str(error).split(" ", 1)[0]
        # Which names a sweep takes is Redis's choice: the model takes the same ones.
        self.model.chosen = lambda key, names, limit: sorted(names - left.get(key, set()))[:limit]
        try:
            modelled: Any = self.model.run_script(keys, argv)
        except ScriptError as error:
            modelled = str(error).split(" ", 1)[0]
        if isinstance(modelled, list):
            modelled = [[int(n) for n in part] if isinstance(part, list) else part for part in modelled]
            real = [[int(n) for n in part] if isinstance(part, list) else part for part in real]
        assert modelled == real
        return str(real[0].decode() if isinstance(real, list) else real)

    def compare(self) -> None:
        """Fails unless both hold the same under every key."""
        assert {key.encode() for key in self.model.data} == set(self.client.scan_iter())
        for key, value in self.model.data.items():
            assert self._real(key, value) == value, key

    def _real(self, key: str, value: Any) -> Any:
        if isinstance(value, Sketch):
            # As many users as were added, and none more when they are added again.
            assert self.client.pfcount(key) == len(value)
            assert self.client.pfadd(key, *value) == 0
            return value
        if isinstance(value, Zset):
            return {member: int(score) for member, score in self.client.zrange(key, 0, -1, withscores=True)}
        if isinstance(value, dict):
            return self.client.hgetall(key)
        if isinstance(value, set):
            return self.client.smembers(key)
        return self.client.lrange(key, 0, -1) if isinstance(value, list) else self.client.get(key)


@pytest.fixture(scope="module")
def real(redis_server: RedisServer) -> Iterator[Any]:
    """A client of the real Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@st.composite
def operations(draw: st.DrawFn) -> Drawn:
    """Operations on few keys, of every code; `@` before an argument: the position of this key."""
    names = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3)
    pairs = st.lists(
        st.tuples(st.sampled_from(FIELDS), AMOUNTS), min_size=1, max_size=3, unique_by=lambda p: p[0]
    )
    day = draw(st.sampled_from(DAYS))
    times = st.sampled_from((day * 86_400_000, day * 86_400_000 + 5, (day + 2) * 86_400_000))
    codes: dict[str, tuple[str, st.SearchStrategy[list[Any]]]] = {
        "H": ("cells:h", pairs.map(lambda each: [text for pair in each for text in pair])),
        "I": ("cells:i", pairs.map(lambda each: [text for pair in each for text in pair])),
        "M": ("cells:m", pairs.map(lambda each: [text for pair in each for text in pair])),
        "D": ("cells:h", names),
        "A": ("ids:a", st.binary(max_size=9).map(lambda bytes_: [bytes_])),
        "R": (f"orders:day:{day}", names),
        "L": ("marks", st.tuples(st.binary(max_size=9), st.integers(1, 3)).map(list)),
        "N": ("lives", st.tuples(st.sampled_from(FIELDS), times).map(lambda n: [*n, f"@lives:day:{day}", 2])),
        "T": (f"orders:day:{day}", st.integers(1, 3).map(lambda most: ["@orders", f"{day}:", most])),
        "P": ("users:1h:0:s", names),
        "S": ("index:1h:0", names),
        "E": ("index:1h:0", st.integers(1, 3).map(lambda n: ["@panes", "1h:0", "sp:{0}:cells:", ":1h:0", n])),
        "Z": ("panes", st.just(["1h:0", "1d:0"])),
        "X": ("panes", st.just(["1h:0"])),
        "U": ("cells:a:1h:0", st.just([])),
    }
    # Each once: a write names a field at most once, and the script relies on it.
    chosen = draw(st.lists(st.sampled_from(list(codes)), max_size=6, unique=True))
    # Sketches first and sweeps last, as `plan` does.
    chosen.sort(key=lambda code: (code != "P", code == "E"))
    drawn: Drawn = [(code, codes[code][0], draw(codes[code][1])) for code in chosen]
    if draw(st.booleans()):
        drawn.insert(0, ("H", "cells:a:1h:0", ["a", "1"]))
        drawn.insert(0, ("H", "orders", ["a", f"{draw(st.sampled_from(DAYS))}:x", "b", f"{day}:y"]))
    if draw(st.integers(0, 9)) == 0:
        # Alone, and perhaps on a key of another type.
        return [(draw(st.sampled_from("HRSZ")), draw(st.sampled_from(("lives", "panes"))), ["a", "1"])]
    return drawn


def _script(token: str, new: str, offset: str, ops: Drawn) -> tuple[list[str], list[bytes]]:
    """Keys and arguments of a write whose vector has one field, and moves it by one."""
    keys = [META]

    def position(name: str) -> int:
        key = f"sp:{{0}}:{name}"
        if key not in keys:
            keys.append(key)
        return keys.index(key) + 1

    args: list[Any] = [token, new, 1, "off:views", offset, 2, "off:views", new[1:], "h", "5"]
    for code, name, rest in ops:
        plain = [position(a[1:]) if isinstance(a, str) and a.startswith("@") else a for a in rest]
        args += [code, position(name), len(plain), *plain]
    return keys, [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(st.tuples(operations(), st.integers(0, 9)), min_size=1, max_size=8))
def test_drawn_writes_do_the_same(real: Any, writes: list[tuple[Drawn, int]]) -> None:
    """Writes of any operations, with right, wrong and repeated tokens and vectors: answers and keys agree."""
    real.flushdb()
    both = BothRedises(real)
    token, offset = "", ""
    for number, (ops, odd) in enumerate(writes, 1):
        new = token if odd == 0 and token else f"t{number}"
        guess = ("wrong", offset) if odd == 1 else (token, "77") if odd == 2 else (token, offset)
        if both.run(*_script(guess[0], new, guess[1], ops)) == "OK":
            token, offset = new, new[1:]
        both.compare()


# Seed 4 writes too seldom.
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 6, 7, 8])
def test_the_writes_of_stories_do_the_same(real: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write that a story's owners send, zombies and retries too, one after the other on both."""
    sent: list[tuple[list[str], list[bytes]]] = []
    run_script = RedisModel.run_script

    def recorded(model: RedisModel, keys: Sequence[str], argv: list[bytes]) -> list[Any]:
        sent.append((list(keys), list(argv)))
        return run_script(model, keys, argv)

    story = story_of(seed)
    # The real one cannot be set back here: what it lost would differ from the story's.
    kept = [fault for fault in story.faults if fault.kind not in ("Redis rolled back", "Redis emptied")]
    with monkeypatch.context() as patch:
        patch.setattr(RedisModel, "run_script", recorded)
        assert run_story(replace(story, faults=kept, schedule=story.schedule // 3 * 3 + 1)).wrong == []
    real.flushdb()
    both = BothRedises(real)
    answers = [both.run(keys, argv) for keys, argv in sent]
    both.compare()
    assert answers.count("OK") > 3

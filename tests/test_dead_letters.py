"""Dead letters as a person sees them: no user id gets out, each appears once, the choice is the one meant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from streams.dead_letters import Choice, DeadLetter, distinct, parse_since, replay, shown, unmarked
from streams.errors import PulseError

MARKS = [
    ("topic", b"carts"),
    ("partition", b"2"),
    ("offset", b"17"),
    ("timestamp", b"1700000000000"),
    ("reason", b"not_json"),
    ("detail", b"ends too early"),
]


def letter(value: bytes | None, *, key: bytes | None = None, topic: str = "carts", **more: Any) -> DeadLetter:
    """A dead letter with this payload."""
    fields = {"partition": 2, "offset": 17, "reason": "not_json", "timestamp_ms": 1, "headers": ()}
    return DeadLetter(topic=topic, key=key, value=value, **{**fields, **more})


def test_the_worker_s_headers_are_read_and_taken_off() -> None:
    """What remains are the record's own headers, even those that carry the same names, and its own bytes."""
    own: list[tuple[str, bytes | None]] = [("trace", b"1"), ("topic", b"mine"), ("empty", None)]
    for marks in (MARKS, MARKS[:5], list(reversed(MARKS))):
        assert unmarked(b"k", b"v", [*marks, *own]) == DeadLetter(
            "carts", 2, 17, "not_json", 1_700_000_000_000, b"k", b"v", own
        )


@pytest.mark.parametrize(
    "headers",
    [
        [],
        MARKS[:4],
        [("trace", b"1"), *MARKS],
        [("topic", b"elsewhere"), *MARKS[1:]],
        [("partition", b"two"), MARKS[0], *MARKS[2:]],
        [("partition", None), MARKS[0], *MARKS[2:]],
    ],
)
def test_what_the_worker_did_not_write_is_no_dead_letter(headers: list[tuple[str, bytes | None]]) -> None:
    """A record without its headers, or for a topic that is not ours, is never shown or sent anywhere."""
    assert unmarked(b"k", b"v", headers) is None


def test_a_letter_that_was_written_twice_counts_once() -> None:
    """Topic, partition and offset identify it."""

    class Record(NamedTuple):
        key: bytes | None
        value: bytes | None
        headers: list[tuple[str, bytes]]

    async def records() -> AsyncIterator[Record]:
        for offset in (b"1", b"2", b"1", b"3", b"2"):
            yield Record(b"k", offset, [*MARKS[:2], ("offset", offset), *MARKS[3:]])

    async def run() -> list[int]:
        return [each.offset async for each in distinct(records())]

    assert asyncio.run(run()) == [1, 2, 3]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"user_id":"secret-7","quantity":0}',
        b'{"user_id" : "secret-7"',
        b'{"a":1,"user_id":"secret-7',
        b'{"user_id":"secret\\"-7","a":NaN',
        b'{"user\\u005fid":"secret-7"}',
        b'{"user_id":{"inner":"secret-7"}}',
        b'{"deep":[{"user_id":"secret-7"}]}',
        b'{"userId":"secret-7"}',
        b"{'user_id': 'secret-7'}",
        b"user_id=secret-7&quantity=1",
        b'{"user_id":"secret-7\xff"}',
        b'\xef\xbb\xbf{"user_id":"secret-7"}',
        b'{"user_id":1,"user_id":"secret-7"}',
    ],
)
def test_the_value_of_user_id_is_masked_also_where_nothing_can_be_read(payload: bytes) -> None:
    """Whatever is wrong with the payload, its user id is not shown; that there was one is."""
    text = shown(letter(payload))
    assert "secret" not in text
    assert "***" in text


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_the_key_of_a_user_s_record_never_shows(before: bytes, after: bytes) -> None:
    """The key is the user id, so it is masked anywhere in the payload, under whatever name."""
    text = shown(letter(before + b"user-4711" + after, key=b"user-4711"))
    assert "user-4711" not in text


@given(st.binary(max_size=400))
def test_every_payload_can_be_shown_in_one_short_line(payload: bytes) -> None:
    """No control characters for the terminal, no second line, no end of memory."""
    text = shown(letter(payload))
    assert text.isprintable()
    assert len(text) < 200


def test_a_long_payload_is_shortened_and_a_missing_one_said() -> None:
    """The size is told instead; deep nesting does no harm."""
    assert shown(letter(b'{"note":"' + b"x" * 70_000 + b'"}')).endswith("… (70011 bytes)")
    assert shown(letter(b"[" * 100_000)).endswith("… (100000 bytes)")
    assert shown(letter(None)) == "(no value)"


def test_a_choice_takes_what_it_says() -> None:
    """By reason, by place, by both; without either, all."""
    some = letter(b"x")
    assert Choice(None, {}).takes(some)
    assert Choice("not_json", {}).takes(some)
    assert not Choice("late", {}).takes(some)
    assert Choice(None, {("carts", 2): 17}).takes(some)
    assert not Choice(None, {("carts", 2): 18}).takes(some)
    assert not Choice(None, {("carts", 1): 0}).takes(some)
    assert not Choice("late", {("carts", 2): 0}).takes(some)


def test_places_are_read_and_wrong_ones_refused() -> None:
    """TOPIC/PARTITION/OFFSET, as `dead-letters` prints them."""
    assert parse_since(["purchases/2/1234", "carts/0/0"]) == {("purchases", 2): 1234, ("carts", 0): 0}
    for wrong in ("purchases", "purchases/2", "shop.purchases/2/3", "purchases/-1/3", "purchases/2/3/4"):
        with pytest.raises(PulseError, match="TOPIC/PARTITION/OFFSET"):
            parse_since([wrong])


def test_replay_wants_to_be_told_what_to_replay() -> None:
    """`shop-pulse replay` alone sends nothing."""
    result = CliRunner().invoke(replay, [])
    assert isinstance(result.exception, PulseError)
    assert "--dead-letters" in str(result.exception)

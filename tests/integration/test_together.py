"""Commands done together, on a real Redis."""

from __future__ import annotations

import re

import pytest
from redis.exceptions import ResponseError

from streams.together import Together, fields_of
from streams.write_plan import SLICE_MAX, as_text
from tests.store_kit import Shelf, on_redis


@on_redis()
async def test_answers_come_in_order_and_as_redis_gives_them(shelf: Shelf) -> None:
    """Bytes of any content go in and come out; what is not there is None, and a hash a flat list."""
    together, key = Together(shelf.client), shelf.key
    answers = await together(
        [
            ("HSET", key("hash"), "a", as_text(b"\xff\x00"), "b", "2"),
            ("HGETALL", key("hash")),
            ("HMGET", key("hash"), "b", "none"),
            ("GET", key("none")),
            ("ZADD", key("zset"), 3, "m", 1, "n"),
            ("ZRANGE", key("zset"), 0, -1),
        ]
    )
    assert answers == [2, [b"a", b"\xff\x00", b"b", b"2"], [b"2", None], None, 2, [b"n", b"m"]]


@on_redis()
async def test_many_fields_are_asked_for_in_slices(shelf: Shelf) -> None:
    """Lua could not unpack them all at once."""
    together, key = Together(shelf.client), shelf.key("hash")
    names = [str(number) for number in range(2 * SLICE_MAX + 1)]
    await shelf.client.hset(key, mapping={name: name for name in names})
    commands = list(fields_of(key, names))
    answers = await together(commands)
    assert [len(each) for each in answers] == [SLICE_MAX, SLICE_MAX, 1]
    assert [value.decode() for each in answers for value in each] == names
    assert list(fields_of(key, [])) == []


@on_redis()
async def test_a_key_of_another_kind_is_told(shelf: Shelf) -> None:
    """By the words that whoever asks takes for a key that another program wrote."""
    await shelf.client.set(shelf.key("hash"), "text")
    with pytest.raises(ResponseError, match=f"WRONGTYPE .*{re.escape(shelf.key('hash'))}"):
        await Together(shelf.client)([("HGETALL", shelf.key("hash"))])

"""Marks of writes: what a reader that asks later is told, or that it cannot be told."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode

from streams.marks import MARK_BYTES_MAX, Change, amounts_of, joined, pack, split, told_since
from streams.scopes import NO_NAMES, pair_value

LATE = [
    Change(["10s:0", "1m:0"], "live", {"L1": {"items": 1}, "L2": {"items": -1, "max.viewers": 9}}),
    Change(["1m:0"], "due"),
    Change(["1h:0"]),
]
texts = st.text(max_size=5)


@example("live,product", "items", "0")
@given(st.sampled_from(["live", "live,product", "all", "room:L1"]), st.sampled_from(["items", "a:b"]), texts)
def test_a_cell_comes_back_from_its_parts(kind: str, measure: str, value: str) -> None:
    """Whatever a value holds, be it the signs that part them."""
    assert joined(*split(kind, f"{measure}|{value}")) == f"{measure}|{value}"


@given(texts, texts)
def test_a_product_of_a_live_goes_with_its_live(live: str, product: str) -> None:
    """Any two ids are kept apart; who asks for a live's products names the live."""
    cell = f"items|{pair_value(live, product)}"
    assert split("live,product", cell) == (live, f"items|{product}")
    assert joined(live, f"items|{product}") == cell


@pytest.mark.parametrize("value", [*sorted(NO_NAMES), "carts", ""])
def test_what_has_no_name_stands_for_itself(value: str) -> None:
    """Where a pair is expected, too."""
    assert split("live,product", f"capped|{value}") == (value, "capped")


def test_amounts_are_told_by_value() -> None:
    """Each value with all its cells."""
    cells = {"items|L1": 1, "max.viewers|a|b": 3, "orders|L1": 2}
    assert amounts_of("live", cells) == {"L1": {"items": 1, "orders": 2}, "a|b": {"max.viewers": 3}}


def test_a_large_mark_names_its_panes_only() -> None:
    """Each of them stands for all that is in it."""
    large = [*LATE, Change(["1d:0"], "all", {"": dict.fromkeys(map(str, range(MARK_BYTES_MAX)), 1)})]
    assert told_since(0, [b"1 " + pack(LATE)], 1) == [LATE]
    assert decode(pack(large)) == [[["10s:0", "1m:0", "1h:0", "1d:0"], None, None]]


def test_a_mark_of_more_than_64_bits_names_its_panes_only() -> None:
    """What is added can be more than what comes out."""
    assert decode(pack([Change(["1m:0"], "all", {"": {"items": 2**64}})])) == [[["1m:0"], None, None]]


def test_marks_tell_every_write_between_two_numbers() -> None:
    """The last one first, as they are kept; of no write nothing."""
    entries = [b"7 " + pack([]), b"6 " + pack(LATE)]
    assert told_since(5, entries, 7) == [[], LATE]
    assert told_since(7, [], 7) == []
    assert told_since(9, [], 7) == []


def test_a_mark_is_unpacked_once_for_readings_that_overlap() -> None:
    """Each of them is told of it anew; what it tells is large."""
    [first], [again] = (told_since(0, [b"1 " + bytes(pack(LATE))], 1) or [] for _ in range(2))
    assert first == LATE
    assert first is again


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [b"7 \x90"],
        [b"7 \x90", b"6 \x90", b"5 \x90"],
        [b"7 \x90", b"5 \x90"],
        [b"6 \x90", b"7 \x90"],
        [b"7 \x90", b"6 "],
        [b"7 \x90", b"6"],
        [b"7 \x90", b"6 " + encode({"10s:0": {"live": ["L1"]}})],
    ],
    ids=["lost", "one lost", "one more", "an older worker's", "disorder", "empty", "no mark", "older marks"],
)
def test_a_missing_mark_could_have_told_anything(entries: list[bytes]) -> None:
    """Too many writes since, a worker that leaves none, or what somebody else wrote: nothing is known."""
    assert told_since(5, entries, 7) is None

"""Marks of writes: what a reader that asks later is told, or that it cannot be told."""

from __future__ import annotations

import pytest
from msgspec.msgpack import decode, encode

from streams.marks import (
    CELLS_TOLD_MAX,
    MARK_BYTES_MAX,
    Place,
    are_touched,
    pack,
    told_since,
    values_of,
)
from streams.scopes import NO_NAMES, pair_value

LATE: dict[str, dict[str, list[str] | None] | None] = {
    "10s:0": {"live": ["L1", "L2"], "all": [""]},
    "1m:0": None,
}


def test_a_cell_belongs_to_the_value_behind_its_measure() -> None:
    """A value may hold the sign that parts them; each is named once, and products go with their live."""
    assert values_of("live", {"items|L1": 1, "orders|L1": 2}, {}, {"max.viewers|a|b": 3}) == ["L1", "a|b"]
    pairs = [f"items|{each}" for each in (pair_value("L1", "p1"), pair_value("L1", "p2"), *NO_NAMES)]
    assert values_of("live,product", [*pairs, "capped|carts"]) == sorted(["L1", "carts", *NO_NAMES])


def test_of_most_kinds_no_value_is_told() -> None:
    """Whoever reads them reads all of theirs."""
    assert values_of("platform", ["items|tiktok"]) is None
    assert values_of("room:L1", ["items|m0"]) is None


@pytest.mark.parametrize(
    ("kind", "cells", "value"),
    [
        ("live", ["items|L1", "orders|L1"], "L1"),
        ("live", ["items|L1", "items|L2"], None),
        ("live", [], None),
        ("live,product", [f"items|{pair_value('L1', f'p{number}')}" for number in range(500)], "L1"),
        ("platform", ["items|tiktok"], None),
    ],
)
def test_what_is_asked_for_lies_in_one_place_if_it_has_one_value(
    kind: str, cells: list[str], value: str | None
) -> None:
    """However many cells these are; all cells, or those of many values, may change with any value."""
    assert Place.of(kind, cells) == Place(kind, value)


def test_many_cells_are_not_told_one_by_one() -> None:
    """Of a hash of which so many change any value may have changed."""
    cells = {f"items|L{number}": 1 for number in range(CELLS_TOLD_MAX)}
    assert len(values_of("live", cells) or ()) == CELLS_TOLD_MAX
    assert values_of("live", cells, {"items|more": 1}) is None


def test_a_large_mark_names_its_panes_only() -> None:
    """Each of them stands for all that is in it."""
    large = LATE | {"1h:0": dict.fromkeys(map(str, range(MARK_BYTES_MAX)))}
    assert decode(pack(LATE)) == LATE
    assert decode(pack(large)) == {"10s:0": None, "1m:0": None, "1h:0": None}


def test_marks_tell_every_write_between_two_numbers() -> None:
    """The last one first, as they are kept; of no write nothing."""
    entries = [b"7 " + encode({}), b"6 " + pack(LATE)]
    assert told_since(5, entries, 7) == [{}, LATE]
    assert told_since(7, [], 7) == []
    assert told_since(9, [], 7) == []


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [b"7 \x80"],
        [b"7 \x80", b"6 \x80", b"5 \x80"],
        [b"7 \x80", b"5 \x80"],
        [b"6 \x80", b"7 \x80"],
        [b"7 \x80", b"6 "],
        [b"7 \x80", b"6"],
        [b"7 \x80", b"6 \x81\xa1a\x01"],
    ],
    ids=["lost", "one lost", "one more", "an older worker's", "disorder", "empty", "no mark", "no changes"],
)
def test_a_missing_mark_could_have_told_anything(entries: list[bytes]) -> None:
    """Too many writes since, a worker that leaves none, or what somebody else wrote: nothing is known."""
    assert told_since(5, entries, 7) is None


@pytest.mark.parametrize(
    ("pane", "place", "touched"),
    [
        ("10s:0", ("live", "L1"), True),
        ("10s:0", ("live", "L3"), False),
        ("10s:0", ("live", None), True),
        ("10s:0", ("creator", "L1"), False),
        ("1m:0", ("creator", "L1"), True),
        ("1h:0", ("live", "L1"), False),
    ],
)
def test_a_place_is_touched_with_its_value_its_kind_or_its_pane(
    pane: str, place: tuple[str, str | None], touched: bool
) -> None:
    """A place of many values with any of them."""
    assert are_touched({pane: [Place(*place)]}, [{}, LATE]) is touched

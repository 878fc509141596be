"""Cells asked for: where they stand in what was read, and what a write adds to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.marks import amounts_of
from streams.scopes import pair_value
from streams.subjects import Found, Subject, pack

PRODUCTS = [pair_value("L1", f"p{number}") for number in range(3)]


@pytest.mark.parametrize(
    ("kind", "fields", "value"),
    [
        ("live", ["items|L1", "orders|L1"], "L1"),
        ("live", ["items|L1", "items|L2"], None),
        ("live", [], None),
        ("live,product", [f"items|{each}" for each in PRODUCTS], "L1"),
        ("platform", ["items|tiktok"], "tiktok"),
    ],
)
def test_a_subject_of_one_value_is_found_by_it(kind: str, fields: list[str], value: str | None) -> None:
    """However many cells these are; all cells, or those of many values, may change with any value."""
    assert Subject(kind, tuple(fields)).value == value


@pytest.mark.parametrize(
    "fields",
    [
        ("items|L1", "max.viewers|L1"),
        ("items|L1", "items|L2", "max.viewers|L1"),
        (),
    ],
    ids=["of one value", "of many values", "every cell"],
)
def test_what_a_write_adds_is_what_redis_holds_then(fields: tuple[str, ...]) -> None:
    """Sums grow, highest values rise or stay, new cells appear; what was not asked for stays outside."""
    held = {"items|L1": 5, "max.viewers|L1": 7}
    told = {"items|L1": -2, "items|L2": 1, "max.viewers|L1": 3, "orders|L1": 9}
    subject = Subject("live", fields)
    found: Found = {fields.index(cell): held[cell] for cell in held} if fields else dict(held)
    part = subject.columns.part(amounts_of("live", told))
    assert part is not None
    subject.columns.add(found, part)
    then = {"items|L1": 3, "items|L2": 1, "max.viewers|L1": 7, "orders|L1": 9}
    assert subject.named(found) == {cell: n for cell, n in then.items() if not fields or cell in fields}


def test_of_other_values_nothing_is_added() -> None:
    """Nor looked at, where one value is asked for."""
    subject = Subject("live,product", (f"items|{PRODUCTS[0]}",))
    other = f"items|{pair_value('L2', 'p0')}"
    assert subject.columns.part(amounts_of("live,product", {other: 1})) is None
    found: Found = {}
    part = subject.columns.part(amounts_of("live,product", {f"items|{each}": 4 for each in PRODUCTS}))
    assert part is not None
    subject.columns.add(found, part)
    assert subject.named(found) == {f"items|{PRODUCTS[0]}": 4}


def test_a_cell_asked_for_twice_has_one_place() -> None:
    """Or one of the two would not follow the writes."""
    assert Subject("live", ("items|L1", "orders|L1", "items|L1")).fields == ("items|L1", "orders|L1")


def test_equal_questions_have_one_digest() -> None:
    """And only they."""
    fields = ("items|L1", "orders|L1")
    asked = [("live", fields), ("live", fields[::-1]), ("creator", fields), ("live", fields[:1])]
    assert len({Subject(*each).digest for each in [*asked, asked[0]]}) == len(asked)


@given(st.dictionaries(st.integers(0, 9), st.integers(-(2**70), 2**70)))
def test_what_is_packed_comes_back(found: Found) -> None:
    """Sums over partition numbers may be larger than what one of them can hold."""
    columns = Subject("live", tuple(f"items|{number}" for number in range(10))).columns
    packed = pack(found)
    assert columns.unpack(packed) == found
    columns.unpack(packed)[0] = 1
    assert columns.unpack(packed) == found

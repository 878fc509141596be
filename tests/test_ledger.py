"""Records that are not sums: what is read, what is saved, and when copies may be forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ledger import Identity, Ledger, Order, OrderLine, Taken, day_of, trim

DAY_MS = 86_400_000


def _ledger() -> Ledger[Identity]:
    return Ledger("identities", Identity)


def test_a_record_must_be_loaded_before_it_is_asked_for() -> None:
    """Not loaded and absent are different things: the first is an error of the program."""
    ledger = _ledger()
    assert ledger.missing(["a", "b", "a"]) == ["a", "b"]
    with pytest.raises(KeyError):
        ledger.get("a")
    ledger.load({"a": None})
    assert ledger.get("a") is None
    assert ledger.missing(["a", "b"]) == ["b"]


def test_what_is_saved_can_be_loaded() -> None:
    """A record survives its way through Redis whole, with every kind of field."""
    noon = 1_767_614_400_000
    line = OrderLine("p", "s", None, "L:1|", "b", None, "ä" * 64, 3, 2**53 - 1, 9, 2**53 - 1, 10_000, 0)
    taken = [Taken(noon + 1, [1])]
    order = Order(20_458, 2, 2**64 - 1, noon, "USD", False, (None, "x"), [line], "u", 5, taken)
    ledger = Ledger("orders", Order)
    ledger.put("o1", order)
    encoded = ledger.take().records["o1"]
    assert encoded.startswith(b"20458:")
    after = Ledger("orders", Order)
    after.load({"o1": encoded})
    assert after.get("o1") == order


def test_a_write_takes_everything_once() -> None:
    """Unsaved records, filed under their day, go with one write; then nothing is dirty."""
    ledger = _ledger()
    for record_id in "ab":
        ledger.put(record_id, Identity(7, 1, 0))
    ledger.put("a", Identity(7, 2, 0))
    assert ledger.dirty == 2
    write = ledger.take()
    assert (write.name, set(write.records), write.filed) == ("identities", {"a", "b"}, {7: ["a", "b"]})
    assert ledger.dirty == 0
    after = ledger.take()
    assert (after.records, after.filed) == ({}, {})
    assert ledger.get("a") == Identity(7, 2, 0)


def test_a_record_is_filed_again_only_under_another_day() -> None:
    """A day's list names an id once, however often its record changes; a new day names it anew."""
    ledger = _ledger()
    ledger.load({"a": b"7:" + b"\x93\x07\x01\x00"})
    ledger.put("a", Identity(7, 2, 0))
    assert ledger.take().filed == {}
    ledger.put("a", Identity(9, 3, 0))
    write = ledger.take()
    assert write.filed == {9: ["a"]}
    assert write.records["a"].startswith(b"9:")


def test_a_copy_of_what_is_deleted_is_filed_again() -> None:
    """Once a write, from the one on that deletes its day; not a later day's, nor one kept for good."""
    ledger = _ledger()
    for record_id, day in (("a", 7), ("b", 8), ("c", -1)):
        ledger.put(record_id, Identity(day, 1, 0))
    ledger.take()
    ledger.delete_day(7)
    # A replay begins with older days: what was deleted once stays deleted.
    ledger.delete_day(3)
    for record_id, day in (("a", 7), ("a", 7), ("b", 8), ("c", -1)):
        ledger.put(record_id, Identity(day, 2, 0))
    assert ledger.take().filed == {7: ["a"]}
    ledger.put("a", Identity(7, 3, 0))
    assert ledger.take().filed == {7: ["a"]}


def test_a_record_without_a_day_is_kept_for_good() -> None:
    """Below 0 it is filed nowhere, so no day takes it along; it can be filed later."""
    ledger = _ledger()
    ledger.put("a", Identity(-1, 1, 0))
    write = ledger.take()
    assert write.filed == {}
    ledger.load({"b": write.records["a"]})
    assert ledger.get("b") == Identity(-1, 1, 0)
    ledger.put("b", Identity(-1, 2, 0))
    ledger.put("a", Identity(3, 2, 0))
    assert ledger.take().filed == {3: ["a"]}


def test_copies_in_use_outlive_the_others() -> None:
    """A copy is forgotten when it was not asked for while half of the copies allowed came in."""
    ledger = _ledger()
    ledger.load(dict.fromkeys("abcd"))
    trim([ledger], 8)
    assert (ledger.young, ledger.missing("abcd")) == (4, [])
    trim([ledger], 6)
    assert (ledger.young, ledger.missing("a")) == (0, [])
    assert ledger.get("b") is None
    ledger.load(dict.fromkeys("ef"))
    trim([ledger], 6)
    assert ledger.missing("abcdef") == ["c", "d"]


def test_ledgers_are_bounded_together() -> None:
    """What counts is how many copies there are, not of what; those of a ledger that nobody asks go too."""
    busy, idle = _ledger(), _ledger()
    idle.load(dict.fromkeys("ab"))
    busy.load(dict.fromkeys("cd"))
    trim([busy, idle], 8)
    assert (busy.young, idle.young) == (2, 2)
    busy.load(dict.fromkeys("e"))
    trim([busy, idle], 8)
    assert (busy.young, idle.young) == (0, 0)
    busy.load(dict.fromkeys("fghij"))
    trim([busy, idle], 8)
    assert idle.missing("ab") == ["a", "b"]


def test_a_copy_may_be_looked_at_without_keeping_it() -> None:
    """What is not loaded looks like what does not exist; an old copy stays old."""
    ledger = _ledger()
    ledger.put("a", Identity(7, 1, 0))
    ledger.take()
    ledger.take()
    for other in "bc":
        assert ledger.peek("a") == Identity(7, 1, 0)
        ledger.load({other: None})
        ledger.age()
    assert ledger.peek("a") is None
    assert ledger.missing("a") == ["a"]


def test_a_record_is_not_forgotten_before_redis_holds_it() -> None:
    """Unsaved, or on its way with a write that is not answered yet: it would be read back old."""
    ledger = _ledger()
    for record_id in "abc":
        ledger.put(record_id, Identity(7, 1, 0))
    ledger.take()
    ledger.put("a", Identity(7, 2, 0))
    for other in "uvwxyz":
        ledger.load({other: None})
        ledger.age()
    assert ledger.missing("abc") == []
    assert ledger.get("a") == Identity(7, 2, 0)
    ledger.take()
    for other in "uvw":
        ledger.load({other: None})
        ledger.age()
    assert ledger.missing("abc") == ["b", "c"]
    assert ledger.get("a") == Identity(7, 2, 0)
    ledger.take()
    for other in "xyz":
        ledger.load({other: None})
        ledger.age()
    assert ledger.missing("abc") == ["a", "b", "c"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "get", "take", "trim"]), st.sampled_from("abcde")), max_size=60
    )
)
def test_what_is_got_is_what_was_put_last(actions: list[tuple[str, str]]) -> None:
    """However copies come and go, a record read back is never an older one."""
    ledger = _ledger()
    stored: dict[str, bytes] = {}
    on_the_way: dict[str, bytes] = {}
    newest: dict[str, int] = {}
    for count, (action, record_id) in enumerate(actions):
        # A write is answered just before the next one begins, at the latest.
        if action == "take":
            stored |= on_the_way
            on_the_way = ledger.take().records
        elif action == "trim":
            trim([ledger], 2)
        else:
            ledger.load({name: stored.get(name) for name in ledger.missing([record_id])})
            found = ledger.get(record_id)
            assert (found and found.accepted_minute) == newest.get(record_id)
            if action == "put":
                ledger.put(record_id, Identity(7, count, 0))
                newest[record_id] = count


def test_days_are_utc() -> None:
    """A day begins at midnight UTC."""
    assert [day_of(DAY_MS - 1), day_of(DAY_MS)] == [0, 1]

"""Records that are not sums: what is read, what is saved, and when copies may be forgotten."""

from __future__ import annotations

import pytest

from streams.ledger import Identity, Ledger, Order, OrderLine, day_of

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
    line = OrderLine("p", None, "L:1|", "b", None, "ä" * 64, 2**53 - 1, 10_000)
    order = Order(20_458, 29_459_520, 2**64 - 1, 1_767_614_400_000, "USD", False, (None, "x"), [line])
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


def test_copies_are_forgotten_only_when_saved_and_many() -> None:
    """The limit holds for copies; a record that Redis may not hold yet is never read back old."""
    ledger = _ledger()
    for record_id in "abc":
        ledger.put(record_id, Identity(7, 1, 0))
    ledger.trim(2)
    assert ledger.missing("abc") == []
    ledger.take()
    ledger.load({"d": None})
    ledger.put("a", Identity(7, 2, 0))
    ledger.trim(2)
    assert ledger.missing("abcd") == ["d"]
    assert ledger.get("a") == Identity(7, 2, 0)
    ledger.take()
    ledger.trim(3)
    assert ledger.missing("abc") == []
    ledger.trim(2)
    assert ledger.missing("abc") == ["b", "c"]


def test_days_are_utc() -> None:
    """A day begins at midnight UTC."""
    assert [day_of(DAY_MS - 1), day_of(DAY_MS)] == [0, 1]

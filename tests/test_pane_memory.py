"""What is remembered of panes: with what writes added since, as long as numbers of writes mean something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from streams import pane_memory
from streams.marks import Change, Standing
from streams.pane_memory import ADDED_MAX, PARTS, TURN_S, WRITES_HELD, Asked, PaneMemory
from streams.subjects import Found, Subject

PANE, OTHER = "1m:0", "1m:60000"
SUBJECT = Subject("live", ("items|L1", "orders|L1"))
MANY = Subject("live", ("items|L1", "items|L2"))


def _standing(seq: int, takeovers: int = 1) -> Standing:
    return Standing.of({"seq": str(seq), "owner": "w", "takeovers": str(takeovers), "load": "r"})


def _hear(memory: PaneMemory, asked: Asked, seq: int, *writes: Sequence[Change], takeovers: int = 1) -> bool:
    """Told that a partition number stands at `seq`, and what these writes did, the last one first."""
    return memory.learn(asked, 0, _standing(seq, takeovers), writes)


def _add(n: int = 1, *panes: str, value: str = "L1", kind: str = "live") -> list[Change]:
    """A write that adds to `items` of a value."""
    return [Change(list(panes or (PANE,)), kind, {value: {"items": n}})]


def _put(
    memory: PaneMemory, asked: Asked, seq: int, found: Found, pane: str = PANE, *, subject: Subject = SUBJECT
) -> None:
    """A reading that was told `seq` brings what it found."""
    missed = memory.missed(asked, [_standing(seq)])
    if missed is not None:
        memory.put(missed, pane, subject, found)


def _remembering(seq: int = 5) -> PaneMemory:
    """A memory of one partition number that was read once: of both panes."""
    memory = PaneMemory()
    _hear(memory, memory.ask(0.0), seq)
    asked = memory.ask(0.0)
    _hear(memory, asked, seq)
    for pane in (PANE, OTHER):
        _put(memory, asked, seq, {0: 10}, pane)
    return memory


def _items(memory: PaneMemory) -> list[int | None]:
    found = [memory.get(pane, SUBJECT) for pane in (PANE, OTHER)]
    return [None if each is None else each[0].get(0) for each in found]


@pytest.mark.parametrize(
    ("before", "after", "leads"),
    [
        ({"seq": "5"}, {"seq": "5"}, True),
        ({}, {"seq": "1"}, True),
        ({"seq": "5"}, {"seq": "4"}, False),
        ({"seq": "5"}, {}, False),
        *(
            ({"seq": "5", name: "a"}, {"seq": "9", name: "b"}, False)
            for name in ("owner", "takeovers", "load")
        ),
        ({"seq": "5", "load": "a"}, {"seq": "9"}, False),
    ],
)
def test_numbers_tell_it_all_within_one_load(
    before: Mapping[str, str], after: Mapping[str, str], leads: bool
) -> None:
    """They rise, and the same process has loaded the partition as often as before."""
    assert Standing.of(before).leads_to(Standing.of(after)) is leads


def test_what_writes_add_is_added() -> None:
    """To the panes and values that they name; cells that were absent appear."""
    memory = _remembering()
    asked = memory.ask(1.0)
    assert asked.since(0) == "5" and asked.since(1) == ""
    write = [*_add(2), *_add(5, value="L2"), *_add(7, kind="creator"), *_add(1, "10s:0")]
    assert _hear(memory, asked, 7, [Change([OTHER], "live", {"L1": {"orders": 3}})], write)
    assert memory.get(PANE, SUBJECT) == ({0: 12}, ())
    assert memory.get(OTHER, SUBJECT) == ({0: 10, 1: 3}, ())
    assert memory.ask(1.0).since(0) == "7"


def test_a_write_is_added_once() -> None:
    """Two readings may be told of it."""
    memory = _remembering()
    first, second = memory.ask(1.0), memory.ask(1.0)
    assert _hear(memory, first, 6, _add(1))
    assert _hear(memory, second, 8, _add(100), _add(10), _add(1))
    assert _items(memory) == [121, 10]
    # Who was asked first may end last, and has nothing new to tell.
    assert _hear(memory, first, 7, _add(10), _add(1))
    assert _items(memory) == [121, 10] and memory.ask(1.0).since(0) == "8"


def test_additions_are_gathered_up_to_a_bound() -> None:
    """However long nobody asks."""
    memory = _remembering()
    for seq in range(6, 6 + 3 * ADDED_MAX):
        _hear(memory, memory.ask(1.0), seq, _add(1))
        [entry] = memory._young[PANE]["live"]["L1"].values()
        assert len(entry.added) < ADDED_MAX
    assert _items(memory) == [10 + 3 * ADDED_MAX, 10]


def test_cells_of_many_values_change_with_each_of_them() -> None:
    """Other values have no place among them."""
    memory = _remembering()
    _put(memory, memory.ask(1.0), 5, {}, subject=MANY)
    for seq, value in enumerate(("L1", "L2", "L9"), start=6):
        _hear(memory, memory.ask(1.0), seq, _add(seq, value=value))
    assert memory.get(PANE, MANY) == ({0: 6, 1: 7}, ())


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (Change([PANE]), [None, 10]),
        (Change([PANE, OTHER]), [None, None]),
        (Change([PANE], "live"), [None, 10]),
        (Change([PANE], "creator"), [10, 10]),
        (Change(["10s:0"]), [10, 10]),
    ],
)
def test_what_is_not_told_is_forgotten(change: Change, kept: list[int | None]) -> None:
    """Of the pane the kind that changed, or all of it; and a reading that began before does not bring back
    what it was then."""
    memory = _remembering()
    late = memory.ask(1.0)
    assert _hear(memory, memory.ask(1.0), 6, [change])
    assert _items(memory) == kept
    _put(memory, late, 5, {0: 10})
    assert _items(memory) == kept


def test_what_a_reading_missed_is_added_to_what_it_found() -> None:
    """Two readings at once: the one that was told less ends last."""
    memory = _remembering()
    slow, quick = memory.ask(1.0), memory.ask(1.1)
    assert _hear(memory, quick, 8, _add(100, "1m:9"), _add(10, "1m:9"), _add(1, "1m:9"))
    assert _hear(memory, slow, 6, _add(1, "1m:9"))
    _put(memory, slow, 6, {0: 1}, "1m:9")
    assert memory.get("1m:9", SUBJECT) == ({0: 111}, ())


def test_a_reading_that_missed_too_much_remembers_nothing() -> None:
    """What the last writes did is held of so many of them."""
    for writes, kept in ((WRITES_HELD, True), (WRITES_HELD + 1, False)):
        memory = _remembering()
        slow = memory.ask(1.0)
        _hear(memory, memory.ask(1.0), 5 + writes, *(_add(1) for _ in range(writes)))
        _put(memory, slow, 5, {0: 0}, "1m:9")
        assert (memory.get("1m:9", SUBJECT) is not None) is kept


def test_other_subjects_tell_of_the_same_cells() -> None:
    """The places that none of them has are named; what is put together is remembered as a whole."""
    memory = _remembering()
    _hear(memory, memory.ask(1.0), 6, _add(2))
    wider = Subject("live", ("gmv|L1", "orders|L1", "items|L1", "views|L1"))
    assert memory.get(PANE, wider) == ({2: 12}, (0, 3))
    _put(memory, memory.ask(1.0), 6, {0: 7, 2: 12}, subject=wider)
    narrow = Subject("live", ("gmv|L1", "items|L1"))
    for seq, items in ((7, 13), (8, 14)):
        _hear(memory, memory.ask(1.0), seq, _add(1))
        assert memory.get(PANE, narrow) == ({0: 7, 1: items}, ())
    assert memory.get(PANE, Subject("live", ("views|L1", "gmv|L2"))) is None
    assert memory.get(PANE, Subject("live", ("gmv|L1", "gmv|L2"))) is None
    assert memory.get(PANE, Subject("creator", ("items|L1",))) is None
    assert memory.get(PANE, Subject("live", ())) is None


def test_who_cannot_be_told_what_changed_forgets_everything() -> None:
    """Marks are kept for half a minute: after a longer pause nothing is known of what was written."""
    memory = _remembering()
    assert not memory.learn(memory.ask(1.0), 0, _standing(900), None)
    assert _items(memory) == [None, None]
    assert memory.ask(1.0).since(0) == ""


@pytest.mark.parametrize(("seq", "takeovers"), [(4, 1), (5, 2), (9, 2)])
def test_after_a_rollback_or_a_take_over_nothing_is_remembered(seq: int, takeovers: int) -> None:
    """Redis lost writes, or another memory writes: the same numbers may stand for other changes."""
    memory = _remembering()
    asked, late = memory.ask(1.0), memory.ask(1.0)
    assert not _hear(memory, asked, seq, takeovers=takeovers)
    assert _items(memory) == [None, None]
    # A reading from before has an answer from before: true for itself, and no base for later ones.
    assert _hear(memory, late, 6, _add())
    _put(memory, late, 6, {0: 11})
    assert _items(memory) == [None, None]
    assert memory.ask(1.2).since(0) == ""


def test_who_knew_nothing_is_vouched_for_nothing() -> None:
    """The first reading, and one that began before it ended, hear of no changes: what one of them found may
    be older than what the other one knows."""
    memory = PaneMemory()
    first, second = memory.ask(0.0), memory.ask(0.0)
    assert not _hear(memory, first, 5)
    assert not _hear(memory, second, 4)
    for asked, seq in ((first, 5), (second, 4)):
        _put(memory, asked, seq, {0: 1})
    assert _items(memory) == [None, None]
    assert memory.ask(0.1).since(0) == "5"


def test_what_nobody_asks_for_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a turn or two; what is asked for stays, and follows the writes all the while."""
    monkeypatch.setattr(pane_memory, "PARTS", 10**18)  # Nothing of it is read again.
    memory = _remembering()
    for turn in range(1, 4):
        _hear(memory, memory.ask(turn * TURN_S), 5 + turn, _add(1, PANE, OTHER))
        assert memory.get(PANE, SUBJECT) == ({0: 10 + turn}, ())
    assert memory.get(OTHER, SUBJECT) is None


def test_everything_is_read_again_now_and_then() -> None:
    """Whatever is asked for all the time, within so many turns."""
    memory = _remembering()
    kept = []
    for turn in range(1, PARTS + 1):
        memory.ask(turn * TURN_S)
        kept.append(sum(found is not None for found in _items(memory)))
    assert kept == sorted(kept, reverse=True) and kept[-1] == 0
    # Not all at once: that would be a burst.
    assert len({(hash(f"1m:{minute}") % PARTS) for minute in range(200)}) == PARTS


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too many bytes a turn ends early: what is not asked for goes, what is asked for stays."""
    monkeypatch.setattr(pane_memory, "PARTS", 10**18)
    monkeypatch.setattr(pane_memory, "BYTES_MAX", 10 * pane_memory.ENTRY_BYTES)
    memory = _remembering()
    for number in range(100):
        asked = memory.ask(1.0)
        _hear(memory, asked, 5)
        _put(memory, asked, 5, {0: 1}, f"10s:{number}")
        assert memory.get(PANE, SUBJECT) == ({0: 10}, ())
    kept = [number for number in range(100) if memory.get(f"10s:{number}", SUBJECT) is not None]
    assert kept == list(range(kept[0], 100)) and len(kept) <= 20

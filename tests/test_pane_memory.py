"""What is remembered of panes: until a write changes them, or numbers of writes mean nothing any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from streams import pane_memory
from streams.marks import Place, Standing, Touched
from streams.pane_memory import HEARD_S, HOT_S, PARTS, TURN_S, Asked, PaneMemory, Subject

PANE, OTHER = "1m:0", "1m:60000"
SUBJECT = Subject(Place("live", "L1"), b"subject")


def _standing(seq: int, takeovers: int = 1) -> Standing:
    return Standing.of({"seq": str(seq), "owner": "w", "takeovers": str(takeovers), "load": "r"})


def _learn(memory: PaneMemory, asked: Asked, seq: int, *changed: str, takeovers: int = 1) -> bool:
    """Told of one write that changed all of these panes."""
    return _hear(memory, asked, seq, dict.fromkeys(changed), takeovers)


def _hear(memory: PaneMemory, asked: Asked, seq: int, touched: Touched, takeovers: int = 1) -> bool:
    return memory.learn(asked, 0, _standing(seq, takeovers), [touched], asked.at_s)


def _remembering(at_s: float = 0.0, seq: int = 5) -> PaneMemory:
    """A memory of one partition number that was read once: of both panes."""
    memory = PaneMemory()
    _learn(memory, memory.ask(at_s), seq)
    asked = memory.ask(at_s)
    _learn(memory, asked, seq)
    for pane in (PANE, OTHER):
        memory.put(asked, at_s, pane, SUBJECT, pane.encode())
    return memory


def _found(memory: PaneMemory) -> list[bytes | None]:
    return [memory.get(pane, SUBJECT) for pane in (PANE, OTHER)]


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


def test_a_pane_is_remembered_until_a_write_changes_it() -> None:
    """The others stay; what is not asked for by the same name is another subject."""
    memory = _remembering()
    assert _found(memory) == [PANE.encode(), OTHER.encode()]
    assert memory.get(PANE, SUBJECT._replace(digest=b"another")) is None
    asked = memory.ask(1.0)
    assert asked.since(0) == "5" and asked.since(1) == ""
    assert _learn(memory, asked, 6, PANE)
    assert _found(memory) == [None, OTHER.encode()]


def test_a_pane_that_just_changed_is_not_remembered() -> None:
    """It will change again; after a while of quiet it is."""
    memory = _remembering()
    _learn(memory, memory.ask(1.0), 6, PANE)
    for at_s, kept in ((1.0, None), (1.0 + HOT_S - 0.1, None), (1.0 + HOT_S + 0.1, b"new")):
        asked = memory.ask(at_s)
        _learn(memory, asked, 6)
        memory.put(asked, at_s, PANE, SUBJECT, b"new")
        assert _found(memory)[0] == kept


PLACES = [Place(*each) for each in (("live", "L1"), ("live", "L2"), ("live", None), ("all", ""))]


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        (None, []),
        ({}, [0, 1, 2, 3]),
        ({"live": None}, [3]),
        ({"live": ["L2"]}, [0, 3]),
        ({"live": ["L9"]}, [0, 1, 3]),
        ({"live": ["L1"], "all": [""]}, [1]),
        ({"room:L1": ["m0"]}, [0, 1, 2, 3]),
    ],
)
def test_what_a_write_left_alone_stays_remembered(
    kinds: Mapping[str, Sequence[str] | None] | None, kept: list[int]
) -> None:
    """Of the pane the kinds and values that are not named; what was read of many values with none of them.
    And what is named is hot: a reading that began before does not bring it back."""
    memory = PaneMemory()
    for at_s in (0.0, 0.0, 1.0):
        asked = memory.ask(at_s)
        _learn(memory, asked, 5)
    subjects = [Subject(place, b"all") for place in PLACES]
    for subject in subjects:
        memory.put(asked, 1.0, PANE, subject, b"old")
    assert all(memory.get(PANE, subject) for subject in subjects)
    _hear(memory, memory.ask(1.1), 6, {PANE: kinds})
    for _ in range(2):
        found = [memory.get(PANE, subject) is not None for subject in subjects]
        assert [at for at, is_kept in enumerate(found) if is_kept] == kept
        for subject in subjects:
            memory.put(asked, 1.2, PANE, subject, b"old")


def test_whoever_heard_nothing_for_a_moment_is_behind() -> None:
    """Of any partition number; who knows nothing has nothing to ask for."""
    memory = PaneMemory()
    assert not memory.is_behind(9.0)
    for p in range(2):
        memory.learn(memory.ask(9.0), p, _standing(5), None, 9.0)
    assert not memory.is_behind(9.0 + HEARD_S / 2)
    memory.learn(memory.ask(9.0 + HEARD_S), 0, _standing(6), [], 9.0)
    assert memory.is_behind(9.0 + 1.5 * HEARD_S)


def test_who_cannot_be_told_what_changed_forgets_everything() -> None:
    """Marks are kept for half a minute: after a longer pause nothing is known of what was written."""
    memory = _remembering()
    assert not memory.learn(memory.ask(1.0), 0, _standing(900), None, 1.0)
    assert _found(memory) == [None, None]
    assert memory.ask(1.0).since(0) == ""


def test_what_another_reading_heard_meanwhile_is_not_overwritten() -> None:
    """Two readings at once: the one that was asked first ends last, and has the older value of a pane."""
    memory = _remembering()
    slow, quick = memory.ask(1.0), memory.ask(1.1)
    assert _learn(memory, quick, 7, PANE)
    assert _learn(memory, slow, 6)
    memory.put(slow, 1.2, PANE, SUBJECT, b"old")
    assert _found(memory) == [None, OTHER.encode()]
    assert memory.ask(1.3).since(0) == "7"


def test_a_reading_that_took_long_remembers_nothing() -> None:
    """By then a change may have been heard of, and no longer be hot."""
    memory = PaneMemory()
    _learn(memory, memory.ask(1.0), 5)
    asked = memory.ask(1.0)
    _learn(memory, asked, 5)
    memory.put(asked, 1.0 + HOT_S, PANE, SUBJECT, b"old")
    assert _found(memory) == [None, None]


@pytest.mark.parametrize(("seq", "takeovers"), [(4, 1), (5, 2), (9, 2)])
def test_after_a_rollback_or_a_take_over_nothing_is_remembered(seq: int, takeovers: int) -> None:
    """Redis lost writes, or another memory writes: the same numbers may stand for other changes."""
    memory = _remembering()
    asked, late = memory.ask(1.0), memory.ask(1.0)
    assert not _learn(memory, asked, seq, takeovers=takeovers)
    assert _found(memory) == [None, None]
    # A reading from before has an answer from before: true for itself, and no base for later ones.
    assert _learn(memory, late, 6)
    memory.put(late, 1.1, PANE, SUBJECT, b"lost")
    assert _found(memory) == [None, None]
    assert memory.ask(1.2).since(0) == ""


def test_who_knew_nothing_is_vouched_for_nothing() -> None:
    """The first reading, and one that began before it ended, hear of no changes: what one of them found may
    be older than what the other one knows."""
    memory = PaneMemory()
    first, second = memory.ask(0.0), memory.ask(0.0)
    assert not _learn(memory, first, 5)
    assert not _learn(memory, second, 4)
    for asked in (first, second):
        memory.put(asked, 0.1, PANE, SUBJECT, b"old")
    assert _found(memory) == [None, None]
    assert memory.ask(0.1).since(0) == "5"


def test_what_nobody_asks_for_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a turn or two; what is asked for stays."""
    monkeypatch.setattr(pane_memory, "PARTS", 10**18)  # Nothing of it is read again.
    memory = _remembering()
    for turn in range(1, 4):
        memory.ask(turn * TURN_S)
        assert memory.get(PANE, SUBJECT) == PANE.encode()
    assert memory.get(OTHER, SUBJECT) is None


def test_everything_is_read_again_now_and_then() -> None:
    """Whatever is asked for all the time, within so many turns."""
    memory = _remembering()
    kept = []
    for turn in range(1, PARTS + 1):
        memory.ask(turn * TURN_S)
        kept.append(sum(found is not None for found in _found(memory)))
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
        _learn(memory, asked, 5)
        memory.put(asked, 1.0, f"10s:{number}", SUBJECT, b"x")
        assert memory.get(PANE, SUBJECT) == PANE.encode()
    kept = [number for number in range(100) if memory.get(f"10s:{number}", SUBJECT) is not None]
    assert kept == list(range(kept[0], 100)) and len(kept) <= 20

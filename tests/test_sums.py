"""Sums on their way to Redis: absolute or as deltas, taught by answers, rolled up, gone with their pane."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import memory_bounds
from streams import sums as module
from streams.kpi import FigureSet, Level, ScopeKind
from streams.sums import CellWrite, Sums, field_name
from streams.window import Pane, PaneSize

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
FINE = PaneSize("10s", 10 * SECOND, 5 * MINUTE)
COARSE = PaneSize("1m", MINUTE, HOUR)
FIGURES = FigureSet(
    name="two sizes",
    kinds=(ScopeKind("live", ("live_id",), Level.LINE),),
    sizes=frozenset({"10s", "1m"}),
    measures=frozenset(),
)
START = 1_767_614_400_000


class Stored:
    """What Redis holds: cells by (kind, pane), and the index of panes."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, Pane], dict[str, int]] = {}
        self.panes: set[Pane] = set()

    def save(self, sums: Sums, high_ms: int, answered: bool = True) -> list[CellWrite]:
        """One guarded write; `answered`: its answer arrives."""
        writes, expired = sums.take(high_ms)
        answers = []
        for write in writes:
            cells = self.cells.setdefault((write.kind, write.pane), {})
            assert not write.absolute.keys() & write.deltas.keys()
            cells.update(write.absolute)
            for name, amount in write.deltas.items():
                cells[name] = cells.get(name, 0) + amount
                answers.append(cells[name])
            for name, amount in write.highest.items():
                cells[name] = max(amount, cells.get(name, amount))
            self.panes.add(write.pane)
        for pane in expired:
            self.panes.discard(pane)
            self.cells = {key: cells for key, cells in self.cells.items() if key[1] != pane}
        if answered:
            sums.learn(writes, iter(answers))
        return writes

    def next_owner(self, figures: FigureSet = FIGURES) -> Sums:
        """Sums built on what is stored."""
        sums = Sums(figures, (FINE, COARSE))
        sums.load_stored(self.panes)
        return sums


@contextmanager
def _limit(where: ModuleType, **limits: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in limits.items():
            patch.setattr(where, name, limit)
        yield


def _add(sums: Sums, amount: int, time_ms: int = START, value: str = "L1") -> None:
    sums.add("live", time_ms, "items", value, amount)


def test_a_new_pane_is_written_absolute_from_the_start() -> None:
    """In a pane that Redis does not hold, every cell is known: nothing has to be asked."""
    stored = Stored()
    sums = stored.next_owner()
    _add(sums, 2)
    for write in stored.save(sums, START):
        assert (write.absolute, write.deltas) == ({"items|L1": 2}, {})
    _add(sums, 3)
    _add(sums, 1, value="L2")
    for write in stored.save(sums, START):
        assert (write.absolute, write.deltas) == ({"items|L1": 5, "items|L2": 1}, {})


def test_a_stored_pane_takes_deltas_until_answers_teach() -> None:
    """A new owner adds to what it has not read; the answer makes the cell known, and only that cell."""
    stored = Stored()
    first = stored.next_owner()
    _add(first, 2)
    stored.save(first, START)
    sums = stored.next_owner()
    _add(sums, 3)
    assert [write.deltas for write in stored.save(sums, START)] == [{"items|L1": 3}] * 2
    _add(sums, 4)
    _add(sums, 1, value="L2")
    for write in stored.save(sums, START):
        assert (write.absolute, write.deltas) == ({"items|L1": 9}, {"items|L2": 1})


def test_what_an_answer_taught_goes_on() -> None:
    """A value that Redis told is kept up by what is added after, write for write."""
    stored = Stored()
    _add(first := stored.next_owner(), 2)
    stored.save(first, START)
    sums = stored.next_owner()
    for amount in (3, 4, 5, 6):
        _add(sums, amount)
        stored.save(sums, START)
    assert set(map(str, stored.cells.values())) == {"{'items|L1': 20}"}


def test_a_lost_answer_leaves_deltas() -> None:
    """Where the answer is lost the value stays unknown, and the next write is a delta again."""
    stored = Stored()
    _add(first := stored.next_owner(), 2)
    stored.save(first, START)
    _add(sums := stored.next_owner(), 3)
    stored.save(sums, START, answered=False)
    _add(sums, 4)
    assert [write.deltas for write in stored.save(sums, START)] == [{"items|L1": 4}] * 2
    assert set(map(str, stored.cells.values())) == {"{'items|L1': 9}"}


def test_another_kind_in_a_pane_of_ones_own_is_complete() -> None:
    """A pane that this memory created holds nothing of anybody else, whatever the kind of scope."""
    stored = Stored()
    sums = stored.next_owner()
    _add(sums, 2)
    stored.save(sums, START)
    sums.add("brand", START, "items", "b", 1)
    assert all(not write.deltas for write in stored.save(sums, START))


def test_values_far_behind_are_forgotten() -> None:
    """So far behind the highest event time a pane's values leave the memory; its sums stay right."""
    stored = Stored()
    sums = stored.next_owner()
    _add(sums, 2)
    stored.save(sums, START)
    stored.save(sums, START + FINE.size_ms + module.KNOWN_BEHIND_MS)
    _add(sums, 1)
    assert all(write.absolute for write in stored.save(sums, START + FINE.size_ms + module.KNOWN_BEHIND_MS))
    high_ms = START + FINE.size_ms + module.KNOWN_BEHIND_MS + 1
    stored.save(sums, high_ms)
    _add(sums, 4)
    fine, coarse = stored.save(sums, high_ms)
    assert (fine.deltas, coarse.absolute) == ({"items|L1": 4}, {"items|L1": 7})
    assert stored.cells["live", Pane(FINE, START)] == {"items|L1": 7}


def test_the_memory_of_values_is_bounded() -> None:
    """Of too many known values the largest hashes are forgotten, and learned again by deltas; what few and
    busy cells hold stays known."""
    stored = Stored()
    sums = stored.next_owner()

    def book() -> list[dict[str, tuple[dict[str, int], dict[str, int]]]]:
        _add(sums, 1)
        sums.add("all", START, "items", "", 1)
        found: defaultdict[Pane, dict[str, tuple[dict[str, int], dict[str, int]]]] = defaultdict(dict)
        for write in stored.save(sums, START):
            found[write.pane][write.kind] = write.absolute, write.deltas
        return list(found.values())

    for number in range(2, 20):
        _add(sums, 1, value=f"L{number}")
    with _limit(memory_bounds, KNOWN_CELLS_MAX=30):
        book()
        assert book() == 2 * [{"live": ({}, {"items|L1": 1}), "all": ({"items|": 2}, {})}]
        assert book() == 2 * [{"live": ({"items|L1": 3}, {}), "all": ({"items|": 3}, {})}]


def test_panes_go_at_their_retention_a_few_at_a_time() -> None:
    """A pane goes once it ends before the highest event time less its retention; not all in one write."""
    stored = Stored()
    sums = stored.next_owner()
    for number in range(20):
        _add(sums, 1, START + number * FINE.size_ms)
    last_end = START + 20 * FINE.size_ms
    stored.save(sums, last_end)
    sizes = []
    with _limit(module, EXPIRED_PANES_MAX=8):
        for _ in range(4):
            stored.save(sums, last_end + FINE.retention_ms)
            sizes.append(sum(pane.size == FINE for pane in stored.panes))
    # The last one ends on the border, and so is kept.
    assert sizes == [12, 4, 1, 1]
    assert sum(pane.size == COARSE for pane in stored.panes) == 4


def test_stored_panes_are_looked_through_once_in_the_time_of_the_finest() -> None:
    """There are thousands of them, and a partition number may be written five times a second."""
    sums = Stored().next_owner()
    sums.load_stored(Pane(FINE, START + number * FINE.size_ms) for number in range(30))
    looked = 0

    def looked_at(size: PaneSize, start_ms: int, high_ms: int) -> bool:
        nonlocal looked
        looked += 1
        return is_written(size, start_ms, high_ms)

    is_written = PaneSize.is_written
    with patch.object(PaneSize, "is_written", looked_at):
        for high_ms in (START + 1, START + 2, START + FINE.size_ms):
            sums.take(high_ms)
        assert looked == 30
        sums.take(START + FINE.size_ms + 1)
        assert looked == 60


def test_sums_into_gone_panes_are_dropped_where_they_are_gone() -> None:
    """Behind the fine pane's retention only the coarse pane is written, and no fine one is made."""
    stored = Stored()
    sums = stored.next_owner()
    _add(sums, 5)
    stored.save(sums, START + 6 * MINUTE)
    assert stored.panes == {Pane(COARSE, START)}


def test_what_adds_up_to_nothing_is_not_written() -> None:
    """A booking taken back before it was saved leaves no trace."""
    stored = Stored()
    sums = stored.next_owner()
    _add(sums, 5)
    _add(sums, -5)
    assert stored.save(sums, START) == []
    assert stored.panes == set()


def test_dirty_counts_what_a_write_touches() -> None:
    """Every new cell counts once per pane size; a write empties it."""
    sums = Stored().next_owner()
    assert sums.dirty == 0
    _add(sums, 1)
    _add(sums, 1)
    _add(sums, 1, value="L2")
    assert sums.dirty == 4
    sums.take(START)
    assert sums.dirty == 0


def test_a_figure_set_may_keep_fewer_sizes() -> None:
    """The finest size kept decides where sums are collected."""
    only_minutes = FigureSet(name="m", kinds=(), sizes=frozenset({"1m"}), measures=frozenset())
    sums = Sums(only_minutes, (FINE, COARSE))
    sums.add("live", START + 59_999, "items", "", 1)
    (write,), _ = sums.take(START)
    assert write.pane == Pane(COARSE, START)


def test_a_highest_value_is_raised_and_never_added() -> None:
    """The highest of a pane counts, in each size, whoever wrote it and whatever is written later."""
    stored = Stored()
    sums = stored.next_owner()
    for seconds, viewers in ((0, 5), (1, 9), (2, 7), (10, 8)):
        sums.raise_to("live", START + seconds * SECOND, "max.viewers", "L1", viewers)
    assert sums.dirty == 4
    assert all(not write.absolute and not write.deltas for write in stored.save(sums, START))
    sums = stored.next_owner()
    sums.raise_to("live", START, "max.viewers", "L1", 6)
    _add(sums, 2)
    stored.save(sums, START)
    assert stored.cells == {
        ("live", Pane(FINE, START)): {"max.viewers|L1": 9, "items|L1": 2},
        ("live", Pane(FINE, START + 10 * SECOND)): {"max.viewers|L1": 8},
        ("live", Pane(COARSE, START)): {"max.viewers|L1": 9, "items|L1": 2},
    }


def test_a_kind_may_have_few_sizes() -> None:
    """So may all kinds that begin with its name and a colon."""
    few = ScopeKind("room", ("live_id",), Level.INTERNAL, frozenset({"1m"}))
    figures = FigureSet(name="f", kinds=(few,), sizes=frozenset({"10s", "1m"}), measures=frozenset())
    sums = Stored().next_owner(figures)
    sums.add("room:L:1", START + 59_999, "items", "p1", 1)
    sums.add("rooms", START, "items", "p1", 1)
    writes, _ = sums.take(START)
    assert [(write.kind, write.pane.size) for write in writes] == [
        ("room:L:1", COARSE),
        ("rooms", FINE),
        ("rooms", COARSE),
    ]


def test_what_belongs_to_the_longest_pane_stands_in_no_other() -> None:
    """It adds up there over writes and owners, beside what is rolled up; past retention it is dropped."""
    stored = Stored()
    sums = stored.next_owner()
    sums.add_to_longest("live", START + 59_999, "items", "L1", 2)
    _add(sums, 1)
    assert sums.dirty == 3
    stored.save(sums, START)
    sums = stored.next_owner()
    sums.add_to_longest("live", START, "items", "L1", 4)
    sums.add_to_longest("live", START, "orders", "L1", 0)
    sums.add_to_longest("live", 0, "items", "L1", 9)
    stored.save(sums, START)
    assert stored.cells == {
        ("live", Pane(FINE, START)): {"items|L1": 1},
        ("live", Pane(COARSE, START)): {"items|L1": 7},
    }


def test_a_pane_that_is_not_gone_yet_expires_again() -> None:
    """What Redis could not delete at once is deleted with the next write."""
    stored = Stored()
    sums = stored.next_owner()
    _add(sums, 1)
    stored.save(sums, START)
    high_ms = START + 2 * HOUR
    _, expired = sums.take(high_ms)
    assert set(expired) == {Pane(FINE, START), Pane(COARSE, START)}
    sums.expire_again(expired[:1])
    assert sums.take(high_ms)[1] == expired[:1]
    assert sums.take(high_ms)[1] == []


def test_field_names_keep_bars_in_values() -> None:
    """Only the first bar divides: a value may hold any."""
    assert field_name("items", "a|b").partition("|") == ("items", "|", "a|b")


additions = st.tuples(
    st.just("add"),
    st.integers(-3, 60).map(lambda n: n * 7 * SECOND),
    st.sampled_from(["", "a", "a|b"]),
    st.integers(-5, 5) | st.integers(-(2**70), 2**70),
)
steps = st.one_of(
    additions,
    st.tuples(st.sampled_from(["save", "save unanswered", "reload"])),
    st.tuples(st.just("rise"), st.sampled_from([SECOND, 20 * SECOND, 3 * MINUTE, 30 * MINUTE])),
)


@given(st.lists(steps, max_size=40), st.sampled_from([4, 1_000_000]))
def test_any_sequence_equals_a_plain_dict(sequence: list[tuple[object, ...]], known_max: int) -> None:
    """Adding, saving with and without answer, new owners, time moving on: stored = plain sums by pane."""
    plain: defaultdict[tuple[Pane, str], int] = defaultdict(int)
    stored, high_ms = Stored(), START
    sums = stored.next_owner()
    with _limit(memory_bounds, KNOWN_CELLS_MAX=known_max):
        for step in sequence:
            match step:
                case ("add", int(offset), str(value), int(amount)):
                    _add(sums, amount, START + offset, value)
                    for size in (FINE, COARSE):
                        plain[Pane(size, size.start_of(START + offset)), field_name("items", value)] += amount
                case ("rise", int(by)):
                    high_ms += by
                case (how,):
                    stored.save(sums, high_ms, answered=how != "save unanswered")
                    if how == "reload":
                        sums = stored.next_owner()
        stored.save(sums, high_ms)
    found = {
        (pane, name): amount
        for (_, pane), cells in stored.cells.items()
        for name, amount in cells.items()
        if amount
    }
    assert found == {
        key: amount
        for key, amount in plain.items()
        if amount and key[0].size.is_written(key[0].start_ms, high_ms)
    }
    assert {pane for _, pane in stored.cells} <= stored.panes

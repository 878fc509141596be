"""Tallies: order of the largest values, totals, and what is left for `other`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import ranking
from streams.marks import Change, Standing
from streams.ranking import VALUES_A_PANE, Ranking, Tally, remaining
from streams.window import Pane, pane_sizes


def _tally(cells: dict[str, int]) -> Tally:
    tally = Tally()
    for cell, amount in cells.items():
        tally.add_cell(cell, amount)
    return tally


def test_values_are_ordered_by_gmv_then_views_then_name() -> None:
    """The largest GMV goes first; without GMV views decide; a tie goes by name, so that it stays."""
    cells = {"gmv_paid:USD|b": 5, "gmv_paid:USD|a": 9, "events.view|b": 100}
    tally = _tally(cells | {"events.view|c": 7, "events.live_join|d": 8})
    assert tally.order(10) == ["a", "b", "d", "c"]
    assert tally.order(2) == ["a", "b"]
    assert _tally({"events.view|z": 1, "events.view|y": 1}).order(5) == ["y", "z"]


def test_what_is_nobodys_has_no_name() -> None:
    """What is above a cap, and what belongs to no live, is ordered like the rest and takes no place among
    the named."""
    tally = _tally({f"gmv_paid:USD|{of}": n for n, of in enumerate(["c", "b", "other", "a", "unattributed"])})
    assert tally.order(3) == ["unattributed", "a", "other"]
    assert tally.named(2) == ["a", "b"]


def test_the_currency_with_most_orders_goes_first() -> None:
    """Amounts of different currencies are never compared: yen do not outrank dollars by their number."""
    orders = {"orders:USD|a": 3, "orders:JPY|b": 1}
    tally = _tally(orders | {"gmv_paid:USD|a": 10, "gmv_paid:JPY|b": 999})
    assert tally.order(5) == ["a", "b"]


def test_the_most_tapped_go_by_taps_alone() -> None:
    """Taps of several panes are added; a tie goes by name, and what was never tapped is not there."""
    tally = _tally({"events.tag_tap|a": 1, "events.tag_tap|b": 5, "gmv_paid:USD|c": 99})
    tally.add(_tally({"events.tag_tap|a": 4, "events.tag_tap|d": 2}))
    assert tally.most_tapped(9) == ["a", "b", "d"]
    assert tally.most_tapped(1) == ["a"]


def test_among_equals_the_first_names_are_remembered() -> None:
    """Which values a pane keeps follows from its sums and names alone, not from the order of a walk."""
    names = [f"p{n:04}" for n in range(VALUES_A_PANE + 500)]
    amounts = {of: 9 if of >= "p1000" else 5 for of in names}
    for order in (names, names[::-1]):
        tally = _tally({f"events.tag_tap|{of}": amounts[of] for of in order})
        tally.cut()
        assert sorted(tally.taps) == [*names[:500], *names[1_000:]]


def test_highest_values_and_caps_have_no_total() -> None:
    """The rest of several lives has no peak of its own, and a met cap is no figure of a value."""
    tally = _tally({"max.viewers|a": 5, "capped|views": 7, "watch_ms|a": 2, "watch_ms|b": 3})
    assert tally.totals == {"watch_ms": 5}


def test_totals_are_over_all_values_even_those_that_are_cut() -> None:
    """Cutting forgets values, not sums."""
    tally = Tally()
    for number in range(VALUES_A_PANE + 10):
        tally.add_cell(f"gmv_paid:USD|v{number}", number)
    tally.cut()
    assert len(tally.gmv["USD"]) == VALUES_A_PANE
    assert "v0" not in tally.gmv["USD"]
    assert tally.totals["gmv_paid:USD"] == sum(range(VALUES_A_PANE + 10))


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 99)), max_size=5), max_size=5
    )
)
def test_tallies_add_up(panes: list[list[tuple[str, int]]]) -> None:
    """A tally of tallies is the tally of all their cells."""
    whole, added = Tally(), Tally()
    for cells in panes:
        part = Tally()
        for value, amount in cells:
            for tally in (part, whole):
                tally.add_cell(f"gmv_paid:USD|{value}", amount)
                tally.add_cell(f"events.live_join|{value}", amount)
        added.add(part)
    assert (added.totals, added.gmv, added.views) == (whole.totals, whole.gmv, whole.views)


def test_what_is_left_is_never_negative() -> None:
    """The named values may have been read a moment after the total."""
    assert remaining({"items": 5, "orders:USD": 2}, [{"items": 2}, {"items": 2, "orders:USD": 3}]) == {
        "items": 1,
        "orders:USD": 0,
    }


class _Store:
    """One partition number, whose panes hold the same cells; `happens` at each step of a walk."""

    partitions = 1

    def __init__(self, cells: Mapping[str, int] | None = None) -> None:
        self.cells = dict(cells or {})
        self.writes: list[list[Change]] = []
        self.happens: Callable[[], Awaitable[None]] | None = None

    async def changes(
        self, _p: int, since: Standing | None
    ) -> tuple[Standing, list[Sequence[Change]] | None]:
        """What was written."""
        seq = len(self.writes)
        return Standing(seq, ()), None if since is None else list(reversed(self.writes[since.seq :]))

    async def walk(self, _p: int, _kind: str, _pane: Pane) -> AsyncIterator[tuple[str, int]]:
        """All cells as they are at the beginning."""
        for cell in list(self.cells.items()):
            yield cell
        if self.happens is not None:
            happens, self.happens = self.happens, None
            await happens()


def test_panes_without_values_are_forgotten_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of asking is many panes; what is remembered of them has an end even where each is empty."""
    monkeypatch.setattr(ranking, "PANES_REMEMBERED", 6)
    size = pane_sizes(1, 1, 1, 1)[0]
    tallies = Ranking(_Store())  # type: ignore[arg-type]
    for asked in range(10):
        panes = [Pane(size, (asked + at) * size.size_ms) for at in range(5)]
        asyncio.run(tallies.tally("live", panes))
    starts = [int(pane.partition(":")[2]) for _, _, pane in tallies._known]
    assert [start_ms // size.size_ms for start_ms in starts] == list(range(8, 14))


@pytest.mark.parametrize("asks_again", [False, True])
@pytest.mark.parametrize("kind", ["live", None])
def test_what_changes_during_a_walk_is_walked_again(asks_again: bool, kind: str | None) -> None:
    """Also if another question hears of the change before the walk ends, and walks for itself."""
    pane = Pane(pane_sizes(1, 1, 1, 1)[0], 0)
    store = _Store({"items|L1": 1})
    tallies = Ranking(store)  # type: ignore[arg-type]

    async def items() -> int:
        return (await tallies.tally("live", [pane])).totals["items"]

    async def happens() -> None:
        store.cells["items|L1"] = 2
        store.writes.append([Change(["10s:0"], kind, None if kind is None else {"L1": {"items": 1}})])
        if asks_again:
            assert await items() == 2

    async def play() -> list[int]:
        store.happens = happens
        return [await items(), await items(), await items()]

    assert asyncio.run(play()) == [1, 2, 2]
    assert len(tallies._known) == 1 and not tallies._walking

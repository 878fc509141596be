"""What of the sums is deleted when: panes in slices, the oldest first; cells that go before their pane."""

from __future__ import annotations

import pytest

from streams import sums as module
from streams.kpi import FigureSet, Level, ScopeKind
from streams.sums import Sums
from streams.window import Pane, PaneSize
from tests.test_sums import COARSE, FIGURES, FINE, HOUR, START

HOURLY = FigureSet(
    name="hours",
    kinds=(
        ScopeKind("live", ("live_id",), Level.LINE),
        ScopeKind("due", (), Level.INTERNAL, frozenset({"1h"})),
    ),
    sizes=frozenset({"10s", "1h"}),
    measures=frozenset(),
)
HOURS = PaneSize("1h", HOUR, 1_000 * HOUR)


def _with_short_lived() -> Sums:
    return Sums(HOURLY, (FINE, HOURS), kept_ms={"due": 3 * HOUR, "unknown": 0})


def test_cells_may_go_before_their_pane_does() -> None:
    """Three hours past its end a pane has no such cells any more: deleted once, and never written again."""
    sums = _with_short_lived()
    for kind in ("live", "due"):
        sums.add(kind, START, "m", "v", 1)
    writes, _ = sums.take(START)
    pane = Pane(HOURS, START - START % HOUR)
    assert {(write.kind, write.pane) for write in writes if write.pane.size is HOURS} == {
        ("live", pane),
        ("due", pane),
    }
    gone_ms = pane.start_ms + 4 * HOUR
    assert sums.take_outlived(gone_ms - 1) == []
    assert sums.take_outlived(gone_ms) == [("due", pane)]
    assert sums.take_outlived(gone_ms + HOUR) == []
    for kind in ("live", "due"):
        sums.add(kind, START, "m", "v", 1)
    assert {write.kind for write in sums.take(gone_ms)[0]} == {"live"}


def test_after_a_restart_the_youngest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which were deleted is not known then: all are, in slices, beginning with those that may be there."""
    monkeypatch.setattr(module, "EXPIRED_PANES_MAX", 2)
    sums = _with_short_lived()
    sums.load_stored(Pane(HOURS, START + hour * HOUR) for hour in range(3))
    found = [[key[1].start_ms - START for key in sums.take_outlived(START + 99 * HOUR)] for _ in range(3)]
    assert found == [[2 * HOUR, HOUR], [0], []]


def test_the_oldest_panes_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more panes than one write deletes: the same in every process, whatever their order in a set."""
    monkeypatch.setattr(module, "EXPIRED_PANES_MAX", 3)
    sums = Sums(FIGURES, (FINE, COARSE))
    panes = [Pane(size, START + hour * HOUR) for hour in range(4) for size in (FINE, COARSE)]
    sums.load_stored(reversed(panes))
    high_ms = START + 1_000 * HOUR
    assert [sums.take(high_ms)[1] for _ in range(4)] == [panes[:3], panes[3:6], panes[6:], []]


def test_nothing_is_short_lived_without_its_kind() -> None:
    """A figure set that does not keep the kind looks for nothing."""
    sums = Sums(FIGURES, (FINE, COARSE), kept_ms={"due": 0})
    sums.load_stored([Pane(COARSE, START)])
    assert sums.take_outlived(START + HOUR) == []

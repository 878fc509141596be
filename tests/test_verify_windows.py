"""verify.windows: windows and the panes that make them up, as the read service has them, too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.window import WindowError, compose, named_range, pane_sizes
from tests.scenario_kit import DAY, HOUR, MINUTE, NOON, SECOND
from verify.lately import Lately
from verify.rules import Rules
from verify.windows import WINDOW_MS, day_text, named, pieces, round_up

RULES = Rules()
SIZES = pane_sizes(
    RULES.retention_10s_ms, RULES.retention_1m_ms, RULES.retention_1h_ms, RULES.retention_1d_ms
)


def test_an_hour_and_a_bit() -> None:
    """The fewest panes: seconds up to the minute, minutes up to the hour, the hour as one."""
    found = pieces(NOON - 70 * SECOND, NOON + HOUR + 10 * SECOND, NOON, RULES)
    assert found == [("10s", NOON - 70_000), ("1m", NOON - MINUTE), ("1h", NOON), ("10s", NOON + HOUR)]
    assert pieces(NOON - 800 * DAY - SECOND, NOON, NOON, RULES) is None
    assert day_text(NOON) == "2026-01-05"


@given(
    window=st.sampled_from(sorted(WINDOW_MS)),
    clock=st.integers(NOON, NOON + DAY),
    ahead=st.sampled_from([-DAY, -MINUTE, 0, 5 * MINUTE, HOUR, 3 * HOUR, 2 * DAY]),
)
def test_windows_are_those_of_the_read_service(window: str, clock: int, ahead: int) -> None:
    """Whatever the clock, and wherever the newest event lies: the same range of the same panes."""
    from_ms, to_ms = named(window, clock)
    assert (from_ms, to_ms) == named_range(window, clock)
    found = pieces(from_ms, to_ms, clock + ahead, RULES)
    try:
        panes = compose(from_ms, to_ms, SIZES, clock + ahead)
    except WindowError:
        return  # A 400: there is no answer to compare.
    assert found == [(pane.size.name, pane.start_ms) for pane in panes]


@given(
    window=st.sampled_from(sorted(WINDOW_MS)),
    clock=st.integers(NOON, NOON + DAY),
    ahead=st.integers(-DAY, 5 * MINUTE),
)
def test_what_windows_are_made_of_is_kept(window: str, clock: int, ahead: int) -> None:
    """Panes of a window, and of the whole hours that a day touches, whatever hour it is."""
    from_ms, to_ms = named(window, clock)
    if window == "24h":
        from_ms, to_ms = from_ms // HOUR * HOUR, round_up(to_ms, HOUR)
    for pane in pieces(from_ms, to_ms, clock + ahead, RULES) or ():
        lately = Lately(clock + ahead)
        lately.add(("channel", *pane), {"events.share|chat": 2, "capped|engagement": 1})
        assert lately.values("channel", [pane]) == {"chat": {"events.share": 2}}
        assert lately.sums("channel", "chat", [pane]) == {"events.share": 2}


@pytest.mark.parametrize("window", ["1m", "5m"])
def test_short_windows_end_on_ten_seconds(window: str) -> None:
    """A clock on the border stays there; a millisecond later the next one is meant."""
    assert named(window, NOON)[1] == NOON
    assert named(window, NOON + 1)[1] == NOON + 10 * SECOND

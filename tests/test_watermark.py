"""The published watermark: follows events, and the clock only where nothing is waiting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.progress import NEVER_MS
from streams.watermark import DISORDER_MS, QUIET_AFTER_MS, Quiet, watermark_ms

NOON_MS = 1_767_614_400_000
times = st.integers(NOON_MS - 100_000, NOON_MS + 100_000)


def test_quiet_needs_thirty_seconds_without_lag() -> None:
    """Lag, or lag that is not known, starts the wait anew."""
    quiet = Quiet()
    for lag in (None, 3):
        quiet.observe(0, NOON_MS)
        assert not quiet.is_long(NOON_MS + QUIET_AFTER_MS - 1)
        quiet.observe(0, NOON_MS + 1_000)
        assert quiet.is_long(NOON_MS + QUIET_AFTER_MS)
        quiet.observe(lag, NOON_MS + QUIET_AFTER_MS)
        assert not quiet.is_long(NOON_MS + 10 * QUIET_AFTER_MS)


def test_nothing_known_is_nothing_published() -> None:
    """Without an event and without quiet there is no watermark."""
    assert watermark_ms(NEVER_MS, NEVER_MS, False, NOON_MS) == NEVER_MS


def test_it_follows_events_ten_seconds_behind() -> None:
    """Events may come ten seconds out of order."""
    assert watermark_ms(NEVER_MS, NOON_MS, False, NOON_MS) == NOON_MS - DISORDER_MS


def test_a_quiet_topic_follows_the_clock() -> None:
    """Where everything has been read for long, time passing means nothing came; also before any event."""
    assert watermark_ms(NEVER_MS, NEVER_MS, True, NOON_MS) == NOON_MS - DISORDER_MS
    assert watermark_ms(NOON_MS - 60_000, NOON_MS - 50_000, True, NOON_MS) == NOON_MS - DISORDER_MS
    assert watermark_ms(NOON_MS - 60_000, NOON_MS - 50_000, False, NOON_MS) == NOON_MS - 60_000


def test_an_event_ahead_does_not_lead_beyond_now() -> None:
    """An event five minutes ahead of the clock says nothing about these five minutes."""
    assert watermark_ms(NEVER_MS, NOON_MS + 300_000, False, NOON_MS) == NOON_MS


@given(times, times, st.booleans(), times)
def test_never_beyond_now_and_never_back_while_the_clock_runs(
    last_ms: int, high_ms: int, is_quiet: bool, now_ms: int
) -> None:
    """It stays below the clock, and does not fall below what was published at an earlier clock."""
    following = watermark_ms(last_ms, high_ms, is_quiet, now_ms)
    assert following <= now_ms
    assert following >= min(last_ms, now_ms)

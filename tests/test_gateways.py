"""Windows of a gateway's attempts: pure arithmetic."""

from __future__ import annotations

from streams.cohorts import RUNGS_MIN, Minutes, Tally
from streams.gateways import PAST_ATTEMPTS_MIN, Attempts, part, windows


def test_windows_end_together_and_lie_within_each_other() -> None:
    """Each has the attempts of its last minutes; what usually fails is asked for by length."""
    minutes = Minutes(1_000, [Tally(2, 1)] * 10)
    told = windows(minutes, 1_010, lambda window_min: window_min / 1_000)
    assert told[:3] == [Attempts(2, 4, 2, 0.002), Attempts(3, 6, 3, 0.003), Attempts(4, 8, 4, 0.004)]
    assert told[-1] == Attempts(360, 20, 10, 0.36)


def test_windows_without_an_attempt_are_not_told() -> None:
    """A gateway that was used an hour ago has long windows only; minutes that are left out are none."""
    used = [Tally(5, 0)] * 10 + [Tally(0, 0)] * 50
    told = windows(Minutes(0, used), 60, lambda _: None)
    assert [each.window_min for each in told] == [length for length in RUNGS_MIN if length > 50]
    assert windows(Minutes(0, used, set(range(10))), 60, lambda _: None) == []


def test_few_attempts_tell_of_no_usual_part() -> None:
    """From a hundred on they do."""
    assert part([Tally(PAST_ATTEMPTS_MIN - 1, 50)]) is None
    assert part([Tally(60, 1), Tally(40, 4)]) == 0.05

"""Where a live stands among its creator's past ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.past_lives import percentile

AMOUNTS = st.lists(st.integers(-5, 5), min_size=1, max_size=6)


def test_equal_lives_count_half() -> None:
    """Of four lives one sold less, two the same, one more: (1 + 2 / 2) of 4."""
    assert percentile(5, [1, 5, 5, 9]) == 50
    assert percentile(0, [1, 2, 3]) == 0
    assert percentile(4, [1, 2, 3]) == 100


@given(own=st.integers(-6, 6), others=AMOUNTS)
def test_it_lies_between_and_mirrors(own: int, others: list[int]) -> None:
    """0 to 100; what is below and what is above add up to all, whatever the order of the lives."""
    rank = percentile(own, others)
    assert 0 <= rank <= 100
    mirrored = percentile(-own, [-other for other in reversed(others)])
    assert abs(rank + mirrored - 100) < 1e-9

"""Payment attempts: what scenarios do not say."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Payment
from schemas.fields import Outcome
from streams import payments
from streams.booking import Books
from streams.kpis import FIGURE_SETS
from streams.payments import PaymentBook, attempt_id_of
from streams.settings import Settings
from streams.sums import Sums
from streams.worker import rules_of

SIZES = rules_of(Settings()).sizes
NOON = 1_767_614_400_000
OUTCOMES = ("started", "authorised", "declined", "error", "timeout", "cancelled_by_user")


def _payment(time_ms: int, outcome: str, order_id: str = "o", attempt_id: str | None = None) -> Payment:
    return Payment(
        event_id="e",
        event_time_ms=time_ms,
        platform="tiktok",
        user_id="u",
        order_id=order_id,
        attempt_id=attempt_id,
        gateway=f"g{time_ms}",
        outcome=outcome,  # type: ignore[arg-type]
    )


def _pay_cells(events: list[tuple[int, Payment]]) -> dict[str, int]:
    sums = Sums(FIGURE_SETS["all"], SIZES)
    book = PaymentBook(Books(FIGURE_SETS["all"], sums), 90)
    for offset, event in events:
        book.attempts.load(dict.fromkeys(book.attempts.missing([attempt_id_of(event)])))
        book.orders.load(dict.fromkeys(book.orders.missing([event.order_id])))
        book.accept(event, offset, NOON)
    writes, _ = sums.take(NOON)
    return {
        f"{write.kind}:{name}@{write.pane.start_ms - NOON}": amount
        for write in writes
        if write.pane.size.name == "10s"
        for name, amount in write.absolute.items()
        if amount
    }


def test_two_pairs_of_ids_are_never_one_attempt() -> None:
    """The name of an attempt keeps order and attempt apart, whatever characters ids hold."""
    ids = ["", "a", "1:a", "a1", ":", "1", "aa", "1:", "11"]
    pairs = [(order, attempt) for order in ids[1:] for attempt in [None, *ids[1:]]]
    names = {attempt_id_of(_payment(NOON, "started", *pair)) for pair in pairs}
    assert len(names) == len(pairs)


def test_every_outcome_has_a_state() -> None:
    """The contract's outcomes are all booked."""
    assert set(payments._STATE_OF_OUTCOME) == set(get_args(Outcome))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_attempt_is_in_one_state(outcome: str) -> None:
    """Attempts and states of the whole shop add up: one attempt, one state."""
    cells = _pay_cells([(0, _payment(NOON, "started")), (1, _payment(NOON + 1, outcome))])
    of_shop = {name: amount for name, amount in cells.items() if name.startswith("all:pay.")}
    assert of_shop.pop("all:pay.attempts|@0") == 1
    assert list(of_shop.values()) == [1]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(OUTCOMES)), min_size=1, max_size=4))
def test_the_order_of_arrival_does_not_matter(log: list[tuple[int, str]]) -> None:
    """Whatever order an attempt's events arrive in: first event's pane and scopes, last event's state.

    (Events of the same time differ by their offset, which is fixed here as they are shuffled.)
    """
    events = [(offset, _payment(NOON + 10_000 * at, outcome)) for offset, (at, outcome) in enumerate(log)]
    results = [_pay_cells(list(order)) for order in itertools.permutations(events)]
    assert all(result == results[0] for result in results)
    assert results[0][f"all:pay.attempts|@{10_000 * min(at for at, _ in log)}"] == 1
